//! Cloud recordings: their states and events, and `GET /meetings/{meeting}/recordings`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::ids;
use super::meetings::ZOOM_WEB;
use super::responses::instant;
use super::sim_error::SimError;
use super::state::{Meeting, MeetingInstance, Recording, RecordingFile, RecordingState, User};

/// Invented but constant sizes per recorded second.
const VIDEO_BYTES_PER_SECOND: u64 = 60_000;
const AUDIO_BYTES_PER_SECOND: u64 = 8_000;
const TRANSCRIPT_BYTES: u64 = 4_000;

/// The type of a transcript's file.
const TRANSCRIPT: &str = "TRANSCRIPT";

impl Context<'_> {
    /// Applies an action that a participant takes in the meeting or the host on Zoom's recordings page.
    pub(super) fn apply_recording_action(&mut self, id: i64, action: &str) -> Result<(), SimError> {
        use RecordingState as S;
        let meeting = self.existing_meeting(id)?;
        let in_progress = meeting.active_instance().is_some();
        let Some(last) = meeting.instances.last() else {
            return Err(SimError::conflict("The meeting was never started."));
        };
        let state = last.recording.as_ref().map(|recording| recording.state);
        let wrong_state =
            || Err(SimError::conflict("The recording is in the wrong state for this action."));
        match (action, state) {
            ("start", None | Some(S::Stopped)) if in_progress => self.start_recording(id),
            ("pause", Some(S::Running)) => {
                self.set_recording_state(id, S::Paused, "recording.paused")
            }
            ("resume", Some(S::Paused)) => {
                self.set_recording_state(id, S::Running, "recording.resumed")
            }
            ("stop", Some(S::Running | S::Paused)) => self.stop_recording(id),
            ("complete", _) => self.complete_recording(id),
            ("trash", Some(S::Completed)) => {
                self.set_file_state(id, S::Trashed, "recording.trashed");
            }
            ("delete", Some(S::Completed | S::Trashed)) => {
                self.set_file_state(id, S::Deleted, "recording.deleted");
            }
            ("recover", Some(S::Trashed)) => {
                self.set_file_state(id, S::Completed, "recording.recovered");
            }
            ("transcript", Some(S::Completed)) => self.complete_transcript(id),
            ("batch_trash", _) if self.change_batch(id, &[S::Completed], S::Trashed) => {}
            ("batch_delete", _)
                if self.change_batch(id, &[S::Completed, S::Trashed], S::Deleted) => {}
            ("batch_recover", _) if self.change_batch(id, &[S::Trashed], S::Completed) => {}
            (
                "start" | "pause" | "resume" | "stop" | "trash" | "delete" | "recover"
                | "transcript",
                _,
            )
            | ("batch_trash" | "batch_delete" | "batch_recover", _) => return wrong_state(),
            _ => return Err(SimError::unprocessable("Unknown action.")),
        }
        Ok(())
    }

    pub(super) fn start_recording(&mut self, id: i64) {
        let (now, password) = (self.now, ids::passcode(self.random));
        let play_passcode = ids::play_passcode(self.random);
        let share_url = format!("{ZOOM_WEB}/rec/share/{}", ids::token(self.random));
        let instance = self.state.meetings.get_mut(&id).and_then(|m| m.instances.last_mut());
        let Some(instance) = instance else { return };
        let recording = instance.recording.get_or_insert(Recording {
            state: RecordingState::Running,
            started_at: now,
            stopped_at: None,
            password,
            play_passcode,
            share_url,
            files: Vec::new(),
        });
        recording.state = RecordingState::Running;
        recording.stopped_at = None;
        self.emit_recording_event(id, "recording.started");
    }

    pub(super) fn stop_recording(&mut self, id: i64) {
        let now = self.now;
        if let Some(recording) = self.recording_mut(id) {
            recording.stopped_at = Some(now);
        }
        self.set_recording_state(id, RecordingState::Stopped, "recording.stopped");
    }

    fn set_recording_state(&mut self, id: i64, state: RecordingState, event: &str) {
        if let Some(recording) = self.recording_mut(id) {
            recording.state = state;
        }
        self.emit_recording_event(id, event);
    }

    /// Completes the recording. Zoom can emit this event twice, with different links to the same files.
    fn complete_recording(&mut self, id: i64) {
        let now = self.now;
        let Some(instance) = self.state.meetings.get(&id).and_then(|m| m.instances.last()) else {
            return;
        };
        let (started_at, ended_at) = (instance.started_at, instance.ended_at);
        if instance.recording.is_none() {
            let recording = Recording {
                state: RecordingState::Stopped,
                started_at,
                stopped_at: Some(ended_at.unwrap_or(now)),
                password: ids::passcode(self.random),
                play_passcode: ids::play_passcode(self.random),
                share_url: format!("{ZOOM_WEB}/rec/share/{}", ids::token(self.random)),
                files: Vec::new(),
            };
            if let Some(instance) =
                self.state.meetings.get_mut(&id).and_then(|m| m.instances.last_mut())
            {
                instance.recording = Some(recording);
            }
        }
        let random = self.random.clone();
        let Some(recording) = self.recording_mut(id) else { return };
        recording.state = RecordingState::Completed;
        let stopped_at = *recording.stopped_at.get_or_insert(ended_at.unwrap_or(now));
        if recording.files.is_empty() {
            let seconds = stopped_at.as_second() - recording.started_at.as_second();
            let seconds = u64::try_from(seconds).unwrap_or(0).max(1);
            let file = |file_type: &str, recording_type: &str, rate: u64| RecordingFile {
                id: ids::file_id(&random),
                file_type: file_type.to_owned(),
                recording_type: recording_type.to_owned(),
                size_bytes: seconds * rate,
                link: String::new(),
            };
            recording.files = vec![
                file("MP4", "shared_screen_with_speaker_view", VIDEO_BYTES_PER_SECOND),
                file("M4A", "audio_only", AUDIO_BYTES_PER_SECOND),
            ];
        }
        for file in &mut recording.files {
            file.link = ids::token(&random);
        }
        let Some((host, mut object)) = self.recording_object(id, |file| !file.is_transcript())
        else {
            return;
        };
        object.insert("host_email".into(), host.email.clone().into());
        if let Some(recording) = self.recording_mut(id) {
            object.insert("password".into(), recording.password.clone().into());
            object.insert("recording_play_passcode".into(), recording.play_passcode.clone().into());
        }
        object.insert("on_prem".into(), false.into());
        let body = json!({
            "event": "recording.completed",
            "event_ts": now.as_millisecond(),
            "download_token": ids::token(self.random),
            "payload": { "account_id": host.account_id, "object": object },
        });
        self.enqueue_webhook("recording.completed", id, &body);
    }

    /// Adds the transcript, which Zoom completes after the other files.
    fn complete_transcript(&mut self, id: i64) {
        let random = self.random.clone();
        let Some(recording) = self.recording_mut(id) else { return };
        if !recording.files.iter().any(RecordingFile::is_transcript) {
            recording.files.push(RecordingFile {
                id: ids::file_id(&random),
                file_type: TRANSCRIPT.to_owned(),
                recording_type: "audio_transcript".to_owned(),
                size_bytes: TRANSCRIPT_BYTES,
                link: ids::token(&random),
            });
        }
        let password = recording.password.clone();
        let Some((host, mut object)) = self.recording_object(id, RecordingFile::is_transcript)
        else {
            return;
        };
        object.insert("host_email".into(), host.email.clone().into());
        object.insert("password".into(), password.into());
        let event = "recording.transcript_completed";
        let body = json!({
            "event": event,
            "event_ts": self.now.as_millisecond(),
            "download_token": ids::token(self.random),
            "payload": { "account_id": host.account_id, "object": object },
        });
        self.enqueue_webhook(event, id, &body);
    }

    /// Changes the recordings of all instances that are in one of the states `from`. Returns whether there were any.
    ///
    /// Zoom: the event names no meeting id, but the UUIDs of instances, and for two of the three events the files.
    fn change_batch(&mut self, id: i64, from: &[RecordingState], to: RecordingState) -> bool {
        let Some(meeting) = self.state.meetings.get_mut(&id) else { return false };
        let mut changed = Vec::new();
        for instance in &mut meeting.instances {
            if let Some(recording) = &mut instance.recording
                && from.contains(&recording.state)
            {
                recording.state = to;
                let files: Vec<_> = recording.files.iter().map(|file| file.id.clone()).collect();
                changed.push((instance.uuid.clone(), files));
            }
        }
        let Some((_, host)) = self.meeting_and_host(id) else { return false };
        let mut payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
        });
        let event = match to {
            RecordingState::Trashed => {
                let uuids: Vec<_> = changed.iter().map(|(uuid, _)| uuid).collect();
                payload["operation"] = "trash_user_recordings".into();
                payload["object"] = json!({ "meeting_uuids": uuids });
                "recording.batch_trashed"
            }
            _ => {
                let meetings: Vec<_> = changed
                    .iter()
                    .map(|(uuid, files)| {
                        json!({ "meeting_uuid": uuid, "recording_file_ids": files })
                    })
                    .collect();
                payload["object"] = json!({ "meetings": meetings });
                match to {
                    RecordingState::Deleted => "recording.batch_deleted",
                    _ => "recording.batch_recovered",
                }
            }
        };
        if !changed.is_empty() {
            self.emit_event(event, id, self.now, payload);
        }
        !changed.is_empty()
    }

    fn set_file_state(&mut self, id: i64, state: RecordingState, event: &str) {
        if let Some(recording) = self.recording_mut(id) {
            recording.state = state;
        }
        let Some((host, object)) = self.recording_object(id, |_| true) else { return };
        let payload = json!({
            "account_id": host.account_id,
            "operator": host.email,
            "operator_id": host.id,
            "object": object,
        });
        self.emit_event(event, id, self.now, payload);
    }

    fn emit_recording_event(&mut self, id: i64, event: &str) {
        let Some((meeting, host)) = self.meeting_and_host(id) else { return };
        let Some(instance) = meeting.instances.last() else { return };
        let Some(recording) = &instance.recording else { return };
        let mut object = recording_header(meeting, instance);
        let end = recording.stopped_at.map(instant).unwrap_or_default();
        let file =
            json!({ "recording_start": instant(recording.started_at), "recording_end": end });
        object.insert("recording_file".into(), file);
        let payload = json!({ "account_id": host.account_id, "object": object });
        self.emit_event(event, id, self.now, payload);
    }

    /// Returns the host and the recording with the files that `include` selects.
    fn recording_object(
        &self,
        id: i64,
        include: impl Fn(&RecordingFile) -> bool,
    ) -> Option<(User, Map<String, Value>)> {
        let (meeting, host) = self.meeting_and_host(id)?;
        let instance = meeting.instances.last()?;
        let mut recording = instance.recording.clone()?;
        recording.files.retain(include);
        let mut object = recording_header(meeting, instance);
        object.insert("account_id".into(), host.account_id.clone().into());
        object.extend(recording_contents(instance, &recording));
        Some((host.clone(), object))
    }
}

