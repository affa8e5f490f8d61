//! Joining: who may come in, and what they come in with.
//!
//! Role and meeting follow from what we hold, never from the request. The click of somebody whom the class is for is
//! recorded, whatever comes of it; only where the function's time ends first, or its secret cannot be read, it is not.

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use super::meeting;
use super::sessions::is_invited;
use super::zoom_access::with_token;
use crate::crypt::hmac_sha256;
use crate::domain::admission::{JoinMode, JoinMethod, admit};
use crate::domain::caller::Caller;
use crate::domain::id::{MeetingId, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Provider, Session};
use crate::domain::time::{plus_minutes, whole_milli};
use crate::domain::join_window::JoinWindowSettings;
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::join_attempts::{self, JoinAttempt};
use crate::zoom::signature::{self, SdkRole};

/// Zoom: a customer key has at most 35 characters. 16 bytes in base32 are 26.
const CUSTOMER_KEY_BYTES: usize = 16;

/// How this deployment admits people.
#[derive(Clone, Debug)]
pub struct JoinSettings {
    pub mode: JoinMode,
    /// The Zoom account that the app itself belongs to.
    pub app_account: Option<String>,
    pub windows: JoinWindowSettings,
}

/// What somebody comes in with.
#[derive(Debug)]
pub struct AdmittedJoin {
    pub session: Session,
    pub is_owner: bool,
    /// Unknown where the Meeting SDK is not set up, and of use to nothing but that.
    pub customer_key: Option<String>,
    pub entrance: JoinCredentials,
    pub expires_at: Timestamp,
}

#[derive(Debug)]
pub enum JoinCredentials {
    /// Into the platform's own page, by the Meeting SDK.
    Embedded {
        meeting: MeetingId,
        passcode: Option<Secret>,
        signature: Secret,
        sdk_key: String,
        /// The host's own: starts the meeting.
        zak: Option<Secret>,
        /// On behalf of the host, for a meeting outside the app's account.
        obf_token: Option<Secret>,
    },
    /// By a link, in whatever the provider has.
    Link { join_url: Secret, meeting: Option<MeetingId>, passcode: Option<Secret> },
}

/// Admits the caller to a class, or says why not.
pub async fn join(
    tools: &Services,
    admission: &JoinSettings,
    caller: &Caller,
    id: &SessionId,
    now: Timestamp,
) -> Result<AdmittedJoin, Error> {
    let session = tools.store.session_eventually_consistent(id).await?.ok_or(Refusal::NotFound)?.session;
    let is_owner = session.is_owned_by(caller);
    if !is_owner && !is_invited(&tools.store, caller, &session).await? {
        return Err(Refusal::NotFound.into());
    }
    let secrets = tools.secrets.get(now).await?;
    let customer_key = customer_key(&secrets, &caller.id).ok();
    let way = admission.mode.join_method(&session, admission.app_account.as_deref());
    let outcome = match admit(&session, is_owner, admission.windows, way, now) {
        Ok(()) => enter(tools, &secrets, admission, &session, is_owner, way, now).await,
        Err(refusal) => Err(refusal.into()),
    };
    record(tools, caller, &session, is_owner, customer_key.as_deref(), &outcome, now).await;
    let (entrance, expires_at) = outcome?;
    Ok(AdmittedJoin { session, is_owner, customer_key, entrance, expires_at })
}

/// What Zoom knows a person by in its events: always the same for a person, and nothing to anybody else.
pub fn customer_key(secrets: &SecretSet, user: &UserId) -> Result<String, Error> {
    let (_, key) = secrets.zoom_sdk()?;
    let mac = hmac_sha256(key.expose().as_bytes(), &[b"customer-key\0", user.as_str().as_bytes()]);
    Ok(data_encoding::BASE32_NOPAD.encode(&mac[..CUSTOMER_KEY_BYTES]).to_ascii_lowercase())
}

