//! Conditions between the fields of a request. They are outside of `allOf`, `anyOf` and `oneOf`, which generators of clients
//! take for types.

use serde_json::{Value, json};

use super::Spec;

/// Asserts for each body whether its schema accepts it.
fn assert_accepted(spec: &Spec, schema: &Value, cases: &[(Value, bool)]) {
    for (body, is_accepted) in cases {
        assert_eq!(spec.schema_errors(schema, body).is_empty(), *is_accepted, "{body}");
    }
}

#[test]
fn run_has_one_class_or_one_number_of_days() {
    let spec = Spec::read();
    let cases = [
        (json!({"kind": "meetings"}), false),
        (json!({"kind": "meetings", "days_ahead": 3}), true),
        (json!({"kind": "recordings", "days_back": 3}), true),
        (json!({"kind": "meetings", "session_id": "ses_a"}), true),
        (json!({"kind": "meetings", "session_id": "ses_a", "days_ahead": 3}), false),
        (json!({"kind": "attendance", "days_back": 3, "days_ahead": 3}), false),
    ];
    assert_accepted(&spec, &spec.component("RunRequest"), &cases);
}

#[test]
fn payment_brings_a_course_or_classes() {
    let spec = Spec::read();
    let class = json!({"trainer_id": "t", "title": "Algebra", "audience_type": "standalone",
        "starts_at": "2026-12-01T10:00:00Z", "duration_minutes": 60});
    let cases = [
        (json!({"user_id": "u"}), false),
        (json!({"user_id": "u", "course_id": null}), false),
        (json!({"user_id": "u", "sessions": []}), false),
        (json!({"user_id": "u", "course_id": "c"}), true),
        (json!({"user_id": "u", "course_id": "c", "sessions": null}), true),
        (json!({"user_id": "u", "sessions": [class]}), true),
    ];
    assert_accepted(&spec, &spec.component("PaymentRequest"), &cases);
}

#[test]
fn attendance_override_changes_something() {
    let spec = Spec::read();
    let path = "/v1/sessions/{id}/attendance/{attendee_id}";
    let body = &spec.0["paths"][path]["put"]["requestBody"]["content"]["application/json"];
    let cases = [
        (json!({}), false),
        (json!({"reason": "Ill."}), false),
        (json!({"present": null}), true),
        (json!({"status": null}), true),
        (json!({"assign_to": null}), false),
        (json!({"assign_to": null, "reason": "Wrong row."}), true),
        (json!({"present": true, "assign_to": {"user_id": "u"}}), false),
    ];
    assert_accepted(&spec, &body["schema"], &cases);
}

#[test]
fn row_of_bulk_override_has_a_presence_or_a_status() {
    let spec = Spec::read();
    let id = "att_bbbbbbbbbbbbbbbbbbbbbbbbbb";
    let cases = [
        (json!({"attendee_id": id}), false),
        (json!({"present": true}), false),
        (json!({"attendee_id": id, "present": null}), true),
        (json!({"attendee_id": id, "status": "excused"}), true),
        (json!({"attendee_id": id, "status": null}), true),
        (json!({"attendee_id": id, "present": true, "status": null}), false),
    ];
    assert_accepted(&spec, &spec.component("AttendanceRowDecision"), &cases);
}

#[test]
fn only_deletions_have_deleted() {
    let spec = Spec::read();
    let course = |deleted: bool| json!({"type": "course", "id": "c", "title": "A", "trainer_id": "t", "deleted": deleted});
    let cases = [
        (course(false), true),
        // A deletion ignores other members.
        (course(true), true),
        (json!({"type": "course", "id": "c", "deleted": true}), true),
        (json!({"type": "course", "id": "c", "deleted": false}), false),
        (json!({"type": "course", "id": "c"}), false),
        (json!({"type": "settings", "deleted": true}), false),
        (json!({"type": "enrollment", "course_id": "c", "user_id": "u", "deleted": true}), true),
    ];
    assert_accepted(&spec, &spec.component("ImportLine"), &cases);
}
