//! Attendance overrides and their append-only audit. Both are kept as long as the session.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, decode_readable, encode};
use super::schema::{AUDIT_PREFIX, ItemKey, OVERRIDE_PREFIX, attr, session_partition};
use super::tx::{Action, Condition, key_item, number};
use super::{ItemPage, KeyRange, Store};
use crate::domain::attendance::AttendanceOverride;
use crate::domain::attendance::AttendeeId;
use crate::domain::attendance::override_request::OverrideState;
use crate::domain::attendance::people::PersonDetails;
use crate::domain::id::{SessionId, UserId};

/// An attendance override as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOverride {
    pub attendee: AttendeeId,
    #[serde(flatten)]
    pub attendance_override: AttendanceOverride,
    /// The identity of the person it concerns, who may be the one assigned. Absent in items of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PersonDetails>,
    /// The time of the last change. Absent in items of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The author of the last change. With `reason` it identifies a repeated request.
    pub by: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Increases with every change.
    pub revision: u64,
}

/// An entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub by: UserId,
    /// The word of an [`ActorRole`](crate::domain::actor::ActorRole). Absent in items of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_role: Option<String>,
    pub attendee: AttendeeId,
    pub old: OverrideState,
    pub new: OverrideState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The position in an audit at which a page ended. It contains no session, so that a cursor cannot open another session's
/// audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    pub at: Timestamp,
    pub nonce: String,
}

/// Stores an override in place of revision `read_revision`. Refused if another change was faster.
pub fn put_override(
    session: &SessionId,
    stored: &StoredOverride,
    read_revision: Option<u64>,
) -> Action {
    let condition = match read_revision {
        None => Condition::item_absent(),
        Some(revision) => Condition::new().equals(attr::REVISION, number(revision)),
    };
    Action::put(
        ItemKey::AttendanceOverride { session, attendee: &stored.attendee },
        encode(stored),
        condition,
    )
}

/// Stores an override without the identity of its erased person and with `text` as its reason. Refused if another change
/// was faster.
pub fn put_anonymous_override(
    session: &SessionId,
    stored: &StoredOverride,
    identity: PersonDetails,
    text: &str,
) -> Action {
    let condition = Condition::new().equals(attr::REVISION, number(stored.revision));
    let stored = StoredOverride {
        // A decision that is based on the identity is then refused.
        revision: stored.revision + 1,
        identity: Some(identity),
        reason: stored.reason.as_ref().map(|_| text.to_owned()),
        ..stored.clone()
    };
    Action::put(
        ItemKey::AttendanceOverride { session, attendee: &stored.attendee },
        encode(&stored),
        condition,
    )
}

impl StoredOverride {
    /// Returns the attendee that the override concerns: the one assigned, or the one of the row. `None` if it was withdrawn.
    pub fn subject(&self) -> Option<&AttendeeId> {
        let attendance_override = &self.attendance_override;
        let assigned_to = attendance_override.assigned_to.as_ref();
        assigned_to.or_else(|| attendance_override.status().map(|_| &self.attendee))
    }
}

/// Appends an audit entry.
pub fn put_audit_entry(session: &SessionId, entry: &AuditEntry, nonce: &str) -> Action {
    Action::put(
        ItemKey::Audit { session, at: entry.at, nonce },
        encode(entry),
        Condition::item_absent(),
    )
}

fn overrides_range(session: &SessionId) -> KeyRange {
    KeyRange {
        pk: session_partition(session),
        prefix: Some(OVERRIDE_PREFIX.to_owned()),
        consistent: true,
        ..KeyRange::default()
    }
}

impl Store {
    /// Returns the overrides of a session with strong consistency, so that the next report shows a change.
    pub async fn attendance_overrides(
        &self,
        session: &SessionId,
    ) -> Result<Vec<StoredOverride>, StoreError> {
        self.query_all(overrides_range(session)).await?.into_iter().map(decode).collect()
    }

    /// Like [`Self::attendance_overrides`], without those that cannot be read.
    pub async fn readable_overrides(
        &self,
        session: &SessionId,
    ) -> Result<Vec<StoredOverride>, StoreError> {
        Ok(decode_readable(self.query_all(overrides_range(session)).await?).collect())
    }

    /// Replaces the reasons in the audit entries of the given rows, which may name the person. Returns their number.
    pub async fn erase_audit_reasons(
        &self,
        session: &SessionId,
        rows: &BTreeSet<AttendeeId>,
        text: &str,
    ) -> Result<usize, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(AUDIT_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let mut erased = Vec::new();
        for item in self.query_all(range).await? {
            let entry: AuditEntry = decode(item.clone())?;
            let Some(nonce) = item
                .get(attr::SK)
                .and_then(|sk| sk.as_s().ok()?.strip_prefix(AUDIT_PREFIX)?.split_once('#'))
                .map(|(_, nonce)| nonce)
            else {
                continue;
            };
            if rows.contains(&entry.attendee)
                && entry.reason.as_deref().is_some_and(|reason| reason != text)
            {
                let key = ItemKey::Audit { session, at: entry.at, nonce };
                let entry = AuditEntry { reason: Some(text.to_owned()), ..entry };
                erased.push(Action::put(key, encode(&entry), Condition::new()));
            }
        }
        let count = erased.len();
        self.write_all(erased).await?;
        Ok(count)
    }

    /// Returns a page of the audit, newest first, with the cursor of the next page.
    pub async fn audit_page(
        &self,
        session: &SessionId,
        after: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<(Vec<AuditEntry>, Option<AuditCursor>), StoreError> {
        let after = after.map(|cursor| {
            key_item(&ItemKey::Audit { session, at: cursor.at, nonce: &cursor.nonce })
        });
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(AUDIT_PREFIX.to_owned()),
            consistent: true,
            descending: true,
            limit: Some(i32::try_from(limit).unwrap_or(i32::MAX)),
            after,
            ..KeyRange::default()
        };
        let ItemPage { items, last_key: last } = self.query(range).await?;
        let next = last.and_then(|position| {
            let key = position.get(attr::SK)?.as_s().ok()?.strip_prefix(AUDIT_PREFIX)?;
            let (at, nonce) = key.split_once('#')?;
            Some(AuditCursor { at: at.parse().ok()?, nonce: nonce.to_owned() })
        });
        Ok((decode_readable(items).collect(), next))
    }
}
