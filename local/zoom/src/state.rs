//! The state of the simulated Zoom: plain data that is serialised as a whole.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::apps::App;
use super::scopes::Category;
use super::settings::{Plan, Settings, UserRules};
use super::webhook_queue::WebhookQueue;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ZoomState {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) users: BTreeMap<String, User>,
    /// The person at the browser with the consent page, by OAuth state. See `Zoom::set_browser_user`.
    #[serde(default)]
    pub(super) browsers: BTreeMap<String, String>,
    /// Authorisation codes that were not exchanged yet.
    pub(super) codes: BTreeMap<String, Code>,
    /// By user id. Zoom has one grant per user and app, and there is only one app.
    pub(super) grants: BTreeMap<String, Grant>,
    pub(super) access_tokens: BTreeMap<String, AccessToken>,
    /// Issued start tokens (ZAK) and on-behalf tokens (OBF).
    pub(super) join_tokens: BTreeMap<String, JoinToken>,
    pub(super) meetings: BTreeMap<i64, Meeting>,
    /// Killed clients that are still counted as present: the time of their removal, the meeting, the participant UUID.
    pub(super) killed: BTreeSet<(Timestamp, i64, String)>,
    /// When meeting instances of hosts without a licence end: the time, the meeting, the instance's UUID.
    #[serde(default)]
    pub(super) unlicensed: BTreeSet<(Timestamp, i64, String)>,
    /// By `next_page_token`.
    pub(super) pages: BTreeMap<String, Page>,
    /// Number of creates and updates per host on a UTC day.
    pub(super) daily_writes: BTreeMap<String, (jiff::civil::Date, u32)>,
    /// Number of invitations per account on a UTC day.
    #[serde(default)]
    pub(super) daily_invitations: BTreeMap<String, (jiff::civil::Date, u32)>,
    pub(super) current_second: i64,
    /// Number of requests in the current second, per account and category.
    pub(super) requests_in_second: Vec<(String, Category, u32)>,
    pub(super) webhook_queue: WebhookQueue,
    pub(super) settings: Settings,
    pub(super) counts: Counts,
}

/// Request counts for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Authorisation codes exchanged for tokens.
    pub token_exchanges: u64,
    /// Refresh tokens exchanged for new ones.
    pub token_refreshes: u64,
    /// Requests with an expired, replaced or unknown refresh token.
    pub refused_refreshes: u64,
    /// Tokens issued to the Server-to-Server app.
    #[serde(default)]
    pub account_tokens: u64,
    /// Requests to take the licence from a host in a meeting.
    #[serde(default)]
    pub live_downgrades: u64,
    /// REST requests with a valid token, by Zoom's operation id.
    pub requests: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) plan: Plan,
    /// Settings that the account forbids: a name, or `name=value`.
    pub(super) forbid: BTreeSet<String>,
    /// Maximum number of licensed users.
    pub(super) licenses: Option<usize>,
    #[serde(default)]
    pub(super) users: UserRules,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) account_id: String,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    /// Zoom's `type`: 1 basic, 2 licensed.
    pub(super) licence: i64,
    pub(super) timezone: String,
    pub(super) created_at: Timestamp,
    pub(super) active: bool,
    #[serde(default)]
    pub(super) origin: UserOrigin,
    /// The end of the invitation that a pending user has not accepted.
    #[serde(default)]
    pub(super) invited_until: Option<Timestamp>,
    /// Whether the user owns the account.
    #[serde(default)]
    pub(super) owner: bool,
    /// If absent, the display name consists of the first and the last name.
    #[serde(default)]
    pub(super) chosen_name: Option<String>,
}

/// How a user came into the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum UserOrigin {
    /// On the consent page. Such users have a licence of their own and no limit of concurrent meetings, so that
    /// trainers who connect themselves do not use the licences of the account's hosts.
    #[default]
    SelfRegistered,
    Create,
    AutoCreate,
    CustCreate,
    SsoCreate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserStatus {
    Active,
    Inactive,
    Pending,
    /// The invitation was not accepted in time.
    Expired,
}

impl UserStatus {
    /// Returns Zoom's word. There is none for an expired invitation, which no list contains.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

impl User {
    pub(super) fn display_name(&self) -> String {
        let full_name = || format!("{} {}", self.first_name, self.last_name).trim().to_owned();
        self.chosen_name.clone().unwrap_or_else(full_name)
    }

