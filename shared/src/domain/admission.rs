//! Rules for admitting people to a session: the join method, and the time.

use std::str::FromStr;

use jiff::Timestamp;

use super::refusal::Refusal;
use super::session::{Provider, Session, Status};

/// The deployment's setting for admitting attendees. Zoom may stop accepting OBF tokens for learners, so operators can
/// choose the method and fall back to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMode {
    /// A Meeting SDK signature only, for meetings in the app's own Zoom account.
    Signature,
    /// A signature with the trainer's OBF token once the trainer has joined, for meetings in other accounts.
    SignatureObf,
    /// Zoom's own client, opened by the meeting's link.
    Link,
    /// The first that works: a signature in the app's own account, else OBF, else the link.
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

/// The join method that is tried first for attendees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMethod {
    Signature,
    OnBehalf { link_fallback: bool },
    Link,
}

impl JoinMode {
    /// Returns the method for `session` in a deployment whose app belongs to the Zoom account `app_account`.
    pub fn join_method(self, session: &Session, app_account: Option<&str>) -> JoinMethod {
        if session.provider == Provider::Manual {
            return JoinMethod::Link;
        }
        let is_own_account =
            app_account.is_some() && session.meeting.account.as_deref() == app_account;
        match self {
            Self::Signature => JoinMethod::Signature,
            Self::SignatureObf => JoinMethod::OnBehalf { link_fallback: false },
            Self::Link => JoinMethod::Link,
            Self::Auto if is_own_account => JoinMethod::Signature,
            Self::Auto => JoinMethod::OnBehalf { link_fallback: true },
        }
    }
}

impl JoinMethod {
    /// Returns whether attendees cannot join before the host.
    pub fn needs_host(self) -> bool {
        matches!(self, Self::OnBehalf { .. })
    }
}

/// Checks that a person may join the session at `now`. The trainer may restart a session that ended early.
pub fn check_admission(
    session: &Session,
    is_trainer: bool,
    method: JoinMethod,
    now: Timestamp,
) -> Result<(), Refusal> {
    let opens_at =
        if is_trainer { session.window_opens_at() } else { session.student_window_opens_at() };
    match session.status {
        Status::Cancelled => return Err(Refusal::SessionCancelled),
        Status::Ended if !is_trainer => return Err(Refusal::SessionEnded),
        _ => {}
    }
    if now < opens_at {
        return Err(Refusal::TooEarly { opens_at });
    }
    if now >= session.window_closes_at() {
        return Err(Refusal::SessionEnded);
    }
    if session.is_meeting_deleted() {
        return Err(Refusal::Conflict(if is_trainer {
            "the meeting was deleted at Zoom: restore it there, or cancel the class and schedule a new one"
        } else {
            "the meeting was deleted at Zoom, and the trainer has been notified"
        }));
    }
    if !is_trainer && method.needs_host() && session.status != Status::Live {
        return Err(Refusal::WaitingForHost);
    }
    Ok(())
}
