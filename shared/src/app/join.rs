//! Admits a person to a session and issues the join credentials.
//!
//! A link is personal where the meeting has registration (`app::personal_links`), and otherwise the same for everybody.
//!
//! The role and the meeting come from stored data, never from the request. A join attempt of somebody who is invited
//! is recorded with any outcome, unless the function times out or cannot read its secret.

use jiff::Timestamp;

use super::Services;
use super::error::Error;
use super::guests::{self, GuestRequest};
use super::meeting;
use super::personal_links::{self, IssuedLink, LinkUser, StoredRegistration};
use super::sessions::is_invited;
use super::visibility::{AudienceMemory, VisibilitySource};
use super::zoom_access::with_token;
use crate::crypt::hmac_sha256;
use crate::domain::admission::{JoinMethod, JoinMode, JoinPreference, check_admission};
use crate::domain::caller::Caller;
use crate::domain::hosting::Hosting;
use crate::domain::id::{MeetingId, SessionId, UserId};
use crate::domain::mailing::AddressDigest;
use crate::domain::personal_link::has_personal_link;
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, Relation};
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};
use crate::domain::time::{utc_day, whole_milli};
use crate::domain::zoom_connection::ConnectionHealth;
use crate::secret::Secret;
use crate::secrets::SecretSet;
use crate::store::error::CommitError;
use crate::store::join_attempts::{self, JoinAttempt};
use crate::store::personal_links::RegistrationKey;
use crate::store::schema::ItemKey;
use crate::zoom::signature::{self, SdkRole};

/// Zoom accepts at most 35 characters. 16 bytes in base32 are 26.
const CUSTOMER_KEY_BYTES: usize = 16;

/// The join settings of this deployment.
#[derive(Clone, Debug)]
pub struct JoinSettings {
    pub mode: JoinMode,
    /// The Zoom account that owns the app.
    pub app_account: Option<String>,
}

/// A request to join a session.
#[derive(Clone, Copy, Debug)]
pub struct JoinRequest<'a> {
    pub session: &'a SessionId,
    pub preference: Option<JoinPreference>,
    /// The sessions that this function instance read before.
    pub memory: &'a AudienceMemory,
}

/// The person that joins: a caller, or a guest with an address and no user.
#[derive(Debug)]
struct Attendee {
    user: Option<UserId>,
    email: Option<Email>,
    name: Option<PersonName>,
    /// Whether the person teaches the class, and whether the person starts it as its host.
    is_trainer: bool,
    is_host: bool,
    /// `None` if the Meeting SDK is not configured.
    customer_key: Option<String>,
    registration: StoredRegistration,
    preference: Option<JoinPreference>,
}

/// The result of a successful join request.
#[derive(Debug)]
pub struct AdmittedJoin {
    pub session: Session,
    /// Whether the person starts the meeting as its host.
    pub is_host: bool,
    /// The name that the person is known by.
    pub name: Option<PersonName>,
    /// `None` if the Meeting SDK is not configured.
    pub customer_key: Option<String>,
    pub credentials: JoinCredentials,
    pub expires_at: Timestamp,
}

#[derive(Debug)]
pub enum JoinCredentials {
    /// Credentials for the Meeting SDK on the platform's own page.
    Embedded {
        meeting: MeetingId,
        passcode: Option<Secret>,
        signature: Secret,
        sdk_key: String,
        /// The host's Zoom access key, which starts the meeting.
        zak: Option<Secret>,
        /// A token on behalf of the host, for a meeting outside the app's account.
        obf_token: Option<Secret>,
    },
    /// A link that opens in the provider's own client.
    Link { join_url: Secret, meeting: Option<MeetingId>, passcode: Option<Secret> },
}

/// Admits the caller to a session, or returns the reason for the refusal.
pub async fn join(
    services: &Services,
    settings: &JoinSettings,
    caller: &Caller,
    request: &JoinRequest<'_>,
    now: Timestamp,
) -> Result<AdmittedJoin, Error> {
    let JoinableSession { session, is_trainer, registration } =
        load_joinable_session(services, caller, request).await?;
    let secrets = services.secrets.get(now).await?;
    let attendee = Attendee {
        user: Some(caller.id.clone()),
        email: caller.verified_email.clone(),
        name: caller.name.clone(),
        is_trainer,
        is_host: session.is_hosted_by(caller),
        customer_key: customer_key(&secrets, &caller.id).ok(),
        registration,
        preference: request.preference,
    };
    admit(services, settings, request.memory, session, attendee, now).await
}

