//! The second class of the demo: the platform hosts it, its trainer has no Zoom login, and a guest joins by a link.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client::{ApiResponse, Client, DemoError};
use super::meter::Meter;
use super::{classes, mails, notifications, text};
use crate::stack::Stack;

const HOST: &str = "/v1/hosts/trainer-2";
/// An address in a domain that the simulated account manages, so that Zoom activates its user at once.
const HOST_EMAIL: &str = "trainer2@example.test";
const GUEST: &str = "grace@example.net";
const LICENCES: &str = "/v1/hosts/licences";
const HOURS_AHEAD: i64 = 26;

/// The class and its participants.
struct GuestClass {
    trainer: String,
    service: String,
    /// The token of the guest link.
    guest_link: String,
    session: Value,
    /// Its path in the API.
    path: String,
    /// The path of its meeting in the simulated Zoom.
    meeting: String,
}

/// Plays a class in the platform's own Zoom account.
pub(super) async fn play(client: &mut Client, stack: &Stack) -> Result<(), DemoError> {
    client.print_heading("Hosting in the platform's Zoom account");
    let service = client.token("host-platform", "service", "service@example.test").await?;
    let trainer = client.token("trainer-2", "trainer", HOST_EMAIL).await?;
    let zoom_user = add_host(client, &service, &trainer).await?;
    let class = schedule(client, stack, service, trainer, &zoom_user).await?;
    class.refuse_overlap(client, stack).await?;
    class.forecast_licence(client).await?;
    class.open_before_start(client).await?;
    class.lease_licence(client).await?;
    class.start(client).await?;
    class.teach(client).await?;
    class.review_attendance(client).await?;
    class.remove_host(client).await
}

