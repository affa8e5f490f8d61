//! `GET /users/{user}/meetings` and pagination for all lists.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use http::HeaderMap;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::context::Context;
use super::responses::{ApiError, ApiResult, instant, ok};
use super::state::Meeting;
use super::{Zoom, schedule, scopes};

/// Query parameters. The last of repeated parameters is used.
pub(super) type Parameters = BTreeMap<String, String>;

/// Zoom: 30 entries per page by default and 300 at most.
const PAGE_SIZE: i64 = 30;
const MAX_PAGE_SIZE: i64 = 300;

/// The name of a list in its response, and the largest page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageFormat {
    pub(super) name: &'static str,
    pub(super) max_size: i64,
}

impl PageFormat {
    pub(super) const fn of(name: &'static str) -> Self {
        Self { name, max_size: MAX_PAGE_SIZE }
    }
}

/// Zoom: lists truncate the agenda after 250 characters.
const LISTED_AGENDA_CHARACTERS: usize = 250;

pub(super) async fn meetings(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::LIST_MEETINGS)?;
        let host = context.host_in_path(&caller, &user)?;
        let filter = Filter::parse(&query)?;
        let now = context.now;
        let mut meetings: Vec<_> = context
            .state
            .meetings
            .values()
            .filter(|meeting| meeting.host_id == host.id && !meeting.deleted)
            .filter(|meeting| filter.matches(meeting, now))
            .collect();
        meetings.sort_by_key(|meeting| (meeting.start_time, meeting.id));
        let rows = meetings.into_iter().map(list_entry).collect();
        let list_key = format!("meetings of {} {filter:?}", host.id);
        context.page(PageFormat::of("meetings"), &list_key, rows, &query)
    })
}

/// A filter for a list of meetings.
#[derive(Debug)]
struct Filter {
    kind: String,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    fn parse(query: &Parameters) -> Result<Self, ApiError> {
        let kind = query.get("type").map_or("scheduled", String::as_str);
        let kinds = ["scheduled", "live", "upcoming", "upcoming_meetings", "previous_meetings"];
        if !kinds.contains(&kind) {
            return Err(ApiError::invalid_field("type", "Invalid field."));
        }
        let zone = match query.get("timezone") {
            Some(name) => schedule::zone(name).map_err(|error| ApiError::invalid(vec![error]))?,
            None => TimeZone::UTC,
        };
        let day = |name: &str| -> Result<Option<Date>, ApiError> {
            let parse = |day: &String| day.parse();
            let date = query.get(name).map(parse).transpose();
            date.map_err(|_| ApiError::invalid_field(name, "Invalid field."))
        };
        let midnight = |day: Date| {
            let at = day.to_zoned(zone.clone()).map(|midnight| midnight.timestamp());
            at.map_err(|_| ApiError::invalid_field("from", "Invalid field."))
        };
        let from = day("from")?.map(midnight).transpose()?;
        // The day `to` is included.
        let to = day("to")?.map(|day| midnight(day.tomorrow().unwrap_or(day))).transpose()?;
        Ok(Self { kind: kind.to_owned(), from, to })
    }

    fn matches(&self, meeting: &Meeting, now: Timestamp) -> bool {
        let (start, live) = (meeting.start_time, meeting.active_instance().is_some());
        let end =
            start.checked_add(SignedDuration::from_mins(meeting.duration_minutes)).unwrap_or(start);
        let kind_matches = match self.kind.as_str() {
            "live" => live,
            "upcoming" | "upcoming_meetings" => live || start >= now,
            "previous_meetings" => end < now,
            _ => true,
        };
        kind_matches
            && self.from.is_none_or(|from| start >= from)
            && self.to.is_none_or(|to| start < to)
    }
}

fn list_entry(meeting: &Meeting) -> Value {
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

impl Context<'_> {
    /// Returns the response with the requested page of `rows`.
    pub(super) fn page(
        &mut self,
        format: PageFormat,
        list_key: &str,
        rows: Vec<Value>,
        query: &Parameters,
    ) -> ApiResult {
        self.page_body(format, list_key, rows, query).map(ok)
    }

    /// Returns the requested page of `rows`. Page tokens are valid only for the same `list_key`.
    pub(super) fn page_body(
        &mut self,
        format: PageFormat,
        list_key: &str,
        rows: Vec<Value>,
        query: &Parameters,
    ) -> Result<Value, ApiError> {
        let size = number(query, "page_size")?.unwrap_or(PAGE_SIZE);
        if !(1..=format.max_size).contains(&size) {
            return Err(ApiError::invalid_field("page_size", "Invalid field."));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let size = size.min(self.state.settings.list_page_size.unwrap_or(usize::MAX));
        let token = query.get("next_page_token").map_or("", String::as_str);
        let offset = self.page_offset(list_key, token)?;
        let total = rows.len();
        let page: Vec<_> = rows.into_iter().skip(offset).take(size).collect();
        let next = offset + page.len();
        let next = if next < total {
            self.create_page_token(list_key.to_owned(), next)
        } else {
            String::new()
        };
        Ok(json!({
            "page_count": total.div_ceil(size),
            "page_size": size,
            "total_records": total,
            "next_page_token": next,
            format.name: page,
        }))
    }
}

/// Parses an integer parameter.
pub(super) fn number(query: &Parameters, name: &str) -> Result<Option<i64>, ApiError> {
    let parsed = query.get(name).map(|value| value.parse()).transpose();
    parsed.map_err(|_| ApiError::invalid_field(name, "Invalid field."))
}
