//! Domain events: stored in the transaction of the change, and deleted when every recipient has been notified.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, key_for_log, unreadable};
use super::schema::{DueQueue, ItemKey, attr, due_partition};
use super::tx::{Action, Condition, Item, ItemChanges, text};
use super::{ItemPage, KeyRange, Store};
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, ChangedStudent, DomainEvent, DomainEventKind, EnrollmentChange,
    EventNonce, ResendTo, SessionChange,
};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::reminder::Reminder;
use crate::domain::text::Email;
use crate::domain::time::sortable_text;

/// Domain events per request.
const PAGE: i32 = 25;

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum StoredDomainEvent {
    Session {
        session_id: SessionId,
        kind: ChangeKind,
        version: u64,
        sequence: u32,
        calendar_changed: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<AudienceRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_audience: Option<AudienceRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    ReauthRequired {
        trainer_id: UserId,
        #[serde(default)]
        connection_version: u64,
        nonce: EventNonce,
    },
    HostNotConnected {
        session_id: SessionId,
        trainer_id: UserId,
        reminder: Reminder,
        starts_at: Timestamp,
    },
    Reminder {
        session_id: SessionId,
        reminder: Reminder,
        starts_at: Timestamp,
        version: u64,
    },
    Resend {
        session_id: SessionId,
        version: u64,
        sequence: u32,
        nonce: EventNonce,
        /// Absent if all recipients are meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipients: Option<StoredRecipients>,
    },
    RecordingReady {
        session_id: SessionId,
        nonce: EventNonce,
    },
    MeetingDeleted {
        session_id: SessionId,
        trainer_id: UserId,
        nonce: EventNonce,
    },
    MeetingMissing {
        session_id: SessionId,
        trainer_id: UserId,
        starts_at: Timestamp,
    },
    MailReturned {
        session_id: SessionId,
    },
    CourseEnrollments {
        course_id: CourseId,
        granted: bool,
        nonce: EventNonce,
        students: Vec<ChangedStudent>,
    },
    SessionEnrollments {
        session_id: SessionId,
        version: u64,
        course_id: CourseId,
        granted: bool,
        nonce: EventNonce,
        students: Vec<ChangedStudent>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_unchecked: bool,
    },
    EnrollmentCheck {
        course_id: CourseId,
        nonce: EventNonce,
        users: Vec<UserId>,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredRecipients {
    #[serde(default)]
    users: Vec<UserId>,
    #[serde(default)]
    emails: Vec<Email>,
}

impl StoredRecipients {
    /// Removes a person. Returns whether they were a recipient.
    pub(super) fn remove(&mut self, user: &UserId, addresses: &BTreeSet<Email>) -> bool {
        let count = self.users.len() + self.emails.len();
        self.users.retain(|other| other != user);
        self.emails.retain(|email| !addresses.contains(email));
        self.users.len() + self.emails.len() < count
    }
}

impl From<&DomainEventKind> for StoredDomainEvent {
    fn from(kind: &DomainEventKind) -> Self {
        match kind {
            DomainEventKind::Session(change) => Self::Session {
                session_id: change.session.clone(),
                kind: change.kind,
                version: change.version,
                sequence: change.sequence,
                calendar_changed: change.calendar_changed,
                audience: change.audience.clone(),
                previous_audience: change.previous_audience.clone(),
                reason: change.reason.clone(),
            },
            DomainEventKind::ReauthRequired { trainer, connection_version, nonce } => {
                Self::ReauthRequired {
                    trainer_id: trainer.clone(),
                    connection_version: *connection_version,
                    nonce: *nonce,
                }
            }
            DomainEventKind::HostNotConnected { session, trainer, reminder, starts_at } => {
                Self::HostNotConnected {
                    session_id: session.clone(),
                    trainer_id: trainer.clone(),
                    reminder: *reminder,
                    starts_at: *starts_at,
                }
            }
            DomainEventKind::Reminder { session, reminder, starts_at, version } => Self::Reminder {
                session_id: session.clone(),
                reminder: *reminder,
                starts_at: *starts_at,
                version: *version,
            },
            DomainEventKind::Resend { session, version, sequence, nonce, to } => Self::Resend {
                session_id: session.clone(),
                version: *version,
                sequence: *sequence,
                nonce: *nonce,
                recipients: match to {
                    ResendTo::All => None,
                    ResendTo::Named { users, emails } => {
                        Some(StoredRecipients { users: users.clone(), emails: emails.clone() })
                    }
                },
            },
            DomainEventKind::RecordingReady { session, nonce } => {
                Self::RecordingReady { session_id: session.clone(), nonce: *nonce }
            }
            DomainEventKind::MeetingDeleted { session, trainer, nonce } => Self::MeetingDeleted {
                session_id: session.clone(),
                trainer_id: trainer.clone(),
                nonce: *nonce,
            },
            DomainEventKind::MeetingMissing { session, trainer, starts_at } => {
                Self::MeetingMissing {
                    session_id: session.clone(),
                    trainer_id: trainer.clone(),
                    starts_at: *starts_at,
                }
            }
            DomainEventKind::MailReturned { session } => {
                Self::MailReturned { session_id: session.clone() }
            }
            DomainEventKind::CourseEnrollments(change) => {
                let EnrollmentChange { course, granted, nonce, students, .. } = change.clone();
                Self::CourseEnrollments { course_id: course, granted, nonce, students }
            }
            DomainEventKind::EnrollmentCheck { course, nonce, users } => Self::EnrollmentCheck {
                course_id: course.clone(),
                nonce: *nonce,
                users: users.clone(),
            },
            DomainEventKind::SessionEnrollments { session, version, change } => {
                let EnrollmentChange { course, granted, nonce, students, is_unchecked } =
                    change.clone();
                let (session_id, version) = (session.clone(), *version);
                Self::SessionEnrollments {
                    session_id,
                    version,
                    course_id: course,
                    granted,
                    nonce,
                    students,
                    is_unchecked,
                }
            }
        }
    }
}

impl From<StoredDomainEvent> for DomainEventKind {
    fn from(stored: StoredDomainEvent) -> Self {
        match stored {
            StoredDomainEvent::Session {
                session_id,
                kind,
                version,
                sequence,
                calendar_changed,
                audience,
                previous_audience: before,
                reason,
            } => Self::Session(SessionChange {
                session: session_id,
                kind,
                version,
                sequence,
                audience,
                calendar_changed,
                previous_audience: before,
                reason,
            }),
            StoredDomainEvent::ReauthRequired { trainer_id, connection_version, nonce } => {
                Self::ReauthRequired { trainer: trainer_id, connection_version, nonce }
            }
            StoredDomainEvent::HostNotConnected { session_id, trainer_id, reminder, starts_at } => {
                Self::HostNotConnected {
                    session: session_id,
                    trainer: trainer_id,
                    reminder,
                    starts_at,
                }
            }
            StoredDomainEvent::Reminder { session_id, reminder, starts_at, version } => {
                Self::Reminder { session: session_id, reminder, starts_at, version }
            }
            StoredDomainEvent::Resend {
                session_id,
                version,
                sequence,
                nonce,
                recipients: named,
            } => Self::Resend {
                session: session_id,
                version,
                sequence,
                nonce,
                to: match named {
                    None => ResendTo::All,
                    Some(StoredRecipients { users, emails }) => ResendTo::Named { users, emails },
                },
            },
            StoredDomainEvent::RecordingReady { session_id, nonce } => {
                Self::RecordingReady { session: session_id, nonce }
            }
            StoredDomainEvent::MeetingDeleted { session_id, trainer_id, nonce } => {
                Self::MeetingDeleted { session: session_id, trainer: trainer_id, nonce }
            }
            StoredDomainEvent::MeetingMissing { session_id, trainer_id, starts_at } => {
                Self::MeetingMissing { session: session_id, trainer: trainer_id, starts_at }
            }
            StoredDomainEvent::MailReturned { session_id } => {
                Self::MailReturned { session: session_id }
            }
            StoredDomainEvent::CourseEnrollments {
                course_id: course,
                granted,
                nonce,
                students,
            } => Self::CourseEnrollments(EnrollmentChange {
                course,
                granted,
                nonce,
                students,
                is_unchecked: false,
            }),
            StoredDomainEvent::EnrollmentCheck { course_id: course, nonce, users } => {
                Self::EnrollmentCheck { course, nonce, users }
            }
            StoredDomainEvent::SessionEnrollments {
                session_id,
                version,
                course_id: course,
                granted,
                nonce,
                students,
                is_unchecked,
            } => {
                let change = EnrollmentChange { course, granted, nonce, students, is_unchecked };
                Self::SessionEnrollments { session: session_id, version, change }
            }
        }
    }
}

/// Stores a domain event in the transaction of its change. It does not expire.
pub fn put_domain_event(event: &DomainEvent) -> Action {
    let item = encode(&StoredDomainEvent::from(&event.kind));
    let key = event.key();
    Action::put(
        ItemKey::Due { queue: DueQueue::Outbox, at: event.at, key: &key },
        item,
        Condition::new(),
    )
}

/// The primary key of a domain event, which the wake-up message contains.
pub fn domain_event_key(event: &DomainEvent) -> (String, String) {
    let key = event.key();
    let key = ItemKey::Due { queue: DueQueue::Outbox, at: event.at, key: &key };
    (key.pk(), key.sk())
}

/// A domain event whose recipients have not all been notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEvent {
    pub event: DomainEvent,
    /// The stored key, which an earlier version may have built differently.
    key: String,
    /// The last notified person in their order, or the last session of an enrollment change. `None` at the beginning.
    pub cursor: Option<String>,
    /// Whether a run has begun to notify people, so that mails may be in the queue that the cursor does not cover.
    pub is_started: bool,
}

#[derive(Deserialize)]
struct StoredProgress {
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    is_started: bool,
}

fn decode_pending_event(item: Item) -> Result<PendingEvent, StoreError> {
    let position = item.get(attr::SK).and_then(|sk| {
        let (at, key) = sk.as_s().ok()?.split_once('#')?;
        Some((at.parse().ok()?, key.to_owned()))
    });
    let (at, key) =
        position.ok_or_else(|| unreadable(key_for_log(&item), "the sort key has no time"))?;
    let StoredProgress { cursor, is_started } = decode(item.clone())?;
    let kind = decode::<StoredDomainEvent>(item)?.into();
    Ok(PendingEvent { event: DomainEvent { at, kind }, key, cursor, is_started })
}

impl PendingEvent {
    /// An event that was stored just now.
    pub fn new(event: DomainEvent) -> Self {
        Self { key: event.key(), event, cursor: None, is_started: false }
    }

    /// Requires that nobody else has advanced the cursor since the read.
    fn unchanged(&self) -> Condition {
        match &self.cursor {
            None => Condition::item_exists().absent(attr::CURSOR),
            Some(cursor) => Condition::new().equals(attr::CURSOR, text(cursor)),
        }
    }

    /// The sort key among the pending events.
    pub fn sort_key(&self) -> String {
        ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key }.sk()
    }

    /// Records that people are about to be notified. Refused if another run has advanced the cursor or finished the event.
    pub fn start(&self) -> Action {
        Action::update(
            ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key },
            ItemChanges::new().set(attr::IS_STARTED, AttributeValue::Bool(true)),
            self.unchanged(),
        )
    }

    /// Records that everybody up to `cursor` was notified. Refused if another run has advanced the cursor.
    pub fn advance_cursor(&self, cursor: &str) -> Action {
        Action::update(
            ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key },
            ItemChanges::new().set(attr::CURSOR, text(cursor)),
            self.unchanged(),
        )
    }

    /// Deletes the event after every recipient was notified. Refused if another run has advanced the cursor.
    pub fn finish(&self) -> Action {
        let key = ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key };
        Action::delete(key, self.unchanged())
    }
}

