//! People in a meeting: they start it, come, go, change rooms, lose their connection; and what Zoom tells of that.

use http::StatusCode;
use jiff::Timestamp;

use super::desk::Desk;
use super::events::Passage;
use super::ids;
use super::memory::{Instance, Meeting, Participant, Recording, RecordingState};
use super::sim::Impossible;

/// Zoom notices a killed client 60 to 90 seconds late, after the person is back.
const KILLED_CLIENT_SECONDS: i64 = 75;

const LEFT: &str = "Left the meeting.";
const ENDED: &str = "Host ended the meeting.";

/// Who joins.
#[derive(Clone, Debug, Default)]
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) customer_key: Option<String>,
}

impl Desk<'_> {
    /// The host opens the meeting and is its first participant.
    pub(super) fn start_meeting(
        &mut self,
        id: i64,
        name: Option<String>,
        customer_key: Option<String>,
    ) -> Result<(), Impossible> {
        let meeting = self.sim_meeting(id)?;
        if meeting.running().is_some() {
            return Err(Impossible::conflict("The meeting is in progress."));
        }
        let host = self.host_of(meeting).ok_or_else(|| Impossible::not_found("No host."))?;
        let name = name.unwrap_or_else(|| host.display_name());
        let host = Guest { name, email: host.email.clone(), customer_key };
        self.open_instance(id);
        self.admit(id, host);
        Ok(())
    }

    pub(super) fn join_meeting(
        &mut self,
        id: i64,
        guest: Guest,
    ) -> Result<Participant, Impossible> {
        let meeting = self.sim_meeting(id)?;
        if meeting.running().is_none() {
            if !meeting.setting_is("join_before_host", true) {
                return Err(Impossible::conflict("The host has not started the meeting."));
            }
            self.open_instance(id);
        }
        Ok(self.admit(id, guest))
    }

    pub(super) fn leave_meeting(&mut self, id: i64, uuid: &str) -> Result<Participant, Impossible> {
        self.present(id, uuid)?;
        self.depart(id, uuid, self.now, LEFT, true)
            .ok_or_else(|| Impossible::not_found("No such participant is in the meeting."))
    }

    /// The client is gone without a word. Zoom goes on counting it as present until it notices.
    pub(super) fn kill_client(&mut self, id: i64, uuid: &str) -> Result<Participant, Impossible> {
        let noticed_at = self.after(KILLED_CLIENT_SECONDS);
        let participant = self.present(id, uuid)?.clone();
        self.memory.killed.insert((noticed_at, id, uuid.to_owned()));
        Ok(participant)
    }

    /// Zoom: a move is a leave and a join in the same second, told in either order; the connection keeps its
    /// `participant_uuid` and gets a new `user_id`.
    pub(super) fn move_to_room(
        &mut self,
        id: i64,
        uuid: &str,
        room: Option<&str>,
    ) -> Result<Participant, Impossible> {
        let (number, new_room) = (ids::room_number(self.random), ids::meeting_uuid(self.random));
        let coin = self.random.below(2) == 0;
        self.present(id, uuid)?;
        let room = room.and_then(|name| {
            let instance = self.memory.meetings.get_mut(&id)?.running_mut()?;
            Some(instance.rooms.entry(name.to_owned()).or_insert(new_room).clone())
        });
        let participant = self.present(id, uuid)?;
        if participant.room == room {
            return Err(Impossible::conflict("The participant is in that room."));
        }
        let before = participant.clone();
        participant.parent_user_id = match (&before.room, &room) {
            (None, Some(_)) => Some(before.user_id.clone()),
            (Some(_), Some(_)) => before.parent_user_id.clone(),
            (_, None) => None,
        };
        participant.user_id = number;
        participant.room = room;
        let after = participant.clone();
        let now = self.now;
        if coin {
            self.tell_passage(id, &before, Passage::Left(now), LEFT);
            self.tell_passage(id, &after, Passage::Joined(now), "");
        } else {
            self.tell_passage(id, &after, Passage::Joined(now), "");
            self.tell_passage(id, &before, Passage::Left(now), LEFT);
        }
        Ok(after)
    }

    /// Everybody is put out and the instance is over. Nothing happens to a meeting that is not being held.
    pub(super) fn end_meeting(&mut self, id: i64) {
        let now = self.now;
        let running = self.memory.meetings.get(&id).and_then(Meeting::running);
        let Some(instance) = running else { return };
        let present: Vec<_> = instance
            .participants
            .iter()
            .filter(|participant| participant.leave_time.is_none())
            .map(|participant| participant.participant_uuid.clone())
            .collect();
        let recording = instance.recording.as_ref().map(|recording| recording.state);
        if matches!(recording, Some(RecordingState::Running | RecordingState::Paused)) {
            self.stop_recording(id);
        }
        let told = self.memory.knobs.webhooks.leaves_at_end;
        for uuid in present {
            self.depart(id, &uuid, now, ENDED, told);
        }
        let running = self.memory.meetings.get_mut(&id).and_then(Meeting::running_mut);
        if let Some(instance) = running {
            instance.ended_at = Some(now);
        }
        self.tell_ended(id, now);
    }

    /// Killed clients that Zoom has noticed by now are gone, unless the meeting was over before.
    pub(super) fn notice_killed_clients(&mut self) {
        while let Some(killed) = self.memory.killed.first()
            && killed.0 <= self.now
            && let Some((noticed_at, id, uuid)) = self.memory.killed.pop_first()
        {
            if self.present(id, &uuid).is_ok() {
                self.depart(id, &uuid, noticed_at, LEFT, true);
            }
        }
    }

    fn open_instance(&mut self, id: i64) {
        let (fresh, now) = (ids::meeting_uuid(self.random), self.now);
        let Some(meeting) = self.memory.meetings.get_mut(&id) else { return };
        // Zoom: the first instance has the UUID that the create answered; a restart gets a new one.
        if !meeting.instances.is_empty() {
            meeting.uuid = fresh;
        }
        meeting.instances.push(Instance {
            uuid: meeting.uuid.clone(),
            started_at: now,
            ended_at: None,
            participants: Vec::new(),
            rooms: Default::default(),
            recording: None,
        });
        let records = meeting.setting_is("auto_recording", "cloud");
        self.tell_started(id);
        if records {
            self.start_recording(id);
        }
    }

    fn admit(&mut self, id: i64, guest: Guest) -> Participant {
        let signed_in = self
            .memory
            .users
            .values()
            .find(|user| !guest.email.is_empty() && user.email.eq_ignore_ascii_case(&guest.email))
            .map(|user| user.id.clone());
        let host_id = self.memory.meetings.get(&id).map(|meeting| meeting.host_id.clone());
        let participant = Participant {
            participant_uuid: ids::user_id(self.random),
            user_id: ids::room_number(self.random),
            parent_user_id: None,
            name: guest.name,
            email: guest.email,
            customer_key: guest.customer_key,
            host: signed_in.is_some() && signed_in == host_id,
            zoom_user_id: signed_in,
            room: None,
            join_time: self.now,
            leave_time: None,
        };
        if let Some(instance) = self.memory.meetings.get_mut(&id).and_then(Meeting::running_mut) {
            instance.participants.push(participant.clone());
        }
        self.tell_passage(id, &participant, Passage::Joined(self.now), "");
        participant
    }

    fn depart(
        &mut self,
        id: i64,
        uuid: &str,
        at: Timestamp,
        reason: &str,
        told: bool,
    ) -> Option<Participant> {
        let instance = self.memory.meetings.get_mut(&id)?.running_mut()?;
        let mut participants = instance.participants.iter_mut();
        let participant = participants.find(|who| who.participant_uuid == uuid)?;
        participant.leave_time = Some(at);
        let participant = participant.clone();
        if told {
            self.tell_passage(id, &participant, Passage::Left(at), reason);
        }
        Some(participant)
    }

    fn present(&mut self, id: i64, uuid: &str) -> Result<&mut Participant, Impossible> {
        self.sim_meeting(id)?;
        let running = self.memory.meetings.get_mut(&id).and_then(Meeting::running_mut);
        let mut participants = running.into_iter().flat_map(|instance| &mut instance.participants);
        participants
            .find(|who| who.participant_uuid == uuid && who.leave_time.is_none())
            .ok_or_else(|| Impossible::not_found("No such participant is in the meeting."))
    }

    /// The meeting, for people: a deleted one is not to be entered.
    pub(super) fn sim_meeting(&self, id: i64) -> Result<&Meeting, Impossible> {
        self.memory
            .meetings
            .get(&id)
            .filter(|meeting| !meeting.deleted)
            .ok_or_else(|| Impossible::new(StatusCode::NOT_FOUND, "There is no such meeting."))
    }

    pub(super) fn recording_mut(&mut self, id: i64) -> Option<&mut Recording> {
        self.memory.meetings.get_mut(&id)?.instances.last_mut()?.recording.as_mut()
    }
}
