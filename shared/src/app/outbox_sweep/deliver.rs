//! Delivers a batch of mails: claims them, checks their relevance, sends them, records the outcomes and deletes the
//! messages.

mod record;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use self::record::SendOutcome;
use super::rate_limiter::RateLimiter;
use super::{Mailer, OutboxReport, OutboxTools, delay_of_unreadable};
use crate::app::error::Error;
use crate::domain::host_status::HostStatuses;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::claim::NextAttempt;
use crate::domain::mailing::relevance::{
    asks_to_connect, depends_on_recipient_state, is_host_still_missing, is_still_relevant,
    kind_to_send, respect_preferences,
};
use crate::domain::mailing::{
    DeliveryRecord, DeliveryStatus, EntryDigest, Mail, MailClaim, MailKind, MailSubject,
    MessageKey, RecipientRef, RecipientState, SentEntry,
};
use crate::domain::session::Session;
use crate::domain::time::plus;
use crate::mail::{
    CalendarMethod, MailContext, MailError, MailService, RetryAdvice, SessionDetails, compose,
};
use crate::queue::{MessageBody, ReceivedMessage};
use crate::store::error::StoreError;
use crate::store::mailing::{ClaimResult, TrainersAndInvitedMails};
use crate::store::sessions::SessionsById;

/// The duration of a claim. It is longer than a run may take and shorter than the visibility timeout of the queue
/// (`template.yaml`), so a redelivered mail can be claimed again.
const CLAIM_DURATION: Duration = Duration::from_secs(100);
/// The maximum number of receive requests per batch, which limits a batch and the mails in doubt after a crash to 50.
const MAX_RECEIVE_CONCURRENCY: usize = 5;
/// The size of a batch as sending time at the current rate, so no mail waits long between claim and sending.
const BATCH_DURATION: Duration = Duration::from_secs(3);
/// The number of concurrent claim requests.
const CLAIM_CONCURRENCY: usize = 25;
/// The delay of a mail after a failed read of the table.
const READ_ERROR_DELAY: Duration = Duration::from_secs(60);
/// The longest pause during which a run continues. During a longer one it would only receive mails that it cannot send.
const MAX_PAUSE_WITHIN_RUN: Duration = Duration::from_secs(5);
/// The error of a mail if this version cannot read its session, delivery records or enrollment.
const ITEM_UNREADABLE: &str = "item_unreadable";
/// The delay of a mail that this run has no time for.
const SHORT_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Delivery<'a> {
    tools: &'a OutboxTools,
    mailer: &'a Mailer,
    rate_limiter: RateLimiter,
    /// The pause and the error code after the service stopped accepting mails.
    halt: Mutex<Option<(Duration, String)>>,
    /// Mails that this run has finished. A message may be received twice within one run.
    finished: HashSet<MessageKey>,
    /// Recipient states that this run has loaded or updated.
    recipient_states: HashMap<SessionId, SessionRecipientStates>,
}

/// The recipient states of one session.
#[derive(Default)]
struct SessionRecipientStates {
    /// Whether mails that were sent before this run are included.
    complete: bool,
    by_recipient: HashMap<RecipientRef, RecipientState>,
}

/// A mail that this run has claimed.
struct ClaimedMail {
    message: ReceivedMessage,
    mail: Mail,
    claim: MailClaim,
    /// Whether two attempts had an unknown outcome. The mail moves to the dead-letter queue.
    given_up: bool,
    /// The version of the session in the sent mail.
    sent_version: Option<u64>,
    /// The calendar entry in the mail, if it was attempted.
    entry: Option<SentEntry>,
}

impl ClaimedMail {
    fn delivery_record(&self, status: DeliveryStatus, detail: Option<String>) -> DeliveryRecord {
        let in_doubt = status == DeliveryStatus::Dropped
            && (self.claim.attempts > 1 || self.claim.unknown_outcomes > 0);
        let sent_version = self.sent_version.filter(|_| status == DeliveryStatus::Sent);
        let entry = self.entry.clone();
        DeliveryRecord {
            sent_version,
            entry,
            in_doubt,
            ..DeliveryRecord::new(&self.mail, status, detail)
        }
    }
}