    pub(super) fn status(&self, now: Timestamp) -> UserStatus {
        match self.invited_until {
            Some(end) if end <= now => UserStatus::Expired,
            Some(_) => UserStatus::Pending,
            None if self.active => UserStatus::Active,
            None => UserStatus::Inactive,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) user_id: String,
    pub(super) scopes: BTreeSet<String>,
    pub(super) redirect_uri: String,
    /// The PKCE S256 challenge, if the app sent one.
    pub(super) challenge: Option<String>,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) scopes: BTreeSet<String>,
    pub(super) refresh_token: String,
    pub(super) refresh_expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccessToken {
    pub(super) holder: Holder,
    pub(super) scopes: BTreeSet<String>,
    pub(super) expires_at: Timestamp,
}

/// The owner of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Holder {
    User(String),
    Account(String),
}

impl Holder {
    /// Returns the app to which the token was issued.
    pub(super) fn app(&self) -> App {
        match self {
            Self::User(_) => App::User,
            Self::Account(_) => App::Server,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct JoinToken {
    pub(super) user_id: String,
    /// Only an on-behalf token is limited to one meeting.
    pub(super) meeting_id: Option<i64>,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Page {
    /// The list and its filter. A token is not valid for another list.
    pub(super) list_key: String,
    pub(super) offset: usize,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Meeting {
    pub(super) id: i64,
    /// UUID of the active or the next instance.
    pub(super) uuid: String,
    pub(super) host_id: String,
    pub(super) kind: i64,
    pub(super) topic: String,
    pub(super) agenda: String,
    pub(super) start_time: Timestamp,
    pub(super) timezone: String,
    pub(super) duration_minutes: i64,
    pub(super) password: String,
    /// The passcode in the join link.
    pub(super) encrypted_password: String,
    pub(super) settings: Map<String, Value>,
    /// Fields that are returned unchanged, such as recurrence and tracking fields.
    pub(super) extra: Map<String, Value>,
    pub(super) created_at: Timestamp,
    pub(super) deleted: bool,
    /// All create and update bodies, including rejected updates.
    pub(super) requests: Vec<Value>,
    #[serde(default)]
    pub(super) registrants: Vec<Registrant>,
    pub(super) instances: Vec<MeetingInstance>,
}

/// A registered person of a meeting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Registrant {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    /// The token in the personal link.
    pub(super) tk: String,
    pub(super) created_at: Timestamp,
    pub(super) is_approved: bool,
    /// The day of the last request for this person, and the number of requests on it.
    pub(super) requests: (jiff::civil::Date, u32),
}

/// One run of a meeting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MeetingInstance {
    pub(super) uuid: String,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    /// The host's user type at the start.
    #[serde(default)]
    pub(super) host_licence: Option<i64>,
    pub(super) participants: Vec<Participant>,
    /// The people in the waiting room.
    #[serde(default)]
    pub(super) waiting: Vec<Participant>,
    /// The people that have left the waiting room, with the times of their stay.
    #[serde(default)]
    pub(super) waited: Vec<Participant>,
    /// UUIDs of breakout rooms by name.
    pub(super) rooms: BTreeMap<String, String>,
    pub(super) recording: Option<Recording>,
}

/// One connection of a participant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Participant {
    /// Zoom: identifies the connection. It stays the same across room moves and is new after a rejoin.
    pub(super) participant_uuid: String,
    /// Zoom: changes with every room move.
    pub(super) user_id: String,
    /// The `user_id` in the main room while the participant is in a breakout room.
    pub(super) parent_user_id: Option<String>,
    pub(super) name: String,
    /// Zoom: almost always empty.
    pub(super) email: String,
    pub(super) customer_key: Option<String>,
    /// The number of a participant who dialed in.
    #[serde(default)]
    pub(super) phone_number: Option<String>,
    /// The registration with the personal link by which the participant joined.
    #[serde(default)]
    pub(super) registrant_id: Option<String>,
    /// The Zoom user, if the participant is signed in.
    pub(super) zoom_user_id: Option<String>,
    pub(super) host: bool,
    /// The breakout room's UUID.
    pub(super) room: Option<String>,
    /// The stays in the rooms before this one.
    #[serde(default)]
    pub(super) stays: Vec<RoomStay>,
    pub(super) join_time: Timestamp,
    pub(super) leave_time: Option<Timestamp>,
}

/// A stay of a participant in the main room or in a breakout room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RoomStay {
    pub(super) user_id: String,
    pub(super) room: Option<String>,
    pub(super) join_time: Timestamp,
    pub(super) leave_time: Timestamp,
}

impl Participant {
    /// Returns every stay. The last one ends at `end` if the participant has not left.
    pub(super) fn all_stays(&self, end: Timestamp) -> Vec<RoomStay> {
        let since = self.stays.last().map_or(self.join_time, |stay| stay.leave_time);
        let last = RoomStay {
            user_id: self.user_id.clone(),
            room: self.room.clone(),
            join_time: since,
            leave_time: self.leave_time.unwrap_or(end).max(since),
        };
        self.stays.iter().cloned().chain([last]).collect()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recording {
    pub(super) state: RecordingState,
    pub(super) started_at: Timestamp,
    pub(super) stopped_at: Option<Timestamp>,
    /// Zoom: what a person types on the recording's page.
    pub(super) password: String,
    /// Zoom: a token for the recording's URL, as `?pwd=`. It is not the password.
    #[serde(default)]
    pub(super) play_passcode: String,
    pub(super) share_url: String,
    pub(super) files: Vec<RecordingFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordingState {
    Running,
    Paused,
    Stopped,
    Completed,
    Trashed,
    Deleted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordingFile {
    pub(super) id: String,
    pub(super) file_type: String,
    pub(super) recording_type: String,
    pub(super) size_bytes: u64,
    /// Last path segment of the play and download links.
    pub(super) link: String,
}

impl Meeting {
    /// Returns the instance in progress.
    pub(super) fn active_instance(&self) -> Option<&MeetingInstance> {
        self.instances.last().filter(|instance| instance.ended_at.is_none())
    }

    pub(super) fn active_instance_mut(&mut self) -> Option<&mut MeetingInstance> {
        self.instances.last_mut().filter(|instance| instance.ended_at.is_none())
    }

    pub(super) fn setting_is(&self, name: &str, value: impl Into<Value>) -> bool {
        self.settings.get(name) == Some(&value.into())
    }
}
