//! The table schema: access patterns, keys, indexes, attribute names and limits.
//!
//! There are two tables. The tokens table holds Zoom connections, so that IAM keeps a function without rights on it
//! from reading tokens. The main table holds everything else.
//!
//! | access pattern | table or index | key condition | used by |
//! | --- | --- | --- | --- |
//! | session | main | `pk = SESSION#id`, `sk = SESSION` | save, cancel, reads |
//! | session of the host platform's name | main | `pk = REF#name`, `sk = REF` | save, cancel, reads |
//! | creation intent of a session | main | `pk = SESSION#id`, `sk = INTENT` | save, repair |
//! | invitees of a session | main | `pk = SESSION#id`, `sk` begins with `INVITEE#list#` | trainer's view, delivery |
//! | one invitee of a session | main | `pk = SESSION#id`, `sk = INVITEE#list#hash` | reads |
//! | session of a Zoom meeting | main | `pk = MEETING#number`, `sk = MEETING` | webhook |
//! | session of a meeting instance | main | `pk = INSTANCE#hash`, `sk = MEETING` | webhook |
//! | times at which a session's invitations were resent | main | `pk = SESSION#id`, `sk = RESENDS` | resend |
//! | Zoom events of a meeting by time | main | `pk = MEETING#number`, `sk` begins with `EVENT#` | attendance, timeline, operations |
//! | erased people of a meeting | main | `pk = MEETING#number`, `sk` begins with `EVENT#~ERASED#` | attendance, timeline, reminder sweep, operations |
//! | join requests with a guest link in a time window | main | `pk = SESSION#id`, `sk = GUEST#pseudonym#window` | join |
//! | join attempts of a session by time | main | `pk = SESSION#id`, `sk` begins with `JOIN_ATTEMPT#` | attendance, timeline, operations |
//! | changes of a session for its trainer by time | main | `pk = SESSION#id`, `sk` begins with `DELEGATED#` | timeline |
//! | registration of a person for a meeting | main | `pk = SESSION#id`, `sk = LINK#number#hash` | join |
//! | registrations for a session's meeting | main | `pk = SESSION#id`, `sk` begins with `LINK#` | erasure |
//! | sessions with join attempts of a day | main | `pk = ATTEMPTDAY#2026-11-21` | join, operations |
//! | attendance overrides of a session | main | `pk = SESSION#id`, `sk` begins with `OVERRIDE#` | attendance |
//! | audit entries of a session by time | main | `pk = SESSION#id`, `sk` begins with `AUDIT#` | attendance |
//! | attendance archive of a session | main | `pk = SESSION#id`, `sk` begins with `ARCHIVE` | attendance, erasure |
//! | polls of a session without their votes | main | `pk = SESSION#id`, `sk = POLLS` | poll |
//! | one vote shard of a poll | main | `pk = POLL#id#shard`, `sk = BALLOTS` | poll, erasure |
//! | recordings of a session | main | `pk = SESSION#id`, `sk` begins with `RECORDING#` | recordings |
//! | user | main | `pk = USER#id`, `sk = USER` | save |
//! | quota that a user has used in a month | main | `pk = USER#id`, `sk = MONTH#2026-11` | save |
//! | user with an email address | main | `pk = EMAIL#hash`, `sk = USER` | delivery |
//! | address of a queued withdrawal | main | `pk = EMAIL#hash`, `sk = ADDRESS` | outbox sweep, erasure |
//! | host status of a trainer | main | `pk = USER#id`, `sk = HOST` | both lists, reminder sweep, outbox sweep |
//! | platform host of a trainer | main | `pk = USER#id`, `sk = PLATFORM_HOST` | hosts, meeting sweep, save, join, erasure |
//! | trainer whose platform host has an address | main | `pk = EMAIL#hash`, `sk = PLATFORM_HOST` | hosts |
//! | notification preferences of a user | main | `pk = USER#id`, `sk = PREFERENCES` | delivery, preferences |
//! | in-app notifications of a user by time, unread count | main | `pk = USER#id`, `sk` begins with `NOTIFICATION#` | notifications |
//! | courses of a student | main | `pk = USER#id`, `sk` begins with `ENROLLMENT#` | student's list |
//! | payment | main | `pk = PAYMENT#id`, `sk = PAYMENT` | payments, save, meeting sweep |
//! | classes that a payment has not created yet | main | `pk = PAYMENT#id`, `sk` begins with `CLASS#` | payments, meeting sweep |
//! | payments of a student | main | `pk = USER#id`, `sk` begins with `PAYMENT#` | erasure |
//! | enrollment of a student in a course | main | `pk = USER#id`, `sk = ENROLLMENT#course` | reads |
//! | former enrollment periods of a student | main | `pk = USER#id`, `sk` begins with `ENROLLMENT_PERIOD#` | erasure |
//! | former courses of a student | main | `pk = USER#id`, `sk` begins with `FORMER_ENROLLMENT#` | erasure |
//! | course | main | `pk = COURSE#id`, `sk = COURSE` | save |
//! | settings of the deployment | main | `pk = SETTINGS`, `sk = SETTINGS` | save |
//! | creates and edits of a Zoom user on a day | main | `pk = ZOOMDAY#hash#2026-11-21` | save |
//! | bookings of a Zoom user on a day | main | `pk = BOOKINGS#pseudonym#2026-11-21`, `sk = BOOKINGS` | save, reads |
//! | due reminders and checks | main | `pk = DUE#WORK`, `sk <= now` | reminder sweep |
//! | planned classes of platform hosts | main | `pk = DUE#WORK`, `sk` between | hosts, meeting sweep, join |
//! | due repairs | main | `pk = DUE#REPAIRS`, `sk <= now` | reminder sweep |
//! | pending domain events | main | `pk = DUE#OUTBOX`, `sk <= now` | outbox sweep |
//! | sessions whose attendance is due to be archived | main | `pk = DUE#ARCHIVE`, `sk <= now` | reminder sweep |
//! | sessions whose meeting is due | main | `pk = DUE#MEETINGS`, `sk <= now` | meeting sweep |
//! | due payments | main | `pk = DUE#PAYMENTS`, `sk <= now` | meeting sweep |
//! | runs of sweeps, newest first | main | `pk = RUNS`, `sk` begins with the time | operations, meeting sweep |
//! | runs that are not finished | main | `pk = DUE#RUNS` | meeting sweep |
//! | due tasks of platform hosts | main | `pk = DUE#HOSTS`, `sk <= now` | meeting sweep |
//! | lease of the outbox sweep, pause of the mail service | main | `pk = SWEEP#OUTBOX` | outbox sweep |
//! | claim of a mail | main | `pk = SESSION#id` or `USER#id`, `sk = MAIL#key` | outbox sweep |
//! | delivery records of a session by time | main | `pk = MAILING#session`, `sk` begins with `DELIVERY#` | timeline, outbox sweep |
//! | recipient states of a session at a time | main | `pk = MAILING#session`, `sk` begins with `RECIPIENTS#time#` | outbox sweep |
//! | number of a session's mails per delivery status | main | `pk = SESSION#id`, `sk = MAILCOUNT` | trainer's view, outbox sweep |
//! | sessions of a trainer by start | `by_owner` | `g1pk = TRAINER#id`, `g1sk` between | trainer's list |
//! | students of a course | `by_owner` | `g1pk = COURSE#id`, `g1sk` begins with `STUDENT#` | delivery, course removal |
//! | students of a course since a time | `by_owner` | `g1pk = COURSE#id`, `g1sk` from `FORMER_STUDENT#time` to `STUDENT#` | attendance |
//! | licences that are assigned, Zoom's limit | main | `pk = LICENCES`, `sk = POOL` | hosts, meeting sweep, join |
//! | platform hosts by state | `by_owner` | `g1pk = HOSTS`, `g1sk` begins with the state | hosts |
//! | platform hosts with a licence or a change of one | `by_audience` | `g2pk = LICENSEDHOSTS` | hosts, meeting sweep |
//! | sessions of a course by start | `by_audience` | `g2pk = COURSE#id`, `g2sk` between | both lists |
//! | polls of a course's sessions | `by_audience` | `g2pk = COURSEPOLLS#id` | erasure |
//! | invitations of an address by start | `by_audience` | `g2pk = EMAIL#hash`, `g2sk` between | student's list, erasure |
//! | Zoom connection of a trainer | tokens | `pk = TRAINER#id`, `sk = CONNECTION` | every caller of Zoom |
//! | token of the platform's own Zoom account | tokens | `pk = ACCOUNT#hash`, `sk = TOKEN` | callers of Zoom for classes that the platform hosts |
//! | address of a Zoom user that hosts sessions and is not connected | tokens | `pk = ZOOMHOST#pseudonym`, `sk = ZOOMHOST` | save, join |
//! | trainer of a Zoom user, time at which the user removed the app | tokens | `pk = ZOOMUSER#hash`, `sk = ZOOMUSER` | connect, webhook |
//! | erasure of a person or removal of a course | main | `pk = ERASED#digest`, `sk = ERASED` | erasure, save, connect |
//! | OAuth attempt in progress | tokens | `pk = STATE#nonce`, `sk = STATE` | connect |
//!
//! There are no scans. Keys contain only validated ids (`domain::id`) and hashes, never text that a person typed.

