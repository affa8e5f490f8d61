//! OAuth: exchange a code, refresh and revoke tokens, and request the token of the platform's own account. Zoom accepts only HTTP Basic with the app's id and secret and
//! a form as the body.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::client::{Access, ApiCall, ClientCredentials, Zoom, ZoomResponse};
use super::error::ZoomError;
use crate::domain::scope;
use crate::domain::text::Email;
use crate::domain::zoom_connection::ZoomUser;
use crate::secret::Secret;

/// Zoom's number for a user without a licence.
const BASIC_USER: i64 = 1;

/// The tokens that Zoom issues for a code or a refresh token.
#[derive(Clone, Debug)]
pub struct Grant {
    pub access_token: Secret,
    pub refresh_token: Secret,
    pub expires_at: Timestamp,
    pub scopes: Vec<String>,
    pub api_url: Option<String>,
}

/// The token that Zoom issues for the platform's own account. There is no refresh token (Zoom, "Server-to-Server OAuth").
#[derive(Clone, Debug)]
pub struct AccountGrant {
    pub access_token: Secret,
    pub expires_at: Timestamp,
    pub scopes: Vec<String>,
    pub api_url: Option<String>,
}

#[derive(Deserialize)]
struct AccountTokenBody {
    access_token: Secret,
    expires_in: i64,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    api_url: Option<String>,
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
    /// Exchanges an authorisation code for tokens. There is no retry, because Zoom accepts a code only once.
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
        self.request_token(app, &form, now).await
    }

    /// Exchanges a refresh token for new tokens. There is no retry, because Zoom accepts a refresh token only once.
    pub async fn refresh(
        &self,
        app: ClientCredentials<'_>,
        refresh_token: &Secret,
        now: Timestamp,
    ) -> Result<Grant, ZoomError> {
        self.request_token(
            app,
            &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())],
            now,
        )
        .await
    }

    /// Requests a token for the account of a server-to-server app. There is no retry, because the next caller requests a
    /// token anyway. [`ZoomError::Rejected`] means that Zoom refused the credentials.
    pub async fn account_token(
        &self,
        app: ClientCredentials<'_>,
        account_id: &str,
        now: Timestamp,
    ) -> Result<AccountGrant, ZoomError> {
        let form = [("grant_type", "account_credentials"), ("account_id", account_id)];
        let body: AccountTokenBody = match self.post_form(app, "token", &form, now).await {
            Ok(response) => response.json()?,
            Err(ZoomError::Unauthorized | ZoomError::InvalidGrant) => {
                return Err(ZoomError::Rejected {
                    status: 400,
                    code: None,
                    message: Secret::new(""),
                });
            }
            Err(error) => return Err(error),
        };
        Ok(AccountGrant {
            access_token: body.access_token,
            expires_at: expires_at(body.expires_in, now),
            scopes: scope::parse(&body.scope),
            api_url: body.api_url,
        })
    }

    /// Revokes a grant. Succeeds if Zoom rejects the token, because the grant has then already ended.
    pub async fn revoke(
        &self,
        app: ClientCredentials<'_>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<(), ZoomError> {
        match self.post_form(app, "revoke", &[("token", token.expose())], now).await {
            Ok(_)
            | Err(
                ZoomError::Rejected { status: 400, .. }
                | ZoomError::Unauthorized
                | ZoomError::InvalidGrant,
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the Zoom user who owns the access token.
    pub async fn user(&self, access: &Access, now: Timestamp) -> Result<ZoomUser, ZoomError> {
        #[derive(Deserialize)]
        struct Body {
            id: String,
            #[serde(default)]
            account_id: String,
            #[serde(default)]
            email: String,
            r#type: Option<i64>,
        }
        let response =
            self.send_with_retry(access, ApiCall::get(&access.user_path("")), now).await?;
        let body: Body = response.json()?;
        Ok(ZoomUser {
            id: body.id,
            account_id: body.account_id,
            email: Email::parse(&body.email).ok(),
            is_basic: body.r#type == Some(BASIC_USER),
        })
    }

    async fn request_token(
        &self,
        app: ClientCredentials<'_>,
        form: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Grant, ZoomError> {
        let body: TokenBody = match self.post_form(app, "token", form, now).await {
            Ok(response) => response.json()?,
            // The app's own credentials are wrong, which a trainer cannot repair by connecting again.
            Err(ZoomError::Unauthorized) => {
                return Err(ZoomError::Rejected {
                    status: 401,
                    code: None,
                    message: Secret::new(""),
                });
            }
            Err(error) => return Err(error),
        };
        Ok(Grant {
            access_token: body.access_token,
            refresh_token: body.refresh_token,
            expires_at: expires_at(body.expires_in, now),
            scopes: scope::parse(&body.scope),
            api_url: body.api_url,
        })
    }

    async fn post_form(
        &self,
        app: ClientCredentials<'_>,
        path: &str,
        form: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<ZoomResponse, ZoomError> {
        let mut url = self.oauth_base.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        let request = self.http.post(url).basic_auth(app.id, Some(app.secret.expose())).form(form);
        self.send_request(request, now).await
    }
}

fn expires_at(seconds: i64, now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(now)
}
