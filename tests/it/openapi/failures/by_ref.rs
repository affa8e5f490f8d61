//! The errors of the operations by the platform's own name.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{CheckedApi, People};
use crate::support::patched;
use crate::world::course_session_body;

/// A body of an upsert for `trainer-1`.
pub(super) fn upsert_body(hours: i64) -> Value {
    patched(course_session_body(hours), json!({"trainer_id": "trainer-1"}))
}

/// The trainer is connected before and afterwards.
pub(super) async fn check_names(api: &mut CheckedApi, people: &People) {
    let (trainer, service) = (&*people.trainer, &*people.service);
    let path = |name: &str| format!("/v1/sessions/by-ref/{name}");
    let soon = api.world.now() + SignedDuration::from_mins(5);
    let body = patched(upsert_body(1), json!({"starts_at": soon}));
    for (kind, status, code) in [
        (FaultKind::Throttle, 429, "zoom_rate_limited"),
        (FaultKind::Html, 502, "zoom_unavailable"),
        (FaultKind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, "create_meeting", kind).times(2));
        api.put(service, &path(code), body.clone()).await.expect_problem(status, code);
        api.world.stack.faults.clear();
        api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    }
    let refusal = Fault::new(Service::Zoom, "create_meeting", FaultKind::Error);
    api.world.inject_fault(Fault { status: Some(400), ..refusal });
    api.put(service, &path("rejected"), body.clone()).await.expect_problem(502, "zoom_rejected");
    api.connect_zoom_as(trainer, "decision=allow&account=app&scopes=user:read:user")
        .await
        .expect(200);
    api.put(service, &path("scopes"), body.clone()).await.expect_problem(409, "missing_scopes");
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    let refused = api.put(service, &path("none"), body.clone()).await;
    refused.expect_problem(409, "zoom_not_connected");
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);

    let tag = [("if-match", "\"1\"")];
    let missing = api.request(Method::PUT, &path("class"), service, Some(body.clone()), &tag).await;
    missing.expect_problem(412, "precondition_failed");
    api.put(service, &path("class"), body.clone()).await.expect(201);
    api.set(people, json!({"overlap": "refuse"})).await;
    let overlap = api.put(service, &path("other"), body.clone()).await;
    assert!(overlap.expect_problem(409, "conflict")["conflicting_session_id"].is_string());
    api.set(people, json!({})).await;
    api.world.advance(SignedDuration::from_hours(5));
    api.put(service, &path("class"), body.clone()).await.expect(200);
    api.put(service, &path("class"), upsert_body(400)).await.expect_problem(409, "session_ended");
    api.delete(service, &path("class")).await.expect_problem(409, "session_ended");
}
