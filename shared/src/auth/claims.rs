//! Validation of a token's claims after its signature was verified (RFC 7519, 4.1).

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{AuthError, AuthSettings, LEEWAY};

/// OpenID Connect Core 1.0, section 2.
const SUB_CHARS_MAX: usize = 255;

/// The caller's identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    pub sub: String,
    pub email: Option<String>,
    /// False without an e-mail address or without the issuer's confirmation.
    pub email_verified: bool,
    pub name: Option<String>,
    pub roles: Vec<String>,
}

/// Omits personal data.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("sub", &self.sub)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

pub(super) fn validate(
    claims: &Map<String, Value>,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Claims, AuthError> {
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err(AuthError::Issuer);
    }
    if !audience_matches(claims.get("aud"), &settings.audience) {
        return Err(AuthError::Audience);
    }
    validate_times(claims, now)?;
    let sub = claims.get("sub").and_then(Value::as_str).ok_or(AuthError::Claims)?;
    if sub.is_empty() || sub.chars().count() > SUB_CHARS_MAX {
        return Err(AuthError::Claims);
    }
    let email = text_claim(claims, "email");
    Ok(Claims {
        sub: sub.to_owned(),
        email_verified: email.is_some() && is_true(claims.get("email_verified")),
        email,
        name: text_claim(claims, "name"),
        roles: roles(claims, &settings.role_claim),
    })
}

/// `aud` is a string or an array of strings (4.1.3).
fn audience_matches(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// `exp` is required and `nbf` is optional. Both may have a fraction (section 2, NumericDate).
fn validate_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), AuthError> {
    let now = now.as_duration().as_secs_f64();
    let leeway = LEEWAY.as_secs_f64();
    let expires_at = claims.get("exp").and_then(Value::as_f64).ok_or(AuthError::Claims)?;
    if now >= expires_at + leeway {
        return Err(AuthError::Expired);
    }
    if let Some(not_before) = claims.get("nbf") {
        let not_before = not_before.as_f64().ok_or(AuthError::Claims)?;
        if now < not_before - leeway {
            return Err(AuthError::NotYetValid);
        }
    }
    Ok(())
}

