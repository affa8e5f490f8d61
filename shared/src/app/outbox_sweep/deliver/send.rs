//! Sends claimed mails that are still relevant.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::time::Instant;

use super::record::SendOutcome;
use super::related::{RelatedData, trainer_of_subject};
use super::{
    ClaimedMail, Delivery, MAX_PAUSE_WITHIN_RUN, READ_ERROR_DELAY, SEND_CONCURRENCY, SHORT_DELAY,
};
use crate::app::error::Error;
use crate::app::guests::guest_token;
use crate::domain::guest_link::GuestLink;
use crate::domain::id::UserId;
use crate::domain::mailing::relevance::{
    SkipReason, is_host_still_missing, is_still_relevant, kind_to_send, respect_preferences,
};
use crate::domain::mailing::{
    EntryDigest, Mail, MailKind, MailSubject, RecipientRef, RecipientState, SentEntry,
};
use crate::domain::notification_kind::CalendarMethod;
use crate::domain::session::Session;
use crate::mail::{MailContext, MailError, MailService, MailSession, RetryAdvice, compose};
use crate::secrets::SecretsError;
use crate::store::mail_addresses::MailAddress;

/// The error of a mail if this version cannot read its session, delivery records or enrollment.
const ITEM_UNREADABLE: &str = "item_unreadable";

impl Delivery<'_> {
    /// Sends mails to different recipients concurrently. Mails to one recipient about one session are sent sequentially
    /// by version, because their relevance depends on the mails before.
    pub(super) async fn send_all(
        &mut self,
        mails: Vec<ClaimedMail>,
        related: &RelatedData,
        latest: Instant,
    ) -> Vec<(ClaimedMail, SendOutcome)> {
        let mut by_recipient: BTreeMap<(MailSubject, RecipientRef), Vec<ClaimedMail>> =
            BTreeMap::new();
        for claimed in mails {
            let key = (claimed.mail.subject.clone(), claimed.mail.recipient.clone());
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
            .buffer_unordered(SEND_CONCURRENCY)
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
        let to = related.addresses.found.get(&mail.message_key).ok_or(SkipReason::NoAddress);
        let is_suppressed = related.addresses.suppressed.contains(&mail.message_key);
        let to = if is_suppressed { Err(SkipReason::Suppressed) } else { to };
        let to = match needed.and(to) {
            Ok(to) => to,
            Err(reason) => return SendOutcome::Dropped(reason.as_str()),
        };
        let link = match self.link(mail, session, related) {
            Ok(link) => link,
            Err(error) => {
                tracing::error!(event = "mail.guest_link_failed", %error);
                return SendOutcome::NotAttempted(READ_ERROR_DELAY);
            }
        };
        if self.is_halted() || !self.rate_limiter.acquire(latest).await || self.is_halted() {
            return SendOutcome::NotAttempted(SHORT_DELAY);
        }
        claimed.mail.kind = kind_to_send(mail, recipient_state);
        let mail = &claimed.mail;
        let entry = session.and_then(|session| next_entry(mail.kind, session, recipient_state));
        let context = self.mail_context(mail, to, session, (entry.as_ref(), link), related);
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

    /// Returns the page that a mail links to: the class's page, or for an invited address without a user the guests' page.
    /// Such an address gets no link to a class that it cannot enter any more.
    fn link(
        &self,
        mail: &Mail,
        session: Option<&Session>,
        related: &RelatedData,
    ) -> Result<Option<String>, Error> {
        let app = &self.mailer.brand.app_url;
        let Some(session) = session else { return Ok(Some(app.clone())) };
        let is_for_guest = mail.users().next().is_none() && mail.kind.is_for_audience();
        if !is_for_guest {
            return Ok(Some(format!("{app}/sessions/{}", session.id)));
        }
        let generation = related.recipients.link_generations.get(&mail.message_key);
        let Some(generation) = generation.filter(|_| mail.kind.is_for_invited()) else {
            return Ok(None);
        };
        let link = GuestLink {
            session: session.id.clone(),
            to: mail.to.clone(),
            // The list may have been rewritten by an edit that read it before the resend.
            generation: mail.link_generation.unwrap_or_default().max(*generation),
        };
        let secrets = self.mailer.secrets.as_ref().ok_or(SecretsError::Unavailable)?;
        let token = guest_token(secrets.keyring()?, &link)?;
        Ok(Some(format!("{app}/guest/{}", token.expose())))
    }

    fn mail_context<'m>(
        &self,
        mail: &'m Mail,
        to: &'m MailAddress,
        session: Option<&'m Session>,
        (entry, link): (Option<&SentEntry>, Option<String>),
        related: &'m RelatedData,
    ) -> MailContext<'m> {
        let trainer = session.and_then(|session| related.recipients.trainers.get(&session.trainer));
        let details = session.map(|session| MailSession {
            id: &session.id,
            title: session.details.title.as_str(),
            description: session.details.description.as_str(),
            starts_at: session.details.starts_at,
            duration_minutes: session.details.duration_minutes,
            zone: &session.details.zone,
            sequence: entry.map_or(session.ics_sequence, |entry| entry.sequence),
            reason: mail.reason.as_deref(),
            course_title: session.audience.course_title().map(|title| title.as_str()),
            trainer_name: trainer.map(|trainer| trainer.name.as_str()),
        });
        MailContext {
            kind: mail.kind,
            to: &to.email,
            to_name: to.name.as_ref().map(|name| name.as_str()),
            address_changed: mail.address_changed,
            session: details,
            link,
            message_id: mail.message_id(),
            locale: None,
            zone: None,
            now: self.tools.clock.now(),
        }
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
