//! The operations of Zoom's REST API with their scopes and rate limit categories.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Zoom's rate limit categories. Each has its own limit per second and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Category {
    Light,
    Medium,
    Heavy,
}

impl Category {
    /// Returns the value of the header `X-RateLimit-Category`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Light => "Light",
            Self::Medium => "Medium",
            Self::Heavy => "Heavy",
        }
    }
}

/// An operation of the REST API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// Zoom's operation id.
    pub(super) name: &'static str,
    /// Scopes of which one allows the operation on the user's own data.
    own: &'static [&'static str],
    /// Scopes of which one allows the operation on the whole account.
    account: &'static [&'static str],
    pub(super) category: Category,
}

macro_rules! operations {
    ($($constant:ident = $name:literal, $category:ident, [$($own:literal),*], [$($account:literal),*];)*) => {
        $(pub(super) const $constant: Operation = Operation {
            name: $name,
            own: &[$($own),*],
            account: &[$($account),*],
            category: Category::$category,
        };)*
        pub(super) const ALL: &[Operation] = &[$($constant),*];
    };
}

operations! {
    CREATE_MEETING = "meetingCreate", Light, ["meeting:write:meeting"], ["meeting:write:meeting:admin"];
    LIST_RECORDINGS = "recordingsList", Medium,
        ["cloud_recording:read:list_user_recordings"], ["cloud_recording:read:list_user_recordings:admin"];
    PAST_MEETING = "pastMeetingDetails", Light, ["meeting:read:past_meeting"], ["meeting:read:past_meeting:admin"];
    PAST_INSTANCES = "pastMeetings", Medium,
        ["meeting:read:list_past_instances"], ["meeting:read:list_past_instances:admin"];
    LIST_USERS = "users", Medium, [], ["user:read:list_users:admin"];
    DELETE_USER = "userDelete", Light, ["user:delete:user"], ["user:delete:user:admin"];
    PLAN_USAGE = "GetPlanUsage", Heavy, [], ["billing:read:plan_usage:admin"];
    LIST_MEETINGS = "meetings", Medium, ["meeting:read:list_meetings"], ["meeting:read:list_meetings:admin"];
    GET_MEETING = "meeting", Light, ["meeting:read:meeting"], ["meeting:read:meeting:admin"];
    UPDATE_MEETING = "meetingUpdate", Light, ["meeting:update:meeting"], ["meeting:update:meeting:admin"];
    DELETE_MEETING = "meetingDelete", Light, ["meeting:delete:meeting"], ["meeting:delete:meeting:admin"];
    END_MEETING = "meetingStatus", Light, ["meeting:update:status"], ["meeting:update:status:admin"];
    CREATE_REGISTRANT = "meetingRegistrantCreate", Light,
        ["meeting:write:registrant"], ["meeting:write:registrant:admin"];
    LIST_REGISTRANTS = "meetingRegistrants", Medium,
        ["meeting:read:list_registrants"], ["meeting:read:list_registrants:admin"];
    PAST_PARTICIPANTS = "pastMeetingParticipants", Medium,
        ["meeting:read:list_past_participants"], ["meeting:read:list_past_participants:admin"];
    REPORT_PARTICIPANTS = "reportMeetingParticipants", Heavy, [], ["report:read:list_meeting_participants:admin"];
    GET_RECORDINGS = "recordingGet", Light,
        ["cloud_recording:read:list_recording_files"], ["cloud_recording:read:list_recording_files:admin"];
    GET_USER = "user", Light, ["user:read:user"], ["user:read:user:admin"];
    // The specification has `token` and older apps have `zak`. Zoom accepts both.
    GET_TOKEN = "userToken", Light,
        ["user:read:zak", "user:read:token"], ["user:read:zak:admin", "user:read:token:admin"];
    CREATE_USER = "userCreate", Light, [], ["user:write:user:admin"];
    UPDATE_USER = "userUpdate", Light, ["user:update:user"], ["user:update:user:admin"];
    SET_USER_STATUS = "userStatus", Light, ["user:update:status"], ["user:update:status:admin"];
}

impl Operation {
    /// Returns whether the granted scopes allow the operation. `own` is true for the user's own data.
    pub(super) fn is_allowed_by(&self, own: bool, has_scope: impl Fn(&str) -> bool) -> bool {
        self.account.iter().any(|scope| has_scope(scope))
            || own && self.own.iter().any(|scope| has_scope(scope))
    }

    /// Returns the scopes of which one is required.
    pub(super) fn required_scopes(&self, own: bool) -> Vec<String> {
        let own = if own { self.own } else { &[] };
        own.iter().chain(self.account).map(|scope| (*scope).to_owned()).collect()
    }
}

/// Returns all scopes that a Server-to-Server app can have.
pub fn server_scopes() -> Vec<String> {
    let scopes: BTreeSet<_> = ALL.iter().flat_map(|operation| operation.account).collect();
    scopes.into_iter().map(|scope| (*scope).to_owned()).collect()
}
