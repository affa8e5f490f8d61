//! The parts of keys: partitions, prefixes of sort keys, and sort keys of indexes.

use jiff::Timestamp;

use super::DueQueue;
use crate::domain::audience::InviteeList;
use crate::domain::id::{CourseId, MeetingId, PaymentId, SessionId, UserId};
use crate::domain::in_app::NotificationId;
use crate::domain::mailing::{AddressDigest, MailSubject};
use crate::domain::platform_host::HostState;
use crate::domain::text::Email;
use crate::domain::time::sortable_text;

pub const ENROLLMENT_PREFIX: &str = "ENROLLMENT#";
pub const NOTIFICATION_PREFIX: &str = "NOTIFICATION#";
pub const INVITEE_PREFIX: &str = "INVITEE#";
pub const FORMER_ENROLLMENT_PREFIX: &str = "FORMER_ENROLLMENT#";
pub const ENROLLMENT_PERIOD_PREFIX: &str = "ENROLLMENT_PERIOD#";
/// The classes of a payment in its partition.
pub const PAID_CLASS_PREFIX: &str = "CLASS#";
/// The payments of a student in their partition.
pub const PAYMENT_PREFIX: &str = "PAYMENT#";
pub const STUDENT_PREFIX: &str = "STUDENT#";
/// Sorts before [`STUDENT_PREFIX`], so that one range has former and current students.
pub const FORMER_STUDENT_PREFIX: &str = "FORMER_STUDENT#";
/// Sorts after every key with [`STUDENT_PREFIX`].
pub const AFTER_STUDENTS: &str = "STUDENT$";
pub const EVENT_PREFIX: &str = "EVENT#";
/// '~' sorts after every time, so that the markers follow the events.
pub const ERASURE_MARKER_PREFIX: &str = "EVENT#~ERASED#";
/// The parts of Zoom's lists of participants follow the events too, and are read with them.
pub const ZOOM_REPORT_PREFIX: &str = "EVENT#~REPORT#";
pub const JOIN_ATTEMPT_PREFIX: &str = "JOIN_ATTEMPT#";
pub const DELEGATED_ACTION_PREFIX: &str = "DELEGATED#";
pub const PERSONAL_LINK_PREFIX: &str = "LINK#";
pub const RECORDING_PREFIX: &str = "RECORDING#";
pub const OVERRIDE_PREFIX: &str = "OVERRIDE#";
pub const AUDIT_PREFIX: &str = "AUDIT#";
/// The sort key of an archive's head, and the prefix of its parts' keys.
/// The head of the summary of a session's attendance, and its parts.
pub const SUMMARY: &str = "SUMMARY";
pub const SUMMARY_PART_PREFIX: &str = "SUMMARY#";
pub const ARCHIVE: &str = "ARCHIVE";
pub const ARCHIVE_PART_PREFIX: &str = "ARCHIVE#";
pub const DELIVERY_PREFIX: &str = "DELIVERY#";
/// The partition of the platform hosts in `by_owner`. A platform has a few thousand of them at most.
pub const HOSTS_PARTITION: &str = "HOSTS";
/// The partition of the runs of sweeps. A sweep writes one every five minutes at most.
pub const RUNS_PARTITION: &str = "RUNS";
/// The partition of suppressed addresses. A platform has some thousands at most.
pub const SUPPRESSIONS_PARTITION: &str = "SUPPRESSIONS";
/// The partition of the platform hosts with a licence in `by_audience`.
pub const LICENSED_HOSTS_PARTITION: &str = "LICENSEDHOSTS";

/// The partition of mails about a session, or about a trainer alone.
pub fn subject_partition(subject: &MailSubject) -> String {
    match subject {
        MailSubject::Session(id) => session_partition(id),
        MailSubject::Trainer(id) => user_partition(id),
    }
}

/// The partition of the delivery records of mails. Those of a session are not in the partition that students read when
/// they join, because a run of the outbox reads thousands at once.
pub fn deliveries_partition(subject: &MailSubject) -> String {
    match subject {
        MailSubject::Session(id) => mailing_partition(id),
        MailSubject::Trainer(id) => user_partition(id),
    }
}

pub fn mailing_partition(id: &SessionId) -> String {
    format!("MAILING#{id}")
}

/// The prefix of the parts of one snapshot.
pub fn recipient_states_prefix(until: Timestamp) -> String {
    format!("RECIPIENTS#{}#", sortable_text(until))
}

pub fn session_partition(id: &SessionId) -> String {
    format!("SESSION#{id}")
}

/// The partition of a Zoom meeting: the pointer to its session, and its events. The few events without a meeting share
/// one partition.
pub fn meeting_partition(id: Option<MeetingId>) -> String {
    id.map_or_else(|| "MEETING#NONE".to_owned(), |id| format!("MEETING#{id}"))
}

/// The partition of the sessions with join attempts of a UTC day.
pub fn attempt_day_partition(day: &str) -> String {
    format!("ATTEMPTDAY#{day}")
}

pub fn user_partition(id: &UserId) -> String {
    format!("USER#{id}")
}

/// The partition of a course: its item, and in the indexes its students and its sessions.
pub fn course_partition(id: &CourseId) -> String {
    format!("COURSE#{id}")
}

/// The partition of a course's polls in `by_audience`, separate from the sessions of the course.
pub fn course_polls_partition(id: &CourseId) -> String {
    format!("COURSEPOLLS#{id}")
}

/// The partition of a payment: its record, and the classes that it has not created yet.
pub fn payment_partition(id: &PaymentId) -> String {
    format!("{PAYMENT_PREFIX}{id}")
}

/// The partition of a trainer: sessions in `by_owner`, and the Zoom connection in the tokens table.
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

/// The sort key of a session in lists by start.
pub fn session_sort_key(starts_at: Timestamp, id: &SessionId) -> String {
    format!("{}#{id}", sortable_text(starts_at))
}

pub fn student_sort_key(user: &UserId) -> String {
    format!("{STUDENT_PREFIX}{user}")
}

/// The sort key of a former student, by the end of their enrollment.
pub fn former_student_sort_key(until: Timestamp, user: &UserId) -> String {
    format!("{FORMER_STUDENT_PREFIX}{}#{user}", sortable_text(until))
}

/// The sort key of a platform host in the list by state.
pub fn host_sort_key(state: HostState, trainer: &UserId) -> String {
    format!("{}#{trainer}", state.as_str())
}

/// The range of the platform hosts in a state, or of all, after the last one of a page.
pub fn host_state_range(
    state: Option<HostState>,
    after: Option<(HostState, &UserId)>,
) -> (Option<String>, Option<String>) {
    // '!' sorts after the end of a key and before every continuation, because ids contain only visible characters.
    let after = after.map(|(state, trainer)| format!("{}!", host_sort_key(state, trainer)));
    let first = state.map(|state| format!("{}#", state.as_str()));
    // '$' follows '#'.
    (first.max(after), state.map(|state| format!("{}$", state.as_str())))
}

/// The sort key of an in-app notification, by time.
pub fn notification_sort_key(id: &NotificationId) -> String {
    format!("{NOTIFICATION_PREFIX}{}#{}", sortable_text(id.at), id.digest())
}

pub(super) fn email_hash(email: &Email) -> String {
    AddressDigest::new(email).as_str().to_owned()
}
