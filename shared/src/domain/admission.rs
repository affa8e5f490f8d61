//! How people are admitted to a class, and when.

use std::str::FromStr;

use jiff::Timestamp;

use super::refusal::Refusal;
use super::session::{Provider, Session, Status};
use super::time::plus_minutes;
use super::join_window::JoinWindowSettings;

/// How a deployment admits attendees. Whether Zoom will go on to take learners in with an OBF token is not settled,
/// so the way is a setting, and each has the next to fall back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMode {
    /// The Meeting SDK's signature alone: for meetings of the app's own Zoom account.
    Signature,
    /// With an OBF token of the trainer's, once the trainer is in: for meetings of other accounts.
    SignatureObf,
    /// Zoom's own client, by the meeting's link.
    Link,
    /// Whichever serves: the signature in the app's own account, else OBF, else the link.
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

/// The way in that is tried first for those invited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMethod {
    Signature,
    OnBehalf { or_link: bool },
    Link,
}

impl JoinMode {
    /// The way into `session`, in a deployment whose app belongs to the Zoom account `app_account`.
    pub fn join_method(self, session: &Session, app_account: Option<&str>) -> JoinMethod {
        if session.provider == Provider::Manual {
            return JoinMethod::Link;
        }
        let own = app_account.is_some() && session.meeting.account.as_deref() == app_account;
        match self {
            Self::Signature => JoinMethod::Signature,
            Self::SignatureObf => JoinMethod::OnBehalf { or_link: false },
            Self::Link => JoinMethod::Link,
            Self::Auto if own => JoinMethod::Signature,
            Self::Auto => JoinMethod::OnBehalf { or_link: true },
        }
    }
}

impl JoinMethod {
    /// Whether nobody comes in this way before the host is there.
    pub fn needs_host(self) -> bool {
        matches!(self, Self::OnBehalf { .. })
    }
}

/// Whether the class can be entered at `now`. The owner may start a class again that ended before its time.
pub fn admit(
    session: &Session,
    is_owner: bool,
    windows: JoinWindowSettings,
    way: JoinMethod,
    now: Timestamp,
) -> Result<(), Refusal> {
    let before = if is_owner { windows.owner_before } else { windows.invited_before };
    let opens_at = plus_minutes(session.starts_at, -before);
    let closes_at = plus_minutes(session.ends_at(), windows.after_end);
    match session.status {
        Status::Cancelled => return Err(Refusal::SessionCancelled),
        Status::Ended if !is_owner => return Err(Refusal::SessionEnded),
        _ => {}
    }
    if now < opens_at {
        return Err(Refusal::TooEarly { opens_at });
    }
    if now >= closes_at {
        return Err(Refusal::SessionEnded);
    }
    if session.lacks_its_meeting() {
        return Err(Refusal::Conflict(if is_owner {
            "the class's meeting was deleted at Zoom; restore it there, or cancel the class and schedule it anew"
        } else {
            "the class's meeting was deleted at Zoom; its trainer has been told"
        }));
    }
    if !is_owner && way.needs_host() && session.status != Status::Live {
        return Err(Refusal::WaitingForHost);
    }
    Ok(())
}
