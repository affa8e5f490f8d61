//! A checked request in which some fields are still open: they get the trainer's defaults, and invited users get their
//! addresses.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::audience::{DirectoryEntry, OpenAudience};
use super::details::{check_start, parse_details};
use super::{Draft, SaveBody, Venue, check_reserved, parse_join_url, parsed, refuse_zoom_fields};
use crate::domain::id::{CourseId, UserId};
use crate::domain::pending_meeting::MeetingTime;
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::session::{Provider, SessionDetails};
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::settings::MeetingSettings;
use crate::domain::time::Zone;

/// A request body with valid fields. [`Self::complete`] returns the draft.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenDraft {
    /// The details, with recording and settings only if the request has them.
    details: SessionDetails,
    audience: OpenAudience,
    named: NamedFields,
    /// Whether a meeting at Zoom is made later, without a wish of the request.
    is_meeting_later: bool,
}

/// The fields of the request that have defaults, or that a provider may not have.
#[derive(Clone, Debug, Default, PartialEq)]
struct NamedFields {
    provider: Option<Provider>,
    join_url: Option<String>,
    record_session: Option<bool>,
    settings: Option<MeetingSettings>,
    allow_overlap: bool,
    meeting_time: Option<MeetingTime>,
}

/// The data of the directory that completes a draft.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    pub defaults: SessionDefaults,
    /// The link of the defaults, decrypted. Only read if [`OpenDraft::needs_default_link`].
    pub default_link: Option<String>,
    /// The provider of the session that is edited. It cannot change, so a request that omits it means this one.
    pub current_provider: Option<Provider>,
    /// The invited users that the directory has.
    pub users: BTreeMap<UserId, DirectoryEntry>,
}

impl OpenDraft {
    /// Validates a request body at `now`. Returns the errors of all fields at once, except for those that depend on the
    /// defaults.
    pub fn check(body: SaveBody, default_zone: &Zone, now: Timestamp) -> Result<Self, Refusal> {
        Self::check_at(body, default_zone, Some(now))
    }

    /// Validates a request body that may repeat an earlier one, whose start may have passed. [`Self::check_start`] is left to
    /// the caller.
    pub fn check_without_start(body: SaveBody, default_zone: &Zone) -> Result<Self, Refusal> {
        Self::check_at(body, default_zone, None)
    }

    /// Checks that the start lies ahead of `now`.
    pub fn check_start(&self, now: Timestamp) -> Result<(), Refusal> {
        check_start(self.details.starts_at, now).map_err(|error| Refusal::field("starts_at", error))
    }

    /// Returns the draft of a session whose meeting is made later if it meets on Zoom. Refuses a request that wants the
    /// meeting now.
    pub fn for_import(mut self) -> Result<Self, Refusal> {
        if self.named.meeting_time == Some(MeetingTime::Now) {
            return Err(Refusal::field("meeting", "must be later in an import"));
        }
        self.is_meeting_later = true;
        Ok(self)
    }

    fn check_at(
        body: SaveBody,
        default_zone: &Zone,
        now: Option<Timestamp>,
    ) -> Result<Self, Refusal> {
        let mut errors = Vec::new();
        check_reserved(&mut errors, &body);
        let details = parse_details(&mut errors, &body, default_zone, now);
        let audience =
            OpenAudience::parse(&mut errors, body.audience_type, body.course_id, body.invitees);
        let join_url =
            body.join_url.map(|url| parsed(&mut errors, "join_url", parse_join_url(&url)));
        let named = NamedFields {
            provider: body.provider,
            join_url: join_url.flatten(),
            record_session: body.record_session,
            settings: body.settings,
            allow_overlap: body.allow_overlap.unwrap_or(false),
            meeting_time: body.meeting,
        };
        if let Some(provider) = named.provider {
            named.check_for(provider, &mut errors);
        }
        match (details, audience) {
            (Some(details), Some(audience)) if errors.is_empty() => {
                Ok(Self { details, audience, named, is_meeting_later: false })
            }
            _ => Err(Refusal::Invalid(errors)),
        }
    }

