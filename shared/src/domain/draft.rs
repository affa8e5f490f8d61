//! Validation of the request body that creates or edits a session.

mod audience;
mod comparison;
mod details;
mod open;

use serde::Deserialize;

use super::audience::{AudienceDraft, AudienceKind};
use super::pending_meeting::MeetingTime;
use super::refusal::FieldError;
use super::session::{Provider, SessionDetails, Source};
use super::settings::MeetingSettings;
use super::zoom_link;

pub use self::audience::DirectoryEntry;
pub use self::comparison::StoredValues;
pub use self::details::{DURATION_MINUTES, MAX_AHEAD_MINUTES};
pub use self::open::{Completion, OpenDraft};

/// The longest URL that browsers and mail clients support alike.
pub const URL_LIMIT_BYTES: usize = 2000;

/// The unchecked request body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveBody {
    pub title: Option<String>,
    pub description: Option<String>,
    pub audience_type: Option<AudienceKind>,
    pub course_id: Option<String>,
    pub invitees: Option<Vec<InviteeBody>>,
    pub starts_at: Option<String>,
    pub timezone: Option<String>,
    pub duration_minutes: Option<i64>,
    pub record_session: Option<bool>,
    pub provider: Option<Provider>,
    pub join_url: Option<String>,
    pub settings: Option<MeetingSettings>,
    /// User ids.
    pub co_trainers: Option<Vec<String>>,
    pub allow_overlap: Option<bool>,
    /// When the meeting is made: with the request by default.
    pub meeting: Option<MeetingTime>,
    /// Set by the host platform's service when it schedules for a trainer. Removed before the draft is checked.
    pub trainer_id: Option<String>,
    pub source: Option<Source>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteeBody {
    pub email: Option<String>,
    /// A user of the directory, in place of the address.
    pub user_id: Option<String>,
    pub name: Option<String>,
}

/// A validated request to create or edit a session, with the trainer's defaults. [`OpenDraft::complete`] returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub details: SessionDetails,
    pub audience: AudienceDraft,
    pub venue: Venue,
    /// Whether the session may overlap with others of its host.
    pub allow_overlap: bool,
    /// When the meeting is made. `None` if the body does not say it.
    pub meeting_time: Option<MeetingTime>,
    /// Whether the session is recorded because of the trainer's default, and not because the request says so.
    pub is_recorded_by_default: bool,
}

/// Where the session meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Venue {
    Zoom,
    /// An https link given by the trainer.
    Manual {
        join_url: String,
    },
}

impl Venue {
    pub fn provider(&self) -> Provider {
        match self {
            Self::Zoom => Provider::Zoom,
            Self::Manual { .. } => Provider::Manual,
        }
    }
}

impl Draft {
    pub fn invitee_count(&self) -> usize {
        match &self.audience {
            AudienceDraft::Invitees(invitees) => invitees.len(),
            _ => 0,
        }
    }
}

/// Refuses the fields that only the platform's service sets. Its values are removed from the body before.
fn check_reserved(errors: &mut Vec<FieldError>, body: &SaveBody) {
    let fields = [("trainer_id", body.trainer_id.is_some()), ("source", body.source.is_some())];
    for (field, _) in fields.into_iter().filter(|(_, is_set)| *is_set) {
        errors.push(FieldError::new(
            field,
            "may only be set by the platform's service when it creates a class",
        ));
    }
}

/// Refuses the given fields that are set and that a manual link does not have.
fn refuse_zoom_fields(errors: &mut Vec<FieldError>, fields: &[(&str, bool)]) {
    for (field, _) in fields.iter().filter(|(_, is_set)| *is_set) {
        errors.push(FieldError::new(*field, "is only available for classes on Zoom"));
    }
}

fn missing<T>(errors: &mut Vec<FieldError>, field: &str) -> Option<T> {
    errors.push(FieldError::new(field, "is required"));
    None
}

fn parsed<T, E: ToString>(
    errors: &mut Vec<FieldError>,
    field: &str,
    result: Result<T, E>,
) -> Option<T> {
    result.map_err(|error| errors.push(FieldError::new(field, error))).ok()
}

fn required<I, T, E: ToString>(
    errors: &mut Vec<FieldError>,
    field: &str,
    value: Option<I>,
    parse: impl FnOnce(I) -> Result<T, E>,
) -> Option<T> {
    match value {
        Some(value) => parsed(errors, field, parse(value)),
        None => missing(errors, field),
    }
}

