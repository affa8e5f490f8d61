//! The bodies of Zoom's webhooks about meetings, participants and apps.
//!
//! Zoom: the meeting id is a string in events during a meeting and a number in all others.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::apps::App;
use super::context::Context;
use super::ids;
use super::responses::instant;
use super::settings::TimeSpelling;
use super::state::{Meeting, MeetingInstance, Participant, User};

/// Whether a participant joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PresenceChange {
    Joined(Timestamp),
    Left(Timestamp),
}

/// A change of the waiting room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitingRoomChange {
    /// A person joined the waiting room from outside.
    Joined,
    /// The host moved a participant from the meeting to the waiting room.
    PutIn,
    Admitted,
    Left,
}

impl WaitingRoomChange {
    fn event(self) -> &'static str {
        match self {
            Self::Joined => "meeting.participant_joined_waiting_room",
            Self::PutIn => "meeting.participant_put_in_waiting_room",
            Self::Admitted => "meeting.participant_admitted",
            Self::Left => "meeting.participant_left_waiting_room",
        }
    }
}

impl Context<'_> {
    pub(super) fn emit_event(
        &mut self,
        event: &str,
        meeting_id: i64,
        at: Timestamp,
        payload: Value,
    ) {
        let body = json!({ "event": event, "event_ts": at.as_millisecond(), "payload": payload });
        self.enqueue_webhook(event, meeting_id, &body);
    }

    pub(super) fn meeting_host(&self, meeting: &Meeting) -> Option<&User> {
        self.state.users.get(&meeting.host_id)
    }

    pub(super) fn emit_created(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let mut object = scheduled_fields(meeting);
        object.insert("host_id".into(), meeting.host_id.clone().into());
        object.insert("join_url".into(), meeting.join_url().into());
        object.insert("password".into(), meeting.password.clone().into());
        object.insert("creation_source".into(), "open_api".into());
        let setting = |name: &str| meeting.settings.get(name).cloned().unwrap_or_default();
        object.insert(
            "settings".into(),
            json!({
                "use_pmi": setting("use_pmi"),
                "alternative_hosts": setting("alternative_hosts"),
                "join_before_host": setting("join_before_host"),
                "jbh_time": setting("jbh_time"),
            }),
        );
        let payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
            "object": object,
        });
        self.emit_event("meeting.created", id, self.now, payload);
    }

    /// Zoom: the event has only changed fields with their new and old values. Without a change there is no event.
    pub(super) fn emit_updated(&mut self, before: &Meeting) {
        let Some((meeting, host)) = self.meeting_and_host(before.id) else { return };
        let (new, old) = (changeable_fields(meeting), changeable_fields(before));
        let (mut object, mut old_object) = changes(&new, &old);
        let (settings, old_settings) = changes(&meeting.settings, &before.settings);
        if !settings.is_empty() {
            object.insert("settings".into(), settings.into());
            old_object.insert("settings".into(), old_settings.into());
        }
        if object.is_empty() {
            return;
        }
        for part in [&mut object, &mut old_object] {
            part.insert("id".into(), meeting.id.into());
            part.insert("uuid".into(), meeting.uuid.clone().into());
        }
        let payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
            "object": object,
            "old_object": old_object,
            "time_stamp": self.now.as_millisecond(),
        });
        self.emit_event("meeting.updated", before.id, self.now, payload);
    }

    pub(super) fn emit_deleted(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let mut object = scheduled_fields(meeting);
        object.insert("host_id".into(), meeting.host_id.clone().into());
        let payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
            "object": object,
        });
        self.emit_event("meeting.deleted", id, self.now, payload);
    }

    pub(super) fn emit_started(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = instance_fields(meeting, instance);
        object.insert("host_email".into(), host.email.clone().into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.emit_event("meeting.started", id, self.now, payload);
    }

    pub(super) fn emit_ended(&mut self, id: i64, at: Timestamp) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = instance_fields(meeting, instance);
        object.insert("host_email".into(), host.email.clone().into());
        object.insert("end_time".into(), instant(at).into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.emit_event("meeting.ended", id, at, payload);
    }

    /// Emits that a participant joined or left their current room. `reason` is only used for leaving.
    pub(super) fn emit_presence_change(
        &mut self,
        id: i64,
        participant: &Participant,
        change: PresenceChange,
        reason: &str,
    ) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = instance_fields(meeting, instance);
        let mut fields = self.participant_fields(participant);
        let (verb, at) = match change {
            PresenceChange::Joined(at) => {
                fields.insert("join_time".into(), instant(at).into());
                ("joined", at)
            }
            PresenceChange::Left(at) => {
                fields.insert("leave_time".into(), instant(at).into());
                let reason = format!("{} left the meeting.<br>Reason: {reason}", participant.name);
                fields.insert("leave_reason".into(), reason.into());
                ("left", at)
            }
        };
        let room = participant.room.as_ref();
        if let Some(uuid) = room {
            object.insert("breakout_room_uuid".into(), uuid.clone().into());
            let parent = participant.parent_user_id.clone().unwrap_or_default();
            fields.insert("parent_user_id".into(), parent.into());
        }
        object.insert("participant".into(), fields.into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        let suffix = if room.is_some() { "_breakout_room" } else { "" };
        self.emit_event(&format!("meeting.participant_{verb}{suffix}"), id, at, payload);
    }

    pub(super) fn emit_waiting_room_change(
        &mut self,
        id: i64,
        participant: &Participant,
        change: WaitingRoomChange,
    ) {
        let mut fields = self.participant_fields(participant);
        fields.insert("date_time".into(), instant(self.now).into());
        self.emit_participant_event(change.event(), id, fields);
    }

    /// Emits that a telephone belongs to a participant.
    pub(super) fn emit_bound(
        &mut self,
        id: i64,
        participant: &Participant,
        telephone: &Participant,
    ) {
        let mut fields = self.participant_fields(participant);
        fields.remove("customer_key");
        let phone_number = telephone.phone_number.clone().unwrap_or_default();
        fields.insert("bind_user_id".into(), telephone.user_id.clone().into());
        fields.insert("bind_participant_uuid".into(), telephone.participant_uuid.clone().into());
        fields.insert("phone_number".into(), phone_number.into());
        fields.insert("date_time".into(), instant(self.now).into());
        fields.insert("join_time".into(), instant(participant.join_time).into());
        self.emit_participant_event("meeting.participant_bind", id, fields);
    }

    /// Emits that the AI companion was started. Zoom: the event's fields have other names than those of most events.
    pub(super) fn emit_companion_started(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = Map::new();
        object.insert("meeting_uuid".into(), instance.uuid.clone().into());
        object.insert("host_id".into(), meeting.host_id.clone().into());
        object.insert("ai_companion".into(), json!({ "questions": true }));
        if self.draw_companion_number() {
            object.insert("meeting_number".into(), meeting.id.into());
        }
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.emit_event("meeting.ai_companion_started", id, self.now, payload);
    }

    /// Emits the companion's summary of the latest meeting instance. Zoom: its fields have names of their own, too.
    pub(super) fn emit_summary_completed(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let ended_at = instance.ended_at.unwrap_or(self.now);
        let object = json!({
            "meeting_host_id": host.id,
            "meeting_host_email": host.email,
            "meeting_uuid": instance.uuid,
            "meeting_topic": meeting.topic,
            "meeting_start_time": instant(instance.started_at),
            "meeting_end_time": instant(ended_at),
            "summary_start_time": instant(instance.started_at),
            "summary_end_time": instant(ended_at),
            "summary_created_time": instant(self.now),
            "summary_last_modified_time": instant(self.now),
            "summary_title": format!("Meeting summary for {}", meeting.topic),
            "summary_details": [{ "label": "Overview", "summary": "Ada asked a question." }],
            "next_steps": ["Ada repeats the exercise."],
        });
        let mut payload = json!({ "account_id": host.account_id, "object": object });
        if self.draw_companion_number() {
            payload["object"]["meeting_id"] = meeting.id.into();
        }
        self.emit_event("meeting.summary_completed", id, self.now, payload);
    }

    fn draw_companion_number(&self) -> bool {
        let setting = self.state.settings.webhooks.companion_numbers;
        setting.unwrap_or_else(|| self.random.below(2) == 0)
    }

    fn emit_participant_event(&mut self, event: &str, id: i64, fields: Map<String, Value>) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = instance_fields(meeting, instance);
        object.insert("participant".into(), fields.into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.emit_event(event, id, self.now, payload);
    }

    /// Emits that a user removed the app with this client id at the given time.
    ///
    /// Zoom: the event has no `event_ts` at the top level, and the one in the payload has several spellings.
    pub(super) fn emit_deauthorized(&mut self, user: &User, client_id: &str, at: Timestamp) {
        let event = "app_deauthorized";
        let spelling = self.state.settings.webhooks.deauthorized_time.unwrap_or_else(|| {
            let index = self.random.bytes::<1>()[0];
            TimeSpelling::ALL[usize::from(index) % TimeSpelling::ALL.len()]
        });
        let mut body = json!({
            "event": event,
            "payload": {
                "account_id": user.account_id,
                "user_id": user.id,
                "client_id": client_id,
                "signature": ids::token(self.random),
                "deauthorization_time": instant(at),
            },
        });
        let event_ts = match spelling {
            TimeSpelling::Number => Value::from(at.as_millisecond()),
            TimeSpelling::Text => at.as_millisecond().to_string().into(),
            TimeSpelling::DateTime => at.strftime("%Y-%m-%d %H:%M:%S").to_string().into(),
            TimeSpelling::Missing => Value::Null,
        };
        if !event_ts.is_null() {
            body["payload"]["event_ts"] = event_ts;
        }
        self.enqueue_app_webhook(event, None, &body, &[App::User]);
    }

    pub(super) fn meeting_and_host(&self, id: i64) -> Option<(&Meeting, &User)> {
        let meeting = self.state.meetings.get(&id)?;
        Some((meeting, self.meeting_host(meeting)?))
    }

    fn participant_fields(&self, participant: &Participant) -> Map<String, Value> {
        let mut fields = Map::new();
        let zoom_user = participant.zoom_user_id.clone().unwrap_or_default();
        fields.insert("user_id".into(), participant.user_id.clone().into());
        fields.insert("user_name".into(), participant.name.clone().into());
        fields.insert("id".into(), zoom_user.clone().into());
        fields.insert("participant_uuid".into(), participant.participant_uuid.clone().into());
        fields.insert("participant_user_id".into(), zoom_user.into());
        fields.insert("email".into(), participant.email.clone().into());
        if let Some(registrant_id) = &participant.registrant_id {
            fields.insert("registrant_id".into(), registrant_id.clone().into());
        }
        // Zoom: a telephone has neither an address nor a key.
        if let Some(phone_number) = &participant.phone_number {
            fields.insert("phone_number".into(), phone_number.clone().into());
        } else if let Some(key) = &participant.customer_key
            && self.state.settings.webhooks.customer_keys
        {
            fields.insert("customer_key".into(), key.clone().into());
        }
        fields
    }
}