    pub fn course(&self) -> Option<&CourseId> {
        match &self.audience {
            OpenAudience::Course(course) => Some(course),
            _ => None,
        }
    }

    pub fn starts_at(&self) -> Timestamp {
        self.details.starts_at
    }

    /// Returns the users that are invited by their id.
    pub fn invited_users(&self) -> BTreeSet<&UserId> {
        self.audience.users()
    }

    /// Returns whether the session may meet on Zoom with any defaults.
    pub fn may_meet_on_zoom(&self) -> bool {
        self.named.provider != Some(Provider::Manual)
    }

    /// Returns whether the draft gets the link of these defaults, if they have one.
    pub fn needs_default_link(&self, completion: &Completion) -> bool {
        self.named.join_url.is_none() && self.provider(completion) == Provider::Manual
    }

    fn provider(&self, completion: &Completion) -> Provider {
        let provider = self.named.provider.or(completion.current_provider);
        provider.or(completion.defaults.provider).unwrap_or(Provider::Zoom)
    }

    /// Returns the draft with the trainer's defaults and the addresses of the invited users.
    pub fn complete(&self, completion: &Completion) -> Result<Draft, Refusal> {
        let NamedFields { join_url, record_session, settings, allow_overlap, meeting_time, .. } =
            &self.named;
        let defaults = &completion.defaults;
        let provider = self.provider(completion);
        let mut errors = Vec::new();
        self.named.check_for(provider, &mut errors);
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let audience = self.audience.resolve(&completion.users)?;
        let mut details = self.details.clone();
        let venue = match provider {
            Provider::Zoom => {
                details.record_session =
                    record_session.or(defaults.record_session).unwrap_or(false);
                details.settings =
                    settings.clone().or_else(|| defaults.settings.clone()).unwrap_or_default();
                Venue::Zoom
            }
            Provider::Manual => {
                let link = join_url.as_ref().or(completion.default_link.as_ref());
                let join_url = link.ok_or_else(|| Refusal::field("join_url", "is required"))?;
                Venue::Manual { join_url: join_url.clone() }
            }
        };
        let is_recorded_by_default = details.record_session && record_session.is_none();
        Ok(Draft {
            details,
            audience,
            venue,
            allow_overlap: *allow_overlap,
            meeting_time: match provider {
                Provider::Zoom if self.is_meeting_later => Some(MeetingTime::Later),
                Provider::Zoom | Provider::Manual => *meeting_time,
            },
            is_recorded_by_default,
        })
    }
}

