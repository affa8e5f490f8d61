//! Meetings at Zoom: made, changed, deleted, and found again by their mark.

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::{Access, Zoom};
use super::error::ZoomError;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::text::DESCRIPTION_LIMIT_CHARS;
use crate::secret::Secret;

/// Pages of a user's meetings that are looked through for a mark: 300 a page, 100 creates a day at most.
const PAGES: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoRecording {
    None,
    Cloud,
}

/// The body of a create. Zoom takes the local wall clock without an offset and the zone beside it;
/// an offset *and* a zone would be applied both.
#[derive(Clone, Debug, Serialize)]
pub struct MeetingBody {
    pub topic: String,
    /// 2: a scheduled meeting.
    pub r#type: u8,
    pub start_time: String,
    pub timezone: String,
    pub duration: u16,
    pub agenda: String,
    /// Sent once, at the create; Zoom may make another of it, so what it answers counts.
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

/// A meeting as Zoom has it.
#[derive(Clone, Debug)]
pub struct Created {
    pub id: MeetingId,
    pub join_url: Secret,
    pub passcode: Option<Secret>,
    /// The settings as they are in force: what the account forbids is dropped without a word.
    pub settings: Map<String, Value>,
}

/// The part of a meeting's answers that we read.
#[derive(Deserialize)]
struct Meeting {
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

impl From<Meeting> for Created {
    fn from(meeting: Meeting) -> Self {
        let passcode = (!meeting.password.is_empty()).then(|| Secret::new(meeting.password));
        Self {
            id: meeting.id,
            join_url: Secret::new(meeting.join_url),
            passcode,
            settings: meeting.settings,
        }
    }
}

/// The line by which a meeting is known as a class's, should our own record of it be lost.
pub fn mark(session: &SessionId) -> String {
    format!("[live class {session}]")
}

/// A meeting's agenda: the description as far as it fits, and the mark.
pub fn marked(description: &str, session: &SessionId) -> String {
    let mark = mark(session);
    if description.is_empty() {
        return mark;
    }
    let room = DESCRIPTION_LIMIT_CHARS - mark.chars().count() - 2;
    let kept: String = description.chars().take(room).collect();
    format!("{}\n\n{mark}", kept.trim_end())
}

impl Zoom {
    /// Makes a meeting, once. After [`ZoomError::Busy`] there may be one: look it up before asking again.
    pub async fn create_meeting(
        &self,
        access: &Access,
        body: &MeetingBody,
        now: Timestamp,
    ) -> Result<Created, ZoomError> {
        let answer = self
            .once(access, Method::POST, "/users/me/meetings", &[], Some(&json(body)), now)
            .await?;
        answer.json::<Meeting>().map(Created::from)
    }

    /// A meeting as it is in force.
    pub async fn meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<Created, ZoomError> {
        let path = format!("/meetings/{id}");
        let answer = self.repeatable(access, Method::GET, &path, &[], None, now).await?;
        answer.json::<Meeting>().map(Created::from)
    }

    /// Sets what `patch` names. Setting it twice is setting it once.
    pub async fn update_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        patch: &Value,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        self.repeatable(access, Method::PATCH, &format!("/meetings/{id}"), &[], Some(patch), now)
            .await
            .map(drop)
    }

    /// Deletes a meeting. One that is gone already is deleted.
    pub async fn delete_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        match self
            .repeatable(access, Method::DELETE, &format!("/meetings/{id}"), &[], None, now)
            .await
        {
            Ok(_) | Err(ZoomError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends everybody out of a running meeting.
    pub async fn end_meeting(
        &self,
        access: &Access,
        id: MeetingId,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        let body = serde_json::json!({"action": "end"});
        self.repeatable(
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

    /// The user's meetings that carry the mark of `session`. Lists cut an agenda after 250 characters, so those
    /// with the class's topic and start are opened one by one.
    pub async fn meetings_marked(
        &self,
        access: &Access,
        session: &SessionId,
        topic: &str,
        starts_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Created>, ZoomError> {
        #[derive(Deserialize)]
        struct Listed {
            id: MeetingId,
            #[serde(default)]
            topic: String,
            #[serde(default)]
            start_time: Option<Timestamp>,
        }
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            meetings: Vec<Listed>,
            #[serde(default)]
            next_page_token: String,
        }
        let mark = mark(session);
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES {
            let mut query = vec![("type", "scheduled"), ("page_size", "300")];
            if !token.is_empty() {
                query.push(("next_page_token", &token));
            }
            let page: Page = self
                .repeatable(access, Method::GET, "/users/me/meetings", &query, None, now)
                .await?
                .json()?;
            for listed in page.meetings {
                if listed.topic != topic || listed.start_time != Some(starts_at) {
                    continue;
                }
                let path = format!("/meetings/{}", listed.id);
                match self.repeatable(access, Method::GET, &path, &[], None, now).await {
                    Ok(answer) => {
                        let meeting: Meeting = answer.json()?;
                        if meeting.agenda.ends_with(&mark) {
                            found.push(Created::from(meeting));
                        }
                    }
                    Err(ZoomError::Gone) => {}
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

#[expect(clippy::expect_used, reason = "a struct of texts and numbers is JSON")]
fn json(body: &MeetingBody) -> Value {
    serde_json::to_value(body).expect("a meeting's body is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agenda_keeps_its_mark_within_zooms_limit() {
        let session = SessionId::from_bytes([3; 16]);
        for description in ["", "Bring a pencil.", &"é".repeat(DESCRIPTION_LIMIT_CHARS)] {
            let agenda = marked(description, &session);
            assert!(agenda.ends_with(&mark(&session)));
            assert!(agenda.chars().count() <= DESCRIPTION_LIMIT_CHARS);
        }
    }
}
