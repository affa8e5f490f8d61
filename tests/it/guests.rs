//! Guests: the link in their mails, its effect and its end, its limits and its cost.

use jiff::SignedDuration;
use local::calls::Service::Dynamodb;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use shared::config::names;
use shared::domain::audience::Invitee;
use shared::domain::id::SessionId;
use shared::domain::link_generation::LinkGenerations;
use shared::domain::text::Email;
use shared::domain::time::whole_milli;
use shared::store::invitations::NewList;

use crate::functions::{
    DirectFunctions, MAIN_TABLE, gateway_event, set_secret, store, table_items,
};
use crate::log::CapturedLog;
use crate::support::patched;
use crate::world::{Response, World, session_body};
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

const GIL: &str = "gil@guests.test";
const HAL: &str = "hal@guests.test";
/// An invited address that the directory has.
const STUDENT: &str = "student1@example.test";

const SESSION: &str = "/v1/guest/session";
const JOIN: &str = "/v1/guest/join";

fn invitees_body(invitees: Value) -> Value {
    patched(
        session_body(HOURS_AHEAD),
        json!({"audience_type": "invitees", "invitees": invitees, "description": "Bring a pencil."}),
    )
}

fn everyone() -> Value {
    json!([{"email": GIL, "name": "Gil Guest"}, {"email": HAL}, {"email": STUDENT}])
}

/// The kinds of the mails to an address, each with the texts of its parts.
fn mails(world: &World, address: &str) -> Vec<(String, String)> {
    let mails = world.stack.aws.mailbox().list().expect("a mailbox").into_iter();
    let addressed = mails.filter(|mail| mail.to.iter().any(|to| to == address));
    let texts = addressed.map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let parts = message.parts.iter().filter_map(|part| part.text_contents());
        // Long lines of a calendar are folded.
        let text = parts.collect::<Vec<_>>().join("\n").replace("\r\n ", "");
        (mail.kind.expect("a kind"), text)
    });
    texts.collect()
}

/// The kinds of the mails to an address, each with the token of its guest link. Every link of a mail is the same.
pub(crate) fn guest_tokens(world: &World, address: &str) -> Vec<(String, Option<String>)> {
    let page = format!("{}/guest/", world.stack.base_url);
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let tokens = mails(world, address).into_iter().map(|(kind, text)| {
        assert!(!text.contains("/sessions/"), "a guest has no class page: {text}");
        let mut links = text
            .split(&page)
            .skip(1)
            .map(|rest| rest.split(|c| !is_digit(c)).next().unwrap_or_default().to_owned());
        let first = links.next();
        assert!(links.all(|link| Some(&link) == first.as_ref()), "{text}");
        (kind, first)
    });
    tokens.collect()
}

/// A session that invites two guests and a student. The trainer has connected Zoom, and the mails were sent.
struct GuestScenario {
    world: World,
    trainer: String,
    session: ScheduledSession,
}

impl GuestScenario {
    async fn start() -> Self {
        Self::start_in_account("app").await
    }

