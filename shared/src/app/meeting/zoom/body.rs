//! A session as Zoom's request body, and the parts of it that an edit changes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::app::meeting::MeetingPlan;
use crate::domain::meeting_fields::{self, agenda_with_mark};
use crate::domain::time::Zone;
use crate::zoom::{AutoRecording, MeetingBody, MeetingBodySettings, RegistrationSettings};

pub(super) const UTC: &str = "UTC";

/// Returns Zoom's `start_time` and `timezone` of an instant.
pub(super) fn start_in_utc(at: Timestamp) -> (String, &'static str) {
    (zoom_time(Zone::utc().wall_clock(at)), UTC)
}

fn zoom_time(wall_clock: jiff::civil::DateTime) -> String {
    wall_clock.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Converts a session to Zoom's request body.
pub(super) fn meeting_body(plan: &MeetingPlan) -> MeetingBody {
    // A local time that occurs twice when daylight saving ends is ambiguous, and Zoom does not document its choice. In
    // UTC it is unique.
    let (start_time, timezone) = if plan.details.zone.is_ambiguous(plan.details.starts_at) {
        start_in_utc(plan.details.starts_at)
    } else {
        (zoom_time(plan.details.zone.wall_clock(plan.details.starts_at)), plan.details.zone.name())
    };
    let mut others = plan.details.settings.clone();
    others.waiting_room = Some(plan.details.settings.waiting_room());
    others.join_before_host = Some(plan.details.settings.join_before_host());
    MeetingBody {
        topic: plan.details.title.as_str().to_owned(),
        r#type: 2,
        start_time,
        timezone: timezone.to_owned(),
        duration: plan.details.duration_minutes,
        agenda: agenda_with_mark(plan.details.description.as_str(), &plan.session),
        password: None,
        settings: MeetingBodySettings {
            auto_recording: if plan.details.record_session {
                AutoRecording::Cloud
            } else {
                AutoRecording::None
            },
            registration: plan.has_registration.then_some(RegistrationSettings {
                approval_type: meeting_fields::APPROVED_AT_ONCE,
                registrants_confirmation_email: false,
                registrants_email_notification: false,
            }),
            others,
        },
    }
}

fn as_map(plan: &MeetingPlan) -> Map<String, Value> {
    let Ok(Value::Object(mut map)) = serde_json::to_value(meeting_body(plan)) else {
        return Map::new();
    };
    if let Some(Value::Object(settings)) = map.get_mut("settings") {
        for name in &plan.settings_sent {
            settings.entry(name).or_insert(Value::Bool(false));
        }
    }
    map
}

/// Returns the fields of `new` that differ from `old`, or all fields if Zoom's state is unknown. `None` if there
/// are none.
pub(in crate::app::meeting) fn patch(
    old: Option<&MeetingPlan>,
    new: &MeetingPlan,
) -> Option<Value> {
    let old = old.map(as_map).unwrap_or_default();
    let mut patch = differences(&old, as_map(new));
    // Zoom interprets the start in the time zone of the same request.
    if patch.contains_key("start_time") || patch.contains_key("timezone") {
        let whole = as_map(new);
        for field in ["start_time", "timezone"] {
            patch.extend(whole.get(field).map(|value| (field.to_owned(), value.clone())));
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Returns the given fields of `plan`, by the names of [`meeting_fields`]. `None` if there are none.
pub(super) fn patch_of_fields(plan: &MeetingPlan, fields: &BTreeSet<String>) -> Option<Value> {
    let whole = as_map(plan);
    let (mut patch, mut settings) = (Map::new(), Map::new());
    for field in fields {
        let names: &[&str] = match field.as_str() {
            meeting_fields::TITLE => &["topic"],
            meeting_fields::DESCRIPTION => &["agenda"],
            // Zoom interprets the start in the time zone of the same request.
            meeting_fields::STARTS_AT | meeting_fields::TIMEZONE => &["start_time", "timezone"],
            meeting_fields::DURATION => &["duration"],
            _ => &[],
        };
        let value = |name: &&str| Some(((*name).to_owned(), whole.get(*name)?.clone()));
        patch.extend(names.iter().filter_map(value));
        let setting = match field.as_str() {
            meeting_fields::RECORDING => Some(meeting_fields::AUTO_RECORDING),
            other => other.strip_prefix(meeting_fields::SETTING_PREFIX),
        };
        if let Some(name) = setting
            && let Some(value) = whole.get("settings").and_then(|settings| settings.get(name))
        {
            settings.insert(name.to_owned(), value.clone());
        }
    }
    if !settings.is_empty() {
        patch.insert("settings".to_owned(), settings.into());
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn differences(old: &Map<String, Value>, new: Map<String, Value>) -> Map<String, Value> {
    let changed = new.into_iter().filter_map(|(field, value)| match (old.get(&field), value) {
        (Some(Value::Object(before)), Value::Object(after)) => {
            let inner = differences(before, after);
            (!inner.is_empty()).then_some((field, Value::Object(inner)))
        }
        (before, after) => (before != Some(&after)).then_some((field, after)),
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::session::{SessionDetails, testing};
    use crate::domain::text::Title;
    use serde_json::json;

    fn plan(starts_at: &str, zone: &str) -> MeetingPlan {
        let details = testing::details(starts_at.parse().unwrap());
        MeetingPlan {
            session: SessionId::from_bytes([1; 16]),
            details: SessionDetails { zone: Zone::parse(zone).unwrap(), ..details },
            settings_sent: Default::default(),
            has_registration: false,
        }
    }

    #[test]
    fn ambiguous_local_start_is_sent_in_utc_and_others_in_local_time() {
        for (at, zone, start_time, timezone) in [
            ("2026-12-01T09:00:00Z", "Europe/Berlin", "2026-12-01T10:00:00", "Europe/Berlin"),
            ("2027-10-31T00:30:00Z", "Europe/Berlin", "2027-10-31T00:30:00", "UTC"),
            ("2027-10-31T01:30:00Z", "Europe/Berlin", "2027-10-31T01:30:00", "UTC"),
            ("2027-10-31T02:30:00Z", "Europe/Berlin", "2027-10-31T03:30:00", "Europe/Berlin"),
            ("2028-02-29T20:00:00Z", "Asia/Kolkata", "2028-03-01T01:30:00", "Asia/Kolkata"),
        ] {
            let body = meeting_body(&plan(at, zone));
            assert_eq!(
                (body.start_time.as_str(), body.timezone.as_str()),
                (start_time, timezone),
                "{at} {zone}"
            );
        }
    }

    #[test]
    fn patch_contains_only_changed_fields() {
        let old = plan("2026-12-01T09:00:00Z", "Europe/Berlin");
        assert_eq!(patch(Some(&old), &old), None);
        let changed = |change: fn(&mut SessionDetails)| {
            let mut new = old.clone();
            change(&mut new.details);
            new
        };
        let cases = [
            (
                changed(|details| details.title = Title::parse("Geometry").unwrap()),
                json!({"topic": "Geometry"}),
            ),
            (changed(|details| details.duration_minutes = 90), json!({"duration": 90})),
            (
                changed(|details| details.starts_at = "2026-12-01T10:00:00Z".parse().unwrap()),
                json!({"start_time": "2026-12-01T11:00:00", "timezone": "Europe/Berlin"}),
            ),
            (
                changed(|details| details.record_session = true),
                json!({"settings": {"auto_recording": "cloud"}}),
            ),
            (
                changed(|details| details.settings.waiting_room = Some(true)),
                json!({"settings": {"waiting_room": true}}),
            ),
            (changed(|details| details.settings.waiting_room = Some(false)), Value::Null),
            (
                // An earlier edit with an unknown outcome may have sent it.
                MeetingPlan { settings_sent: ["watermark".to_owned()].into(), ..old.clone() },
                json!({"settings": {"watermark": false}}),
            ),
        ];
        for (new, expected) in cases {
            assert_eq!(patch(Some(&old), &new).unwrap_or_default(), expected);
        }
        let whole = patch(None, &old).unwrap();
        assert_eq!(
            whole["settings"],
            json!({"auto_recording": "none", "waiting_room": false, "join_before_host": false})
        );
        assert!(whole.get("password").is_none(), "an edit never changes the passcode");
        let registered = MeetingPlan { has_registration: true, ..old.clone() };
        assert_eq!(patch(Some(&registered), &registered), None);
        let whole = patch(None, &registered).unwrap();
        assert_eq!(whole["settings"]["approval_type"], 0);
        assert_eq!(whole["settings"]["registrants_email_notification"], false);
    }
}
