//! Create, read, update, delete and end meetings under `/zoom/v2`. Lists are in `listing`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::fields::{self, AllowedIn, Field, Kind, required};
use super::licences::{BASIC, WITHOUT_MEETINGS};
use super::meeting_fields::MEETING;
use super::responses::{ApiError, ApiResult, created, instant, no_content, ok};
use super::settings::Plan;
use super::state::{Meeting, User};
use super::users::content_type;
use super::{Zoom, ids, schedule, scopes};

/// Base of generated links, in the form of Zoom's links. The simulator does not serve them.
pub(super) const ZOOM_WEB: &str = "https://us05web.zoom.us";

const SCHEDULED: i64 = 2;
const DEFAULT_MINUTES: i64 = 60;

/// Default settings of a meeting.
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
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::CREATE_MEETING)?;
        let host = context.host_in_path(&caller, &user)?;
        if host.licence == WITHOUT_MEETINGS {
            return Err(ApiError::cannot_host(&user));
        }
        let body = fields::parse_body(&body, content_type(&headers), MEETING, AllowedIn::Create)?;
        context.check_daily_limit(&host.id, scopes::CREATE_MEETING.category)?;
        let id = context.create_meeting(&host, &body)?;
        context.count_daily_write(&host.id);
        context.emit_created(id);
        Ok(created(context.meeting_body(id)))
    })
}

pub(super) async fn get(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::GET_MEETING)?;
        let id = context.meeting_in_path(&caller, &meeting)?;
        Ok(ok(context.meeting_body(id)))
    })
}

pub(super) async fn update(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::UPDATE_MEETING)?;
        let id = context.meeting_in_path(&caller, &meeting)?;
        if let Ok(received) = serde_json::from_slice(&body) {
            context.meeting_mut(id)?.requests.push(received);
        }
        let body = fields::parse_body(&body, content_type(&headers), MEETING, AllowedIn::Update)?;
        let host_id = context.meeting(id)?.host_id.clone();
        context.check_daily_limit(&host_id, scopes::UPDATE_MEETING.category)?;
        let before = context.meeting(id)?.clone();
        context.update_meeting(id, &body)?;
        context.count_daily_write(&host_id);
        context.emit_updated(&before);
        Ok(no_content())
    })
}

pub(super) async fn delete(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::DELETE_MEETING)?;
        let id = context.meeting_in_path(&caller, &meeting)?;
        context.delete_meeting(id)?;
        Ok(no_content())
    })
}

const STATUS: &[Field] = &[required("action", Kind::Word(&["end", "recover"]))];

/// `PUT /meetings/{meeting}/status`: ends a meeting for all participants, or recovers a deleted one.
pub(super) async fn set_status(
    State(zoom): State<Zoom>,
    Path(meeting): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::END_MEETING)?;
        let body = fields::parse_body(&body, content_type(&headers), STATUS, AllowedIn::Update)?;
        if body["action"] == "recover" {
            let deleted = meeting.parse().ok().and_then(|id: i64| context.state.meetings.get(&id));
            let recovered = deleted
                .filter(|meeting| meeting.deleted && context.can_access(&caller, meeting))
                .map(|meeting| meeting.id)
                .ok_or_else(|| ApiError::no_such_meeting(&meeting))?;
            context.meeting_mut(recovered)?.deleted = false;
            return Ok(no_content());
        }
        let id = context.meeting_in_path(&caller, &meeting)?;
        if context.meeting(id)?.active_instance().is_none() {
            let message = format!("The meeting is not in progress: {id}.");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 3000, message));
        }
        context.end_meeting(id);
        Ok(no_content())
    })
}

