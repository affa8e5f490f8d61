//! The OAuth scopes that we need from Zoom.

/// The required scopes, each with the names that Zoom accepts for it. The first name is shown to the trainer. The current
/// specification uses `user:read:token` for the scope that the marketplace still calls `user:read:zak` (Zoom, "OAuth
/// scopes").
pub const REQUIRED: [&[&str]; 10] = [
    &["meeting:write:meeting"],
    &["meeting:update:meeting"],
    &["meeting:delete:meeting"],
    &["meeting:read:list_meetings"],
    &["user:read:user"],
    &["user:read:zak", "user:read:token"],
    &["cloud_recording:read:list_recording_files"],
    &[LIST_PAST_PARTICIPANTS],
    &[LIST_PAST_INSTANCES],
    &[READ_PAST_MEETING],
];

/// The scopes of the server-to-server app in the platform's own account. Without one of them, a call is refused and the
/// operator is alarmed.
pub const REQUIRED_OF_ACCOUNT: [&str; 16] = [
    "meeting:write:meeting:admin",
    "meeting:update:meeting:admin",
    "meeting:delete:meeting:admin",
    "meeting:read:list_meetings:admin",
    "meeting:read:meeting:admin",
    "meeting:update:status:admin",
    "user:read:user:admin",
    "user:write:user:admin",
    "user:update:user:admin",
    "user:update:status:admin",
    "user:delete:user:admin",
    "user:read:token:admin",
    "cloud_recording:read:list_recording_files:admin",
    "meeting:read:list_past_instances:admin",
    "meeting:read:past_meeting:admin",
    "report:read:list_meeting_participants:admin",
];

/// The scope to list the participants of a past meeting.
pub const LIST_PAST_PARTICIPANTS: &str = "meeting:read:list_past_participants";
/// The scope to list the ended instances of a meeting.
pub const LIST_PAST_INSTANCES: &str = "meeting:read:list_past_instances";
/// The scope to read the times of an ended instance.
pub const READ_PAST_MEETING: &str = "meeting:read:past_meeting";
/// The scope to read the account's report of participants. A trainer's grant never has it.
pub const REPORT_PARTICIPANTS: &str = "report:read:list_meeting_participants";

/// The scope to register people for a meeting. A trainer's grant never needs it.
pub const REGISTER: &str = "meeting:write:registrant";

/// The scope to list the recordings of a meeting.
pub const LIST_RECORDINGS: &str = "cloud_recording:read:list_recording_files";
/// The optional scope to list the recordings in the trash. Without it, a trashed file counts as missing.
pub const LIST_TRASH: &str = "cloud_recording:read:list_user_recordings";

/// The scopes of the account's app that are needed only if people join by link. Without them, classes are scheduled
/// without registration.
pub const REQUIRED_OF_ACCOUNT_FOR_LINKS: [&str; 1] = ["meeting:write:registrant:admin"];

/// Returns the required scopes that were not granted, in the order of [`REQUIRED`].
pub fn missing(granted: &[String]) -> Vec<String> {
    REQUIRED
        .iter()
        .filter(|names| !names.iter().any(|scope| covers(granted, scope)))
        .map(|names| names[0].to_owned())
        .collect()
}

/// Returns whether `granted` includes `scope`.
pub fn covers(granted: &[String], scope: &str) -> bool {
    granted.iter().any(|granted| granted == scope)
}

/// Splits the scope text of a token response at spaces (RFC 6749, section 3.3).
pub fn parse(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_the_zak_scope_are_accepted() {
        let all = |zak: &str| {
            parse(&format!(
                "meeting:write:meeting meeting:update:meeting meeting:delete:meeting meeting:read:list_meetings \
                 user:read:user {zak} cloud_recording:read:list_recording_files meeting:read:list_past_participants \
                 meeting:read:list_past_instances meeting:read:past_meeting"
            ))
        };
        assert_eq!(missing(&all("user:read:zak")), Vec::<String>::new());
        assert_eq!(missing(&all("user:read:token")), Vec::<String>::new());
        assert_eq!(missing(&all("")), vec!["user:read:zak"]);
        assert_eq!(missing(&[]).len(), REQUIRED.len());
    }
}
