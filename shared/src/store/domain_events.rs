//! Announcements: stored with the change that they tell of, and kept until everybody was told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, key_of};
use super::schema::{ItemKey, DueQueue, attr, due_partition};
use super::tx::{Action, ItemChanges, Guard, Item, text};
use super::{ItemPage, KeyRange, Store};
use crate::domain::domain_event::{
    DomainEvent, AudienceRef, ChangeKind, ChangedStudent, EnrollmentChange, ResendTo, SessionChange, EventNonce, DomainEventKind,
};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::mailing::RecipientRef;
use crate::domain::reminder::Reminder;
use crate::domain::text::Email;
use crate::domain::time::fixed;

/// How many announcements are read at once.
const PAGE: i32 = 25;

#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Stored {
    Session {
        session_id: SessionId,
        kind: ChangeKind,
        version: u64,
        sequence: u32,
        calendar_changed: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<AudienceRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<AudienceRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    ReauthRequired {
        trainer_id: UserId,
        version: u64,
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
        turn: EventNonce,
        /// Absent where everybody is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        named: Option<StoredNamed>,
    },
    RecordingReady {
        session_id: SessionId,
        turn: EventNonce,
    },
    MeetingDeleted {
        session_id: SessionId,
        trainer_id: UserId,
        turn: EventNonce,
    },
    CoursePlaces {
        course_id: CourseId,
        granted: bool,
        turn: EventNonce,
        who: Vec<ChangedStudent>,
    },
    ClassPlaces {
        session_id: SessionId,
        version: u64,
        course_id: CourseId,
        granted: bool,
        turn: EventNonce,
        who: Vec<ChangedStudent>,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredNamed {
    #[serde(default)]
    users: Vec<UserId>,
    #[serde(default)]
    emails: Vec<Email>,
}

impl From<&DomainEventKind> for Stored {
    fn from(what: &DomainEventKind) -> Self {
        match what {
            DomainEventKind::Session(change) => Self::Session {
                session_id: change.session.clone(),
                kind: change.kind,
                version: change.version,
                sequence: change.sequence,
                calendar_changed: change.calendar_changed,
                audience: change.audience.clone(),
                before: change.before.clone(),
                reason: change.reason.clone(),
            },
            DomainEventKind::ReauthRequired { trainer, version } => {
                Self::ReauthRequired { trainer_id: trainer.clone(), version: *version }
            }
            DomainEventKind::Reminder { session, reminder, starts_at, version } => Self::Reminder {
                session_id: session.clone(),
                reminder: *reminder,
                starts_at: *starts_at,
                version: *version,
            },
            DomainEventKind::Resend { session, version, sequence, turn, to } => Self::Resend {
                session_id: session.clone(),
                version: *version,
                sequence: *sequence,
                turn: *turn,
                named: match to {
                    ResendTo::All => None,
                    ResendTo::Named { users, emails } => {
                        Some(StoredNamed { users: users.clone(), emails: emails.clone() })
                    }
                },
            },
            DomainEventKind::RecordingReady { session, turn } => {
                Self::RecordingReady { session_id: session.clone(), turn: *turn }
            }
            DomainEventKind::MeetingDeleted { session, trainer, turn } => Self::MeetingDeleted {
                session_id: session.clone(),
                trainer_id: trainer.clone(),
                turn: *turn,
            },
            DomainEventKind::CourseEnrollments(places) => {
                let EnrollmentChange { course, granted, turn, who } = places.clone();
                Self::CoursePlaces { course_id: course, granted, turn, who }
            }
            DomainEventKind::SessionEnrollments { session, version, places } => {
                let EnrollmentChange { course, granted, turn, who } = places.clone();
                let (session_id, version) = (session.clone(), *version);
                Self::ClassPlaces { session_id, version, course_id: course, granted, turn, who }
            }
        }
    }
}

impl From<Stored> for DomainEventKind {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Session {
                session_id,
                kind,
                version,
                sequence,
                calendar_changed,
                audience,
                before,
                reason,
            } => Self::Session(SessionChange {
                session: session_id,
                kind,
                version,
                sequence,
                audience,
                calendar_changed,
                before,
                reason,
            }),
            Stored::ReauthRequired { trainer_id, version } => {
                Self::ReauthRequired { trainer: trainer_id, version }
            }
            Stored::Reminder { session_id, reminder, starts_at, version } => {
                Self::Reminder { session: session_id, reminder, starts_at, version }
            }
            Stored::Resend { session_id, version, sequence, turn, named } => Self::Resend {
                session: session_id,
                version,
                sequence,
                turn,
                to: match named {
                    None => ResendTo::All,
                    Some(StoredNamed { users, emails }) => ResendTo::Named { users, emails },
                },
            },
            Stored::RecordingReady { session_id, turn } => {
                Self::RecordingReady { session: session_id, turn }
            }
            Stored::MeetingDeleted { session_id, trainer_id, turn } => {
                Self::MeetingDeleted { session: session_id, trainer: trainer_id, turn }
            }
            Stored::CoursePlaces { course_id: course, granted, turn, who } => {
                Self::CourseEnrollments(EnrollmentChange { course, granted, turn, who })
            }
            Stored::ClassPlaces { session_id, version, course_id: course, granted, turn, who } => {
                let places = EnrollmentChange { course, granted, turn, who };
                Self::SessionEnrollments { session: session_id, version, places }
            }
        }
    }
}

