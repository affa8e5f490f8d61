//! Everything that the tables are made of: access patterns, keys, indexes, attribute names, limits.
//!
//! Two tables. The main table holds classes and everything around them; the tokens table holds Zoom grants,
//! so that a function without rights on it cannot read one, whatever it is asked.
//!
//! | access pattern | where | key condition | who |
//! | --- | --- | --- | --- |
//! | a class | main | `pk = SESSION#id`, `sk = SESSION` | save, cancel, reads |
//! | a class that is being made | main | `pk = SESSION#id`, `sk = INTENT` | save, repair |
//! | whom a class invites | main | `pk = SESSION#id`, `sk` begins with `INVITEE#list#` | owner's view, delivery |
//! | whether a class invites an address | main | `pk = SESSION#id`, `sk = INVITEE#list#hash` | reads |
//! | the class of a Zoom meeting | main | `pk = MEETING#number`, `sk = MEETING` | Zoom's events |
//! | when a class's invitation was sent again | main | `pk = SESSION#id`, `sk = RESENDS` | resending |
//! | what Zoom said of a meeting, by time | main | `pk = MEETING#number`, `sk` begins with `EVENT#` | attendance, timeline |
//! | who clicked on a class, by time | main | `pk = SESSION#id`, `sk` begins with `CLICK#` | attendance, timeline |
//! | what was decided of a class's attendance | main | `pk = SESSION#id`, `sk` begins with `RULING#` | attendance |
//! | who decided it and why, by time | main | `pk = SESSION#id`, `sk` begins with `AUDIT#` | attendance |
//! | what a class's attendance is made of, for good | main | `pk = SESSION#id`, `sk` begins with `ARCHIVE` | attendance, erasing |
//! | a class's polls, all but their votes | main | `pk = SESSION#id`, `sk = POLLS` | poll |
//! | some of a poll's votes | main | `pk = POLL#id#box`, `sk = BALLOTS` | poll, erasing |
//! | a class's recordings | main | `pk = SESSION#id`, `sk` begins with `RECORDING#` | recordings |
//! | a user; what they used of a month's plan | main | `pk = USER#id`, `sk = USER`; `sk = MONTH#2026-11` | save |
//! | the user of an address | main | `pk = EMAIL#hash`, `sk = USER` | delivery |
//! | what a user wants to be told | main | `pk = USER#id`, `sk = PREFERENCES` | delivery, preferences |
//! | a user's notices by time, and how many are unread | main | `pk = USER#id`, `sk` begins with `NOTICE#` | notifications |
//! | a student's courses | main | `pk = USER#id`, `sk` begins with `ENROLLMENT#` | student's list |
//! | whether a student is in a course | main | `pk = USER#id`, `sk = ENROLLMENT#course` | reads |
//! | the courses that a student was taken out of | main | `pk = USER#id`, `sk` begins with `LEFT#` | erasing |
//! | a course; the deployment's settings | main | `pk = COURSE#id`; `pk = SETTINGS` | save |
//! | what a Zoom user created or edited in a day | main | `pk = ZOOMDAY#hash#2026-11-21` | save |
//! | work that is due: reminders and repairs; announcements | main | `pk = DUE#WORK`; `pk = DUE#OUTBOX`; `sk <= now` | sweeps |
//! | classes whose attendance is to be kept | main | `pk = DUE#ARCHIVE`, `sk <= now` | reminder sweep |
//! | who drains the outbox, and whether mail is paused | main | `pk = SWEEP#OUTBOX` | outbox sweep |
//! | who may send a mail | main | `pk = SESSION#id` or `USER#id`, `sk = MAIL#effect` | outbox sweep |
//! | what became of a class's mails, by time | main | `pk = SESSION#id`, `sk` begins with `FATE#` | timeline, outbox sweep |
//! | how many mails of a class are in which state, and whether anybody was told of it | main | `pk = SESSION#id`, `sk = MAILCOUNT` | owner's view, outbox sweep |
//! | a trainer's classes by start | `by_owner` | `g1pk = TRAINER#id`, `g1sk` between | trainer's list |
//! | a course's students | `by_owner` | `g1pk = COURSE#id`, `g1sk` begins with `STUDENT#` | delivery, removing a course |
//! | a course's classes by start | `by_audience` | `g2pk = COURSE#id`, `g2sk` between | both lists |
//! | the polls of a course's classes | `by_audience` | `g2pk = COURSEPOLLS#id` | erasing |
//! | an address's invitations by start | `by_audience` | `g2pk = EMAIL#hash`, `g2sk` between | student's list, erasing |
//! | a trainer's grant | tokens | `pk = TRAINER#id`, `sk = CONNECTION` | whoever calls Zoom |
//! | the trainer of a Zoom user | tokens | `pk = ZOOMUSER#hash`, `sk = ZOOMUSER` | connect, Zoom's events |
//! | an OAuth attempt under way | tokens | `pk = STATE#nonce`, `sk = STATE` | connect |
//!
//! There is no scan. What a person typed never stands in a key: ids are validated (`domain::id`), the rest is hashed.

