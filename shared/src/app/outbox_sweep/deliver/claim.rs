//! Claims the mails of received messages.

use std::collections::HashSet;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::super::delay_of_unreadable;
use super::{CLAIM_CONCURRENCY, ClaimedMail, Delivery, SHORT_DELAY};
use crate::app::error::Error;
use crate::domain::mailing::claim::NextAttempt;
use crate::domain::mailing::{Mail, MailClaim};
use crate::domain::time::plus;
use crate::queue::{MessageBody, ReceivedMessage};
use crate::store::error::StoreError;
use crate::store::mailing::ClaimResult;

/// The duration of a claim. It is longer than a run may take and shorter than the visibility timeout of the queue
/// (`template.yaml`), so a redelivered mail can be claimed again.
const CLAIM_DURATION: Duration = Duration::from_secs(100);

/// What to do with a received message.
pub(super) enum MessageAction {
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

impl Delivery<'_> {
    pub(super) async fn claim_all(
        &self,
        messages: Vec<ReceivedMessage>,
    ) -> Vec<Result<MessageAction, Error>> {
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
                let (subject, key) = (&mail.subject, &mail.message_key);
                if store.was_sent(subject, key, existing.claimed_at, now).await? {
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
}
