//! Meetings at Zoom, in the trainer's own account.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    MeetingError, MeetingPlan, MeetingProvider, MeetingUpdate, NewMeeting, UpdateAttempts,
};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::zoom_access::{ZoomAccess, with_token};
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::meeting_fields::{self, agenda_with_mark};
use crate::domain::refusal::Refusal;
use crate::domain::time::{Zone, whole_second};
use crate::domain::zoom_event::MeetingChange;
use crate::random::Random;
use crate::zoom::{AutoRecording, MarkedMeeting, MeetingBody, MeetingBodySettings, ZoomMeeting};

/// Zoom: a passcode has at most 10 characters.
const PASSCODE_CHARS: usize = 10;
/// Letters and digits without characters that are easily confused when read aloud.
const PASSCODE_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// The pause before the second attempt of an update. Jitter adds up to the same amount.
const RETRY_DELAY_MS: u64 = 150;

/// Zoom's meeting API with the trainer's token.
#[derive(Debug)]
pub struct ZoomMeetings<'a> {
    services: &'a Services,
    zoom_access: ZoomAccess,
    /// The meeting as it was read after a change.
    read_after_change: Option<ZoomMeeting>,
}

impl<'a> ZoomMeetings<'a> {
    pub fn new(services: &'a Services, zoom_access: ZoomAccess) -> Self {
        Self { services, zoom_access, read_after_change: None }
    }

    /// Returns the Zoom user of the token. The changes count towards this user's daily limit.
    pub fn zoom_user(&self) -> &str {
        &self.zoom_access.connection.zoom_user.id
    }

