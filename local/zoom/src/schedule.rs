//! Parsing of `start_time` and `timezone`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

use super::responses::FieldError;

/// Length of `yyyy-MM-ddTHH:mm:ss`. Only an optional `Z` may follow, and no offset or fraction.
const LOCAL_LENGTH: usize = "2026-01-02T03:04:05".len();

/// Returns the time zone with this exact name.
pub(super) fn zone(name: &str) -> Result<TimeZone, FieldError> {
    TimeZone::get(name)
        .ok()
        // The lookup ignores case, but Zoom does not.
        .filter(|zone| zone.iana_name() == Some(name))
        .ok_or_else(|| FieldError::new("timezone", format!("Unknown timezone: {name}.")))
}

/// Returns the start of a meeting.
///
/// Zoom: with `timezone`, the time is local in that zone even if it ends in `Z`, so a client that converts to UTC and
/// also sends the zone has the offset applied twice. `Z` means UTC only without `timezone`.
pub(super) fn instant(
    start_time: &str,
    timezone: Option<&str>,
    users_zone: &str,
) -> Result<Timestamp, FieldError> {
    let invalid = || FieldError::new("start_time", "Invalid field.");
    let (local, utc) = match start_time.strip_suffix('Z') {
        Some(local) => (local, true),
        None => (start_time, false),
    };
    if local.len() != LOCAL_LENGTH {
        return Err(invalid());
    }
    let local: DateTime = strtime::parse("%Y-%m-%dT%H:%M:%S", local)
        .and_then(|parsed| parsed.to_datetime())
        .map_err(|_| invalid())?;
    let zone = match timezone {
        Some(name) => zone(name)?,
        None if utc => TimeZone::UTC,
        None => zone(users_zone)?,
    };
    Ok(zone.to_zoned(local).map_err(|_| invalid())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start_time: &str, timezone: Option<&str>) -> Result<String, String> {
        instant(start_time, timezone, "Europe/Berlin")
            .map(|at| at.to_string())
            .map_err(|error| error.field)
    }

    #[test]
    fn zone_is_applied_despite_a_trailing_z() {
        let kolkata = Some("Asia/Kolkata");
        assert_eq!(at("2026-12-01T10:00:00", kolkata).unwrap(), "2026-12-01T04:30:00Z");
        assert_eq!(at("2026-12-01T04:30:00Z", kolkata).unwrap(), "2026-11-30T23:00:00Z");
        assert_eq!(at("2026-12-01T04:30:00Z", None).unwrap(), "2026-12-01T04:30:00Z");
        assert_eq!(at("2026-12-01T10:00:00", None).unwrap(), "2026-12-01T09:00:00Z");
    }

    #[test]
    fn other_formats_and_unknown_zones_are_rejected() {
        for start_time in [
            "2026-12-01T10:00:00+05:30",
            "2026-12-01T10:00:00.000Z",
            "2026-12-01 10:00:00",
            "2026-12-01T10:00",
            "2026-02-30T10:00:00",
            "",
        ] {
            assert_eq!(at(start_time, None).unwrap_err(), "start_time", "{start_time}");
        }
        for name in ["Mars/Base", "asia/kolkata", "+05:30", ""] {
            assert_eq!(at("2026-12-01T10:00:00", Some(name)).unwrap_err(), "timezone", "{name}");
        }
    }
}
