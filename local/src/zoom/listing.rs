//! `GET /users/{user}/meetings`, and how all lists turn their pages.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use http::HeaderMap;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answers::{Answer, Refusal, instant, ok};
use super::desk::Desk;
use super::memory::Meeting;
use super::{Zoom, schedule, scopes};

/// The parameters of an address. Of a repeated one the last counts.
pub(super) type Parameters = BTreeMap<String, String>;

/// Zoom: 30 entries a page unless asked otherwise, 300 at most.
const PAGE_SIZE: i64 = 30;
const LARGEST_PAGE: i64 = 300;

/// Zoom: lists cut the agenda after 250 characters.
const LISTED_AGENDA_CHARACTERS: usize = 250;

pub(super) async fn meetings(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::LIST_MEETINGS)?;
        let host = desk.user_in_path(&caller, &user)?;
        let wanted = Filter::read(&query)?;
        let now = desk.now;
        let mut meetings: Vec<_> = desk
            .memory
            .meetings
            .values()
            .filter(|meeting| meeting.host_id == host.id && !meeting.deleted)
            .filter(|meeting| wanted.takes(meeting, now))
            .collect();
        meetings.sort_by_key(|meeting| (meeting.start_time, meeting.id));
        let rows = meetings.into_iter().map(listed).collect();
        desk.page("meetings", &format!("meetings of {} {wanted:?}", host.id), rows, &query)
    })
}

/// Which meetings a list is about.
#[derive(Debug)]
struct Filter {
    kind: String,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    fn read(query: &Parameters) -> Result<Self, Refusal> {
        let kind = query.get("type").map_or("scheduled", String::as_str);
        let kinds = ["scheduled", "live", "upcoming", "upcoming_meetings", "previous_meetings"];
        if !kinds.contains(&kind) {
            return Err(Refusal::invalid_field("type", "Invalid field."));
        }
        let zone = match query.get("timezone") {
            Some(name) => schedule::zone(name).map_err(|error| Refusal::invalid(vec![error]))?,
            None => TimeZone::UTC,
        };
        let day = |name: &str| -> Result<Option<Date>, Refusal> {
            let parse = |day: &String| day.parse();
            let date = query.get(name).map(parse).transpose();
            date.map_err(|_| Refusal::invalid_field(name, "Invalid field."))
        };
        let midnight = |day: Date| {
            let at = day.to_zoned(zone.clone()).map(|midnight| midnight.timestamp());
            at.map_err(|_| Refusal::invalid_field("from", "Invalid field."))
        };
        let from = day("from")?.map(midnight).transpose()?;
        // The day named by `to` belongs to the list.
        let to = day("to")?.map(|day| midnight(day.tomorrow().unwrap_or(day))).transpose()?;
        Ok(Self { kind: kind.to_owned(), from, to })
    }

    fn takes(&self, meeting: &Meeting, now: Timestamp) -> bool {
        let (start, live) = (meeting.start_time, meeting.running().is_some());
        let end =
            start.checked_add(SignedDuration::from_mins(meeting.duration_minutes)).unwrap_or(start);
        let of_kind = match self.kind.as_str() {
            "live" => live,
            "upcoming" | "upcoming_meetings" => live || start >= now,
            "previous_meetings" => end < now,
            _ => true,
        };
        of_kind && self.from.is_none_or(|from| start >= from) && self.to.is_none_or(|to| start < to)
    }
}

fn listed(meeting: &Meeting) -> Value {
    json!({
        "uuid": meeting.uuid,
        "id": meeting.id,
        "host_id": meeting.host_id,
        "topic": meeting.topic,
        "type": meeting.kind,
        "start_time": instant(meeting.start_time),
        "duration": meeting.duration_minutes,
        "timezone": meeting.timezone,
        "agenda": meeting.agenda.chars().take(LISTED_AGENDA_CHARACTERS).collect::<String>(),
        "created_at": instant(meeting.created_at),
        "join_url": meeting.join_url(),
    })
}

impl Desk<'_> {
    /// The page of `rows` that `query` asks for, under `name`; `of` says whose list it is.
    pub(super) fn page(
        &mut self,
        name: &str,
        of: &str,
        rows: Vec<Value>,
        query: &Parameters,
    ) -> Answer {
        let size = number(query, "page_size")?.unwrap_or(PAGE_SIZE);
        if !(1..=LARGEST_PAGE).contains(&size) {
            return Err(Refusal::invalid_field("page_size", "Invalid field."));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let token = query.get("next_page_token").map_or("", String::as_str);
        let offset = self.page_offset(of, token)?;
        let total = rows.len();
        let page: Vec<_> = rows.into_iter().skip(offset).take(size).collect();
        let next = offset + page.len();
        let next = if next < total { self.next_page(of.to_owned(), next) } else { String::new() };
        Ok(ok(json!({
            "page_count": total.div_ceil(size),
            "page_size": size,
            "total_records": total,
            "next_page_token": next,
            name: page,
        })))
    }
}

/// A parameter that is a whole number.
pub(super) fn number(query: &Parameters, name: &str) -> Result<Option<i64>, Refusal> {
    let parsed = query.get(name).map(|value| value.parse()).transpose();
    parsed.map_err(|_| Refusal::invalid_field(name, "Invalid field."))
}