/// Returns a scheduled meeting: numeric id, scheduled start.
fn scheduled_fields(meeting: &Meeting) -> Map<String, Value> {
    let mut object = changeable_fields(meeting);
    object.remove("agenda");
    object.remove("password");
    object.insert("id".into(), meeting.id.into());
    object.insert("uuid".into(), meeting.uuid.clone().into());
    object
}

/// Returns a meeting instance: id as a string, actual start.
fn instance_fields(meeting: &Meeting, instance: &MeetingInstance) -> Map<String, Value> {
    let mut object = scheduled_fields(meeting);
    object.insert("id".into(), meeting.id.to_string().into());
    object.insert("uuid".into(), instance.uuid.clone().into());
    object.insert("host_id".into(), meeting.host_id.clone().into());
    object.insert("start_time".into(), instant(instance.started_at).into());
    object
}

/// Returns the fields of a meeting that can change, except its settings.
fn changeable_fields(meeting: &Meeting) -> Map<String, Value> {
    let fields = json!({
        "topic": meeting.topic,
        "type": meeting.kind,
        "start_time": instant(meeting.start_time),
        "duration": meeting.duration_minutes,
        "timezone": meeting.timezone,
        "agenda": meeting.agenda,
        "password": meeting.password,
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

/// Returns the entries of `new` that differ from `old`, and their old values.
fn changes(
    new: &Map<String, Value>,
    old: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut changed, mut previous) = (Map::new(), Map::new());
    for (name, value) in new {
        let old_value = old.get(name);
        if old_value == Some(value) {
            continue;
        }
        changed.insert(name.clone(), value.clone());
        if let Some(old_value) = old_value {
            previous.insert(name.clone(), old_value.clone());
        }
    }
    (changed, previous)
}
