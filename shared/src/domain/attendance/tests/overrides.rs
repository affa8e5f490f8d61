//! Attendance overrides.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Case, ended, minute, participant_event_at, started};
use crate::domain::attendance::AttendeeId;
use crate::domain::attendance::override_request::{
    Assignee, OverrideRequest, decide, override_state,
};
use crate::domain::attendance::overrides::AttendanceOverride;
use crate::domain::attendance::report::Flag;
use crate::domain::attendance::status::PresentBy;
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::zoom_event::ZoomEvent;

/// Returns a session with Eve, an unidentified participant, for 40 of 60 minutes.
fn session_with_unidentified_eve() -> (Case, Vec<ZoomEvent>, AttendeeId) {
    let eve = json!({"user_name": "Eve"});
    let events = vec![
        started("u", 0),
        participant_event_at("u", "joined", "e", "main", minute(0), eve.clone()),
        participant_event_at("u", "left", "e", "main", minute(40), eve),
        ended("u", 60),
    ];
    let case = Case::new();
    let id = AttendeeId::for_participation(&case.session.id, "u", "e");
    (case, events, id)
}

fn bob() -> Assignee {
    Assignee::User(UserId::parse("bob").unwrap())
}

#[test]
fn override_replaces_the_rule_until_it_is_cleared() {
    let (mut case, events, _) = session_with_unidentified_eve();
    let ada = case.attendee_id("ada");
    for (present, expected_presence) in [
        (Some(true), (true, PresentBy::Override)),
        (Some(false), (false, PresentBy::Override)),
        (None, (false, PresentBy::Rule)),
    ] {
        let before = case.report(&events, minute(600));
        let request = OverrideRequest { present: Some(present), ..Default::default() };
        let decision = decide(&before, &case.overrides, &ada, &request).unwrap();
        case.overrides.extend(decision.changed_overrides);
        let after = case.report(&events, minute(600));
        let row = after.row(&decision.shown_row).unwrap();
        assert_eq!((row.present, row.present_by), expected_presence);
    }
}

#[test]
fn presence_and_excuse_replace_each_other() {
    let (mut case, events, _) = session_with_unidentified_eve();
    let ada = case.attendee_id("ada");
    let set = |present, excused| OverrideRequest { present, excused, assign_to: None };
    for (request, present, excused) in [
        (set(Some(Some(true)), None), Some(true), false),
        (set(None, Some(true)), None, true),
        (set(Some(Some(false)), None), Some(false), false),
        (set(None, Some(true)), None, true),
        (set(Some(None), None), None, true),
        (set(None, Some(false)), None, false),
        (set(Some(Some(true)), Some(false)), Some(true), false),
        (set(None, Some(false)), Some(true), false),
    ] {
        let report = case.report(&events, minute(600));
        let decision = decide(&report, &case.overrides, &ada, &request).unwrap();
        case.overrides.extend(decision.changed_overrides);
        let stored = &case.overrides[&ada];
        assert_eq!((stored.present, stored.excused), (present, excused), "{request:?}");
    }
}

#[test]
fn assigned_row_counts_for_the_person_until_unassigned() {
    let (mut case, events, eve) = session_with_unidentified_eve();
    let before = case.report(&events, minute(600));
    assert_eq!(before.row(&eve).unwrap().flags, [Flag::NeedsReview]);

    let request = OverrideRequest { assign_to: Some(Some(bob())), ..Default::default() };
    let decision = decide(&before, &case.overrides, &eve, &request).unwrap();
    assert_eq!(decision.shown_row, case.attendee_id("bob"));
    case.overrides.extend(decision.changed_overrides);
    let after = case.report(&events, minute(600));
    assert_eq!(after.row(&eve), None);
    let bob_row = after.row(&case.attendee_id("bob")).unwrap();
    assert_eq!(
        (bob_row.minutes, bob_row.present, &bob_row.flags[..]),
        (40, true, &[Flag::Assigned][..])
    );
    assert_eq!((after.expected, after.present), (2, 1));
    let current_state = override_state(&after, &case.overrides, &eve);
    assert_eq!(
        (current_state.present, current_state.assigned_to),
        (true, Some(case.attendee_id("bob")))
    );

    let presence_request = OverrideRequest { present: Some(Some(false)), ..Default::default() };
    let result = decide(&after, &case.overrides, &eve, &presence_request);
    assert!(matches!(result, Err(Refusal::Conflict(_))), "{result:?}");

    let unassign_request = OverrideRequest { assign_to: Some(None), ..Default::default() };
    let decision = decide(&after, &case.overrides, &eve, &unassign_request).unwrap();
    case.overrides.extend(decision.changed_overrides);
    assert_eq!(case.report(&events, minute(600)), before);
}

#[test]
fn only_unidentified_rows_are_assigned_to_expected_people() {
    let (case, events, eve) = session_with_unidentified_eve();
    let report = case.report(&events, minute(600));
    let assign = |attendee: &AttendeeId, assignee: Assignee| {
        let request = OverrideRequest { assign_to: Some(Some(assignee)), ..Default::default() };
        decide(&report, &case.overrides, attendee, &request)
    };
    assert!(matches!(assign(&case.attendee_id("ada"), bob()), Err(Refusal::Conflict(_))));
    let unknown_user = Assignee::User(UserId::parse("nobody").unwrap());
    assert!(matches!(assign(&eve, unknown_user), Err(Refusal::Invalid(_))));
    assert!(matches!(assign(&eve, Assignee::Attendee(eve.clone())), Err(Refusal::Invalid(_))));
    assert_eq!(assign(&case.attendee_id("nobody"), bob()), Err(Refusal::NotFound));
    assert!(assign(&eve, Assignee::Attendee(case.attendee_id("ada"))).is_ok());
}

#[test]
fn presence_set_with_an_assignment_belongs_to_the_person() {
    let (case, events, eve) = session_with_unidentified_eve();
    let report = case.report(&events, minute(600));
    let request = OverrideRequest {
        present: Some(Some(true)),
        assign_to: Some(Some(bob())),
        ..Default::default()
    };
    let decision = decide(&report, &case.overrides, &eve, &request).unwrap();
    let attendance_override =
        |present, assigned_to| AttendanceOverride { present, assigned_to, excused: false };
    let expected = BTreeMap::from([
        (case.attendee_id("bob"), attendance_override(Some(true), None)),
        (eve, attendance_override(None, Some(case.attendee_id("bob")))),
    ]);
    assert_eq!(decision.changed_overrides, expected);
}
