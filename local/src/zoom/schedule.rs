//! When a meeting is, by what was asked for.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

use super::answers::FieldError;

/// `yyyy-MM-ddTHH:mm:ss`, with or without `Z`, and nothing else: no offset, no fraction.
const LOCAL_LENGTH: usize = "2026-01-02T03:04:05".len();

/// The zone of that name, if Zoom knows it.
pub(super) fn zone(name: &str) -> Result<TimeZone, FieldError> {
    TimeZone::get(name)
        .ok()
        // The look-up forgives case; Zoom does not.
        .filter(|zone| zone.iana_name() == Some(name))
        .ok_or_else(|| FieldError::new("timezone", format!("Unknown timezone: {name}.")))
}

/// The instant that Zoom makes of `start_time` with `timezone`.
///
/// Zoom: with a zone, the clock time is taken as that zone's even when it ends in `Z`, so who converts to UTC and
/// sends the zone as well has it applied twice. Only a `Z` without a zone means UTC.
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
    fn a_trailing_z_with_a_zone_has_the_zone_applied_again() {
        let kolkata = Some("Asia/Kolkata");
        assert_eq!(at("2026-12-01T10:00:00", kolkata).unwrap(), "2026-12-01T04:30:00Z");
        assert_eq!(at("2026-12-01T04:30:00Z", kolkata).unwrap(), "2026-11-30T23:00:00Z");
        assert_eq!(at("2026-12-01T04:30:00Z", None).unwrap(), "2026-12-01T04:30:00Z");
        assert_eq!(at("2026-12-01T10:00:00", None).unwrap(), "2026-12-01T09:00:00Z");
    }

    #[test]
    fn other_forms_and_unknown_zones_are_refused() {
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
