//! Requests at the edges of the grammar: unreadable headers, unusual JSON, and unknown query parameters.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::support::{fields, patched, session_path};
use crate::world::{Response, World, course_session_body, session_body};

/// A world with a trainer and a class of `course-1` with a manual link.
async fn scheduled() -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let session = world.create(&trainer, &manual(course_session_body(50))).await.expect(201);
    (world, trainer, session)
}

fn manual(body: Value) -> Value {
    patched(body, json!({"provider": "manual", "join_url": "https://meet.example.test/a"}))
}

/// Sends a request with a header that need not be text.
async fn send(
    world: &World,
    (method, path): (Method, &str),
    token: &str,
    header: (&str, &[u8]),
    body: Vec<u8>,
) -> Response {
    let http = shared::net::http_client("live-classes/tests").expect("an HTTP client");
    let value = HeaderValue::from_bytes(header.1).expect("a header value");
    let request =
        http.request(method, format!("{}{path}", world.stack.base_url)).bearer_auth(token);
    let request = request.header("content-type", "application/json").header(header.0, value);
    let response = request.body(body).send().await.expect("the stack responds");
    let (status, headers) = (response.status(), response.headers().clone());
    Response { status, headers, text: response.text().await.expect("a complete response body") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_if_match_edits_nothing() {
    let (world, trainer, session) = scheduled().await;
    let path = session_path(&session);
    let body = patched(manual(course_session_body(50)), json!({"title": "Geometry"}));
    let edit = async |sent: &[u8]| {
        let request = (Method::PUT, &*path);
        send(&world, request, &trainer, ("if-match", sent), body.to_string().into()).await
    };
    for sent in
        [&b"1"[..], b"\"1", b"soon", b"\xe9", b"\"1\"\xe9", b"\xff\xfe", b"*, \"1\"", b"' '"]
    {
        let problem = edit(sent).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), ["If-Match"], "{}", String::from_utf8_lossy(sent));
    }
    // Well-formed, but no version of this class. A weak tag never matches.
    for sent in
        [&b"\"01\""[..], b"\"+1\"", b"W/\"1\"", b"\"2\"", b"\"\xe9\"", b"\"\"", b"W/\"1\", \"3\""]
    {
        edit(sent).await.expect_problem(412, "precondition_failed");
    }
    assert_eq!(world.get(&trainer, &path).await.expect(200)["version"], 1);
    assert_eq!(edit(b"\"7\", W/\"8\" ,\"1\"").await.expect(200)["version"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_header_is_not_a_missing_one() {
    let (world, trainer, session) = scheduled().await;
    let polls = format!("{}/polls", session_path(&session));
    let report = format!("{}/attendance", session_path(&session));
    let body = manual(session_body(60)).to_string();
    let before = world.list_items(&trainer, "/v1/sessions").await.len();
    for (method, path, name, sent, field) in [
        (Method::POST, "/v1/sessions", "idempotency-key", &b"a\tb"[..], "Idempotency-Key"),
        (Method::POST, "/v1/sessions", "idempotency-key", b"\xe9", "Idempotency-Key"),
        (Method::POST, "/v1/sessions", "idempotency-key", b"", "Idempotency-Key"),
        (Method::GET, &*polls, "if-none-match", b"\xe9", "If-None-Match"),
        (Method::GET, &*polls, "if-none-match", b"1", "If-None-Match"),
        (Method::GET, &*polls, "accept", b"text/csv;\xe9", "Accept"),
        (Method::GET, &*report, "accept", b"\xe9", "Accept"),
    ] {
        let body = if method == Method::GET { Vec::new() } else { body.clone().into() };
        let response = send(&world, (method, path), &trainer, (name, sent), body).await;
        let problem = response.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{path} {}", String::from_utf8_lossy(sent));
    }
    let bearer = [b"Bearer \xe9", trainer.as_bytes()].concat();
    for sent in [&b"\xe9"[..], &bearer] {
        let unreadable = ("authorization", sent);
        let response = send(&world, (Method::GET, &polls), "", unreadable, Vec::new()).await;
        response.expect_problem(401, "unauthenticated");
    }
    assert_eq!(world.list_items(&trainer, "/v1/sessions").await.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_body_is_read_as_its_standard_allows() {
    let (world, trainer, _) = scheduled().await;
    let post = async |key: &str, body: &str| {
        let bearer = format!("Bearer {trainer}");
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        world.send(Method::POST, "/v1/sessions", &headers, body.into()).await
    };
    let text = manual(session_body(60)).to_string();
    let created = post("one", &text).await.expect(201);
    // The same body in another spelling, with the same key.
    let with_null = patched(manual(session_body(60)), json!({"description": ""})).to_string();
    let with_null = with_null.replace(r#""description":"""#, r#""description":null"#);
    for same in [
        format!("\u{feff}{text}"),
        text.replace(":60,", ":60.0,"),
        text.replace(":60,", ":6e1,"),
        with_null,
    ] {
        assert_ne!(same, text);
        assert_eq!(post("one", &same).await.expect(201)["id"], created["id"], "{same}");
    }
    let repeated = text.replacen('{', r#"{"title":"Algebra I","#, 1);
    let problem = post("two", &repeated).await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&problem), ["title"]);
    let problem = post("two", &text.replace(":60,", ":60.5,")).await;
    assert_eq!(fields(&problem.expect_problem(422, "validation_failed")), ["duration_minutes"]);

    let service = world.service().await;
    let lines = "\u{feff}{\"type\":\"user\",\"id\":\"a\",\"deleted\":true}\n\
                 {\"type\":\"user\",\"id\":\"a\",\"id\":\"b\",\"deleted\":true}";
    let sent = world.send_raw(Method::POST, "/v1/directory/import", &service, lines.into()).await;
    let outcome = sent.expect(200);
    assert_eq!(outcome["accepted"], 1, "{outcome}");
    assert_eq!(outcome["rejected"][0]["field"], "id", "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outside_its_grammar_is_refused_with_the_accepted_forms() {
    let (world, trainer, _) = scheduled().await;
    for text in [
        "2026-12-01T10:00:00+01:00[Europe/Berlin]",
        "2026-12-01T10:00:00+25:00",
        "20261201T100000Z",
        "2026-12-01T10:00:60",
        "2026-12-01T10:00:00,5Z",
        "2026-12-01T10:00",
    ] {
        let body = patched(manual(session_body(60)), json!({"starts_at": text}));
        let problem = world.create(&trainer, &body).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), ["starts_at"], "{text}");
        let message = problem["errors"][0]["message"].as_str().expect("a message");
        for form in ["2026-12-01T09:00:00Z", "2026-12-01T10:00:00"] {
            assert!(message.contains(form), "{message}");
        }
        for field in ["from", "to"] {
            let encoded = text.replace('+', "%2B").replace('[', "%5B").replace(']', "%5D");
            let list = world.get(&trainer, &format!("/v1/sessions?{field}={encoded}")).await;
            assert_eq!(fields(&list.expect_problem(422, "validation_failed")), [field], "{text}");
        }
    }
    let body = patched(manual(session_body(60)), json!({"timezone": "Factory"}));
    let problem = world.create(&trainer, &body).await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&problem), ["timezone"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn students_list_is_filtered_by_course() {
    let (world, trainer, session) = scheduled().await;
    let invited =
        json!({"audience_type": "invitees", "invitees": [{"email": "student1@example.test"}]});
    world.create(&trainer, &patched(manual(session_body(51)), invited)).await.expect(201);
    let student = world.student(1).await;
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 2);
    let listed = world.list_items(&student, "/v1/me/sessions?course_id=course-1").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], session["id"]);
    for (token, course) in [(&student, "course-2"), (&world.student(9).await, "course-1")] {
        let path = format!("/v1/me/sessions?course_id={course}");
        assert_eq!(world.list_items(token, &path).await, Vec::<Value>::new());
    }
    for (query, field) in
        [("status=live", "status"), ("course_id=a%23b", "course_id"), ("limit=1&limit=2", "limit")]
    {
        let problem = world.get(&student, &format!("/v1/me/sessions?{query}")).await;
        assert_eq!(fields(&problem.expect_problem(422, "validation_failed")), [field]);
    }
}