/// Requests a host, and returns its Zoom user.
async fn add_host(client: &mut Client, service: &str, trainer: &str) -> Result<String, DemoError> {
    let request = json!({"email": HOST_EMAIL, "create": "auto", "licence": "leased"});
    let requested = client.put(service, HOST, &request, "").await?.expect(202)?;
    client.check(
        "the platform requests a host for a trainer",
        requested["state"] == "requested",
        &json!({"email": requested["email"], "state": requested["state"]}),
    )?;
    let report = notifications::run(client, "meeting-sweep").await?;
    let host = client.get(service, HOST).await?.expect(200)?;
    client.check(
        "the sweep creates the Zoom user, without an invitation and without a licence",
        host["state"] == "active" && host["licence"]["held"] == false,
        &json!({"sweep": report, "zoom_user_id": host["zoom_user_id"]}),
    )?;
    let connection = client.get(trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.check(
        "the trainer connects no Zoom account",
        connection["status"] == "platform" && connection["host"]["state"] == "active",
        &connection["host"],
    )?;
    text(&host["zoom_user_id"]).map(str::to_owned)
}

/// Schedules a class for a guest.
async fn schedule(
    client: &mut Client,
    stack: &Stack,
    service: String,
    trainer: String,
    zoom_user: &str,
) -> Result<GuestClass, DemoError> {
    let meter = Meter::start(client, "session-save").await?;
    let session =
        client.post(&trainer, "/v1/sessions", class_body(stack, "Chess")).await?.expect(201)?;
    client.check(
        "the trainer schedules a class for a guest",
        session["hosting"] == "platform" && session["warnings"] == json!([]),
        &json!({"hosting": session["hosting"], "starts_at": session["starts_at"]}),
    )?;
    meter.report(client, "usage of that request").await?;
    let meeting = format!("/zoom/sim/meetings/{}", text(&session["meeting"]["id"])?);
    let at_zoom = client.get("", &meeting).await?.expect(200)?;
    client.check(
        "the meeting belongs to the Zoom user of the platform's account",
        at_zoom["host_id"] == zoom_user,
        &at_zoom["host_id"],
    )?;
    mails::guest_invited(client, GUEST).await?;
    let guest_link = mails::guest_token(client, GUEST).await?;
    let shown = client.post("", "/v1/guest/session", json!({"token": guest_link})).await?;
    let shown = shown.expect(200)?;
    client.check(
        "the link in the mail shows the class, without the meeting",
        shown["id"] == session["id"] && shown.get("meeting").is_none(),
        &shown["join"],
    )?;
    let path = format!("/v1/sessions/{}", text(&session["id"])?);
    Ok(GuestClass { trainer, service, guest_link, session, path, meeting })
}

impl GuestClass {
    /// Tries to book the host twice.
    async fn refuse_overlap(&self, client: &mut Client, stack: &Stack) -> Result<(), DemoError> {
        let other = class_body(stack, "Draughts");
        let refused = client.post(&self.trainer, "/v1/sessions", other).await?.expect(409)?;
        client.check(
            "a second class at that time is refused and names the first",
            refused["conflicting_session_id"] == self.session["id"],
            &refused["detail"],
        )
    }

    async fn forecast_licence(&self, client: &mut Client) -> Result<(), DemoError> {
        let licences = client.get(&self.service, LICENCES).await?.expect(200)?;
        let mut needs = licences["forecast"].as_array().into_iter().flatten();
        client.check(
            "the forecast shows that the class needs a licence, which nobody has yet",
            licences["assigned"] == 0 && needs.any(|need| need["needed"] == 1),
            &licences["forecast"],
        )
    }

    /// Moves the clock into the join window.
    async fn open_before_start(&self, client: &mut Client) -> Result<(), DemoError> {
        let early = self.guest_join(client).await?.expect(409)?;
        client.check(
            "the guest cannot join a day before",
            early["code"] == "too_early",
            &early["opens_at"],
        )?;
        let starts_at = text(&self.session["starts_at"])?;
        let starts_at: Timestamp =
            starts_at.parse().map_err(|_| DemoError::missing(&self.session))?;
        let now = starts_at - SignedDuration::from_mins(5);
        client.post("", "/local/clock", json!({"now": now})).await?.expect(200)?;
        Ok(())
    }

    async fn lease_licence(&self, client: &mut Client) -> Result<(), DemoError> {
        notifications::run(client, "meeting-sweep").await?;
        let licences = client.get(&self.service, LICENCES).await?.expect(200)?;
        let lease = &licences["held"][0];
        client.check(
            "the sweep has leased a licence to the host until after the class",
            lease["trainer_id"] == "trainer-2" && lease["until"].is_string(),
            lease,
        )
    }

    async fn start(&self, client: &mut Client) -> Result<(), DemoError> {
        let join = format!("{}/join", self.path);
        let meter = Meter::start(client, "join").await?;
        let host = client.post(&self.trainer, &join, json!({})).await?.expect(200)?;
        client.check(
            "the trainer starts as the host, with a token of the platform's account",
            host["role"] == 1 && host["zak"].is_string(),
            &json!({"mode": host["mode"], "role": host["role"], "user_name": host["user_name"]}),
        )?;
        meter.report(client, "usage of that start").await?;
        self.act(client, "start", json!({})).await.map(drop)
    }

    /// Lets the guest into the meeting and ends it after most of the class.
    async fn teach(&self, client: &mut Client) -> Result<(), DemoError> {
        let meter = Meter::start(client, "join").await?;
        let admitted = self.guest_join(client).await?.expect(200)?;
        let is_embedded = admitted["mode"] == "signature" && admitted["signature"].is_string();
        client.check(
            "the guest joins on the platform's page, by signature and without a host's token",
            is_embedded && admitted["role"] == 0 && admitted.get("zak").is_none(),
            &json!({"mode": admitted["mode"], "user_name": admitted["user_name"]}),
        )?;
        meter.report(client, "usage of that join").await?;
        let person =
            json!({"name": admitted["user_name"], "customer_key": admitted["customer_key"]});
        self.act(client, "join", person).await?;
        client.post("", "/local/clock", json!({"advance": "50m"})).await?.expect(200)?;
        self.act(client, "end", json!({})).await?;
        let class = client.get(&self.trainer, &self.path).await?.expect(200)?;
        client.check(
            "the class has ended when the meeting ends",
            class["status"] == "ended",
            &class["actual_ended_at"],
        )
    }

    async fn review_attendance(&self, client: &mut Client) -> Result<(), DemoError> {
        let attendance = format!("{}/attendance", self.path);
        let report = client.get(&self.trainer, &attendance).await?.expect(200)?;
        let mut rows = report["attendees"].as_array().into_iter().flatten();
        let row = rows.find(|row| row["email"] == GUEST).cloned().unwrap_or_default();
        client.check(
            "attendance recognises the guest by the invited address",
            row["match"] == "customer_key" && row["status"] == "present",
            &json!({"name": row["name"], "minutes": row["minutes"], "status": row["status"]}),
        )
    }

    /// Gives the licence back and removes the host.
    async fn remove_host(&self, client: &mut Client) -> Result<(), DemoError> {
        client.post("", "/local/clock", json!({"advance": "50m"})).await?.expect(200)?;
        notifications::run(client, "meeting-sweep").await?;
        let licences = client.get(&self.service, LICENCES).await?.expect(200)?;
        client.check(
            "the licence is free again after the class",
            licences["assigned"] == 0,
            &json!({"assigned": licences["assigned"], "held": licences["held"]}),
        )?;
        let path = format!("{HOST}?zoom=deactivate");
        client.delete(&self.service, &path).await?.expect(202)?;
        notifications::run(client, "meeting-sweep").await?;
        let host = client.get(&self.service, HOST).await?.expect(200)?;
        let users = client.get("", "/zoom/sim/users").await?.expect(200)?;
        let mut users = users["items"].as_array().into_iter().flatten();
        let user = users.find(|user| user["email"] == HOST_EMAIL).cloned().unwrap_or_default();
        client.check(
            "the platform removes the host and deactivates its Zoom user",
            host["state"] == "removed" && user["status"] == "inactive",
            &json!({"host": host["state"], "zoom_user": user["status"]}),
        )
    }

    async fn guest_join(&self, client: &Client) -> Result<ApiResponse, DemoError> {
        client.post("", "/v1/guest/join", json!({"token": self.guest_link})).await
    }

    async fn act(&self, client: &Client, action: &str, body: Value) -> Result<Value, DemoError> {
        client.post("", &format!("{}/{action}", self.meeting), body).await?.expect(200)
    }
}

fn class_body(stack: &Stack, title: &str) -> Value {
    let mut body = classes::class_body(stack, HOURS_AHEAD, "invitees");
    body["title"] = json!(title);
    body["invitees"] = json!([{"email": GUEST, "name": "Grace Guest"}]);
    body
}
