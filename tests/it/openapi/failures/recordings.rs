//! Comparisons of recordings, and clicks to watch.

use super::*;

pub(super) async fn check_recordings(api: &mut CheckedApi, people: &People) {
    let trainer = &*people.trainer;
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    let session_path = api.create_session(people, 30).await;
    let sync = format!("{session_path}/recordings/sync");
    for (kind, status, code) in [
        (FaultKind::Throttle, 429, "zoom_rate_limited"),
        (FaultKind::Html, 502, "zoom_unavailable"),
        (FaultKind::Unauthorized, 409, "reauth_required"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, "recordings", kind).times(2));
        api.post(trainer, &sync, json!({})).await.expect_problem(status, code);
        api.world.stack.faults.clear();
        api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    }
    let refusal = Fault::new(Service::Zoom, "recordings", FaultKind::Error);
    api.world.inject_fault(Fault { status: Some(400), ..refusal });
    api.post(trainer, &sync, json!({})).await.expect_problem(502, "zoom_rejected");
    api.connect_zoom_as(trainer, "decision=allow&account=app&scopes=user:read:user")
        .await
        .expect(200);
    api.post(trainer, &sync, json!({})).await.expect_problem(409, "missing_scopes");
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    api.post(trainer, &sync, json!({})).await.expect_problem(409, "zoom_not_connected");
    api.connect_zoom_as(trainer, "decision=allow&account=other").await.expect(200);
    api.post(trainer, &sync, json!({})).await.expect_problem(409, "conflict");
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    api.post(trainer, &sync, json!({})).await.expect(200);
    let view = format!("{session_path}/recordings/some-id/view");
    api.post(&people.service, &view, json!({})).await.expect_problem(403, "forbidden");
    let cancel = format!("{session_path}/cancel");
    api.post(trainer, &cancel, json!({})).await.expect(200);
}
