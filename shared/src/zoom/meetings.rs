//! Create, read, update, delete and end meetings, and find them by the mark in their agenda.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;
use super::lists::List;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::meeting_fields::marked_session;
use crate::domain::zoom_event::MeetingChange;
use crate::secret::Secret;

/// Pages of a user's meetings that are searched for a mark. A page has 300 meetings, and a user creates at most
/// 100 meetings a day.
const MAX_PAGES: usize = 10;

/// How far a start may be from the requested one: Zoom reads the local time of a zone that it does not list in another zone,
/// and the zones of the world differ by 26 hours.
const MISREAD_START_LIMIT: SignedDuration = SignedDuration::from_hours(26);

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
    /// `None` for a meeting that everybody joins with the same link.
    #[serde(flatten)]
    pub registration: Option<RegistrationSettings>,
    #[serde(flatten)]
    pub others: crate::domain::settings::MeetingSettings,
}

/// The settings of a meeting for which people are registered. Zoom sends them no mails, because ours have the link.
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationSettings {
    pub approval_type: u8,
    pub registrants_confirmation_email: bool,
    pub registrants_email_notification: bool,
}

/// A meeting as returned by Zoom.
#[derive(Clone, Debug)]
pub struct ZoomMeeting {
    pub id: MeetingId,
    pub join_url: Secret,
    pub passcode: Option<Secret>,
    /// The fields in force. Zoom silently drops settings that the account forbids.
    pub fields: MeetingChange,
}

/// A meeting with the mark of a session.
#[derive(Clone, Debug)]
pub struct MarkedMeeting {
    pub id: MeetingId,
    /// `None` if the grant lacks the optional scope `meeting:read:meeting`.
    pub details: Option<ZoomMeeting>,
}

/// The fields that we need from a meeting in a response.
#[derive(Deserialize)]
struct MeetingResponse {
    id: MeetingId,
    #[serde(default)]
    join_url: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    agenda: Option<String>,
    /// Fields that are only compared, so that an unusual one does not make the response unreadable.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl From<MeetingResponse> for ZoomMeeting {
    fn from(meeting: MeetingResponse) -> Self {
        let passcode = (!meeting.password.is_empty()).then(|| Secret::new(meeting.password));
        let fields = MeetingChange::parse(&Value::Object(meeting.others));
        Self {
            id: meeting.id,
            join_url: Secret::new(meeting.join_url),
            passcode,
            fields: MeetingChange { agenda: meeting.agenda, ..fields },
        }
    }
}

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
}

impl ListEntry {
    /// Returns whether the meeting may have the mark. Zoom truncates agendas in lists after 250 characters.
    fn may_have_mark(&self, session: &SessionId, topic: &str, starts_at: Timestamp) -> bool {
        let start = || self.start_time.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let is_near = |at: Timestamp| at.duration_since(starts_at).abs() <= MISREAD_START_LIMIT;
        marked_session(&self.agenda).as_ref() == Some(session)
            || (self.topic == topic && start().is_some_and(is_near))
    }
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
        let body = to_json(body);
        let path = access.user_path("/meetings");
        let call = ApiCall::new(Method::POST, &path).body(&body);
        let response = self.send_once(access, call, now).await?;
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
        let response = self.send_with_retry(access, ApiCall::get(&path), now).await?;
        response.json::<MeetingResponse>().map(ZoomMeeting::from)
    }

    /// Sets the fields in `patch`, without a retry. The request is idempotent, but each attempt counts towards Zoom's daily
    /// limit. After [`ZoomError::Unavailable`] Zoom may set the fields much later.
    pub async fn update_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        patch: &Value,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        let path = format!("/meetings/{id}");
        self.send_once(access, ApiCall::new(Method::PATCH, &path).body(patch), now).await.map(drop)
    }

    /// Deletes a meeting, and returns whether it existed.
    pub async fn delete_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<bool, ZoomError> {
        match self
            .send_with_retry(access, ApiCall::new(Method::DELETE, &format!("/meetings/{id}")), now)
            .await
        {
            Ok(_) => Ok(true),
            Err(ZoomError::MeetingNotFound) => Ok(false),
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
        let path = format!("/meetings/{id}/status");
        self.send_with_retry(access, ApiCall::new(Method::PUT, &path).body(&body), now)
            .await
            .map(drop)
    }

    /// Returns the user's meetings with the mark of `session`. Meetings whose mark is not visible in the list are fetched if
    /// they have the session's topic and about its start. Without the scope to fetch them, only visible marks are found.
    pub async fn find_marked_meetings(
        &self,
        access: &Access,
        session: &SessionId,
        topic: &str,
        starts_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<MarkedMeeting>, ZoomError> {
        let is_marked = |agenda: &str| marked_session(agenda).as_ref() == Some(session);
        let path = access.user_path("/meetings");
        let query = [("type", "scheduled")];
        let list = List { path: &path, query: &query, field: "meetings", max_pages: MAX_PAGES };
        let candidate = |entry| {
            let entry = ListEntry::deserialize(entry).ok();
            entry.filter(|entry| entry.may_have_mark(session, topic, starts_at))
        };
        let listed = self.list(access, list, candidate, now).await?;
        if !listed.is_complete {
            // The rest may contain the mark, so "not found" would be a guess.
            let reason = format!("more than {MAX_PAGES} pages of meetings");
            return Err(ZoomError::Unavailable { reason });
        }
        let mut found = Vec::new();
        for entry in listed.entries {
            let path = format!("/meetings/{}", entry.id);
            match self.send_with_retry(access, ApiCall::get(&path), now).await {
                Ok(response) => {
                    let meeting: MeetingResponse = response.json()?;
                    if is_marked(meeting.agenda.as_deref().unwrap_or_default()) {
                        let id = meeting.id;
                        found.push(MarkedMeeting { id, details: Some(meeting.into()) });
                    }
                }
                Err(ZoomError::MissingScopes(_)) => {
                    if is_marked(&entry.agenda) {
                        found.push(MarkedMeeting { id: entry.id, details: None });
                    }
                }
                Err(ZoomError::MeetingNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

#[expect(clippy::expect_used, reason = "a struct of strings and numbers always serialises")]
fn to_json(body: &MeetingBody) -> Value {
    serde_json::to_value(body).expect("a meeting body serialises")
}
