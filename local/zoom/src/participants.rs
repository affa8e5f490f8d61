//! Actions of participants in a meeting: start, join, leave, move to a room, wait, call in, lose the connection.

use http::StatusCode;
use jiff::Timestamp;

use super::context::Context;
use super::events::{PresenceChange, WaitingRoomChange};
use super::ids;
use super::sim_error::SimError;
use super::state::{Meeting, MeetingInstance, Participant, Recording, RecordingState, User};

/// Zoom removes a killed client only after 60 to 90 seconds, when the person has often rejoined.
const KILLED_CLIENT_SECONDS: i64 = 75;

const LEAVE_REASON: &str = "Left the meeting.";
const END_REASON: &str = "Host ended the meeting.";

/// The details of a joining participant.
#[derive(Clone, Debug, Default)]
pub(super) struct NewParticipant {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) customer_key: Option<String>,
    pub(super) phone_number: Option<String>,
    /// The token in the personal link that the participant opens.
    pub(super) tk: Option<String>,
}

impl Context<'_> {
    /// Starts a meeting with its host as the first participant.
    pub(super) fn start_meeting(
        &mut self,
        id: i64,
        name: Option<String>,
        customer_key: Option<String>,
    ) -> Result<(), SimError> {
        let meeting = self.existing_meeting(id)?;
        if meeting.active_instance().is_some() {
            return Err(SimError::conflict("The meeting is in progress."));
        }
        self.check_concurrent_meetings(meeting)?;
        let host = self.meeting_host(meeting).ok_or_else(|| SimError::not_found("No host."))?;
        let name = name.unwrap_or_else(|| host.display_name());
        let host =
            NewParticipant { name, email: host.email.clone(), customer_key, ..Default::default() };
        self.start_instance(id);
        let host = self.new_participant(id, host, None);
        self.add_participant(id, host, true);
        Ok(())
    }

    pub(super) fn join_meeting(
        &mut self,
        id: i64,
        new_participant: NewParticipant,
    ) -> Result<Participant, SimError> {
        let registrant = self.registrant_of(id, &new_participant)?;
        let meeting = self.existing_meeting(id)?;
        if meeting.active_instance().is_none() {
            if !meeting.setting_is("join_before_host", true) {
                return Err(SimError::conflict("The host has not started the meeting."));
            }
            self.check_concurrent_meetings(meeting)?;
            self.start_instance(id);
        }
        let waiting_room = self.existing_meeting(id)?.setting_is("waiting_room", true);
        let participant = self.new_participant(id, new_participant, registrant);
        if waiting_room && !participant.host {
            // The host admits everyone at once. `enter_waiting_room` leaves this to the caller.
            let uuid = participant.participant_uuid.clone();
            self.add_waiting(id, participant, WaitingRoomChange::Joined);
            return self.admit(id, &uuid);
        }
        Ok(self.add_participant(id, participant, true))
    }

    /// Lets a person wait until the host admits them.
    pub(super) fn enter_waiting_room(
        &mut self,
        id: i64,
        new_participant: NewParticipant,
    ) -> Result<Participant, SimError> {
        if self.existing_meeting(id)?.active_instance().is_none() {
            return Err(SimError::conflict("The host has not started the meeting."));
        }
        let registrant = self.registrant_of(id, &new_participant)?;
        let participant = self.new_participant(id, new_participant, registrant);
        self.add_waiting(id, participant.clone(), WaitingRoomChange::Joined);
        Ok(participant)
    }

    /// Moves a person from the waiting room to the meeting.
    pub(super) fn admit(&mut self, id: i64, uuid: &str) -> Result<Participant, SimError> {
        let mut participant = self
            .remove_waiting(id, uuid)
            .ok_or_else(|| SimError::not_found("The participant is not in the waiting room."))?;
        self.emit_waiting_room_change(id, &participant, WaitingRoomChange::Admitted);
        self.emit_waiting_room_change(id, &participant, WaitingRoomChange::Left);
        participant.join_time = self.now;
        let emit = self.draw_waiting_room_presence();
        Ok(self.add_participant(id, participant, emit))
    }

    /// Moves a participant from the meeting to the waiting room. The connection stays the same.
    pub(super) fn put_in_waiting_room(
        &mut self,
        id: i64,
        uuid: &str,
    ) -> Result<Participant, SimError> {
        let participant = self.present_participant(id, uuid)?.clone();
        let emit = self.draw_waiting_room_presence();
        self.add_waiting(id, participant.clone(), WaitingRoomChange::PutIn);
        self.remove_participant(id, uuid, self.now, LEAVE_REASON, emit);
        Ok(participant)
    }

    fn draw_waiting_room_presence(&self) -> bool {
        let setting = self.state.settings.webhooks.waiting_room_presence;
        setting.unwrap_or_else(|| self.random.below(2) == 0)
    }

    fn add_waiting(&mut self, id: i64, participant: Participant, change: WaitingRoomChange) {
        let instance = self.state.meetings.get_mut(&id).and_then(Meeting::active_instance_mut);
        if let Some(instance) = instance {
            // The rooms that the person was in before belong to the earlier connection.
            let (room, stays) = (None, Vec::new());
            let waiting = Participant { join_time: self.now, room, stays, ..participant.clone() };
            instance.waiting.push(waiting);
        }
        self.emit_waiting_room_change(id, &participant, change);
    }

    fn remove_waiting(&mut self, id: i64, uuid: &str) -> Option<Participant> {
        let instance = self.state.meetings.get_mut(&id)?.active_instance_mut()?;
        let mut waiting = instance.waiting.iter();
        let index = waiting.position(|participant| participant.participant_uuid == uuid)?;
        let left = instance.waiting.remove(index);
        instance.waited.push(Participant { leave_time: Some(self.now), ..left.clone() });
        Some(left)
    }

    /// Zoom: a telephone is a participant of its own until it is bound to the participant who uses it.
    pub(super) fn bind_telephone(
        &mut self,
        id: i64,
        uuid: &str,
        telephone_uuid: &str,
    ) -> Result<Participant, SimError> {
        let participant = self.present_participant(id, uuid)?.clone();
        let telephone = self.present_participant(id, telephone_uuid)?.clone();
        if telephone.phone_number.is_none() {
            return Err(SimError::conflict("The second participant is not a telephone."));
        }
        self.emit_bound(id, &participant, &telephone);
        Ok(participant)
    }

    pub(super) fn leave_meeting(&mut self, id: i64, uuid: &str) -> Result<Participant, SimError> {
        if let Some(waiting) = self.remove_waiting(id, uuid) {
            self.emit_waiting_room_change(id, &waiting, WaitingRoomChange::Left);
            return Ok(waiting);
        }
        self.present_participant(id, uuid)?;
        self.remove_participant(id, uuid, self.now, LEAVE_REASON, true)
            .ok_or_else(|| SimError::not_found("The participant is not in the meeting."))
    }

    /// Disconnects a client without a leave. It is counted as present until Zoom removes it.
    pub(super) fn kill_client(&mut self, id: i64, uuid: &str) -> Result<Participant, SimError> {
        let removed_at = self.after(KILLED_CLIENT_SECONDS);
        let participant = self.present_participant(id, uuid)?.clone();
        self.state.killed.insert((removed_at, id, uuid.to_owned()));
        Ok(participant)
    }

    /// Zoom: a move emits a leave and a join in the same second and in either order. The connection keeps its
    /// `participant_uuid` and gets a new `user_id`.
    pub(super) fn move_to_room(
        &mut self,
        id: i64,
        uuid: &str,
        room: Option<&str>,
    ) -> Result<Participant, SimError> {
        let (number, new_room) = (ids::room_number(self.random), self.new_meeting_uuid());
        let leave_first = self.random.below(2) == 0;
        let now = self.now;
        self.present_participant(id, uuid)?;
        let room = room.and_then(|name| {
            let instance = self.state.meetings.get_mut(&id)?.active_instance_mut()?;
            Some(instance.rooms.entry(name.to_owned()).or_insert(new_room).clone())
        });
        let participant = self.present_participant(id, uuid)?;
        if participant.room == room {
            return Err(SimError::conflict("The participant is in that room."));
        }
        let before = participant.clone();
        participant.parent_user_id = match (&before.room, &room) {
            (None, Some(_)) => Some(before.user_id.clone()),
            (Some(_), Some(_)) => before.parent_user_id.clone(),
            (_, None) => None,
        };
        let stay = before.all_stays(now).pop();
        participant.stays.extend(stay);
        participant.user_id = number;
        participant.room = room;
        let after = participant.clone();
        if leave_first {
            self.emit_presence_change(id, &before, PresenceChange::Left(now), LEAVE_REASON);
            self.emit_presence_change(id, &after, PresenceChange::Joined(now), "");
        } else {
            self.emit_presence_change(id, &after, PresenceChange::Joined(now), "");
            self.emit_presence_change(id, &before, PresenceChange::Left(now), LEAVE_REASON);
        }
        Ok(after)
    }

    /// Removes all participants and ends the instance. Does nothing if the meeting is not in progress.
    pub(super) fn end_meeting(&mut self, id: i64) {
        let now = self.now;
        let instance = self.state.meetings.get(&id).and_then(Meeting::active_instance);
        let Some(instance) = instance else { return };
        let present: Vec<_> = instance
            .participants
            .iter()
            .filter(|participant| participant.leave_time.is_none())
            .map(|participant| participant.participant_uuid.clone())
            .collect();
        let waiting: Vec<_> =
            instance.waiting.iter().map(|waiting| waiting.participant_uuid.clone()).collect();
        let recording = instance.recording.as_ref().map(|recording| recording.state);
        for uuid in waiting {
            if let Some(waiting) = self.remove_waiting(id, &uuid) {
                self.emit_waiting_room_change(id, &waiting, WaitingRoomChange::Left);
            }
        }
        if matches!(recording, Some(RecordingState::Running | RecordingState::Paused)) {
            self.stop_recording(id);
        }
        let emit_leaves = self.state.settings.webhooks.leaves_at_end;
        for uuid in present {
            self.remove_participant(id, &uuid, now, END_REASON, emit_leaves);
        }
        let instance = self.state.meetings.get_mut(&id).and_then(Meeting::active_instance_mut);
        if let Some(instance) = instance {
            instance.ended_at = Some(now);
        }
        self.emit_ended(id, now);
    }

    /// Removes the killed clients that are due, unless their meeting has ended. Returns whether there were any.
    pub(super) fn remove_killed_clients(&mut self) -> bool {
        let mut found = false;
        while let Some(killed) = self.state.killed.first()
            && killed.0 <= self.now
            && let Some((removed_at, id, uuid)) = self.state.killed.pop_first()
        {
            found = true;
            if self.present_participant(id, &uuid).is_ok() {
                self.remove_participant(id, &uuid, removed_at, LEAVE_REASON, true);
            }
        }
        found
    }

    fn start_instance(&mut self, id: i64) {
        let (fresh, now) = (self.new_meeting_uuid(), self.now);
        let host_licence = self.meeting_and_host(id).map(|(_, host)| host.licence);
        let Some(meeting) = self.state.meetings.get_mut(&id) else { return };
        // Zoom: the first instance has the UUID from the create response. A restart gets a new one.
        if !meeting.instances.is_empty() {
            meeting.uuid = fresh;
        }
        meeting.instances.push(MeetingInstance {
            uuid: meeting.uuid.clone(),
            started_at: now,
            ended_at: None,
            host_licence,
            participants: Vec::new(),
            waiting: Vec::new(),
            waited: Vec::new(),
            rooms: Default::default(),
            recording: None,
        });
        let auto_record = meeting.setting_is("auto_recording", "cloud");
        self.limit_unlicensed_meeting(id);
        self.emit_started(id);
        if auto_record {
            self.start_recording(id);
        }
    }

    /// Zoom: the host needs no registration, and a telephone cannot have one.
    fn registrant_of(
        &self,
        id: i64,
        new_participant: &NewParticipant,
    ) -> Result<Option<String>, SimError> {
        let host_id = &self.existing_meeting(id)?.host_id;
        let is_host = self.signed_in_user(&new_participant.email).as_ref() == Some(host_id);
        if is_host || new_participant.phone_number.is_some() {
            return Ok(None);
        }
        self.admitted_registrant(id, new_participant.tk.as_deref())
    }

    /// Returns the id of the Zoom user with an address.
    fn signed_in_user(&self, email: &str) -> Option<String> {
        let mut users = self.state.users.values();
        let has_address =
            |user: &&User| !email.is_empty() && user.email.eq_ignore_ascii_case(email);
        users.find(has_address).map(|user| user.id.clone())
    }

    fn new_participant(
        &self,
        id: i64,
        new_participant: NewParticipant,
        registrant_id: Option<String>,
    ) -> Participant {
        let signed_in = self.signed_in_user(&new_participant.email);
        let host_id = self.state.meetings.get(&id).map(|meeting| meeting.host_id.clone());
        Participant {
            participant_uuid: ids::user_id(self.random),
            user_id: ids::room_number(self.random),
            parent_user_id: None,
            name: new_participant.name,
            email: new_participant.email,
            customer_key: new_participant.customer_key,
            phone_number: new_participant.phone_number,
            registrant_id,
            host: signed_in.is_some() && signed_in == host_id,
            zoom_user_id: signed_in,
            room: None,
            stays: Vec::new(),
            join_time: self.now,
            leave_time: None,
        }
    }

    fn add_participant(&mut self, id: i64, participant: Participant, emit: bool) -> Participant {
        if let Some(instance) =
            self.state.meetings.get_mut(&id).and_then(Meeting::active_instance_mut)
        {
            instance.participants.push(participant.clone());
        }
        if emit {
            self.emit_presence_change(id, &participant, PresenceChange::Joined(self.now), "");
        }
        participant
    }

    fn remove_participant(
        &mut self,
        id: i64,
        uuid: &str,
        at: Timestamp,
        reason: &str,
        emit: bool,
    ) -> Option<Participant> {
        let instance = self.state.meetings.get_mut(&id)?.active_instance_mut()?;
        let mut participants = instance.participants.iter_mut();
        // A participant who was in the waiting room has an earlier entry with the same UUID.
        let participant = participants.find(|participant| {
            participant.participant_uuid == uuid && participant.leave_time.is_none()
        })?;
        participant.leave_time = Some(at);
        let participant = participant.clone();
        if emit {
            self.emit_presence_change(id, &participant, PresenceChange::Left(at), reason);
        }
        Some(participant)
    }

    fn present_participant(&mut self, id: i64, uuid: &str) -> Result<&mut Participant, SimError> {
        self.existing_meeting(id)?;
        let instance = self.state.meetings.get_mut(&id).and_then(Meeting::active_instance_mut);
        let mut participants = instance.into_iter().flat_map(|instance| &mut instance.participants);
        participants
            .find(|participant| {
                participant.participant_uuid == uuid && participant.leave_time.is_none()
            })
            .ok_or_else(|| SimError::not_found("The participant is not in the meeting."))
    }

    /// Returns the meeting unless it was deleted.
    pub(super) fn existing_meeting(&self, id: i64) -> Result<&Meeting, SimError> {
        self.state
            .meetings
            .get(&id)
            .filter(|meeting| !meeting.deleted)
            .ok_or_else(|| SimError::new(StatusCode::NOT_FOUND, "The meeting does not exist."))
    }

    pub(super) fn recording_mut(&mut self, id: i64) -> Option<&mut Recording> {
        self.state.meetings.get_mut(&id)?.instances.last_mut()?.recording.as_mut()
    }
}