/// What to do with a received message.
enum MessageAction {
    Send(Box<ClaimedMail>),
    Delete(ReceivedMessage),
    Delay(ReceivedMessage, Duration),
    /// Move it unchanged to the dead-letter queue.
    DeadLetter(ReceivedMessage),
}

/// Whether a mail is sent, by its claim.
enum ClaimDecision {
    Send { claim: MailClaim, given_up: bool },
    Delete,
    Delay(Duration),
    Unreadable,
}

impl MessageAction {
    /// Returns the action for a mail whose claim this version cannot read.
    fn for_unreadable_claim(message: ReceivedMessage) -> Self {
        match delay_of_unreadable(message.receive_count) {
            Some(pause) => Self::Delay(message, pause),
            None => Self::DeadLetter(message),
        }
    }
}

/// The data that is needed to compose the mails of a batch.
#[derive(Default)]
struct RelatedData {
    sessions: HashMap<SessionId, Session>,
    /// The sessions of which an item cannot be read. Their mails wait.
    unreadable: HashSet<SessionId>,
    recipients: TrainersAndInvitedMails,
    /// The host statuses of the trainers who get a mail that asks to connect Zoom.
    hosts: HostStatuses,
    /// The users without mails.
    muted: HashSet<UserId>,
}

impl RelatedData {
    fn is_readable(&self, mail: &Mail) -> bool {
        let session = mail.subject.session();
        session.is_none_or(|session| !self.unreadable.contains(session))
            && !self.recipients.unreadable.contains(&mail.message_key)
    }
}

impl<'a> Delivery<'a> {
    pub(super) fn new(
        tools: &'a OutboxTools,
        mailer: &'a Mailer,
        rate_limiter: RateLimiter,
    ) -> Self {
        Self {
            tools,
            mailer,
            rate_limiter,
            halt: Mutex::default(),
            finished: HashSet::new(),
            recipient_states: HashMap::new(),
        }
    }

    /// Returns the number of receive requests per batch.
    pub(super) fn receive_concurrency(&self) -> usize {
        self.rate_limiter
            .permits_within(BATCH_DURATION)
            .div_ceil(10)
            .clamp(1, MAX_RECEIVE_CONCURRENCY)
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halt.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns the end of the pause and the error code, if the service stopped accepting mails.
    pub(super) fn pause(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner).clone();
        halt.map(|(pause, code)| (plus(now, pause), code))
    }

    fn halt(&self, pause: Duration, code: &str) {
        let mut halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        halt.get_or_insert_with(|| (pause, code.to_owned()));
    }

    /// Delivers one batch. No mail is sent after `latest`.
    pub(super) async fn deliver_batch(
        &mut self,
        messages: Vec<ReceivedMessage>,
        latest: Instant,
        report: &mut OutboxReport,
    ) -> Result<(), Error> {
        let actions = self.claim_all(messages).await;
        let (mut claimed, mut delete, mut delay) = (Vec::new(), Vec::new(), Vec::new());
        for action in actions {
            match action {
                Ok(MessageAction::Send(mail)) => claimed.push(*mail),
                Ok(MessageAction::Delete(message)) => delete.push(message),
                Ok(MessageAction::Delay(message, pause)) => delay.push((message, pause)),
                Ok(MessageAction::DeadLetter(message)) => {
                    match self.tools.outbox.send_unreadable_to_dead_letter_queue(&message).await {
                        Ok(()) => {
                            report.dead += 1;
                            delete.push(message);
                        }
                        // The message is redelivered.
                        Err(error) => tracing::error!(event = "mail.dead_letter_failed", %error),
                    }
                }
                // The message is redelivered after its visibility timeout.
                Err(error) => tracing::warn!(event = "mail.claim_failed", %error),
            }
        }
        report.claimed += claimed.len();
        let (outcomes, read_error) = match self.load_related_data(&claimed).await {
            Ok(related) => (self.send_all(claimed, &related, latest).await, None),
            // Releases the claims, because an unreleased claim counts as lost.
            Err(error) => {
                let not_attempted = |mail| (mail, SendOutcome::NotAttempted(READ_ERROR_DELAY));
                (claimed.into_iter().map(not_attempted).collect(), Some(error))
            }
        };
        let recorded = self.record(outcomes, report).await;
        for (claimed, retry_after) in recorded.mails {
            match retry_after {
                None => {
                    self.finished.insert(claimed.mail.message_key);
                    delete.push(claimed.message);
                }
                Some(pause) => delay.push((claimed.message, pause)),
            }
        }
        // If this fails, the redelivered message of a finished mail is deleted then.
        let deletions: Vec<_> = delete.iter().collect();
        let delays: Vec<_> = delay.iter().map(|(message, pause)| (message, *pause)).collect();
        let (deleted, delayed) =
            futures::join!(self.tools.outbox.delete(&deletions), self.tools.outbox.delay(&delays));
        for error in [deleted.err(), delayed.err()].into_iter().flatten() {
            tracing::warn!(event = "outbox.message_not_updated", %error);
        }
        read_error.or(recorded.error).map_or(Ok(()), Err)
    }

