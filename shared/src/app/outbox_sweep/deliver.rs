//! Sending: a round of messages is claimed, looked at again, sent, noted and taken off the queue.

mod record;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use self::record::SendOutcome;
use super::rate_limiter::RateLimiter;
use super::{Mailer, OutboxReport, OutboxTools};
use crate::app::error::Error;
use crate::domain::directory::User;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::claim::NextAttempt;
use crate::domain::mailing::relevance::{depends_on_recipient_state, is_still_relevant};
use crate::domain::mailing::{
    MailSubject, MailClaim, MessageKey, DeliveryRecord, RecipientState, Mail, MailKind, DeliveryStatus, RecipientRef,
};
use crate::domain::session::Session;
use crate::domain::time::plus;
use crate::mail::{SessionDetails, MailContext, MailError, MailService, RetryAdvice, compose};
use crate::queue::{MessageBody, ReceivedMail};
use crate::store::mailing::ClaimResult;

/// How long a claim keeps others away: longer than the run that takes it may last, and shorter than its message stays
/// hidden in the queue (`template.yaml`), so that whoever is handed it next may claim it.
const CLAIM: Duration = Duration::from_secs(100);
/// Receives whose messages make one round, at most: fifty mails. What a run that dies leaves in doubt is no more.
const LANES: usize = 5;
/// As many mails as leave in this time are taken in hand at once, so that none waits long between claim and sending.
const ROUND: Duration = Duration::from_secs(3);
/// Claims that are taken at once.
const CLAIMS_AT_ONCE: usize = 25;
/// When a mail comes again after the table could not be read.
const AFTER_TROUBLE: Duration = Duration::from_secs(60);
/// The longest pause that a run sits out. In a longer one it would go on being handed mails that it cannot send.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a mail comes again that this run did not get to.
const SOON: Duration = Duration::from_secs(1);

pub(super) struct Delivery<'a> {
    tools: &'a OutboxTools,
    mailer: &'a Mailer,
    pace: RateLimiter,
    /// Set when no mail will be taken for a while, with the service's code.
    halt: Mutex<Option<(Duration, String)>>,
    /// Mails that this run is done with. A message may come twice within one run.
    over: HashSet<MessageKey>,
    /// What people hold of classes, as far as this run had to know or has sent it.
    holdings: HashMap<SessionId, Holdings>,
}

/// What people hold of one class.
#[derive(Default)]
struct Holdings {
    /// Whether what was sent before this run is among it.
    whole: bool,
    of: HashMap<RecipientRef, RecipientState>,
}

/// A mail that this run has claimed.
struct InHand {
    message: ReceivedMail,
    mail: Mail,
    claim: MailClaim,
    /// It was claimed twice before and never heard of: it is set aside.
    given_up: bool,
    /// The version of the class that it shows.
    shows: Option<u64>,
}

impl InHand {
    fn fate(&self, state: DeliveryStatus, note: Option<String>) -> DeliveryRecord {
        let sent = state == DeliveryStatus::Sent;
        let in_doubt =
            state == DeliveryStatus::Dropped && (self.claim.attempts > 1 || self.claim.lost > 0);
        let shows = self.shows.filter(|_| sent);
        DeliveryRecord { shows, in_doubt, ..DeliveryRecord::of(&self.mail, state, note) }
    }
}

/// What is to be done about a message.
enum Step {
    InHand(Box<InHand>),
    Delete(ReceivedMail),
    Delay(ReceivedMail, Duration),
}

/// What a mail is written from.
#[derive(Default)]
struct Around {
    sessions: HashMap<SessionId, Session>,
    trainers: HashMap<UserId, User>,
    invited: HashSet<MessageKey>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(tools: &'a OutboxTools, mailer: &'a Mailer, pace: RateLimiter) -> Self {
        Self {
            tools,
            mailer,
            pace,
            halt: Mutex::default(),
            over: HashSet::new(),
            holdings: HashMap::new(),
        }
    }