/// Stores an announcement beside the change that causes it. It is never dropped by age: it goes when everybody it
/// concerns has been told.
pub fn announce(announcement: &DomainEvent) -> Action {
    let item = encode(&Stored::from(&announcement.kind));
    let key = announcement.key();
    Action::put(
        ItemKey::Due { queue: DueQueue::Outbox, at: announcement.at, key: &key },
        item,
        Guard::new(),
    )
}

/// Where an announcement lies: what the message to the queue says.
pub fn address(announcement: &DomainEvent) -> (String, String) {
    let key = announcement.key();
    let key = ItemKey::Due { queue: DueQueue::Outbox, at: announcement.at, key: &key };
    (key.pk(), key.sk())
}

/// An announcement that is still to be told, to all or to the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEvent {
    pub event: DomainEvent,
    /// The key that it lies under: an earlier version may have made it otherwise.
    key: String,
    /// The last who was told, in the order in which they are. Nobody was, where it is absent.
    pub behind: Option<RecipientRef>,
}

#[derive(Deserialize)]
struct Progress {
    #[serde(default)]
    behind: Option<RecipientRef>,
}

fn read(item: Item) -> Result<PendingEvent, StoreError> {
    let place = item.get(attr::SK).and_then(|sk| {
        let (at, key) = sk.as_s().ok()?.split_once('#')?;
        Some((at.parse().ok()?, key.to_owned()))
    });
    let (at, key) = place.ok_or_else(|| StoreError::Corrupt {
        key: key_of(&item),
        what: "its key has no time".to_owned(),
    })?;
    let Progress { behind } = decode(item.clone())?;
    let what = decode::<Stored>(item)?.into();
    Ok(PendingEvent { event: DomainEvent { at, kind: what }, key, behind })
}

impl PendingEvent {
    /// The announcement is as it was read: nobody else has told anybody of it since.
    fn as_read(&self) -> Guard {
        match &self.behind {
            None => Guard::existing_item().absent(attr::BEHIND),
            Some(behind) => Guard::new().equals(attr::BEHIND, text(behind.as_str())),
        }
    }

    /// Where it lies among the others.
    pub fn place(&self) -> String {
        ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key }.sk()
    }

    /// Notes that everybody up to `behind` was told; refused when another was quicker.
    pub fn told_up_to(&self, behind: &RecipientRef) -> Action {
        Action::update(
            ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key },
            ItemChanges::new().set(attr::BEHIND, text(behind.as_str())),
            self.as_read(),
        )
    }

    /// Everybody was told; refused when another was quicker.
    pub fn finish(&self) -> Action {
        let key = ItemKey::Due { queue: DueQueue::Outbox, at: self.event.at, key: &self.key };
        Action::delete(key, self.as_read())
    }
}

