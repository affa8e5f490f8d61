//! Invitees: one item per list and address, found by session or by address.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, decode_readable, encode, or_default};
use super::schema::{
    INVITEE_PREFIX, Index, ItemKey, email_partition, invitee_prefix, session_partition,
    session_sort_key,
};
use super::tx::{Action, Condition, insert_index_key};
use super::{KeyRange, Store};
use crate::domain::audience::{Invitee, InviteeList};
use crate::domain::host_status::WarningSources;
use crate::domain::id::SessionId;
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

/// Stores a list that the session refers to, or will refer to.
pub fn put_list(
    session: &Session,
    list: InviteeList,
    replacement: Option<ListReplacement>,
    invitees: &[Invitee],
) -> Vec<Action> {
    let put = |(n, invitee)| {
        let replacement = replacement.filter(|_| n == 0);
        put(&session.id, session.details.starts_at, list, replacement, invitee, session.updated_at)
    };
    invitees.iter().enumerate().map(put).collect()
}

fn put(
    session: &SessionId,
    starts_at: Timestamp,
    list: InviteeList,
    replacement: Option<ListReplacement>,
    invitee: &Invitee,
    requested_at: Timestamp,
) -> Action {
    let stored = StoredInvitee {
        session_id: session.clone(),
        list,
        email: invitee.email.clone(),
        name: invitee.name.clone(),
        replacement,
        requested_ms: Some(requested_at.as_millisecond()),
    };
    let mut item = encode(&stored);
    insert_index_key(
        &mut item,
        Index::ByAudience,
        email_partition(&invitee.email),
        session_sort_key(starts_at, session),
    );
    Action::put(ItemKey::Invitee { session, list, email: &invitee.email }, item, Condition::new())
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

    /// Writes a list before the session refers to it.
    pub async fn write_invitees(
        &self,
        session: &Session,
        list: InviteeList,
        replacement: Option<ListReplacement>,
        invitees: &[Invitee],
    ) -> Result<(), StoreError> {
        self.write_all(put_list(session, list, replacement, invitees)).await
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
