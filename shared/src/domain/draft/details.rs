//! Validation of the plain fields of a session.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{SaveBody, missing, parsed, required};
use crate::domain::id::UserId;
use crate::domain::refusal::FieldError;
use crate::domain::session::SessionDetails;
use crate::domain::text::{Description, Title};
use crate::domain::time::{Zone, instant, local_time, plus_minutes, whole_second};

/// The allowed duration of a session, in minutes.
pub const DURATION_MINUTES: std::ops::RangeInclusive<i64> = 15..=480;
/// How far ahead a session may start. A later start is more likely a typing error.
pub const MAX_AHEAD_MINUTES: i64 = 2 * 366 * 24 * 60;

/// The most co-trainers of a session. A class has one or two, and each person's id makes the session's item longer.
pub(super) const CO_TRAINERS_LIMIT: usize = 10;

/// Parses the fields. Returns `None` if one of them is wrong, after all errors were added.
pub(super) fn parse_details(
    errors: &mut Vec<FieldError>,
    body: &SaveBody,
    default_zone: &Zone,
    now: Option<Timestamp>,
) -> Option<SessionDetails> {
    let title = required(errors, "title", body.title.as_deref(), Title::parse);
    let description = body.description.as_deref().unwrap_or_default();
    let description = parsed(errors, "description", Description::parse(description));
    let zone = match &body.timezone {
        Some(name) => parsed(errors, "timezone", Zone::parse(name)),
        None => Some(default_zone.clone()),
    };
    let starts_at = match (&body.starts_at, &zone) {
        (None, _) => missing(errors, "starts_at"),
        (Some(_), None) => None,
        (Some(text), Some(zone)) => parsed(errors, "starts_at", parse_start(text, zone, now)),
    };
    let duration_minutes =
        required(errors, "duration_minutes", body.duration_minutes, parse_duration);
    let co_trainers = body.co_trainers.as_deref().unwrap_or_default();
    let co_trainers = parsed(errors, "co_trainers", parse_co_trainers(co_trainers));
    Some(SessionDetails {
        title: title?,
        description: description?,
        starts_at: starts_at?,
        zone: zone?,
        duration_minutes: duration_minutes?,
        record_session: body.record_session.unwrap_or(false),
        settings: body.settings.clone().unwrap_or_default(),
        co_trainers: co_trainers?,
    })
}

fn parse_co_trainers(ids: &[String]) -> Result<BTreeSet<UserId>, String> {
    if ids.len() > CO_TRAINERS_LIMIT {
        return Err(format!("must name at most {CO_TRAINERS_LIMIT} people"));
    }
    ids.iter()
        .map(|id| UserId::parse(id))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn parse_duration(minutes: i64) -> Result<u16, String> {
    let (min, max) = DURATION_MINUTES.into_inner();
    let duration = u16::try_from(minutes).ok().filter(|_| (min..=max).contains(&minutes));
    duration.ok_or_else(|| format!("must be from {min} to {max} minutes"))
}

/// The accepted forms of a start.
const START_FORMS: &str = "must be a time with an offset such as 2026-12-01T09:00:00Z (RFC 3339), or a local time such as \
     2026-12-01T10:00:00";

/// Parses a start: an instant (RFC 3339), or a local time without offset in `zone`. It must lie ahead of `now`.
fn parse_start(text: &str, zone: &Zone, now: Option<Timestamp>) -> Result<Timestamp, String> {
    let at = match instant(text) {
        Some(at) => at,
        None => {
            let local = local_time(text).ok_or_else(|| START_FORMS.to_owned())?;
            zone.parse_instant(local).ok_or_else(|| {
                format!("does not exist in {zone}, because the clocks go forward at that time")
            })?
        }
    };
    let at = whole_second(at);
    now.map_or(Ok(()), |now| check_start(at, now))?;
    Ok(at)
}

/// Checks that a start lies ahead of `now`, but not too far.
pub(super) fn check_start(at: Timestamp, now: Timestamp) -> Result<(), &'static str> {
    if at <= now {
        return Err("must lie in the future");
    }
    if at > plus_minutes(now, MAX_AHEAD_MINUTES) {
        return Err("must lie within the next two years");
    }
    Ok(())
}
