//! The token of the platform's own Zoom account.

use jiff::{SignedDuration, Timestamp};

use super::digest::Digest;
use super::sealed::Sealed;
use super::zoom_connection::{RefreshLease, TOKEN_MARGIN_SECONDS};

/// How long refused credentials are not tried again, so that a wrong secret does not cost a request to Zoom for each of
/// ours.
const REFUSAL_PAUSE: SignedDuration = SignedDuration::from_secs(15);

/// The app and the account for which a token is issued, as a hash. Other credentials have another item, so a token never
/// serves an account for which it was not issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTokenId(String);

impl AccountTokenId {
    pub fn derive(account_id: &str, client_id: &str) -> Self {
        Self(Digest::new("account-token", [account_id, client_id]).to_hex())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The stored token, or the lease of the process that requests the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountToken {
    pub issued: Option<IssuedToken>,
    /// Increases with every new token and every refusal. 0 if nothing is stored.
    pub version: u64,
    pub lease: Option<RefreshLease>,
    /// When Zoom last refused the credentials, if it has issued no token since.
    pub refused_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    pub access_token: Sealed,
    pub expires_at: Timestamp,
    pub scopes: Vec<String>,
    /// The base URL that Zoom gave for the account's REST calls. It may be regional.
    pub api_url: Option<String>,
}

impl AccountToken {
    /// Returns the token if it remains valid for at least the margin.
    pub fn fresh(&self, now: Timestamp) -> Option<&IssuedToken> {
        let is_fresh = |token: &&IssuedToken| {
            token.expires_at.as_second() - now.as_second() >= TOKEN_MARGIN_SECONDS
        };
        self.issued.as_ref().filter(is_fresh)
    }

    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }

    pub fn is_leased_by(&self, holder: &str) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.holder == holder)
    }

    /// Returns whether Zoom refused the credentials a moment ago.
    pub fn was_just_refused(&self, now: Timestamp) -> bool {
        self.refused_at.is_some_and(|at| {
            let age = now.duration_since(at);
            !age.is_negative() && age < REFUSAL_PAUSE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_used_until_five_minutes_before_its_end() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let at = |seconds| now.saturating_add(SignedDuration::from_secs(seconds)).unwrap();
        for (remaining, expected) in [(3600, true), (300, true), (299, false), (-1, false)] {
            let issued = IssuedToken {
                access_token: Sealed::from_stored("x"),
                expires_at: at(remaining),
                scopes: Vec::new(),
                api_url: None,
            };
            let token = AccountToken { issued: Some(issued), ..AccountToken::default() };
            assert_eq!(token.fresh(now).is_some(), expected, "{remaining}");
        }
        assert_eq!(AccountToken::default().fresh(now), None);
    }

    #[test]
    fn refused_credentials_are_tried_again_after_a_pause() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        for (age, expected) in [(0, true), (14, true), (15, false), (-1, false)] {
            let refused_at = now.saturating_sub(SignedDuration::from_secs(age)).ok();
            let token = AccountToken { refused_at, ..AccountToken::default() };
            assert_eq!(token.was_just_refused(now), expected, "{age}");
        }
        assert!(!AccountToken::default().was_just_refused(now));
    }
}
