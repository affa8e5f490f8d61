//! Invitees: one item per list and address, found by session or by address.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::erasures::StoredErasure;
use super::error::StoreError;
use super::item::{decode, decode_readable, encode, or_default};
use super::schema::{
    INVITEE_PREFIX, Index, ItemKey, attr, email_partition, invitee_prefix, session_partition,
    session_sort_key,
};
use super::tx::{Action, Condition, Item, ItemChanges, insert_index_key, number};
use super::{BatchItems, KeyRange, Store};
use crate::domain::audience::{Invitee, InviteeList};
use crate::domain::host_status::WarningSources;
use crate::domain::id::SessionId;
use crate::domain::link_generation::{LinkGeneration, LinkGenerations};
use crate::domain::mailing::AddressDigest;
use crate::domain::session::{Session, Status};
use crate::domain::text::{Email, PersonName};
use crate::domain::time::sortable_text;
use crate::domain::trainer_session::SessionWithInvitees;

#[derive(Serialize, Deserialize)]
struct StoredInvitee {
    session_id: SessionId,
    list: InviteeList,
    email: Email,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
    /// The time at which the request that wrote the list began, in Unix milliseconds and under a short name, because a list is
    /// read as a whole. Absent in items of earlier versions.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    requested_ms: Option<i64>,
    /// The generation from which guest links are valid. Absent for an address that was invited when the session was created.
    #[serde(rename = "g", default, skip_serializing_if = "LinkGeneration::is_first")]
    links_from: LinkGeneration,
    /// Set on the first invitee of a list that replaced another one.
    #[serde(flatten)]
    replacement: Option<ListReplacement>,
}

/// The time at which an invitee list replaced another one. It is stored with one invitee, because a list has no item of its
/// own, and each byte counts in a list of a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReplacement {
    pub since: Timestamp,
    pub replaces: InviteeList,
}

/// Lists that a report reads. More edits than this do not happen while a class is held.
const ROSTER_LISTS: usize = 20;

impl StoredInvitee {
    fn into_invitee(self) -> Invitee {
        Invitee { email: self.email, name: self.name }
    }
}

/// An invitation found by address. It is valid only if the session still refers to its list.
#[derive(Debug)]
pub struct Invitation {
    pub session: SessionId,
    pub list: InviteeList,
    /// The time at which the request that wrote it began. `None` if an earlier version wrote it.
    pub requested_at: Option<Timestamp>,
}

impl From<StoredInvitee> for Invitation {
    fn from(s: StoredInvitee) -> Self {
        Self {
            session: s.session_id,
            list: s.list,
            requested_at: s.requested_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }
    }
}

fn invitations_range(email: &Email, from: Timestamp, to: Timestamp) -> KeyRange {
    KeyRange {
        index: Some(Index::ByAudience),
        pk: email_partition(email),
        from: Some(sortable_text(from)),
        to: Some(format!("{}~", sortable_text(to))),
        ..KeyRange::default()
    }
}

/// The invitees of a list that is to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewList<'a> {
    pub list: InviteeList,
    pub invitees: &'a [Invitee],
    pub replacement: Option<ListReplacement>,
    pub generations: &'a LinkGenerations,
}

/// Stores a list that the session refers to, or will refer to.
pub fn put_list(session: &Session, new: &NewList<'_>) -> Vec<Action> {
    let put = |(n, invitee)| {
        let replacement = new.replacement.filter(|_| n == 0);
        put(session, new, replacement, invitee)
    };
    new.invitees.iter().enumerate().map(put).collect()
}

fn put(
    session: &Session,
    new: &NewList<'_>,
    replacement: Option<ListReplacement>,
    invitee: &Invitee,
) -> Action {
    let (id, list, email) = (&session.id, new.list, &invitee.email);
    let stored = StoredInvitee {
        session_id: id.clone(),
        list,
        email: email.clone(),
        name: invitee.name.clone(),
        replacement,
        requested_ms: Some(session.updated_at.as_millisecond()),
        links_from: new.generations.of(email),
    };
    let mut item = encode(&stored);
    insert_index_key(
        &mut item,
        Index::ByAudience,
        email_partition(email),
        session_sort_key(session.details.starts_at, id),
    );
    Action::put(ItemKey::Invitee { session: id, list, email }, item, Condition::new())
}