    async fn start_in_account(account: &str) -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, account).await;
        let session = ScheduledSession::schedule(&world, &trainer, invitees_body(everyone())).await;
        world.run_outbox_sweep().await;
        Self { world, trainer, session }
    }

    /// Moves the clock to a minute after the planned start.
    fn move_to(&self, minute: i64) {
        self.world.advance(self.session.at(minute).duration_since(self.world.now()));
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.world.post("", path, body).await
    }

    async fn show(&self, token: &str) -> Response {
        self.post(SESSION, json!({"token": token})).await
    }

    async fn join(&self, token: &str) -> Response {
        self.post(JOIN, json!({"token": token})).await
    }

    async fn edit(&self, invitees: Value) {
        self.world.advance(SignedDuration::from_mins(1));
        let body = invitees_body(invitees);
        self.world.put(&self.trainer, &self.session.path, body).await.expect(200);
        self.world.run_outbox_sweep().await;
    }

    async fn resend(&self, body: Value) {
        self.world.advance(SignedDuration::from_mins(2));
        let path = format!("{}/resend-invite", self.session.path);
        self.world.post(&self.trainer, &path, body).await.expect(202);
        self.world.run_outbox_sweep().await;
    }

    fn mails(&self, address: &str) -> Vec<(String, String)> {
        mails(&self.world, address)
    }

    fn tokens(&self, address: &str) -> Vec<(String, Option<String>)> {
        guest_tokens(&self.world, address)
    }

    /// The token in the latest mail to an address.
    fn token(&self, address: &str) -> String {
        self.tokens(address).pop().expect("a mail").1.expect("a link")
    }

    async fn refused(&self, token: &str, case: &str) {
        let mut bodies = Vec::new();
        for path in [SESSION, JOIN] {
            let mut problem =
                self.post(path, json!({"token": token})).await.expect_problem(404, "not_found");
            problem["request_id"] = Value::Null;
            bodies.push(problem);
        }
        let expected = json!({
            "type": "urn:live-classes:problem:not_found", "title": "Not found", "status": 404,
            "detail": "Not found.", "code": "not_found", "request_id": null,
        });
        assert_eq!(bodies, [expected.clone(), expected], "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mail_of_a_guest_has_the_same_link_and_no_zoom_credentials() {
    let scenario = GuestScenario::start().await;
    let GuestScenario { world, trainer, session } = &scenario;
    let token = scenario.token(GIL);
    assert_eq!(token.len(), 112);
    assert_ne!(token, scenario.token(HAL));
    let changed = patched(invitees_body(everyone()), json!({"title": "Geometry"}));
    world.advance(SignedDuration::from_mins(1));
    world.put(trainer, &session.path, changed).await.expect(200);
    world.run_outbox_sweep().await;
    for minute in [-24 * 60, -60] {
        scenario.move_to(minute);
        world.sweep().await;
        world.run_outbox_sweep().await;
    }
    let link = Some(token.clone());
    let kinds = ["scheduled", "updated", "reminder_day_before", "reminder_hour_before"];
    assert_eq!(scenario.tokens(GIL), kinds.map(|kind| (kind.to_owned(), link.clone())));
    // The directory has the student.
    let page = format!("{}{}", world.stack.base_url, &session.path[3..]);
    let student_mails = scenario.mails(STUDENT);
    assert_eq!(student_mails.len(), 4);
    assert!(
        student_mails.iter().all(|(_, text)| text.contains(&page) && !text.contains("/guest/"))
    );
    // The link shows the class exactly as a student sees it.
    let guest = scenario.show(&token).await;
    let etag = guest.headers["etag"].clone();
    let student = world.get(&world.student(1).await, &session.path).await;
    assert_eq!(student.headers["etag"], etag);
    let mut guest = guest.expect(200);
    let class = guest.as_object_mut().expect("a class");
    let time = class.remove("server_time");
    assert_eq!(class.remove("disclaimer"), Some(json!("Classes may be recorded.")));
    assert_eq!((guest, time), (student.expect(200), Some(json!(world.now().to_string()))));

    let owner = session.fetch(world, trainer).await;
    let meeting = &owner["meeting"];
    let secrets =
        ["join_url", "passcode", "id"].map(|field| meeting[field].as_str().expect("a text"));
    scenario.resend(json!({})).await;
    world.post(trainer, &format!("{}/cancel", session.path), json!({})).await.expect(200);
    world.run_outbox_sweep().await;
    let mails: Vec<_> = [GIL, HAL, STUDENT].into_iter().flat_map(|to| scenario.mails(to)).collect();
    assert_eq!(mails.len(), 3 * 6);
    for (kind, text) in &mails {
        for secret in secrets.iter().chain(&["zoom.us", "zoom.test"]) {
            assert!(!text.contains(secret), "{kind} contains {secret}: {text}");
        }
    }
    // The class is cancelled, so the mail about that has no link to it.
    assert_eq!(scenario.tokens(GIL).pop(), Some(("cancelled".to_owned(), None)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_link_admits_its_holder_as_the_invited_address() {
    let scenario = GuestScenario::start().await;
    let GuestScenario { world, trainer, session } = &scenario;
    let (gil, hal) = (scenario.token(GIL), scenario.token(HAL));
    let early = scenario.join(&gil).await.expect_problem(409, "too_early");
    assert_eq!(early["opens_at"], json!(session.at(-10)));
    scenario.move_to(-5);
    let shown = scenario.show(&gil).await.expect(200);
    assert_eq!(shown["join"]["state"], "open");
    let first = scenario.join(&gil).await.expect(200);
    assert_eq!(
        (&first["mode"], &first["role"], &first["user_name"]),
        (&json!("signature"), &json!(0), &json!("Gil Guest"))
    );
    // Zoom's client gets this page, so it must not contain the token.
    assert_eq!(first["leave_url"], format!("{}/guest", world.stack.base_url));
    for field in ["zak", "obf_token", "join_url"] {
        assert!(first.get(field).is_none(), "{field}");
    }
    // Somebody to whom the mail was forwarded is the same person to Zoom.
    let named = json!({"token": gil, "name": "A friend of Gil", "prefer": "link"});
    let forwarded = scenario.post(JOIN, named).await.expect(200);
    assert_eq!(
        (&forwarded["mode"], &forwarded["user_name"], &forwarded["customer_key"]),
        (&json!("link"), &json!("A friend of Gil"), &first["customer_key"])
    );
    let blank = json!({"token": hal, "name": " "});
    let unnamed = scenario.post(JOIN, blank).await.expect(200);
    assert_eq!(unnamed["user_name"], "Guest");
    assert_ne!(unnamed["customer_key"], first["customer_key"]);
    for (body, field) in [
        (json!({"token": gil, "name": "Gil\nGuest"}), "name"),
        (json!({"token": gil, "name": "x".repeat(201)}), "name"),
        (json!({"token": gil, "role": 1}), "role"),
        (json!({"token": gil, "prefer": "signature"}), "prefer"),
        (json!({"name": "Gil"}), "token"),
        (json!({"token": 1}), "token"),
    ] {
        let problem = scenario.post(JOIN, body).await.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }

    // The attendance of a guest is that of the invited address.
    session.simulate(world, "start", json!({})).await;
    let key = first["customer_key"].clone();
    session.simulate(world, "join", json!({"name": "A friend of Gil", "customer_key": key})).await;
    scenario.move_to(60);
    session.simulate(world, "end", json!({})).await;
    // The trainer may restart the meeting until the window closes.
    scenario.join(&gil).await.expect_problem(409, "session_ended");
    scenario.show(&gil).await.expect(200);
    let report = world.get(trainer, &format!("{}/attendance", session.path)).await.expect(200);
    let rows = report["attendees"].as_array().expect("rows");
    assert_eq!(rows.len(), 3, "{report}");
    let row = rows.iter().find(|row| row["email"] == GIL).expect("a row");
    assert_eq!(
        (&row["match"], &row["name"], &row["status"], row.get("user_id")),
        (&json!("customer_key"), &json!("Gil Guest"), &json!("present"), None),
        "{row}"
    );
    let timeline = format!("{}/timeline?limit=100", session.path);
    let attempts = world.list_items(trainer, &timeline).await.into_iter();
    let attempts: Vec<_> = attempts
        .filter(|entry| entry["kind"] == "clicked_join")
        .map(|entry| json!([entry["actor"], entry["detail"]["outcome"], entry["detail"]["name"]]))
        .collect();
    assert_eq!(
        attempts,
        [
            json!([GIL, "session_ended", "Gil Guest"]),
            json!([HAL, "admitted", null]),
            json!([GIL, "admitted", "A friend of Gil"]),
            json!([GIL, "admitted", "Gil Guest"]),
            json!([GIL, "too_early", "Gil Guest"]),
        ]
    );
    scenario.move_to(60 + 90);
    scenario.refused(&gil, "the window has closed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_joins_by_link_outside_the_apps_account_and_in_manual_classes() {
    let scenario = GuestScenario::start_in_account("other").await;
    let GuestScenario { world, trainer, .. } = &scenario;
    scenario.move_to(0);
    let pass = scenario.join(&scenario.token(GIL)).await.expect(200);
    assert_eq!((&pass["mode"], &pass["signature"]), (&json!("link"), &Value::Null));
    assert!(pass["join_url"].as_str().expect("a link").starts_with("https://"), "{pass}");
    // With signature_obf, guests wait for the trainer like students.
    let functions = DirectFunctions::new(world, &[(names::JOIN_MODE, "signature_obf")]);
    let body = json!({"token": scenario.token(GIL)});
    let response = functions.call("join", "POST", JOIN, "", Some(&body)).await;
    response.expect_problem(409, "waiting_for_host");
    let shown = functions.call("sessions", "POST", SESSION, "", Some(&body)).await.expect(200);
    assert_eq!(shown["join"]["state"], "waiting_for_host");

    let link = "https://meet.example.test/algebra";
    let manual = json!({
        "provider": "manual", "join_url": link, "starts_at": scenario.session.at(5),
        "invitees": [{"email": "ina@guests.test"}],
    });
    world.create(trainer, &patched(invitees_body(everyone()), manual)).await.expect(201);
    world.run_outbox_sweep().await;
    assert!(scenario.mails("ina@guests.test").iter().all(|(_, text)| !text.contains(link)));
    let pass = scenario.join(&scenario.token("ina@guests.test")).await.expect(200);
    assert_eq!((&pass["provider"], &pass["join_url"]), (&json!("manual"), &json!(link)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_ends_with_its_invitation_and_with_a_new_link() {
    let scenario = GuestScenario::start().await;
    let GuestScenario { world, trainer, session } = &scenario;
    let (gil, hal) = (scenario.token(GIL), scenario.token(HAL));
    let mut changed = gil.clone();
    let last = changed.pop().expect("a digit");
    changed.push(if last == 'A' { 'E' } else { 'A' });
    for token in ["", "x", "é", &changed, &gil[..111], &format!("{gil}A"), &session.path] {
        scenario.refused(token, "not issued").await;
    }
    world.advance(SignedDuration::from_mins(1));

    // A withdrawn invitation. The other one keeps its link.
    scenario.edit(json!([{"email": HAL}, {"email": STUDENT}])).await;
    scenario.refused(&gil, "withdrawn").await;
    scenario.show(&hal).await.expect(200);
    let removal = ("uninvited".to_owned(), None);
    assert_eq!(scenario.tokens(GIL).pop(), Some(removal));
    // The same address again gets a new link, and the withdrawn one stays withdrawn.
    scenario.edit(everyone()).await;
    scenario.refused(&gil, "invited again").await;
    let second = scenario.token(GIL);
    scenario.show(&second).await.expect(200);
    scenario.show(&hal).await.expect(200);

    // A resend to one address replaces its link only.
    scenario.resend(json!({"recipients": [GIL]})).await;
    scenario.refused(&second, "resent").await;
    let third = scenario.token(GIL);
    scenario.show(&third).await.expect(200);
    scenario.show(&hal).await.expect(200);
    // Other edits keep it, also those that rewrite the list.
    let renamed = json!([{"email": GIL, "name": "Gil"}, {"email": HAL}, {"email": STUDENT}]);
    scenario.edit(renamed).await;
    assert_eq!(
        scenario.show(&third).await.expect(200)["id"],
        session.path["/v1/sessions/".len()..]
    );
    scenario.resend(json!({})).await;
    for (token, address) in [(&third, GIL), (&hal, HAL)] {
        scenario.refused(token, "resent to everyone").await;
        scenario.show(&scenario.token(address)).await.expect(200);
    }

    // A guest who becomes a user keeps the link, and gets the class's page in later mails.
    let gil = scenario.token(GIL);
    world.put_user("gil-1", json!({"email": GIL, "name": "Gil", "role": "student"})).await;
    scenario.move_to(-60);
    world.sweep().await;
    world.run_outbox_sweep().await;
    let (kind, text) = scenario.mails(GIL).pop().expect("a mail");
    assert_eq!((kind.as_str(), text.contains("/guest/")), ("reminder_hour_before", false));
    assert!(text.contains("/sessions/"));
    scenario.move_to(-5);
    let pass = scenario.join(&gil).await.expect(200);
    assert_eq!(pass["user_name"], "Gil");
    let erased = "/v1/directory/users/gil-1";
    world.delete(&world.service().await, erased).await.expect(204);
    scenario.refused(&gil, "erased").await;
    let dump = format!("{:?}", table_items(world, MAIN_TABLE).await);
    for trace in [GIL, pass["customer_key"].as_str().expect("a key"), "\"Gil"] {
        assert!(!dump.contains(trace), "{trace}");
    }

    // A request that began before the erasure may store the invitation again, until the erasure is repeated.
    let store = store(world);
    let id = SessionId::parse(&session.path["/v1/sessions/".len()..]).expect("an id");
    let class = store.session(&id).await.expect("a read").expect("a session").session;
    let late = NewList {
        list: class.audience.invitee_list().expect("a list"),
        invitees: &[Invitee { email: Email::parse(GIL).expect("an address"), name: None }],
        replacement: None,
        generations: &LinkGenerations::default(),
    };
    store.write_invitees(&class, &late).await.expect("written");
    scenario.refused(&gil, "stored late").await;

    let hal = scenario.token(HAL);
    scenario.show(&hal).await.expect(200);
    world.post(trainer, &format!("{}/cancel", session.path), json!({})).await.expect(200);
    scenario.refused(&hal, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_of_the_encryption_key_keeps_links() {
    let scenario = GuestScenario::start().await;
    let old = scenario.token(GIL);
    let mut secret = local::settings::secrets();
    let keys = &mut secret["token_encryption_keys"];
    let before = keys["current"].as_str().expect("a key").to_owned();
    keys["keys"]["new"] = json!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    keys["current"] = json!("new");
    set_secret(&scenario.world, &secret.to_string()).await;
    scenario.move_to(-24 * 60);
    scenario.world.sweep().await;
    scenario.world.run_outbox_sweep().await;
    let new = scenario.token(GIL);
    assert_ne!(new, old);
    for token in [&old, &new] {
        scenario.show(token).await.expect(200);
    }
    // A key is removed only after a leak. Then its links end.
    secret["token_encryption_keys"]["keys"].as_object_mut().expect("keys").remove(&before);
    set_secret(&scenario.world, &secret.to_string()).await;
    scenario.world.advance(SignedDuration::from_mins(6));
    scenario.show(&new).await.expect(200);
    scenario.refused(&old, "the key was removed").await;
}

/// Sends requests until one is limited. Returns the number before, and the seconds in `Retry-After`.
async fn until_limited(mut send: impl AsyncFnMut() -> Response) -> (u32, i64) {
    for n in 0..200 {
        let response = send().await;
        if response.status == 429 {
            let seconds = response.headers["retry-after"].to_str().expect("a text").parse();
            response.expect_problem(429, "rate_limited");
            return (n, seconds.expect("seconds"));
        }
    }
    panic!("no limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_limited_per_guest_and_per_source_address() {
    let scenario = GuestScenario::start().await;
    let GuestScenario { world, .. } = &scenario;
    let (gil, hal) = (scenario.token(GIL), scenario.token(HAL));
    scenario.move_to(-5);
    scenario.show(&gil).await.expect(200);
    world.stack.usage.reset();

    // A flood of made-up tokens reads and writes nothing, and stops nobody who has a link.
    let (count, seconds) = until_limited(async || scenario.show("made-up").await).await;
    assert_eq!(count, 30);
    assert_eq!(world.stack.usage.service_totals("sessions", Dynamodb).calls, 0);
    scenario.show(&gil).await.expect(200);
    let functions = DirectFunctions::new(world, &[]);
    let from = async |address: &str| {
        let body = json!({"token": "made-up"}).to_string();
        let mut event = gateway_event("POST", SESSION, "", Some(&body));
        event["requestContext"]["http"]["sourceIp"] = json!(address);
        functions.invoke("sessions", event, SignedDuration::from_secs(30)).await
    };
    let (count, _) = until_limited(async || from("192.0.2.1").await).await;
    assert_eq!(count, 30);
    from("192.0.2.2").await.expect_problem(404, "not_found");
    world.advance(SignedDuration::from_secs(seconds));
    scenario.show("made-up").await.expect_problem(404, "not_found");

    let (count, seconds) = until_limited(async || scenario.show(&gil).await).await;
    assert_eq!(count, 60);
    scenario.show(&hal).await.expect(200);
    world.advance(SignedDuration::from_secs(seconds));
    scenario.show(&gil).await.expect(200);

    // All instances count the joins of a guest together, whose attempts are recorded.
    let other = DirectFunctions::new(world, &[]);
    let body = json!({"token": gil});
    let mut n = 0;
    let (count, seconds) = until_limited(async || {
        n += 1;
        match n % 2 {
            0 => scenario.join(&gil).await,
            _ => other.call("join", "POST", JOIN, "", Some(&body)).await,
        }
    })
    .await;
    assert_eq!(count, 30);
    scenario.join(&hal).await.expect(200);
    world.advance(SignedDuration::from_secs(seconds));
    scenario.join(&gil).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_guest_read_costs_one_request_and_join_two_writes_more() {
    let scenario = GuestScenario::start().await;
    let usage = &scenario.world.stack.usage;
    let token = scenario.token(GIL);
    scenario.move_to(-5);
    scenario.show(&token).await.expect(200);
    scenario.join(&token).await.expect(200);
    println!("{:<16} {:>8} {:>6} {:>6}", "guest", "DynamoDB", "read", "write");
    for (function, path, budget) in
        [("sessions", SESSION, (1, 1.5, 0.0)), ("join", JOIN, (3, 1.5, 2.0))]
    {
        usage.reset();
        scenario.post(path, json!({"token": token})).await.expect(200);
        let table = usage.service_totals(function, Dynamodb);
        let (calls, read, write) = (table.calls, table.read_units, table.write_units);
        println!("{path:<16} {calls:>8} {read:>6} {write:>6}");
        assert_eq!((calls, read, write), budget, "{path}");
    }
}

#[tokio::test]
async fn token_and_name_of_a_guest_are_not_logged() {
    let log = CapturedLog::start();
    let scenario = Box::pin(GuestScenario::start()).await;
    let token = scenario.token(GIL);
    scenario.move_to(-5);
    let functions = DirectFunctions::new(&scenario.world, &[]);
    for (function, path, body) in [
        ("sessions", SESSION, json!({"token": token})),
        ("join", JOIN, json!({"token": token, "name": "Zebedee"})),
        ("join", JOIN, json!({"token": format!("{token}A")})),
    ] {
        functions.call(function, "POST", path, "", Some(&body)).await;
    }
    let text = log.text();
    assert!(text.contains("/v1/guest/join") && text.contains(&scenario.session.path[13..]));
    for secret in [&token, "Zebedee", GIL] {
        assert!(!text.contains(secret), "{secret}");
    }
    let debug = functions.debug();
    assert!(!debug.contains(&token) && !debug.contains(GIL));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_sees_disclaimer_and_server_time() {
    let scenario = Box::pin(GuestScenario::start()).await;
    let GuestScenario { world, trainer, .. } = &scenario;
    let token = scenario.token(GIL);
    let shown = scenario.show(&token).await.expect(200);
    let capabilities = world.get(trainer, "/v1/me/capabilities").await.expect(200);
    assert_eq!(shown["disclaimer"], "Classes may be recorded.");
    assert_eq!(shown["disclaimer"], capabilities["disclaimer"]);
    assert_eq!(shown["server_time"], json!(whole_milli(world.now())));
    // Other readers have the capabilities.
    let student = world.get(&world.student(1).await, &scenario.session.path).await.expect(200);
    assert_eq!(student.get("disclaimer"), None);
    let functions = DirectFunctions::new(world, &[(names::DISCLAIMER, "")]);
    let body = json!({"token": token});
    let shown = functions.call("sessions", "POST", SESSION, "", Some(&body)).await.expect(200);
    assert_eq!(shown.get("disclaimer"), Some(&Value::Null));
}