/// A page of announcements, and where the next begins.
#[derive(Debug)]
pub struct PendingEventPage {
    pub all: Vec<PendingEvent>,
    next: Option<Item>,
}

impl PendingEventPage {
    pub fn is_last(&self) -> bool {
        self.next.is_none()
    }
}

impl Store {
    /// What is to be told by `now`, oldest first. One that was told a moment ago may still be among them: whoever tells
    /// it again is refused when they note it.
    pub async fn announcements(
        &self,
        now: Timestamp,
        after: Option<PendingEventPage>,
    ) -> Result<PendingEventPage, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Outbox),
            to: Some(format!("{}~", fixed(now))),
            after: after.and_then(|page| page.next),
            limit: Some(PAGE),
            ..KeyRange::default()
        };
        let ItemPage { items, last } = self.query(range).await?;
        // One that makes no sense to this version may to the next; until then it must not keep the others waiting.
        let pending = items.into_iter().filter_map(|item| {
            read(item)
                .inspect_err(|error| tracing::error!(event = "store.corrupt_item", %error))
                .ok()
        });
        Ok(PendingEventPage { all: pending.collect(), next: last })
    }

    /// The announcement at an address, if it is still to be told.
    pub async fn announcement(&self, pk: &str, sk: &str) -> Result<Option<PendingEvent>, StoreError> {
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
        self.query(range).await?.items.into_iter().next().map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::InviteeList;
    use crate::domain::text::PersonName;

    #[test]
    fn every_announcement_reads_back() {
        let session = SessionId::from_bytes([3; 16]);
        let trainer = UserId::parse("t").unwrap();
        let at: Timestamp = "2026-11-21T09:00:00.125Z".parse().unwrap();
        let turn = EventNonce(u64::MAX);
        let emails = vec![Email::parse("a@b.cd").unwrap()];
        let who = vec![ChangedStudent {
            user: trainer.clone(),
            email: emails[0].clone(),
            name: PersonName::parse("Ada").unwrap(),
        }];
        let places = EnrollmentChange::new(CourseId::parse("c").unwrap(), true, who, at);
        let all = [
            DomainEventKind::Session(SessionChange {
                session: session.clone(),
                kind: ChangeKind::Updated,
                version: 7,
                sequence: 3,
                audience: Some(AudienceRef::Nobody),
                calendar_changed: true,
                before: Some(AudienceRef::List(InviteeList(5))),
                reason: Some("Snow.".to_owned()),
            }),
            DomainEventKind::Session(SessionChange {
                session: session.clone(),
                kind: ChangeKind::Scheduled,
                version: 1,
                sequence: 0,
                audience: Some(AudienceRef::Course(CourseId::parse("c").unwrap())),
                calendar_changed: true,
                before: None,
                reason: None,
            }),
            DomainEventKind::ReauthRequired { trainer: trainer.clone(), version: 2 },
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
                turn,
                to: ResendTo::All,
            },
            DomainEventKind::Resend {
                session: session.clone(),
                version: 1,
                sequence: 1,
                turn,
                to: ResendTo::Named { users: vec![trainer.clone()], emails },
            },
            DomainEventKind::RecordingReady { session: session.clone(), turn },
            DomainEventKind::CourseEnrollments(places.clone()),
            DomainEventKind::SessionEnrollments { session: session.clone(), version: 3, places },
            DomainEventKind::MeetingDeleted { session, trainer, turn },
        ];
        for what in all {
            let announcement = DomainEvent { at, kind: what };
            let super::super::tx::Write::Put(item) = announce(&announcement).write else {
                panic!("an announcement is put")
            };
            let key = announcement.key();
            assert_eq!(read(item).unwrap(), PendingEvent { event: announcement, key, behind: None });
        }
    }
}
