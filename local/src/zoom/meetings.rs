//! Meetings by `/zoom/v2`: create, read, change, delete, end. Their lists are in `listing`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::answers::{Answer, Refusal, created, instant, no_content, ok};
use super::desk::Desk;
use super::fields::{self, Field, In, Kind, required};
use super::meeting_fields::MEETING;
use super::memory::{Meeting, Plan, User};
use super::users::content_type;
use super::{Zoom, ids, schedule, scopes};

/// Where Zoom's own links lead. Nothing here answers to them; they only look as they do.
pub(super) const ZOOM_WEB: &str = "https://us05web.zoom.us";

const SCHEDULED: i64 = 2;
const DEFAULT_MINUTES: i64 = 60;

/// What a meeting is set to where nothing is said.
fn default_settings() -> Map<String, Value> {
    let settings = json!({
        "host_video": false,
        "participant_video": false,
        "join_before_host": false,
        "jbh_time": 0,
        "mute_upon_entry": false,
        "watermark": false,
        "use_pmi": false,
        "approval_type": 2,
        "audio": "both",
        "auto_recording": "none",
        "waiting_room": false,
        "alternative_hosts": "",
        "meeting_authentication": false,
        "email_notification": true,
        "private_meeting": false,
    });
    let Value::Object(settings) = settings else { return Map::new() };
    settings
}

pub(super) async fn create(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::CREATE_MEETING)?;
        let host = desk.user_in_path(&caller, &user)?;
        let body = fields::read(&body, content_type(&headers), MEETING, In::Create)?;
        desk.may_write(&host.id, scopes::CREATE_MEETING.category)?;
        let id = desk.create_meeting(&host, &body)?;
        desk.count_write(&host.id);
        desk.tell_created(id);
        Ok(created(desk.meeting_body(id)))
    })
}

pub(super) async fn get(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::GET_MEETING)?;
        let id = desk.meeting_in_path(&caller, &meeting)?;
        Ok(ok(desk.meeting_body(id)))
    })
}

pub(super) async fn update(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::UPDATE_MEETING)?;
        let id = desk.meeting_in_path(&caller, &meeting)?;
        if let Ok(received) = serde_json::from_slice(&body) {
            desk.meeting_mut(id)?.requests.push(received);
        }
        let body = fields::read(&body, content_type(&headers), MEETING, In::Update)?;
        let host_id = desk.meeting(id)?.host_id.clone();
        desk.may_write(&host_id, scopes::UPDATE_MEETING.category)?;
        let before = desk.meeting(id)?.clone();
        desk.update_meeting(id, &body)?;
        desk.count_write(&host_id);
        desk.tell_updated(&before);
        Ok(no_content())
    })
}

pub(super) async fn delete(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::DELETE_MEETING)?;
        let id = desk.meeting_in_path(&caller, &meeting)?;
        desk.delete_meeting(id)?;
        Ok(no_content())
    })
}

const STATUS: &[Field] = &[required("action", Kind::Word(&["end", "recover"]))];

/// `PUT /meetings/{meeting}/status`: the host's app ends the meeting for everyone, or brings a deleted one back.
pub(super) async fn set_status(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::END_MEETING)?;
        let body = fields::read(&body, content_type(&headers), STATUS, In::Update)?;
        if body["action"] == "recover" {
            let deleted = meeting.parse().ok().and_then(|id: i64| desk.memory.meetings.get(&id));
            let recovered = deleted
                .filter(|meeting| meeting.deleted && desk.reaches(&caller, meeting))
                .map(|meeting| meeting.id)
                .ok_or_else(|| Refusal::no_such_meeting(&meeting))?;
            desk.meeting_mut(recovered)?.deleted = false;
            return Ok(no_content());
        }
        let id = desk.meeting_in_path(&caller, &meeting)?;
        if desk.meeting(id)?.running().is_none() {
            let message = format!("The meeting is not in progress: {id}.");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, 3000, message));
        }
        desk.end_meeting(id);
        Ok(no_content())
    })
}

