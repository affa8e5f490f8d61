//! Tests of meetings and users through the REST API.

use super::*;

#[tokio::test]
async fn created_meeting_has_utc_start_links_and_passcode() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let response = bench.create(&token, meeting_body()).await;
    assert_eq!(response.status, StatusCode::CREATED);
    let created = &response.body;
    let id = created["id"].as_i64().unwrap();
    assert!(id > i64::from(u32::MAX), "the id exceeds 32 bits");
    assert_eq!(created["start_time"], "2026-12-01T09:00:00Z");
    assert_eq!(created["timezone"], "Europe/Berlin");
    assert_eq!(created["status"], "waiting");
    assert_eq!(created["host_email"], crate::APP_USER);
    assert!(!created["password"].as_str().unwrap().is_empty());
    let pwd = created["encrypted_password"].as_str().unwrap();
    assert!(created["join_url"].as_str().unwrap().ends_with(&format!("/j/{id}?pwd={pwd}")));
    assert!(created["start_url"].as_str().unwrap().contains("zak="));

    let read = bench.get(&format!("/zoom/v2/meetings/{id}"), &token).await.body;
    assert_eq!(read["uuid"], created["uuid"]);
    let bare = json!({ "topic": "Open", "default_password": false });
    let open = bench.create(&token, bare).await.body;
    assert_eq!(open["password"], "");
    assert!(!open["join_url"].as_str().unwrap().contains("pwd"));
}

#[tokio::test]
async fn utc_start_with_a_zone_is_shifted_as_at_zoom() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let mut twice = meeting_body();
    twice["start_time"] = "2026-12-01T09:00:00Z".into();
    let created = bench.create(&token, twice.clone()).await.body;
    assert_eq!(
        created["start_time"], "2026-12-01T08:00:00Z",
        "9:00 is taken as local time in Berlin"
    );
    twice.as_object_mut().unwrap().remove("timezone");
    assert_eq!(bench.create(&token, twice).await.body["start_time"], "2026-12-01T09:00:00Z");
}

#[tokio::test]
async fn unknown_fields_and_invalid_values_are_named() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let body_with = |field: &str, value: Value| {
        let mut body = meeting_body();
        body[field] = value;
        body
    };
    let setting = |name: &str, value: Value| body_with("settings", json!({ name: value }));
    for (body, field) in [
        (body_with("topic", "x".repeat(201).into()), "topic"),
        (body_with("topic", 5.into()), "topic"),
        (body_with("agenda", "x".repeat(2001).into()), "agenda"),
        (body_with("password", "x".repeat(11).into()), "password"),
        (body_with("password", "pass word".into()), "password"),
        (body_with("password", "pässword".into()), "password"),
        (body_with("duration", 0.into()), "duration"),
        (body_with("duration", 1441.into()), "duration"),
        (body_with("duration", json!(60.5)), "duration"),
        (body_with("type", 4.into()), "type"),
        (body_with("timezone", "Europe/Atlantis".into()), "timezone"),
        (body_with("start_time", "2026-12-01T10:00:00+01:00".into()), "start_time"),
        (body_with("start_time", "tomorrow".into()), "start_time"),
        (body_with("titel", "Algebra".into()), "titel"),
        (setting("auto_recording", "always".into()), "settings.auto_recording"),
        (setting("waiting_room", "yes".into()), "settings.waiting_room"),
        (setting("waitingroom", true.into()), "settings.waitingroom"),
        (setting("enforce_login", true.into()), "settings.enforce_login"),
        (
            setting("continuous_meeting_chat", json!({ "on": true })),
            "settings.continuous_meeting_chat.on",
        ),
        (setting("meeting_invitees", json!([{ "mail": "" }])), "settings.meeting_invitees[0].mail"),
    ] {
        let refused = bench.create(&token, body).await;
        assert_eq!(refused.status_and_code(), (400, 300), "{field}");
        assert_eq!(refused.error_fields(), [field]);
    }
    for valid in
        [body_with("topic", "ö".repeat(200).into()), body_with("password", "Aa1@-_*!#.".into())]
    {
        assert_eq!(bench.create(&token, valid).await.status, StatusCode::CREATED);
    }
    let request = Request::post("/zoom/v2/users/me/meetings")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from(meeting_body().to_string()))
        .unwrap();
    assert_eq!(bench.send(request).await.status_and_code(), (400, 300));
    assert_eq!(bench.create(&token, json!([])).await.status_and_code(), (400, 300));
}