use jiff::Timestamp;

use crate::crypt::sha256_hex;
use crate::domain::attendance::AttendeeId;
use crate::domain::audience::InviteeList;
use crate::domain::id::{CourseId, MeetingId, PollId, SessionId, UserId};
use crate::domain::mailing::{MailSubject, MessageKey};
use crate::domain::in_app::NotificationId;
use crate::domain::text::Email;
use crate::domain::time::fixed;

/// Attribute names. Expressions use them only as `#name` placeholders: many are reserved words.
pub mod attr {
    pub const PK: &str = "pk";
    pub const SK: &str = "sk";
    pub const G1PK: &str = "g1pk";
    pub const G1SK: &str = "g1sk";
    pub const G2PK: &str = "g2pk";
    pub const G2SK: &str = "g2sk";
    /// When DynamoDB may delete the item, in Unix seconds. Expiry itself is always compared with `now`.
    pub const TTL: &str = "expires_at";
    /// The shape of the item, for readers that are older or newer than its writer.
    pub const V: &str = "v";

    // Of a class.
    pub const STATUS: &str = "status";
    pub const COURSE_ID: &str = "course_id";
    pub const VERSION: &str = "version";
    pub const UPDATED_AT: &str = "updated_at";
    pub const CANCELLED_AT: &str = "cancelled_at";
    pub const ICS_SEQUENCE: &str = "ics_sequence";
    pub const CLAIM: &str = "claim";
    pub const CLAIM_UNTIL: &str = "claim_until";
    pub const SETTINGS_TOLD: &str = "settings_told";

    pub const MEETING_REVISION: &str = "meeting_revision";
    pub const OCCURRENCES: &str = "occurrences";
    pub const ACTUAL_STARTED_AT: &str = "actual_started_at";
    pub const ACTUAL_ENDED_AT: &str = "actual_ended_at";
    pub const DRIFT: &str = "drift";
    pub const JOIN_URL: &str = "join_url";
    pub const PASSCODE: &str = "passcode";
    pub const JOIN_URL_TOLD_AT: &str = "join_url_told_at";
    pub const PASSCODE_TOLD_AT: &str = "passcode_told_at";

    // Of a recording.
    pub const STATE: &str = "state";
    pub const STATE_AT: &str = "state_at";
    pub const DESCRIBED_AT: &str = "described_at";
    pub const ALL_OF: &str = "all_of";

    // Of a ruling, of what was sent again, and of an archive.
    pub const REVISION: &str = "revision";

    // Of a notice.
    pub const READ_AT: &str = "read_at";
    pub const DISMISSED_AT: &str = "dismissed_at";

    // Of an enrollment.
    pub const ACCESS_GRANTED: &str = "access_granted";

    // Of an address.
    pub const USER_ID: &str = "user_id";

