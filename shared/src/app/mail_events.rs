//! Applies the reports of the mail service about mails that came back.
//!
//! Reports arrive at least once and in any order. The delivery status, the session's counts, the suppression and the domain
//! event for the trainer are one transaction, which a repeated report finds done.

use std::time::Duration;

use jiff::Timestamp;

use super::error::Error;
use crate::domain::domain_event::{DomainEvent, DomainEventKind};
use crate::domain::mail_return::{MailReturn, next_notification};
use crate::domain::mailing::{AddressDigest, DeliveryRecord, DeliveryStatus};
use crate::domain::suppression::{Suppression, SuppressionReason};
use crate::domain::time::whole_milli;
use crate::queue::SqsQueue;
use crate::random::Random;
use crate::store::error::CommitError;
use crate::store::mailing::{ReturnContext, ReturnRecord, ReturnedDelivery};
use crate::store::{Store, due_work};
use crate::telemetry::metrics;

/// The number of attempts when other writes change the same items.
const MAX_ATTEMPTS: u32 = 4;
const RETRY_WAIT_MS: u64 = 50;

/// The services that a report needs.
#[derive(Clone, Debug)]
pub struct ReturnTools {
    pub store: Store,
    pub queue: SqsQueue,
    pub random: Random,
}

/// Applies a report. Fails if the mail is still being recorded as sent, so that the report is delivered again.
pub async fn apply(
    tools: &ReturnTools,
    returned: &MailReturn,
    now: Timestamp,
) -> Result<(), Error> {
    let now = whole_milli(now);
    for _ in 0..MAX_ATTEMPTS {
        let context = tools.store.return_context(returned).await?;
        let suppression = suppression(returned, &context, now);
        let record = match &context.delivery {
            Some(delivery) => record(&tools.store, returned, delivery, now).await?,
            None => None,
        };
        let session_id = returned.mail.session.as_ref().map(|id| id.as_str());
        let message_key = &returned.mail.message_key;
        if suppression.is_none() && record.is_none() {
            tracing::info!(event = "mail.return_ignored", session_id, %message_key);
            return Ok(());
        }
        let (store, detail) = (&tools.store, &returned.detail);
        match store
            .record_return(&context, suppression.as_ref(), record.as_ref(), returned, now)
            .await
        {
            Ok(()) => {
                count(suppression.as_ref(), record.as_ref());
                tracing::warn!(
                    event = "mail.returned",
                    session_id,
                    %message_key,
                    status = record.as_ref().map(|record| record.record.status.as_str()),
                    suppressed = suppression.as_ref().map(|one| one.reason.as_str()),
                    reason = detail
                );
                if let Some(notification) = record.and_then(|record| record.notification)
                    && notification.at <= now
                {
                    tools.queue.send_wake_up(due_work::domain_event_key(&notification)).await;
                }
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {
                let wait = RETRY_WAIT_MS + tools.random.below(RETRY_WAIT_MS);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("other reports change the same class"))
}

/// Returns the suppression to store, if it is new.
fn suppression(
    returned: &MailReturn,
    context: &ReturnContext,
    now: Timestamp,
) -> Option<Suppression> {
    let reason = returned.kind.suppression()?;
    reason.replaces(context.suppressed).then(|| Suppression {
        address: AddressDigest::new(&returned.to),
        email: (!context.is_erased).then(|| returned.to.clone()),
        reason,
        detail: returned.detail.clone(),
        at: now,
        session: returned.mail.session.clone(),
    })
}

/// Returns the delivery record to store, if the report changes the status.
async fn record<'a>(
    store: &Store,
    returned: &MailReturn,
    delivery: &'a ReturnedDelivery,
    now: Timestamp,
) -> Result<Option<ReturnRecord<'a>>, Error> {
    let recorded = delivery.claim.recorded_status;
    let Some(status) = returned.kind.status_after(recorded) else { return Ok(None) };
    let mail = &returned.mail;
    // A kind of a newer version, whose records this version cannot write.
    let Some(kind) = mail.kind else { return Ok(None) };
    let is_return = matches!(recorded, DeliveryStatus::Bounced | DeliveryStatus::Complained);
    let claimed_at = delivery.claim.claimed_at;
    let previous_status = if is_return {
        recorded
    } else if store.was_sent(&delivery.subject, &mail.message_key, claimed_at, now).await? {
        DeliveryStatus::Sent
    } else if delivery.is_being_recorded(now) {
        return Err(Error::busy("the mail is not recorded as sent yet"));
    } else {
        // The run that sent it has died.
        recorded
    };
    let record = DeliveryRecord {
        message_key: mail.message_key.clone(),
        recipient: delivery.recipient(returned),
        kind,
        status,
        detail: Some(returned.detail.clone()),
        sent_version: None,
        entry: None,
        in_doubt: false,
    };
    let notification_at = returned
        .concerns_trainer()
        .then(|| next_notification(delivery.notification_at, now))
        .flatten();
    let notification = mail
        .session
        .clone()
        .zip(notification_at)
        .map(|(session, at)| DomainEvent { at, kind: DomainEventKind::MailReturned { session } });
    Ok(Some(ReturnRecord { delivery, record, previous_status, notification }))
}

/// Counts a report as the mail service does, which counts no soft bounces.
fn count(suppression: Option<&Suppression>, record: Option<&ReturnRecord<'_>>) {
    let is_complaint = record.is_some_and(|one| one.record.status == DeliveryStatus::Complained);
    match suppression.map(|one| one.reason) {
        _ if is_complaint => metrics::MAILS_COMPLAINED.count(),
        Some(SuppressionReason::Complaint) => metrics::MAILS_COMPLAINED.count(),
        Some(SuppressionReason::Bounce) => metrics::MAILS_BOUNCED.count(),
        None => {}
    }
}
