//! What `/zoom/sim` shows of a meeting: everything that Zoom remembers of it.

use axum::Json;
use serde_json::{Value, json};

use super::answers::instant;
use super::desk::Desk;
use super::memory::{Instance, Meeting, Participant};
use super::sim::{Done, Impossible};

impl Desk<'_> {
    pub(super) fn shown(&self, id: i64) -> Done {
        let meeting = self.memory.meetings.get(&id);
        let meeting = meeting.ok_or_else(|| Impossible::not_found("There is no such meeting."))?;
        Ok(Json(self.meeting_view(meeting)))
    }

    /// A meeting with all that Zoom remembers of it.
    pub(super) fn meeting_view(&self, meeting: &Meeting) -> Value {
        let status = match meeting.instances.last() {
            _ if meeting.deleted => "deleted",
            None => "waiting",
            Some(instance) if instance.ended_at.is_none() => "started",
            Some(_) => "ended",
        };
        let last = meeting.instances.last();
        let people =
            |instance: &Instance| instance.participants.iter().map(participant_view).collect();
        let participants: Vec<Value> = last.map(people).unwrap_or_default();
        let instances: Vec<_> = meeting
            .instances
            .iter()
            .map(|instance| {
                let people: Vec<Value> = people(instance);
                json!({
                    "uuid": instance.uuid,
                    "started_at": instant(instance.started_at),
                    "ended_at": instance.ended_at.map(instant),
                    "participants": people,
                })
            })
            .collect();
        let host = self.host_of(meeting);
        json!({
            "id": meeting.id,
            "uuid": meeting.uuid,
            "status": status,
            "host_id": meeting.host_id,
            "host_email": host.map(|host| host.email.as_str()),
            "account_id": host.map(|host| host.account_id.as_str()),
            "topic": meeting.topic,
            "agenda": meeting.agenda,
            "type": meeting.kind,
            "start_time": instant(meeting.start_time),
            "timezone": meeting.timezone,
            "duration": meeting.duration_minutes,
            "password": meeting.password,
            "settings": meeting.settings,
            "join_url": meeting.join_url(),
            "requests": meeting.requests,
            "participants": participants,
            "instances": instances,
            "recording": last.and_then(|instance| instance.recording.as_ref()).map(|it| it.state),
        })
    }
}

pub(super) fn participant_view(who: &Participant) -> Value {
    json!({
        "participant_uuid": who.participant_uuid,
        "user_id": who.user_id,
        "name": who.name,
        "email": who.email,
        "customer_key": who.customer_key,
        "host": who.host,
        "room": who.room,
        "join_time": instant(who.join_time),
        "leave_time": who.leave_time.map(instant),
    })
}