/// Invalidates the guest links of an invitee before `generation`. Refused if the address is no longer on the list, or if
/// that has happened.
pub fn replace_links(
    session: &SessionId,
    list: InviteeList,
    email: &Email,
    generation: LinkGeneration,
) -> Action {
    let value = || number(generation.0);
    Action::update(
        ItemKey::Invitee { session, list, email },
        ItemChanges::new().set(attr::LINKS_FROM, value()),
        Condition::item_exists().absent_or_below(attr::LINKS_FROM, value()),
    )
}

/// The invitation by which a guest enters a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestInvitation {
    pub invitee: Invitee,
    pub links_from: LinkGeneration,
}

/// Returns the generation from which guest links of a stored invitee are valid. `None` if it is unreadable.
pub(super) fn links_from(item: &Item) -> Option<LinkGeneration> {
    match item.get(attr::LINKS_FROM) {
        None => Some(LinkGeneration::default()),
        Some(value) => value.as_n().ok()?.parse().ok().map(LinkGeneration),
    }
}

/// Returns the keys of the items that decide about a guest: the invitation, and the erasure of a person with this address.
pub fn guest_keys<'a>(
    session: &'a SessionId,
    list: InviteeList,
    to: &'a AddressDigest,
    erasure: &'a str,
) -> [ItemKey<'a>; 2] {
    [ItemKey::InviteeByDigest { session, list, to }, ItemKey::Erasure(erasure)]
}

impl BatchItems {
    /// Returns the invitation of an address. `None` if it is withdrawn, or if a request that began before the erasure of the
    /// person stored it.
    pub(crate) fn guest_invitation(
        &mut self,
        [invitee, erasure]: [ItemKey<'_>; 2],
    ) -> Result<Option<GuestInvitation>, StoreError> {
        let erasure = self.take(erasure).map(decode::<StoredErasure>).transpose()?;
        let Some(stored) = self.take(invitee).map(decode::<StoredInvitee>).transpose()? else {
            return Ok(None);
        };
        let requested_ms = stored.requested_ms.unwrap_or(i64::MIN);
        if erasure.is_some_and(|erasure| requested_ms < erasure.erased_at.as_millisecond()) {
            return Ok(None);
        }
        let links_from = stored.links_from;
        Ok(Some(GuestInvitation { invitee: stored.into_invitee(), links_from }))
    }
}

pub fn delete(session: &SessionId, list: InviteeList, email: &Email) -> Action {
    Action::delete(ItemKey::Invitee { session, list, email }, Condition::new())
}

impl Store {
    /// Returns a list of invitees in the order of their addresses. At most a thousand.
    pub async fn invitees(
        &self,
        session: &SessionId,
        list: InviteeList,
    ) -> Result<Vec<Invitee>, StoreError> {
        let stored = self.invitee_items(session, list).await?.into_iter();
        let mut invitees: Vec<_> = stored.map(StoredInvitee::into_invitee).collect();
        invitees.sort_by(|a, b| a.email.cmp(&b.email));
        Ok(invitees)
    }

