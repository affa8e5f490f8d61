//! Zoom's OAuth scopes: what each feature needs, and what a grant lacks.

/// Scopes that live classes need, each with the spellings that Zoom accepts for it.
/// The first is the one shown to the trainer. (Zoom, "OAuth scopes"; `user:read:token` is the current
/// specification's name for what the marketplace still calls `user:read:zak`.)
pub const REQUIRED: [&[&str]; 8] = [
    &["meeting:write:meeting"],
    &["meeting:update:meeting"],
    &["meeting:delete:meeting"],
    &["meeting:read:list_meetings"],
    &["user:read:user"],
    &["user:read:zak", "user:read:token"],
    &["cloud_recording:read:list_recording_files"],
    &["meeting:read:list_past_participants"],
];

/// The required scopes that `granted` does not hold, in the order of [`REQUIRED`].
pub fn missing(granted: &[String]) -> Vec<String> {
    REQUIRED
        .iter()
        .filter(|spellings| !spellings.iter().any(|scope| covers(granted, scope)))
        .map(|spellings| spellings[0].to_owned())
        .collect()
}

/// Whether `granted` allows what `scope` allows.
pub fn covers(granted: &[String], scope: &str) -> bool {
    granted.iter().any(|held| held == scope)
}

/// A token answer's scope text, split at spaces (RFC 6749, section 3.3).
pub fn parse(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_spelling_of_the_zak_scope_serves() {
        let all = |zak: &str| {
            parse(&format!(
                "meeting:write:meeting meeting:update:meeting meeting:delete:meeting meeting:read:list_meetings \
                 user:read:user {zak} cloud_recording:read:list_recording_files meeting:read:list_past_participants"
            ))
        };
        assert_eq!(missing(&all("user:read:zak")), Vec::<String>::new());
        assert_eq!(missing(&all("user:read:token")), Vec::<String>::new());
        assert_eq!(missing(&all("")), vec!["user:read:zak"]);
        assert_eq!(missing(&[]).len(), REQUIRED.len());
    }
}
