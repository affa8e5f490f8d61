//! What was decided of a class's attendance by hand: the ruling in force of each row, and the trail of who decided
//! what, which is only ever added to. Both are kept as long as the class is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{AUDIT_PREFIX, ItemKey, RULING_PREFIX, attr, session_partition};
use super::tx::{Action, Guard, key_item, number};
use super::{ItemPage, KeyRange, Store};
use crate::domain::attendance::AttendeeId;
use crate::domain::attendance::people::KnownBy;
use crate::domain::attendance::overrides::{AttendanceOverride, OverrideState};
use crate::domain::id::{SessionId, UserId};

/// A ruling as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOverride {
    pub attendee: AttendeeId,
    #[serde(flatten)]
    pub ruling: AttendanceOverride,
    /// What the person is known by whom it is about, be it by an assignment; an earlier writer did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<KnownBy>,
    /// When it was last decided; an earlier writer did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// By whom and why it was last decided, by which a repeated request is told from another decision.
    pub by: UserId,
    pub reason: String,
    /// Rises with every decision.
    pub revision: u64,
}

/// An entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub by: UserId,
    pub attendee: AttendeeId,
    pub old: OverrideState,
    pub new: OverrideState,
    pub reason: String,
}

/// Where a page of the trail ended. It names no class: whose trail it goes on in follows from who asks for which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    pub at: Timestamp,
    pub nonce: String,
}

/// Stores a ruling in the place of the one of `read_revision`; refused when another decision was quicker.
pub fn put_override(session: &SessionId, kept: &StoredOverride, read_revision: Option<u64>) -> Action {
    let guard = match read_revision {
        None => Guard::new_item(),
        Some(revision) => Guard::new().equals(attr::REVISION, number(revision)),
    };
    Action::put(ItemKey::AttendanceOverride { session, attendee: &kept.attendee }, encode(kept), guard)
}

/// The same ruling, about somebody who is known by other things; refused when another decision was quicker.
pub fn about(session: &SessionId, kept: &StoredOverride, whose: KnownBy) -> Action {
    let guard = Guard::new().equals(attr::REVISION, number(kept.revision));
    let kept = StoredOverride { whose: Some(whose), ..kept.clone() };
    Action::put(ItemKey::AttendanceOverride { session, attendee: &kept.attendee }, encode(&kept), guard)
}

impl StoredOverride {
    /// Whom it is about: whose row it is, or whose the row was said to be. Nobody, once all is given back to the rule.
    pub fn about(&self) -> Option<&AttendeeId> {
        let AttendanceOverride { present, assigned_to } = &self.ruling;
        assigned_to.as_ref().or_else(|| present.map(|_| &self.attendee))
    }
}

/// Adds to the trail.
pub fn put_entry(session: &SessionId, entry: &AuditEntry, nonce: &str) -> Action {
    Action::put(ItemKey::Audit { session, at: entry.at, nonce }, encode(entry), Guard::new_item())
}

impl Store {
    /// Every ruling in force of a class, strongly consistent: whoever decided must see it in the next report.
    pub async fn rulings(&self, session: &SessionId) -> Result<Vec<StoredOverride>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(RULING_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        self.query_all(range).await?.into_iter().map(decode).collect()
    }

    /// A page of a class's trail, newest first, and where the next begins.
    pub async fn attendance_trail(
        &self,
        session: &SessionId,
        after: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<(Vec<AuditEntry>, Option<AuditCursor>), StoreError> {
        let after =
            after.map(|place| key_item(&ItemKey::Audit { session, at: place.at, nonce: &place.nonce }));
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(AUDIT_PREFIX.to_owned()),
            consistent: true,
            backwards: true,
            limit: Some(i32::try_from(limit).unwrap_or(i32::MAX)),
            after,
            ..KeyRange::default()
        };
        let ItemPage { items, last } = self.query(range).await?;
        let next = last.and_then(|position| {
            let key = position.get(attr::SK)?.as_s().ok()?.strip_prefix(AUDIT_PREFIX)?;
            let (at, nonce) = key.split_once('#')?;
            Some(AuditCursor { at: at.parse().ok()?, nonce: nonce.to_owned() })
        });
        let entries = items.into_iter().map(decode).collect::<Result<_, _>>()?;
        Ok((entries, next))
    }
}
