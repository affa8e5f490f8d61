//! Meetings by the REST interface: what is taken, what is refused, and what comes back.

use super::*;

#[tokio::test]
async fn a_created_meeting_is_given_back_in_utc_with_links_and_a_passcode() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let reply = bench.create(&token, class()).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let made = &reply.body;
    let id = made["id"].as_i64().unwrap();
    assert!(id > i64::from(u32::MAX), "beyond ten digits");
    assert_eq!(made["start_time"], "2026-12-01T09:00:00Z");
    assert_eq!(made["timezone"], "Europe/Berlin");
    assert_eq!(made["status"], "waiting");
    assert_eq!(made["host_email"], crate::zoom::APP_USER);
    assert!(!made["password"].as_str().unwrap().is_empty());
    let pwd = made["encrypted_password"].as_str().unwrap();
    assert!(made["join_url"].as_str().unwrap().ends_with(&format!("/j/{id}?pwd={pwd}")));
    assert!(made["start_url"].as_str().unwrap().contains("zak="));

    let read = bench.get(&format!("/zoom/v2/meetings/{id}"), &token).await.body;
    assert_eq!(read["uuid"], made["uuid"]);
    let bare = json!({ "topic": "Open", "default_password": false });
    let open = bench.create(&token, bare).await.body;
    assert_eq!(open["password"], "");
    assert!(!open["join_url"].as_str().unwrap().contains("pwd"));
}

#[tokio::test]
async fn a_start_in_utc_with_a_zone_lands_in_the_wrong_hour_as_it_does_at_zoom() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let mut twice = class();
    twice["start_time"] = "2026-12-01T09:00:00Z".into();
    let made = bench.create(&token, twice.clone()).await.body;
    assert_eq!(made["start_time"], "2026-12-01T08:00:00Z", "nine in Berlin, not in Greenwich");
    twice.as_object_mut().unwrap().remove("timezone");
    assert_eq!(bench.create(&token, twice).await.body["start_time"], "2026-12-01T09:00:00Z");
}

#[tokio::test]
async fn what_is_not_a_field_or_not_a_value_is_refused_by_name() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let with = |field: &str, value: Value| {
        let mut body = class();
        body[field] = value;
        body
    };
    let setting = |name: &str, value: Value| with("settings", json!({ name: value }));
    for (body, field) in [
        (with("topic", "x".repeat(201).into()), "topic"),
        (with("topic", 5.into()), "topic"),
        (with("agenda", "x".repeat(2001).into()), "agenda"),
        (with("password", "x".repeat(11).into()), "password"),
        (with("password", "pass word".into()), "password"),
        (with("password", "pässword".into()), "password"),
        (with("duration", 0.into()), "duration"),
        (with("duration", 1441.into()), "duration"),
        (with("duration", json!(60.5)), "duration"),
        (with("type", 4.into()), "type"),
        (with("timezone", "Europe/Atlantis".into()), "timezone"),
        (with("start_time", "2026-12-01T10:00:00+01:00".into()), "start_time"),
        (with("start_time", "tomorrow".into()), "start_time"),
        (with("titel", "Algebra".into()), "titel"),
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
        assert_eq!(refused.refusal(), (400, 300), "{field}");
        assert_eq!(refused.fields(), [field]);
    }
    for longest in [with("topic", "ö".repeat(200).into()), with("password", "Aa1@-_*!#.".into())] {
        assert_eq!(bench.create(&token, longest).await.status, StatusCode::CREATED);
    }
    let request = Request::post("/zoom/v2/users/me/meetings")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from(class().to_string()))
        .unwrap();
    assert_eq!(bench.send(request).await.refusal(), (400, 300));
    assert_eq!(bench.create(&token, json!([])).await.refusal(), (400, 300));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_every_body_is_remembered() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.class(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    let first = json!({ "topic": "Geometry", "settings": { "mute_upon_entry": true } });
    let second = json!({ "start_time": "2026-12-02T10:00:00", "timezone": "Asia/Kolkata" });
    let refused = json!({ "default_password": true });
    for (body, status) in [(&first, 204), (&second, 204), (&refused, 400)] {
        let reply = bench.call("PATCH", &path, &token, Some(body.clone())).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    }
    let read = bench.get(&path, &token).await.body;
    assert_eq!(read["topic"], "Geometry");
    assert_eq!(read["agenda"], "Rings");
    assert_eq!(read["start_time"], "2026-12-02T04:30:00Z");
    assert_eq!(read["settings"]["mute_upon_entry"], true);
    let seen = bench.get(&format!("/zoom/sim/meetings/{id}"), "").await.body;
    assert_eq!(seen["requests"], json!([class(), first, second, refused]));
    // A start without a zone is in the meeting's own.
    let body = json!({ "start_time": "2026-12-02T12:00:00" });
    bench.call("PATCH", &path, &token, Some(body)).await;
    assert_eq!(bench.get(&path, &token).await.body["start_time"], "2026-12-02T06:30:00Z");
}