    /// Finds the meetings at Zoom that carry the session's mark. A meeting that belongs to another session is left out,
    /// because somebody may have copied an agenda.
    pub async fn find_marked_meetings(
        &mut self,
        session: &SessionId,
        topic: &str,
        starts_at: Timestamp,
    ) -> Result<Vec<MarkedMeeting>, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        let mut marked: Vec<MarkedMeeting> =
            with_token!(services, *zoom_access, |access| services.zoom.find_marked_meetings(
                access,
                session,
                topic,
                starts_at,
                services.clock.now()
            ))?;
        // A meeting can be on two pages of a list that changes meanwhile.
        let mut seen = HashSet::new();
        marked.retain(|meeting| seen.insert(meeting.id));
        if !marked.is_empty() {
            let ids: Vec<_> = marked.iter().map(|meeting| meeting.id).collect();
            let owners = services.store.owners_of_meetings(&ids).await.map_err(Error::from)?;
            marked.retain(|meeting| owners.get(&meeting.id).is_none_or(|owner| owner == session));
        }
        Ok(marked)
    }

    /// Returns the fields of a meeting.
    pub async fn fields(&mut self, id: MeetingId) -> Result<MeetingChange, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        with_token!(services, *zoom_access, |access| services.zoom.meeting(
            access,
            id,
            services.clock.now()
        ))
        .map(|meeting| meeting.fields)
    }

    /// Sets some fields of a meeting to those of `plan`.
    pub async fn set_fields(
        &mut self,
        id: MeetingId,
        plan: &MeetingPlan,
        fields: &BTreeSet<String>,
    ) -> Result<MeetingUpdate, MeetingError> {
        match patch_of_fields(plan, fields) {
            Some(patch) => self.update_and_check(plan, id, &patch).await,
            None => Ok(MeetingUpdate::NONE),
        }
    }

    /// Sends a change, and compares the start if it was part of the change.
    async fn update_and_check(
        &mut self,
        plan: &MeetingPlan,
        id: MeetingId,
        patch: &Value,
    ) -> Result<MeetingUpdate, MeetingError> {
        let attempts = self.send_patch(plan, id, patch).await?;
        // UTC leaves no choice. After an unanswered attempt, the repair compares the meeting later.
        let is_unambiguous = patch.get("start_time").is_none() || patch["timezone"] == UTC;
        let start_differs = !is_unambiguous
            && attempts == UpdateAttempts::AllAnswered
            && self.start_differs_after_update(plan, id).await;
        Ok(MeetingUpdate { attempts, start_differs })
    }

    /// Reads the start after a change and corrects it. A response to a change has no content. Without the optional scope to
    /// read meetings, nothing is compared.
    async fn start_differs_after_update(&mut self, plan: &MeetingPlan, id: MeetingId) -> bool {
        let Self { services, zoom_access, .. } = self;
        let read = with_token!(services, *zoom_access, |access| services.zoom.meeting(
            access,
            id,
            services.clock.now()
        ));
        match read {
            Ok(meeting) => {
                let reported = meeting.fields.starts_at;
                self.read_after_change = Some(meeting);
                self.correct_start(plan, id, reported).await
            }
            Err(error) => {
                log_optional_failure("zoom.start_not_compared", id, &error);
                false
            }
        }
    }

    /// Sets the start in UTC if Zoom reports another one: Zoom's list lacks some IANA time zones, and it reads a local time
    /// there in another zone. Corrects once. Returns whether the starts still differ.
    async fn correct_start(
        &mut self,
        plan: &MeetingPlan,
        id: MeetingId,
        reported: Option<Timestamp>,
    ) -> bool {
        if reported.is_none_or(|at| whole_second(at) == plan.starts_at) {
            return false;
        }
        let session_id = &plan.session;
        tracing::warn!(event = "zoom.start_differs", %session_id, meeting_id = %id, zone = %plan.zone);
        let Self { services, zoom_access, .. } = self;
        let zoom_user = &zoom_access.connection.zoom_user.id;
        let counted = services.store.commit_zoom_write(Vec::new(), zoom_user, services.clock.now());
        if let Err(error) = counted.await {
            tracing::warn!(event = "zoom.start_not_corrected", %session_id, %error);
            return true;
        }
        let (start_time, timezone) = start_in_utc(plan.starts_at);
        let patch = serde_json::json!({"start_time": start_time, "timezone": timezone});
        match self.send_patch_once(id, &patch).await {
            Ok(()) => {
                tracing::info!(event = "zoom.start_corrected", %session_id);
                false
            }
            Err(error) => {
                tracing::warn!(event = "zoom.start_not_corrected", %session_id, %error);
                true
            }
        }
    }

    /// Sends a change, and sends it again if Zoom does not answer. Zoom may count both attempts, so the second one is
    /// counted too. Its error does not show whether Zoom carries out the first one.
    async fn send_patch(
        &mut self,
        plan: &MeetingPlan,
        id: MeetingId,
        patch: &Value,
    ) -> Result<UpdateAttempts, MeetingError> {
        let outcome = match self.send_patch_once(id, patch).await {
            Err(MeetingError::Unknown { reason }) => {
                tracing::warn!(event = "zoom.update_unconfirmed", session_id = %plan.session, reason);
                let Self { services, zoom_access, .. } = self;
                let zoom_user = &zoom_access.connection.zoom_user.id;
                let counted =
                    services.store.commit_zoom_write(Vec::new(), zoom_user, services.clock.now());
                if let Err(error) = counted.await {
                    tracing::warn!(event = "zoom.update_not_retried", session_id = %plan.session, %error);
                    return Err(MeetingError::Unknown { reason });
                }
                let pause = RETRY_DELAY_MS + services.random.below(RETRY_DELAY_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                match self.send_patch_once(id, patch).await {
                    Ok(()) => Ok(UpdateAttempts::SomeUnanswered),
                    // A meeting that is gone cannot change any more.
                    Err(error @ MeetingError::Other(Error::Refused(Refusal::Conflict(_)))) => {
                        Err(error)
                    }
                    Err(error) => Err(MeetingError::Unknown { reason: error.to_string() }),
                }
            }
            answered => answered.map(|()| UpdateAttempts::AllAnswered),
        };
        if outcome.is_ok() {
            tracing::info!(event = "zoom.meeting_updated", session_id = %plan.session, meeting_id = %id);
        }
        outcome
    }

    async fn send_patch_once(&mut self, id: MeetingId, patch: &Value) -> Result<(), MeetingError> {
        let Self { services, zoom_access, .. } = self;
        with_token!(services, *zoom_access, |access| services.zoom.update_meeting(
            access,
            id,
            patch,
            services.clock.now()
        ))
    }

    /// Adopts the first meeting that carries the session's mark, and deletes any others. A meeting that the grant does
    /// not allow to read is deleted too, because its passcode is unknown.
    pub async fn adopt(&mut self, plan: &MeetingPlan) -> Result<Option<NewMeeting>, MeetingError> {
        let mut adopted = None;
        let marked =
            self.find_marked_meetings(&plan.session, plan.title.as_str(), plan.starts_at).await?;
        for MarkedMeeting { id, details } in marked {
            match details.filter(|_| adopted.is_none()) {
                Some(details) => {
                    let reported = details.fields.starts_at;
                    let meeting = new_meeting(&self.zoom_access, details);
                    let start_differs = self.correct_start(plan, id, reported).await;
                    adopted = Some(NewMeeting { start_differs, ..meeting });
                }
                None => self.cancel(Some(id), false).await?,
            }
        }
        if adopted.is_some() {
            tracing::info!(event = "zoom.meeting_adopted", session_id = %plan.session);
        }
        Ok(adopted)
    }
}