    /// How many receives make a round.
    pub(super) fn lanes(&self) -> usize {
        self.pace.within(ROUND).div_ceil(10).clamp(1, LANES)
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halt.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Until when nothing is to be sent, and why, if the service said so.
    pub(super) fn pause(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner).clone();
        halt.map(|(pause, code)| (plus(now, pause), code))
    }

    fn halt(&self, pause: Duration, code: &str) {
        let mut halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        halt.get_or_insert_with(|| (pause, code.to_owned()));
    }

    /// One round. Whatever sets out does so by `latest`.
    pub(super) async fn round(
        &mut self,
        messages: Vec<ReceivedMail>,
        latest: Instant,
        report: &mut OutboxReport,
    ) -> Result<(), Error> {
        let steps = self.claims(messages).await;
        let (mut in_hand, mut delete, mut delay) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Ok(Step::InHand(one)) => in_hand.push(*one),
                Ok(Step::Delete(message)) => delete.push(message),
                Ok(Step::Delay(message, pause)) => delay.push((message, pause)),
                // Its message comes again by itself.
                Err(error) => tracing::warn!(event = "email.not_claimed", %error),
            }
        }
        report.claimed += in_hand.len();
        let (outcomes, trouble) = match self.around(&in_hand).await {
            Ok(around) => (self.outcomes(in_hand, &around, latest).await, None),
            // A claim that is not given back counts as lost, and a mail has few of those.
            Err(error) => {
                let not_now = |one| (one, SendOutcome::NotNow(AFTER_TROUBLE));
                (in_hand.into_iter().map(not_now).collect(), Some(error))
            }
        };
        let ended = self.note(outcomes, report).await;
        for (one, end) in ended.of {
            match end {
                None => {
                    self.over.insert(one.mail.message_key);
                    delete.push(one.message);
                }
                Some(pause) => delay.push((one.message, pause)),
            }
        }
        // A message that stays although its mail is done with finds that out when it comes again.
        let gone: Vec<_> = delete.iter().collect();
        let later: Vec<_> = delay.iter().map(|(message, pause)| (message, *pause)).collect();
        let (deleted, delayed) =
            futures::join!(self.tools.outbox.delete(&gone), self.tools.outbox.delay(&later));
        for error in [deleted.err(), delayed.err()].into_iter().flatten() {
            tracing::warn!(event = "outbox.message_left", %error);
        }
        trouble.or(ended.trouble).map_or(Ok(()), Err)
    }

    /// Sends them, people beside each other; to one person about one class one after the other, in the order of what
    /// they tell, because each depends on what was sent before.
    async fn outcomes(
        &mut self,
        in_hand: Vec<InHand>,
        around: &Around,
        latest: Instant,
    ) -> Vec<(InHand, SendOutcome)> {
        let mut people: BTreeMap<(MailSubject, RecipientRef), Vec<InHand>> = BTreeMap::new();
        for one in in_hand {
            let person = (one.mail.subject.clone(), one.mail.recipient());
            people.entry(person).or_default().push(one);
        }
        let now = self.tools.clock.now();
        let this = &*self;
        let all: Vec<_> = stream::iter(people)
            .map(|((about, recipient), mut mails)| async move {
                mails.sort_by_key(|one| (one.mail.version, one.mail.kind));
                let mut holding = this.holding(&about, &recipient);
                let mut told = Vec::with_capacity(mails.len());
                for mut one in mails {
                    let outcome = this.outcome(&mut one, around, &holding, latest, now).await;
                    if let Some(state) = outcome.state() {
                        holding.follow(&one.fate(state, None).happened());
                    }
                    told.push((one, outcome));
                }
                (about, recipient, holding, told)
            })
            .buffer_unordered(10 * LANES)
            .collect()
            .await;
        let mut outcomes = Vec::new();
        for (about, recipient, holding, told) in all {
            if let MailSubject::Session(session) = about {
                self.holdings.entry(session).or_default().of.insert(recipient, holding);
            }
            outcomes.extend(told);
        }
        outcomes
    }

    fn holding(&self, about: &MailSubject, recipient: &RecipientRef) -> RecipientState {
        let class = about.session().and_then(|session| self.holdings.get(session));
        class.and_then(|class| class.of.get(recipient)).cloned().unwrap_or_default()
    }

    /// Reads what people hold of the classes of which it matters, once in a run: nobody else sends meanwhile.
    async fn look_up_holdings(&mut self, asked: &[(&Session, &Mail)]) -> Result<(), Error> {
        for (session, mail) in asked {
            let known = self.holdings.get(&session.id).is_some_and(|class| class.whole);
            if !known && depends_on_recipient_state(mail, session) {
                let of = self.tools.store.recipient_states(&session.id).await?;
                self.holdings.insert(session.id.clone(), Holdings { whole: true, of });
            }
        }
        Ok(())
    }

    async fn claims(&self, messages: Vec<ReceivedMail>) -> Vec<Result<Step, Error>> {
        let now = self.tools.clock.now();
        let mut seen = HashSet::new();
        let claims = messages.into_iter().filter_map(|mut message| {
            let body = std::mem::replace(&mut message.body, MessageBody::Unreadable(String::new()));
            let MessageBody::Mail(mail) = body else { return None };
            // The second of two messages about one mail waits for what comes of the first.
            let twice = !seen.insert(mail.message_key.clone());
            Some((message, *mail, twice))
        });
        let claims: Vec<_> = claims.collect();
        stream::iter(claims)
            .map(|(message, mail, twice)| async move {
                if self.over.contains(&mail.message_key) {
                    return Ok(Step::Delete(message));
                }
                if twice {
                    return Ok(Step::Delay(message, SOON));
                }
                self.claim(message, mail, now).await
            })
            .buffer_unordered(CLAIMS_AT_ONCE)
            .collect()
            .await
    }

    async fn claim(&self, message: ReceivedMail, mail: Mail, now: Timestamp) -> Result<Step, Error> {
        let store = &self.tools.store;
        let until = plus(now, CLAIM);
        let in_hand = |message, mail, claim, given_up| {
            Ok(Step::InHand(Box::new(InHand { message, mail, claim, given_up, shows: None })))
        };
        let found = match store.claim(&mail, now, until).await? {
            ClaimResult::Yes(claim) => return in_hand(message, mail, claim, false),
            ClaimResult::No(found) => found,
        };
        let reason = found.again(mail.round, now);
        match reason {
            NextAttempt::Over => return Ok(Step::Delete(message)),
            NextAttempt::InHand(until) => {
                let left = until.duration_since(now).max(SignedDuration::ZERO);
                let left = Duration::try_from(left).unwrap_or_default();
                return Ok(Step::Delay(message, left + SOON));
            }
            NextAttempt::Free => return Ok(Step::Delay(message, SOON)),
            NextAttempt::Lost | NextAttempt::GivenUp => {
                if store.was_sent(&mail, found.since, now).await? {
                    return Ok(Step::Delete(message));
                }
                tracing::warn!(event = "email.claim_lost", effect = %mail.message_key, lost = found.lost + 1);
            }
            NextAttempt::BroughtBack => {}
        }
        match store.claim_again(&mail, &found, reason, now, until).await? {
            ClaimResult::Yes(claim) => in_hand(message, mail, claim, reason == NextAttempt::GivenUp),
            ClaimResult::No(_) => Ok(Step::Delay(message, SOON)),
        }
    }

    /// The classes as they stand, now that the mails are claimed.
    async fn around(&mut self, in_hand: &[InHand]) -> Result<Around, Error> {
        let ids: HashSet<_> = in_hand.iter().filter_map(|one| one.mail.subject.session()).collect();
        let ids: Vec<_> = ids.into_iter().cloned().collect();
        if ids.is_empty() {
            return Ok(Around::default());
        }
        let sessions = self.tools.store.sessions(&ids).await?;
        let sessions: HashMap<_, _> =
            sessions.into_iter().map(|session| (session.id.clone(), session)).collect();
        let asked = in_hand.iter().filter_map(|one| {
            let session = sessions.get(one.mail.subject.session()?)?;
            Some((session, &one.mail))
        });
        let asked: Vec<_> = asked.collect();
        self.look_up_holdings(&asked).await?;
        let (trainers, invited) = self.tools.store.around_mails(&asked).await?;
        Ok(Around { trainers, invited, sessions })
    }

    async fn outcome(
        &self,
        one: &mut InHand,
        around: &Around,
        holding: &RecipientState,
        latest: Instant,
        now: Timestamp,
    ) -> SendOutcome {
        if one.given_up {
            return SendOutcome::GivenUp;
        }
        let mail = &one.mail;
        let session = mail.subject.session().and_then(|id| around.sessions.get(id));
        let invited = around.invited.contains(&mail.message_key);
        if let Err(void) = is_still_relevant(mail, session, invited, holding, now) {
            return SendOutcome::Dropped(void.as_str());
        }
        if self.is_halted() || !self.pace.turn(latest).await || self.is_halted() {
            return SendOutcome::NotNow(SOON);
        }
        let letter = self.letter(mail, session, around);
        match self.mailer.service.send(&compose(&letter, &self.mailer.brand)).await {
            Ok(id) => {
                one.shows = session.map(|session| session.version);
                SendOutcome::Sent(id)
            }
            Err(error) => self.failure(&error),
        }
    }

    fn failure(&self, error: &MailError) -> SendOutcome {
        let code = code_of(error);
        match (error.retry(), error) {
            (RetryAdvice::Never, _) => SendOutcome::Failed(code),
            (RetryAdvice::Attempt, _) => SendOutcome::Retry(code),
            (RetryAdvice::Later(pause), MailError::Limited { .. }) => {
                if pause > PATIENCE {
                    self.halt(pause, &code);
                } else {
                    self.pace.slow_down(pause);
                }
                SendOutcome::NotNow(pause)
            }
            // Nothing will leave for a while, so nothing more is asked for meanwhile.
            (RetryAdvice::Later(pause), _) => {
                self.halt(pause, &code);
                SendOutcome::Later(code, pause)
            }
        }
    }

    fn letter<'m>(
        &self,
        mail: &'m Mail,
        session: Option<&'m Session>,
        around: &'m Around,
    ) -> MailContext<'m> {
        let app = &self.mailer.brand.app_url;
        let trainer = session.and_then(|session| around.trainers.get(&session.trainer));
        let class = session.map(|session| SessionDetails {
            id: &session.id,
            title: session.title.as_str(),
            description: session.description.as_str(),
            starts_at: session.starts_at,
            duration_minutes: session.duration_minutes,
            zone: &session.zone,
            sequence: session.ics_sequence,
            reason: mail.reason.as_deref(),
            course_title: session.audience.course_title().map(|title| title.as_str()),
            trainer_name: trainer.map(|trainer| trainer.name.as_str()),
        });
        MailContext {
            kind: mail.kind,
            to: &mail.to,
            to_name: mail.name.as_ref().map(|name| name.as_str()),
            class: class.filter(|_| mail.kind != MailKind::ReauthRequired),
            link: session
                .map_or_else(|| app.clone(), |session| format!("{app}/sessions/{}", session.id)),
            message_id: mail.message_id(),
            locale: None,
            zone: None,
            now: self.tools.clock.now(),
        }
    }
}

/// The code that stands in the timeline: the service's own where it gave one.
fn code_of(error: &MailError) -> String {
    match error {
        MailError::Refused { code }
        | MailError::Paused { code }
        | MailError::Misconfigured { code } => code.clone(),
        MailError::Limited { .. } => "limited".to_owned(),
        MailError::DailyLimit => "daily_limit".to_owned(),
        MailError::Busy { what } => what.clone(),
    }
}
