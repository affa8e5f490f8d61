//! What a token says, once its signature holds: RFC 7519, 4.1.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{AuthError, AuthSettings, LEEWAY};

/// OpenID Connect Core 1.0, section 2: a `sub` has at most 255 characters.
const SUB_CHARS_MAX: usize = 255;

/// The caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    pub sub: String,
    pub email: Option<String>,
    /// Only with an e-mail address, and only if the issuer says so.
    pub email_verified: bool,
    pub name: Option<String>,
    pub roles: Vec<String>,
}

/// Without what names a person.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("sub", &self.sub)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

pub(super) fn check(
    claims: &Map<String, Value>,
    settings: &AuthSettings,
    now: Timestamp,
) -> Result<Claims, AuthError> {
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err(AuthError::Issuer);
    }
    if !is_for(claims.get("aud"), &settings.audience) {
        return Err(AuthError::Audience);
    }
    check_time(claims, now)?;
    let sub = claims.get("sub").and_then(Value::as_str).ok_or(AuthError::Claims)?;
    if sub.is_empty() || sub.chars().count() > SUB_CHARS_MAX {
        return Err(AuthError::Claims);
    }
    let email = text(claims, "email");
    Ok(Claims {
        sub: sub.to_owned(),
        email_verified: email.is_some() && is_true(claims.get("email_verified")),
        email,
        name: text(claims, "name"),
        roles: roles(claims, &settings.role_claim),
    })
}

/// `aud` is one string or an array of them (4.1.3).
fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// `exp` must be there; `nbf` need not. Both may have a fraction (section 2, NumericDate).
fn check_time(claims: &Map<String, Value>, now: Timestamp) -> Result<(), AuthError> {
    let now = now.as_duration().as_secs_f64();
    let leeway = LEEWAY.as_secs_f64();
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or(AuthError::Claims)?;
    if now >= expires + leeway {
        return Err(AuthError::Expired);
    }
    if let Some(begins) = claims.get("nbf") {
        let begins = begins.as_f64().ok_or(AuthError::Claims)?;
        if now < begins - leeway {
            return Err(AuthError::NotYetValid);
        }
    }
    Ok(())
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let text = claims.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Some issuers (Amazon Cognito among them) write their booleans as strings.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn roles(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    match find(claims, path) {
        Some(Value::String(role)) => vec![role.clone()],
        Some(Value::Array(roles)) => {
            roles.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The path as a whole is tried first, then divided at its dots from the right, as names of claims may be
/// addresses with dots of their own: `https://x.test/claims.role` finds both
/// `{"https://x.test/claims.role": …}` and `{"https://x.test/claims": {"role": …}}`.
fn find<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    object.get(path).or_else(|| {
        path.rmatch_indices('.')
            .find_map(|(dot, _)| find(object.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
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

    /// The claims of a good token, with some replaced; `null` takes one away.
    fn with(changes: &Value) -> Map<String, Value> {
        let good = json!({
            "iss": "https://issuer.test/", "aud": "live-classes", "sub": "trainer-1", "exp": NOW + 300,
        });
        let mut claims = good.as_object().unwrap().clone();
        for (name, value) in changes.as_object().unwrap() {
            claims.insert(name.clone(), value.clone());
        }
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn result(changes: &Value) -> Result<Claims, AuthError> {
        check(&with(changes), &settings("role"), Timestamp::from_second(NOW).unwrap())
    }

    #[test]
    fn what_is_not_for_us_is_refused() {
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
            assert_eq!(result(&changes), Err(error), "{changes}");
        }
    }

    #[test]
    fn what_is_for_us_is_accepted_within_the_leeway() {
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
            assert!(result(&changes).is_ok(), "{changes}");
        }
        let later = Timestamp::from_second(NOW).unwrap() + SignedDuration::from_secs(330);
        assert_eq!(check(&with(&json!({})), &settings("role"), later), Err(AuthError::Expired));
    }

    #[test]
    fn an_email_is_trimmed_and_verified_only_by_a_clear_yes() {
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
            let claims = result(&changes).unwrap();
            assert_eq!(
                (claims.email.as_deref(), claims.email_verified),
                (email, verified),
                "{changes}"
            );
        }
        let claims = result(&json!({"name": " Ada ", "email": "a@x.test"})).unwrap();
        assert_eq!(claims.name.as_deref(), Some("Ada"));
        assert!(
            !format!("{claims:?}").contains("a@x.test") && !format!("{claims:?}").contains("Ada")
        );
    }

    #[test]
    fn roles_are_found_by_name_or_path() {
        let address = "https://x.test/claims";
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
            ("https://x.test/claims.role", json!({address: {"role": "admin"}}), &["admin"]),
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
