//! Tests of meeting instances, participants and recordings, and their events.

use super::*;

async fn started() -> (Bench, String, i64) {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    bench.act(id, "start", json!({})).await;
    (bench, token, id)
}

async fn join(bench: &Bench, id: i64, name: &str) -> String {
    let participant = bench.act(id, "join", json!({ "name": name })).await;
    participant["participant_uuid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn meeting_emits_events_from_start_to_end() {
    let (bench, _, id) = started().await;
    let body = json!({ "name": "Zoë", "customer_key": "key-1" });
    let zoe = bench.act(id, "join", body).await;
    bench.wait(600);
    bench.act(id, "leave", json!({ "participant_uuid": zoe["participant_uuid"] })).await;
    join(&bench, id, "Max").await;
    bench.wait(600);
    let ended = bench.act(id, "end", json!({})).await;
    assert_eq!(ended["status"], "ended");
    assert_eq!(
        bench.events(),
        [
            "meeting.created",
            "meeting.started",
            "meeting.participant_joined",
            "meeting.participant_joined",
            "meeting.participant_left",
            "meeting.participant_joined",
            "meeting.participant_left",
            "meeting.participant_left",
            "meeting.ended",
        ]
    );
    let start = &bench.bodies("meeting.started")[0];
    assert_eq!(start["payload"]["object"]["id"], id.to_string(), "the id is a string");
    assert_eq!(start["event_ts"], 1_795_251_600_000_i64);
    assert_eq!(
        bench.bodies("meeting.created")[0]["payload"]["object"]["id"],
        id,
        "the id is a number"
    );
    let joined = &bench.bodies("meeting.participant_joined")[1]["payload"]["object"]["participant"];
    assert_eq!(joined["user_name"], "Zoë");
    assert_eq!(joined["customer_key"], "key-1");
    assert_eq!(joined["email"], "", "Zoom almost never sends an address");
    assert_eq!(joined["join_time"], "2026-11-21T09:00:00Z");
    let left = &bench.bodies("meeting.participant_left")[0]["payload"]["object"]["participant"];
    assert_eq!(left["participant_uuid"], joined["participant_uuid"]);
    assert_eq!(left["leave_time"], "2026-11-21T09:10:00Z");
    let end = &bench.bodies("meeting.ended")[0]["payload"]["object"];
    assert_eq!(end["end_time"], "2026-11-21T09:20:00Z");
}

#[tokio::test]
async fn joining_before_the_host_requires_the_setting() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    let early = bench.try_act(id, "join", json!({ "name": "Zoë" })).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    for action in ["end", "recording"] {
        let response = bench.try_act(id, action, json!({})).await;
        assert_eq!(response.status, StatusCode::CONFLICT, "{action}");
    }
    let mut open = meeting_body();
    open["settings"] = json!({ "join_before_host": true });
    let open = bench.create(&token, open).await.body["id"].as_i64().unwrap();
    join(&bench, open, "Zoë").await;
    assert_eq!(bench.zoom.meeting(open).unwrap()["status"], "started");
    assert_eq!(bench.events()[2..], ["meeting.started", "meeting.participant_joined"]);
    let again = bench.try_act(open, "start", json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn restart_keeps_the_id_and_gets_a_new_uuid() {
    let (bench, token, id) = started().await;
    let first = bench.zoom.meeting(id).unwrap();
    let path = format!("/zoom/v2/meetings/{id}");
    assert_eq!(bench.get(&path, &token).await.body["status"], "started");
    let status = format!("{path}/status");
    let end = Some(json!({ "action": "end" }));
    assert_eq!(
        bench.call("PUT", &status, &token, end.clone()).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(bench.call("PUT", &status, &token, end).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.get(&path, &token).await.body["status"], "waiting");
    let second = bench.act(id, "start", json!({})).await;
    assert_eq!(second["id"], first["id"]);
    assert_ne!(second["uuid"], first["uuid"]);
    assert_eq!(second["instances"].as_array().unwrap().len(), 2);
    let uuids: Vec<_> = bench.bodies("meeting.started");
    assert_eq!(uuids[0]["payload"]["object"]["uuid"], first["uuid"]);
    assert_eq!(uuids[1]["payload"]["object"]["uuid"], second["uuid"]);
}

#[tokio::test]
async fn room_move_keeps_the_connection_and_changes_the_user_id() {
    let (bench, _, id) = started().await;
    let zoe = join(&bench, id, "Zoë").await;
    let before = bench.events().len();
    let moved = bench.act(id, "room-move", json!({ "participant_uuid": zoe, "room": "A" })).await;
    assert_eq!(moved["participant_uuid"], zoe);
    let mut events = bench.events()[before..].to_vec();
    events.sort();
    assert_eq!(events, ["meeting.participant_joined_breakout_room", "meeting.participant_left"]);
    let left = &bench.bodies("meeting.participant_left")[0];
    let joined = &bench.bodies("meeting.participant_joined_breakout_room")[0];
    assert_eq!(left["event_ts"], joined["event_ts"], "both events have the same time");
    let participant_field =
        |body: &Value, field: &str| body["payload"]["object"]["participant"][field].clone();
    assert_ne!(participant_field(left, "user_id"), participant_field(joined, "user_id"));
    assert_eq!(
        participant_field(left, "participant_uuid"),
        participant_field(joined, "participant_uuid")
    );
    assert_eq!(participant_field(left, "user_id"), participant_field(joined, "parent_user_id"));
    let same_room =
        bench.try_act(id, "room-move", json!({ "participant_uuid": zoe, "room": "A" })).await;
    assert_eq!(same_room.status, StatusCode::CONFLICT);
    bench.act(id, "room-move", json!({ "participant_uuid": zoe })).await;
    assert_eq!(bench.bodies("meeting.participant_left_breakout_room").len(), 1);
}

#[tokio::test]
async fn room_move_emits_events_in_either_order() {
    let (bench, _, id) = started().await;
    let zoe = join(&bench, id, "Zoë").await;
    let before = bench.events().len();
    for room in 0..12 {
        let body = json!({ "participant_uuid": zoe, "room": room.to_string() });
        bench.act(id, "room-move", body).await;
    }
    let events = bench.events()[before..].to_vec();
    let left_first = events.chunks(2).filter(|pair| pair[0].contains("left")).count();
    assert!((1..12).contains(&left_first), "{left_first} of 12");
}

#[tokio::test]
async fn killed_client_leaves_late_and_after_its_rejoin() {
    let (bench, _, id) = started().await;
    let zoe = join(&bench, id, "Zoë").await;
    bench.act(id, "kill", json!({ "participant_uuid": zoe })).await;
    bench.wait(20);
    let again = join(&bench, id, "Zoë").await;
    assert_ne!(again, zoe);
    bench.wait(54);
    bench.zoom.deliver_due().await;
    assert!(bench.bodies("meeting.participant_left").is_empty());
    bench.wait(1);
    bench.zoom.deliver_due().await;
    let left = bench.bodies("meeting.participant_left");
    assert_eq!(left.len(), 1);
    let participant = &left[0]["payload"]["object"]["participant"];
    assert_eq!(participant["participant_uuid"], zoe);
    assert_eq!(participant["leave_time"], "2026-11-21T09:01:15Z");
}

#[tokio::test]
async fn absent_participants_cannot_leave() {
    let (bench, _, id) = started().await;
    let zoe = join(&bench, id, "Zoë").await;
    let leave = json!({ "participant_uuid": zoe });
    bench.act(id, "leave", leave.clone()).await;
    for (body, action) in
        [(leave.clone(), "leave"), (leave, "kill"), (json!({ "participant_uuid": "x" }), "leave")]
    {
        assert_eq!(bench.try_act(id, action, body).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(bench.try_act(1, "start", json!({})).await.status, StatusCode::NOT_FOUND);
    let nameless = bench.try_act(id, "join", json!({})).await;
    assert_eq!(nameless.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn past_participants_are_paginated_without_customer_key() {
    let (bench, token, id) = started().await;
    let body = json!({ "name": "Zoë", "customer_key": "key-1", "email": "zoe@school.test" });
    bench.act(id, "join", body).await;
    let max = join(&bench, id, "Max").await;
    bench.wait(60);
    bench.act(id, "leave", json!({ "participant_uuid": max })).await;
    let path = format!("/zoom/v2/past_meetings/{id}/participants?page_size=2");
    assert_eq!(
        bench.get(&path, &token).await.status_and_code(),
        (404, 3001),
        "the meeting has not ended"
    );
    bench.wait(60);
    bench.act(id, "end", json!({})).await;
    let first = bench.get(&path, &token).await.body;
    assert_eq!(first["total_records"], 3);
    assert_eq!(first["participants"][1]["name"], "Zoë");
    assert_eq!(first["participants"][1]["user_email"], "zoe@school.test");
    assert_eq!(first["participants"][1].get("customer_key"), None);
    assert_eq!(first["participants"][1]["duration"], 120);
    let next = first["next_page_token"].as_str().unwrap();
    let second = bench.get(&format!("{path}&next_page_token={next}"), &token).await.body;
    assert_eq!(second["participants"][0]["duration"], 60);
    bench.update_settings(json!({ "expired_pages": 1 })).await;
    let expired = bench.get(&format!("{path}&next_page_token={next}"), &token).await;
    assert_eq!(expired.status_and_code(), (400, 300));
    let again = bench.get(&path, &token).await.body;
    let next = again["next_page_token"].as_str().unwrap();
    let second = bench.get(&format!("{path}&next_page_token={next}"), &token).await.body;
    assert_eq!(second["participants"][0]["duration"], 60);
    bench.wait(15 * 60);
    let late = bench.get(&format!("{path}&next_page_token={next}"), &token).await;
    assert_eq!(late.status_and_code(), (400, 300));

    let report = format!("/zoom/v2/report/meetings/{id}/participants");
    let refused = bench.get(&report, &token).await;
    assert_eq!(refused.status_and_code(), (400, 4711));
    assert!(refused.text.contains("[report:read:list_meeting_participants:admin]"));
    let account = bench.account_token().await;
    let rows = bench.get(&report, &account).await.body;
    assert_eq!(rows["participants"][1]["customer_key"], "key-1");

    bench.update_settings(json!({ "accounts": { "app": { "plan": "basic" } } })).await;
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (400, 200));
}

#[tokio::test]
async fn uuid_with_a_slash_must_be_encoded_twice() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let mut slashed = 0;
    for _ in 0..12 {
        let id = bench.create_meeting(&token).await;
        let uuid = bench.act(id, "start", json!({})).await["uuid"].as_str().unwrap().to_owned();
        bench.act(id, "end", json!({})).await;
        let once = uuid.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        let twice = once.replace('%', "%25");
        let status = async |named: &str| {
            let path = format!("/zoom/v2/past_meetings/{named}/participants");
            bench.get(&path, &token).await.status_and_code()
        };
        assert_eq!(status(&twice).await.0, 200);
        if uuid.contains('/') {
            slashed += 1;
            assert_eq!(status(&once).await, (404, 3001), "{uuid} once");
            assert_eq!(status(&uuid).await, (404, 3001), "{uuid} raw");
        } else {
            assert_eq!(status(&once).await.0, 200);
        }
    }
    assert!(slashed >= 4, "{slashed} of 12");
}

#[tokio::test]
async fn recording_is_completed_trashed_recovered_and_deleted() {
    let (bench, token, id) = started().await;
    let path = format!("/zoom/v2/meetings/{id}/recordings");
    for action in ["start", "pause", "resume", "stop"] {
        bench.wait(60);
        bench.act(id, "recording", json!({ "action": action })).await;
    }
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (404, 3301));
    bench.act(id, "end", json!({})).await;
    bench.act(id, "recording", json!({})).await;
    let first = bench.get(&path, &token).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.body["recording_count"], 2);
    let shown = &bench.zoom.meeting(id).unwrap()["instances"][0]["recording"];
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["files"][0]["id"], first.body["recording_files"][0]["id"]);
    bench.act(id, "recording", json!({ "action": "complete" })).await;
    let completed = bench.bodies("recording.completed");
    let file =
        |body: &Value, field: &str| body["payload"]["object"]["recording_files"][0][field].clone();
    assert_eq!(file(&completed[0], "id"), file(&completed[1], "id"), "the same file");
    assert_ne!(
        file(&completed[0], "play_url"),
        file(&completed[1], "play_url"),
        "the link differs"
    );
    assert_eq!(file(&completed[0], "recording_start"), "2026-11-21T09:01:00Z");
    assert_eq!(completed[0]["payload"]["object"]["id"], id, "the id is a number");
    assert!(completed[0]["download_token"].is_string());
    let uuid = bench.zoom.meeting(id).unwrap()["uuid"].as_str().unwrap().to_owned();
    let named = uuid.replace('/', "%252F").replace('+', "%252B").replace('=', "%253D");
    let by_uuid = bench.get(&format!("/zoom/v2/meetings/{named}/recordings"), &token).await;
    assert_eq!(by_uuid.status, StatusCode::OK);
    bench.act(id, "recording", json!({ "action": "trash" })).await;
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (404, 3301));
    bench.act(id, "recording", json!({ "action": "recover" })).await;
    assert_eq!(bench.get(&path, &token).await.status, StatusCode::OK);
    bench.act(id, "recording", json!({ "action": "delete" })).await;
    let rejected = bench.try_act(id, "recording", json!({ "action": "recover" })).await;
    assert_eq!(rejected.status, StatusCode::CONFLICT);
    let unknown = bench.try_act(id, "recording", json!({ "action": "rewind" })).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    let names = bench.events();
    for event in
        ["started", "paused", "resumed", "stopped", "completed", "trashed", "recovered", "deleted"]
    {
        assert!(names.contains(&format!("recording.{event}")), "{event}");
    }
}

#[tokio::test]
async fn meeting_with_auto_recording_is_recorded() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let mut recorded = meeting_body();
    recorded["settings"] = json!({ "auto_recording": "cloud" });
    let id = bench.create(&token, recorded).await.body["id"].as_i64().unwrap();
    bench.act(id, "start", json!({})).await;
    assert_eq!(bench.zoom.meeting(id).unwrap()["recording"], "running");
    bench.act(id, "end", json!({})).await;
    assert_eq!(bench.zoom.meeting(id).unwrap()["recording"], "stopped");
}

