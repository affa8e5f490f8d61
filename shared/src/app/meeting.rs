//! Meeting providers: Zoom, and a link that the trainer enters.

mod manual;
mod zoom;

pub use manual::ManualLink;
pub use zoom::ZoomMeetings;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::access::ZoomAccess;
use super::error::Error;
use crate::crypt::{Binding, Keyring};
use crate::domain::draft::Draft;
use crate::domain::id::{MeetingId, SessionId, ZoomUserId};
use crate::domain::session::{JoinCredentialsTimes, Meeting, Provider, Session, SessionDetails};
use crate::domain::zoom_event::{JoinCredentialsChange, ReportedAt};
use crate::random::Random;
use crate::secret::Secret;
use crate::zoom::ZoomError;

/// The fields of a session that a provider needs.
#[derive(Clone, Debug, PartialEq)]
pub struct MeetingPlan {
    pub session: SessionId,
    pub details: SessionDetails,
    /// The names of all settings that were ever sent to the provider. A setting that is no longer given is sent as
    /// off.
    pub settings_sent: BTreeSet<String>,
    /// Whether people register for the meeting.
    pub has_registration: bool,
}

impl MeetingPlan {
    pub fn from_draft(session: &SessionId, draft: &Draft, has_registration: bool) -> Self {
        Self {
            session: session.clone(),
            details: draft.details.clone(),
            settings_sent: draft.details.settings.names(),
            has_registration,
        }
    }

    pub fn from_session(session: &Session) -> Self {
        Self {
            session: session.id.clone(),
            details: session.details.clone(),
            settings_sent: session.settings_sent.clone(),
            has_registration: session.meeting.has_registration,
        }
    }
}

/// A meeting that a provider created. The host's start URL is left out and never stored.
#[derive(Clone, Debug)]
pub struct NewMeeting {
    pub account: Option<String>,
    /// The pseudonym of the Zoom user that hosts the meeting.
    pub host_user: Option<String>,
    /// The host's id in the platform's own account, if the platform hosts the meeting.
    pub platform_user: Option<ZoomUserId>,
    pub id: Option<MeetingId>,
    pub join_url: Secret,
    pub passcode: Option<Secret>,
    /// Whether people register for the meeting, as far as the provider reports it.
    pub has_registration: bool,
    /// Whether the meeting will be recorded, if the provider reports it.
    pub is_recorded: Option<bool>,
    /// Whether the provider has another start than the session, and a correction failed.
    pub start_differs: bool,
}

/// The decrypted join data of a meeting.
#[derive(Clone, Debug)]
pub struct JoinData {
    pub meeting_number: Option<MeetingId>,
    /// `None` until the meeting is made.
    pub join_url: Option<Secret>,
    pub passcode: Option<Secret>,
}

/// A failed call to a provider.
#[derive(Debug, thiserror::Error)]
pub enum MeetingError {
    /// The change may or may not have been applied.
    #[error("no usable response: {reason}")]
    Unknown { reason: String },
    /// The change was not applied.
    #[error(transparent)]
    Other(#[from] Error),
}

impl MeetingError {
    /// Converts the error of a call that was made with `zoom_access`.
    pub(super) fn of_call(error: ZoomError, zoom_access: &ZoomAccess) -> Self {
        match error {
            ZoomError::Unavailable { reason } => Self::Unknown { reason },
            other => Self::Other(zoom_access.call_error(other)),
        }
    }
}

impl From<MeetingError> for Error {
    fn from(error: MeetingError) -> Self {
        match error {
            MeetingError::Unknown { reason } => Self::ZoomUnavailable { reason },
            MeetingError::Other(error) => error,
        }
    }
}

/// Whether the provider has answered every attempt of a change that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateAttempts {
    AllAnswered,
    /// The provider may still carry out an earlier attempt, after later changes.
    SomeUnanswered,
}

/// A change that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeetingUpdate {
    pub attempts: UpdateAttempts,
    /// Whether the provider has another start than the session, and a correction failed.
    pub start_differs: bool,
}

impl MeetingUpdate {
    /// A change that the provider need not know.
    pub const NONE: Self = Self { attempts: UpdateAttempts::AllAnswered, start_differs: false };
}

