//! The meetings of a host that carry the mark of a session.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;
use super::lists::List;
use crate::domain::id::MeetingId;
use crate::domain::meeting_checks::ListedMeeting;
use crate::domain::meeting_fields::marked_session;

/// Pages that are read. The rest of a longer list is read once earlier meetings are over.
const MAX_PAGES: usize = 10;
/// Zoom truncates agendas in lists to this number of characters. The mark is at the end.
const LISTED_AGENDA_CHARACTERS: usize = 250;
/// Meetings with a truncated agenda that are read one by one.
const MAX_READS: usize = 20;

/// The fields that we need from a meeting in a list.
#[derive(Deserialize)]
struct ListEntry {
    id: MeetingId,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    agenda: String,
    #[serde(default)]
    start_time: Value,
    #[serde(default)]
    created_at: Value,
}

#[derive(Deserialize)]
struct AgendaResponse {
    #[serde(default)]
    agenda: String,
}

impl ListEntry {
    fn is_truncated(&self) -> bool {
        self.agenda.chars().count() >= LISTED_AGENDA_CHARACTERS
    }

    /// Returns the meeting if `agenda` has a mark.
    fn marked(self, agenda: &str) -> Option<ListedMeeting> {
        let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        Some(ListedMeeting {
            session: marked_session(agenda)?,
            id: self.id,
            starts_at: time(&self.start_time),
            created_at: time(&self.created_at),
            topic: self.topic,
        })
    }
}

impl Zoom {
    /// Returns the upcoming meetings of a host that carry a mark. A mark behind a long description is not visible in the list,
    /// so some of those meetings are read. Without the scope to read them, they are left out.
    pub async fn marked_meetings(
        &self,
        access: &Access,
        now: Timestamp,
    ) -> Result<Vec<ListedMeeting>, ZoomError> {
        let path = access.user_path("/meetings");
        let query = [("type", "upcoming")];
        let list = List { path: &path, query: &query, field: "meetings", max_pages: MAX_PAGES };
        let parse = |entry| ListEntry::deserialize(entry).ok();
        let listed = self.list(access, list, parse, now).await?;
        let (truncated, whole): (Vec<_>, Vec<_>) =
            listed.entries.into_iter().partition(ListEntry::is_truncated);
        let mut found = Vec::new();
        for entry in whole {
            let agenda = entry.agenda.clone();
            found.extend(entry.marked(&agenda));
        }
        for entry in truncated.into_iter().take(MAX_READS) {
            let path = format!("/meetings/{}", entry.id);
            match self.send_with_retry(access, ApiCall::get(&path), now).await {
                Ok(response) => {
                    let read: AgendaResponse = response.json()?;
                    found.extend(entry.marked(&read.agenda));
                }
                Err(ZoomError::MissingScopes(_)) => break,
                Err(ZoomError::MeetingNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