impl Context<'_> {
    pub(super) fn meeting(&self, id: i64) -> Result<&Meeting, ApiError> {
        self.state.meetings.get(&id).ok_or_else(|| ApiError::no_such_meeting(&id.to_string()))
    }

    pub(super) fn meeting_mut(&mut self, id: i64) -> Result<&mut Meeting, ApiError> {
        self.state.meetings.get_mut(&id).ok_or_else(|| ApiError::no_such_meeting(&id.to_string()))
    }

    fn create_meeting(&mut self, host: &User, body: &Map<String, Value>) -> Result<i64, ApiError> {
        let mut id = ids::meeting_id(self.random);
        while self.state.meetings.contains_key(&id) {
            id = ids::meeting_id(self.random);
        }
        // Zoom generates a passcode unless one is sent or `default_password` is false.
        let wants_passcode = body.get("default_password") != Some(&Value::Bool(false));
        let mut meeting = Meeting {
            id,
            uuid: self.new_meeting_uuid(),
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
            registrants: Vec::new(),
            instances: Vec::new(),
        };
        self.apply(&mut meeting, host, body)?;
        self.state.meetings.insert(id, meeting);
        Ok(id)
    }

    pub(super) fn update_meeting(
        &mut self,
        id: i64,
        body: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let mut meeting = self.meeting(id)?.clone();
        let host = self.user_with_id(&meeting.host_id)?.clone();
        self.apply(&mut meeting, &host, body)?;
        self.state.meetings.insert(id, meeting);
        Ok(())
    }

    fn apply(
        &self,
        meeting: &mut Meeting,
        host: &User,
        body: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let invalid = |error| ApiError::invalid(vec![error]);
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| body.get(name).and_then(Value::as_i64);
        if let Some(zone) = text("timezone") {
            schedule::zone(zone).map_err(invalid)?;
        }
        // Zoom's list of time zones lacks some IANA names.
        let is_unlisted = |zone: &&str| self.state.settings.unlisted_zones.contains(*zone);
        let zone = match text("timezone") {
            Some(zone) if is_unlisted(&zone) => Some(host.timezone.as_str()),
            zone => zone,
        };
        if let Some(start_time) = text("start_time") {
            meeting.start_time =
                schedule::instant(start_time, zone, &meeting.timezone).map_err(invalid)?;
        }
        if let Some(zone) = zone {
            zone.clone_into(&mut meeting.timezone);
        }
        let strings = [
            ("topic", &mut meeting.topic),
            ("agenda", &mut meeting.agenda),
            ("password", &mut meeting.password),
        ];
        for (name, field) in strings {
            if let Some(sent) = text(name) {
                sent.clone_into(field);
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

    /// Zoom: settings that the account forbids are dropped silently, and the status is 2xx.
    fn apply_settings(&self, meeting: &mut Meeting, host: &User, sent: &Map<String, Value>) {
        for (name, value) in sent {
            if !self.is_forbidden(host, name, value) {
                meeting.settings.insert(name.clone(), value.clone());
            }
        }
        // Zoom: a waiting room disables joining before the host.
        if meeting.setting_is("waiting_room", true) {
            meeting.settings.insert("join_before_host".to_owned(), false.into());
        }
    }

    fn is_forbidden(&self, host: &User, name: &str, value: &Value) -> bool {
        let account = self.state.accounts.get(&host.account_id);
        let name_and_value = match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        let basic = account.is_some_and(|account| account.plan == Plan::Basic);
        let forbidden = account.is_some_and(|account| {
            account.forbid.contains(name) || account.forbid.contains(&name_and_value)
        });
        // Zoom: only licensed users of paid accounts have cloud recordings and registration.
        let for_licensed = ["auto_recording=cloud", "approval_type=0", "approval_type=1"]
            .contains(&&*name_and_value);
        forbidden || for_licensed && (basic || host.licence == BASIC)
    }

    /// Deletes a meeting, and ends it first if it is in progress.
    pub(super) fn delete_meeting(&mut self, id: i64) -> Result<(), ApiError> {
        self.end_meeting(id);
        self.meeting_mut(id)?.deleted = true;
        self.emit_deleted(id);
        Ok(())
    }

    /// Returns the body of create and get responses. The start link has a new ZAK each time.
    fn meeting_body(&mut self, id: i64) -> Value {
        let Some(meeting) = self.state.meetings.get(&id).cloned() else { return Value::Null };
        let zak = self.start_token(&meeting.host_id);
        let host = self.state.users.get(&meeting.host_id);
        let mut body = json!({
            "uuid": meeting.uuid,
            "id": meeting.id,
            "host_id": meeting.host_id,
            "host_email": host.map(|host| host.email.as_str()).unwrap_or_default(),
            "assistant_id": "",
            "topic": meeting.topic,
            "type": meeting.kind,
            "status": if meeting.active_instance().is_some() { "started" } else { "waiting" },
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
        if let Some(url) = meeting.registration_url() {
            body["registration_url"] = url.into();
        }
        if let Value::Object(body) = &mut body {
            body.extend(meeting.extra);
        }
        body
    }
}

impl Meeting {
    /// The link contains the encrypted passcode, so participants need not type it.
    pub(super) fn join_url(&self) -> String {
        let (id, pwd) = (self.id, &self.encrypted_password);
        match self.password.as_str() {
            "" => format!("{ZOOM_WEB}/j/{id}"),
            _ => format!("{ZOOM_WEB}/j/{id}?pwd={pwd}"),
        }
    }
}
