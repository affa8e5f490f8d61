//! Meeting providers: where a class can meet. Two are real: Zoom, and a link that the trainer pastes.

mod manual;
mod zoom;

pub use manual::ManualLink;
pub use zoom::ZoomMeetings;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::error::Error;
use crate::crypt::{Binding, Keyring};
use crate::domain::draft::Draft;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::session::{JoinCredentialsSeen, Meeting, Provider, Session};
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Title};
use crate::domain::time::Zone;
use crate::domain::zoom_event::JoinCredentialsChange;
use crate::random::Random;
use crate::secret::Secret;
use crate::zoom::ZoomError;

/// What a provider needs to know of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct MeetingPlan {
    pub session: SessionId,
    pub title: Title,
    pub description: Description,
    pub starts_at: Timestamp,
    pub zone: Zone,
    pub duration_minutes: u16,
    pub record_session: bool,
    pub settings: MeetingSettings,
    /// The names of all settings that the provider was ever told: those that are not given are off.
    pub settings_told: BTreeSet<String>,
}

impl MeetingPlan {
    pub fn drafted(session: &SessionId, draft: &Draft) -> Self {
        Self {
            session: session.clone(),
            title: draft.title.clone(),
            description: draft.description.clone(),
            starts_at: draft.starts_at,
            zone: draft.zone.clone(),
            duration_minutes: draft.duration_minutes,
            record_session: draft.record_session,
            settings: draft.settings.clone(),
            settings_told: draft.settings.given(),
        }
    }

    pub fn of(session: &Session) -> Self {
        Self {
            session: session.id.clone(),
            title: session.title.clone(),
            description: session.description.clone(),
            starts_at: session.starts_at,
            zone: session.zone.clone(),
            duration_minutes: session.duration_minutes,
            record_session: session.record_session,
            settings: session.settings.clone(),
            settings_told: session.settings_told.clone(),
        }
    }
}

/// A meeting that a provider made. The host's own link is not among it: it never gets further than the answer it came in.
#[derive(Clone, Debug)]
pub struct NewMeeting {
    pub account: Option<String>,
    pub id: Option<MeetingId>,
    pub join_url: Secret,
    pub passcode: Option<Secret>,
    /// Whether it will be recorded, where the provider says so.
    pub is_recorded: Option<bool>,
}

/// How to get into a meeting, for those who may know.
#[derive(Clone, Debug)]
pub struct JoinData {
    pub meeting_number: Option<MeetingId>,
    pub join_url: Secret,
    pub passcode: Option<Secret>,
}

/// A provider's call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum MeetingError {
    /// Nobody knows whether it happened.
    #[error("no usable answer: {what}")]
    Unknown { what: String },
    /// It did not happen.
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<ZoomError> for MeetingError {
    fn from(error: ZoomError) -> Self {
        match error {
            ZoomError::Busy { what } => Self::Unknown { what },
            other => Self::Other(other.into()),
        }
    }
}

impl From<MeetingError> for Error {
    fn from(error: MeetingError) -> Self {
        match error {
            MeetingError::Unknown { what } => Self::ZoomUnavailable { what },
            MeetingError::Other(error) => error,
        }
    }
}

/// Somewhere to meet.
#[expect(async_fn_in_trait, reason = "used through its implementations, whose futures are Send")]
pub trait MeetingProvider {
    /// Makes the meeting. After [`MeetingError::Unknown`] there may be one.
    async fn create(&mut self, plan: &MeetingPlan) -> Result<NewMeeting, MeetingError>;
    /// Brings a meeting from `old` to `new`; where nothing that the provider knows differs, nothing is sent.
    async fn update(
        &mut self,
        meeting: Option<MeetingId>,
        old: Option<&MeetingPlan>,
        new: &MeetingPlan,
    ) -> Result<(), MeetingError>;
    /// Takes the meeting away; one that is gone already is no error.
    async fn cancel(
        &mut self,
        meeting: Option<MeetingId>,
        running: bool,
    ) -> Result<(), MeetingError>;
}

/// Whether an edit from `old` to `new` is of any interest to the provider.
pub fn concerns(provider: Provider, old: &MeetingPlan, new: &MeetingPlan) -> bool {
    match provider {
        Provider::Zoom => zoom::patch(Some(old), new).is_some(),
        Provider::Manual => false,
    }
}

const JOIN_URL_FIELD: &str = "join_url";
const PASSCODE_FIELD: &str = "passcode";

/// Encrypts what lets people into a meeting, bound to its class.
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
        id: meeting.id,
        join_url: seal(&meeting.join_url, JOIN_URL_FIELD),
        passcode: meeting.passcode.as_ref().map(|passcode| seal(passcode, PASSCODE_FIELD)),
        told: JoinCredentialsSeen::default(),
    }
}

/// The meeting of a class with what Zoom said at `at` of how people come in. What is no later than the last that was
/// heard of it changes nothing, so that neither the order of such events nor their repetition matters.
pub fn with_entrance(
    session: &Session,
    entrance: &JoinCredentialsChange,
    at: Timestamp,
    keyring: &Keyring,
    random: &Random,
) -> Meeting {
    let seal = |text: &str, field| {
        keyring.seal(text, &Binding { owner: session.id.as_str(), field }, random)
    };
    let is_new = |told: Option<Timestamp>| told.is_none_or(|told| told < at);
    let mut meeting = session.meeting.clone();
    if let Some(join_url) = entrance.join_url.as_ref().filter(|_| is_new(meeting.told.join_url)) {
        meeting.join_url = seal(join_url, JOIN_URL_FIELD);
        meeting.told.join_url = Some(at);
    }
    if let Some(passcode) = entrance.passcode.as_ref().filter(|_| is_new(meeting.told.passcode)) {
        meeting.passcode = Some(seal(passcode, PASSCODE_FIELD));
        meeting.told.passcode = Some(at);
    }
    meeting
}

/// Decrypts what lets people into the meeting of a class: kept in the same way by every provider.
pub fn join_data(session: &Session, keyring: &Keyring) -> Result<JoinData, Error> {
    let open = |sealed, field| keyring.open(sealed, &Binding { owner: session.id.as_str(), field });
    Ok(JoinData {
        meeting_number: session.meeting.id,
        join_url: open(&session.meeting.join_url, JOIN_URL_FIELD)?,
        passcode: session
            .meeting
            .passcode
            .as_ref()
            .map(|passcode| open(passcode, PASSCODE_FIELD))
            .transpose()?,
    })
}
