//! The rights of every role in every operation of the HTTP API, in one table.
//!
//! A row is an operation, and a column is a party: a role, or a trainer's relation to the session. A caller with several
//! roles has the rights of each. A new route needs one row here and its `x-access` in `openapi.yaml`.

use super::caller::{Caller, Role};
use super::refusal::Refusal;

/// The answer of an operation to a party, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// The party never carries out the operation.
    Forbidden,
    /// The party must not learn whether the object exists.
    NotFound,
    /// Allowed with the view of an invited person.
    Limited,
    /// Allowed for everything.
    Full,
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A student without an invitation to the session.
    Student,
    /// A person with any role who is enrolled in the session's course, or whose address is invited.
    Invited,
    /// The trainer of the session. For an operation without a session, every trainer.
    Trainer,
    CoTrainer,
    /// A trainer of other sessions.
    OtherTrainer,
    /// The host platform's back end.
    Service,
    /// Support and operations.
    Admin,
}

impl Party {
    pub const ALL: [Self; 7] = [
        Self::Student,
        Self::Invited,
        Self::Trainer,
        Self::CoTrainer,
        Self::OtherTrainer,
        Self::Service,
        Self::Admin,
    ];
}

/// An operation of the HTTP API for callers with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Operation {
    ReadConnection,
    AuthorizeZoom,
    ConnectZoom,
    DisconnectZoom,
    CreateSession,
    EditSession,
    CancelSession,
    ImportSessions,
    UpsertSession,
    ReadNamedSession,
    CancelNamedSession,
    ListSessions,
    ReadSession,
    ReadCalendarEntry,
    ListMySessions,
    ListRecordings,
    SyncRecordings,
    SetRecordingVisibility,
    ViewRecording,
    ReadTimeline,
    ResendInvite,
    Join,
    ReportJoin,
    LaunchPoll,
    ClosePoll,
    Vote,
    ListPolls,
    ReadAttendance,
    OverrideAttendance,
    OverrideManyAttendances,
    ReadAudit,
    ReadCourseAttendance,
    ReadCapabilities,
    ListAttempts,
    ListMeetingEvents,
    ListNotifications,
    ReadNotification,
    DismissNotification,
    ReadPreferences,
    ReplacePreferences,
    PutCourse,
    DeleteCourse,
    PutEnrollment,
    DeleteEnrollment,
    PutUser,
    DeleteUser,
    PutSettings,
    Import,
    ListHosts,
    ReadLicences,
    ReadHost,
    PutHost,
    DeleteHost,
    ReadPayment,
    PutPayment,
    RefundPayment,
    RequestRun,
    ListRuns,
    ReadRun,
    ListSuppressions,
    DeleteSuppression,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rights {
    pub operation: Operation,
    pub method: &'static str,
    pub path: &'static str,
    answers: [Answer; 7],
}

impl Rights {
    pub fn answer(&self, party: Party) -> Answer {
        self.answers[party as usize]
    }
}

const fn row(
    operation: Operation,
    method: &'static str,
    path: &'static str,
    answers: [Answer; 7],
) -> Rights {
    Rights { operation, method, path, answers }
}

/// Forbidden (403), not found (404), limited and full.
const F: Answer = Answer::Forbidden;
const N: Answer = Answer::NotFound;
const L: Answer = Answer::Limited;
const Y: Answer = Answer::Full;