    // Of a class's list of polls; that of a poll is its id.
    pub const OPEN: &str = "open";
    pub const CLOSED: &str = "closed";

    // Of a box of votes; a voter's is what they are known by there.
    pub const SHUT: &str = "shut";

    // Of a class that is being made.
    pub const ATTEMPT: &str = "attempt";
    pub const ATTEMPT_UNTIL: &str = "attempt_until";
    pub const UNCOUNTED: &str = "uncounted";

    // Of a counter.
    pub const COUNT: &str = "count";

    // Of a grant.
    pub const HEALTH: &str = "health";
    pub const ZOOM_USER_ID: &str = "zoom_user_id";
    pub const ZOOM_EMAIL: &str = "zoom_email";
    pub const ACCESS_TOKEN: &str = "access_token";
    pub const REFRESH_TOKEN: &str = "refresh_token";
    pub const ACCESS_EXPIRES_AT: &str = "access_expires_at";
    pub const SCOPES: &str = "scopes";
    pub const API_URL: &str = "api_url";
    pub const LEASE_HOLDER: &str = "lease_holder";
    pub const LEASE_UNTIL: &str = "lease_until";
    pub const TRAINER_ID: &str = "trainer_id";

    // Of an announcement.
    pub const BEHIND: &str = "behind";

    // Of a mail's claim; the holder also of an OAuth attempt that was taken.
    pub const PHASE: &str = "phase";
    pub const HOLDER: &str = "holder";
    pub const ATTEMPTS: &str = "attempts";
    pub const LOST: &str = "lost";
    pub const ROUND: &str = "round";
    pub const SINCE: &str = "since";
    pub const UNTIL: &str = "until";
    pub const TOLD: &str = "told";

    // Of what became of a class's mails.
    pub const ANNOUNCED: &str = "announced";

    // Of the outbox as a whole.
    pub const PAUSED_UNTIL: &str = "paused_until";
    pub const PAUSED_BY: &str = "paused_by";
}

/// The main table's indexes; both project whole items, so that a list is one request.
pub mod index {
    pub const BY_OWNER: &str = "by_owner";
    pub const BY_AUDIENCE: &str = "by_audience";
}

/// Limits that DynamoDB sets or that keep us within them.
pub mod limit {
    /// DynamoDB: actions in one transaction.
    pub const TRANSACTION_ACTIONS: usize = 100;
    /// DynamoDB: puts and deletes in one `BatchWriteItem`.
    pub const BATCH_WRITES: usize = 25;
    /// DynamoDB: keys in one `BatchGetItem`.
    pub const BATCH_GETS: usize = 100;
    /// Invitees that fit into a class's transaction beside its other dozen of actions, with room to grow.
    pub const INVITEES_IN_TRANSACTION: usize = 75;
    /// Days that an OAuth attempt stays after its ten minutes, for the table to tidy up by itself.
    pub const OAUTH_STATE_TTL_DAYS: i64 = 1;
    /// Days that a day's counter of Zoom calls stays: its own and, for the clocks, one more.
    pub const ZOOM_DAY_TTL_DAYS: i64 = 2;
    /// Days that a month's counter stays: until no class of that month can be changed any more.
    pub const MONTH_TTL_DAYS: i64 = 800;
    /// Days that Zoom's events are kept as they came.
    pub const EVENT_TTL_DAYS: i64 = 90;
    /// Days that clicks are kept: as long as the events that they explain.
    pub const CLICK_TTL_DAYS: i64 = 90;
    /// Days that a notice is shown: a term is about as long, and what is older nobody looks for.
    pub const NOTICE_TTL_DAYS: i64 = 90;
    /// DynamoDB: an item whose time is over is deleted within a few days of it.
    pub const LATE_DELETION_DAYS: i64 = 3;
    /// Days that it is known when an invitation was sent again; it matters for an hour.
    pub const RESENDS_TTL_DAYS: i64 = 1;
    /// Days that due work may lie about undone before it is dropped: an outage of a fortnight is survived.
    pub const DUE_TTL_DAYS: i64 = 14;
    /// Days that a class waits for its attendance to be kept: after that there is nothing left to keep.
    pub const ARCHIVE_DUE_TTL_DAYS: i64 = EVENT_TTL_DAYS;
    /// The longest part of an archive: half of what an item may hold, so that names that become longer find room.
    pub const ARCHIVE_PART_BYTES: usize = 200 * 1024;
    /// Days that a mail's claim stays: longer than a message may lie in the queue, then among the dead, and then, brought
    /// back, in the queue again, a fortnight each.
    pub const CLAIM_TTL_DAYS: i64 = 60;
    /// Days that fates of mails are kept: those of a class planned a year ahead still stand when it is held.
    pub const FATE_TTL_DAYS: i64 = 400;
}