    async fn invitee_items(
        &self,
        session: &SessionId,
        list: InviteeList,
    ) -> Result<Vec<StoredInvitee>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(invitee_prefix(list)),
            consistent: true,
            ..KeyRange::default()
        };
        Ok(decode_readable(self.query_all(range).await?).collect())
    }

    /// Returns the people invited at some time since `from`, in the order of their addresses. `list` is the list in
    /// force. The lists before it are read only if it came into force later.
    pub async fn invitees_since(
        &self,
        session: &SessionId,
        list: InviteeList,
        from: Timestamp,
    ) -> Result<Vec<Invitee>, StoreError> {
        let mut by_email = BTreeMap::new();
        let mut next = Some(list);
        for _ in 0..ROSTER_LISTS {
            let Some(list) = next.take() else { break };
            for stored in self.invitee_items(session, list).await? {
                let replacement = stored.replacement.filter(|it| it.since > from);
                next = next.or(replacement.map(|replacement| replacement.replaces));
                let invitee = stored.into_invitee();
                by_email.entry(invitee.email.clone()).or_insert(invitee);
            }
        }
        Ok(by_email.into_values().collect())
    }

    /// Returns the invitees of a session like [`Self::invitees_of_session`], with the generations of their guest links.
    pub async fn invitees_with_links(
        &self,
        session: &Session,
    ) -> Result<(Vec<Invitee>, BTreeMap<Email, LinkGeneration>), StoreError> {
        let Some(list) = session.audience.invitee_list() else { return Ok(Default::default()) };
        let mut stored = self.invitee_items(&session.id, list).await?;
        stored.sort_by(|a, b| a.email.cmp(&b.email));
        let links = stored.iter().map(|one| (one.email.clone(), one.links_from)).collect();
        Ok((stored.into_iter().map(StoredInvitee::into_invitee).collect(), links))
    }

    /// Returns the invitees of a session. Empty for other audience types.
    pub async fn invitees_of_session(&self, session: &Session) -> Result<Vec<Invitee>, StoreError> {
        match session.audience.invitee_list() {
            Some(list) => self.invitees(&session.id, list).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns a session with its invitees and the data for its warnings.
    pub async fn with_invitees(&self, session: Session) -> Result<SessionWithInvitees, StoreError> {
        let warning_sources = async {
            match session.status {
                Status::Cancelled | Status::Ended => Ok(WarningSources::default()),
                Status::Scheduled | Status::Live => {
                    self.warning_sources(&session.trainer, [&session]).await
                }
            }
        };
        let (invitees, warning_sources) =
            futures::try_join!(self.invitees_of_session(&session), warning_sources)?;
        Ok(SessionWithInvitees { session, invitees, warning_sources })
    }

    /// Returns every address on any list of a session, including former lists.
    pub async fn all_invited_emails(&self, session: &SessionId) -> Result<Vec<Email>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(INVITEE_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let stored = decode_readable::<StoredInvitee>(self.query_all(range).await?);
        Ok(stored.map(|stored| stored.email).collect())
    }

    /// Returns whether `email` is on the list.
    pub async fn is_invited(
        &self,
        session: &SessionId,
        list: InviteeList,
        email: &Email,
    ) -> Result<bool, StoreError> {
        Ok(self.get(ItemKey::Invitee { session, list, email }).await?.is_some())
    }

    /// Returns the invitee of a list with this address.
    pub async fn invitee(
        &self,
        session: &SessionId,
        list: InviteeList,
        email: &Email,
    ) -> Result<Option<Invitee>, StoreError> {
        let item = self.get(ItemKey::Invitee { session, list, email }).await?;
        Ok(item.map(decode::<StoredInvitee>).transpose()?.map(StoredInvitee::into_invitee))
    }

    /// Writes a list before the session refers to it.
    pub async fn write_invitees(
        &self,
        session: &Session,
        new: &NewList<'_>,
    ) -> Result<(), StoreError> {
        self.write_all(put_list(session, new)).await
    }

    /// Deletes a list to which the session no longer refers.
    pub async fn delete_invitees(
        &self,
        session: &SessionId,
        list: InviteeList,
    ) -> Result<(), StoreError> {
        let invitees = self.invitees(session, list).await?;
        self.write_all(
            invitees.iter().map(|invitee| delete(session, list, &invitee.email)).collect(),
        )
        .await
    }

    /// Deletes all lists of a session that was never created.
    pub async fn delete_all_invitees(&self, session: &SessionId) -> Result<(), StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(INVITEE_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = self
            .query_all(range)
            .await?
            .into_iter()
            .map(decode::<StoredInvitee>)
            .collect::<Result<Vec<_>, _>>()?;
        self.write_all(stored.iter().map(|s| delete(session, s.list, &s.email)).collect()).await
    }

    /// Returns the invitations of an address to sessions that start between `from` and `to`.
    pub async fn invitations(
        &self,
        email: &Email,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Invitation>, StoreError> {
        let items = self.query_all(invitations_range(email, from, to)).await?.into_iter();
        items.map(|item| decode::<StoredInvitee>(item).map(Invitation::from)).collect()
    }

    /// Like [`Self::invitations`], without those that cannot be read.
    pub async fn readable_invitations(
        &self,
        email: &Email,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Invitation>, StoreError> {
        let items = self.query_all(invitations_range(email, from, to)).await?;
        Ok(decode_readable::<StoredInvitee>(items).map(Invitation::from).collect())
    }
}
