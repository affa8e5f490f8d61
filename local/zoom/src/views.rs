//! The representation of a meeting under `/zoom/sim`.

use axum::Json;
use serde_json::{Value, json};

use super::context::Context;
use super::responses::instant;
use super::sim_error::{SimError, SimResult};
use super::state::{Meeting, MeetingInstance, Participant, Recording};

impl Context<'_> {
    pub(super) fn meeting_response(&self, id: i64) -> SimResult {
        let meeting = self.state.meetings.get(&id);
        let meeting = meeting.ok_or_else(|| SimError::not_found("The meeting does not exist."))?;
        Ok(Json(self.meeting_view(meeting)))
    }

    /// Returns the whole state of a meeting.
    pub(super) fn meeting_view(&self, meeting: &Meeting) -> Value {
        let status = match meeting.instances.last() {
            _ if meeting.deleted => "deleted",
            None => "waiting",
            Some(instance) if instance.ended_at.is_none() => "started",
            Some(_) => "ended",
        };
        let last = meeting.instances.last();
        let participant_views = |instance: &MeetingInstance| {
            instance.participants.iter().map(participant_view).collect()
        };
        let participants: Vec<Value> = last.map(participant_views).unwrap_or_default();
        let waiting: Vec<Value> = last
            .map(|instance| instance.waiting.iter().map(participant_view).collect())
            .unwrap_or_default();
        let instances: Vec<_> = meeting
            .instances
            .iter()
            .map(|instance| {
                let participants: Vec<Value> = participant_views(instance);
                json!({
                    "uuid": instance.uuid,
                    "started_at": instant(instance.started_at),
                    "ended_at": instance.ended_at.map(instant),
                    "host_licence": instance.host_licence,
                    "participants": participants,
                    "recording": instance.recording.as_ref().map(recording_view),
                })
            })
            .collect();
        let host = self.meeting_host(meeting);
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
            "registrants": meeting.registrants,
            "participants": participants,
            "waiting": waiting,
            "instances": instances,
            "recording": last.and_then(|instance| instance.recording.as_ref()).map(|it| it.state),
        })
    }
}

pub(super) fn participant_view(participant: &Participant) -> Value {
    json!({
        "participant_uuid": participant.participant_uuid,
        "user_id": participant.user_id,
        "name": participant.name,
        "email": participant.email,
        "customer_key": participant.customer_key,
        "phone_number": participant.phone_number,
        "registrant_id": participant.registrant_id,
        "host": participant.host,
        "room": participant.room,
        "join_time": instant(participant.join_time),
        "leave_time": participant.leave_time.map(instant),
    })
}

fn recording_view(recording: &Recording) -> Value {
    let files = recording.files.iter();
    let files: Vec<_> =
        files.map(|file| json!({ "id": file.id, "file_type": file.file_type })).collect();
    json!({ "state": recording.state, "files": files })
}
