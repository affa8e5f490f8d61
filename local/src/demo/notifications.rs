//! Steps about reminders, in-app notifications and preferences.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::text;

const LIST: &str = "/v1/me/notifications";

/// The people and the class of these steps.
pub(super) struct NotificationSteps<'a> {
    pub(super) trainer: &'a str,
    pub(super) student: &'a str,
    /// A student without mail notifications.
    pub(super) classmate: &'a str,
    pub(super) path: &'a str,
    pub(super) starts_at: Timestamp,
}

impl NotificationSteps<'_> {
    /// Checks preferences, reminders and a resent invitation. Moves the clock to an hour before the class.
    pub(super) async fn before_class(&self, client: &mut Client) -> Result<(), DemoError> {
        client.print_heading("Notifications");
        let preferences = "/v1/me/notification-preferences";
        let no_mail = json!({"live_session": {"in_app": true, "email": false}});
        let saved = client.put(self.classmate, preferences, &no_mail, "").await?.expect(200)?;
        client.check("a student turns off mails", saved == no_mail, &saved)?;
        run(client, "outbox-sweep").await?;

        for (hours, kind, step) in [
            (
                24,
                "reminder_day_before",
                "another student gets a reminder mail a day before the class",
            ),
            (1, "reminder_hour_before", "and another one an hour before"),
        ] {
            let now = self.starts_at - SignedDuration::from_hours(hours);
            client.post("", "/local/clock", json!({"now": now})).await?.expect(200)?;
            run(client, "reminder-sweep").await?;
            run(client, "outbox-sweep").await?;
            let mails = mails(client, kind).await?;
            let to = |address: &str| mails.iter().any(|to| to == address);
            let is_met = to("student1@example.test") && !to("student2@example.test");
            client.check(step, is_met, &json!(mails))?;
            let notifications = client.get(self.classmate, LIST).await?.expect(200)?;
            client.check(
                "the student without mails gets it in-app",
                notifications["items"][0]["kind"] == "reminder",
                &notifications["items"][0],
            )?;
        }
        self.read_one(client).await?;
        self.resend(client).await
    }

    async fn read_one(&self, client: &mut Client) -> Result<(), DemoError> {
        let notifications = client.get(self.student, LIST).await?.expect(200)?;
        let unread = notifications["unread_count"].as_u64().unwrap_or_default();
        client.check(
            "the badge shows the number of unread notifications",
            unread >= 3,
            &notifications["unread_count"],
        )?;
        let read = format!("{LIST}/{}/read", text(&notifications["items"][0]["id"])?);
        client.post(self.student, &read, json!({})).await?.expect_empty(204)?;
        let after = client.get(self.student, LIST).await?.expect(200)?;
        client.check(
            "reading a notification lowers the number by one",
            after["unread_count"] == unread - 1,
            &after["unread_count"],
        )
    }

    async fn resend(&self, client: &mut Client) -> Result<(), DemoError> {
        let resend = format!("{}/resend-invite", self.path);
        let with_stranger = json!({"recipients": ["student-1", "student-9"]});
        let rejected = client.post(self.trainer, &resend, with_stranger).await?.expect(422)?;
        client.check(
            "the invitation cannot be resent to a person who is not invited",
            rejected["errors"][0]["field"] == "recipients[1]",
            &rejected["errors"],
        )?;
        let again = json!({"recipients": ["student-1"]});
        let queued = client.post(self.trainer, &resend, again).await?.expect(202)?;
        run(client, "outbox-sweep").await?;
        let mails = mails(client, "resent").await?;
        client.check(
            "an invited student gets the invitation again",
            mails == ["student1@example.test"],
            &queued,
        )
    }

    /// Checks the notifications that were sent during the class.
    pub(super) async fn after_class(&self, client: &mut Client) -> Result<(), DemoError> {
        run(client, "reminder-sweep").await?;
        run(client, "outbox-sweep").await?;
        let notifications = client.get(self.student, LIST).await?.expect(200)?;
        let kinds: Vec<_> = notifications["items"].as_array().into_iter().flatten().collect();
        let kinds: Vec<_> = kinds.iter().filter_map(|item| item["kind"].as_str()).collect();
        let has_both = ["live", "recording_ready"].iter().all(|kind| kinds.contains(kind));
        client.check(
            "the student was notified of the start and of the recording",
            has_both,
            &json!(kinds),
        )
    }
}

/// Runs a scheduled function.
pub(super) async fn run(client: &Client, function: &str) -> Result<Value, DemoError> {
    client.post("", &format!("/local/schedules/{function}/run"), json!({})).await?.expect(200)
}

/// Returns the sorted addresses to which mails of a kind were sent.
async fn mails(client: &Client, kind: &str) -> Result<Vec<String>, DemoError> {
    let sent = client.get("", "/local/mail").await?.expect(200)?;
    let items = sent["items"].as_array().into_iter().flatten();
    let of_kind = items.filter(|item| item["kind"] == kind);
    let mut to: Vec<_> =
        of_kind.filter_map(|item| item["to"].as_str()).map(str::to_owned).collect();
    to.sort();
    Ok(to)
}
