//! Errors of hosts in the platform's own Zoom account, of their licences, and of guests.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::config::names;
use shared::domain::platform_host::LicenceMode;
use shared::handlers::GUEST_ROUTES;

use super::{OVERSIZED_BODY_BYTES, People};
use crate::functions::DirectFunctions;
use crate::guests::guest_tokens;
use crate::licences::host_trainer;
use crate::openapi::responses::CheckedApi;
use crate::support::patched;
use crate::world::session_body;

pub(super) async fn check_hosts(api: &mut CheckedApi, people: &People) {
    let body = json!({"email": "host@example.test", "create": "auto", "licence": "none"});
    let service = &*people.service;
    api.put(service, "/v1/hosts/trainer-2", body.clone()).await.expect(202);
    api.put(service, "/v1/hosts/trainer-3", body).await.expect_problem(409, "conflict");
    api.world.stack.schedules.run("meeting-sweep").await.expect("a report");
    let hosted = patched(session_body(90), json!({"title": "Hosted"}));
    api.post(&people.other, "/v1/sessions", hosted).await.expect(201);
    let host = "/v1/hosts/trainer-2";
    let delete = Method::DELETE;
    let refused = api.request(delete.clone(), host, service, None, &[]).await;
    refused.expect_problem(409, "conflict");
    let forced = format!("{host}?force=true");
    api.request(delete, &forced, service, None, &[]).await.expect(202);
}

/// The errors of a guest link. Some occur only in deployments in which guests join on the trainer's behalf.
pub(super) async fn check_guests(api: &mut CheckedApi, people: &People) {
    const JOIN: &str = "/v1/guest/join";
    let trainer = &*people.trainer;
    let (session, body) = create_guest_session(api, people, 120).await;
    for route in GUEST_ROUTES {
        for (token, status, code) in
            [(json!("x"), 404, "not_found"), (json!(1), 422, "validation_failed")]
        {
            let body = json!({"token": token});
            api.post("", route.path, body).await.expect_problem(status, code);
        }
        let long = vec![b' '; OVERSIZED_BODY_BYTES];
        let gzip: &[(&str, &str)] = &[("content-encoding", "gzip")];
        for (headers, bytes, status, code) in [
            (&[][..], long, 413, "payload_too_large"),
            (gzip, vec![0x1f, 0x8b], 415, "unsupported_media_type"),
        ] {
            let response = api.world.send(Method::POST, route.path, headers, bytes).await;
            api.check(&Method::POST, route.path, &response);
            response.expect_problem(status, code);
        }
        while api.post("", route.path, json!({"token": "x"})).await.status != 429 {}
        // The routes of one function share the limit.
        api.world.advance(SignedDuration::from_secs(60));
    }
    api.post("", JOIN, body.clone()).await.expect_problem(409, "too_early");
    api.world.advance(SignedDuration::from_mins(115));

    let on_behalf = DirectFunctions::new(&api.world, &[(names::JOIN_MODE, "signature_obf")]);
    let join = async |api: &mut CheckedApi, status: u16, code: &str| {
        let response = on_behalf.call("join", "POST", JOIN, "", Some(&body)).await;
        api.check(&Method::POST, JOIN, &response);
        response.expect_problem(status, code);
    };
    join(api, 409, "waiting_for_host").await;
    let meeting = session["meeting"]["id"].as_str().expect("a meeting").to_owned();
    let act = |verb: &str| format!("/zoom/sim/meetings/{meeting}/{verb}");
    api.world.post("", &act("start"), json!({})).await;
    api.world.stack.zoom.deliver_due().await;
    for (kind, status, code) in [
        (FaultKind::Throttle, 429, "zoom_rate_limited"),
        (FaultKind::Html, 502, "zoom_unavailable"),
    ] {
        api.world.inject_fault(Fault::new(Service::Zoom, "obf", kind).times(2));
        join(api, status, code).await;
        api.world.stack.faults.clear();
    }
    let limited = "decision=allow&account=app&scopes=user:read:user";
    api.connect_zoom_as(trainer, limited).await.expect(200);
    join(api, 409, "missing_scopes").await;
    api.delete(trainer, "/v1/zoom/connection").await.expect(204);
    join(api, 409, "zoom_not_connected").await;
    api.connect_zoom_as(trainer, "decision=allow&account=other").await.expect(200);
    join(api, 409, "conflict").await;
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    api.world.deauthorize_without_event("trainer@app.zoom.test").await;
    api.world.advance(SignedDuration::from_mins(5));
    join(api, 409, "reauth_required").await;
    api.connect_zoom_as(trainer, "decision=allow&account=app").await.expect(200);
    api.world.advance(SignedDuration::from_mins(30));
    api.world.post("", &act("end"), json!({})).await;
    api.world.stack.zoom.deliver_due().await;
    api.post("", JOIN, body).await.expect_problem(409, "session_ended");

    let (session, body) = create_guest_session(api, people, 5).await;
    let number = session["meeting"]["id"].as_str().expect("a meeting");
    let meeting = format!("/zoom/sim/meetings/{number}");
    api.world.call(Method::DELETE, &meeting, "", None, &[]).await.expect(204);
    api.world.stack.zoom.deliver_due().await;
    api.post("", JOIN, body).await.expect_problem(409, "no_meeting_yet");
}

/// Creates a session that begins in so many minutes, and returns it with the body of a request by its guest.
pub(super) async fn create_guest_session(
    api: &mut CheckedApi,
    people: &People,
    minutes: i64,
) -> (Value, Value) {
    let starts_at = api.world.now() + SignedDuration::from_mins(minutes);
    let invited = json!({
        "audience_type": "invitees", "invitees": [{"email": "gil@guests.test"}], "starts_at": starts_at,
    });
    let body = patched(session_body(1), invited);
    let session = api.post(&people.trainer, "/v1/sessions", body).await.expect(201);
    api.world.run_outbox_sweep().await;
    let (_, token) = guest_tokens(&api.world, "gil@guests.test").pop().expect("a mail");
    (session, json!({"token": token}))
}

/// The trainer's host in the platform's account has no licence, and none is free.
pub(super) async fn check_licences(api: &mut CheckedApi, people: &People) {
    api.world.put_user("trainer-4", json!({})).await;
    let hosted = host_trainer(&api.world, "trainer-4", LicenceMode::Leased).await;
    api.set(people, json!({"licence_limit": 0, "licence_shortage": "refuse"})).await;
    let starts_at = api.world.now() + SignedDuration::from_mins(5);
    let body = patched(session_body(1), json!({"starts_at": starts_at}));
    let made = api.post(&hosted.token, "/v1/sessions", body).await.expect(201);
    let path = format!("/v1/sessions/{}/join", made["id"].as_str().expect("an id"));
    api.post(&hosted.token, &path, json!({})).await.expect_problem(409, "no_licence");
}