#[tokio::test]
async fn deleted_foreign_and_unknown_meetings_do_not_exist() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let stranger = bench.token(&[("user", "ada@school.test")]).await;
    let id = bench.class(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    for (method, body) in [("GET", None), ("PATCH", Some(json!({}))), ("DELETE", None)] {
        let refused = bench.call(method, &path, &stranger, body.clone()).await;
        assert_eq!(refused.refusal(), (404, 3001), "{method} of another's");
        let refused = bench.call(method, "/zoom/v2/meetings/12345678901", &token, body).await;
        assert_eq!(refused.refusal(), (404, 3001), "{method} of none");
        assert_eq!(refused.body["message"], "Meeting does not exist: 12345678901.");
    }
    assert_eq!(bench.call("DELETE", &path, &token, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.call("DELETE", &path, &token, None).await.refusal(), (404, 3001));
    assert_eq!(bench.get(&path, &token).await.refusal(), (404, 3001));
    assert_eq!(bench.zoom.meeting(id).unwrap()["status"], "deleted");
    let back = json!({ "action": "recover" });
    let status = format!("{path}/status");
    assert_eq!(bench.call("PUT", &status, &token, Some(back)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.get(&path, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_users_path_wants_the_accounts_scope() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    bench.token(&[("user", "ada@school.test")]).await;
    let refused = bench.get("/zoom/v2/users/ada@school.test/meetings", &token).await;
    assert_eq!(refused.refusal(), (400, 4711));
    assert!(refused.text.contains("scopes:[meeting:read:list_meetings:admin]"));
    let unknown = bench.get("/zoom/v2/users/nobody@school.test/meetings", &token).await;
    assert_eq!(unknown.refusal(), (404, 1001));
    let own = format!("/zoom/v2/users/{}/meetings", crate::zoom::APP_USER.replace('@', "%40"));
    assert_eq!(bench.get(&own, &token).await.status, StatusCode::OK);
    let account = bench.account_token().await;
    let for_ada = "/zoom/v2/users/ada@school.test/meetings";
    let made = bench.call("POST", for_ada, &account, Some(class())).await;
    assert_eq!(made.body["host_email"], "ada@school.test");
    let path = format!("/zoom/v2/meetings/{}", made.body["id"]);
    assert_eq!(bench.get(&path, &account).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_account_forbids_is_dropped_without_a_word() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let mut wish = class();
    wish["settings"] =
        json!({ "auto_recording": "cloud", "join_before_host": true, "watermark": true });
    let settings = async || {
        let reply = bench.create(&token, wish.clone()).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        let settings = &reply.body["settings"];
        json!([settings["auto_recording"], settings["join_before_host"], settings["watermark"]])
    };
    assert_eq!(settings().await, json!(["cloud", true, true]));
    let forbid = json!({ "forbid": ["join_before_host", "auto_recording=cloud"] });
    bench.knobs(json!({ "accounts": { "app": forbid } })).await;
    assert_eq!(settings().await, json!(["none", false, true]));
    wish["settings"]["auto_recording"] = "local".into();
    let local = bench.create(&token, wish.clone()).await.body;
    assert_eq!(local["settings"]["auto_recording"], "local");
    wish["settings"]["auto_recording"] = "cloud".into();
    bench.knobs(json!({ "accounts": { "app": { "plan": "basic", "forbid": [] } } })).await;
    let basic = bench.create(&token, wish.clone()).await.body;
    assert_eq!(basic["settings"]["auto_recording"], "none");
    assert_eq!(basic["settings"]["join_before_host"], true);
    wish["settings"]["waiting_room"] = true.into();
    let waiting = bench.create(&token, wish).await.body;
    assert_eq!(waiting["settings"]["join_before_host"], false, "a waiting room wins");
}

#[tokio::test]
async fn lists_page_filter_and_cut_the_agenda() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    for day in 1..=5 {
        let mut body = class();
        body["start_time"] = format!("2026-12-0{day}T10:00:00").into();
        body["agenda"] = "ä".repeat(300).into();
        bench.create(&token, body).await;
    }
    let mut past = class();
    past["start_time"] = "2026-11-01T10:00:00".into();
    bench.create(&token, past).await;
    let count = async |query: &str| {
        let reply = bench.get(&format!("/zoom/v2/users/me/meetings?{query}"), &token).await;
        reply.body["meetings"].as_array().unwrap().len()
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
        assert_eq!((refused.refusal(), refused.fields()), ((400, 300), vec![field]));
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
    assert_eq!(bench.get(&elsewhere, &token).await.refusal(), (400, 300));
    bench.wait(15 * 60);
    assert_eq!(bench.get(&path, &token).await.refusal(), (400, 300));
}

#[tokio::test]
async fn start_tokens_are_for_the_asking_and_on_behalf_tokens_while_the_host_is_in() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.class(&token).await;
    let ask =
        async |query: &str| bench.get(&format!("/zoom/v2/users/me/token?{query}"), &token).await;
    assert!(ask("type=zak").await.body["token"].as_str().unwrap().len() > 20);
    for query in ["", "type=token", "type=other", "type=zak&ttl=0", "type=onbehalf"] {
        assert_eq!(ask(query).await.refusal(), (400, 300), "{query}");
    }
    let on_behalf = format!("type=onbehalf&meeting_id={id}");
    assert_eq!(ask(&on_behalf).await.status, StatusCode::BAD_REQUEST, "before the start");
    let started = bench.act(id, "start", json!({})).await;
    assert_eq!(ask(&on_behalf).await.status, StatusCode::OK);
    let host = &started["participants"][0]["participant_uuid"];
    bench.act(id, "leave", json!({ "participant_uuid": host })).await;
    assert_eq!(ask(&on_behalf).await.status, StatusCode::BAD_REQUEST, "after the host left");
    assert_eq!(ask("type=onbehalf&meeting_id=1").await.refusal(), (404, 3001));
}

#[tokio::test]
async fn administrators_make_users_while_there_are_licences() {
    let bench = Bench::new();
    let token = bench.account_token().await;
    let new = |email: &str| {
        let info = json!({ "email": email, "type": 2, "first_name": "Ada", "last_name": "L" });
        Some(json!({ "action": "custCreate", "user_info": info }))
    };
    let made = bench.call("POST", "/zoom/v2/users", &token, new("ada@school.test")).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let again = bench.call("POST", "/zoom/v2/users", &token, new("ADA@school.test")).await;
    assert_eq!(again.refusal(), (409, 1005));
    bench.knobs(json!({ "accounts": { "app": { "licenses": 2 } } })).await;
    let third = bench.call("POST", "/zoom/v2/users", &token, new("bob@school.test")).await;
    assert_eq!(third.refusal(), (400, 2034));
    let path = format!("/zoom/v2/users/{}", made.body["id"].as_str().unwrap());
    let basic = bench.call("PATCH", &path, &token, Some(json!({ "type": 1 }))).await;
    assert_eq!(basic.status, StatusCode::NO_CONTENT);
    let bob = bench.call("POST", "/zoom/v2/users", &token, new("bob@school.test")).await;
    assert_eq!(bob.status, StatusCode::CREATED);
    let back = bench.call("PATCH", &path, &token, Some(json!({ "type": 2 }))).await;
    assert_eq!(back.refusal(), (400, 2034));
    let user = bench.token(&[]).await;
    let refused = bench.call("POST", "/zoom/v2/users", &user, new("eve@school.test")).await;
    assert_eq!(refused.refusal(), (400, 4711));
}

#[tokio::test]
async fn a_snapshot_restores_everything() {
    let bench = Bench::new();
    let tokens = bench.exchange(&bench.code(&[]).await).await.body;
    let token = tokens["access_token"].as_str().unwrap();
    let id = bench.class(token).await;
    bench.act(id, "start", json!({})).await;
    let snapshot = bench.zoom.snapshot();
    let other = Bench::new();
    other.zoom.restore(snapshot.clone());
    assert_eq!(other.zoom.snapshot(), snapshot);
    other.zoom.restore(json!({ "meetings": 5 }));
    assert_eq!(other.zoom.snapshot(), snapshot, "what cannot be read changes nothing");
    let read = other.get(&format!("/zoom/v2/meetings/{id}"), token).await;
    assert_eq!(read.body["status"], "started");
}
