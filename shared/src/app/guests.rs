//! Admits the holder of a guest link to a session.
//!
//! A token is opened before anything is read, so that a made-up one costs no request of the table. The session and the
//! invitation then decide, as for a student. Every refused token gets the same "not found".

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::error::Error;
use super::visibility::AudienceMemory;
use crate::crypt::Keyring;
use crate::domain::attempt_limit::{AttemptCounts, AttemptLimit, SourceNetwork};
use crate::domain::audience::InviteeList;
use crate::domain::guest_link::{GuestLink, LINK_BYTES, accepts_guests};
use crate::domain::id::SessionId;
use crate::domain::mailing::{AddressDigest, MailSubject, RecipientRef};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};
use crate::secret::Secret;
use crate::store::error::CommitError;
use crate::store::invitations::{GuestInvitation, guest_keys};
use crate::store::mail_addresses::erased_address;
use crate::store::schema::ItemKey;
use crate::store::{Store, counters};

/// Separates guest tokens from tokens that other purposes may get.
const TOKEN_PURPOSE: &str = "guest-link";

/// Requests with the links of one guest, per function instance. A page reads the class four times a minute, and a
/// forwarded link has a few pages.
const REQUESTS_PER_GUEST: AttemptLimit = AttemptLimit { attempts: 60, window_seconds: 60 };

/// Requests with tokens that we have not issued, per source address and function instance. Those with a valid token are
/// not counted here, because a school has one address.
const UNKNOWN_TOKENS_PER_SOURCE: AttemptLimit = AttemptLimit { attempts: 30, window_seconds: 60 };

/// Join requests with the links of one guest, by all instances. Each is recorded, so this limits what a leaked link adds
/// to the timeline.
const JOINS_PER_GUEST: AttemptLimit = AttemptLimit { attempts: 30, window_seconds: 600 };

/// Returns the token of a guest link.
pub fn guest_token(keyring: &Keyring, link: &GuestLink) -> Result<Secret, Error> {
    let bytes = link.to_bytes().ok_or_else(|| Error::Internal("a malformed guest link".into()))?;
    Ok(Secret::new(keyring.seal_token(TOKEN_PURPOSE, &bytes)))
}

fn open_token(keyring: &Keyring, token: &str) -> Option<GuestLink> {
    GuestLink::from_bytes(&keyring.open_token(TOKEN_PURPOSE, token, LINK_BYTES)?)
}

/// The limits of one function instance.
#[derive(Debug)]
pub struct GuestLimits {
    by_guest: Mutex<AttemptCounts<(SessionId, AddressDigest)>>,
    by_source: Mutex<AttemptCounts<SourceNetwork>>,
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            by_guest: Mutex::new(AttemptCounts::new(REQUESTS_PER_GUEST)),
            by_source: Mutex::new(AttemptCounts::new(UNKNOWN_TOKENS_PER_SOURCE)),
        }
    }
}

fn count<K: Ord>(counts: &Mutex<AttemptCounts<K>>, key: K, now: Timestamp) -> Result<(), Refusal> {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    counts.count(key, now).map_err(|seconds| Refusal::RateLimited { seconds })
}

/// A request with a guest token.
#[derive(Clone, Copy, Debug)]
pub struct GuestRequest<'a> {
    pub token: &'a Secret,
    pub source: SourceNetwork,
    /// The sessions that this function instance read before.
    pub memory: &'a AudienceMemory,
    pub limits: &'a GuestLimits,
}

/// The invited person of a link.
#[derive(Clone, Debug)]
pub struct Guest {
    pub email: Email,
    pub name: Option<PersonName>,
}

/// Opens the token of a request, and counts the request against the limits of this function instance.
pub fn open_request(
    keyring: &Keyring,
    request: &GuestRequest<'_>,
    now: Timestamp,
) -> Result<GuestLink, Refusal> {
    let Some(link) = open_token(keyring, request.token.expose()) else {
        count(&request.limits.by_source, request.source, now)?;
        return Err(Refusal::NotFound);
    };
    count(&request.limits.by_guest, (link.session.clone(), link.to.clone()), now)?;
    Ok(link)
}

/// Loads the session of a guest link. The holder of the link is admitted as its address.
pub async fn load_guest_session(
    store: &Store,
    keyring: &Keyring,
    request: &GuestRequest<'_>,
    now: Timestamp,
) -> Result<(Session, Guest), Error> {
    let link = open_request(keyring, request, now)?;
    let (session, invitation) = load_invitation(store, request.memory, &link).await?;
    let invitation = invitation
        .filter(|found| accepts_guests(&session, now) && link.is_current(found.links_from));
    let GuestInvitation { invitee, .. } = invitation.ok_or(Refusal::NotFound)?;
    Ok((session, Guest { email: invitee.email, name: invitee.name }))
}

/// Loads the session and the invitation of a link, in one request if this function instance has seen the session before.
/// Reads are eventually consistent like those of a student's join request, and a missing invitation is read again.
async fn load_invitation(
    store: &Store,
    memory: &AudienceMemory,
    link: &GuestLink,
) -> Result<(Session, Option<GuestInvitation>), Error> {
    let id = &link.session;
    let erasure = erased_address(&link.to);
    let keys_of_list = |list: InviteeList| guest_keys(id, list, &link.to, &erasure);
    let expected = memory.expected_list(id);
    let mut keys = vec![ItemKey::Session(id)];
    keys.extend(expected.into_iter().flat_map(keys_of_list));
    let mut found = store.batch_get_eventually_consistent(&keys).await?;
    let record = match found.session(id)? {
        Some(record) => record,
        None => store.session(id).await?.ok_or(Refusal::NotFound)?,
    };
    let session = record.session;
    memory.remember(&session);
    let list = session.audience.invitee_list().ok_or(Refusal::NotFound)?;
    if expected == Some(list)
        && let Some(invitation) = found.guest_invitation(keys_of_list(list))?
    {
        return Ok((session, Some(invitation)));
    }
    let invitation =
        store.batch_get(&keys_of_list(list)).await?.guest_invitation(keys_of_list(list))?;
    Ok((session, invitation))
}

/// Counts a join request of a guest, and refuses too many of them. A failure to count does not keep the guest out of the
/// session.
pub async fn count_join(
    store: &Store,
    session: &Session,
    guest: &Guest,
    now: Timestamp,
) -> Result<(), Refusal> {
    let pseudonym = RecipientRef::new(&MailSubject::Session(session.id.clone()), &guest.email);
    let counted = counters::count_guest_join(&session.id, &pseudonym, JOINS_PER_GUEST, now);
    match store.commit_one(counted).await {
        Ok(()) => Ok(()),
        Err(CommitError::Refused(_)) => {
            Err(Refusal::RateLimited { seconds: JOINS_PER_GUEST.retry_after_seconds(now) })
        }
        Err(error) => {
            tracing::error!(event = "join.guest_not_counted", session_id = %session.id, %error);
            Ok(())
        }
    }
}
