//! Personal links: the registration of one person for one meeting at Zoom. Zoom's events then name the registration, and so
//! the person, under any name that they type.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::attendance::AttendeeId;
use super::hosting::Hosting;
use super::meeting_fields::is_registration_changed;
use super::sealed::Sealed;
use super::session::Session;
use super::text::Email;
use super::time::whole_milli;

/// Zoom: the longest address of a registrant, in characters.
const EMAIL_LIMIT_CHARS: usize = 128;
/// Requests for one person and meeting. Zoom accepts three a day.
const MAX_REQUESTS: u32 = 3;
/// How long one process may register a person. It is longer than the time limit of a registration in `app::personal_links`.
const LEASE: SignedDuration = SignedDuration::from_secs(20);
/// The pause after a request that failed.
const RETRY_PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// Returns whether a person with this address joins a session with a personal link. The host needs none. Without an address
/// Zoom registers nobody.
pub fn has_personal_link(session: &Session, is_trainer: bool, email: Option<&Email>) -> bool {
    session.meeting.has_registration
        && session.meeting.hosting() == Hosting::Platform
        && session.meeting.id.is_some()
        && !is_trainer
        && !is_registration_changed(session)
        && email.is_some_and(|email| email.as_str().chars().count() <= EMAIL_LIMIT_CHARS)
}

/// A link that Zoom issued to one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalLink {
    pub registrant: String,
    /// Encrypted, and bound to the session and the person.
    pub link: Sealed,
    pub issued_at: Timestamp,
}

/// The registration of one person, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Digests of the user and the address, by which an erasure finds the person.
    pub people: BTreeSet<AttendeeId>,
    pub requested_at: Timestamp,
    /// Requests that Zoom may count.
    pub requests: u32,
    /// The attempt that wrote the registration last.
    pub holder: String,
    /// While this time lies ahead, the holder is registering the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<PersonalLink>,
}

/// The next step of a person who joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep<'a> {
    UseLink(&'a PersonalLink),
    /// Register the person, under a lease.
    Register,
    /// Another request of the person is registering them.
    Wait,
    UseCommonLink,
}

/// Returns the next step of a person. Links that were issued before a change of the meeting's passcode are outdated.
pub fn next_step<'a>(
    registration: Option<&'a Registration>,
    session: &Session,
    now: Timestamp,
) -> NextStep<'a> {
    let Some(registration) = registration else { return NextStep::Register };
    let changed = session.meeting.credentials_reported_at;
    let changed_at = changed.join_url.max(changed.passcode);
    let is_ahead = |at: Option<Timestamp>| at.is_some_and(|at| at > now);
    match &registration.issued {
        Some(link) if changed_at.is_none_or(|at| link.issued_at >= at) => NextStep::UseLink(link),
        _ if is_ahead(registration.leased_until) => NextStep::Wait,
        _ if registration.requests >= MAX_REQUESTS || is_ahead(registration.retry_at) => {
            NextStep::UseCommonLink
        }
        _ => NextStep::Register,
    }
}

impl Registration {
    /// Returns the registration with a lease of `holder`, who is about to send a request.
    pub fn leased(
        before: Option<&Self>,
        people: &BTreeSet<AttendeeId>,
        holder: &str,
        now: Timestamp,
    ) -> Self {
        let now = whole_milli(now);
        let known = before.into_iter().flat_map(|before| &before.people);
        Self {
            people: known.chain(people).cloned().collect(),
            requested_at: now,
            requests: before.map_or(0, |before| before.requests) + 1,
            holder: holder.to_owned(),
            leased_until: Some(now.saturating_add(LEASE).unwrap_or(now)),
            retry_at: None,
            issued: before.and_then(|before| before.issued.clone()),
        }
    }

    pub fn with_link(self, issued: PersonalLink) -> Self {
        Self { leased_until: None, retry_at: None, issued: Some(issued), ..self }
    }