/// The table. Operations without a session have equal answers for a student with and without an invitation, and for all
/// trainers, except that a course belongs to its trainer. The routes for guests and for Zoom's events have no row, because they have no caller.
#[rustfmt::skip]
pub const RIGHTS: &[Rights] = {
    use Operation::*;
    &[
    //                                      student, invited, trainer, co-trainer, other trainer, service, admin
    row(ReadConnection,      "GET",    "/v1/zoom/connection",                               [F, F, Y, Y, Y, F, F]),
    row(AuthorizeZoom,       "POST",   "/v1/zoom/authorize",                                [F, F, Y, Y, Y, F, F]),
    row(ConnectZoom,         "POST",   "/v1/zoom/connect",                                  [F, F, Y, Y, Y, F, F]),
    row(DisconnectZoom,      "DELETE", "/v1/zoom/connection",                               [F, F, Y, Y, Y, F, F]),
    row(CreateSession,       "POST",   "/v1/sessions",                                      [F, F, Y, Y, Y, Y, F]),
    row(EditSession,         "PUT",    "/v1/sessions/{id}",                                 [F, F, Y, F, N, Y, F]),
    row(CancelSession,       "POST",   "/v1/sessions/{id}/cancel",                          [F, F, Y, F, N, Y, Y]),
    row(ImportSessions,      "POST",   "/v1/sessions/import",                               [F, F, F, F, F, Y, F]),
    row(UpsertSession,       "PUT",    "/v1/sessions/by-ref/{external_ref}",                [F, F, F, F, F, Y, F]),
    row(ReadNamedSession,    "GET",    "/v1/sessions/by-ref/{external_ref}",                [F, F, F, F, F, Y, F]),
    row(CancelNamedSession,  "DELETE", "/v1/sessions/by-ref/{external_ref}",                [F, F, F, F, F, Y, F]),
    row(ListSessions,        "GET",    "/v1/sessions",                                      [F, F, Y, Y, Y, Y, Y]),
    row(ReadSession,         "GET",    "/v1/sessions/{id}",                                 [N, L, Y, Y, N, Y, Y]),
    row(ReadCalendarEntry,   "GET",    "/v1/sessions/{id}/calendar.ics",                    [N, L, Y, Y, N, Y, Y]),
    row(ListMySessions,      "GET",    "/v1/me/sessions",                                   [Y, Y, Y, Y, Y, F, F]),
    row(ListRecordings,      "GET",    "/v1/sessions/{id}/recordings",                      [N, L, Y, Y, N, Y, Y]),
    row(SyncRecordings,      "POST",   "/v1/sessions/{id}/recordings/sync",                 [F, F, Y, Y, N, Y, Y]),
    row(SetRecordingVisibility, "PUT", "/v1/sessions/{id}/recordings/{recording_id}",       [F, F, Y, Y, N, Y, F]),
    row(ViewRecording,       "POST",   "/v1/sessions/{id}/recordings/{recording_id}/view",  [N, L, Y, Y, N, F, F]),
    row(ReadTimeline,        "GET",    "/v1/sessions/{id}/timeline",                        [N, N, Y, Y, N, Y, Y]),
    row(ResendInvite,        "POST",   "/v1/sessions/{id}/resend-invite",                   [F, F, Y, Y, N, Y, F]),
    row(Join,                "POST",   "/v1/sessions/{id}/join",                            [N, L, Y, Y, N, F, F]),
    row(ReportJoin,          "POST",   "/v1/sessions/{id}/join-report",                     [Y, Y, Y, Y, Y, Y, Y]),
    row(LaunchPoll,          "POST",   "/v1/sessions/{id}/polls",                           [F, F, Y, Y, N, Y, F]),
    row(ClosePoll,           "POST",   "/v1/sessions/{id}/polls/{poll_id}/close",           [F, F, Y, Y, N, Y, F]),
    row(Vote,                "PUT",    "/v1/sessions/{id}/polls/{poll_id}/vote",            [N, L, F, F, N, F, F]),
    row(ListPolls,           "GET",    "/v1/sessions/{id}/polls",                           [N, L, Y, Y, N, Y, Y]),
    row(ReadAttendance,      "GET",    "/v1/sessions/{id}/attendance",                      [N, N, Y, Y, N, Y, Y]),
    row(OverrideAttendance,  "PUT",    "/v1/sessions/{id}/attendance/{attendee_id}",        [N, N, Y, Y, N, Y, Y]),
    row(OverrideManyAttendances, "PUT", "/v1/sessions/{id}/attendance",                     [N, N, Y, Y, N, Y, Y]),
    row(ReadAudit,           "GET",    "/v1/sessions/{id}/attendance/audit",                [N, N, Y, Y, N, Y, Y]),
    row(ReadCourseAttendance, "GET", "/v1/courses/{id}/attendance",                        [F, F, Y, N, N, Y, Y]),
    row(ReadCapabilities,    "GET",    "/v1/me/capabilities",                               [Y, Y, Y, Y, Y, Y, Y]),
    row(ListAttempts,        "GET",    "/v1/logs/sessions",                                 [F, F, F, F, F, F, Y]),
    row(ListMeetingEvents,   "GET",    "/v1/logs/meetings/{number}",                        [F, F, F, F, F, F, Y]),
    row(ListNotifications,   "GET",    "/v1/me/notifications",                              [Y, Y, Y, Y, Y, Y, Y]),
    row(ReadNotification,    "POST",   "/v1/me/notifications/{id}/read",                    [Y, Y, Y, Y, Y, Y, Y]),
    row(DismissNotification, "POST",   "/v1/me/notifications/{id}/dismiss",                 [Y, Y, Y, Y, Y, Y, Y]),
    row(ReadPreferences,     "GET",    "/v1/me/notification-preferences",                   [Y, Y, Y, Y, Y, Y, Y]),
    row(ReplacePreferences,  "PUT",    "/v1/me/notification-preferences",                   [Y, Y, Y, Y, Y, Y, Y]),
    row(PutCourse,           "PUT",    "/v1/directory/courses/{id}",                        [F, F, F, F, F, Y, F]),
    row(DeleteCourse,        "DELETE", "/v1/directory/courses/{id}",                        [F, F, F, F, F, Y, F]),
    row(PutEnrollment,       "PUT",    "/v1/directory/courses/{id}/enrollments/{user_id}",  [F, F, F, F, F, Y, F]),
    row(DeleteEnrollment,    "DELETE", "/v1/directory/courses/{id}/enrollments/{user_id}",  [F, F, F, F, F, Y, F]),
    row(PutUser,             "PUT",    "/v1/directory/users/{id}",                          [F, F, F, F, F, Y, F]),
    row(DeleteUser,          "DELETE", "/v1/directory/users/{id}",                          [F, F, F, F, F, Y, F]),
    row(PutSettings,         "PUT",    "/v1/directory/settings",                            [F, F, F, F, F, Y, F]),
    row(Import,              "POST",   "/v1/directory/import",                              [F, F, F, F, F, Y, F]),
    row(ListHosts,           "GET",    "/v1/hosts",                                         [F, F, F, F, F, Y, Y]),
    row(ReadLicences,        "GET",    "/v1/hosts/licences",                                [F, F, F, F, F, Y, Y]),
    row(ReadHost,            "GET",    "/v1/hosts/{trainer_id}",                            [F, F, F, F, F, Y, Y]),
    row(PutHost,             "PUT",    "/v1/hosts/{trainer_id}",                            [F, F, F, F, F, Y, Y]),
    row(DeleteHost,          "DELETE", "/v1/hosts/{trainer_id}",                            [F, F, F, F, F, Y, Y]),
    row(ReadPayment,         "GET",    "/v1/payments/{payment_id}",                         [F, F, F, F, F, Y, F]),
    row(PutPayment,          "PUT",    "/v1/payments/{payment_id}",                         [F, F, F, F, F, Y, F]),
    row(RefundPayment,       "DELETE", "/v1/payments/{payment_id}",                         [F, F, F, F, F, Y, F]),
    row(RequestRun,          "POST",   "/v1/runs",                                         [F, F, F, F, F, Y, Y]),
    row(ListRuns,            "GET",    "/v1/runs",                                         [F, F, F, F, F, Y, Y]),
    row(ReadRun,             "GET",    "/v1/runs/{id}",                                    [F, F, F, F, F, Y, Y]),
    row(ListSuppressions,    "GET",    "/v1/suppressions",                                  [F, F, F, F, F, Y, Y]),
    row(DeleteSuppression,   "DELETE", "/v1/suppressions/{email}",                          [F, F, F, F, F, Y, Y]),
    ]
};

