//! The lists of recordings: those of a meeting instance, and those in the trash.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::client::{Access, ApiCall, Zoom, encode_uuid};
use super::error::ZoomError;
use super::lists::List;
use crate::domain::id::MeetingId;
use crate::domain::time::utc_day;
use crate::domain::zoom_event::RecordedFiles;

/// Zoom's code for a meeting instance without a recording.
const NO_RECORDING: i64 = 3301;
/// Pages of the trash that are read. A page has 300 meetings, and the list is that of one meeting.
const TRASH_PAGES: usize = 5;
/// Zoom keeps files in the trash for 30 days, and lists a month per request.
const TRASH_DAYS: i64 = 30;

/// A meeting whose recordings are listed.
#[derive(Clone, Copy, Debug)]
pub enum RecordedMeeting<'a> {
    Instance(&'a str),
    /// The latest instance of a meeting.
    Latest(MeetingId),
}

impl RecordedMeeting<'_> {
    fn path(&self) -> String {
        match self {
            Self::Instance(uuid) => format!("/meetings/{}/recordings", encode_uuid(uuid)),
            Self::Latest(meeting) => format!("/meetings/{meeting}/recordings"),
        }
    }
}

impl Zoom {
    /// Returns the recordings of a meeting instance. `None` if it has none.
    pub async fn meeting_recordings(
        &self,
        access: &Access,
        meeting: RecordedMeeting<'_>,
        now: Timestamp,
    ) -> Result<Option<RecordedFiles>, ZoomError> {
        let path = meeting.path();
        match self.send_with_retry(access, ApiCall::get(&path), now).await {
            Ok(response) => Ok(Some(RecordedFiles::parse(&response.json::<Value>()?))),
            Err(
                ZoomError::MeetingNotFound
                | ZoomError::Rejected { status: 404, code: Some(NO_RECORDING), .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the ids of a meeting's files in the trash of its host, as one kind of trash lists them.
    pub async fn trashed_recordings(
        &self,
        access: &Access,
        meeting: MeetingId,
        kind: TrashKind,
        now: Timestamp,
    ) -> Result<BTreeSet<String>, ZoomError> {
        let path = access.user_path("/recordings");
        let (from, to) = trash_period(now);
        let meeting = meeting.to_string();
        let query = [
            ("trash", "true"),
            ("trash_type", kind.as_str()),
            ("meeting_id", &meeting),
            ("from", &from),
            ("to", &to),
        ];
        let list = List { path: &path, query: &query, field: "meetings", max_pages: TRASH_PAGES };
        let files = |entry: Value| Some(RecordedFiles::parse(&entry).files);
        let listed = self.list(access, list, files, now).await?;
        if !listed.is_complete {
            // A file on a later page would count as missing.
            let reason = format!("more than {TRASH_PAGES} pages of trash");
            return Err(ZoomError::Unavailable { reason });
        }
        Ok(listed.entries.into_iter().flatten().map(|file| file.id).collect())
    }
}

/// The contents of a list of the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TrashKind {
    /// Meetings of which all files were trashed.
    MeetingRecordings,
    /// Files that were trashed one by one.
    RecordingFile,
}

impl TrashKind {
    pub const ALL: [Self; 2] = [Self::MeetingRecordings, Self::RecordingFile];

    fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Returns the first and the last UTC day for which the trash is listed.
fn trash_period(now: Timestamp) -> (String, String) {
    let back = SignedDuration::from_hours(24 * TRASH_DAYS);
    let from = now.saturating_sub(back).unwrap_or(now);
    (utc_day(from), utc_day(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trash_is_listed_for_a_month() {
        let now = "2026-12-01T10:00:00Z".parse().unwrap();
        let (from, to) = trash_period(now);
        assert_eq!((from.as_str(), to.as_str()), ("2026-11-01", "2026-12-01"));
    }
}
