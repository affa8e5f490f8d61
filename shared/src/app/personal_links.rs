//! Registers a person for a meeting at Zoom and returns their personal link.
//!
//! Zoom accepts a few requests a day for one person, so one process at a time registers a person:
//!
//! ```text
//! link stored ──────────────────────────────────────────→ use it
//! else take the lease (conditional write) ─ refused ─→ wait, read again
//!        │
//!        ├─ Zoom returns a link ─→ store it ─→ use it
//!        └─ any other response ─→ store the time of the next request ─→ use the common link
//! ```
//!
//! No failure keeps a person out: they get the common link, and Zoom asks them to register themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;

use super::Services;
use super::error::Error;
use super::meeting::MeetingError;
use super::zoom_access::with_token;
use crate::crypt::{Binding, Keyring};
use crate::domain::attendance::AttendeeId;
use crate::domain::id::UserId;
use crate::domain::mailing::AddressDigest;
use crate::domain::personal_link::{NextStep, PersonalLink, Registration, next_step};
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};
use crate::domain::time::whole_milli;
use crate::domain::zoom_link;
use crate::secret::Secret;
use crate::store::error::CommitError;
use crate::store::personal_links::{self, RegistrationKey};
use crate::zoom::registrants::NewRegistrant;

/// The longest time that a person waits for the registration, with a new token of the account. The function has time left
/// for the common link.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The longest wait for Zoom's response to one request.
const RESPONSE_LIMIT: Duration = Duration::from_secs(3);
/// The longest wait after a limit of Zoom. The limit per second is over by then, and the limit per day is not.
const MAX_LIMIT_WAIT: Duration = Duration::from_secs(2);
/// The highest jitter after a limit of Zoom, in milliseconds, because a whole class may be limited at the same moment.
const LIMIT_JITTER_MS: u64 = 1000;
/// The pause between two reads while another request registers the person, plus up to half as much jitter.
const WAIT_MS: u64 = 150;
/// Reads before the common link is used: about 8 s, longer than a registration takes while Zoom responds.
const WAIT_ATTEMPTS: u32 = 45;

/// Shown in the meeting for a person without a name.
const NAME_OF_UNKNOWN: &str = "Participant";

/// A registration, with the decrypted link.
#[derive(Debug)]
pub(super) struct IssuedLink {
    pub(super) registrant: String,
    pub(super) link: Secret,
}

/// A registration as it was read before, if it was.
#[derive(Debug)]
pub(super) enum StoredRegistration {
    NotRead,
    Read(Option<Registration>),
}

/// A person on the way into a meeting by link.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkUser<'a> {
    pub(super) user: Option<&'a UserId>,
    pub(super) email: &'a Email,
    pub(super) name: Option<&'a PersonName>,
}

/// Returns the personal link of a person, who is registered if they have none. Returns `None` after any failure.
pub(super) async fn personal_link(
    services: &Services,
    keyring: &Keyring,
    session: &Session,
    person: LinkUser<'_>,
    stored: &StoredRegistration,
) -> Option<IssuedLink> {
    let digest = AddressDigest::new(person.email);
    let key =
        RegistrationKey { session: &session.id, meeting: session.meeting.id?, person: &digest };
    let request = LinkRequest { services, keyring, session, person, key };
    let reason = match tokio::time::timeout(TIME_LIMIT, request.run(stored)).await {
        Ok(Ok(Some(issued))) => return Some(issued),
        Ok(Ok(None)) => "an earlier request failed, or another one takes too long".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    // Zoom asks the person to register with the common link.
    tracing::warn!(event = "join.common_link_used", session_id = %session.id, reason);
    None
}

struct LinkRequest<'a> {
    services: &'a Services,
    keyring: &'a Keyring,
    session: &'a Session,
    person: LinkUser<'a>,
    key: RegistrationKey<'a>,
}

