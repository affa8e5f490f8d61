//! What is left of a meeting once it is over: who was there, by two reports, and its recordings.
//!
//! Here a path names a meeting by its id, which means its latest instance, or by an instance's UUID. Zoom: a UUID
//! that holds a `/` is percent-encoded twice, or the path breaks at the slash and nothing is found.

use axum::extract::{Path, Query, State};
use http::HeaderMap;
use percent::decode;
use serde_json::{Value, json};

use super::answers::{Answer, Refusal, instant, ok};
use super::desk::{Caller, Desk};
use super::listing::Parameters;
use super::memory::{Instance, Meeting, Participant};
use super::recordings::{recording_body, seconds_between};
use super::{Zoom, scopes};

/// `GET /past_meetings/{meeting}/participants`: one row per connection, without the `customer_key`.
pub(super) async fn participants(
    State(zoom): State<Zoom>,
    Path(named): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::PAST_PARTICIPANTS)?;
        let (_, instance) = desk.instance_in_path(&caller, &named)?;
        let rows = instance.participants.iter().map(|who| row(who, &instance)).collect();
        let of = format!("participants of {}", instance.uuid);
        desk.page("participants", &of, rows, &query)
    })
}

/// `GET /report/meetings/{meeting}/participants`: the same rows with the `customer_key`, for administrators.
pub(super) async fn report(
    State(zoom): State<Zoom>,
    Path(named): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::REPORT_PARTICIPANTS)?;
        let (_, instance) = desk.instance_in_path(&caller, &named)?;
        let with_key = |who: &Participant| {
            let mut row = row(who, &instance);
            if let Value::Object(fields) = &mut row {
                fields.remove("internal_user");
                fields.insert("participant_user_id".into(), who.zoom_user_id.clone().into());
                fields.retain(|_, value| !value.is_null());
                let key = who.customer_key.clone().unwrap_or_default();
                fields.insert("customer_key".into(), key.into());
            }
            row
        };
        let rows = instance.participants.iter().map(with_key).collect();
        let of = format!("report of {}", instance.uuid);
        desk.page("participants", &of, rows, &query)
    })
}

pub(super) async fn recordings(
    State(zoom): State<Zoom>,
    Path(named): Path<String>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::GET_RECORDINGS)?;
        let (meeting, instance) = desk.find(&caller, &named)?;
        let host = desk.user_with_id(&meeting.host_id)?;
        let body = instance.as_ref().and_then(|instance| recording_body(&meeting, instance, host));
        body.map(ok).ok_or_else(Refusal::no_recording)
    })
}

impl Desk<'_> {
    /// The instance that is over. Zoom: lists of participants are for paid accounts.
    fn instance_in_path(
        &self,
        caller: &Caller,
        named: &str,
    ) -> Result<(Meeting, Instance), Refusal> {
        let (meeting, instance) = self.find(caller, named)?;
        let host = self.user_with_id(&meeting.host_id)?;
        if !self.is_paid(&host.account_id) {
            return Err(Refusal::paid_accounts_only(&host.account_id));
        }
        let instance = instance
            .filter(|instance| instance.ended_at.is_some())
            .ok_or_else(|| Refusal::no_such_meeting(named))?;
        Ok((meeting, instance))
    }

    /// The meeting, and the instance meant: the one with the UUID, or the latest that is over, or the running one.
    fn find(&self, caller: &Caller, named: &str) -> Result<(Meeting, Option<Instance>), Refusal> {
        let unknown = || Refusal::no_such_meeting(named);
        let mine = |meeting: &&Meeting| self.reaches(caller, meeting);
        if let Ok(id) = named.parse::<i64>() {
            let meeting = self.memory.meetings.get(&id).filter(mine).ok_or_else(unknown)?;
            let over = meeting.instances.iter().rfind(|instance| instance.ended_at.is_some());
            let instance = over.or(meeting.instances.last()).cloned();
            return Ok((meeting.clone(), instance));
        }
        // The router has decoded once; a slash that shows by now was encoded once only.
        if named.contains('/') {
            return Err(unknown());
        }
        let uuid = decode(named).ok_or_else(unknown)?;
        let mut instances =
            self.memory.meetings.values().filter(mine).flat_map(|meeting| {
                meeting.instances.iter().map(move |instance| (meeting, instance))
            });
        let (meeting, instance) =
            instances.find(|(_, instance)| instance.uuid == uuid).ok_or_else(unknown)?;
        Ok((meeting.clone(), Some(instance.clone())))
    }
}

fn row(who: &Participant, instance: &Instance) -> Value {
    let leave_time = who.leave_time.or(instance.ended_at).unwrap_or(who.join_time);
    json!({
        "id": who.zoom_user_id.clone().unwrap_or_default(),
        "user_id": who.user_id,
        "name": who.name,
        "user_email": who.email,
        "registrant_id": "",
        "join_time": instant(who.join_time),
        "leave_time": instant(leave_time),
        "duration": seconds_between(who.join_time, leave_time),
        "failover": false,
        "status": "in_meeting",
        "internal_user": who.zoom_user_id.is_some(),
    })
}

mod percent {
    /// Percent-decoding of a path, in which a plus is a plus. Nothing for what is not encoded well.
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