/// The caller's relation to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Trainer,
    CoTrainer,
    Invited,
    None,
}

impl Relation {
    const ALL: [Self; 4] = [Self::Trainer, Self::CoTrainer, Self::Invited, Self::None];
}

/// The part of a session that an allowed caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As an invited person sees it.
    Limited,
    /// As its trainer sees it.
    Full,
}

impl Operation {
    /// Returns the operation of a route.
    pub fn of_route(method: &str, path: &str) -> Option<Self> {
        let row = RIGHTS.iter().find(|row| (row.method, row.path) == (method, path));
        row.map(|row| row.operation)
    }

    /// Refuses a caller to whom no relation to a session would allow the operation. It needs no session, so it comes
    /// before everything else.
    pub fn check_roles(self, caller: &Caller) -> Result<(), Refusal> {
        let never = |relation| self.answer(caller, relation) == Answer::Forbidden;
        if Relation::ALL.into_iter().all(never) { Err(Refusal::Forbidden) } else { Ok(()) }
    }

    /// Returns the view that the caller has of a session with this relation, or the refusal.
    pub fn check(self, caller: &Caller, relation: Relation) -> Result<View, Refusal> {
        match self.answer(caller, relation) {
            Answer::Full => Ok(View::Full),
            Answer::Limited => Ok(View::Limited),
            Answer::NotFound => Err(Refusal::NotFound),
            Answer::Forbidden if relation == Relation::CoTrainer => {
                Err(Refusal::NotAllowed("only the trainer of the class may do this"))
            }
            Answer::Forbidden => Err(Refusal::Forbidden),
        }
    }