/// Admits the holder of a guest link as the invited address, or returns the reason for the refusal. `name` is shown in
/// the meeting instead of the invitee's.
pub async fn join_as_guest(
    services: &Services,
    settings: &JoinSettings,
    request: &GuestRequest<'_>,
    name: Option<PersonName>,
    preference: Option<JoinPreference>,
    now: Timestamp,
) -> Result<AdmittedJoin, Error> {
    let secrets = services.secrets.get(now).await?;
    let (session, guest) =
        guests::load_guest_session(&services.store, secrets.keyring()?, request, now).await?;
    guests::count_join(&services.store, &session, &guest, now).await?;
    let attendee = Attendee {
        user: None,
        customer_key: guest_customer_key(&secrets, &guest.email).ok(),
        name: name.or(guest.name),
        email: Some(guest.email),
        is_trainer: false,
        is_host: false,
        registration: StoredRegistration::NotRead,
        preference,
    };
    admit(services, settings, request.memory, session, attendee, now).await
}

/// Issues the credentials if the session admits people now, and records the attempt.
async fn admit(
    services: &Services,
    settings: &JoinSettings,
    memory: &AudienceMemory,
    session: Session,
    attendee: Attendee,
    now: Timestamp,
) -> Result<AdmittedJoin, Error> {
    let secrets = services.secrets.get(now).await?;
    let is_host = attendee.is_host;
    let app_account = settings.app_account.as_deref();
    let method = settings.mode.join_method(&session, app_account, attendee.preference);
    let method = if attendee.is_trainer { method } else { method.of_invited(&session) };
    let mut outcome = match check_admission(&session, attendee.is_trainer, method, now) {
        Ok(()) => issue_credentials(services, &secrets, &session, is_host, method, now).await,
        Err(refusal) => Err(refusal.into()),
    };
    let mut registrant = None;
    if let Ok((JoinCredentials::Link { join_url, .. }, _)) = &mut outcome
        && let Some(issued) = issue_link(services, &secrets, &session, &attendee).await
    {
        *join_url = issued.link;
        registrant = Some(issued.registrant);
    }
    let attempt = JoinAttempt {
        at: whole_milli(now),
        user_id: attendee.user.clone(),
        email: attendee.email.clone(),
        name: attendee.name.clone(),
        host: is_host,
        outcome: outcome_word(&outcome).to_owned(),
        customer_key: attendee.customer_key.clone(),
        registrant,
    };
    record_attempt(services, memory, &session, &attempt).await;
    let (credentials, expires_at) = outcome?;
    let Attendee { name, customer_key, .. } = attendee;
    Ok(AdmittedJoin { session, is_host, name, customer_key, credentials, expires_at })
}

/// Returns the personal link of an attendee, or `None` if the common link is used.
async fn issue_link(
    services: &Services,
    secrets: &SecretSet,
    session: &Session,
    attendee: &Attendee,
) -> Option<IssuedLink> {
    let email = attendee.email.as_ref();
    if !has_personal_link(session, attendee.is_trainer, email) {
        return None;
    }
    let person =
        LinkUser { user: attendee.user.as_ref(), email: email?, name: attendee.name.as_ref() };
    let (keyring, stored) = (secrets.keyring().ok()?, &attendee.registration);
    // On the heap, because most join requests do not need it.
    Box::pin(personal_links::personal_link(services, keyring, session, person, stored)).await
}

/// A session that a caller may join.
struct JoinableSession {
    session: Session,
    /// Whether the caller teaches the session.
    is_trainer: bool,
    /// The caller's registration at Zoom.
    registration: StoredRegistration,
}

