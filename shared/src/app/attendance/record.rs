//! What a report is made of, from wherever it is: what Zoom told, the clicks and the audience as they are, and, once a
//! class's attendance is kept for good, the archive together with what has come since.

use futures::try_join;
use jiff::Timestamp;

use crate::app::webhook::is_of_account;
use crate::domain::attendance::{JoinIdentity, AttendanceRecord, record};
use crate::domain::audience::{Audience, Invitee};
use crate::domain::directory::Enrollment;
use crate::domain::session::Session;
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::store::Store;
use crate::store::archive::Archive;
use crate::store::join_attempts::JoinAttempt;
use crate::store::error::StoreError;

/// A class's record, and its archive as it was read for it.
#[derive(Debug)]
pub struct AttendanceSources {
    pub record: AttendanceRecord,
    /// None of a class of which none can be: that saves a request for every report that is read at the time of the class.
    pub archive: Option<Archive>,
}

pub async fn gather(
    store: &Store,
    session: &Session,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    if !record::may_be_kept(session, now) {
        let (events, clicks, (invitees, students)) =
            try_join!(events(store, session), clicks(store, session), audience(store, session))?;
        let record = AttendanceRecord { events, clicks, invitees, students };
        return Ok(AttendanceSources { record, archive: None });
    }
    let (events, clicks, archive) =
        try_join!(events(store, session), clicks(store, session), store.archive(&session.id))?;
    let (invitees, students) = if archive.is_of(session) {
        (Vec::new(), Vec::new())
    } else {
        audience(store, session).await?
    };
    let live = AttendanceRecord { events, clicks, invitees, students };
    let record = archive.and(live, session);
    Ok(AttendanceSources { record, archive: Some(archive) })
}

async fn events(store: &Store, session: &Session) -> Result<Vec<ZoomEvent>, StoreError> {
    let Some(meeting) = session.meeting.id else { return Ok(Vec::new()) };
    let kept = store.meeting_events(meeting).await?;
    let events = kept.into_iter().map(|kept| kept.event);
    Ok(events
        .filter(|event| event.payload != EventPayload::Nothing && is_of_account(session, event))
        .collect())
}

async fn clicks(store: &Store, session: &Session) -> Result<Vec<(Timestamp, JoinIdentity)>, StoreError> {
    Ok(store.join_attempts(&session.id).await?.into_iter().map(clicker).collect())
}

type Listed = (Vec<Invitee>, Vec<Enrollment>);

async fn audience(store: &Store, session: &Session) -> Result<Listed, StoreError> {
    Ok(match &session.audience {
        Audience::Standalone => (Vec::new(), Vec::new()),
        Audience::Course { id, .. } => (Vec::new(), store.students(id).await?),
        Audience::Invitees { list, .. } => (store.invitees(&session.id, *list).await?, Vec::new()),
    })
}

fn clicker(click: JoinAttempt) -> (Timestamp, JoinIdentity) {
    let clicker = JoinIdentity {
        admitted: click.is_admitted(),
        user: click.user_id,
        email: click.email,
        name: click.name,
        host: click.host,
        customer_key: click.customer_key,
    };
    (click.at, clicker)
}