    /// Returns the best answer for the roles and the relation of the caller.
    fn answer(self, caller: &Caller, relation: Relation) -> Answer {
        let Some(row) = RIGHTS.iter().find(|row| row.operation == self) else {
            return Answer::Forbidden;
        };
        let parties = caller.roles.iter().map(|role| match (role, relation) {
            (Role::Student, _) => Party::Student,
            (Role::Trainer, Relation::Trainer) => Party::Trainer,
            (Role::Trainer, Relation::CoTrainer) => Party::CoTrainer,
            (Role::Trainer, _) => Party::OtherTrainer,
            (Role::Service, _) => Party::Service,
            (Role::Admin, _) => Party::Admin,
        });
        // Without a session, an invitation gives no right.
        let counts = row.answer(Party::Invited) != row.answer(Party::Student);
        let invited = (counts && relation == Relation::Invited).then_some(Party::Invited);
        let best = parties.chain(invited).map(|party| row.answer(party)).max();
        match best {
            // Somebody who knows the session learns nothing from the answer that they may not do this.
            Some(Answer::NotFound) if relation != Relation::None || reads_everything(caller) => {
                Answer::Forbidden
            }
            best => best.unwrap_or(Answer::Forbidden),
        }
    }
}

fn reads_everything(caller: &Caller) -> bool {
    caller.has_role(Role::Service) || caller.has_role(Role::Admin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;

    fn caller(roles: &[Role]) -> Caller {
        Caller {
            id: UserId::parse("ada").unwrap(),
            roles: roles.iter().copied().collect(),
            verified_email: None,
            name: None,
        }
    }

    #[test]
    fn every_operation_has_one_row() {
        for (n, row) in RIGHTS.iter().enumerate() {
            let found = Operation::of_route(row.method, row.path);
            assert_eq!(found, Some(row.operation), "{row:?}");
            assert!(RIGHTS[..n].iter().all(|other| other.operation != row.operation), "{row:?}");
        }
        assert_eq!(RIGHTS.len(), <Operation as strum::VariantArray>::VARIANTS.len());
    }

    #[test]
    fn caller_has_the_rights_of_each_role_and_relation() {
        use Operation::{CancelSession, EditSession, Join, ReadSession, Vote};
        use Role::{Admin, Service, Student, Trainer};
        let co_trainer = Refusal::NotAllowed("only the trainer of the class may do this");
        for (operation, roles, relation, expected) in [
            (EditSession, vec![Trainer], Relation::Trainer, Ok(View::Full)),
            (EditSession, vec![Trainer], Relation::CoTrainer, Err(co_trainer.clone())),
            (EditSession, vec![Student, Trainer], Relation::CoTrainer, Err(co_trainer)),
            (EditSession, vec![Trainer], Relation::None, Err(Refusal::NotFound)),
            (EditSession, vec![Student, Trainer], Relation::None, Err(Refusal::NotFound)),
            (EditSession, vec![Admin, Trainer], Relation::None, Err(Refusal::Forbidden)),
            (EditSession, vec![Service, Trainer], Relation::None, Ok(View::Full)),
            (CancelSession, vec![Admin, Trainer], Relation::CoTrainer, Ok(View::Full)),
            (ReadSession, vec![Trainer], Relation::Invited, Ok(View::Limited)),
            (ReadSession, vec![Admin], Relation::Invited, Ok(View::Full)),
            (Join, vec![Service], Relation::None, Err(Refusal::Forbidden)),
            (Join, vec![Service], Relation::Invited, Ok(View::Limited)),
            (Vote, vec![Student], Relation::None, Err(Refusal::NotFound)),
        ] {
            let checked = operation.check(&caller(&roles), relation);
            assert_eq!(checked, expected, "{operation:?} {roles:?} {relation:?}");
        }
    }

    #[test]
    fn role_is_refused_early_if_no_relation_helps() {
        for (operation, role, is_possible) in [
            (Operation::EditSession, Role::Student, false),
            (Operation::EditSession, Role::Admin, false),
            (Operation::EditSession, Role::Trainer, true),
            (Operation::Join, Role::Service, true),
            (Operation::ReadAttendance, Role::Student, true),
            (Operation::ListMySessions, Role::Admin, false),
        ] {
            let checked = operation.check_roles(&caller(&[role]));
            assert_eq!(checked.is_ok(), is_possible, "{operation:?} {role:?}");
        }
    }
}