/// The queues of due work, one per sweep. Each is one partition, sorted by time: a sweep asks once for what is due, and
/// what was stored late is found all the same. A partition takes a thousand write units a second; a class that is saved
/// comes to ten of them, and the API throttles requests at a tenth of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueQueue {
    /// Reminders and repairs.
    Work,
    Outbox,
    /// Classes whose attendance is to be kept. Apart from the work that people wait for, which it must not hold up.
    Archive,
}

impl DueQueue {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Work => "WORK",
            Self::Outbox => "OUTBOX",
            Self::Archive => "ARCHIVE",
        }
    }
}

/// Which table an item is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Main,
    Tokens,
}

/// The primary key of everything there is.
#[derive(Clone, Copy, Debug)]
pub enum ItemKey<'a> {
    Session(&'a SessionId),
    Intent(&'a SessionId),
    Invitee {
        session: &'a SessionId,
        list: InviteeList,
        email: &'a Email,
    },
    Meeting(MeetingId),
    /// An event of a meeting, or of none.
    Event {
        meeting: Option<MeetingId>,
        at: Timestamp,
        digest: &'a str,
    },
    JoinAttempt {
        session: &'a SessionId,
        at: Timestamp,
        nonce: &'a str,
    },
    Recording {
        session: &'a SessionId,
        file: &'a str,
    },
    AttendanceOverride {
        session: &'a SessionId,
        attendee: &'a AttendeeId,
    },
    Audit {
        session: &'a SessionId,
        at: Timestamp,
        nonce: &'a str,
    },
    /// What a class's attendance is made of: which parts of it count.
    Archive(&'a SessionId),
    ArchivePart {
        session: &'a SessionId,
        part: &'a str,
    },
    /// A class's polls.
    Polls(&'a SessionId),
    VoteShard {
        poll: &'a PollId,
        number: u16,
    },
    User(&'a UserId),
    /// Points from an address to the user who has it.
    UserOfEmail(&'a Email),
    Preferences(&'a UserId),
    Notification {
        user: &'a UserId,
        id: &'a NotificationId,
    },
    /// A course that a student was taken out of.
    FormerEnrollment {
        user: &'a UserId,
        course: &'a CourseId,
    },
    Month {
        user: &'a UserId,
        month: &'a str,
    },
    Enrollment {
        user: &'a UserId,
        course: &'a CourseId,
    },
    Course(&'a CourseId),
    Settings,
    ZoomDay {
        zoom_user: &'a str,
        day: &'a str,
    },
    Due {
        queue: DueQueue,
        at: Timestamp,
        key: &'a str,
    },
    /// What a sweep keeps of itself.
    Sweep(DueQueue),
    Resends(&'a SessionId),
    Mail {
        about: &'a MailSubject,
        effect: &'a MessageKey,
    },
    Deliveries {
        about: &'a MailSubject,
        at: Timestamp,
        digest: &'a str,
    },
    MailCount(&'a MailSubject),
    Connection(&'a UserId),
    ZoomUser(&'a str),
    OauthState(&'a str),
}

impl ItemKey<'_> {
    pub fn table(&self) -> Table {
        match self {
            Self::Connection(_) | Self::ZoomUser(_) | Self::OauthState(_) => Table::Tokens,
            _ => Table::Main,
        }
    }

    pub fn pk(&self) -> String {
        match self {
            Self::Session(id) | Self::Intent(id) => session_partition(id),
            Self::Invitee { session, .. } => session_partition(session),
            Self::Meeting(id) => meeting_partition(Some(*id)),
            Self::Event { meeting, .. } => meeting_partition(*meeting),
            Self::JoinAttempt { session, .. }
            | Self::Recording { session, .. }
            | Self::AttendanceOverride { session, .. }
            | Self::Audit { session, .. }
            | Self::Archive(session)
            | Self::ArchivePart { session, .. }
            | Self::Polls(session) => session_partition(session),
            Self::VoteShard { poll, number } => format!("POLL#{poll}#{number}"),
            Self::User(id) | Self::Preferences(id) => user_partition(id),
            Self::UserOfEmail(email) => email_partition(email),
            Self::Notification { user, .. } => user_partition(user),
            Self::Month { user, .. } | Self::Enrollment { user, .. } | Self::FormerEnrollment { user, .. } => {
                user_partition(user)
            }
            Self::Course(id) => course_partition(id),
            Self::Settings => "SETTINGS".to_owned(),
            Self::ZoomDay { zoom_user, day } => format!("ZOOMDAY#{}#{day}", sha256_hex(zoom_user)),
            Self::Due { queue, .. } => due_partition(*queue),
            Self::Sweep(queue) => format!("SWEEP#{}", queue.as_str()),
            Self::Resends(session) => session_partition(session),
            Self::Mail { about, .. } | Self::Deliveries { about, .. } | Self::MailCount(about) => {
                about_partition(about)
            }
            Self::Connection(trainer) => trainer_partition(trainer),
            Self::ZoomUser(id) => format!("ZOOMUSER#{}", sha256_hex(id)),
            Self::OauthState(nonce) => format!("STATE#{}", sha256_hex(nonce)),
        }
    }

    pub fn sk(&self) -> String {
        match self {
            Self::Session(_) => "SESSION".to_owned(),
            Self::Intent(_) => "INTENT".to_owned(),
            Self::Invitee { list, email, .. } => {
                format!("{}{}", invitee_prefix(*list), email_hash(email))
            }
            Self::Meeting(_) => "MEETING".to_owned(),
            Self::Event { at, digest, .. } => format!("{EVENT_PREFIX}{}#{digest}", fixed(*at)),
            Self::JoinAttempt { at, nonce, .. } => format!("{CLICK_PREFIX}{}#{nonce}", fixed(*at)),
            Self::Recording { file, .. } => format!("{RECORDING_PREFIX}{}", sha256_hex(file)),
            Self::AttendanceOverride { attendee, .. } => format!("{RULING_PREFIX}{attendee}"),
            Self::Audit { at, nonce, .. } => format!("{AUDIT_PREFIX}{}#{nonce}", fixed(*at)),
            Self::Archive(_) => ARCHIVE.to_owned(),
            Self::ArchivePart { part, .. } => format!("{ARCHIVE_PART_PREFIX}{part}"),
            Self::User(_) | Self::UserOfEmail(_) => "USER".to_owned(),
            Self::Preferences(_) => "PREFERENCES".to_owned(),
            Self::Notification { id, .. } => notice_sort(id),
            Self::Polls(_) => "POLLS".to_owned(),
            Self::VoteShard { .. } => "BALLOTS".to_owned(),
            Self::FormerEnrollment { course, .. } => format!("{LEFT_PREFIX}{course}"),
            Self::Month { month, .. } => format!("MONTH#{month}"),
            Self::Enrollment { course, .. } => format!("{ENROLLMENT_PREFIX}{course}"),
            Self::Course(_) => "COURSE".to_owned(),
            Self::Settings => "SETTINGS".to_owned(),
            Self::ZoomDay { .. } => "ZOOMDAY".to_owned(),
            Self::Due { at, key, .. } => format!("{}#{key}", fixed(*at)),
            Self::Sweep(_) => "SWEEP".to_owned(),
            Self::Resends(_) => "RESENDS".to_owned(),
            Self::Mail { effect, .. } => format!("MAIL#{effect}"),
            Self::Deliveries { at, digest, .. } => format!("{FATE_PREFIX}{}#{digest}", fixed(*at)),
            Self::MailCount(_) => "MAILCOUNT".to_owned(),
            Self::Connection(_) => "CONNECTION".to_owned(),
            Self::ZoomUser(_) => "ZOOMUSER".to_owned(),
            Self::OauthState(_) => "STATE".to_owned(),
        }
    }
}

pub const ENROLLMENT_PREFIX: &str = "ENROLLMENT#";
pub const NOTICE_PREFIX: &str = "NOTICE#";
pub const INVITEE_PREFIX: &str = "INVITEE#";
pub const LEFT_PREFIX: &str = "LEFT#";
pub const STUDENT_PREFIX: &str = "STUDENT#";
pub const EVENT_PREFIX: &str = "EVENT#";
pub const CLICK_PREFIX: &str = "CLICK#";
pub const RECORDING_PREFIX: &str = "RECORDING#";
pub const RULING_PREFIX: &str = "RULING#";
pub const AUDIT_PREFIX: &str = "AUDIT#";
/// Of an archive, and the beginning of its parts' keys.
pub const ARCHIVE: &str = "ARCHIVE";
pub const ARCHIVE_PART_PREFIX: &str = "ARCHIVE#";
pub const FATE_PREFIX: &str = "FATE#";

/// Where what is about a class, or about a trainer alone, is kept.
pub fn about_partition(about: &MailSubject) -> String {
    match about {
        MailSubject::Session(id) => session_partition(id),
        MailSubject::Trainer(id) => user_partition(id),
    }
}

pub fn session_partition(id: &SessionId) -> String {
    format!("SESSION#{id}")
}

/// A Zoom meeting: the class behind it, and every event of it. Events of no meeting are kept together: they are few.
pub fn meeting_partition(id: Option<MeetingId>) -> String {
    id.map_or_else(|| "MEETING#NONE".to_owned(), |id| format!("MEETING#{id}"))
}

pub fn user_partition(id: &UserId) -> String {
    format!("USER#{id}")
}

/// A course: its item, and in the indexes its students and its classes.
pub fn course_partition(id: &CourseId) -> String {
    format!("COURSE#{id}")
}

/// The polls of a course's classes, in `by_audience`: apart from the classes, whose list they are no part of.
pub fn course_polls_partition(id: &CourseId) -> String {
    format!("COURSEPOLLS#{id}")
}

/// A trainer: their classes in `by_owner`, their grant in the tokens table.
pub fn trainer_partition(id: &UserId) -> String {
    format!("TRAINER#{id}")
}

pub fn email_partition(email: &Email) -> String {
    format!("EMAIL#{}", email_hash(email))
}

pub fn due_partition(queue: DueQueue) -> String {
    format!("DUE#{}", queue.as_str())
}

pub fn invitee_prefix(list: InviteeList) -> String {
    format!("{INVITEE_PREFIX}{}#", list.0)
}

/// A class's place among others by start: what a page's cursor points at.
pub fn by_start(starts_at: Timestamp, id: &SessionId) -> String {
    format!("{}#{id}", fixed(starts_at))
}

pub fn student_sort(user: &UserId) -> String {
    format!("{STUDENT_PREFIX}{user}")
}

/// A notice's place among those of its user, by time.
pub fn notice_sort(id: &NotificationId) -> String {
    format!("{NOTICE_PREFIX}{}#{}", fixed(id.at), id.digest())
}

fn email_hash(email: &Email) -> String {
    sha256_hex(email.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mailing::MailKind;
    use std::collections::HashSet;

    #[test]
    fn no_two_kinds_of_item_share_a_key() {
        let session = SessionId::from_bytes([1; 16]);
        let poll = PollId::from_bytes([1; 16]);
        let user = UserId::parse("x").unwrap();
        let course = CourseId::parse("x").unwrap();
        let email = Email::parse("x@example.test").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let notice = NotificationId::new(at, "aaaaaaaaaaaaaaaa").unwrap();
        let attendee = AttendeeId::of_user(&session, &user);
        let (about, trainer) = (MailSubject::Session(session.clone()), MailSubject::Trainer(user.clone()));
        let effect = MessageKey::of("x", MailKind::Updated, &email);
        let keys = [
            ItemKey::Session(&session),
            ItemKey::Intent(&session),
            ItemKey::Invitee { session: &session, list: InviteeList(1), email: &email },
            ItemKey::Invitee { session: &session, list: InviteeList(11), email: &email },
            ItemKey::Meeting(MeetingId(1)),
            ItemKey::Event { meeting: Some(MeetingId(1)), at, digest: "x" },
            ItemKey::Event { meeting: None, at, digest: "x" },
            ItemKey::JoinAttempt { session: &session, at, nonce: "x" },
            ItemKey::Recording { session: &session, file: "x" },
            ItemKey::AttendanceOverride { session: &session, attendee: &attendee },
            ItemKey::Audit { session: &session, at, nonce: "x" },
            ItemKey::Archive(&session),
            ItemKey::ArchivePart { session: &session, part: "x" },
            ItemKey::Polls(&session),
            ItemKey::VoteShard { poll: &poll, number: 1 },
            ItemKey::VoteShard { poll: &poll, number: 11 },
            ItemKey::User(&user),
            ItemKey::UserOfEmail(&email),
            ItemKey::Preferences(&user),
            ItemKey::Notification { user: &user, id: &notice },
            ItemKey::FormerEnrollment { user: &user, course: &course },
            ItemKey::Month { user: &user, month: "2026-11" },
            ItemKey::Enrollment { user: &user, course: &course },
            ItemKey::Course(&course),
            ItemKey::Settings,
            ItemKey::ZoomDay { zoom_user: "x", day: "2026-11-21" },
            ItemKey::Due { queue: DueQueue::Work, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Outbox, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Archive, at, key: "x" },
            ItemKey::Sweep(DueQueue::Outbox),
            ItemKey::Resends(&session),
            ItemKey::Mail { about: &about, effect: &effect },
            ItemKey::Mail { about: &trainer, effect: &effect },
            ItemKey::Deliveries { about: &about, at, digest: "x" },
            ItemKey::MailCount(&about),
            ItemKey::Connection(&user),
            ItemKey::ZoomUser("x"),
            ItemKey::OauthState("x"),
        ];
        let distinct: HashSet<_> =
            keys.iter().map(|key| (key.table(), key.pk(), key.sk())).collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn classes_and_due_work_sort_by_time() {
        let (a, b) = (SessionId::from_bytes([9; 16]), SessionId::from_bytes([1; 16]));
        let early: Timestamp = "2026-11-21T09:59:59.9Z".parse().unwrap();
        let late: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        assert!(by_start(early, &a) < by_start(late, &b));
        let due = |at| ItemKey::Due { queue: DueQueue::Outbox, at, key: "k" };
        assert!(due(early).sk() < due(late).sk());
    }

    #[test]
    fn the_longest_key_fits() {
        let user = UserId::parse(&"u".repeat(128)).unwrap();
        let course = CourseId::parse(&"c".repeat(128)).unwrap();
        let key = ItemKey::Enrollment { user: &user, course: &course };
        assert!(key.pk().len() <= 2048 && key.sk().len() <= 1024);
    }
}
