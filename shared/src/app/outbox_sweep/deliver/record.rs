//! Records the outcomes of a batch of mails.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};

use super::{CLAIM_CONCURRENCY, ClaimedMail, Delivery, OutboxReport};
use crate::app::error::Error;
use crate::domain::id::SessionId;
use crate::domain::mailing::claim::{retry_delay_after, retry_delay_after_unknown_outcome};
use crate::domain::mailing::relevance::SkipReason;
use crate::domain::mailing::{DeliveryStatus, MailClaim, MailSubject};
use crate::store::error::CommitError;
use crate::store::mailing::{ClaimOutcome, DeliveryUpdate, release_claim};
use crate::telemetry::metrics;

/// The number of attempts to record outcomes. A mail without a recorded outcome is sent twice, so retries are
/// worthwhile.
const RECORD_ATTEMPTS: u32 = 3;
/// The error of a mail that was sent twice at most, without a response.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// The outcome of a claimed mail.
pub(super) enum SendOutcome {
    Sent(String),
    Failed(String),
    Dropped(&'static str),
    /// The attempt failed and counts.
    Retry(String),
    /// The attempt may have sent the mail.
    Unknown(String),
    /// The attempt failed and does not count. The status is recorded.
    RetryUncounted(String, Duration),
    /// The mail was not attempted. Nothing is recorded.
    NotAttempted(Duration),
    /// Two attempts may have sent the mail.
    GivenUp,
}

/// The recorded outcome of a mail, and the delay of the next attempt, if any.
struct OutcomeRecord {
    status: DeliveryStatus,
    detail: String,
    claim_outcome: ClaimOutcome,
    retry_after: Option<Duration>,
}

impl SendOutcome {
    /// Returns the resulting status, or `None` if the mail was not attempted.
    pub(super) fn status(&self) -> Option<DeliveryStatus> {
        match self {
            Self::Sent(_) => Some(DeliveryStatus::Sent),
            Self::Failed(_) => Some(DeliveryStatus::Failed),
            Self::Dropped(_) => Some(DeliveryStatus::Dropped),
            Self::Retry(_) | Self::Unknown(_) | Self::RetryUncounted(..) => {
                Some(DeliveryStatus::Retrying)
            }
            Self::GivenUp => Some(DeliveryStatus::Dead),
            Self::NotAttempted(_) => None,
        }
    }

    /// Returns the outcome to record, or the delay if nothing is recorded.
    fn into_record(self, claim: &MailClaim) -> Result<OutcomeRecord, Duration> {
        let record = |status, detail, claim_outcome, retry_after| {
            Ok(OutcomeRecord { status, detail, claim_outcome, retry_after })
        };
        match self {
            Self::NotAttempted(pause) => Err(pause),
            Self::Sent(id) => record(DeliveryStatus::Sent, id, ClaimOutcome::Unchanged, None),
            Self::Failed(code) => {
                record(DeliveryStatus::Failed, code, ClaimOutcome::Finished, None)
            }
            Self::Dropped(reason) => {
                record(DeliveryStatus::Dropped, reason.to_owned(), ClaimOutcome::Finished, None)
            }
            Self::RetryUncounted(code, pause) => {
                record(DeliveryStatus::Retrying, code, ClaimOutcome::RetryUncounted, Some(pause))
            }
            Self::GivenUp => record(
                DeliveryStatus::Dead,
                OUTCOME_UNKNOWN.to_owned(),
                ClaimOutcome::Finished,
                None,
            ),
            Self::Unknown(code) => match retry_delay_after_unknown_outcome(claim) {
                Some(pause) => {
                    record(DeliveryStatus::Retrying, code, ClaimOutcome::RetryUnknown, Some(pause))
                }
                None => record(
                    DeliveryStatus::Dead,
                    OUTCOME_UNKNOWN.to_owned(),
                    ClaimOutcome::FinishedUnknown,
                    None,
                ),
            },
            Self::Retry(code) => match retry_delay_after(claim.attempts) {
                Some(pause) => {
                    record(DeliveryStatus::Retrying, code, ClaimOutcome::Retry, Some(pause))
                }
                None => record(DeliveryStatus::Dead, code, ClaimOutcome::Finished, None),
            },
        }
    }
}

/// The mails with a recorded outcome.
#[derive(Default)]
pub(super) struct RecordedMails {
    /// Each mail with the delay of its next attempt, or `None` if it is finished.
    pub(super) mails: Vec<(ClaimedMail, Option<Duration>)>,
    pub(super) error: Option<Error>,
}

impl Delivery<'_> {
    /// Records the outcomes, sent mails first. If the run stopped in between, unrecorded sent mails would be sent
    /// again, while the others would only be delayed.
    pub(super) async fn record(
        &self,
        outcomes: Vec<(ClaimedMail, SendOutcome)>,
        report: &mut OutboxReport,
    ) -> RecordedMails {
        let (mut recorded, mut dead, mut released) = (Vec::new(), Vec::new(), Vec::new());
        for (claimed, outcome) in outcomes {
            match outcome.into_record(&claimed.claim) {
                Err(pause) => released.push((claimed, pause)),
                Ok(record) if record.status == DeliveryStatus::Dead => dead.push((claimed, record)),
                Ok(record) => recorded.push((claimed, record)),
            }
        }
        let mut finished = RecordedMails::default();
        self.record_all(recorded, &mut finished, report).await;
        let released = released.into_iter().map(|(claimed, pause)| async move {
            self.release_claim(&claimed).await;
            (claimed, Some(pause))
        });
        let dead = dead.into_iter().map(|(claimed, record)| async move {
            // Mark the mail dead only after the DLQ send succeeds. Otherwise its message is redelivered.
            let sent = self.tools.outbox.send_to_dead_letter_queue(&claimed.mail, &record.detail);
            sent.await.map(|()| (claimed, record))
        });
        let (released, dead) = futures::join!(
            stream::iter(released).buffer_unordered(CLAIM_CONCURRENCY).collect::<Vec<_>>(),
            stream::iter(dead).buffer_unordered(CLAIM_CONCURRENCY).collect::<Vec<_>>(),
        );
        finished.mails.extend(released);
        let mut dead_lettered = Vec::with_capacity(dead.len());
        for result in dead {
            match result {
                Ok(mail) => dead_lettered.push(mail),
                Err(error) => tracing::error!(event = "mail.dead_letter_failed", %error),
            }
        }
        self.record_all(dead_lettered, &mut finished, report).await;
        finished
    }