async fn enter(
    tools: &Services,
    secrets: &SecretSet,
    admission: &JoinSettings,
    session: &Session,
    is_owner: bool,
    way: JoinMethod,
    now: Timestamp,
) -> Result<(JoinCredentials, Timestamp), Error> {
    let data = meeting::join_data(session, secrets.keyring()?)?;
    let until = plus_minutes(session.ends_at(), admission.windows.after_end);
    let by_link = || {
        let link = JoinCredentials::Link {
            join_url: data.join_url.clone(),
            meeting: data.meeting_number,
            passcode: data.passcode.clone(),
        };
        (link, until)
    };
    let (Some(number), true) = (data.meeting_number, session.provider == Provider::Zoom) else {
        return Ok(by_link());
    };
    let (zak, obf_token) = match (is_owner, way) {
        (_, JoinMethod::Link) => return Ok(by_link()),
        (true, _) => (Some(token(tools, session, None).await?), None),
        (false, JoinMethod::Signature) => (None, None),
        (false, JoinMethod::OnBehalf { or_link }) => match token(tools, session, Some(number)).await {
            Ok(token) => (None, Some(token)),
            Err(error) if or_link && !matches!(error, Error::Busy(_)) => {
                tracing::warn!(event = "join.obf_refused", session_id = %session.id, %error);
                return Ok(by_link());
            }
            // Zoom mints none while the host is out, though the meeting goes on; it does not publish how it says so.
            Err(Error::ZoomRejected { .. }) => return Err(Refusal::WaitingForHost.into()),
            Err(error) => return Err(error),
        },
    };
    let (sdk_key, sdk_secret) = secrets.zoom_sdk()?;
    let role = if is_owner { SdkRole::Host } else { SdkRole::Attendee };
    let signed = signature::sign(sdk_key, sdk_secret, number, role, until, now)
        .map_err(|error| Error::Internal(Box::new(error)))?;
    let entrance = JoinCredentials::Embedded {
        meeting: number,
        passcode: data.passcode,
        signature: signed.jwt,
        sdk_key: sdk_key.to_owned(),
        zak,
        obf_token,
    };
    Ok((entrance, signed.expires_at))
}

/// The trainer's ZAK, or a token on their behalf for one meeting.
async fn token(
    tools: &Services,
    session: &Session,
    on_behalf: Option<MeetingId>,
) -> Result<Secret, Error> {
    let connection = tools.store.connection(&session.trainer).await?;
    let mut ready = tools.fresh(&session.trainer, connection).await?;
    session.hosted_by(&ready.connection.zoom_user.account_id)?;
    let token = match on_behalf {
        None => with_token!(tools, ready, |access| tools.zoom.zak(access, tools.clock.now())),
        Some(meeting) => {
            with_token!(tools, ready, |access| tools.zoom.on_behalf_token(
                access,
                meeting,
                tools.clock.now()
            ))
        }
    };
    Ok(token?)
}

/// Records the click. A person is not kept out of a class because that failed.
async fn record<T>(
    tools: &Services,
    caller: &Caller,
    session: &Session,
    is_owner: bool,
    customer_key: Option<&str>,
    outcome: &Result<T, Error>,
    now: Timestamp,
) {
    let click = JoinAttempt {
        at: whole_milli(now),
        user_id: caller.id.clone(),
        email: caller.verified_email.clone(),
        name: caller.name.clone(),
        host: is_owner,
        outcome: match outcome {
            Ok(_) => join_attempts::ADMITTED,
            Err(Error::Refused(Refusal::TooEarly { .. })) => "too_early",
            Err(Error::Refused(Refusal::WaitingForHost)) => "waiting_for_host",
            Err(Error::Refused(Refusal::SessionCancelled)) => "session_cancelled",
            Err(Error::Refused(Refusal::SessionEnded)) => "session_ended",
            Err(Error::Refused(_)) => "refused",
            Err(_) => "failed",
        }
        .to_owned(),
        customer_key: customer_key.map(str::to_owned),
    };
    if let Err(error) =
        tools.store.commit_one(join_attempts::put(&session.id, &click, &tools.holder())).await
    {
        tracing::error!(event = "join.click_not_recorded", session_id = %session.id, %error);
    }
}