#[tokio::test]
async fn update_changes_only_named_fields_and_bodies_are_recorded() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    let first = json!({ "topic": "Geometry", "settings": { "mute_upon_entry": true } });
    let second = json!({ "start_time": "2026-12-02T10:00:00", "timezone": "Asia/Kolkata" });
    let refused = json!({ "default_password": true });
    for (body, status) in [(&first, 204), (&second, 204), (&refused, 400)] {
        let response = bench.call("PATCH", &path, &token, Some(body.clone())).await;
        assert_eq!(response.status.as_u16(), status, "{}", response.text);
    }
    let read = bench.get(&path, &token).await.body;
    assert_eq!(read["topic"], "Geometry");
    assert_eq!(read["agenda"], "Rings");
    assert_eq!(read["start_time"], "2026-12-02T04:30:00Z");
    assert_eq!(read["settings"]["mute_upon_entry"], true);
    let seen = bench.get(&format!("/zoom/sim/meetings/{id}"), "").await.body;
    assert_eq!(seen["requests"], json!([meeting_body(), first, second, refused]));
    // A start without a zone uses the meeting's zone.
    let body = json!({ "start_time": "2026-12-02T12:00:00" });
    bench.call("PATCH", &path, &token, Some(body)).await;
    assert_eq!(bench.get(&path, &token).await.body["start_time"], "2026-12-02T06:30:00Z");
}

