//! Rules for admitting people to a session: the join method, and the time.

use std::str::FromStr;

use jiff::Timestamp;

use super::hosting::Hosting;
use super::join_window::{JoinState, JoinWindow, join_window};
use super::refusal::Refusal;
use super::session::{Provider, Session};

/// The deployment's setting for joining. Zoom may stop accepting OBF tokens for learners, so operators choose the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMode {
    /// A Meeting SDK signature only, for meetings in the app's own Zoom account.
    Signature,
    /// A signature with the trainer's OBF token once the trainer has joined, for meetings in other accounts.
    SignatureObf,
    /// Zoom's own client, opened by the meeting's link.
    Link,
    /// A signature in the app's own account, else the link. Zoom admits learners to another account's meeting only in its
    /// own client.
    Auto,
}

impl FromStr for JoinMode {
    type Err = &'static str;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "signature" => Ok(Self::Signature),
            "signature_obf" => Ok(Self::SignatureObf),
            "link" => Ok(Self::Link),
            "auto" => Ok(Self::Auto),
            _ => Err("must be signature, signature_obf, link or auto"),
        }
    }
}

impl JoinMode {
    /// Returns whether people register for a new meeting, so that each joins with a personal link. Zoom requires the
    /// registration of SDK clients too, so meetings that people enter by signature have none. A trainer's own meeting stays
    /// as the trainer knows it.
    pub fn needs_registration(self, hosting: Hosting) -> bool {
        self == Self::Link && hosting == Hosting::Platform
    }
}

/// The method by which one person joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMethod {
    Signature,
    /// The trainer starts with a signature. Others join on the trainer's behalf.
    OnBehalf,
    Link,
}

/// A person's own choice of the join method. A link works in browsers in which the Meeting SDK fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinPreference {
    Link,
}

impl JoinMode {
    /// Returns the method for a session, in a deployment whose app belongs to `app_account`. A meeting that the platform
    /// hosts is in the app's own account, so the signature alone admits, and there is no grant for a token.
    pub fn join_method(
        self,
        session: &Session,
        app_account: Option<&str>,
        preference: Option<JoinPreference>,
    ) -> JoinMethod {
        if session.provider == Provider::Manual || preference == Some(JoinPreference::Link) {
            return JoinMethod::Link;
        }
        let is_platform_hosted = session.meeting.hosting() == Hosting::Platform;
        let is_app_account =
            app_account.is_some() && session.meeting.account.as_deref() == app_account;
        match self {
            Self::Signature => JoinMethod::Signature,
            Self::Link => JoinMethod::Link,
            Self::SignatureObf | Self::Auto if is_platform_hosted => JoinMethod::Signature,
            Self::SignatureObf => JoinMethod::OnBehalf,
            Self::Auto if is_app_account => JoinMethod::Signature,
            Self::Auto => JoinMethod::Link,
        }
    }
}

impl JoinMethod {
    /// Returns the method of people other than the host. A meeting that was created with registration admits nobody by
    /// signature, also after the deployment has changed its mode.
    pub fn of_invited(self, session: &Session) -> Self {
        if session.meeting.has_registration { Self::Link } else { self }
    }

    /// Returns whether attendees cannot join before the host.
    pub fn needs_host(self) -> bool {
        self == Self::OnBehalf
    }
}