impl Desk<'_> {
    pub(super) fn meeting(&self, id: i64) -> Result<&Meeting, Refusal> {
        self.memory.meetings.get(&id).ok_or_else(|| Refusal::no_such_meeting(&id.to_string()))
    }

    pub(super) fn meeting_mut(&mut self, id: i64) -> Result<&mut Meeting, Refusal> {
        self.memory.meetings.get_mut(&id).ok_or_else(|| Refusal::no_such_meeting(&id.to_string()))
    }

    fn create_meeting(&mut self, host: &User, body: &Map<String, Value>) -> Result<i64, Refusal> {
        let mut id = ids::meeting_id(self.random);
        while self.memory.meetings.contains_key(&id) {
            id = ids::meeting_id(self.random);
        }
        // Zoom makes a passcode up unless one is sent or `default_password` says not to.
        let wants_passcode = body.get("default_password") != Some(&Value::Bool(false));
        let mut meeting = Meeting {
            id,
            uuid: ids::meeting_uuid(self.random),
            host_id: host.id.clone(),
            kind: SCHEDULED,
            topic: "Zoom Meeting".to_owned(),
            agenda: String::new(),
            start_time: self.now,
            timezone: host.timezone.clone(),
            duration_minutes: DEFAULT_MINUTES,
            password: if wants_passcode { ids::passcode(self.random) } else { String::new() },
            encrypted_password: format!("{}.1", ids::text(self.random, 32)),
            settings: default_settings(),
            extra: Map::new(),
            created_at: self.now,
            deleted: false,
            requests: vec![Value::Object(body.clone())],
            instances: Vec::new(),
        };
        self.apply(&mut meeting, host, body)?;
        self.memory.meetings.insert(id, meeting);
        Ok(id)
    }

    fn update_meeting(&mut self, id: i64, body: &Map<String, Value>) -> Result<(), Refusal> {
        let mut meeting = self.meeting(id)?.clone();
        let host = self.user_with_id(&meeting.host_id)?.clone();
        self.apply(&mut meeting, &host, body)?;
        self.memory.meetings.insert(id, meeting);
        Ok(())
    }

    fn apply(
        &self,
        meeting: &mut Meeting,
        host: &User,
        body: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let invalid = |error| Refusal::invalid(vec![error]);
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| body.get(name).and_then(Value::as_i64);
        if let Some(zone) = text("timezone") {
            schedule::zone(zone).map_err(invalid)?;
        }
        if let Some(start_time) = text("start_time") {
            meeting.start_time = schedule::instant(start_time, text("timezone"), &meeting.timezone)
                .map_err(invalid)?;
        }
        let strings = [
            ("timezone", &mut meeting.timezone),
            ("topic", &mut meeting.topic),
            ("agenda", &mut meeting.agenda),
            ("password", &mut meeting.password),
        ];
        for (name, kept) in strings {
            if let Some(sent) = text(name) {
                sent.clone_into(kept);
            }
        }
        meeting.kind = number("type").unwrap_or(meeting.kind);
        meeting.duration_minutes = number("duration").unwrap_or(meeting.duration_minutes);
        for name in ["recurrence", "tracking_fields", "pre_schedule", "template_id"] {
            if let Some(sent) = body.get(name) {
                meeting.extra.insert(name.to_owned(), sent.clone());
            }
        }
        if let Some(settings) = body.get("settings").and_then(Value::as_object) {
            self.apply_settings(meeting, host, settings);
        }
        Ok(())
    }

    /// Zoom: what the account forbids is dropped without a word; the answer is 2xx all the same.
    fn apply_settings(&self, meeting: &mut Meeting, host: &User, sent: &Map<String, Value>) {
        for (name, value) in sent {
            if !self.forbids(host, name, value) {
                meeting.settings.insert(name.clone(), value.clone());
            }
        }
        // Zoom: with a waiting room nobody joins before the host.
        if meeting.setting_is("waiting_room", true) {
            meeting.settings.insert("join_before_host".to_owned(), false.into());
        }
    }

    fn forbids(&self, host: &User, name: &str, value: &Value) -> bool {
        const UNLICENSED: i64 = 1;
        let account = self.memory.accounts.get(&host.account_id);
        let pair = match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        let basic = account.is_some_and(|account| account.plan == Plan::Basic);
        let forbidden = account
            .is_some_and(|account| account.forbid.contains(name) || account.forbid.contains(&pair));
        // Zoom: recordings go to the cloud for licensed users of paid accounts only.
        forbidden || pair == "auto_recording=cloud" && (basic || host.licence == UNLICENSED)
    }

    /// Deleting ends a meeting that is being held.
    pub(super) fn delete_meeting(&mut self, id: i64) -> Result<(), Refusal> {
        self.end_meeting(id);
        self.meeting_mut(id)?.deleted = true;
        self.tell_deleted(id);
        Ok(())
    }

    /// As create and get show it. The start link carries a fresh ZAK each time.
    fn meeting_body(&mut self, id: i64) -> Value {
        let Some(meeting) = self.memory.meetings.get(&id).cloned() else { return Value::Null };
        let zak = self.start_token(&meeting.host_id);
        let host = self.memory.users.get(&meeting.host_id);
        let mut body = json!({
            "uuid": meeting.uuid,
            "id": meeting.id,
            "host_id": meeting.host_id,
            "host_email": host.map(|host| host.email.as_str()).unwrap_or_default(),
            "assistant_id": "",
            "topic": meeting.topic,
            "type": meeting.kind,
            "status": if meeting.running().is_some() { "started" } else { "waiting" },
            "start_time": instant(meeting.start_time),
            "duration": meeting.duration_minutes,
            "timezone": meeting.timezone,
            "agenda": meeting.agenda,
            "created_at": instant(meeting.created_at),
            "start_url": format!("{ZOOM_WEB}/s/{id}?zak={zak}"),
            "join_url": meeting.join_url(),
            "password": meeting.password,
            "h323_password": meeting.password,
            "pstn_password": meeting.password,
            "encrypted_password": meeting.encrypted_password,
            "settings": meeting.settings,
            "creation_source": "open_api",
            "pre_schedule": false,
        });
        if let Value::Object(body) = &mut body {
            body.extend(meeting.extra);
        }
        body
    }
}

impl Meeting {
    /// The link holds the passcode in its encrypted form, so that a click needs no typing.
    pub(super) fn join_url(&self) -> String {
        let (id, pwd) = (self.id, &self.encrypted_password);
        match self.password.as_str() {
            "" => format!("{ZOOM_WEB}/j/{id}"),
            _ => format!("{ZOOM_WEB}/j/{id}?pwd={pwd}"),
        }
    }
}