fn text_claim(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let text = claims.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Some issuers, such as Amazon Cognito, send booleans as strings.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn roles(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    match find_claim(claims, path) {
        Some(Value::String(role)) => vec![role.clone()],
        Some(Value::Array(roles)) => {
            roles.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Tries the whole path first and then splits it at its dots from the right, because the name of a claim may be a
/// URL with dots. `https://x.test/claims.role` finds both `{"https://x.test/claims.role": …}` and
/// `{"https://x.test/claims": {"role": …}}`.
fn find_claim<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    object.get(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            find_claim(object.get(&path[..dot])?.as_object()?, &path[dot + 1..])
        })
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn settings(role_claim: &str) -> AuthSettings {
        AuthSettings {
            issuer: "https://issuer.test/".into(),
            audience: "live-classes".into(),
            jwks_url: None,
            role_claim: role_claim.into(),
        }
    }

    /// Returns valid claims with some replaced. `null` removes a claim.
    fn claims_with(changes: &Value) -> Map<String, Value> {
        let valid = json!({
            "iss": "https://issuer.test/", "aud": "live-classes", "sub": "trainer-1", "exp": NOW + 300,
        });
        let mut claims = valid.as_object().unwrap().clone();
        for (name, value) in changes.as_object().unwrap() {
            claims.insert(name.clone(), value.clone());
        }
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn validate_with(changes: &Value) -> Result<Claims, AuthError> {
        validate(&claims_with(changes), &settings("role"), Timestamp::from_second(NOW).unwrap())
    }

    #[test]
    fn invalid_claims_are_refused() {
        let cases = [
            (json!({"iss": "https://issuer.test"}), AuthError::Issuer),
            (json!({"iss": ["https://issuer.test/"]}), AuthError::Issuer),
            (json!({"iss": null}), AuthError::Issuer),
            (json!({"aud": "live-classes-2"}), AuthError::Audience),
            (json!({"aud": ["a", "b"]}), AuthError::Audience),
            (json!({"aud": []}), AuthError::Audience),
            (json!({"aud": {"live-classes": 1}}), AuthError::Audience),
            (json!({"aud": null}), AuthError::Audience),
            (json!({"exp": null}), AuthError::Claims),
            (json!({"exp": "1900000000"}), AuthError::Claims),
            (json!({"exp": NOW - 30}), AuthError::Expired),
            (json!({"exp": -1}), AuthError::Expired),
            (json!({"nbf": NOW + 31}), AuthError::NotYetValid),
            (json!({"nbf": "soon"}), AuthError::Claims),
            (json!({"sub": null}), AuthError::Claims),
            (json!({"sub": ""}), AuthError::Claims),
            (json!({"sub": 7}), AuthError::Claims),
            (json!({"sub": "s".repeat(256)}), AuthError::Claims),
        ];
        for (changes, error) in cases {
            assert_eq!(validate_with(&changes), Err(error), "{changes}");
        }
    }

    #[test]
    fn valid_claims_are_accepted_within_the_leeway() {
        let cases = [
            json!({}),
            json!({"aud": ["other", "live-classes"]}),
            json!({"exp": NOW - 29}),
            json!({"exp": NOW as f64 - 29.5}),
            json!({"exp": 1e18}),
            json!({"nbf": NOW + 30, "iat": NOW + 1_000}),
            json!({"sub": "é".repeat(255)}),
        ];
        for changes in cases {
            assert!(validate_with(&changes).is_ok(), "{changes}");
        }
        let later = Timestamp::from_second(NOW).unwrap() + SignedDuration::from_secs(330);
        assert_eq!(
            validate(&claims_with(&json!({})), &settings("role"), later),
            Err(AuthError::Expired)
        );
    }

    #[test]
    fn email_is_trimmed_and_verified_only_if_claimed_true() {
        let cases = [
            (json!({"email": " a@x.test ", "email_verified": true}), Some("a@x.test"), true),
            (json!({"email": "a@x.test", "email_verified": "true"}), Some("a@x.test"), true),
            (json!({"email": "a@x.test", "email_verified": "True"}), Some("a@x.test"), false),
            (json!({"email": "a@x.test", "email_verified": 1}), Some("a@x.test"), false),
            (json!({"email": "a@x.test", "email_verified": false}), Some("a@x.test"), false),
            (json!({"email": "a@x.test"}), Some("a@x.test"), false),
            (json!({"email": "  ", "email_verified": true}), None, false),
            (json!({"email": ["a@x.test"], "email_verified": true}), None, false),
        ];
        for (changes, email, verified) in cases {
            let claims = validate_with(&changes).unwrap();
            assert_eq!(
                (claims.email.as_deref(), claims.email_verified),
                (email, verified),
                "{changes}"
            );
        }
        let claims = validate_with(&json!({"name": " Ada ", "email": "a@x.test"})).unwrap();
        assert_eq!(claims.name.as_deref(), Some("Ada"));
        assert!(
            !format!("{claims:?}").contains("a@x.test") && !format!("{claims:?}").contains("Ada")
        );
    }

    #[test]
    fn roles_are_found_by_name_or_path() {
        let claims_url = "https://x.test/claims";
        let cases = [
            ("role", json!({"role": "trainer"}), &["trainer"][..]),
            ("role", json!({"role": ["trainer", 7, "admin"]}), &["trainer", "admin"]),
            ("role", json!({"role": {"trainer": true}}), &[]),
            ("role", json!({}), &[]),
            ("app_metadata.roles", json!({"app_metadata": {"roles": ["student"]}}), &["student"]),
            ("app_metadata.roles", json!({"app_metadata": "student"}), &[]),
            (
                "app_metadata.roles",
                json!({"app_metadata.roles": "a", "app_metadata": {"roles": "b"}}),
                &["a"],
            ),
            ("https://x.test/claims.role", json!({claims_url: {"role": "admin"}}), &["admin"]),
            (
                "https://x.test/claims.role",
                json!({"https://x.test/claims.role": "admin"}),
                &["admin"],
            ),
            ("a.b.c", json!({"a": {"b": {"c": "deep"}}}), &["deep"]),
            ("a.b.c", json!({"a.b": 1, "a": {"b.c": "deep"}}), &["deep"]),
            ("..", json!({"": {"": {"": "odd"}}}), &["odd"]),
        ];
        for (path, claims, expected) in cases {
            assert_eq!(roles(claims.as_object().unwrap(), path), expected, "{path} in {claims}");
        }
    }
}
