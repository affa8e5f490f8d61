//! The primary keys of all items.

use jiff::Timestamp;

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

use super::key_parts::email_hash;
use super::*;

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
    /// An address that gets no mails.
    Suppression(&'a AddressDigest),
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
    /// A part of Zoom's list of participants of a meeting instance, by the digest of its uuid.
    ZoomReportPart {
        meeting: MeetingId,
        instance: &'a str,
        part: usize,
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
    /// The number of clicks of one person to watch recordings.
    RecordingViews {
        session: &'a SessionId,
        person: &'a AttendeeId,
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
    /// The head of the summary of a session's attendance.
    AttendanceSummary(&'a SessionId),
    AttendanceSummaryPart {
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
            | Self::Suppression(_)
            | Self::Meeting(_)
            | Self::MeetingInstance(_)
            | Self::Event { .. }
            | Self::ErasureMarker { .. }
            | Self::ZoomReportPart { .. }
            | Self::JoinAttempt { .. }
            | Self::DelegatedAction { .. }
            | Self::RecordingViews { .. }
            | Self::AttemptDay { .. }
            | Self::GuestJoins { .. }
            | Self::PersonalLink { .. }
            | Self::Recording { .. }
            | Self::AttendanceOverride { .. }
            | Self::Audit { .. }
            | Self::Archive(_)
            | Self::ArchivePart { .. }
            | Self::AttendanceSummary(_)
            | Self::AttendanceSummaryPart { .. }
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
            Self::Suppression(_) => SUPPRESSIONS_PARTITION.to_owned(),
            Self::Meeting(id) => meeting_partition(Some(*id)),
            Self::MeetingInstance(uuid) => format!("INSTANCE#{}", Digest::of_value(uuid).to_hex()),
            Self::Event { meeting, .. } => meeting_partition(*meeting),
            Self::ErasureMarker { meeting, .. } | Self::ZoomReportPart { meeting, .. } => {
                meeting_partition(Some(*meeting))
            }
            Self::JoinAttempt { session, .. }
            | Self::DelegatedAction { session, .. }
            | Self::RecordingViews { session, .. }
            | Self::GuestJoins { session, .. }
            | Self::PersonalLink { session, .. }
            | Self::Recording { session, .. }
            | Self::AttendanceOverride { session, .. }
            | Self::Audit { session, .. }
            | Self::Archive(session)
            | Self::ArchivePart { session, .. }
            | Self::AttendanceSummary(session)
            | Self::AttendanceSummaryPart { session, .. }
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
            Self::Suppression(to) => to.as_str().to_owned(),
            Self::Meeting(_) | Self::MeetingInstance(_) => "MEETING".to_owned(),
            Self::Event { at, digest, .. } => {
                format!("{EVENT_PREFIX}{}#{digest}", sortable_text(*at))
            }
            Self::ErasureMarker { person, .. } => format!("{ERASURE_MARKER_PREFIX}{person}"),
            Self::ZoomReportPart { instance, part, .. } => {
                format!("{ZOOM_REPORT_PREFIX}{instance}#{part:04}")
            }
            Self::JoinAttempt { at, nonce, .. } => {
                format!("{JOIN_ATTEMPT_PREFIX}{}#{nonce}", sortable_text(*at))
            }
            Self::DelegatedAction { at, nonce, .. } => {
                format!("{DELEGATED_ACTION_PREFIX}{}#{nonce}", sortable_text(*at))
            }
            Self::RecordingViews { person, .. } => format!("RECORDING_VIEWS#{person}"),
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
            Self::AttendanceSummary(_) => SUMMARY.to_owned(),
            Self::AttendanceSummaryPart { part, .. } => format!("{SUMMARY_PART_PREFIX}{part}"),
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
            ItemKey::MailAddress(&person),
            ItemKey::Suppression(&person),
            ItemKey::Meeting(MeetingId(1)),
            ItemKey::MeetingInstance("x"),
            ItemKey::Event { meeting: Some(MeetingId(1)), at, digest: "x" },
            ItemKey::Event { meeting: None, at, digest: "x" },
            ItemKey::ErasureMarker { meeting: MeetingId(1), person: &attendee },
            ItemKey::ZoomReportPart { meeting: MeetingId(1), instance: "x", part: 0 },
            ItemKey::JoinAttempt { session: &session, at, nonce: "x" },
            ItemKey::DelegatedAction { session: &session, at, nonce: "x" },
            ItemKey::RecordingViews { session: &session, person: &attendee },
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
            ItemKey::AttendanceSummary(&session),
            ItemKey::AttendanceSummaryPart { session: &session, part: "x" },
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
            ItemKey::Due { queue: DueQueue::ReconcileRuns, at, key: "x" },
            ItemKey::Due { queue: DueQueue::Reconcile, at, key: "x" },
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