impl NamedFields {
    /// Refuses the fields that a session of this provider does not have.
    fn check_for(&self, provider: Provider, errors: &mut Vec<FieldError>) {
        match provider {
            Provider::Zoom if self.join_url.is_some() => {
                errors.push(FieldError::new("join_url", "is only allowed with provider manual"));
            }
            Provider::Zoom => {}
            Provider::Manual => {
                let settings = self.settings.as_ref();
                let fields = [
                    ("record_session", self.record_session == Some(true)),
                    ("settings", settings.is_some_and(|it| *it != MeetingSettings::default())),
                    ("allow_overlap", self.allow_overlap),
                    ("meeting", self.meeting_time.is_some()),
                ];
                refuse_zoom_fields(errors, &fields);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const LINK: &str = "https://meet.example.test/own";

    fn defaults(of: &Value) -> Completion {
        let field = |name: &str| of[name].clone();
        let defaults = SessionDefaults {
            provider: serde_json::from_value(field("provider")).unwrap(),
            record_session: serde_json::from_value(field("record_session")).unwrap(),
            settings: serde_json::from_value(field("settings")).unwrap(),
            join_url: None,
        };
        let default_link = of["join_url"].as_str().map(str::to_owned);
        let current_provider = serde_json::from_value(field("current")).unwrap();
        Completion { defaults, default_link, current_provider, ..Completion::default() }
    }

    /// The provider, link, recording and waiting room of a draft, or the names of the wrong fields.
    fn complete(body: &Value, of: &Value) -> Result<Value, Vec<String>> {
        let mut whole = json!({"title": "Algebra", "audience_type": "standalone",
            "starts_at": "2026-12-01T09:00:00Z", "duration_minutes": 60});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let body: SaveBody = serde_json::from_value(whole).unwrap();
        let now = "2026-11-21T09:00:00Z".parse().unwrap();
        let open = OpenDraft::check(body, &Zone::utc(), now);
        match open.and_then(|open| open.complete(&defaults(of))) {
            Ok(Draft { details, venue, is_recorded_by_default, .. }) => Ok(json!({
                "provider": venue.provider(),
                "link": match venue { Venue::Manual { join_url } => Some(join_url), Venue::Zoom => None },
                "recorded": details.record_session,
                "by_default": is_recorded_by_default,
                "waits": details.settings.waiting_room,
            })),
            Err(Refusal::Invalid(errors)) => Err(errors.into_iter().map(|it| it.field).collect()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn omitted_fields_get_the_defaults_where_they_are_allowed() {
        let zoom = |recorded: bool, by_default: bool, waits: Value| {
            Ok(json!({"provider": "zoom", "link": null, "recorded": recorded,
                "by_default": by_default, "waits": waits}))
        };
        let manual = |link: &str| {
            Ok(json!({"provider": "manual", "link": link, "recorded": false, "by_default": false,
                "waits": null}))
        };
        let wrong = |fields: &[&str]| Err(fields.iter().map(|it| (*it).to_owned()).collect());
        let all = json!({"provider": "manual", "record_session": true,
            "settings": {"waiting_room": true}, "join_url": LINK});
        let on_zoom = json!({"record_session": true, "settings": {"waiting_room": true},
            "join_url": LINK});
        let none = json!({});
        let other = "https://meet.example.test/other";
        let cases = [
            (json!({}), &none, zoom(false, false, Value::Null)),
            (json!({}), &on_zoom, zoom(true, true, json!(true))),
            (json!({}), &all, manual(LINK)),
            // A field of the request is used, also if it is false or empty. `null` is like an absent field.
            (json!({"provider": "zoom"}), &all, zoom(true, true, json!(true))),
            (json!({"record_session": false}), &on_zoom, zoom(false, false, json!(true))),
            (json!({"record_session": true}), &on_zoom, zoom(true, false, json!(true))),
            (
                json!({"settings": {}, "record_session": null}),
                &on_zoom,
                zoom(true, true, Value::Null),
            ),
            (
                json!({"settings": {"waiting_room": false}}),
                &on_zoom,
                zoom(true, true, json!(false)),
            ),
            (json!({"join_url": other}), &all, manual(other)),
            (json!({"provider": "manual"}), &on_zoom, manual(LINK)),
            (json!({"record_session": false, "settings": {}}), &all, manual(LINK)),
            // Errors that depend on the defaults, and some that do not.
            (json!({"join_url": other}), &on_zoom, wrong(&["join_url"])),
            (json!({"provider": "zoom", "join_url": other}), &all, wrong(&["join_url"])),
            (json!({"provider": "manual"}), &none, wrong(&["join_url"])),
            (json!({}), &json!({"provider": "manual"}), wrong(&["join_url"])),
            (json!({"join_url": "http://x.test"}), &all, wrong(&["join_url"])),
            (
                json!({"record_session": true, "settings": {"watermark": true}, "allow_overlap": true,
                    "meeting": "later"}),
                &all,
                wrong(&["record_session", "settings", "allow_overlap", "meeting"]),
            ),
        ];
        for (body, of, expected) in cases {
            assert_eq!(complete(&body, of), expected, "{body} with {of}");
        }
    }

    #[test]
    fn edit_keeps_the_provider_whatever_the_default_is() {
        let changed = json!({"provider": "manual", "join_url": LINK, "current": "zoom"});
        assert_eq!(complete(&json!({}), &changed).unwrap()["provider"], "zoom");
        let changed = json!({"provider": "zoom", "join_url": LINK, "current": "manual"});
        assert_eq!(complete(&json!({}), &changed).unwrap()["link"], LINK);
    }
}
