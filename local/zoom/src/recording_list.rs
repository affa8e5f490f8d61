//! `GET /users/{user}/recordings`: the recordings of a host's meetings.

use axum::extract::{Path, Query, State};
use http::HeaderMap;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::context::Context;
use super::listing::{PageFormat, Parameters};
use super::recordings::listed_recording;
use super::responses::{ApiError, ApiResult, ok};
use super::state::{RecordingState, User};
use super::{Zoom, scopes};

const PAGE: PageFormat = PageFormat { name: "meetings", max_size: 300 };

pub(super) async fn recordings(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::LIST_RECORDINGS)?;
        let host = context.user_in_path(&caller, &user)?;
        let period = Period::parse(&query, context.today())?;
        let is_trash = query.get("trash").is_some_and(|value| value == "true");
        let rows = context.recording_rows(&host, &period, is_trash, &query);
        let list_key = format!("recordings of {} {period:?} {is_trash}", host.id);
        let page = context.page_body(PAGE, &list_key, rows, &query)?;
        Ok(ok(period.describe(page)))
    })
}

/// The days of a request, both included.
#[derive(Debug)]
struct Period {
    from: Date,
    to: Date,
}

impl Period {
    /// Zoom: the default is today. A longer period than a month is shortened to the month before `to`, and only `from`
    /// in the response shows it.
    fn parse(query: &Parameters, today: Date) -> Result<Self, ApiError> {
        let day = |name: &str, default: Date| match query.get(name) {
            Some(text) => text.parse().map_err(|_| ApiError::invalid_field(name, "Invalid field.")),
            None => Ok(default),
        };
        let from: Date = day("from", today)?;
        let to: Date = day("to", today.max(from))?;
        if from > to {
            return Err(ApiError::invalid_field("from", "Invalid field."));
        }
        let month_before = to.checked_sub(1.month()).unwrap_or(from);
        Ok(Self { from: from.max(month_before), to })
    }

    fn contains(&self, at: Timestamp) -> bool {
        let day = at.to_zoned(TimeZone::UTC).date();
        (self.from..=self.to).contains(&day)
    }

    fn describe(&self, mut page: Value) -> Value {
        page["from"] = self.from.to_string().into();
        page["to"] = self.to.to_string().into();
        page
    }
}

impl Context<'_> {
    /// Returns one row per meeting instance with a recording. Zoom: the trash cannot be filtered by date.
    fn recording_rows(
        &self,
        host: &User,
        period: &Period,
        is_trash: bool,
        query: &Parameters,
    ) -> Vec<Value> {
        let state = if is_trash { RecordingState::Trashed } else { RecordingState::Completed };
        let meeting_id = query.get("meeting_id");
        let meetings = self.state.meetings.values().filter(|meeting| {
            meeting.host_id == host.id && meeting_id.is_none_or(|id| *id == meeting.id.to_string())
        });
        let instances = meetings
            .flat_map(|meeting| meeting.instances.iter().map(move |instance| (meeting, instance)));
        instances
            .filter(|(_, instance)| is_trash || period.contains(instance.started_at))
            .filter_map(|(meeting, instance)| {
                let recording = instance.recording.as_ref().filter(|it| it.state == state)?;
                Some(listed_recording(meeting, instance, recording, host))
            })
            .collect()
    }
}