    /// Sends mails to different recipients concurrently. Mails to one recipient about one session are sent sequentially
    /// by version, because their relevance depends on the mails before.
    async fn send_all(
        &mut self,
        mails: Vec<ClaimedMail>,
        related: &RelatedData,
        latest: Instant,
    ) -> Vec<(ClaimedMail, SendOutcome)> {
        let mut by_recipient: BTreeMap<(MailSubject, RecipientRef), Vec<ClaimedMail>> =
            BTreeMap::new();
        for claimed in mails {
            let key = (claimed.mail.subject.clone(), claimed.mail.recipient());
            by_recipient.entry(key).or_default().push(claimed);
        }
        let now = self.tools.clock.now();
        let this = &*self;
        let results: Vec<_> = stream::iter(by_recipient)
            .map(|((subject, recipient), mut mails)| async move {
                // A mail that may have been sent before comes first, because the others depend on it.
                mails.sort_by_key(|claimed| {
                    let is_first_attempt = claimed.claim.unknown_outcomes == 0;
                    (is_first_attempt, claimed.mail.version, claimed.mail.kind)
                });
                let mut state = this.recipient_state(&subject, &recipient);
                let mut outcomes = Vec::with_capacity(mails.len());
                for mut claimed in mails {
                    if claimed.claim.unknown_outcomes > 0 {
                        state.doubt_entry();
                    }
                    let outcome =
                        this.send_if_relevant(&mut claimed, related, &state, latest, now).await;
                    if let Some(status) = outcome.status() {
                        state.apply(&claimed.delivery_record(status, None).as_past_delivery());
                    }
                    outcomes.push((claimed, outcome));
                }
                (subject, recipient, state, outcomes)
            })
            .buffer_unordered(10 * MAX_RECEIVE_CONCURRENCY)
            .collect()
            .await;
        let mut outcomes = Vec::new();
        for (subject, recipient, state, sent) in results {
            if let MailSubject::Session(session) = subject {
                let states = self.recipient_states.entry(session).or_default();
                states.by_recipient.insert(recipient, state);
            }
            outcomes.extend(sent);
        }
        outcomes
    }

    fn recipient_state(&self, subject: &MailSubject, recipient: &RecipientRef) -> RecipientState {
        let states = subject.session().and_then(|session| self.recipient_states.get(session));
        states.and_then(|states| states.by_recipient.get(recipient)).cloned().unwrap_or_default()
    }

