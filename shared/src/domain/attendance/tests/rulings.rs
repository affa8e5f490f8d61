//! What is decided by hand.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Case, ended, minute, passage_at, started};
use crate::domain::attendance::AttendeeId;
use crate::domain::attendance::report::{Flag, PresentBy};
use crate::domain::attendance::overrides::{Assignee, AttendanceOverride, OverrideRequest, decide, state};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::zoom_event::ZoomEvent;

/// The class with Eve in it, whom nobody knows, for half of the time.
fn with_eve() -> (Case, Vec<ZoomEvent>, AttendeeId) {
    let eve = json!({"user_name": "Eve"});
    let events = vec![
        started("u", 0),
        passage_at("u", "joined", "e", "main", minute(0), eve.clone()),
        passage_at("u", "left", "e", "main", minute(40), eve),
        ended("u", 60),
    ];
    let case = Case::new();
    let id = AttendeeId::of_connection(&case.session.id, "u", "e");
    (case, events, id)
}

fn bob() -> Assignee {
    Assignee::User(UserId::parse("bob").unwrap())
}

#[test]
fn a_decision_goes_before_the_rule_and_is_undone_by_another() {
    let (mut case, events, _) = with_eve();
    let ada = case.id("ada");
    for (present, shown) in [
        (Some(true), (true, PresentBy::Override)),
        (Some(false), (false, PresentBy::Override)),
        (None, (false, PresentBy::Rule)),
    ] {
        let before = case.report(&events, minute(600));
        let wish = OverrideRequest { present: Some(present), assign_to: None };
        let decision = decide(&before, &case.rulings, &ada, &wish).unwrap();
        case.rulings.extend(decision.changed);
        let after = case.report(&events, minute(600));
        let row = after.row(&decision.shown).unwrap();
        assert_eq!((row.present, row.present_by), shown);
    }
}

#[test]
fn an_assigned_row_counts_for_the_person_and_can_be_taken_back() {
    let (mut case, events, eve) = with_eve();
    let before = case.report(&events, minute(600));
    assert_eq!(before.row(&eve).unwrap().flags, [Flag::NeedsReview]);

    let wish = OverrideRequest { present: None, assign_to: Some(Some(bob())) };
    let decision = decide(&before, &case.rulings, &eve, &wish).unwrap();
    assert_eq!(decision.shown, case.id("bob"));
    case.rulings.extend(decision.changed);
    let after = case.report(&events, minute(600));
    assert_eq!(after.row(&eve), None);
    let bobs = after.row(&case.id("bob")).unwrap();
    assert_eq!((bobs.minutes, bobs.present, &bobs.flags[..]), (40, true, &[Flag::Assigned][..]));
    assert_eq!((after.expected, after.present), (2, 1));
    let now = state(&after, &case.rulings, &eve);
    assert_eq!((now.present, now.assigned_to), (true, Some(case.id("bob"))));

    let say = OverrideRequest { present: Some(Some(false)), assign_to: None };
    let refused = decide(&after, &case.rulings, &eve, &say);
    assert!(matches!(refused, Err(Refusal::Conflict(_))), "{refused:?}");

    let back = OverrideRequest { present: None, assign_to: Some(None) };
    let decision = decide(&after, &case.rulings, &eve, &back).unwrap();
    case.rulings.extend(decision.changed);
    assert_eq!(case.report(&events, minute(600)), before);
}

#[test]
fn only_strangers_are_assigned_and_only_to_those_expected() {
    let (case, events, eve) = with_eve();
    let report = case.report(&events, minute(600));
    let assign = |attendee: &AttendeeId, assignee: Assignee| {
        let wish = OverrideRequest { present: None, assign_to: Some(Some(assignee)) };
        decide(&report, &case.rulings, attendee, &wish)
    };
    assert!(matches!(assign(&case.id("ada"), bob()), Err(Refusal::Conflict(_))));
    let nobody = Assignee::User(UserId::parse("nobody").unwrap());
    assert!(matches!(assign(&eve, nobody), Err(Refusal::Invalid(_))));
    assert!(matches!(assign(&eve, Assignee::Attendee(eve.clone())), Err(Refusal::Invalid(_))));
    assert_eq!(assign(&case.id("nobody"), bob()), Err(Refusal::NotFound));
    assert!(assign(&eve, Assignee::Attendee(case.id("ada"))).is_ok());
}

#[test]
fn presence_said_with_an_assignment_is_said_of_the_person() {
    let (case, events, eve) = with_eve();
    let report = case.report(&events, minute(600));
    let wish = OverrideRequest { present: Some(Some(true)), assign_to: Some(Some(bob())) };
    let decision = decide(&report, &case.rulings, &eve, &wish).unwrap();
    let ruling = |present, assigned_to| AttendanceOverride { present, assigned_to };
    let expected = BTreeMap::from([
        (case.id("bob"), ruling(Some(true), None)),
        (eve, ruling(None, Some(case.id("bob")))),
    ]);
    assert_eq!(decision.changed, expected);
}