impl LinkRequest<'_> {
    async fn run(&self, stored: &StoredRegistration) -> Result<Option<IssuedLink>, Error> {
        let Services { store, clock, random, .. } = self.services;
        let mut read = match stored {
            StoredRegistration::Read(read) => read.clone(),
            StoredRegistration::NotRead => {
                store.registration_eventually_consistent(self.key).await?
            }
        };
        for _ in 0..WAIT_ATTEMPTS {
            match next_step(read.as_ref(), self.session, clock.now()) {
                NextStep::UseLink(link) => return self.open(link).map(Some),
                NextStep::UseCommonLink => return Ok(None),
                NextStep::Register => {
                    if let Some(leased) = self.take_lease(read.as_ref()).await? {
                        return self.register(leased).await.map(Some);
                    }
                }
                NextStep::Wait => {
                    let pause = WAIT_MS + random.below(WAIT_MS / 2);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
            read = store.registration(self.key).await?;
        }
        Ok(None)
    }

    /// Returns `None` if another request has written the registration since it was read.
    async fn take_lease(&self, read: Option<&Registration>) -> Result<Option<Registration>, Error> {
        let Services { store, clock, .. } = self.services;
        let id = &self.session.id;
        let user = self.person.user.map(|user| AttendeeId::for_user(id, user));
        let people: BTreeSet<_> =
            user.into_iter().chain([AttendeeId::for_email(id, self.person.email)]).collect();
        let holder = self.services.new_lease_holder();
        let leased = Registration::leased(read, &people, &holder, clock.now());
        match store.commit_one(personal_links::put(self.key, read, &leased, self.session)).await {
            Ok(()) => Ok(Some(leased)),
            Err(CommitError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Registers the person at Zoom and stores the outcome. If it cannot be stored, a later request registers the person
    /// again, and Zoom returns the same link.
    async fn register(&self, leased: Registration) -> Result<IssuedLink, Error> {
        let Services { store, clock, random, .. } = self.services;
        let outcome = match self.call_zoom().await {
            Err(Error::ZoomLimited { after }) if after <= MAX_LIMIT_WAIT => {
                let jitter = Duration::from_millis(random.below(LIMIT_JITTER_MS));
                tokio::time::sleep(after + jitter).await;
                self.call_zoom().await
            }
            outcome => outcome,
        };
        let next = match &outcome {
            Ok(IssuedLink { registrant, link }) => leased.clone().with_link(PersonalLink {
                registrant: registrant.clone(),
                link: self.keyring.seal(link.expose(), &self.binding(), random),
                issued_at: whole_milli(clock.now()),
            }),
            Err(Error::ZoomLimited { after }) => {
                let after = SignedDuration::try_from(*after).ok();
                leased.clone().failed(after, clock.now())
            }
            Err(_) => leased.clone().failed(None, clock.now()),
        };
        let put = personal_links::put(self.key, Some(&leased), &next, self.session);
        if let Err(error) = store.commit_one(put).await {
            tracing::warn!(event = "join.registration_not_stored", session_id = %self.session.id, %error);
        }
        outcome
    }

    async fn call_zoom(&self) -> Result<IssuedLink, Error> {
        let Self { services, session, person, key, .. } = self;
        let unknown = PersonName::parse(NAME_OF_UNKNOWN);
        let name = person.name.or(unknown.as_ref().ok());
        let name = name.ok_or_else(|| Error::Internal("the name of an unknown person".into()))?;
        let new = NewRegistrant { email: person.email, name };
        let mut zoom_access =
            services.host_access(&session.trainer, &session.meeting.host()).await?;
        let call = async {
            with_token!(services, zoom_access, |access| services.zoom.register(
                access,
                key.meeting,
                new,
                services.clock.now()
            ))
        };
        let unanswered = |_| MeetingError::Unknown { reason: "Zoom responds late".to_owned() };
        let registrant = tokio::time::timeout(RESPONSE_LIMIT, call).await.map_err(unanswered)??;
        let is_usable = zoom_link::parse_zoom_link(registrant.link.expose())
            .is_some_and(|url| !zoom_link::is_host_link(&url));
        if !is_usable {
            let reason = "no personal link in the response".to_owned();
            return Err(Error::ZoomUnavailable { reason });
        }
        Ok(IssuedLink { registrant: registrant.id, link: registrant.link })
    }

    fn open(&self, link: &PersonalLink) -> Result<IssuedLink, Error> {
        let opened = self.keyring.open(&link.link, &self.binding())?;
        Ok(IssuedLink { registrant: link.registrant.clone(), link: opened })
    }

    /// A link opens only for the meeting and the person to whom it was issued.
    fn binding(&self) -> Binding<'_> {
        Binding { owner: self.session.id.as_str(), field: self.key.person.as_str() }
    }
}
