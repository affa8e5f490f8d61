//! Whom a class invites: one item per address and list, found by class or by address.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{
    INVITEE_PREFIX, ItemKey, attr, by_start, email_partition, index, invitee_prefix, session_partition,
};
use super::tx::{Action, Guard, text};
use super::{KeyRange, Store};
use crate::domain::audience::{Invitee, InviteeList};
use crate::domain::id::SessionId;
use crate::domain::session::{Session, SessionWithInvitees};
use crate::domain::text::{Email, PersonName};
use crate::domain::time::fixed;

#[derive(Serialize, Deserialize)]
struct Stored {
    session_id: SessionId,
    list: InviteeList,
    email: Email,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
}

/// An invitation found by its address. Only the class itself says whether its list is still in force.
#[derive(Debug)]
pub struct Invitation {
    pub session: SessionId,
    pub list: InviteeList,
}

pub fn put(
    session: &SessionId,
    starts_at: Timestamp,
    list: InviteeList,
    invitee: &Invitee,
) -> Action {
    let stored = Stored {
        session_id: session.clone(),
        list,
        email: invitee.email.clone(),
        name: invitee.name.clone(),
    };
    let mut item = encode(&stored);
    item.insert(attr::G2PK.to_owned(), text(email_partition(&invitee.email)));
    item.insert(attr::G2SK.to_owned(), text(by_start(starts_at, session)));
    Action::put(ItemKey::Invitee { session, list, email: &invitee.email }, item, Guard::new())
}

pub fn delete(session: &SessionId, list: InviteeList, email: &Email) -> Action {
    Action::delete(ItemKey::Invitee { session, list, email }, Guard::new())
}

impl Store {
    /// The whole list that a class points at, by address; at most a thousand.
    pub async fn invitees(
        &self,
        session: &SessionId,
        list: InviteeList,
    ) -> Result<Vec<Invitee>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(invitee_prefix(list)),
            consistent: true,
            ..KeyRange::default()
        };
        let mut invitees = self
            .query_all(range)
            .await?
            .into_iter()
            .map(|item| {
                decode::<Stored>(item)
                    .map(|stored| Invitee { email: stored.email, name: stored.name })
            })
            .collect::<Result<Vec<_>, _>>()?;
        invitees.sort_by(|a, b| a.email.cmp(&b.email));
        Ok(invitees)
    }

    /// The addresses that a class invites by its list; none for other audiences.
    pub async fn invitees_of(&self, session: &Session) -> Result<Vec<Invitee>, StoreError> {
        match session.audience.list() {
            Some(list) => self.invitees(&session.id, list).await,
            None => Ok(Vec::new()),
        }
    }

    /// A class with the addresses that it invites.
    pub async fn with_invitees(&self, session: Session) -> Result<SessionWithInvitees, StoreError> {
        let invitees = self.invitees_of(&session).await?;
        Ok(SessionWithInvitees { session, invitees })
    }

    /// Every address that a class ever invited, in whichever list.
    pub async fn all_invited(&self, session: &SessionId) -> Result<Vec<Email>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(INVITEE_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<Stored>);
        stored.map(|stored| stored.map(|stored| stored.email)).collect()
    }

    /// Whether the list that a class points at holds `email`.
    pub async fn is_invited(
        &self,
        session: &SessionId,
        list: InviteeList,
        email: &Email,
    ) -> Result<bool, StoreError> {
        Ok(self.get(ItemKey::Invitee { session, list, email }).await?.is_some())
    }

    /// Writes a list ahead of the class that will point at it.
    pub async fn write_invitees(
        &self,
        session: &Session,
        list: InviteeList,
        invitees: &[Invitee],
    ) -> Result<(), StoreError> {
        self.write_all(
            invitees
                .iter()
                .map(|invitee| put(&session.id, session.starts_at, list, invitee))
                .collect(),
        )
        .await
    }

    /// Removes a list that no class points at any more.
    pub async fn delete_invitees(
        &self,
        session: &SessionId,
        list: InviteeList,
    ) -> Result<(), StoreError> {
        let gone = self.invitees(session, list).await?;
        self.write_all(gone.iter().map(|invitee| delete(session, list, &invitee.email)).collect())
            .await
    }

    /// Removes every list that was ever written for a class, for one that never came to be.
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
            .map(decode::<Stored>)
            .collect::<Result<Vec<_>, _>>()?;
        self.write_all(stored.iter().map(|s| delete(session, s.list, &s.email)).collect()).await
    }

    /// An address's invitations to classes that start in the window.
    pub async fn invitations(
        &self,
        email: &Email,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Invitation>, StoreError> {
        let range = KeyRange {
            index: Some(index::BY_AUDIENCE),
            pk: email_partition(email),
            from: Some(fixed(from)),
            to: Some(format!("{}~", fixed(to))),
            ..KeyRange::default()
        };
        let stored = self.query_all(range).await?.into_iter().map(decode::<Stored>);
        stored.map(|s| s.map(|s| Invitation { session: s.session_id, list: s.list })).collect()
    }

    /// Forgets an address wherever a class invited it.
    pub async fn erase_invitee(&self, email: &Email) -> Result<usize, StoreError> {
        let range = KeyRange {
            index: Some(index::BY_AUDIENCE),
            pk: email_partition(email),
            ..KeyRange::default()
        };
        let stored = self
            .query_all(range)
            .await?
            .into_iter()
            .map(decode::<Stored>)
            .collect::<Result<Vec<_>, _>>()?;
        let count = stored.len();
        self.write_all(stored.iter().map(|s| delete(&s.session_id, s.list, &s.email)).collect())
            .await?;
        Ok(count)
    }
}