pub mod attr;
mod key_parts;
pub mod limit;

use jiff::Timestamp;
use strum::IntoStaticStr;

use crate::domain::account_token::AccountTokenId;
use crate::domain::attendance::AttendeeId;
use crate::domain::audience::InviteeList;
use crate::domain::digest::Digest;
use crate::domain::id::{
    CourseId, ExternalRef, MeetingId, PaymentId, PollId, RunId, SessionId, UserId,
};
use crate::domain::in_app::NotificationId;
use crate::domain::mailing::{AddressDigest, MailSubject, MessageKey, RecipientRef};
use crate::domain::text::Email;
use crate::domain::time::sortable_text;

use key_parts::email_hash;
pub use key_parts::*;

/// The main table's indexes. Both project whole items, so that a list takes one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Index {
    ByOwner,
    ByAudience,
}

impl Index {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the attributes of the partition key and of the sort key.
    pub fn key_attributes(self) -> (&'static str, &'static str) {
        match self {
            Self::ByOwner => (attr::G1PK, attr::G1SK),
            Self::ByAudience => (attr::G2PK, attr::G2SK),
        }
    }
}

/// The queues of due work. Each is one partition sorted by time, so that one query returns everything that is due, even
/// items that were stored late. A partition accepts 1,000 write units per second. Saving a session takes ten of them, and
/// the API throttles requests at a tenth of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum DueQueue {
    /// Reminders, end checks and other checks.
    Work,
    /// Repairs. Separate, so that a backlog of them, as after an outage of Zoom, cannot delay reminders.
    Repairs,
    Outbox,
    /// Sessions whose attendance is due to be archived. Separate from the work that people wait for, so that it cannot
    /// delay it.
    Archive,
    /// Sessions with a meeting that is made later. Separate, because Zoom's daily limits let them wait.
    Meetings,
    /// Payments with steps that are left.
    Payments,
    /// Requested runs that are not finished.
    Runs,
    /// Tasks of platform hosts. Each takes requests to Zoom, and the account's limits slow them down.
    Hosts,
}

