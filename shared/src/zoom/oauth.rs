//! OAuth: exchanging a code, refreshing, revoking. All with the app's own id and secret (HTTP Basic),
//! and with a form for a body: Zoom takes no other.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::client::{Access, ZoomResponse, ClientCredentials, Zoom};
use super::error::ZoomError;
use crate::domain::zoom_connection::ZoomUser;
use crate::domain::scope;
use crate::domain::text::Email;
use crate::secret::Secret;

/// What Zoom hands out for a code or a refresh token.
#[derive(Clone, Debug)]
pub struct Grant {
    pub access_token: Secret,
    pub refresh_token: Secret,
    pub expires_at: Timestamp,
    pub scopes: Vec<String>,
    pub api_url: Option<String>,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: Secret,
    refresh_token: Secret,
    expires_in: i64,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    api_url: Option<String>,
}

impl Zoom {
    /// Exchanges the code of a consent, once: a code is good for one exchange.
    pub async fn exchange_code(
        &self,
        app: ClientCredentials<'_>,
        code: &str,
        redirect_uri: &str,
        verifier: &Secret,
        now: Timestamp,
    ) -> Result<Grant, ZoomError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        self.token(app, &form, now).await
    }

    /// Exchanges a refresh token for new ones, once: the old one is dead with the answer.
    pub async fn refresh(
        &self,
        app: ClientCredentials<'_>,
        refresh_token: &Secret,
        now: Timestamp,
    ) -> Result<Grant, ZoomError> {
        self.token(
            app,
            &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())],
            now,
        )
        .await
    }

    /// Takes a grant back. One that Zoom does not know any more is as good as revoked.
    pub async fn revoke(
        &self,
        app: ClientCredentials<'_>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        match self.oauth(app, "revoke", &[("token", token.expose())], now).await {
            Ok(_)
            | Err(
                ZoomError::Rejected { status: 400, .. }
                | ZoomError::Unauthorized
                | ZoomError::Reconnect,
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The Zoom user to whom a token belongs.
    pub async fn user(&self, access: &Access, now: Timestamp) -> Result<ZoomUser, ZoomError> {
        #[derive(Deserialize)]
        struct Body {
            id: String,
            #[serde(default)]
            account_id: String,
            #[serde(default)]
            email: String,
        }
        let answer =
            self.repeatable(access, reqwest::Method::GET, "/users/me", &[], None, now).await?;
        let body: Body = answer.json()?;
        Ok(ZoomUser {
            id: body.id,
            account_id: body.account_id,
            email: Email::parse(&body.email).ok(),
        })
    }

    async fn token(
        &self,
        app: ClientCredentials<'_>,
        form: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Grant, ZoomError> {
        let body: TokenBody = match self.oauth(app, "token", form, now).await {
            Ok(answer) => answer.json()?,
            // The app's own credentials, which no trainer can mend by connecting again.
            Err(ZoomError::Unauthorized) => {
                return Err(ZoomError::Rejected { status: 401, code: None });
            }
            Err(error) => return Err(error),
        };
        let expires_at =
            now.saturating_add(SignedDuration::from_secs(body.expires_in.max(0))).unwrap_or(now);
        Ok(Grant {
            access_token: body.access_token,
            refresh_token: body.refresh_token,
            expires_at,
            scopes: scope::parse(&body.scope),
            api_url: body.api_url,
        })
    }

    async fn oauth(
        &self,
        app: ClientCredentials<'_>,
        path: &str,
        form: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let mut url = self.oauth_base.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        let request = self.http.post(url).basic_auth(app.id, Some(app.secret.expose())).form(form);
        self.exchange(request, now).await
    }
}
