//! Past meetings: two lists of participants, and recordings.
//!
//! A path contains a meeting id, for the latest instance, or the UUID of an instance. Zoom: a UUID with a `/` must be
//! percent-encoded twice, otherwise the path is split at the slash and nothing is found.

use axum::extract::{Path, Query, State};
use http::HeaderMap;
use jiff::Timestamp;
use percent::decode;
use serde_json::{Map, Value, json};

use super::context::{Caller, Context};
use super::listing::{PageFormat, Parameters};
use super::recordings::{recording_body, seconds_between};
use super::responses::{ApiError, ApiResult, instant, ok};
use super::state::{Meeting, MeetingInstance, Participant, RoomStay};
use super::{Zoom, scopes};

const SECONDS_PER_MINUTE: i64 = 60;
const SECONDS_PER_YEAR: i64 = 365 * 24 * 3600;

const PARTICIPANTS: PageFormat = PageFormat::of("participants");

/// `GET /past_meetings/{meeting}`: an ended instance.
pub(super) async fn details(
    State(zoom): State<Zoom>,
    Path(meeting_ref): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::PAST_MEETING)?;
        let (meeting, instance) = context.ended_instance_in_path(&caller, &meeting_ref)?;
        let host = context.user_with_id(&meeting.host_id)?;
        let end = instance.ended_at.unwrap_or(instance.started_at);
        let seconds = |participant: &Participant| {
            seconds_between(participant.join_time, participant.leave_time.unwrap_or(end))
        };
        let total_seconds: i64 = instance.participants.iter().map(seconds).sum();
        Ok(ok(json!({
            "uuid": instance.uuid,
            "id": meeting.id,
            "host_id": meeting.host_id,
            "type": meeting.kind,
            "topic": meeting.topic,
            "user_name": host.display_name(),
            "user_email": host.email,
            "start_time": instant(instance.started_at),
            "end_time": instant(end),
            "duration": seconds_between(instance.started_at, end) / SECONDS_PER_MINUTE,
            "total_minutes": total_seconds / SECONDS_PER_MINUTE,
            "participants_count": instance.participants.len(),
            "has_meeting_summary": false,
        })))
    })
}

/// `GET /past_meetings/{meeting}/instances`: all ended instances.
pub(super) async fn instances(
    State(zoom): State<Zoom>,
    Path(meeting_ref): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::PAST_INSTANCES)?;
        let (meeting, _) = context.find_instance(&caller, &meeting_ref)?;
        let ended = meeting.instances.iter().filter(|instance| instance.ended_at.is_some());
        let rows: Vec<_> = ended
            .map(|it| json!({ "uuid": it.uuid, "start_time": instant(it.started_at) }))
            .collect();
        Ok(ok(json!({ "meetings": rows })))
    })
}

/// `GET /past_meetings/{meeting}/participants`: a row per stay in a room, without the `customer_key`.
pub(super) async fn participants(
    State(zoom): State<Zoom>,
    Path(meeting_ref): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::PAST_PARTICIPANTS)?;
        let (_, instance) = context.ended_instance_in_path(&caller, &meeting_ref)?;
        let rows = context.participant_rows(&instance, &query, |row, participant, _| {
            row.insert("internal_user".into(), participant.zoom_user_id.is_some().into());
        });
        let list_key = format!("participants of {}", instance.uuid);
        context.page(PARTICIPANTS, &list_key, rows, &query)
    })
}

/// `GET /report/meetings/{meeting}/participants`: the same rows with the `customer_key`, for administrators.
pub(super) async fn report(
    State(zoom): State<Zoom>,
    Path(meeting_ref): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::REPORT_PARTICIPANTS)?;
        let (_, instance) = context.ended_instance_in_path(&caller, &meeting_ref)?;
        let rows = context.participant_rows(&instance, &query, |row, participant, room| {
            let key = participant.customer_key.clone().unwrap_or_default();
            row.insert("customer_key".into(), key.into());
            if let Some(user) = &participant.zoom_user_id {
                row.insert("participant_user_id".into(), user.clone().into());
            }
            if let Some(room) = room {
                row.insert("bo_mtg_id".into(), room.into());
            }
        });
        let list_key = format!("report of {}", instance.uuid);
        context.page(PARTICIPANTS, &list_key, rows, &query)
    })
}

pub(super) async fn recordings(
    State(zoom): State<Zoom>,
    Path(meeting_ref): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::GET_RECORDINGS)?;
        let (meeting, instance) = context.find_instance(&caller, &meeting_ref)?;
        let host = context.user_with_id(&meeting.host_id)?;
        let body = instance.as_ref().and_then(|instance| recording_body(&meeting, instance, host));
        body.map(ok).ok_or_else(ApiError::no_recording)
    })
}