    /// Releases a claim without counting an attempt.
    async fn release_claim(&self, claimed: &ClaimedMail) {
        let mail = &claimed.mail;
        let release = release_claim(&mail.subject, &mail.message_key, &claimed.claim.holder);
        match self.tools.store.commit_one(release).await {
            // Refused if the SDK repeated the write after a lost response.
            Ok(()) | Err(CommitError::Refused(_)) => {}
            // The claim expires and counts as an unknown outcome. The mail is still sent.
            Err(error) => tracing::warn!(event = "mail.claim_not_released", %error),
        }
    }

    /// Records the mails about one session together and different sessions concurrently.
    async fn record_all(
        &self,
        mails: Vec<(ClaimedMail, OutcomeRecord)>,
        finished: &mut RecordedMails,
        report: &mut OutboxReport,
    ) {
        let mut by_subject: BTreeMap<
            MailSubject,
            Vec<(ClaimedMail, DeliveryUpdate, Option<Duration>)>,
        > = BTreeMap::new();
        for (claimed, OutcomeRecord { status, detail, claim_outcome, retry_after }) in mails {
            log_outcome(&claimed, status, &detail, report);
            let record = claimed.delivery_record(status, Some(detail));
            let previous_status = claimed.claim.recorded_status;
            let update = DeliveryUpdate { record, previous_status, claim_outcome };
            let subject = claimed.mail.subject.clone();
            by_subject.entry(subject).or_default().push((claimed, update, retry_after));
        }
        let recording = by_subject.into_iter().map(|(subject, mails)| async move {
            let updates: Vec<_> = mails.iter().map(|(_, update, _)| update.clone()).collect();
            (self.record_deliveries(&subject, &updates).await, mails)
        });
        let results: Vec<_> =
            stream::iter(recording).buffer_unordered(CLAIM_CONCURRENCY).collect().await;
        for (result, mails) in results {
            match result {
                Err(error) if !error.is_unreadable_item() => {
                    finished.error = Some(error);
                    continue;
                }
                // A repetition would not be recorded either, and would send the mails again.
                Err(error) => tracing::error!(event = "mail.delivery_not_recorded", %error),
                Ok(()) => {}
            }
            let mails = mails.into_iter();
            finished.mails.extend(mails.map(|(claimed, _, retry_after)| (claimed, retry_after)));
        }
    }

    /// Records delivery updates with retries. If all attempts fail, the messages stay in the queue and each mail may be
    /// sent once more.
    async fn record_deliveries(
        &self,
        subject: &MailSubject,
        updates: &[DeliveryUpdate],
    ) -> Result<(), Error> {
        let at = self.tools.clock.now();
        let mut attempt = 1;
        loop {
            match self.tools.store.record_deliveries(subject, updates, at).await {
                Ok(()) => return Ok(()),
                Err(error) if attempt < RECORD_ATTEMPTS => {
                    tracing::warn!(event = "mail.delivery_not_recorded", %error, attempt);
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn log_outcome(
    claimed: &ClaimedMail,
    status: DeliveryStatus,
    detail: &str,
    report: &mut OutboxReport,
) {
    let mail = &claimed.mail;
    let session = mail.subject.session().map(SessionId::as_str);
    let (message_key, kind, attempt) =
        (&mail.message_key, mail.kind.as_str(), claimed.claim.attempts);
    match status {
        DeliveryStatus::Sent => {
            report.sent += 1;
            tracing::info!(event = "mail.sent", session_id = session, %message_key, kind, message_id = detail);
        }
        DeliveryStatus::Dropped => {
            report.dropped += 1;
            if mail.kind.is_reminder() && detail == SkipReason::Ended.as_str() {
                metrics::DROPPED_REMINDERS.count();
            }
            tracing::info!(event = "mail.dropped", session_id = session, %message_key, kind, reason = detail);
        }
        DeliveryStatus::Retrying => {
            report.retried += 1;
            tracing::warn!(event = "mail.retried", session_id = session, %message_key, kind, code = detail, attempt);
        }
        DeliveryStatus::Failed => {
            report.failed += 1;
            tracing::warn!(event = "mail.failed", session_id = session, %message_key, kind, code = detail);
        }
        DeliveryStatus::Dead => {
            report.dead += 1;
            tracing::error!(
                event = "mail.dead_lettered",
                session_id = session,
                %message_key,
                kind,
                code = detail,
                attempt
            );
        }
        // Of no outcome of an attempt.
        DeliveryStatus::Queued
        | DeliveryStatus::Bounced
        | DeliveryStatus::Complained
        | DeliveryStatus::Unknown => {}
    }
}
