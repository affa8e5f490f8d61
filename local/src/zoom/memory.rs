//! What the simulated Zoom remembers. Plain data, serialisable as a whole, with no rule in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::knobs::Knobs;
use super::scopes::Category;
use super::webhooks::Post;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) users: BTreeMap<String, User>,
    /// Who sits at the browser in which a consent was begun, by its state; see `Zoom::at_browser`.
    #[serde(default)]
    pub(super) browsers: BTreeMap<String, String>,
    /// Codes of the consent page that were not exchanged yet.
    pub(super) codes: BTreeMap<String, Code>,
    /// By user id: Zoom keeps one grant per user and app, and there is one app.
    pub(super) grants: BTreeMap<String, Grant>,
    pub(super) access_tokens: BTreeMap<String, AccessToken>,
    /// Start tokens (ZAK) and on-behalf tokens (OBF) that were handed out.
    pub(super) join_tokens: BTreeMap<String, JoinToken>,
    pub(super) meetings: BTreeMap<i64, Meeting>,
    /// Clients that are gone and still count as present: when Zoom will notice, in which meeting, which connection.
    pub(super) killed: BTreeSet<(Timestamp, i64, String)>,
    /// Where a `next_page_token` goes on.
    pub(super) pages: BTreeMap<String, Page>,
    /// Creates and updates per host, on the UTC day given.
    pub(super) written: BTreeMap<String, (jiff::civil::Date, u32)>,
    /// Requests in the second given, per account and category.
    pub(super) second: i64,
    pub(super) asked: Vec<(String, Category, u32)>,
    pub(super) post: Post,
    pub(super) knobs: Knobs,
    pub(super) counts: Counts,
}

/// What was asked of Zoom so far; tests read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Authorisation codes exchanged for tokens.
    pub token_exchanges: u64,
    /// Refresh tokens exchanged for new ones.
    pub token_refreshes: u64,
    /// Attempts with a refresh token that was dead or never one.
    pub refused_refreshes: u64,
    /// REST requests with a good token, by Zoom's operation id.
    pub requests: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) plan: Plan,
    /// Settings that the account forbids: a name, or `name=value`.
    pub(super) forbid: BTreeSet<String>,
    /// How many licensed users it may have.
    pub(super) licenses: Option<usize>,
}

/// A Zoom account's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Free: no cloud recording, no lists of past participants.
    Basic,
    /// Paid.
    Pro,
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
}

impl User {
    pub(super) fn display_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) user_id: String,
    pub(super) scopes: BTreeSet<String>,
    pub(super) redirect_uri: String,
    /// The PKCE S256 challenge, where the app sent one.
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

/// For whom a token speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Holder {
    User(String),
    Account(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct JoinToken {
    pub(super) user_id: String,
    /// Only an on-behalf token is for one meeting.
    pub(super) meeting_id: Option<i64>,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Page {
    /// The list and its filter: a token does not open another list.
    pub(super) of: String,
    pub(super) offset: usize,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Meeting {
    pub(super) id: i64,
    /// Of the running instance, or of the next one.
    pub(super) uuid: String,
    pub(super) host_id: String,
    pub(super) kind: i64,
    pub(super) topic: String,
    pub(super) agenda: String,
    pub(super) start_time: Timestamp,
    pub(super) timezone: String,
    pub(super) duration_minutes: i64,
    pub(super) password: String,
    /// The passcode as it stands in the join link.
    pub(super) encrypted_password: String,
    pub(super) settings: Map<String, Value>,
    /// What was sent and is only given back: recurrence, tracking fields and their like.
    pub(super) extra: Map<String, Value>,
    pub(super) created_at: Timestamp,
    pub(super) deleted: bool,
    /// Every create and update body received, refused updates included.
    pub(super) requests: Vec<Value>,
    pub(super) instances: Vec<Instance>,
}

/// One time that the meeting was held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) uuid: String,
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) participants: Vec<Participant>,
    /// Breakout rooms: the UUID of each name.
    pub(super) rooms: BTreeMap<String, String>,
    pub(super) recording: Option<Recording>,
}

/// One connection of one client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Participant {
    /// Zoom: per connection; the same across room moves, new on a rejoin.
    pub(super) participant_uuid: String,
    /// Zoom: changes with every room move.
    pub(super) user_id: String,
    /// The number in the main room while in a breakout room.
    pub(super) parent_user_id: Option<String>,
    pub(super) name: String,
    /// Zoom: nearly always empty.
    pub(super) email: String,
    pub(super) customer_key: Option<String>,
    /// The Zoom user behind it, if one is signed in.
    pub(super) zoom_user_id: Option<String>,
    pub(super) host: bool,
    /// The breakout room's UUID.
    pub(super) room: Option<String>,
    pub(super) join_time: Timestamp,
    pub(super) leave_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recording {
    pub(super) state: RecordingState,
    pub(super) started_at: Timestamp,
    pub(super) stopped_at: Option<Timestamp>,
    pub(super) password: String,
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
    /// The last part of its play and download links.
    pub(super) link: String,
}

impl Meeting {
    /// The instance that is being held.
    pub(super) fn running(&self) -> Option<&Instance> {
        self.instances.last().filter(|instance| instance.ended_at.is_none())
    }

    pub(super) fn running_mut(&mut self) -> Option<&mut Instance> {
        self.instances.last_mut().filter(|instance| instance.ended_at.is_none())
    }

    pub(super) fn setting_is(&self, name: &str, value: impl Into<Value>) -> bool {
        self.settings.get(name) == Some(&value.into())
    }
}
