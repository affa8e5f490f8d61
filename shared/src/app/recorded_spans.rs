//! The stored form of recorded files. Their spans are stored with the session, so that lists show `has_recording`, together with
//! the notification about the first recording of a meeting instance.

use std::time::Duration;

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use crate::crypt::{Binding, Keyring};
use crate::domain::audience::Audience;
use crate::domain::domain_event::{DomainEvent, DomainEventKind, EventNonce};
use crate::domain::id::SessionId;
use crate::domain::recorded_span::{RecordedSpan, distinct_spans};
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::zoom_event::{RecordingFile, RecordingSecrets};
use crate::domain::zoom_link;
use crate::random::Random;
use crate::store::due_work;
use crate::store::error::CommitError;
use crate::store::recordings::{
    self, PASSCODE_FIELD, PLAY_PASSCODE_FIELD, Recording, StoredRecording,
};
use crate::store::sessions::{self, SessionRecord};

/// Attempts against concurrent events of the same meeting.
const ATTEMPTS: u32 = 8;
const WAIT_MS: u64 = 40;

/// The spans that follow from the stored files, with the domain events about them.
struct NextSpans {
    spans: Vec<RecordedSpan>,
    events: Vec<DomainEvent>,
}

impl NextSpans {
    /// Notifies the audience of the recordings of `instances`, if it can watch one and was not notified before.
    fn of(
        session: &Session,
        stored: &[StoredRecording],
        instances: &[Option<&str>],
        now: Timestamp,
    ) -> Self {
        let mut spans = spans_of(session, stored);
        let mut events = Vec::new();
        for instance in instances.iter().filter(|_| session.audience != Audience::Standalone) {
            if session.take_recording_notification(*instance, &mut spans) {
                events.push(recording_ready(&session.id, instance.unwrap_or_default(), now));
            }
        }
        Self { spans, events }
    }
}

/// Returns the spans of the stored files, with the notifications that the session has.
pub(super) fn spans_of(session: &Session, stored: &[StoredRecording]) -> Vec<RecordedSpan> {
    let playable = stored.iter().filter_map(recordings::span_of_playable);
    distinct_spans(playable, &session.recordings)
}

/// Returns whether the spans of the stored files differ from those of the session, or the audience has to be notified.
pub(super) fn are_outdated(
    session: &Session,
    stored: &[StoredRecording],
    instances: &[Option<&str>],
    now: Timestamp,
) -> bool {
    NextSpans::of(session, stored, instances, now).spans != session.recordings
}

/// Stores the spans of the session's recordings with the session. The same transaction stores the domain event about the first
/// recording of each of `instances`. `record` must have been read before the recordings are, so that its revision detects
/// concurrent changes.
pub(super) async fn store_spans(
    services: &Services,
    mut record: SessionRecord,
    instances: &[Option<&str>],
    now: Timestamp,
) -> Result<(), Error> {
    let store = &services.store;
    for _ in 0..ATTEMPTS {
        let session = &record.session;
        let stored = store.recordings(&session.id).await?.files;
        let NextSpans { spans, events } = NextSpans::of(session, &stored, instances, now);
        if spans == session.recordings {
            return Ok(());
        }
        let mut actions =
            vec![sessions::set_recordings(&session.id, &spans, record.meeting_revision)];
        actions.extend(events.iter().map(due_work::put_domain_event));
        let committed = match actions.len() {
            1 => store.commit_one(actions.remove(0)).await,
            _ => store.commit(actions).await,
        };
        match committed {
            Ok(()) => {
                for event in &events {
                    services.send_wake_up(event).await;
                }
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(WAIT_MS + services.random.below(WAIT_MS))).await;
        match store.session(&session.id).await? {
            Some(current) => record = current,
            None => return Ok(()),
        }
    }
    Err(Error::busy("too many concurrent changes of the recordings"))
}

/// Returns a file as it is stored. The play URL must be an https URL of Zoom's.
pub(super) fn sealed_recording(
    session: &SessionId,
    instance: Option<&str>,
    secrets: &RecordingSecrets,
    file: &RecordingFile,
    keyring: &Keyring,
    random: &Random,
) -> Recording {
    let seal = |secret: &Option<String>, field| {
        let binding = Binding { owner: session.as_str(), field };
        secret.as_ref().map(|secret| keyring.seal(secret, &binding, random))
    };
    let play_url = file.play_url.as_deref().and_then(zoom_link::parse_zoom_link);
    Recording {
        file_id: file.id.clone(),
        file_type: file.file_type.clone(),
        play_url: play_url.map(String::from),
        passcode: seal(&secrets.passcode, PASSCODE_FIELD),
        play_passcode: seal(&secrets.play_passcode, PLAY_PASSCODE_FIELD),
        starts_at: file.starts_at,
        ends_at: file.ends_at,
        size_bytes: file.size_bytes,
        instance: instance.map(str::to_owned),
    }
}

fn recording_ready(session: &SessionId, cause: &str, now: Timestamp) -> DomainEvent {
    DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::RecordingReady {
            session: session.clone(),
            nonce: EventNonce::derive(cause),
        },
    }
}