/// Checks that a person may join the session at `now`, by the join window that the person is shown.
pub fn check_admission(
    session: &Session,
    is_trainer: bool,
    method: JoinMethod,
    now: Timestamp,
) -> Result<(), Refusal> {
    let JoinWindow { state, opens_at, .. } =
        join_window(session, is_trainer, method.needs_host(), now);
    match state {
        JoinState::Open => Ok(()),
        JoinState::TooEarly => Err(Refusal::TooEarly { opens_at }),
        JoinState::WaitingForHost => Err(Refusal::WaitingForHost),
        JoinState::NoMeetingYet => {
            Err(Refusal::NoMeetingYet(match (session.is_meeting_deleted(), is_trainer) {
                (true, true) => {
                    "the meeting was deleted at Zoom: restore it there, or cancel the class and schedule a new one"
                }
                (true, false) => {
                    "the meeting was deleted at Zoom, and the trainer has been notified"
                }
                (false, true) => {
                    "the meeting is not made yet: see the reason on the page of the class, or try again in some minutes"
                }
                (false, false) => "the meeting is not made yet: try again in some minutes",
            }))
        }
        JoinState::Closed => Err(Refusal::SessionEnded),
        JoinState::Cancelled => Err(Refusal::SessionCancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ZoomUserId;
    use crate::domain::session::Status;
    use crate::domain::session::testing::session;

    const APP: Option<&str> = Some("app");

    #[test]
    fn join_method_follows_mode_account_and_preference() {
        use JoinMethod::{Link, OnBehalf, Signature};
        let prefers_link = Some(JoinPreference::Link);
        // Mode, provider, account of the trainer's meeting, account of the app, preference, method.
        let cases = [
            ("auto", Provider::Zoom, APP, APP, None, Signature),
            ("auto", Provider::Zoom, Some("other"), APP, None, Link),
            ("auto", Provider::Zoom, None, APP, None, Link),
            ("auto", Provider::Zoom, APP, None, None, Link),
            ("auto", Provider::Zoom, None, None, None, Link),
            ("signature", Provider::Zoom, Some("other"), APP, None, Signature),
            ("signature_obf", Provider::Zoom, APP, APP, None, OnBehalf),
            ("link", Provider::Zoom, APP, APP, None, Link),
            ("auto", Provider::Zoom, APP, APP, prefers_link, Link),
            ("signature", Provider::Zoom, APP, APP, prefers_link, Link),
            ("signature_obf", Provider::Zoom, APP, APP, prefers_link, Link),
            ("signature_obf", Provider::Manual, None, APP, None, Link),
        ];
        for (mode, provider, account, app_account, preference, expected) in cases {
            let mut session = session(Timestamp::UNIX_EPOCH, Status::Scheduled);
            session.provider = provider;
            session.meeting.account = account.map(str::to_owned);
            let mode_of = |mode: &str| mode.parse::<JoinMode>().unwrap();
            let method = mode_of(mode).join_method(&session, app_account, preference);
            assert_eq!(method, expected, "{mode} {provider:?} {account:?} {app_account:?}");
            assert_eq!(method.needs_host(), expected == OnBehalf);
        }
    }

    #[test]
    fn only_link_mode_in_the_platforms_account_needs_registration() {
        for mode in ["auto", "signature", "signature_obf", "link"] {
            for hosting in [Hosting::Trainer, Hosting::Platform] {
                let needs = mode.parse::<JoinMode>().unwrap().needs_registration(hosting);
                assert_eq!(needs, mode == "link" && hosting == Hosting::Platform, "{mode}");
            }
        }
    }

    #[test]
    fn meeting_hosted_by_the_platform_needs_the_signature_alone() {
        use JoinMethod::{Link, Signature};
        let mut session = session(Timestamp::UNIX_EPOCH, Status::Scheduled);
        session.meeting.account = Some("platform".to_owned());
        session.meeting.platform_user = ZoomUserId::parse("host").ok();
        for (mode, expected) in [
            ("auto", Signature),
            ("signature", Signature),
            ("signature_obf", Signature),
            ("link", Link),
        ] {
            for has_registration in [true, false] {
                session.meeting.has_registration = has_registration;
                let of_invited = expected.of_invited(&session);
                assert_eq!(of_invited, if has_registration { Link } else { expected }, "{mode}");
            }
            for app_account in [None, Some("platform")] {
                let method = mode.parse::<JoinMode>().unwrap();
                let method = method.join_method(&session, app_account, None);
                assert_eq!(method, expected, "{mode} {app_account:?}");
            }
        }
    }
}