    /// Loads the recipient states of the sessions for which they matter. Once per run is sufficient, because the
    /// outbox lease keeps other runs from sending. Returns the sessions whose delivery records cannot be read.
    async fn load_recipient_states(
        &mut self,
        mails: &[(&Session, &Mail)],
    ) -> Result<HashSet<SessionId>, Error> {
        let mut unreadable = HashSet::new();
        for (session, mail) in mails {
            let states = self.recipient_states.get(&session.id);
            let is_loaded = states.is_some_and(|states| states.complete);
            if !is_loaded && depends_on_recipient_state(mail, session) {
                let (store, now) = (&self.tools.store, self.tools.clock.now());
                let by_recipient =
                    match store.recipient_states_with_snapshot(&session.id, now).await {
                        Ok(by_recipient) => by_recipient,
                        Err(StoreError::Corrupt { .. }) => {
                            unreadable.insert(session.id.clone());
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    };
                let states = SessionRecipientStates { complete: true, by_recipient };
                self.recipient_states.insert(session.id.clone(), states);
            }
        }
        Ok(unreadable)
    }

    async fn claim_all(&self, messages: Vec<ReceivedMessage>) -> Vec<Result<MessageAction, Error>> {
        let now = self.tools.clock.now();
        let mut seen = HashSet::new();
        let claims = messages.into_iter().filter_map(|mut message| {
            let body = std::mem::replace(&mut message.body, MessageBody::Unreadable(String::new()));
            let MessageBody::Mail(mail) = body else { return None };
            // A duplicate message waits for the outcome of the first one.
            let is_duplicate = !seen.insert(mail.message_key.clone());
            Some((message, *mail, is_duplicate))
        });
        let claims: Vec<_> = claims.collect();
        stream::iter(claims)
            .map(|(message, mail, is_duplicate)| async move {
                if self.finished.contains(&mail.message_key) {
                    return Ok(MessageAction::Delete(message));
                }
                if is_duplicate {
                    return Ok(MessageAction::Delay(message, SHORT_DELAY));
                }
                self.claim(message, mail, now).await
            })
            .buffer_unordered(CLAIM_CONCURRENCY)
            .collect()
            .await
    }

    async fn claim(
        &self,
        message: ReceivedMessage,
        mail: Mail,
        now: Timestamp,
    ) -> Result<MessageAction, Error> {
        let (claim, given_up) = match self.decide_claim(&mail, now).await {
            Ok(ClaimDecision::Send { claim, given_up }) => (claim, given_up),
            Ok(ClaimDecision::Delete) => return Ok(MessageAction::Delete(message)),
            Ok(ClaimDecision::Delay(pause)) => return Ok(MessageAction::Delay(message, pause)),
            Ok(ClaimDecision::Unreadable) | Err(StoreError::Corrupt { .. }) => {
                return Ok(MessageAction::for_unreadable_claim(message));
            }
            Err(error) => return Err(error.into()),
        };
        let claimed =
            ClaimedMail { message, mail, claim, given_up, sent_version: None, entry: None };
        Ok(MessageAction::Send(Box::new(claimed)))
    }

    async fn decide_claim(&self, mail: &Mail, now: Timestamp) -> Result<ClaimDecision, StoreError> {
        let store = &self.tools.store;
        let until = plus(now, CLAIM_DURATION);
        let existing = match store.claim_mail(mail, now, until).await? {
            ClaimResult::Claimed(claim) => {
                return Ok(ClaimDecision::Send { claim, given_up: false });
            }
            ClaimResult::NotClaimed(existing) => existing,
        };
        let next_attempt = existing.next_attempt(mail.redrives, now);
        match next_attempt {
            NextAttempt::Finished => return Ok(ClaimDecision::Delete),
            NextAttempt::InProgress(until) => {
                let left = until.duration_since(now).max(SignedDuration::ZERO);
                let left = Duration::try_from(left).unwrap_or_default();
                return Ok(ClaimDecision::Delay(left + SHORT_DELAY));
            }
            NextAttempt::Available => return Ok(ClaimDecision::Delay(SHORT_DELAY)),
            NextAttempt::Unknown => return Ok(ClaimDecision::Unreadable),
            NextAttempt::Lost | NextAttempt::GivenUp => {
                if store.was_sent(mail, existing.claimed_at, now).await? {
                    return Ok(ClaimDecision::Delete);
                }
                tracing::warn!(
                    event = "mail.claim_lost",
                    message_key = %mail.message_key,
                    unknown_outcomes = existing.unknown_outcomes + 1
                );
            }
            NextAttempt::Redriven => {}
        }
        match store.reclaim_mail(mail, &existing, next_attempt, now, until).await? {
            ClaimResult::Claimed(claim) => {
                let given_up = next_attempt == NextAttempt::GivenUp;
                Ok(ClaimDecision::Send { claim, given_up })
            }
            ClaimResult::NotClaimed(_) => Ok(ClaimDecision::Delay(SHORT_DELAY)),
        }
    }

    /// Reads the current sessions after the mails were claimed.
    async fn load_related_data(&mut self, claimed: &[ClaimedMail]) -> Result<RelatedData, Error> {
        let ids: HashSet<_> =
            claimed.iter().filter_map(|claimed| claimed.mail.subject.session()).collect();
        let ids: Vec<_> = ids.into_iter().cloned().collect();
        let users: HashSet<_> = claimed.iter().flat_map(|claimed| claimed.mail.users()).collect();
        let users: Vec<_> = users.into_iter().cloned().collect();
        let muted = match users.is_empty() {
            true => HashSet::new(),
            false => self.tools.store.users_without_mails(&users).await?,
        };
        if ids.is_empty() {
            let hosts = self.load_hosts(claimed, &HashMap::new()).await?;
            return Ok(RelatedData { hosts, muted, ..RelatedData::default() });
        }
        let SessionsById { found: sessions, mut unreadable } =
            self.tools.store.sessions_by_id(&ids).await?;
        let mails = claimed.iter().filter_map(|claimed| {
            let session = sessions.get(claimed.mail.subject.session()?)?;
            Some((session, &claimed.mail))
        });
        let mails: Vec<_> = mails.collect();
        unreadable.extend(self.load_recipient_states(&mails).await?);
        let recipients = self.tools.store.trainers_and_invited_mails(&mails).await?;
        let hosts = self.load_hosts(claimed, &sessions).await?;
        Ok(RelatedData { sessions, unreadable, recipients, hosts, muted })
    }

    async fn load_hosts(
        &self,
        claimed: &[ClaimedMail],
        sessions: &HashMap<SessionId, Session>,
    ) -> Result<HostStatuses, Error> {
        let mails = claimed.iter().map(|claimed| &claimed.mail);
        let mails = mails.filter(|mail| asks_to_connect(mail.kind));
        let trainers: HashSet<_> =
            mails.filter_map(|mail| trainer_of_subject(&mail.subject, sessions)).collect();
        if trainers.is_empty() {
            return Ok(HostStatuses::default());
        }
        let trainers: Vec<_> = trainers.into_iter().cloned().collect();
        Ok(self.tools.store.host_statuses(&trainers).await?)
    }

    async fn send_if_relevant(
        &self,
        claimed: &mut ClaimedMail,
        related: &RelatedData,
        recipient_state: &RecipientState,
        latest: Instant,
        now: Timestamp,
    ) -> SendOutcome {
        if claimed.given_up {
            return SendOutcome::GivenUp;
        }
        let mail = &claimed.mail;
        if !related.is_readable(mail) {
            return SendOutcome::Retry(ITEM_UNREADABLE.to_owned());
        }
        let session = mail.subject.session().and_then(|id| related.sessions.get(id));
        let invited = related.recipients.invited.contains(&mail.message_key);
        let host = trainer_of_subject(&mail.subject, &related.sessions)
            .and_then(|trainer| related.hosts.get(trainer));
        let is_muted = |user: &UserId| related.muted.contains(user);
        let needed = is_still_relevant(mail, session, invited, recipient_state, now)
            .and_then(|()| host.map_or(Ok(()), |host| is_host_still_missing(mail, session, host)))
            .and_then(|()| respect_preferences(mail, is_muted, recipient_state));
        if let Err(reason) = needed {
            return SendOutcome::Dropped(reason.as_str());
        }
        if self.is_halted() || !self.rate_limiter.acquire(latest).await || self.is_halted() {
            return SendOutcome::NotAttempted(SHORT_DELAY);
        }
        let entry = session.and_then(|session| next_entry(mail.kind, session, recipient_state));
        let context = self.mail_context(mail, session, entry.as_ref(), related);
        match self.mailer.service.send(&compose(&context, &self.mailer.brand)).await {
            Ok(id) => {
                claimed.sent_version = session.map(|session| session.version);
                claimed.entry = entry;
                SendOutcome::Sent(id)
            }
            Err(error) => {
                // The mail may have reached the calendar.
                if matches!(error, MailError::Unavailable { .. } | MailError::Unknown { .. }) {
                    claimed.entry = entry;
                }
                self.outcome_of_error(&error)
            }
        }
        claimed.mail.kind = kind_to_send(mail, recipient_state);
        let mail = &claimed.mail;
    }

    fn outcome_of_error(&self, error: &MailError) -> SendOutcome {
        let code = error_code(error);
        match (error.retry_advice(), error) {
            (RetryAdvice::Never, _) => SendOutcome::Failed(code),
            (RetryAdvice::Attempt, _) => SendOutcome::Retry(code),
            (RetryAdvice::Once, _) => SendOutcome::Unknown(code),
            (RetryAdvice::Later(pause), MailError::Limited { .. }) => {
                if pause > MAX_PAUSE_WITHIN_RUN {
                    self.halt(pause, &code);
                } else {
                    self.rate_limiter.slow_down(pause);
                }
                SendOutcome::NotAttempted(pause)
            }
            // The service accepts no mails for a while, so the run stops receiving.
            (RetryAdvice::Later(pause), _) => {
                self.halt(pause, &code);
                SendOutcome::RetryUncounted(code, pause)
            }
        }
    }

    fn mail_context<'m>(
        &self,
        mail: &'m Mail,
        session: Option<&'m Session>,
        entry: Option<&SentEntry>,
        related: &'m RelatedData,
    ) -> MailContext<'m> {
        let app = &self.mailer.brand.app_url;
        let trainer = session.and_then(|session| related.recipients.trainers.get(&session.trainer));
        let details = session.map(|session| SessionDetails {
            id: &session.id,
            title: session.title.as_str(),
            description: session.description.as_str(),
            starts_at: session.starts_at,
            duration_minutes: session.duration_minutes,
            zone: &session.zone,
            sequence: entry.map_or(session.ics_sequence, |entry| entry.sequence),
            reason: mail.reason.as_deref(),
            course_title: session.audience.course_title().map(|title| title.as_str()),
            trainer_name: trainer.map(|trainer| trainer.name.as_str()),
        });
        MailContext {
            kind: mail.kind,
            to: &mail.to,
            to_name: mail.name.as_ref().map(|name| name.as_str()),
            address_changed: mail.address_changed,
            session: details.filter(|_| mail.kind != MailKind::ReauthRequired),
            link: session
                .map_or_else(|| app.clone(), |session| format!("{app}/sessions/{}", session.id)),
            message_id: mail.message_id(),
            locale: None,
            zone: None,
            now: self.tools.clock.now(),
        }
    }
}

/// Returns the trainer of a mail's session, or the trainer in the mail's subject.
fn trainer_of_subject<'a>(
    subject: &'a MailSubject,
    sessions: &'a HashMap<SessionId, Session>,
) -> Option<&'a UserId> {
    match subject {
        MailSubject::Session(id) => sessions.get(id).map(|session| &session.trainer),
        MailSubject::Trainer(trainer) => Some(trainer),
    }
}

/// Returns the calendar entry in a mail of this kind.
fn next_entry(kind: MailKind, session: &Session, state: &RecipientState) -> Option<SentEntry> {
    let content = match kind.calendar_method()? {
        CalendarMethod::Request => Some(EntryDigest::from_session(session)),
        CalendarMethod::Cancel => None,
    };
    Some(state.next_entry(session.ics_sequence, content))
}

/// Returns the error code for the timeline, which is the service's own if available.
fn error_code(error: &MailError) -> String {
    match error {
        MailError::Refused { code }
        | MailError::Paused { code }
        | MailError::Misconfigured { code } => code.clone(),
        MailError::Limited { .. } => "limited".to_owned(),
        MailError::DailyLimit => "daily_limit".to_owned(),
        MailError::Unavailable { detail } | MailError::Unknown { detail } => detail.clone(),
    }
}