impl RecordingFile {
    fn is_transcript(&self) -> bool {
        self.file_type == TRANSCRIPT
    }
}

/// Returns the body of `GET /meetings/{meeting}/recordings`, or `None` unless the recording is complete.
pub(super) fn recording_body(
    meeting: &Meeting,
    instance: &MeetingInstance,
    host: &User,
) -> Option<Value> {
    let recording = instance.recording.as_ref()?;
    if recording.state != RecordingState::Completed {
        return None;
    }
    let mut body = recording_header(meeting, instance);
    body.insert("account_id".into(), host.account_id.clone().into());
    // Zoom: a string here, but a number in the event.
    body.insert("type".into(), meeting.kind.to_string().into());
    body.insert("password".into(), recording.password.clone().into());
    body.insert("recording_play_passcode".into(), recording.play_passcode.clone().into());
    body.extend(recording_contents(instance, recording));
    Some(body.into())
}

/// Returns an entry of the list of a user's recordings. Zoom: it has no password.
pub(super) fn listed_recording(
    meeting: &Meeting,
    instance: &MeetingInstance,
    recording: &Recording,
    host: &User,
) -> Value {
    let mut entry = recording_header(meeting, instance);
    entry.insert("account_id".into(), host.account_id.clone().into());
    entry.insert("type".into(), meeting.kind.to_string().into());
    entry.insert("recording_play_passcode".into(), recording.play_passcode.clone().into());
    entry.extend(recording_contents(instance, recording));
    entry.into()
}