/// Converts a meeting that Zoom returned for the connected account.
fn new_meeting(zoom_access: &ZoomAccess, created: ZoomMeeting) -> NewMeeting {
    NewMeeting {
        account: zoom_access.connection.zoom_user.account().map(str::to_owned),
        host_user: zoom_access.connection.zoom_user.pseudonym(),
        id: Some(created.id),
        is_recorded: is_recorded(&created),
        join_url: created.join_url,
        passcode: created.passcode,
        start_differs: false,
    }
}

/// Returns whether Zoom will record the meeting. Zoom silently drops recording if the account forbids it.
fn is_recorded(created: &ZoomMeeting) -> Option<bool> {
    let cloud = serde_json::to_value(AutoRecording::Cloud).ok()?;
    created.fields.settings.get(meeting_fields::AUTO_RECORDING).map(|actual| *actual == cloud)
}

impl ZoomMeetings<'_> {
    /// Returns whether Zoom will record a meeting. `None` if Zoom did not report it.
    pub async fn is_recorded(&mut self, id: MeetingId) -> Option<bool> {
        if let Some(meeting) = self.read_after_change.take() {
            return is_recorded(&meeting);
        }
        let Self { services, zoom_access, .. } = self;
        let read = with_token!(services, *zoom_access, |access| services.zoom.meeting(
            access,
            id,
            services.clock.now()
        ));
        match read {
            Ok(meeting) => is_recorded(&meeting),
            Err(error) => {
                log_optional_failure("zoom.meeting_not_read", id, &error);
                None
            }
        }
    }
}

impl MeetingProvider for ZoomMeetings<'_> {
    async fn create(&mut self, plan: &MeetingPlan) -> Result<NewMeeting, MeetingError> {
        let Self { services, zoom_access, .. } = self;
        let requested =
            MeetingBody { password: Some(passcode(&services.random)), ..meeting_body(plan) };
        let created = with_token!(services, *zoom_access, |access| services.zoom.create_meeting(
            access,
            &requested,
            services.clock.now()
        ))?;
        log_dropped_settings(&requested, &created);
        tracing::info!(event = "zoom.meeting_created", session_id = %plan.session, meeting_id = %created.id);
        let (id, reported) = (created.id, created.fields.starts_at);
        let meeting = new_meeting(zoom_access, created);
        let start_differs = self.correct_start(plan, id, reported).await;
        Ok(NewMeeting { start_differs, ..meeting })
    }

    async fn update(
        &mut self,
        meeting: Option<MeetingId>,
        old: Option<&MeetingPlan>,
        new: &MeetingPlan,
    ) -> Result<MeetingUpdate, MeetingError> {
        match (meeting, patch(old, new)) {
            (Some(id), Some(patch)) => self.update_and_check(new, id, &patch).await,
            _ => Ok(MeetingUpdate::NONE),
        }
    }

    async fn cancel(
        &mut self,
        meeting: Option<MeetingId>,
        is_running: bool,
    ) -> Result<(), MeetingError> {
        let Some(id) = meeting else { return Ok(()) };
        let Self { services, zoom_access, .. } = self;
        if is_running {
            // Zoom does not delete a meeting while people are in it.
            let ended = with_token!(services, *zoom_access, |access| services.zoom.end_meeting(
                access,
                id,
                services.clock.now()
            ));
            if let Err(error) = ended {
                log_optional_failure("zoom.meeting_not_ended", id, &error);
            }
        }
        with_token!(services, *zoom_access, |access| services.zoom.delete_meeting(
            access,
            id,
            services.clock.now()
        ))?;
        tracing::info!(event = "zoom.meeting_deleted", meeting_id = %id);
        Ok(())
    }
}