#[tokio::test]
async fn deauthorization_invalidates_tokens_and_emits_an_event() {
    let bench = Bench::new();
    let token = bench.token(&[("account", "other")]).await;
    bench.update_settings(json!({ "webhooks": { "deauthorized_time": "text" } })).await;
    let deauthorized = bench.call("POST", "/zoom/sim/deauthorize", "", None).await;
    assert_eq!(deauthorized.body["email"], crate::OTHER_USER, "the only user with a grant");
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status_and_code(), (401, 124));
    let event = &bench.bodies("app_deauthorized")[0];
    assert_eq!(event.get("event_ts"), None);
    assert!(event["payload"]["event_ts"].is_string());
    assert_eq!(event["payload"]["user_id"], deauthorized.body["user_id"]);
    let named = Some(json!({ "user": crate::APP_USER }));
    let deactivated = bench.call("POST", "/zoom/sim/deactivate", "", named).await;
    assert_eq!(deactivated.status, StatusCode::OK);
    assert_eq!(bench.bodies("user.deactivated").len(), 1);
}

#[tokio::test]
async fn deletion_at_zoom_ends_the_meeting_and_emits_events() {
    let (bench, token, id) = started().await;
    let deleted = bench.call("DELETE", &format!("/zoom/sim/meetings/{id}"), "", None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    let path = format!("/zoom/v2/meetings/{id}");
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (404, 3001));
    assert_eq!(
        bench.events()[3..],
        ["meeting.participant_left", "meeting.ended", "meeting.deleted"]
    );
    assert_eq!(bench.try_act(id, "start", json!({})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn update_event_has_the_old_values() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    let same = json!({ "topic": "Algebra" });
    bench.call("PATCH", &path, &token, Some(same)).await;
    assert!(bench.bodies("meeting.updated").is_empty(), "nothing changed");
    let body = json!({ "topic": "Geometry", "settings": { "waiting_room": true } });
    bench.call("PATCH", &path, &token, Some(body)).await;
    let event = &bench.bodies("meeting.updated")[0]["payload"];
    assert_eq!(
        (&event["object"]["topic"], &event["old_object"]["topic"]),
        (&json!("Geometry"), &json!("Algebra"))
    );
    assert_eq!(event["object"]["settings"], json!({ "waiting_room": true }));
    assert_eq!(event["object"].get("duration"), None);
}

fn participants(bench: &Bench, event: &str) -> Vec<Value> {
    let bodies = bench.bodies(event).into_iter();
    bodies.map(|body| body["payload"]["object"]["participant"].clone()).collect()
}

#[tokio::test]
async fn waiting_room_events_come_with_or_without_presence_events() {
    for presence in [true, false] {
        let (bench, _, id) = started().await;
        let presence_setting = json!({ "webhooks": { "waiting_room_presence": presence } });
        bench.update_settings(presence_setting).await;
        let max = bench.act(id, "wait", json!({ "name": "Max", "customer_key": "key-1" })).await;
        let max = json!({ "participant_uuid": max["participant_uuid"] });
        assert_eq!(bench.zoom.meeting(id).unwrap()["waiting"].as_array().unwrap().len(), 1);
        let before = bench.events().len();
        bench.wait(60);
        bench.act(id, "admit", max.clone()).await;
        bench.act(id, "put-in-waiting-room", max.clone()).await;
        bench.act(id, "admit", max.clone()).await;
        let names = |verbs: &[&str]| {
            verbs.iter().map(|verb| format!("meeting.participant_{verb}")).collect::<Vec<_>>()
        };
        let expected = match presence {
            true => names(&[
                "admitted",
                "left_waiting_room",
                "joined",
                "put_in_waiting_room",
                "left",
                "admitted",
                "left_waiting_room",
                "joined",
            ]),
            false => names(&[
                "admitted",
                "left_waiting_room",
                "put_in_waiting_room",
                "admitted",
                "left_waiting_room",
            ]),
        };
        assert_eq!(bench.events()[before..], expected);
        let admitted = &participants(&bench, "meeting.participant_admitted")[0];
        assert_eq!(admitted["participant_uuid"], max["participant_uuid"]);
        assert_eq!(admitted["date_time"], "2026-11-21T09:01:00Z");
        assert_eq!(admitted["customer_key"], "key-1");
        let inside = bench.zoom.meeting(id).unwrap()["participants"].clone();
        assert_eq!(inside.as_array().unwrap().len(), 3, "the host, and Max twice");
        let leaves = if presence { 2 } else { 1 };
        bench.act(id, "leave", max.clone()).await;
        assert_eq!(participants(&bench, "meeting.participant_left").len(), leaves);
        assert_eq!(bench.try_act(id, "admit", max).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn meeting_with_waiting_room_admits_everyone_but_the_host() {
    let bench = Bench::new();
    bench.update_settings(json!({ "webhooks": { "waiting_room_presence": true } })).await;
    let token = bench.token(&[]).await;
    let mut body = meeting_body();
    body["settings"] = json!({ "waiting_room": true });
    let id = bench.create(&token, body).await.body["id"].as_i64().unwrap();
    bench.act(id, "start", json!({})).await;
    join(&bench, id, "Max").await;
    let verbs = ["joined_waiting_room", "admitted", "left_waiting_room", "joined"];
    let expected: Vec<_> = verbs.iter().map(|verb| format!("meeting.participant_{verb}")).collect();
    assert_eq!(bench.events()[3..], expected);
}

#[tokio::test]
async fn telephone_has_a_number_and_may_be_bound_to_a_participant() {
    let (bench, _, id) = started().await;
    let zoe = join(&bench, id, "Zoë").await;
    let number = "8615250064084";
    let telephone = json!({ "name": "8615*****84", "phone_number": number });
    let telephone = bench.act(id, "join", telephone).await["participant_uuid"].clone();
    let joined = participants(&bench, "meeting.participant_joined").pop().unwrap();
    assert_eq!((&joined["phone_number"], &joined["email"]), (&json!(number), &json!("")));
    assert!(joined.get("customer_key").is_none());
    let bound = json!({ "participant_uuid": zoe, "bind_participant_uuid": telephone });
    bench.act(id, "bind", bound).await;
    let bound = &participants(&bench, "meeting.participant_bind")[0];
    assert_eq!(bound["participant_uuid"], zoe);
    assert_eq!(bound["bind_participant_uuid"], telephone);
    assert_eq!(bound["phone_number"], number);
    let reversed = json!({ "participant_uuid": telephone, "bind_participant_uuid": zoe });
    assert_eq!(bench.try_act(id, "bind", reversed).await.status, StatusCode::CONFLICT);
    let keyed = json!({ "name": "x", "phone_number": number, "customer_key": "k" });
    assert_eq!(bench.try_act(id, "join", keyed).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn companion_events_have_the_uuid_and_perhaps_a_number() {
    for has_number in [true, false] {
        let (bench, _, id) = started().await;
        bench.update_settings(json!({ "webhooks": { "companion_numbers": has_number } })).await;
        let uuid = bench.zoom.meeting(id).unwrap()["uuid"].clone();
        for (action, event, field) in [
            ("start", "meeting.ai_companion_started", "meeting_number"),
            ("summarize", "meeting.summary_completed", "meeting_id"),
        ] {
            bench.act(id, "companion", json!({ "action": action })).await;
            let object = &bench.bodies(event)[0]["payload"]["object"];
            assert_eq!(object["meeting_uuid"], uuid);
            assert_eq!(object.get(field), has_number.then(|| json!(id)).as_ref(), "{event}");
            assert!(object.get("id").is_none() && object.get("uuid").is_none(), "{event}");
        }
    }
}

#[tokio::test]
async fn recording_has_two_different_secrets() {
    let (bench, token, id) = started().await;
    bench.act(id, "end", json!({})).await;
    bench.act(id, "recording", json!({})).await;
    let event = bench.bodies("recording.completed").pop().unwrap();
    let path = format!("/zoom/v2/meetings/{id}/recordings");
    let listed = bench.get(&path, &token).await.body;
    for object in [&event["payload"]["object"], &listed] {
        assert_eq!(object["password"].as_str().unwrap().len(), 6);
        assert_eq!(object["recording_play_passcode"].as_str().unwrap().len(), 32);
    }
    assert_eq!(
        listed["recording_play_passcode"],
        event["payload"]["object"]["recording_play_passcode"]
    );
}

#[tokio::test]
async fn transcript_is_completed_after_the_recording() {
    let (bench, _, id) = started().await;
    bench.act(id, "end", json!({})).await;
    let early = bench.try_act(id, "recording", json!({ "action": "transcript" })).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    bench.act(id, "recording", json!({})).await;
    bench.act(id, "recording", json!({ "action": "transcript" })).await;
    let object = &bench.bodies("recording.transcript_completed")[0]["payload"]["object"];
    assert_eq!(object["recording_files"].as_array().unwrap().len(), 1);
    assert_eq!(object["recording_files"][0]["file_type"], "TRANSCRIPT");
}

#[tokio::test]
async fn batch_events_name_instances_and_files_without_a_meeting_id() {
    let (bench, _, id) = started().await;
    bench.act(id, "end", json!({})).await;
    bench.act(id, "recording", json!({})).await;
    bench.act(id, "start", json!({})).await;
    bench.act(id, "end", json!({})).await;
    bench.act(id, "recording", json!({})).await;
    let completed = bench.bodies("recording.completed");
    let uuid = |n: usize| completed[n]["payload"]["object"]["uuid"].clone();
    for action in ["batch_trash", "batch_recover", "batch_delete"] {
        bench.act(id, "recording", json!({ "action": action })).await;
    }
    let object = |event: &str| bench.bodies(event)[0]["payload"]["object"].clone();
    assert_eq!(object("recording.batch_trashed"), json!({ "meeting_uuids": [uuid(0), uuid(1)] }));
    for event in ["recording.batch_recovered", "recording.batch_deleted"] {
        let meetings = object(event)["meetings"].clone();
        assert_eq!(meetings[1]["meeting_uuid"], uuid(1));
        assert_eq!(meetings[0]["recording_file_ids"].as_array().unwrap().len(), 2);
        assert!(object(event).get("id").is_none());
    }
    let again = bench.try_act(id, "recording", json!({ "action": "batch_trash" })).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}