impl Context<'_> {
    /// Returns the ended instance. Zoom: lists of participants are only for paid accounts.
    fn ended_instance_in_path(
        &self,
        caller: &Caller,
        meeting_ref: &str,
    ) -> Result<(Meeting, MeetingInstance), ApiError> {
        let (meeting, instance) = self.find_instance(caller, meeting_ref)?;
        let host = self.user_with_id(&meeting.host_id)?;
        if !self.is_paid(&host.account_id) {
            return Err(ApiError::paid_accounts_only(&host.account_id));
        }
        let instance = instance
            .filter(|instance| instance.ended_at.is_some())
            .ok_or_else(|| ApiError::no_such_meeting(meeting_ref))?;
        let ended_at = instance.ended_at.unwrap_or(instance.started_at);
        if seconds_between(ended_at, self.now) > SECONDS_PER_YEAR {
            return Err(ApiError::year_ago());
        }
        Ok((meeting, instance))
    }

    /// Returns the meeting and the instance with the UUID, or the last ended instance, or the instance in progress.
    fn find_instance(
        &self,
        caller: &Caller,
        meeting_ref: &str,
    ) -> Result<(Meeting, Option<MeetingInstance>), ApiError> {
        let unknown = || ApiError::no_such_meeting(meeting_ref);
        let accessible = |meeting: &&Meeting| self.can_access(caller, meeting);
        if let Ok(id) = meeting_ref.parse::<i64>() {
            let meeting = self.state.meetings.get(&id).filter(accessible).ok_or_else(unknown)?;
            let ended = meeting.instances.iter().rfind(|instance| instance.ended_at.is_some());
            let instance = ended.or(meeting.instances.last()).cloned();
            return Ok((meeting.clone(), instance));
        }
        // The router has decoded the path once, so a visible slash was encoded only once.
        if meeting_ref.contains('/') {
            return Err(unknown());
        }
        let uuid = decode(meeting_ref).ok_or_else(unknown)?;
        let mut instances =
            self.state.meetings.values().filter(accessible).flat_map(|meeting| {
                meeting.instances.iter().map(move |instance| (meeting, instance))
            });
        let (meeting, instance) =
            instances.find(|(_, instance)| instance.uuid == uuid).ok_or_else(unknown)?;
        Ok((meeting.clone(), Some(instance.clone())))
    }

    /// Returns the participants in the lists of past participants. Zoom: a meeting with one person has none.
    fn reported_participants<'i>(
        &self,
        instance: &'i MeetingInstance,
    ) -> impl Iterator<Item = &'i Participant> + use<'i> {
        let person = |it: &'i Participant| it.zoom_user_id.as_ref().unwrap_or(&it.participant_uuid);
        let mut people = instance.participants.iter().map(person);
        let first = people.next();
        let is_alone = people.all(|person| Some(person) == first);
        instance.participants.iter().filter(move |_| !is_alone)
    }

    /// Returns the rows of a list, to each of which `complete` adds fields of the list. It gets the breakout room.
    fn participant_rows(
        &self,
        instance: &MeetingInstance,
        query: &Parameters,
        complete: impl Fn(&mut Map<String, Value>, &Participant, Option<&str>),
    ) -> Vec<Value> {
        let ended_at = instance.ended_at.unwrap_or(instance.started_at);
        let mut rows = Vec::new();
        let mut add = |participant: &Participant, stay: &RoomStay, status: &str| {
            let mut row = self.participant_row(participant, stay, ended_at, query);
            row.insert("status".into(), status.into());
            complete(&mut row, participant, stay.room.as_deref());
            rows.push(Value::Object(row));
        };
        let mut is_anybody_listed = false;
        for participant in self.reported_participants(instance) {
            is_anybody_listed = true;
            let mut stays = participant.all_stays(ended_at);
            if self.state.settings.participants_per_connection {
                let leave_time = stays.last().map_or(ended_at, |stay| stay.leave_time);
                stays.truncate(1);
                stays.iter_mut().for_each(|stay| stay.leave_time = leave_time);
            }
            stays.iter().for_each(|stay| add(participant, stay, "in_meeting"));
        }
        for waited in instance.waited.iter().filter(|_| is_anybody_listed) {
            let stays = Participant { stays: Vec::new(), ..waited.clone() }.all_stays(ended_at);
            stays.iter().for_each(|stay| add(waited, stay, "in_waiting_room"));
        }
        rows
    }

    /// Zoom: until a list is complete, all its durations are 0. The registration is returned only on request.
    fn participant_row(
        &self,
        participant: &Participant,
        stay: &RoomStay,
        ended_at: Timestamp,
        query: &Parameters,
    ) -> Map<String, Value> {
        let seconds = seconds_between(stay.join_time, stay.leave_time);
        let lag = self.state.settings.participants_lag_seconds;
        let is_complete = seconds_between(ended_at, self.now) >= lag;
        let row = json!({
            "id": participant.zoom_user_id.clone().unwrap_or_default(),
            "user_id": stay.user_id,
            "name": participant.name,
            "user_email": participant.email,
            "join_time": instant(stay.join_time),
            "leave_time": instant(stay.leave_time),
            "duration": if is_complete { seconds } else { 0 },
            "failover": false,
        });
        let Value::Object(mut row) = row else { return Map::new() };
        if query.get("include_fields").is_some_and(|fields| fields == "registrant_id") {
            let registrant = participant.registrant_id.clone().unwrap_or_default();
            row.insert("registrant_id".into(), registrant.into());
        }
        row
    }
}

mod percent {
    /// Percent-decodes a path, in which `+` is literal. Returns `None` for a malformed encoding.
    pub(super) fn decode(text: &str) -> Option<String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes().iter();
        while let Some(byte) = rest.next() {
            if *byte != b'%' {
                bytes.push(*byte);
                continue;
            }
            let digits = [*rest.next()?, *rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        }
        String::from_utf8(bytes).ok()
    }
}
