//! Zoom connections: the OAuth grants of trainers.

use jiff::Timestamp;

use super::id::{UserId, zoom_user_pseudonym};
use super::scope;
use super::sealed::Sealed;
use super::text::Email;

/// The minimum remaining lifetime of an access token that we use. It is longer than any function runs.
pub const TOKEN_MARGIN_SECONDS: i64 = 5 * 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionHealth {
    Connected,
    /// Zoom rejected the grant, and the trainer must connect again.
    ReauthRequired,
}

/// The Zoom user of the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoomUser {
    pub id: String,
    pub account_id: String,
    pub email: Option<Email>,
    /// Whether the user has no licence, as of connecting. Zoom ends such a host's meetings after 40 minutes.
    pub is_basic: bool,
}

impl ZoomUser {
    /// Returns the pseudonym of the user, if Zoom gave an id. Sessions store it instead of the id, because the id must
    /// be erased when the user removes the app.
    pub fn pseudonym(&self) -> Option<String> {
        (!self.id.is_empty()).then(|| zoom_user_pseudonym(&self.id))
    }

    /// Returns the account id, if Zoom gave one.
    pub fn account(&self) -> Option<&str> {
        Some(self.account_id.as_str()).filter(|account| !account.is_empty())
    }
}

/// A stored OAuth grant with encrypted tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoomConnection {
    pub trainer: UserId,
    pub health: ConnectionHealth,
    pub zoom_user: ZoomUser,
    pub scopes: Vec<String>,
    pub access_token: Sealed,
    pub refresh_token: Sealed,
    pub access_expires_at: Timestamp,
    /// The base URL that Zoom gave for this account's REST calls. It may be regional.
    pub api_url: Option<String>,
    pub connected_at: Timestamp,
    /// Starts at a random number and increases with every change of the tokens, so a slow refresh or event cannot change a
    /// newer grant, even if the trainer has disconnected and connected again.
    pub version: u64,
    /// The lease of the process that is refreshing the tokens.
    pub lease: Option<RefreshLease>,
    /// When the grant is checked, so that Zoom does not end it unused. `None` for a grant of an earlier version that was not
    /// needed since.
    pub grant_check_at: Option<Timestamp>,
}

/// The largest difference between our clock and Zoom's, with the precision of the times in events.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// The longest time between the start of a connect request, which is stored, and the exchange of its code.
const EXCHANGE_SECONDS: i64 = 30;

/// What an event about a Zoom user means for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantEffect {
    /// The event is about another user, or about an earlier grant.
    None,
    /// Zoom has ended the grant.
    Ends,
    /// The event may be about this grant or an earlier one.
    Unclear,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshLease {
    pub holder: String,
    pub until: Timestamp,
}

impl ZoomConnection {
    pub fn missing_scopes(&self) -> Vec<String> {
        scope::missing(&self.scopes)
    }

    /// Decides the effect of an event about a Zoom user on this grant. A grant that was given after the event is not
    /// affected, however late the event arrives. Zoom's clock may differ from ours, and an event may have no readable
    /// time, so the time alone does not always decide.
    pub fn effect_of_event(
        &self,
        user: &str,
        account: Option<&str>,
        at: Option<Timestamp>,
    ) -> GrantEffect {
        let is_other_account = account
            .zip(self.zoom_user.account())
            .is_some_and(|(account, connected)| account != connected);
        if self.zoom_user.id != user || is_other_account {
            return GrantEffect::None;
        }
        let Some(at) = at else { return GrantEffect::Unclear };
        let seconds_later = self.seconds_until(at);
        if seconds_later.abs() <= CLOCK_TOLERANCE_SECONDS {
            GrantEffect::Unclear
        } else if seconds_later > 0 {
            GrantEffect::Ends
        } else {
            GrantEffect::None
        }
    }

    /// Returns the whole seconds from the connection to `at`, which may have no fraction of a second.
    pub fn seconds_until(&self, at: Timestamp) -> i64 {
        at.as_second() - self.connected_at.as_second()
    }

    /// Returns whether this grant may have been given before `at`, when another grant of the Zoom user was requested or the
    /// user removed the app. Either would have ended it.
    pub fn may_have_ended_by(&self, at: Timestamp) -> bool {
        self.seconds_until(at) >= -(EXCHANGE_SECONDS + CLOCK_TOLERANCE_SECONDS)
    }

    /// Returns whether the access token remains valid for at least the margin.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.access_expires_at.as_second() - now.as_second() >= TOKEN_MARGIN_SECONDS
    }

    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }

    pub fn is_leased_by(&self, holder: &str) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.holder == holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ends_only_grants_that_were_given_before_it() {
        let connected_at: Timestamp = "2026-11-21T09:00:00.5Z".parse().unwrap();
        let connection = |account_id: &str| ZoomConnection {
            trainer: UserId::parse("t").unwrap(),
            health: ConnectionHealth::Connected,
            zoom_user: ZoomUser {
                id: "u".into(),
                account_id: account_id.into(),
                email: None,
                is_basic: false,
            },
            scopes: Vec::new(),
            access_token: Sealed::from_stored("x"),
            refresh_token: Sealed::from_stored("x"),
            access_expires_at: connected_at,
            api_url: None,
            connected_at,
            version: 1,
            lease: None,
            grant_check_at: None,
        };
        let at = |seconds| Timestamp::from_second(connected_at.as_second() + seconds).ok();
        use GrantEffect::{Ends, None as Nothing, Unclear};
        for (user, account, time, stored_account, expected) in [
            ("u", Some("a"), at(3600), "a", Ends),
            ("u", Some("a"), at(61), "a", Ends),
            ("u", Some("a"), at(60), "a", Unclear),
            ("u", Some("a"), at(0), "a", Unclear),
            ("u", Some("a"), at(-60), "a", Unclear),
            ("u", Some("a"), at(-61), "a", Nothing),
            ("u", Some("a"), None, "a", Unclear),
            // An unknown account on either side does not matter, because Zoom's user ids are unique.
            ("u", None, at(3600), "a", Ends),
            ("u", Some("a"), at(3600), "", Ends),
            ("u", Some("b"), at(3600), "a", Nothing),
            ("u", Some("b"), None, "a", Nothing),
            ("v", Some("a"), at(3600), "a", Nothing),
            ("v", Some("a"), None, "a", Nothing),
        ] {
            let effect = connection(stored_account).effect_of_event(user, account, time);
            assert_eq!(effect, expected, "{user} {account:?} {time:?}");
        }
    }
}