/// Logs a failed call that is not essential. A scope that the app does not have to request is not worth a warning.
fn log_optional_failure(event: &str, meeting_id: MeetingId, error: &MeetingError) {
    if matches!(error, MeetingError::Other(Error::Refused(Refusal::MissingScopes(_)))) {
        tracing::info!(event, %meeting_id, %error);
    } else {
        tracing::warn!(event, %meeting_id, %error);
    }
}

const UTC: &str = "UTC";

/// Returns Zoom's `start_time` and `timezone` of an instant.
fn start_in_utc(at: Timestamp) -> (String, &'static str) {
    (zoom_time(Zone::utc().wall_clock(at)), UTC)
}

fn zoom_time(wall_clock: jiff::civil::DateTime) -> String {
    wall_clock.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Converts a session to Zoom's request body.
fn meeting_body(plan: &MeetingPlan) -> MeetingBody {
    // A local time that occurs twice when daylight saving ends is ambiguous, and Zoom does not document its choice. In
    // UTC it is unique.
    let (start_time, timezone) = if plan.zone.is_ambiguous(plan.starts_at) {
        start_in_utc(plan.starts_at)
    } else {
        (zoom_time(plan.zone.wall_clock(plan.starts_at)), plan.zone.name())
    };
    let mut others = plan.settings.clone();
    others.waiting_room = Some(plan.settings.waiting_room());
    others.join_before_host = Some(plan.settings.join_before_host());
    MeetingBody {
        topic: plan.title.as_str().to_owned(),
        r#type: 2,
        start_time,
        timezone: timezone.to_owned(),
        duration: plan.duration_minutes,
        agenda: agenda_with_mark(plan.description.as_str(), &plan.session),
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
pub(super) fn patch(old: Option<&MeetingPlan>, new: &MeetingPlan) -> Option<Value> {
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
fn patch_of_fields(plan: &MeetingPlan, fields: &BTreeSet<String>) -> Option<Value> {
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

/// Generates a passcode with at least one letter and one digit, which accounts may require.
fn passcode(random: &Random) -> String {
    let drawn: [u8; PASSCODE_CHARS] = random.bytes();
    let mut letters: Vec<u8> =
        drawn.iter().map(|byte| PASSCODE_ALPHABET[usize::from(byte % 32)]).collect();
    letters[0] = b'a' + drawn[0] % 8;
    letters[PASSCODE_CHARS - 1] = b'2' + drawn[PASSCODE_CHARS - 1] % 8;
    String::from_utf8_lossy(&letters).into_owned()
}

/// Logs the requested settings that the account dropped. Zoom responds with 201 in that case too.
fn log_dropped_settings(requested: &MeetingBody, created: &ZoomMeeting) {
    let Ok(Value::Object(requested)) = serde_json::to_value(&requested.settings) else { return };
    let dropped: Vec<_> = requested
        .iter()
        .filter(|(name, value)| {
            created.fields.settings.get(*name).is_some_and(|actual| actual != *value)
        })
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
            settings_sent: Default::default(),
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
    }

    #[test]
    fn passcode_has_a_letter_and_a_digit_and_fits_zooms_limit() {
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
