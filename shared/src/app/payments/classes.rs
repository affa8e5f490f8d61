//! The classes that a payment creates, and that its refund takes back.

use jiff::Timestamp;

use super::addresses;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::session_cancel;
use crate::app::session_save::{CreateSession, create};
use crate::domain::audience::Audience;
use crate::domain::digest::Digest;
use crate::domain::draft::{OpenDraft, SaveBody};
use crate::domain::payment::{ClassResult, Payment};
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Source, Status};
use crate::domain::time::Zone;

/// Hex digits of the hash of a class's body: 128 bits.
const HASH_DIGITS: usize = 32;

/// Creates a class. A refusal is a result, and does not keep the other classes from being created.
pub(super) async fn create_class(
    services: &Services,
    payment: &Payment,
    index: usize,
    now: Timestamp,
) -> Result<ClassResult, Error> {
    let Some(request) = services.store.paid_class(&payment.id, index).await? else {
        // The request has expired, or another worker has stored the result meanwhile.
        return Ok(failed(&Refusal::NotFound));
    };
    let draft = match draft(&request.body, payment, now) {
        Ok(draft) => draft,
        Err(refusal) => return Ok(failed(&refusal)),
    };
    let session = CreateSession {
        trainer: request.trainer_id,
        source: Source::Payment,
        // The payment is in `triggered_by`.
        author: None,
        draft,
        window: payment.window,
        // Not used: the meeting of a paid class is due at once.
        meeting_lead: MeetingLead::default(),
        id: Some(payment.session_id(index)),
        external_ref: None,
        triggered_by: Some(payment.id.clone()),
        body_hash: Digest::of_value(&request.body).hex(HASH_DIGITS),
    };
    match create(services, &session, now).await {
        Ok(_) => Ok(ClassResult::Created),
        Err(Error::Refused(refusal)) => {
            let (payment_id, code) = (&payment.id, refusal.code());
            tracing::warn!(event = "payment.class_refused", %payment_id, index, code);
            Ok(failed(&refusal))
        }
        Err(error) => Err(error),
    }
}

fn failed(refusal: &Refusal) -> ClassResult {
    ClassResult::Failed { code: refusal.code().to_owned() }
}

/// Reads the draft of a class again as it was checked with the request. A class with a start that has passed meanwhile is refused.
fn draft(body: &str, payment: &Payment, now: Timestamp) -> Result<OpenDraft, Refusal> {
    let body: SaveBody =
        serde_json::from_str(body).map_err(|_| Refusal::field("sessions", "is not readable"))?;
    let draft = OpenDraft::check(body, &Zone::utc(), payment.requested_at)?;
    if draft.starts_at() <= now { Err(Refusal::SessionEnded) } else { Ok(draft) }
}

/// Cancels a class that is ahead and for the student alone, and returns the result of the refund.
pub(super) async fn take_back(
    services: &Services,
    payment: &Payment,
    index: usize,
    now: Timestamp,
) -> Result<ClassResult, Error> {
    let Some(record) = services.store.session(&payment.session_id(index)).await? else {
        return Ok(ClassResult::Withdrawn);
    };
    let session = record.session;
    if session.status == Status::Cancelled {
        return Ok(ClassResult::Cancelled);
    }
    let is_ahead =
        |session: &Session| session.status == Status::Scheduled && session.details.starts_at > now;
    if !is_ahead(&session) || !is_for_student_alone(services, payment, &session).await? {
        return Ok(ClassResult::Retained);
    }
    // Somebody may invite others, or start the class, at this moment.
    let check = |current: &Session| match current.audience == session.audience && is_ahead(current)
    {
        true => Ok(()),
        false => Err(Refusal::Conflict("the class has changed")),
    };
    match session_cancel::cancel_for_refund(services, &session, &check, now).await {
        Ok(_) => Ok(ClassResult::Cancelled),
        Err(Error::Refused(_)) => Ok(ClassResult::Retained),
        Err(error) => Err(error),
    }
}

/// Returns whether the audience of a class is only the student. The trainer may have invited others since.
async fn is_for_student_alone(
    services: &Services,
    payment: &Payment,
    session: &Session,
) -> Result<bool, Error> {
    let store = &services.store;
    match &session.audience {
        Audience::Standalone => Ok(true),
        Audience::Course { .. } => Ok(false),
        // Each address of the student is one invitee.
        Audience::Invitees { .. } => {
            let user = match &payment.user {
                Some(user) => store.user(user).await?,
                None => None,
            };
            let own = user.as_ref().map(addresses).unwrap_or_default();
            let invitees = store.invitees_of_session(session).await?;
            Ok(invitees.iter().all(|invitee| own.contains(&invitee.email)))
        }
    }
}
