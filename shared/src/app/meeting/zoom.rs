//! Meetings at Zoom, under the trainer's own account.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{MeetingError, MeetingProvider, NewMeeting, MeetingPlan};
use crate::app::Services;
use crate::app::zoom_access::{ZoomAccess, with_token};
use crate::domain::id::{MeetingId, SessionId};
use crate::random::Random;
use crate::zoom::{AutoRecording, Created, MeetingBody, MeetingBodySettings, marked};

/// Zoom: a passcode has at most 10 characters.
const PASSCODE_CHARS: usize = 10;
/// Letters and digits that are not taken for one another when read out.
const PASSCODE_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// Zoom with a token of the trainer.
#[derive(Debug)]
pub struct ZoomMeetings<'a> {
    tools: &'a Services,
    ready: ZoomAccess,
}

impl<'a> ZoomMeetings<'a> {
    pub fn new(tools: &'a Services, ready: ZoomAccess) -> Self {
        Self { tools, ready }
    }

    /// The meetings at Zoom that carry the mark of the class.
    pub async fn marked(
        &mut self,
        session: &SessionId,
        topic: &str,
        starts_at: Timestamp,
    ) -> Result<Vec<NewMeeting>, MeetingError> {
        let Self { tools, ready } = self;
        let found = with_token!(tools, *ready, |access| tools.zoom.meetings_marked(
            access,
            session,
            topic,
            starts_at,
            tools.clock.now()
        ))?;
        Ok(found.into_iter().map(|created| of_account(ready, created)).collect())
    }
}

/// A meeting of the account that the trainer connected.
fn of_account(ready: &ZoomAccess, created: Created) -> NewMeeting {
    NewMeeting {
        account: ready.connection.zoom_user.account().map(str::to_owned),
        id: Some(created.id),
        is_recorded: is_recorded(&created),
        join_url: created.join_url,
        passcode: created.passcode,
    }
}

/// Whether Zoom will record a meeting in the cloud: what an account forbids it drops without a word.
fn is_recorded(created: &Created) -> Option<bool> {
    let cloud = serde_json::to_value(AutoRecording::Cloud).ok()?;
    created.settings.get("auto_recording").map(|kept| *kept == cloud)
}

impl ZoomMeetings<'_> {
    /// Whether a meeting will be recorded, as Zoom has it; `None` when Zoom does not say.
    pub async fn is_recorded(&mut self, id: MeetingId) -> Option<bool> {
        let Self { tools, ready } = self;
        let read =
            with_token!(tools, *ready, |access| tools.zoom.meeting(access, id, tools.clock.now()));
        match read {
            Ok(meeting) => is_recorded(&meeting),
            Err(error) => {
                tracing::warn!(event = "zoom.meeting_not_read", meeting_id = %id, %error);
                None
            }
        }
    }
}

impl MeetingProvider for ZoomMeetings<'_> {
    async fn create(&mut self, plan: &MeetingPlan) -> Result<NewMeeting, MeetingError> {
        let Self { tools, ready } = self;
        let wanted = MeetingBody { password: Some(passcode(&tools.random)), ..body(plan) };
        let created = with_token!(tools, *ready, |access| tools.zoom.create_meeting(
            access,
            &wanted,
            tools.clock.now()
        ))?;
        report_dropped(&wanted, &created);
        tracing::info!(event = "zoom.meeting_created", session_id = %plan.session, meeting_id = %created.id);
        Ok(of_account(ready, created))
    }

    async fn update(
        &mut self,
        meeting: Option<MeetingId>,
        old: Option<&MeetingPlan>,
        new: &MeetingPlan,
    ) -> Result<(), MeetingError> {
        let (Some(id), Some(patch)) = (meeting, patch(old, new)) else { return Ok(()) };
        let Self { tools, ready } = self;
        with_token!(tools, *ready, |access| tools.zoom.update_meeting(
            access,
            id,
            &patch,
            tools.clock.now()
        ))?;
        tracing::info!(event = "zoom.meeting_updated", session_id = %new.session, meeting_id = %id);
        Ok(())
    }

    async fn cancel(
        &mut self,
        meeting: Option<MeetingId>,
        running: bool,
    ) -> Result<(), MeetingError> {
        let Some(id) = meeting else { return Ok(()) };
        let Self { tools, ready } = self;
        if running {
            // Zoom does not delete a meeting while people are in it.
            let ended = with_token!(tools, *ready, |access| tools.zoom.end_meeting(
                access,
                id,
                tools.clock.now()
            ));
            if let Err(error) = ended {
                tracing::warn!(event = "zoom.meeting_not_ended", meeting_id = %id, %error);
            }
        }
        with_token!(tools, *ready, |access| tools.zoom.delete_meeting(
            access,
            id,
            tools.clock.now()
        ))?;
        tracing::info!(event = "zoom.meeting_deleted", meeting_id = %id);
        Ok(())
    }
}