impl DueQueue {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which table an item is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Main,
    Tokens,
}

/// The primary key of an item.
#[derive(Clone, Copy, Debug)]
pub enum ItemKey<'a> {
    Session(&'a SessionId),
    Intent(&'a SessionId),
    /// A pointer from the host platform's name to its session.
    SessionRef(&'a ExternalRef),
    Invitee {
        session: &'a SessionId,
        list: InviteeList,
        email: &'a Email,
    },
    /// An invitee by the digest of the address.
    InviteeByDigest {
        session: &'a SessionId,
        list: InviteeList,
        to: &'a AddressDigest,
    },
    /// The address of a queued withdrawal.
    MailAddress(&'a AddressDigest),
    Meeting(MeetingId),
    /// A pointer from the uuid of a meeting instance to its session.
    MeetingInstance(&'a str),
    /// A Zoom event, with or without a meeting.
    Event {
        meeting: Option<MeetingId>,
        at: Timestamp,
        digest: &'a str,
    },
    /// A marker of an erased person. It sorts after the events of the meeting and is read with them.
    ErasureMarker {
        meeting: MeetingId,
        person: &'a AttendeeId,
    },
    JoinAttempt {
        session: &'a SessionId,
        at: Timestamp,
        nonce: &'a str,
    },
    DelegatedAction {
        session: &'a SessionId,
        at: Timestamp,
        nonce: &'a str,
    },
    /// A note that a session has join attempts of a UTC day.
    AttemptDay {
        day: &'a str,
        session: &'a SessionId,
    },
    /// The number of join requests with the links of one guest in one time window.
    GuestJoins {
        session: &'a SessionId,
        guest: &'a RecipientRef,
        window: i64,
    },
    /// The registration of a person for a meeting, with the personal link.
    PersonalLink {
        session: &'a SessionId,
        meeting: MeetingId,
        person: &'a AddressDigest,
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
    /// The head of a session's attendance archive, which lists the valid parts.
    Archive(&'a SessionId),
    ArchivePart {
        session: &'a SessionId,
        part: &'a str,
    },
    /// The poll list of a session.
    Polls(&'a SessionId),
    VoteShard {
        poll: &'a PollId,
        number: u16,
    },
    User(&'a UserId),
    /// A pointer from an address to its user.
    UserOfEmail(&'a Email),
    /// The host of a trainer in the platform's own Zoom account.
    PlatformHost(&'a UserId),
    /// A pointer from the address of a platform host to its trainer.
    PlatformHostOfEmail(&'a Email),
    /// The licences of the platform's own Zoom account.
    LicencePool,
    /// The state of a trainer's Zoom connection without its tokens.
    HostStatus(&'a UserId),
    Preferences(&'a UserId),
    Notification {
        user: &'a UserId,
        id: &'a NotificationId,
    },
    /// A course that a student was removed from.
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
    /// A time for which a student was enrolled. It is identified by its end.
    EnrollmentPeriod {
        user: &'a UserId,
        course: &'a CourseId,
        until: Timestamp,
    },
    Course(&'a CourseId),
    Payment(&'a PaymentId),
    /// A class that a payment has not created yet, by its position.
    PaidClass {
        payment: &'a PaymentId,
        index: usize,
    },
    /// A pointer from a student to a payment.
    PaymentOfUser {
        user: &'a UserId,
        payment: &'a PaymentId,
    },
    Settings,
    ZoomDay {
        zoom_user: &'a str,
        day: &'a str,
    },
    /// The sessions that a Zoom user hosts on a UTC day.
    Bookings {
        host_user: &'a str,
        day: &'a str,
    },
    Due {
        queue: DueQueue,
        at: Timestamp,
        key: &'a str,
    },
    /// A sweep's own state.
    Sweep(DueQueue),
    /// A run of a sweep, and its report.
    Run(&'a RunId),
    Resends(&'a SessionId),
    Mail {
        subject: &'a MailSubject,
        message_key: &'a MessageKey,
    },
    Deliveries {
        subject: &'a MailSubject,
        at: Timestamp,
        digest: &'a str,
    },
    /// A part of the recipient states of a session, computed from the delivery records up to `until`.
    RecipientStates {
        session: &'a SessionId,
        until: Timestamp,
        part: usize,
    },
    MailCount(&'a MailSubject),
    ZoomConnection(&'a UserId),
    ZoomUser(&'a str),
    /// The address of a Zoom user by its pseudonym.
    ZoomHost(&'a str),
    OauthState(&'a str),
    /// The token of the platform's own Zoom account.
    AccountToken(&'a AccountTokenId),
    /// The erasure of a person or the removal of a course, by the digest of its id.
    Erasure(&'a str),
}

impl ItemKey<'_> {
    pub fn table(&self) -> Table {
        match self {
            Self::ZoomConnection(_)
            | Self::ZoomUser(_)
            | Self::ZoomHost(_)
            | Self::OauthState(_)
            | Self::AccountToken(_) => Table::Tokens,
            Self::Session(_)
            | Self::Intent(_)
            | Self::SessionRef(_)
            | Self::Invitee { .. }
            | Self::InviteeByDigest { .. }
            | Self::MailAddress(_)
            | Self::Meeting(_)
            | Self::MeetingInstance(_)
            | Self::Event { .. }
            | Self::ErasureMarker { .. }
            | Self::JoinAttempt { .. }
            | Self::DelegatedAction { .. }
            | Self::AttemptDay { .. }
            | Self::GuestJoins { .. }
            | Self::PersonalLink { .. }
            | Self::Recording { .. }
            | Self::AttendanceOverride { .. }
            | Self::Audit { .. }
            | Self::Archive(_)
            | Self::ArchivePart { .. }
            | Self::Polls(_)
            | Self::VoteShard { .. }
            | Self::User(_)
            | Self::UserOfEmail(_)
            | Self::PlatformHost(_)
            | Self::PlatformHostOfEmail(_)
            | Self::LicencePool
            | Self::HostStatus(_)
            | Self::Preferences(_)
            | Self::Notification { .. }
            | Self::FormerEnrollment { .. }
            | Self::Month { .. }
            | Self::Enrollment { .. }
            | Self::EnrollmentPeriod { .. }
            | Self::Course(_)
            | Self::Payment(_)
            | Self::PaidClass { .. }
            | Self::PaymentOfUser { .. }
            | Self::Settings
            | Self::ZoomDay { .. }
            | Self::Bookings { .. }
            | Self::Due { .. }
            | Self::Sweep(_)
            | Self::Run(_)
            | Self::Resends(_)
            | Self::Mail { .. }
            | Self::Deliveries { .. }
            | Self::RecipientStates { .. }
            | Self::MailCount(_)
            | Self::Erasure(_) => Table::Main,
        }
    }

    pub fn pk(&self) -> String {
        match self {
            Self::Session(id) | Self::Intent(id) => session_partition(id),
            Self::SessionRef(name) => format!("REF#{name}"),
            Self::Invitee { session, .. } | Self::InviteeByDigest { session, .. } => {
                session_partition(session)
            }
            Self::MailAddress(to) => format!("EMAIL#{}", to.as_str()),
            Self::Meeting(id) => meeting_partition(Some(*id)),
            Self::MeetingInstance(uuid) => format!("INSTANCE#{}", Digest::of_value(uuid).to_hex()),
            Self::Event { meeting, .. } => meeting_partition(*meeting),
            Self::ErasureMarker { meeting, .. } => meeting_partition(Some(*meeting)),
            Self::JoinAttempt { session, .. }
            | Self::DelegatedAction { session, .. }
            | Self::GuestJoins { session, .. }
            | Self::PersonalLink { session, .. }
            | Self::Recording { session, .. }
            | Self::AttendanceOverride { session, .. }
            | Self::Audit { session, .. }
            | Self::Archive(session)
            | Self::ArchivePart { session, .. }
            | Self::Polls(session) => session_partition(session),
            Self::VoteShard { poll, number } => format!("POLL#{poll}#{number}"),
            Self::User(id)
            | Self::HostStatus(id)
            | Self::PlatformHost(id)
            | Self::Preferences(id) => user_partition(id),
            Self::UserOfEmail(email) | Self::PlatformHostOfEmail(email) => email_partition(email),
            Self::Notification { user, .. } => user_partition(user),
            Self::Month { user, .. }
            | Self::Enrollment { user, .. }
            | Self::EnrollmentPeriod { user, .. }
            | Self::FormerEnrollment { user, .. } => user_partition(user),
            Self::Course(id) => course_partition(id),
            Self::Payment(payment) | Self::PaidClass { payment, .. } => payment_partition(payment),
            Self::PaymentOfUser { user, .. } => user_partition(user),
            Self::AttemptDay { day, .. } => attempt_day_partition(day),
            Self::Settings => "SETTINGS".to_owned(),
            Self::LicencePool => "LICENCES".to_owned(),
            Self::ZoomDay { zoom_user, day } => {
                format!("ZOOMDAY#{}#{day}", Digest::of_value(zoom_user).to_hex())
            }
            Self::Bookings { host_user, day } => format!("BOOKINGS#{host_user}#{day}"),
            Self::Due { queue, .. } => due_partition(*queue),
            Self::Run(_) => RUNS_PARTITION.to_owned(),
            Self::Sweep(queue) => format!("SWEEP#{}", queue.as_str()),
            Self::Resends(session) => session_partition(session),
            Self::Deliveries { subject, .. } => deliveries_partition(subject),
            Self::Mail { subject, .. } | Self::MailCount(subject) => subject_partition(subject),
            Self::RecipientStates { session, .. } => mailing_partition(session),
            Self::ZoomConnection(trainer) => trainer_partition(trainer),
            Self::ZoomUser(id) => format!("ZOOMUSER#{}", Digest::of_value(id).to_hex()),
            Self::ZoomHost(pseudonym) => format!("ZOOMHOST#{pseudonym}"),
            Self::OauthState(nonce) => format!("STATE#{}", Digest::of_value(nonce).to_hex()),
            Self::AccountToken(id) => format!("ACCOUNT#{}", id.as_str()),
            Self::Erasure(digest) => format!("ERASED#{digest}"),
        }
    }

    pub fn sk(&self) -> String {
        match self {
            Self::Session(_) => "SESSION".to_owned(),
            Self::Intent(_) => "INTENT".to_owned(),
            Self::SessionRef(_) => "REF".to_owned(),
            Self::Invitee { list, email, .. } => {
                format!("{}{}", invitee_prefix(*list), email_hash(email))
            }
            Self::InviteeByDigest { list, to, .. } => {
                format!("{}{}", invitee_prefix(*list), to.as_str())
            }
            Self::MailAddress(_) => "ADDRESS".to_owned(),
            Self::Meeting(_) | Self::MeetingInstance(_) => "MEETING".to_owned(),
            Self::Event { at, digest, .. } => {
                format!("{EVENT_PREFIX}{}#{digest}", sortable_text(*at))
            }
            Self::ErasureMarker { person, .. } => format!("{ERASURE_MARKER_PREFIX}{person}"),
            Self::JoinAttempt { at, nonce, .. } => {
                format!("{JOIN_ATTEMPT_PREFIX}{}#{nonce}", sortable_text(*at))
            }
            Self::DelegatedAction { at, nonce, .. } => {
                format!("{DELEGATED_ACTION_PREFIX}{}#{nonce}", sortable_text(*at))
            }
            Self::AttemptDay { session, .. } => session.to_string(),
            Self::GuestJoins { guest, window, .. } => format!("GUEST#{}#{window}", guest.as_str()),
            Self::PersonalLink { meeting, person, .. } => {
                format!("{PERSONAL_LINK_PREFIX}{meeting}#{}", person.as_str())
            }
            Self::Recording { file, .. } => {
                format!("{RECORDING_PREFIX}{}", Digest::of_value(file).to_hex())
            }
            Self::AttendanceOverride { attendee, .. } => format!("{OVERRIDE_PREFIX}{attendee}"),
            Self::Audit { at, nonce, .. } => {
                format!("{AUDIT_PREFIX}{}#{nonce}", sortable_text(*at))
            }
            Self::Archive(_) => ARCHIVE.to_owned(),
            Self::ArchivePart { part, .. } => format!("{ARCHIVE_PART_PREFIX}{part}"),
            Self::User(_) | Self::UserOfEmail(_) => "USER".to_owned(),
            Self::HostStatus(_) => "HOST".to_owned(),
            Self::PlatformHost(_) | Self::PlatformHostOfEmail(_) => "PLATFORM_HOST".to_owned(),
            Self::Preferences(_) => "PREFERENCES".to_owned(),
            Self::Notification { id, .. } => notification_sort_key(id),
            Self::Polls(_) => "POLLS".to_owned(),
            Self::VoteShard { .. } => "BALLOTS".to_owned(),
            Self::FormerEnrollment { course, .. } => format!("{FORMER_ENROLLMENT_PREFIX}{course}"),
            Self::Month { month, .. } => format!("MONTH#{month}"),
            Self::Enrollment { course, .. } => format!("{ENROLLMENT_PREFIX}{course}"),
            Self::EnrollmentPeriod { course, until, .. } => {
                format!("{ENROLLMENT_PERIOD_PREFIX}{course}#{}", sortable_text(*until))
            }
            Self::Course(_) => "COURSE".to_owned(),
            Self::Payment(_) => "PAYMENT".to_owned(),
            Self::PaidClass { index, .. } => format!("{PAID_CLASS_PREFIX}{index:03}"),
            Self::PaymentOfUser { payment, .. } => format!("{PAYMENT_PREFIX}{payment}"),
            Self::Settings => "SETTINGS".to_owned(),
            Self::LicencePool => "POOL".to_owned(),
            Self::ZoomDay { .. } => "ZOOMDAY".to_owned(),
            Self::Bookings { .. } => "BOOKINGS".to_owned(),
            Self::Due { at, key, .. } => format!("{}#{key}", sortable_text(*at)),
            Self::Run(id) => format!("{}#{id}", sortable_text(id.requested_at())),
            Self::Sweep(_) => "SWEEP".to_owned(),
            Self::Resends(_) => "RESENDS".to_owned(),
            Self::Mail { message_key, .. } => format!("MAIL#{message_key}"),
            Self::Deliveries { at, digest, .. } => {
                format!("{DELIVERY_PREFIX}{}#{digest}", sortable_text(*at))
            }
            Self::RecipientStates { until, part, .. } => {
                format!("{}{part:03}", recipient_states_prefix(*until))
            }
            Self::MailCount(_) => "MAILCOUNT".to_owned(),
            Self::ZoomConnection(_) => "CONNECTION".to_owned(),
            Self::ZoomUser(_) => "ZOOMUSER".to_owned(),
            Self::ZoomHost(_) => "ZOOMHOST".to_owned(),
            Self::OauthState(_) => "STATE".to_owned(),
            Self::AccountToken(_) => "TOKEN".to_owned(),
            Self::Erasure(_) => "ERASED".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mailing::MailKind;
    use std::collections::HashSet;

    #[test]
    fn item_kinds_have_distinct_keys() {
        let session = SessionId::from_bytes([1; 16]);
        let poll = PollId::from_bytes([1; 16]);
        let run = RunId::new(Timestamp::UNIX_EPOCH, [1; 10]);
        let user = UserId::parse("x").unwrap();
        let course = CourseId::parse("x").unwrap();
        let payment = PaymentId::parse("x").unwrap();
        let name = ExternalRef::parse("x").unwrap();
        let email = Email::parse("x@example.test").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let account = AccountTokenId::derive("x", "x");
        let notification = NotificationId::new(at, "aaaaaaaaaaaaaaaa").unwrap();
        let attendee = AttendeeId::for_user(&session, &user);
        let (about, trainer) =
            (MailSubject::Session(session.clone()), MailSubject::Trainer(user.clone()));
        let effect = MessageKey::new("x", MailKind::Updated, &email);
        let guest = RecipientRef::new(&about, &email);
        let person = AddressDigest::new(&email);
        let keys = [
            ItemKey::Session(&session),
            ItemKey::Intent(&session),
            ItemKey::SessionRef(&name),
            ItemKey::Invitee { session: &session, list: InviteeList(1), email: &email },
            ItemKey::Invitee { session: &session, list: InviteeList(11), email: &email },
            ItemKey::Meeting(MeetingId(1)),
            ItemKey::MeetingInstance("x"),
            ItemKey::Event { meeting: Some(MeetingId(1)), at, digest: "x" },
            ItemKey::Event { meeting: None, at, digest: "x" },
            ItemKey::ErasureMarker { meeting: MeetingId(1), person: &attendee },
            ItemKey::JoinAttempt { session: &session, at, nonce: "x" },
            ItemKey::DelegatedAction { session: &session, at, nonce: "x" },
            ItemKey::AttemptDay { day: "2026-11-21", session: &session },
            ItemKey::GuestJoins { session: &session, guest: &guest, window: 1 },
            ItemKey::GuestJoins { session: &session, guest: &guest, window: 11 },
            ItemKey::PersonalLink { session: &session, meeting: MeetingId(1), person: &person },
            ItemKey::PersonalLink { session: &session, meeting: MeetingId(11), person: &person },
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
            ItemKey::HostStatus(&user),
            ItemKey::PlatformHost(&user),
            ItemKey::PlatformHostOfEmail(&email),
            ItemKey::LicencePool,
            ItemKey::Preferences(&user),
            ItemKey::Notification { user: &user, id: &notification },
            ItemKey::FormerEnrollment { user: &user, course: &course },
            ItemKey::Month { user: &user, month: "2026-11" },
            ItemKey::Enrollment { user: &user, course: &course },
            ItemKey::EnrollmentPeriod { user: &user, course: &course, until: at },
            ItemKey::Course(&course),
            ItemKey::Payment(&payment),
            ItemKey::PaidClass { payment: &payment, index: 1 },
            ItemKey::PaidClass { payment: &payment, index: 11 },
            ItemKey::PaymentOfUser { user: &user, payment: &payment },
            ItemKey::Settings,
            ItemKey::ZoomDay { zoom_user: "x", day: "2026-11-21" },
            ItemKey::Bookings { host_user: "x", day: "2026-11-21" },
            ItemKey::Due { queue: DueQueue::Work, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Repairs, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Outbox, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Archive, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Hosts, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Meetings, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Payments, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Runs, at, key: "x" },
            ItemKey::Sweep(DueQueue::Outbox),
            ItemKey::Run(&run),
            ItemKey::Resends(&session),
            ItemKey::Mail { subject: &about, message_key: &effect },
            ItemKey::Mail { subject: &trainer, message_key: &effect },
            ItemKey::Deliveries { subject: &about, at, digest: "x" },
            ItemKey::RecipientStates { session: &session, until: at, part: 0 },
            ItemKey::MailCount(&about),
            ItemKey::ZoomConnection(&user),
            ItemKey::ZoomUser("x"),
            ItemKey::OauthState("x"),
            ItemKey::AccountToken(&account),
            ItemKey::Erasure("x"),
        ];
        let distinct: HashSet<_> =
            keys.iter().map(|key| (key.table(), key.pk(), key.sk())).collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn sessions_and_due_work_sort_by_time() {
        let (a, b) = (SessionId::from_bytes([9; 16]), SessionId::from_bytes([1; 16]));
        let early: Timestamp = "2026-11-21T09:59:59.9Z".parse().unwrap();
        let late: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        assert!(session_sort_key(early, &a) < session_sort_key(late, &b));
        let due = |at| ItemKey::Due { queue: DueQueue::Outbox, at, key: "k" };
        assert!(due(early).sk() < due(late).sk());
    }

    #[test]
    fn longest_key_fits_the_dynamodb_limit() {
        let user = UserId::parse(&"u".repeat(128)).unwrap();
        let course = CourseId::parse(&"c".repeat(128)).unwrap();
        let key = ItemKey::Enrollment { user: &user, course: &course };
        assert!(key.pk().len() <= 2048 && key.sk().len() <= 1024);
    }
}