/// A service that hosts meetings.
#[expect(async_fn_in_trait, reason = "used through its implementations, whose futures are Send")]
pub trait MeetingProvider {
    /// Creates the meeting. After [`MeetingError::Unknown`] it may exist.
    async fn create(&mut self, plan: &MeetingPlan) -> Result<NewMeeting, MeetingError>;
    /// Updates a meeting from `old` to `new`. Sends nothing if no field that the provider has differs.
    async fn update(
        &mut self,
        meeting: Option<MeetingId>,
        old: Option<&MeetingPlan>,
        new: &MeetingPlan,
    ) -> Result<MeetingUpdate, MeetingError>;
    /// Deletes the meeting. Succeeds if it no longer exists.
    async fn cancel(
        &mut self,
        meeting: Option<MeetingId>,
        is_running: bool,
    ) -> Result<(), MeetingError>;
}

/// Returns whether an edit from `old` to `new` changes a field that the provider has.
pub fn requires_update(provider: Provider, old: &MeetingPlan, new: &MeetingPlan) -> bool {
    match provider {
        Provider::Zoom => zoom::patch(Some(old), new).is_some(),
        Provider::Manual => false,
    }
}

const JOIN_URL_FIELD: &str = "join_url";
const PASSCODE_FIELD: &str = "passcode";

/// Encrypts the join URL and the passcode, bound to the session.
pub fn seal(
    meeting: &NewMeeting,
    session: &SessionId,
    keyring: &Keyring,
    random: &Random,
) -> Meeting {
    let seal = |text: &Secret, field| {
        keyring.seal(text.expose(), &Binding { owner: session.as_str(), field }, random)
    };
    Meeting {
        account: meeting.account.clone(),
        host_user: meeting.host_user.clone(),
        platform_user: meeting.platform_user.clone(),
        id: meeting.id,
        join_url: Some(seal(&meeting.join_url, JOIN_URL_FIELD)),
        passcode: meeting.passcode.as_ref().map(|passcode| seal(passcode, PASSCODE_FIELD)),
        has_registration: meeting.has_registration,
        credentials_reported_at: JoinCredentialsTimes::default(),
        pending: None,
    }
}

/// Applies a change of the join URL or passcode that Zoom reported at `at`. Changes that are not newer than the last
/// one are ignored, so neither the order nor the repetition of events matters.
pub fn with_join_credentials(
    session: &Session,
    change: &JoinCredentialsChange,
    at: ReportedAt,
    keyring: &Keyring,
    random: &Random,
) -> Meeting {
    let seal = |text: &str, field| {
        keyring.seal(text, &Binding { owner: session.id.as_str(), field }, random)
    };
    let is_new = |last: Option<Timestamp>| last.is_none_or(|last| last < at.replaces_before());
    let mut meeting = session.meeting.clone();
    if let Some(join_url) =
        change.join_url.as_ref().filter(|_| is_new(meeting.credentials_reported_at.join_url))
    {
        meeting.join_url = Some(seal(join_url, JOIN_URL_FIELD));
        meeting.credentials_reported_at.join_url = Some(at.stored());
    }
    if let Some(passcode) =
        change.passcode.as_ref().filter(|_| is_new(meeting.credentials_reported_at.passcode))
    {
        meeting.passcode = Some(seal(passcode, PASSCODE_FIELD));
        meeting.credentials_reported_at.passcode = Some(at.stored());
    }
    meeting
}

/// Decrypts the join URL and passcode of a session. The format is the same for every provider.
pub fn join_data(session: &Session, keyring: &Keyring) -> Result<JoinData, Error> {
    let open = |sealed, field| keyring.open(sealed, &Binding { owner: session.id.as_str(), field });
    Ok(JoinData {
        meeting_number: session.meeting.id,
        join_url: session
            .meeting
            .join_url
            .as_ref()
            .map(|join_url| open(join_url, JOIN_URL_FIELD))
            .transpose()?,
        passcode: session
            .meeting
            .passcode
            .as_ref()
            .map(|passcode| open(passcode, PASSCODE_FIELD))
            .transpose()?,
    })
}
