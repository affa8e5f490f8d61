//! What Zoom tells about meetings, people and users: the bodies of its webhooks.
//!
//! The meeting's id is text in what happens during a meeting and a number everywhere else; so Zoom has it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answers::instant;
use super::desk::Desk;
use super::ids;
use super::memory::{Instance, Meeting, Participant, User};

/// Whether somebody came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Joined(Timestamp),
    Left(Timestamp),
}

impl Desk<'_> {
    pub(super) fn tell(&mut self, event: &str, meeting_id: i64, at: Timestamp, payload: Value) {
        let body = json!({ "event": event, "event_ts": at.as_millisecond(), "payload": payload });
        self.post(event, Some(meeting_id), &body);
    }

    pub(super) fn host_of(&self, meeting: &Meeting) -> Option<&User> {
        self.memory.users.get(&meeting.host_id)
    }

    pub(super) fn tell_created(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let mut object = planned(meeting);
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
        self.tell("meeting.created", id, self.now, payload);
    }

    /// Zoom: only what changed, as it is and as it was; silence when nothing did.
    pub(super) fn tell_updated(&mut self, before: &Meeting) {
        let Some((meeting, host)) = self.meeting_and_host(before.id) else { return };
        let (new, old) = (described(meeting), described(before));
        let (mut object, mut old_object) = changes(&new, &old);
        let (settings, old_settings) = changes(&meeting.settings, &before.settings);
        if !settings.is_empty() {
            object.insert("settings".into(), settings.into());
            old_object.insert("settings".into(), old_settings.into());
        }
        if object.is_empty() {
            return;
        }
        for side in [&mut object, &mut old_object] {
            side.insert("id".into(), meeting.id.into());
            side.insert("uuid".into(), meeting.uuid.clone().into());
        }
        let payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
            "object": object,
            "old_object": old_object,
            "time_stamp": self.now.as_millisecond(),
        });
        self.tell("meeting.updated", before.id, self.now, payload);
    }

    pub(super) fn tell_deleted(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let mut object = planned(meeting);
        object.insert("host_id".into(), meeting.host_id.clone().into());
        let payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
            "object": object,
        });
        self.tell("meeting.deleted", id, self.now, payload);
    }

    pub(super) fn tell_started(&mut self, id: i64) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = held(meeting, instance);
        object.insert("host_email".into(), host.email.clone().into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.tell("meeting.started", id, self.now, payload);
    }

    pub(super) fn tell_ended(&mut self, id: i64, at: Timestamp) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = held(meeting, instance);
        object.insert("host_email".into(), host.email.clone().into());
        object.insert("end_time".into(), instant(at).into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.tell("meeting.ended", id, at, payload);
    }

    /// Somebody came into the room where they are, or left it. `reason` goes with leaving only.
    pub(super) fn tell_passage(
        &mut self,
        id: i64,
        participant: &Participant,
        passage: Passage,
        reason: &str,
    ) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let mut object = held(meeting, instance);
        let mut person = self.person(participant);
        let (verb, at) = match passage {
            Passage::Joined(at) => {
                person.insert("join_time".into(), instant(at).into());
                ("joined", at)
            }
            Passage::Left(at) => {
                person.insert("leave_time".into(), instant(at).into());
                let reason = format!("{} left the meeting.<br>Reason: {reason}", participant.name);
                person.insert("leave_reason".into(), reason.into());
                ("left", at)
            }
        };
        let room = participant.room.as_ref();
        if let Some(uuid) = room {
            object.insert("breakout_room_uuid".into(), uuid.clone().into());
            let parent = participant.parent_user_id.clone().unwrap_or_default();
            person.insert("parent_user_id".into(), parent.into());
        }
        object.insert("participant".into(), person.into());
        let payload = json!({ "account_id": host.account_id, "object": object });
        let place = if room.is_some() { "_breakout_room" } else { "" };
        self.tell(&format!("meeting.participant_{verb}{place}"), id, at, payload);
    }

    /// Zoom: the event of a removed app has no `event_ts` of its own; the payload's is text.
    pub(super) fn tell_deauthorized(&mut self, user: &User) {
        let event = "app_deauthorized";
        let body = json!({
            "event": event,
            "payload": {
                "account_id": user.account_id,
                "user_id": user.id,
                "client_id": self.config.client_id,
                "signature": ids::token(self.random),
                "deauthorization_time": instant(self.now),
                "event_ts": self.now.as_millisecond().to_string(),
            },
        });
        self.post(event, None, &body);
    }

    /// Switches a user on or off; Zoom tells about the latter as `user.deactivated`.
    pub(super) fn set_active(&mut self, user_id: &str, active: bool) {
        let Some(user) = self.memory.users.get_mut(user_id) else { return };
        user.active = active;
        let user = user.clone();
        let event = if active { "user.activated" } else { "user.deactivated" };
        let body = json!({
            "event": event,
            "event_ts": self.now.as_millisecond(),
            "payload": {
                "account_id": user.account_id,
                "operator": user.email,
                "operator_id": user.id,
                "object": {
                    "id": user.id,
                    "email": user.email,
                    "first_name": user.first_name,
                    "last_name": user.last_name,
                    "type": user.licence,
                },
            },
        });
        self.post(event, None, &body);
    }

    pub(super) fn meeting_and_host(&self, id: i64) -> Option<(&Meeting, &User)> {
        let meeting = self.memory.meetings.get(&id)?;
        Some((meeting, self.host_of(meeting)?))
    }

    fn person(&self, participant: &Participant) -> Map<String, Value> {
        let mut person = Map::new();
        let zoom_user = participant.zoom_user_id.clone().unwrap_or_default();
        person.insert("user_id".into(), participant.user_id.clone().into());
        person.insert("user_name".into(), participant.name.clone().into());
        person.insert("id".into(), zoom_user.clone().into());
        person.insert("participant_uuid".into(), participant.participant_uuid.clone().into());
        person.insert("participant_user_id".into(), zoom_user.into());
        person.insert("email".into(), participant.email.clone().into());
        if let Some(key) = &participant.customer_key
            && self.memory.knobs.webhooks.customer_keys
        {
            person.insert("customer_key".into(), key.clone().into());
        }
        person
    }
}