/// A class in Zoom's words.
fn body(plan: &MeetingPlan) -> MeetingBody {
    // An hour that the clocks show twice cannot be told by a wall clock, and which of the two Zoom would take is not
    // established; in UTC there is only one.
    let (wall_clock, timezone) = if plan.zone.is_ambiguous(plan.starts_at) {
        (crate::domain::time::Zone::utc().wall_clock(plan.starts_at), "UTC")
    } else {
        (plan.zone.wall_clock(plan.starts_at), plan.zone.name())
    };
    let mut others = plan.settings.clone();
    others.waiting_room = Some(plan.settings.waiting_room());
    others.join_before_host = Some(plan.settings.join_before_host());
    MeetingBody {
        topic: plan.title.as_str().to_owned(),
        r#type: 2,
        start_time: wall_clock.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        timezone: timezone.to_owned(),
        duration: plan.duration_minutes,
        agenda: marked(plan.description.as_str(), &plan.session),
        password: None,
        settings: MeetingBodySettings {
            auto_recording: if plan.record_session {
                AutoRecording::Cloud
            } else {
                AutoRecording::None
            },
            others,
        },
    }
}

fn as_map(plan: &MeetingPlan) -> Map<String, Value> {
    let Ok(Value::Object(mut map)) = serde_json::to_value(body(plan)) else { return Map::new() };
    if let Some(Value::Object(settings)) = map.get_mut("settings") {
        for name in &plan.settings_told {
            settings.entry(name).or_insert(Value::Bool(false));
        }
    }
    map
}

