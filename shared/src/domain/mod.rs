//! Domain types and rules, without clock, randomness, I/O or async code. Each rule is a pure function from values to a
//! decision, with a table of test cases beside it.

pub mod account_token;
pub mod actor;
pub mod admission;
pub mod attempt_limit;
pub mod attendance;
pub mod audience;
pub mod bookings;
pub mod caller;
pub mod capabilities;
pub mod correction;
pub mod digest;
pub mod directory;
pub mod domain_event;
pub mod draft;
pub mod drift;
pub mod grant_check;
pub mod guest_link;
pub mod host_status;
pub mod hosting;
pub mod id;
pub mod import_references;
pub mod in_app;
pub mod join_window;
pub mod licence;
pub mod link_generation;
pub mod mail_return;
pub mod mailing;
pub mod meeting_checks;
pub mod meeting_fields;
pub mod meeting_instance;
pub mod meeting_retry;
pub mod next_look;
pub mod notification_kind;
pub mod payment;
pub mod pending_meeting;
pub mod personal_link;
pub mod plan;
pub mod platform_host;
pub mod poll;
pub mod preferences;
pub mod reconciliation;
pub mod recorded_span;
pub mod recording;
pub mod recording_sync;
pub mod refusal;
pub mod reminder;
pub mod resend;
pub mod rights;
pub mod run;
pub mod scope;
pub mod sealed;
pub mod session;
pub mod session_defaults;
pub mod session_ref;
pub mod session_window;
pub mod settings;
pub mod suppression;
pub mod text;
pub mod time;
pub mod trainer_session;
pub mod vote;
pub mod zoom_connection;
pub mod zoom_event;
pub mod zoom_link;
pub mod zoom_report;

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::attendance::people::IdentityMatch;
    use super::attendance::report::Flag;
    use super::attendance::status::{AttendanceStatus, PresentBy};
    use super::domain_event::ChangeKind;
    use super::reminder::Reminder;
    use super::session::Status;

    fn check<T: Serialize + Copy + Into<&'static str>>(values: &[T]) {
        for value in values {
            let word: &'static str = (*value).into();
            assert_eq!(json!(value), json!(word));
        }
    }

    #[test]
    fn word_of_a_variant_is_its_stored_form() {
        check(&[Status::Scheduled, Status::Live, Status::Ended, Status::Cancelled]);
        check(&[PresentBy::Rule, PresentBy::Override]);
        check(&[
            AttendanceStatus::Present,
            AttendanceStatus::Late,
            AttendanceStatus::LeftEarly,
            AttendanceStatus::Absent,
            AttendanceStatus::Excused,
        ]);
        check(&[
            IdentityMatch::CustomerKey,
            IdentityMatch::Registrant,
            IdentityMatch::Email,
            IdentityMatch::None,
        ]);
        check(&[Flag::NeedsReview, Flag::Assigned, Flag::JoinedInferred, Flag::LeftInferred]);
        check(&[ChangeKind::Scheduled, ChangeKind::Updated, ChangeKind::Cancelled]);
        check(&Reminder::ALL);
    }
}