fn recording_header(meeting: &Meeting, instance: &MeetingInstance) -> Map<String, Value> {
    let heading = json!({
        "id": meeting.id,
        "uuid": instance.uuid,
        "host_id": meeting.host_id,
        "topic": meeting.topic,
        "type": meeting.kind,
        "start_time": instant(instance.started_at),
        "timezone": meeting.timezone,
        "duration": duration_minutes(instance),
    });
    let Value::Object(heading) = heading else { return Map::new() };
    heading
}

fn recording_contents(instance: &MeetingInstance, recording: &Recording) -> Map<String, Value> {
    let end = recording.stopped_at.unwrap_or(recording.started_at);
    let files: Vec<_> = recording
        .files
        .iter()
        .map(|file| {
            json!({
                "id": file.id,
                "meeting_id": instance.uuid,
                "recording_start": instant(recording.started_at),
                "recording_end": instant(end),
                "file_type": file.file_type,
                "file_extension": if file.is_transcript() { "VTT" } else { &file.file_type },
                "file_size": file.size_bytes,
                "play_url": format!("{ZOOM_WEB}/rec/play/{}", file.link),
                "download_url": format!("{ZOOM_WEB}/rec/download/{}", file.link),
                "status": "completed",
                "recording_type": file.recording_type,
            })
        })
        .collect();
    let total: u64 = recording.files.iter().map(|file| file.size_bytes).sum();
    let contents = json!({
        "share_url": recording.share_url,
        "total_size": total,
        "recording_count": files.len(),
        "recording_files": files,
    });
    let Value::Object(contents) = contents else { return Map::new() };
    contents
}

fn duration_minutes(instance: &MeetingInstance) -> i64 {
    const MINUTE: i64 = 60;
    let end = instance.ended_at.unwrap_or(instance.started_at);
    seconds_between(instance.started_at, end).div_euclid(MINUTE)
}

pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second()).max(0)
}