/// The fields of `new` that differ from `old`, all of them when it is not known what Zoom has; `None` when there are none.
pub(super) fn patch(old: Option<&MeetingPlan>, new: &MeetingPlan) -> Option<Value> {
    let old = old.map(as_map).unwrap_or_default();
    let mut patch = differences(&old, as_map(new));
    // A start and its zone make sense only together.
    if patch.contains_key("start_time") || patch.contains_key("timezone") {
        let whole = as_map(new);
        for field in ["start_time", "timezone"] {
            patch.extend(whole.get(field).map(|value| (field.to_owned(), value.clone())));
        }
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

/// Draws a passcode with at least one letter and one digit, which accounts may demand.
fn passcode(random: &Random) -> String {
    let drawn: [u8; PASSCODE_CHARS] = random.bytes();
    let mut letters: Vec<u8> =
        drawn.iter().map(|byte| PASSCODE_ALPHABET[usize::from(byte % 32)]).collect();
    letters[0] = b'a' + drawn[0] % 8;
    letters[PASSCODE_CHARS - 1] = b'2' + drawn[PASSCODE_CHARS - 1] % 8;
    String::from_utf8_lossy(&letters).into_owned()
}

/// Says what the account took away from the settings that were asked for: it answers 201 all the same.
fn report_dropped(wanted: &MeetingBody, created: &Created) {
    let Ok(Value::Object(wanted)) = serde_json::to_value(&wanted.settings) else { return };
    let dropped: Vec<_> = wanted
        .iter()
        .filter(|(name, value)| created.settings.get(*name).is_some_and(|kept| kept != *value))
        .map(|(name, _)| name.as_str())
        .collect();
    if !dropped.is_empty() {
        tracing::warn!(event = "zoom.settings_dropped", meeting_id = %created.id, settings = dropped.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::settings::MeetingSettings;
    use crate::domain::text::{Description, Title};
    use crate::domain::time::Zone;
    use serde_json::json;

    fn plan(starts_at: &str, zone: &str) -> MeetingPlan {
        MeetingPlan {
            session: SessionId::from_bytes([1; 16]),
            title: Title::parse("Algebra").unwrap(),
            description: Description::parse("").unwrap(),
            starts_at: starts_at.parse().unwrap(),
            zone: Zone::parse(zone).unwrap(),
            duration_minutes: 60,
            record_session: false,
            settings: MeetingSettings::default(),
            settings_told: Default::default(),
        }
    }

    #[test]
    fn zoom_is_told_the_wall_clock_and_the_zone_but_utc_where_the_wall_clock_is_ambiguous() {
        for (at, zone, start_time, timezone) in [
            ("2026-12-01T09:00:00Z", "Europe/Berlin", "2026-12-01T10:00:00", "Europe/Berlin"),
            ("2027-10-31T00:30:00Z", "Europe/Berlin", "2027-10-31T00:30:00", "UTC"),
            ("2027-10-31T01:30:00Z", "Europe/Berlin", "2027-10-31T01:30:00", "UTC"),
            ("2027-10-31T02:30:00Z", "Europe/Berlin", "2027-10-31T03:30:00", "Europe/Berlin"),
            ("2028-02-29T20:00:00Z", "Asia/Kolkata", "2028-03-01T01:30:00", "Asia/Kolkata"),
        ] {
            let body = body(&plan(at, zone));
            assert_eq!(
                (body.start_time.as_str(), body.timezone.as_str()),
                (start_time, timezone),
                "{at} {zone}"
            );
        }
    }

    #[test]
    fn only_what_differs_is_sent() {
        let old = plan("2026-12-01T09:00:00Z", "Europe/Berlin");
        assert_eq!(patch(Some(&old), &old), None);
        let cases = [
            (
                MeetingPlan { title: Title::parse("Geometry").unwrap(), ..old.clone() },
                json!({"topic": "Geometry"}),
            ),
            (MeetingPlan { duration_minutes: 90, ..old.clone() }, json!({"duration": 90})),
            (
                MeetingPlan { starts_at: "2026-12-01T10:00:00Z".parse().unwrap(), ..old.clone() },
                json!({"start_time": "2026-12-01T11:00:00", "timezone": "Europe/Berlin"}),
            ),
            (
                MeetingPlan { record_session: true, ..old.clone() },
                json!({"settings": {"auto_recording": "cloud"}}),
            ),
            (
                MeetingPlan {
                    settings: MeetingSettings {
                        waiting_room: Some(true),
                        ..MeetingSettings::default()
                    },
                    ..old.clone()
                },
                json!({"settings": {"waiting_room": true}}),
            ),
            (
                MeetingPlan {
                    settings: MeetingSettings {
                        waiting_room: Some(false),
                        ..MeetingSettings::default()
                    },
                    ..old.clone()
                },
                Value::Null,
            ),
            (
                // It was told once, by an edit of which nobody knows the end.
                MeetingPlan { settings_told: ["watermark".to_owned()].into(), ..old.clone() },
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
    }

    #[test]
    fn passcodes_have_a_letter_and_a_digit_and_fit_zoom() {
        let random = Random::seeded(5);
        for _ in 0..200 {
            let code = passcode(&random);
            assert_eq!(code.len(), PASSCODE_CHARS);
            assert!(
                code.bytes().any(|b| b.is_ascii_digit())
                    && code.bytes().any(|b| b.is_ascii_alphabetic()),
                "{code}"
            );
        }
    }
}