/// A page of pending domain events.
#[derive(Debug)]
pub struct PendingEventPage {
    pub events: Vec<PendingEvent>,
    last_key: Option<Item>,
}

impl PendingEventPage {
    pub fn is_last(&self) -> bool {
        self.last_key.is_none()
    }
}

impl Store {
    /// Returns the domain events that are pending at `now`, oldest first. The read is eventually consistent, so it may return
    /// a finished event. Its conditions then refuse the second run.
    pub async fn pending_events(
        &self,
        now: Timestamp,
        after: Option<PendingEventPage>,
    ) -> Result<PendingEventPage, StoreError> {
        self.pending_event_page(format!("{}~", sortable_text(now)), after, false).await
    }

    /// Returns the pending domain events up to the one with this sort key, oldest first, with strong consistency.
    pub async fn pending_events_through(
        &self,
        sk: &str,
        after: Option<PendingEventPage>,
    ) -> Result<PendingEventPage, StoreError> {
        self.pending_event_page(sk.to_owned(), after, true).await
    }

    async fn pending_event_page(
        &self,
        to: String,
        after: Option<PendingEventPage>,
        consistent: bool,
    ) -> Result<PendingEventPage, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Outbox),
            to: Some(to),
            after: after.and_then(|page| page.last_key),
            limit: Some(PAGE),
            consistent,
            ..KeyRange::default()
        };
        let ItemPage { items, last_key: last } = self.query(range).await?;
        // An unreadable event, perhaps of a newer version, must not delay the others.
        let pending = items.into_iter().filter_map(|item| decode_pending_event(item).ok());
        Ok(PendingEventPage { events: pending.collect(), last_key: last })
    }

    /// Returns the domain event with this key if it is pending.
    pub async fn pending_event(
        &self,
        pk: &str,
        sk: &str,
    ) -> Result<Option<PendingEvent>, StoreError> {
        if pk != due_partition(DueQueue::Outbox) {
            return Ok(None);
        }
        let range = KeyRange {
            pk: pk.to_owned(),
            from: Some(sk.to_owned()),
            to: Some(sk.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        self.query(range).await?.items.into_iter().next().map(decode_pending_event).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::InviteeList;
    use crate::domain::text::PersonName;

    #[test]
    fn stored_domain_events_decode_to_the_original() {
        let session = SessionId::from_bytes([3; 16]);
        let trainer = UserId::parse("t").unwrap();
        let at: Timestamp = "2026-11-21T09:00:00.125Z".parse().unwrap();
        let nonce = EventNonce(u64::MAX);
        let emails = vec![Email::parse("a@b.cd").unwrap()];
        let students = vec![ChangedStudent {
            user: trainer.clone(),
            email: emails.first().cloned(),
            name: PersonName::parse("Ada").unwrap(),
            former_emails: Vec::new(),
        }];
        let change = EnrollmentChange::new(CourseId::parse("c").unwrap(), true, students, at);
        let all = [
            DomainEventKind::Session(SessionChange {
                session: session.clone(),
                kind: ChangeKind::Updated,
                version: 7,
                sequence: 3,
                audience: Some(AudienceRef::Nobody),
                calendar_changed: true,
                previous_audience: Some(AudienceRef::List(InviteeList(5))),
                reason: Some("Snow.".to_owned()),
            }),
            DomainEventKind::Session(SessionChange {
                session: session.clone(),
                kind: ChangeKind::Scheduled,
                version: 1,
                sequence: 0,
                audience: Some(AudienceRef::Course(CourseId::parse("c").unwrap())),
                calendar_changed: true,
                previous_audience: None,
                reason: None,
            }),
            DomainEventKind::ReauthRequired {
                trainer: trainer.clone(),
                connection_version: 4,
                nonce,
            },
            DomainEventKind::HostNotConnected {
                session: session.clone(),
                trainer: trainer.clone(),
                reminder: Reminder::HourBefore,
                starts_at: at,
            },
            DomainEventKind::Reminder {
                session: session.clone(),
                reminder: Reminder::DayBefore,
                starts_at: at,
                version: 1,
            },
            DomainEventKind::Resend {
                session: session.clone(),
                version: 1,
                sequence: 1,
                nonce,
                to: ResendTo::All,
            },
            DomainEventKind::Resend {
                session: session.clone(),
                version: 1,
                sequence: 1,
                nonce,
                to: ResendTo::Named { users: vec![trainer.clone()], emails },
            },
            DomainEventKind::RecordingReady { session: session.clone(), nonce },
            DomainEventKind::CourseEnrollments(change.clone()),
            DomainEventKind::EnrollmentCheck {
                course: change.course.clone(),
                nonce,
                users: vec![trainer.clone()],
            },
            DomainEventKind::SessionEnrollments { session: session.clone(), version: 3, change },
            DomainEventKind::MeetingMissing {
                session: session.clone(),
                trainer: trainer.clone(),
                starts_at: at,
            },
            DomainEventKind::MeetingDeleted { session, trainer, nonce },
        ];
        for kind in all {
            let event = DomainEvent { at, kind };
            let super::super::tx::Write::Put(item) = put_domain_event(&event).write else {
                panic!("a domain event is stored by a put")
            };
            let key = event.key();
            assert_eq!(
                decode_pending_event(item).unwrap(),
                PendingEvent { event, key, cursor: None, is_started: false }
            );
        }
    }
}