/// Parses an https link. Links with credentials, and Zoom links that start a meeting as its host, are rejected.
pub fn parse_join_url(text: &str) -> Result<String, &'static str> {
    let url = url::Url::parse(text.trim()).map_err(|_| "must be an https link")?;
    let is_plain = url.scheme() == "https"
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_plain {
        return Err("must be an https link");
    }
    if zoom_link::is_host_link(&url) {
        return Err("must be the link for participants, not the host's start link");
    }
    if url.as_str().len() > URL_LIMIT_BYTES {
        return Err("must have at most 2000 bytes");
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Refusal;
    use crate::domain::time::Zone;
    use serde_json::{Value, json};

    const NOW: &str = "2026-11-21T09:00:00Z";

    fn check(patch: Value) -> Result<Draft, Vec<String>> {
        let mut body = json!({
            "title": "Algebra I", "audience_type": "standalone", "starts_at": "2026-12-01T09:00:00Z",
            "timezone": "Europe/Berlin", "duration_minutes": 60,
        });
        for (field, value) in patch.as_object().unwrap() {
            body[field] = value.clone();
        }
        let body: SaveBody = serde_json::from_value(body).unwrap();
        let open = OpenDraft::check(body, &Zone::utc(), NOW.parse().unwrap());
        match open.and_then(|open| open.complete(&Completion::default())) {
            Ok(draft) => Ok(draft),
            Err(Refusal::Invalid(errors)) => Err(errors.into_iter().map(|e| e.field).collect()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn invalid_fields_are_reported_by_name() {
        let many: Vec<Value> =
            (0..1001).map(|n| json!({"email": format!("s{n}@example.test")})).collect();
        let refused = [
            (json!({"title": null}), "title"),
            (json!({"title": "x".repeat(201)}), "title"),
            (json!({"description": "x".repeat(2001)}), "description"),
            (json!({"starts_at": NOW}), "starts_at"),
            (json!({"starts_at": "2026-11-20T09:00:00Z"}), "starts_at"),
            (json!({"starts_at": "tomorrow"}), "starts_at"),
            (json!({"starts_at": "2026-12-01"}), "starts_at"),
            (json!({"starts_at": "2029-01-01T00:00:00Z"}), "starts_at"),
            (json!({"starts_at": "9999-12-31T23:59:59Z"}), "starts_at"),
            (json!({"starts_at": "2027-03-28T02:30:00"}), "starts_at"),
            (json!({"timezone": "Mars/Olympus"}), "timezone"),
            (json!({"duration_minutes": 14}), "duration_minutes"),
            (json!({"duration_minutes": 481}), "duration_minutes"),
            (json!({"audience_type": null}), "audience_type"),
            (json!({"course_id": "course-1"}), "course_id"),
            (json!({"invitees": []}), "invitees"),
            (json!({"audience_type": "course"}), "course_id"),
            (json!({"audience_type": "course", "course_id": "a#b"}), "course_id"),
            (json!({"audience_type": "invitees"}), "invitees"),
            (json!({"audience_type": "invitees", "invitees": []}), "invitees"),
            (json!({"audience_type": "invitees", "invitees": many}), "invitees"),
            (
                json!({"audience_type": "invitees", "invitees": [{"email": "a@b.cd"}, {"email": "nobody"}]}),
                "invitees[1].email",
            ),
            (json!({"join_url": "https://meet.example.test/a"}), "join_url"),
            (json!({"provider": "manual"}), "join_url"),
            (json!({"provider": "manual", "join_url": "http://meet.example.test/a"}), "join_url"),
            (json!({"provider": "manual", "join_url": "javascript:alert(1)"}), "join_url"),
            (
                json!({"provider": "manual", "join_url": "https://me:pw@meet.example.test/a"}),
                "join_url",
            ),
            (
                json!({"provider": "manual", "join_url": "https://us05web.zoom.us/s/1?zak=eyJ"}),
                "join_url",
            ),
            (
                json!({"provider": "manual", "join_url": "https://zoom.us/j/1?pwd=x&zak=eyJ"}),
                "join_url",
            ),
            (
                json!({"provider": "manual", "join_url": "https://meet.example.test/a", "record_session": true}),
                "record_session",
            ),
            (
                json!({"provider": "manual", "join_url": "https://meet.example.test/a", "allow_overlap": true}),
                "allow_overlap",
            ),
        ];
        for (patch, field) in refused {
            assert_eq!(check(patch.clone()), Err(vec![field.to_owned()]), "{patch:.200}");
        }
        assert_eq!(
            check(json!({"title": "", "duration_minutes": 0, "timezone": "?"})),
            Err(vec!["title".to_owned(), "timezone".to_owned(), "duration_minutes".to_owned()]),
            "all errors are reported at once"
        );
    }

    #[test]
    fn start_is_an_instant_or_a_local_time_in_the_zone() {
        for (text, expected) in [
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
            ("2026-12-01T10:00:00.750+01:00", "2026-12-01T09:00:00Z"),
            ("2026-12-01T10:00:00", "2026-12-01T09:00:00Z"),
            ("2027-10-31T02:30:00", "2027-10-31T00:30:00Z"),
        ] {
            assert_eq!(
                check(json!({"starts_at": text})).unwrap().details.starts_at.to_string(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn repeated_invitee_address_is_stored_once() {
        let draft = check(json!({"audience_type": "invitees", "invitees": [
            {"email": "Ada@Example.test", "name": "Ada"}, {"email": "ada@example.test"}, {"email": "bob@example.test", "name": " "},
        ]}))
        .unwrap();
        assert_eq!(draft.invitee_count(), 2);
    }
}
