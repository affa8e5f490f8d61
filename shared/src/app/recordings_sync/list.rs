//! Reads Zoom's lists of a session's recordings.

use std::collections::BTreeSet;

use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::meeting::MeetingError;
use crate::app::zoom_access::with_token;
use crate::app::zoom_rate_limiter::{ZoomRateLimiter, account_of};
use crate::domain::id::MeetingId;
use crate::domain::recording_sync::FilePresence;
use crate::domain::refusal::Refusal;
use crate::domain::scope;
use crate::domain::session::Session;
use crate::domain::zoom_event::{RecordedFiles, RecordingState};
use crate::store::recordings::{SessionRecordings, StoredRecording};
use crate::zoom::recordings::{RecordedMeeting, TrashKind};

/// Meeting instances that are asked about, the latest ones. A trainer whose connection breaks restarts a meeting a few times.
const INSTANCE_LIMIT: usize = 12;

/// Zoom's list of a session's meeting.
#[derive(Debug, Default)]
pub(super) struct FoundRecordings {
    /// The recordings of each meeting instance that has some.
    pub(super) listed: Vec<RecordedFiles>,
    /// The meeting instances that were asked about.
    asked: BTreeSet<String>,
    /// The files in the trash, if Zoom was asked for them.
    trashed: BTreeSet<String>,
}

impl FoundRecordings {
    /// Returns the number of listed files.
    pub(super) fn files(&self) -> usize {
        self.listed.iter().map(|listed| listed.files.len()).sum()
    }

    /// Returns whether Zoom has not finished some file.
    pub(super) fn is_processing(&self) -> bool {
        self.listed.iter().flat_map(|listed| &listed.files).any(|file| !file.is_complete)
    }

    /// Returns where a known file is. `None` if Zoom was not asked about its meeting instance.
    pub(super) fn presence(&self, stored: &StoredRecording) -> Option<FilePresence> {
        let file = &stored.recording.file_id;
        if self.is_listed(file) {
            return Some(FilePresence::Listed);
        }
        if self.trashed.contains(file) {
            return Some(FilePresence::Trashed);
        }
        let instance = stored.recording.instance.as_ref()?;
        self.asked.contains(instance).then_some(FilePresence::Absent)
    }

    /// Returns the listed meeting instances of which the session knows nothing, because their events were lost.
    pub(super) fn unknown_instances(&self, session: &Session) -> Vec<&str> {
        let known = |uuid: &&str| session.meeting_instance(uuid).is_some();
        let listed = self.listed.iter().filter_map(|listed| listed.instance.as_deref());
        listed.filter(|uuid| !known(uuid)).collect()
    }

    fn is_listed(&self, file: &str) -> bool {
        self.listed.iter().any(|listed| listed.files.iter().any(|known| known.id == file))
    }
}

/// The calls for one session, with the token of its host.
struct Calls<'a> {
    tools: &'a Services,
    limiter: &'a mut ZoomRateLimiter,
    account: String,
    zoom_access: ZoomAccess,
}

/// Reads the recordings of the session's meeting instances, and the trash if a known file is missing.
pub(super) async fn list(
    tools: &Services,
    limiter: &mut ZoomRateLimiter,
    session: &Session,
    stored: &SessionRecordings,
) -> Result<FoundRecordings, Error> {
    let Some(meeting) = session.meeting.id else { return Ok(FoundRecordings::default()) };
    let zoom_access = tools.host_access(&session.trainer, &session.meeting.host()).await?;
    zoom_access.require_scope(scope::LIST_RECORDINGS)?;
    let mut calls = Calls { tools, limiter, account: account_of(session), zoom_access };
    let mut found = FoundRecordings::default();
    let instances = instances(session, stored);
    for uuid in &instances {
        let listed = calls.recordings(RecordedMeeting::Instance(uuid)).await?;
        found.asked.insert((*uuid).to_owned());
        // A response without a uuid is about the instance of the request.
        found.listed.extend(
            listed.map(|listed| RecordedFiles { instance: Some((*uuid).to_owned()), ..listed }),
        );
    }
    if instances.is_empty() {
        // All events of the meeting may have been lost.
        let listed = calls.recordings(RecordedMeeting::Latest(meeting)).await?;
        found.listed.extend(listed.filter(|listed| listed.instance.is_some()));
        found.asked.extend(found.listed.iter().filter_map(|listed| listed.instance.clone()));
    }
    for kind in TrashKind::ALL {
        let is_missing = |stored: &StoredRecording| {
            let is_known =
                matches!(stored.state, RecordingState::Available | RecordingState::Trashed);
            is_known && found.presence(stored) == Some(FilePresence::Absent)
        };
        if !stored.files.iter().any(is_missing) {
            break;
        }
        found.trashed.extend(calls.trash(meeting, kind).await?);
    }
    Ok(found)
}

/// Returns the meeting instances of a session and of its known files, the latest ones.
fn instances<'a>(session: &'a Session, stored: &'a SessionRecordings) -> Vec<&'a str> {
    let of_files = stored.files.iter().filter_map(|stored| stored.recording.instance.as_deref());
    let of_session = session.meeting_instances.iter().map(|instance| instance.uuid.as_str());
    let mut seen = BTreeSet::new();
    let latest_first = of_session.rev().chain(of_files.rev());
    latest_first.filter(|uuid| seen.insert(*uuid)).take(INSTANCE_LIMIT).collect()
}

impl Calls<'_> {
    async fn recordings(
        &mut self,
        meeting: RecordedMeeting<'_>,
    ) -> Result<Option<RecordedFiles>, Error> {
        let tools = self.tools;
        self.limiter.wait(&tools.clock, &self.account).await;
        let listed: Result<_, MeetingError> = with_token!(tools, self.zoom_access, |access| tools
            .zoom
            .meeting_recordings(access, meeting, tools.clock.now()));
        Ok(listed?)
    }

    /// Returns the files in the trash. Without the optional scope, none is known to be there.
    async fn trash(
        &mut self,
        meeting: MeetingId,
        kind: TrashKind,
    ) -> Result<BTreeSet<String>, Error> {
        if !self.zoom_access.has_scope(scope::LIST_TRASH) {
            return Ok(BTreeSet::new());
        }
        let tools = self.tools;
        self.limiter.wait(&tools.clock, &self.account).await;
        let trashed: Result<_, MeetingError> = with_token!(tools, self.zoom_access, |access| tools
            .zoom
            .trashed_recordings(access, meeting, kind, tools.clock.now()));
        match trashed.map_err(Error::from) {
            Err(Error::Refused(Refusal::MissingScopes(_))) => Ok(BTreeSet::new()),
            trashed => trashed,
        }
    }
}