/// A meeting as planned: numeric id, planned start.
fn planned(meeting: &Meeting) -> Map<String, Value> {
    let mut object = described(meeting);
    object.remove("agenda");
    object.remove("password");
    object.insert("id".into(), meeting.id.into());
    object.insert("uuid".into(), meeting.uuid.clone().into());
    object
}

/// A meeting as held: textual id, real start.
fn held(meeting: &Meeting, instance: &Instance) -> Map<String, Value> {
    let mut object = planned(meeting);
    object.insert("id".into(), meeting.id.to_string().into());
    object.insert("uuid".into(), instance.uuid.clone().into());
    object.insert("host_id".into(), meeting.host_id.clone().into());
    object.insert("start_time".into(), instant(instance.started_at).into());
    object
}

/// What can change of a meeting, apart from its settings.
fn described(meeting: &Meeting) -> Map<String, Value> {
    let described = json!({
        "topic": meeting.topic,
        "type": meeting.kind,
        "start_time": instant(meeting.start_time),
        "duration": meeting.duration_minutes,
        "timezone": meeting.timezone,
        "agenda": meeting.agenda,
        "password": meeting.password,
    });
    let Value::Object(described) = described else { return Map::new() };
    described
}

/// The entries of `new` that differ from `old`, and what they were.
fn changes(
    new: &Map<String, Value>,
    old: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut changed, mut were) = (Map::new(), Map::new());
    for (name, value) in new {
        let was = old.get(name);
        if was == Some(value) {
            continue;
        }
        changed.insert(name.clone(), value.clone());
        if let Some(was) = was {
            were.insert(name.clone(), was.clone());
        }
    }
    (changed, were)
}
