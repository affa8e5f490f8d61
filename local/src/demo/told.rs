//! The demo's messages: what a student is told on the platform's pages and by mail, as they want it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client::{Client, Fault};
use super::text;

const LIST: &str = "/v1/me/notifications";

/// Who is told, and of which class.
pub(super) struct Told<'a> {
    pub(super) trainer: &'a str,
    pub(super) student: &'a str,
    /// Wants no mail.
    pub(super) classmate: &'a str,
    pub(super) path: &'a str,
    pub(super) starts_at: Timestamp,
}

impl Told<'_> {
    /// Before the class: preferences, reminders, and the invitation again. The clock is moved to an hour before it.
    pub(super) async fn before(&self, client: &mut Client) -> Result<(), Fault> {
        client.chapter("Being told");
        let preferences = "/v1/me/notification-preferences";
        let quiet = json!({"live_session": {"in_app": true, "email": false}});
        let kept = client.put(self.classmate, preferences, &quiet, "").await?.expect(200)?;
        client.holds("a classmate wants no mail", kept == quiet, &kept)?;
        run(client, "outbox-sweep").await?;

        for (hours, kind, step) in [
            (24, "reminder_day_before", "a day before the class a student is reminded by mail"),
            (1, "reminder_hour_before", "an hour before it, too"),
        ] {
            let now = self.starts_at - SignedDuration::from_hours(hours);
            client.post("", "/local/clock", json!({"now": now})).await?.expect(200)?;
            run(client, "reminder-sweep").await?;
            run(client, "outbox-sweep").await?;
            let mails = mails(client, kind).await?;
            let to = |address: &str| mails.iter().any(|to| to == address);
            let held = to("student1@example.test") && !to("student2@example.test");
            client.holds(step, held, &json!(mails))?;
            let told = client.get(self.classmate, LIST).await?.expect(200)?;
            client.holds(
                "and who wants no mail in-app",
                told["items"][0]["kind"] == "reminder",
                &told["items"][0],
            )?;
        }

        let told = client.get(self.student, LIST).await?.expect(200)?;
        let unread = told["unread_count"].as_u64().unwrap_or_default();
        client.holds("the badge counts what is unread", unread >= 3, &told["unread_count"])?;
        let read = format!("{LIST}/{}/read", text(&told["items"][0]["id"])?);
        client.post(self.student, &read, json!({})).await?.expect_empty(204)?;
        let after = client.get(self.student, LIST).await?.expect(200)?;
        client.holds(
            "and one less when one was read",
            after["unread_count"] == unread - 1,
            &after["unread_count"],
        )?;

        let resend = format!("{}/resend-invite", self.path);
        let stranger = json!({"recipients": ["student-1", "student-9"]});
        let refused = client.post(self.trainer, &resend, stranger).await?.expect(422)?;
        client.holds(
            "the invitation is not sent to somebody it is not for",
            refused["errors"][0]["field"] == "recipients[1]",
            &refused["errors"],
        )?;
        let again = json!({"recipients": ["student-1"]});
        let queued = client.post(self.trainer, &resend, again).await?.expect(202)?;
        run(client, "outbox-sweep").await?;
        let mails = mails(client, "resent").await?;
        client.holds("to one who lost it it is", mails == ["student1@example.test"], &queued)
    }

    /// After the class: what was told while it ran.
    pub(super) async fn after(&self, client: &mut Client) -> Result<(), Fault> {
        run(client, "reminder-sweep").await?;
        run(client, "outbox-sweep").await?;
        let told = client.get(self.student, LIST).await?.expect(200)?;
        let kinds: Vec<_> = told["items"].as_array().into_iter().flatten().collect();
        let kinds: Vec<_> = kinds.iter().filter_map(|item| item["kind"].as_str()).collect();
        let held = ["live", "recording_ready"].iter().all(|kind| kinds.contains(kind));
        client.holds("and was told that it was live, and of its recording", held, &json!(kinds))
    }
}

/// Runs a scheduled function now.
async fn run(client: &Client, function: &str) -> Result<Value, Fault> {
    client.post("", &format!("/local/schedules/{function}/run"), json!({})).await?.expect(200)
}

/// To whom mails of a kind were sent, in order.
async fn mails(client: &Client, kind: &str) -> Result<Vec<String>, Fault> {
    let sent = client.get("", "/local/mail").await?.expect(200)?;
    let items = sent["items"].as_array().into_iter().flatten();
    let of_kind = items.filter(|item| item["kind"] == kind);
    let mut to: Vec<_> =
        of_kind.filter_map(|item| item["to"].as_str()).map(str::to_owned).collect();
    to.sort();
    Ok(to)
}
