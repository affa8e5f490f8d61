//! The check that keeps a trainer's grant usable. Zoom ends a grant that was not refreshed for 90 days, although the trainer
//! may have a class ahead.

use jiff::{SignedDuration, Timestamp};

use super::time::whole_milli;
use super::zoom_connection::{ConnectionHealth, ZoomConnection};

/// An unused grant is refreshed after this time. Ten days are left in which a failed refresh is repeated.
const RENEWED_AFTER: SignedDuration = SignedDuration::from_hours(24 * 80);
/// The delay after a refresh that failed.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// The age at which Zoom has ended the grant for certain.
const ENDED_AFTER: SignedDuration = SignedDuration::from_hours(24 * 95);
/// The lifetime of an access token, which comes with each refresh.
const ACCESS_TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// The next step for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantStep {
    /// The check is about an earlier grant, or the grant does not work any more.
    Forget,
    /// The grant was refreshed since, so it is looked at again then.
    Wait(Timestamp),
    Renew,
}

/// Returns when a grant that was refreshed at `at` is checked.
pub fn check_at(at: Timestamp) -> Timestamp {
    let due_at = at.saturating_add(RENEWED_AFTER).unwrap_or(at);
    whole_milli(due_at)
}

/// Decides about a check that is due at `due_at`.
pub fn decide(connection: Option<&ZoomConnection>, due_at: Timestamp, now: Timestamp) -> GrantStep {
    let is_current = |connection: &&ZoomConnection| {
        connection.health == ConnectionHealth::Connected
            && connection.grant_check_at == Some(due_at)
    };
    let Some(connection) = connection.filter(is_current) else { return GrantStep::Forget };
    let check_at = check_at(refreshed_at(connection));
    if check_at > now { GrantStep::Wait(check_at) } else { GrantStep::Renew }
}

/// Returns when a refresh that failed at `now` is repeated. `None` if the grant has ended meanwhile.
pub fn retry_at(connection: &ZoomConnection, now: Timestamp) -> Option<Timestamp> {
    let is_over = now.duration_since(refreshed_at(connection)) >= ENDED_AFTER;
    (!is_over).then(|| whole_milli(now.saturating_add(RETRY_AFTER).unwrap_or(now)))
}

/// Returns about when the grant was last refreshed.
pub fn refreshed_at(connection: &ZoomConnection) -> Timestamp {
    let expires_at = connection.access_expires_at;
    expires_at.saturating_sub(ACCESS_TOKEN_LIFE).unwrap_or(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::sealed::Sealed;
    use crate::domain::zoom_connection::ZoomUser;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
    }

    fn connection(refreshed_on: i64, grant_check_at: Option<Timestamp>) -> ZoomConnection {
        ZoomConnection {
            trainer: UserId::parse("t").unwrap(),
            health: ConnectionHealth::Connected,
            zoom_user: ZoomUser {
                id: "u".into(),
                account_id: "a".into(),
                email: None,
                is_basic: false,
            },
            scopes: Vec::new(),
            access_token: Sealed::from_stored("x"),
            refresh_token: Sealed::from_stored("x"),
            access_expires_at: at(refreshed_on).saturating_add(ACCESS_TOKEN_LIFE).unwrap(),
            api_url: None,
            connected_at: at(0),
            version: 1,
            lease: None,
            grant_check_at,
        }
    }

    #[test]
    fn unused_grant_is_renewed_before_zoom_ends_it() {
        let due_at = check_at(at(0));
        assert_eq!(due_at, at(80));
        let unused = connection(0, Some(due_at));
        let used = connection(50, Some(due_at));
        let lost = ZoomConnection { health: ConnectionHealth::ReauthRequired, ..unused.clone() };
        let later = connection(0, Some(at(100)));
        for (name, connection, expected) in [
            ("unused", Some(&unused), GrantStep::Renew),
            ("used meanwhile", Some(&used), GrantStep::Wait(at(130))),
            ("lost", Some(&lost), GrantStep::Forget),
            ("with another check", Some(&later), GrantStep::Forget),
            ("deleted", None, GrantStep::Forget),
        ] {
            assert_eq!(decide(connection, due_at, at(80)), expected, "{name}");
        }
        assert_eq!(retry_at(&unused, at(80)), Some(at(81)));
        assert_eq!(retry_at(&unused, at(95)), None);
    }
}