#[tokio::test]
async fn deleted_foreign_and_unknown_meetings_are_not_found() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let stranger = bench.token(&[("user", "ada@school.test")]).await;
    let id = bench.create_meeting(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    for (method, body) in [("GET", None), ("PATCH", Some(json!({}))), ("DELETE", None)] {
        let refused = bench.call(method, &path, &stranger, body.clone()).await;
        assert_eq!(refused.status_and_code(), (404, 3001), "{method} of a foreign meeting");
        let refused = bench.call(method, "/zoom/v2/meetings/12345678901", &token, body).await;
        assert_eq!(refused.status_and_code(), (404, 3001), "{method} of an unknown meeting");
        assert_eq!(refused.body["message"], "Meeting does not exist: 12345678901.");
    }
    assert_eq!(bench.call("DELETE", &path, &token, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.call("DELETE", &path, &token, None).await.status_and_code(), (404, 3001));
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (404, 3001));
    assert_eq!(bench.zoom.meeting(id).unwrap()["status"], "deleted");
    let back = json!({ "action": "recover" });
    let status = format!("{path}/status");
    assert_eq!(bench.call("PUT", &status, &token, Some(back)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.get(&path, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn path_of_another_user_requires_the_account_scope() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    bench.token(&[("user", "ada@school.test")]).await;
    let refused = bench.get("/zoom/v2/users/ada@school.test/meetings", &token).await;
    assert_eq!(refused.status_and_code(), (400, 4711));
    assert!(refused.text.contains("scopes:[meeting:read:list_meetings:admin]"));
    let unknown = bench.get("/zoom/v2/users/nobody@school.test/meetings", &token).await;
    assert_eq!(unknown.status_and_code(), (404, 1001));
    let own = format!("/zoom/v2/users/{}/meetings", crate::APP_USER.replace('@', "%40"));
    assert_eq!(bench.get(&own, &token).await.status, StatusCode::OK);
    let account = bench.account_token().await;
    let for_ada = "/zoom/v2/users/ada@school.test/meetings";
    let created = bench.call("POST", for_ada, &account, Some(meeting_body())).await;
    assert_eq!(created.body["host_email"], "ada@school.test");
    let path = format!("/zoom/v2/meetings/{}", created.body["id"]);
    assert_eq!(bench.get(&path, &account).await.status, StatusCode::OK);
}

#[tokio::test]
async fn settings_that_the_account_forbids_are_dropped() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let mut body = meeting_body();
    body["settings"] =
        json!({ "auto_recording": "cloud", "join_before_host": true, "watermark": true });
    let settings = async || {
        let response = bench.create(&token, body.clone()).await;
        assert_eq!(response.status, StatusCode::CREATED);
        let settings = &response.body["settings"];
        json!([settings["auto_recording"], settings["join_before_host"], settings["watermark"]])
    };
    assert_eq!(settings().await, json!(["cloud", true, true]));
    let forbid = json!({ "forbid": ["join_before_host", "auto_recording=cloud"] });
    bench.update_settings(json!({ "accounts": { "app": forbid } })).await;
    assert_eq!(settings().await, json!(["none", false, true]));
    body["settings"]["auto_recording"] = "local".into();
    let local = bench.create(&token, body.clone()).await.body;
    assert_eq!(local["settings"]["auto_recording"], "local");
    body["settings"]["auto_recording"] = "cloud".into();
    bench
        .update_settings(json!({ "accounts": { "app": { "plan": "basic", "forbid": [] } } }))
        .await;
    let basic = bench.create(&token, body.clone()).await.body;
    assert_eq!(basic["settings"]["auto_recording"], "none");
    assert_eq!(basic["settings"]["join_before_host"], true);
    body["settings"]["waiting_room"] = true.into();
    let waiting = bench.create(&token, body).await.body;
    assert_eq!(
        waiting["settings"]["join_before_host"], false,
        "a waiting room disables joining before the host"
    );
}

#[tokio::test]
async fn lists_are_paginated_filtered_and_truncate_agendas() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    for day in 1..=5 {
        let mut body = meeting_body();
        body["start_time"] = format!("2026-12-0{day}T10:00:00").into();
        body["agenda"] = "ä".repeat(300).into();
        bench.create(&token, body).await;
    }
    let mut past = meeting_body();
    past["start_time"] = "2026-11-01T10:00:00".into();
    bench.create(&token, past).await;
    let count = async |query: &str| {
        let response = bench.get(&format!("/zoom/v2/users/me/meetings?{query}"), &token).await;
        response.body["meetings"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 6);
    assert_eq!(count("type=upcoming").await, 5);
    assert_eq!(count("type=previous_meetings").await, 1);
    assert_eq!(count("type=live").await, 0);
    assert_eq!(count("from=2026-12-02&to=2026-12-03").await, 2);
    for (query, field) in [
        ("type=all", "type"),
        ("page_size=301", "page_size"),
        ("page_size=many", "page_size"),
        ("from=yesterday", "from"),
    ] {
        let refused = bench.get(&format!("/zoom/v2/users/me/meetings?{query}"), &token).await;
        assert_eq!((refused.status_and_code(), refused.error_fields()), ((400, 300), vec![field]));
    }
    let first = bench.get("/zoom/v2/users/me/meetings?page_size=4", &token).await.body;
    assert_eq!(first["meetings"].as_array().unwrap().len(), 4);
    assert_eq!(first["meetings"][1]["agenda"].as_str().unwrap().chars().count(), 250);
    assert_eq!((&first["total_records"], &first["page_count"]), (&json!(6), &json!(2)));
    let next = first["next_page_token"].as_str().unwrap();
    let path = format!("/zoom/v2/users/me/meetings?page_size=4&next_page_token={next}");
    let second = bench.get(&path, &token).await.body;
    assert_eq!(second["meetings"].as_array().unwrap().len(), 2);
    assert_eq!(second["next_page_token"], "");
    let elsewhere = format!("/zoom/v2/users/me/meetings?type=live&next_page_token={next}");
    assert_eq!(bench.get(&elsewhere, &token).await.status_and_code(), (400, 300));
    bench.wait(15 * 60);
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (400, 300));
}

#[tokio::test]
async fn on_behalf_token_requires_the_host_to_be_present() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    let ask =
        async |query: &str| bench.get(&format!("/zoom/v2/users/me/token?{query}"), &token).await;
    assert!(ask("type=zak").await.body["token"].as_str().unwrap().len() > 20);
    for query in ["", "type=token", "type=other", "type=zak&ttl=0", "type=onbehalf"] {
        assert_eq!(ask(query).await.status_and_code(), (400, 300), "{query}");
    }
    let on_behalf = format!("type=onbehalf&meeting_id={id}");
    assert_eq!(ask(&on_behalf).await.status, StatusCode::BAD_REQUEST, "before the start");
    let started = bench.act(id, "start", json!({})).await;
    assert_eq!(ask(&on_behalf).await.status, StatusCode::OK);
    let host = &started["participants"][0]["participant_uuid"];
    bench.act(id, "leave", json!({ "participant_uuid": host })).await;
    assert_eq!(ask(&on_behalf).await.status, StatusCode::BAD_REQUEST, "after the host left");
    assert_eq!(ask("type=onbehalf&meeting_id=1").await.status_and_code(), (404, 3001));
}

#[tokio::test]
async fn edit_on_zooms_pages_changes_the_meeting_and_emits_an_event() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create(&token, meeting_body()).await.body["id"].as_i64().unwrap();
    let path = format!("/zoom/sim/meetings/{id}");
    let edited = bench.call("PATCH", &path, "", Some(json!({ "topic": "Renamed" }))).await;
    assert_eq!((edited.status, &edited.body["topic"]), (StatusCode::OK, &json!("Renamed")));
    let event = &bench.bodies("meeting.updated")[0];
    assert_eq!(event["payload"]["object"]["topic"], "Renamed");
    assert_eq!(edited.body["requests"].as_array().unwrap().len(), 1, "it is no request of the app");
    let unknown = bench.call("PATCH", "/zoom/sim/meetings/1", "", Some(json!({}))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
