//! Hosts of the platform's own Zoom account: the Zoom user under which a trainer's sessions are held, and its licence.

mod life_cycle;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::id::{UserId, ZoomUserId};
use super::text::Email;

pub use self::life_cycle::{FoundUser, HostOutcome, HostRequest, OutcomeTime};

/// How the Zoom user of a host comes into the account (Zoom, "Create users").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostCreation {
    /// The account already has the user.
    Existing,
    /// Zoom mails an invitation, which the person accepts.
    Invite,
    /// The account manages the domain of the address.
    Auto,
    /// The person signs in with the account's single sign-on.
    Sso,
    /// The user has no sign-in of its own. It needs a contract with Zoom.
    Custom,
}

/// Whether and when a host has a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LicenceMode {
    /// Zoom ends the host's meetings after 40 minutes, unless the operator assigns a licence at Zoom.
    None,
    Permanent,
    /// Only around the host's sessions.
    Leased,
}

/// How far a host is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostState {
    /// The request is stored and not yet carried out at Zoom.
    Requested,
    /// The person has not accepted Zoom's invitation yet.
    Invited,
    /// Sessions can be held under this host.
    Active,
    /// Zoom refused the request. The reason names the next action.
    Failed,
    /// The trainer has no host any more.
    Removed,
}

/// The reason why a host is not active, or why it waits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HostReason {
    /// The address belongs to a Zoom user outside the account.
    ExistsElsewhere,
    /// `existing` was requested, and the account has no user with the address.
    NotFound,
    /// Every licence of the account is assigned.
    NoLicence,
    /// The account has as many users without a licence as it may have.
    UserLimit,
    /// Zoom does not accept the address.
    AddressRefused,
    /// Zoom does not accept the name of the person.
    NameRefused,
    /// The account, or the scopes of its app, do not allow this way to create users.
    NotAllowed,
    /// The account has no paid plan.
    AccountNotPaid,
    /// The person did not accept the invitation in time.
    InvitationExpired,
    /// The user was deleted or removed from the account at Zoom.
    GoneAtZoom,
    /// The account has created as many users today as Zoom allows.
    DailyLimit,
    /// Zoom gave no usable response, or refused the account's credentials.
    ZoomUnavailable,
    /// Zoom refused the request for a reason that we do not know.
    ZoomRejected,
}

/// The treatment of a removed host's Zoom user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ZoomUserRemoval {
    /// The user stays in the account. A licence that we assigned is given back.
    Keep,
    /// The user can no longer sign in.
    Deactivate,
    /// The user leaves the account and becomes a free user of its own.
    Disassociate,
}

macro_rules! words {
    ($($name:ident),*) => { $(
        impl $name {
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }
    )* };
}
words!(HostCreation, LicenceMode, HostState, HostReason, ZoomUserRemoval);

/// A licence that the host has at Zoom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLicence {
    /// When it was assigned.
    pub since: Timestamp,
    /// When a leased one is to be given back. `None` for a permanent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A change of a licence that is stored before Zoom is called, so that a sweep finishes it after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenceIntent {
    pub change: LicenceChange,
    /// When the intent was stored.
    pub since: Timestamp,
    /// When a leased licence that is being assigned is to be given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A time in which the host had a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicencePeriod {
    pub since: Timestamp,
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LicenceChange {
    Assigning,
    Returning,
}

/// The work for a host that is left at Zoom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum HostTask {
    /// Finds or creates the user.
    Provision,
    /// Looks whether an invited person has accepted.
    CheckInvitation,
    /// Carries out the removal.
    Remove { zoom: ZoomUserRemoval },
}

/// A task with its due work, which is stored in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWork {
    #[serde(flatten)]
    pub task: HostTask,
    pub due_at: Timestamp,
    /// Attempts without a final answer.
    #[serde(default)]
    pub attempts: u32,
}

/// The host of a trainer in the platform's own Zoom account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformHost {
    pub trainer: UserId,
    pub email: Email,
    pub creation: HostCreation,
    pub licence: LicenceMode,
    pub state: HostState,
    /// Why the host failed, or why it waits.
    pub reason: Option<HostReason>,
    /// Unknown until Zoom has answered.
    pub zoom_user: Option<ZoomUserId>,
    /// The Zoom account of the user.
    pub account: Option<String>,
    pub held: Option<HeldLicence>,
    pub licence_intent: Option<LicenceIntent>,
    /// The latest licences that the host had before, oldest first.
    pub licence_history: Vec<LicencePeriod>,
    pub work: Option<HostWork>,
    pub invited_at: Option<Timestamp>,
    /// The requested treatment of a removed host's Zoom user.
    pub removal: Option<ZoomUserRemoval>,
    /// The user of an earlier address. Its licence is still to be given back.
    pub former_user: Option<ZoomUserId>,
    /// Starts at the Unix milliseconds of the first request and increases with every change, so that a record which was
    /// erased and requested again never has an earlier version.
    pub version: u64,
    /// The time of the last request or event of the platform.
    pub requested_at: Timestamp,
    pub updated_at: Timestamp,
}

impl HostReason {
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// Returns whether the account has no user with the address, and so none with a licence.
    fn means_no_user(self) -> bool {
        matches!(
            self,
            Self::ExistsElsewhere | Self::NotFound | Self::InvitationExpired | Self::GoneAtZoom
        )
    }
}

impl HostState {
    /// The words of a filter.
    pub const WORDS: &str = "requested, invited, active, failed or removed";
}

impl ZoomUserRemoval {
    /// The words of a request.
    pub const WORDS: &str = "keep, deactivate or disassociate";
}