    /// Returns the registration after a failed request. `limited` is the wait after a limit of Zoom, which has not counted the
    /// request.
    pub fn failed(self, limited: Option<SignedDuration>, now: Timestamp) -> Self {
        let retry_at = whole_milli(now).saturating_add(limited.unwrap_or(RETRY_PAUSE)).ok();
        let counted = self.requests.saturating_sub(u32::from(limited.is_some()));
        Self { leased_until: None, retry_at, requests: counted, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{MeetingId, ZoomUserId};
    use crate::domain::session::Status;
    use crate::domain::session::testing;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn session() -> Session {
        let mut session = testing::session(at(0), Status::Scheduled);
        session.meeting.id = Some(MeetingId(1));
        session.meeting.platform_user = ZoomUserId::parse("host").ok();
        session.meeting.has_registration = true;
        session
    }

    #[test]
    fn invited_person_with_an_address_has_a_personal_link() {
        let email = Email::parse("ada@school.test").unwrap();
        let long = Email::parse(&format!(
            "{}@{}.test",
            "a".repeat(60),
            "b".repeat(62) + "." + &"c".repeat(4)
        ))
        .unwrap();
        assert!(long.as_str().len() > EMAIL_LIMIT_CHARS);
        let changed = |change: fn(&mut Session)| {
            let mut session = session();
            change(&mut session);
            session
        };
        for (case, session, is_trainer, email, expected) in [
            ("a student", session(), false, Some(&email), true),
            ("the trainer", session(), true, Some(&email), false),
            ("without an address", session(), false, None, false),
            ("a long address", session(), false, Some(&long), false),
            (
                "without registration",
                changed(|s| s.meeting.has_registration = false),
                false,
                Some(&email),
                false,
            ),
            (
                "a trainer's own meeting",
                changed(|s| s.meeting.platform_user = None),
                false,
                Some(&email),
                false,
            ),
            (
                "registration was turned off at Zoom",
                changed(|s| s.drift = vec!["settings.approval_type".to_owned()]),
                false,
                Some(&email),
                false,
            ),
        ] {
            assert_eq!(has_personal_link(&session, is_trainer, email), expected, "{case}");
        }
    }

    #[test]
    fn registration_is_requested_by_one_process_and_a_few_times() {
        let people = BTreeSet::new();
        let first = Registration::leased(None, &people, "a", at(0));
        let link = PersonalLink {
            registrant: "r".to_owned(),
            link: Sealed::from_stored("x"),
            issued_at: at(1),
        };
        let failed = first.clone().failed(None, at(0));
        let second = Registration::leased(Some(&failed), &people, "b", at(60));
        let third =
            Registration::leased(Some(&second), &people, "c", at(100)).failed(None, at(100));
        let limited = first.clone().failed(Some(SignedDuration::from_secs(7200)), at(0));
        let issued = first.clone().with_link(link.clone());
        let mut changed = session();
        changed.meeting.credentials_reported_at.passcode = Some(at(2));
        let plain = session();
        for (case, registration, session, now, expected) in [
            ("nobody", None, &plain, 0, NextStep::Register),
            ("leased", Some(&first), &plain, 19, NextStep::Wait),
            ("expired lease", Some(&first), &plain, 20, NextStep::Register),
            ("failed", Some(&failed), &plain, 59, NextStep::UseCommonLink),
            ("failed a minute ago", Some(&failed), &plain, 60, NextStep::Register),
            ("failed three times", Some(&third), &plain, 9999, NextStep::UseCommonLink),
            ("limited", Some(&limited), &plain, 7199, NextStep::UseCommonLink),
            ("no longer limited", Some(&limited), &plain, 7200, NextStep::Register),
            ("issued", Some(&issued), &plain, 9999, NextStep::UseLink(&link)),
            (
                "issued before the passcode changed",
                Some(&issued),
                &changed,
                9999,
                NextStep::Register,
            ),
        ] {
            assert_eq!(next_step(registration, session, at(now)), expected, "{case}");
        }
        assert_eq!((second.requests, limited.requests), (2, 0));
    }
}