/// Loads the session for a caller.
///
/// If this function instance has seen the session before, the caller's enrollment or invitation, and their registration
/// at Zoom, are read in the same request, eventually consistent. A missing one is read again with strong consistency,
/// because a student may have bought the course a moment ago. One that was withdrawn a moment ago may still admit, as if
/// the request had come before the withdrawal.
async fn load_joinable_session(
    services: &Services,
    caller: &Caller,
    JoinRequest { session: id, memory, .. }: &JoinRequest<'_>,
) -> Result<JoinableSession, Error> {
    let expected = memory.expected_source(id, caller);
    let digest = caller.verified_email.as_ref().map(AddressDigest::new);
    let registration_key = digest.as_ref().zip(memory.expected_registration(id, caller));
    let registration_key =
        registration_key.map(|(person, meeting)| RegistrationKey { session: id, meeting, person });
    let mut keys = vec![ItemKey::Session(id)];
    keys.extend(expected.as_ref().map(|source| source.key(id, caller)));
    keys.extend(registration_key.map(RegistrationKey::item));
    let mut found = services.store.batch_get_eventually_consistent(&keys).await?;
    let record = match found.session(id)? {
        Some(record) => record,
        None => services.store.session(id).await?.ok_or(Refusal::NotFound)?,
    };
    let session = record.session;
    memory.remember(&session);
    if session.is_taught_by(caller) {
        return Ok(JoinableSession {
            session,
            is_trainer: true,
            registration: StoredRegistration::NotRead,
        });
    }
    let registration = match registration_key {
        Some(key) => StoredRegistration::Read(found.registration(key)?),
        None => StoredRegistration::NotRead,
    };
    let is_granted = match &expected {
        Some(source) if VisibilitySource::new(caller, &session.audience) == expected => {
            source.is_granted(&mut found, id, caller)?
        }
        _ => false,
    };
    let relation = match is_granted || is_invited(&services.store, caller, &session).await? {
        true => Relation::Invited,
        false => Relation::None,
    };
    Operation::Join.check(caller, relation)?;
    Ok(JoinableSession { session, is_trainer: false, registration })
}

/// Derives the customer key by which Zoom's events identify a person. It is stable per person and reveals nothing
/// about them.
pub fn customer_key(secrets: &SecretSet, user: &UserId) -> Result<String, Error> {
    derive_customer_key(secrets, b"customer-key\0", user.as_str())
}

/// Derives the customer key of a guest, which is stable per invited address.
pub fn guest_customer_key(secrets: &SecretSet, email: &Email) -> Result<String, Error> {
    derive_customer_key(secrets, b"guest-customer-key\0", email.as_str())
}

fn derive_customer_key(secrets: &SecretSet, label: &[u8], person: &str) -> Result<String, Error> {
    let (_, key) = secrets.zoom_sdk()?;
    let mac = hmac_sha256(key.expose().as_bytes(), &[label, person.as_bytes()]);
    Ok(data_encoding::BASE32_NOPAD.encode(&mac[..CUSTOMER_KEY_BYTES]).to_ascii_lowercase())
}

async fn issue_credentials(
    services: &Services,
    secrets: &SecretSet,
    session: &Session,
    is_host: bool,
    method: JoinMethod,
    now: Timestamp,
) -> Result<(JoinCredentials, Timestamp), Error> {
    if is_host {
        // On the heap, because most join requests do not need it.
        Box::pin(services.license_start(session, now)).await?;
    }
    let data = meeting::join_data(session, secrets.keyring()?)?;
    let until = session.window_closes_at();
    let (Some(number), false) = (data.meeting_number, method == JoinMethod::Link) else {
        let is_own_account = session.meeting.hosting() == Hosting::Trainer;
        if is_host && is_own_account && data.meeting_number.is_some() {
            check_connected_host(services, session).await?;
        }
        let missing = || Error::Internal("a session that is open has no link".into());
        let link = JoinCredentials::Link {
            join_url: data.join_url.ok_or_else(missing)?,
            meeting: data.meeting_number,
            passcode: data.passcode,
        };
        return Ok((link, until));
    };
    let (zak, obf_token) = match (is_host, method) {
        (true, _) => (Some(host_token(services, session, None).await?), None),
        (false, JoinMethod::OnBehalf) => match host_token(services, session, Some(number)).await {
            Ok(token) => (None, Some(token)),
            // Zoom issues no token after the host has left the meeting. The error code for that case is not published.
            Err(Error::ZoomRejected { .. }) => return Err(Refusal::WaitingForHost.into()),
            // The trainer's address is not for invited people.
            Err(Error::Refused(Refusal::OtherZoomUser { .. })) => {
                return Err(Refusal::OtherZoomUser { address: None }.into());
            }
            Err(error) => return Err(error),
        },
        (false, _) => (None, None),
    };
    let (sdk_key, sdk_secret) = secrets.zoom_sdk()?;
    let role = if is_host { SdkRole::Host } else { SdkRole::Attendee };
    let signed = signature::sign(sdk_key, sdk_secret, number, role, until, now)
        .map_err(|error| Error::Internal(Box::new(error)))?;
    let credentials = JoinCredentials::Embedded {
        meeting: number,
        passcode: data.passcode,
        signature: signed.jwt,
        sdk_key: sdk_key.to_owned(),
        zak,
        obf_token,
    };
    Ok((credentials, signed.expires_at))
}

