//! Create, read, update, delete and end meetings, and find them by the mark in their agenda.

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::{Access, Zoom};
use super::error::ZoomError;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::text::DESCRIPTION_LIMIT_CHARS;
use crate::secret::Secret;

/// Pages of a user's meetings that are searched for a mark. A page has 300 meetings, and a user creates at most
/// 100 meetings a day.
const MAX_PAGES: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoRecording {
    None,
    Cloud,
}

/// The request body that creates a meeting. `start_time` is local time without an offset, because Zoom would apply
/// both an offset and `timezone`.
#[derive(Clone, Debug, Serialize)]
pub struct MeetingBody {
    pub topic: String,
    /// Zoom's number for a scheduled meeting is 2.
    pub r#type: u8,
    pub start_time: String,
    pub timezone: String,
    pub duration: u16,
    pub agenda: String,
    /// Sent only at creation. Zoom may replace it, so the passcode in the response is the valid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    pub settings: MeetingBodySettings,
}

#[derive(Clone, Debug, Serialize)]
pub struct MeetingBodySettings {
    pub auto_recording: AutoRecording,
    #[serde(flatten)]
    pub others: crate::domain::settings::MeetingSettings,
}

/// A meeting as returned by Zoom.
#[derive(Clone, Debug)]
pub struct ZoomMeeting {
    pub id: MeetingId,
    pub join_url: Secret,
    pub passcode: Option<Secret>,
    /// The settings in force. Zoom silently drops settings that the account forbids.
    pub settings: Map<String, Value>,
}

/// A meeting with the mark of a session.
#[derive(Clone, Debug)]
pub struct MarkedMeeting {
    pub id: MeetingId,
    /// `None` if the grant lacks the optional scope `meeting:read:meeting`.
    pub details: Option<ZoomMeeting>,
}

/// The fields that we read from a meeting in a response.
#[derive(Deserialize)]
struct MeetingResponse {
    id: MeetingId,
    #[serde(default)]
    join_url: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    agenda: String,
    #[serde(default)]
    settings: Map<String, Value>,
}

impl From<MeetingResponse> for ZoomMeeting {
    fn from(meeting: MeetingResponse) -> Self {
        let passcode = (!meeting.password.is_empty()).then(|| Secret::new(meeting.password));
        Self {
            id: meeting.id,
            join_url: Secret::new(meeting.join_url),
            passcode,
            settings: meeting.settings,
        }
    }
}

/// Returns the line in a meeting's agenda that identifies its session if our own record of the meeting is lost.
pub fn agenda_mark(session: &SessionId) -> String {
    format!("[live class {session}]")
}

/// Returns the agenda of a meeting: the description, truncated to Zoom's limit, and the mark.
pub fn agenda_with_mark(description: &str, session: &SessionId) -> String {
    let mark = agenda_mark(session);
    if description.is_empty() {
        return mark;
    }
    let room = DESCRIPTION_LIMIT_CHARS - mark.chars().count() - 2;
    let description: String = description.chars().take(room).collect();
    format!("{}\n\n{mark}", description.trim_end())
}

impl Zoom {
    /// Creates a meeting without a retry. After [`ZoomError::Unavailable`] the meeting may exist, so callers must
    /// search for it before they create another.
    pub async fn create_meeting(
        &self,
        access: &Access,
        body: &MeetingBody,
        now: Timestamp,
    ) -> Result<ZoomMeeting, ZoomError> {
        let response = self
            .send_once(access, Method::POST, "/users/me/meetings", &[], Some(&to_json(body)), now)
            .await?;
        response.json::<MeetingResponse>().map(ZoomMeeting::from)
    }

    /// Returns a meeting with the settings in force.
    pub async fn meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<ZoomMeeting, ZoomError> {
        let path = format!("/meetings/{id}");
        let response = self.send_with_retry(access, Method::GET, &path, &[], None, now).await?;
        response.json::<MeetingResponse>().map(ZoomMeeting::from)
    }

    /// Sets the fields in `patch`. The request is idempotent.
    pub async fn update_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        patch: &Value,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        self.send_with_retry(
            access,
            Method::PATCH,
            &format!("/meetings/{id}"),
            &[],
            Some(patch),
            now,
        )
        .await
        .map(drop)
    }

    /// Deletes a meeting. Succeeds if the meeting does not exist.
    pub async fn delete_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        match self
            .send_with_retry(access, Method::DELETE, &format!("/meetings/{id}"), &[], None, now)
            .await
        {
            Ok(_) | Err(ZoomError::MeetingNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends a meeting in progress for all participants.
    pub async fn end_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        let body = serde_json::json!({"action": "end"});
        self.send_with_retry(
            access,
            Method::PUT,
            &format!("/meetings/{id}/status"),
            &[],
            Some(&body),
            now,
        )
        .await
        .map(drop)
    }

    /// Returns the user's meetings with the mark of `session`. Zoom truncates agendas in lists after 250 characters,
    /// so each meeting with the session's topic and start is fetched. Without the scope to fetch it, a mark is found
    /// only in a shorter agenda.
    pub async fn find_marked_meetings(
        &self,
        access: &Access,
        session: &SessionId,
        topic: &str,
        starts_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<MarkedMeeting>, ZoomError> {
        #[derive(Deserialize)]
        struct ListEntry {
            id: MeetingId,
            #[serde(default)]
            topic: String,
            #[serde(default)]
            agenda: String,
            #[serde(default)]
            start_time: Option<Timestamp>,
        }
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            meetings: Vec<ListEntry>,
            #[serde(default)]
            next_page_token: String,
        }
        let mark = agenda_mark(session);
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..MAX_PAGES {
            let mut query = vec![("type", "scheduled"), ("page_size", "300")];
            if !token.is_empty() {
                query.push(("next_page_token", &token));
            }
            let page: Page = self
                .send_with_retry(access, Method::GET, "/users/me/meetings", &query, None, now)
                .await?
                .json()?;
            for entry in page.meetings {
                if entry.topic != topic || entry.start_time != Some(starts_at) {
                    continue;
                }
                let path = format!("/meetings/{}", entry.id);
                match self.send_with_retry(access, Method::GET, &path, &[], None, now).await {
                    Ok(response) => {
                        let meeting: MeetingResponse = response.json()?;
                        if meeting.agenda.ends_with(&mark) {
                            found.push(MarkedMeeting {
                                id: meeting.id,
                                details: Some(meeting.into()),
                            });
                        }
                    }
                    Err(ZoomError::MissingScopes(_)) => {
                        if entry.agenda.ends_with(&mark) {
                            found.push(MarkedMeeting { id: entry.id, details: None });
                        }
                    }
                    Err(ZoomError::MeetingNotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}

#[expect(clippy::expect_used, reason = "a struct of strings and numbers always serialises")]
fn to_json(body: &MeetingBody) -> Value {
    serde_json::to_value(body).expect("a meeting body serialises")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agenda_keeps_its_mark_within_zooms_limit() {
        let session = SessionId::from_bytes([3; 16]);
        for description in ["", "Bring a pencil.", &"é".repeat(DESCRIPTION_LIMIT_CHARS)] {
            let agenda = agenda_with_mark(description, &session);
            assert!(agenda.ends_with(&agenda_mark(&session)));
            assert!(agenda.chars().count() <= DESCRIPTION_LIMIT_CHARS);
        }
    }
}
