//! The registrations of people for a session's meeting, with their personal links.

use jiff::{SignedDuration, Timestamp};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, PERSONAL_LINK_PREFIX, attr, limit, session_partition};
use super::tx::{Action, Condition, number, text};
use super::{BatchItems, KeyRange, Store};
use crate::domain::attendance::ErasureMarker;
use crate::domain::id::{MeetingId, SessionId};
use crate::domain::mailing::AddressDigest;
use crate::domain::personal_link::Registration;
use crate::domain::session::Session;

/// The registration of one person. Another meeting of the session has other registrations.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationKey<'a> {
    pub session: &'a SessionId,
    pub meeting: MeetingId,
    /// The digest of the person's address.
    pub person: &'a AddressDigest,
}

impl<'a> RegistrationKey<'a> {
    pub fn item(self) -> ItemKey<'a> {
        let Self { session, meeting, person } = self;
        ItemKey::PersonalLink { session, meeting, person }
    }
}

/// Stores a registration. Refused if another attempt has written it since `before` was read.
pub fn put(
    key: RegistrationKey<'_>,
    before: Option<&Registration>,
    next: &Registration,
    session: &Session,
) -> Action {
    let mut item = encode(next);
    item.insert(attr::TTL.to_owned(), number(expires_at(session).as_second()));
    let condition = match before {
        Some(before) => Condition::new().equals(attr::HOLDER, text(&before.holder)),
        None => Condition::item_absent(),
    };
    Action::put(key.item(), item, condition).recognized_by(attr::HOLDER, text(&next.holder))
}

/// A link is not needed after the session. If the session moves, Zoom returns the same link again.
fn expires_at(session: &Session) -> Timestamp {
    let closes_at = session.window_closes_at();
    let days = SignedDuration::from_hours(24 * limit::PERSONAL_LINK_TTL_DAYS);
    closes_at.saturating_add(days).unwrap_or(closes_at)
}

impl Store {
    /// Returns the registration of a person, with strong consistency.
    pub async fn registration(
        &self,
        key: RegistrationKey<'_>,
    ) -> Result<Option<Registration>, StoreError> {
        self.get(key.item()).await?.map(decode).transpose()
    }

    /// Returns the registration of a person, at half the price.
    pub async fn registration_eventually_consistent(
        &self,
        key: RegistrationKey<'_>,
    ) -> Result<Option<Registration>, StoreError> {
        self.get_eventually_consistent(key.item()).await?.map(decode).transpose()
    }

    /// Returns the registrations of an erased person, each with its deletion. Those from after the erasure are left out.
    pub async fn registrations_of_person(
        &self,
        session: &SessionId,
        person: &ErasureMarker,
    ) -> Result<Vec<(Registration, Action)>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(PERSONAL_LINK_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let mut found = Vec::new();
        for item in self.query_all(range).await? {
            let Some(delete) = Action::delete_item(&item) else { continue };
            let registration: Registration = decode(item)?;
            if !registration.people.is_disjoint(&person.identities)
                && !person.is_after_erasure(registration.requested_at)
            {
                found.push((registration, delete));
            }
        }
        Ok(found)
    }
}

impl BatchItems {
    pub(crate) fn registration(
        &mut self,
        key: RegistrationKey<'_>,
    ) -> Result<Option<Registration>, StoreError> {
        self.take(key.item()).map(decode).transpose()
    }
}