/// Refuses a link to the trainer who has connected another Zoom user than the host, and would join as a participant.
/// Without a connection, the trainer may still sign in at Zoom as the host.
async fn check_connected_host(services: &Services, session: &Session) -> Result<(), Error> {
    match services.store.connection(&session.trainer).await? {
        Some(connection) if connection.health == ConnectionHealth::Connected => {
            services.check_host(session.meeting.host_user.as_deref(), &connection.zoom_user).await
        }
        _ => Ok(()),
    }
}

/// Returns the host's ZAK, or a token on their behalf for one meeting.
async fn host_token(
    services: &Services,
    session: &Session,
    on_behalf: Option<MeetingId>,
) -> Result<Secret, Error> {
    let mut zoom_access = services.host_access(&session.trainer, &session.meeting.host()).await?;
    let token = match on_behalf {
        None => with_token!(services, zoom_access, |access| services
            .zoom
            .zak(access, services.clock.now())),
        Some(meeting) => {
            with_token!(services, zoom_access, |access| services.zoom.on_behalf_token(
                access,
                meeting,
                services.clock.now()
            ))
        }
    };
    Ok(token?)
}

/// Returns the word by which a join attempt records its outcome.
fn outcome_word<T>(outcome: &Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => join_attempts::ADMITTED,
        Err(Error::Refused(Refusal::TooEarly { .. })) => "too_early",
        Err(Error::Refused(Refusal::WaitingForHost)) => "waiting_for_host",
        Err(Error::Refused(Refusal::NoMeetingYet(_))) => "no_meeting_yet",
        Err(Error::Refused(Refusal::NoLicence)) => "no_licence",
        Err(Error::Refused(Refusal::SessionCancelled)) => "session_cancelled",
        Err(Error::Refused(Refusal::SessionEnded)) => "session_ended",
        Err(Error::Refused(_)) => "refused",
        Err(_) => "failed",
    }
}

/// Records a join attempt, and once per instance and day that the session has some. A failure to record it does not keep
/// the person out of the session.
async fn record_attempt(
    services: &Services,
    memory: &AudienceMemory,
    session: &Session,
    attempt: &JoinAttempt,
) {
    let (store, id) = (&services.store, &session.id);
    let ttl = store.event_ttl();
    let put = join_attempts::put(id, attempt, &services.new_lease_holder(), ttl);
    let recorded = store.commit_one(put).await;
    let note = async {
        let day = utc_day(attempt.at);
        if !memory.attempt_days.is_noted(id, &day) {
            store.commit_one(join_attempts::put_attempt_day(id, attempt.at, ttl)).await?;
            memory.attempt_days.remember(id, day);
        }
        Ok::<_, CommitError>(())
    };
    // One after the other: at the same time they would need a second connection, whose handshake takes longer.
    let noted = note.await;
    for error in [recorded, noted].into_iter().filter_map(Result::err) {
        tracing::error!(event = "join.attempt_not_recorded", session_id = %id, %error);
    }
}
