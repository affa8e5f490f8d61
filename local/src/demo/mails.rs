//! Steps about mails to invited people and their delivery status.

use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::text;

/// The calendar entry in a mail.
struct CalendarEntry {
    uid: String,
    sequence: String,
    method: String,
}

impl CalendarEntry {
    /// Parses the raw message, in which soft line breaks end with `=` (RFC 2045, section 6.7).
    fn parse(raw: &str) -> Option<Self> {
        let unfolded = raw.replace("=\r\n", "");
        let value = |name: &str| {
            let line = unfolded.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        Some(Self { uid: value("UID:")?, sequence: value("SEQUENCE:")?, method: value("METHOD:")? })
    }
}

/// Returns the calendar entries of all mails of a kind to an address, newest last.
async fn entries(client: &Client, kind: &str, to: &str) -> Result<Vec<CalendarEntry>, DemoError> {
    let mails = raw_mails(client, kind, to).await?;
    Ok(mails.iter().filter_map(|raw| CalendarEntry::parse(raw)).collect())
}

/// Returns all mails of a kind to an address as raw messages, newest last.
async fn raw_mails(client: &Client, kind: &str, to: &str) -> Result<Vec<String>, DemoError> {
    let listed = client.get("", "/local/mail").await?.expect(200)?;
    let mut mails = Vec::new();
    for mail in listed["items"].as_array().into_iter().flatten() {
        if mail["kind"] == kind && mail["to"] == to {
            let path = format!("/local/mail/{}", text(&mail["id"])?);
            mails.push(client.get("", &path).await?.expect_text(200)?);
        }
    }
    Ok(mails)
}

/// Returns the token of the guest link in the invitation of an address.
pub(super) async fn guest_token(client: &Client, guest: &str) -> Result<String, DemoError> {
    let mails = raw_mails(client, "scheduled", guest).await?;
    let unfolded = mails.last().map(|raw| raw.replace("=\r\n", "")).unwrap_or_default();
    let (_, rest) =
        unfolded.split_once("/guest/").ok_or_else(|| DemoError::missing(&json!("no link")))?;
    let is_digit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    Ok(rest.chars().take_while(is_digit).collect())
}

async fn sweep(client: &Client) -> Result<Value, DemoError> {
    client.post("", "/local/schedules/outbox-sweep/run", json!({})).await?.expect(200)
}

const STUDENT: &str = "student1@example.test";

/// Checks the invitations to a class of a course.
pub(super) async fn invited(client: &mut Client) -> Result<(), DemoError> {
    client.print_heading("Inviting");
    let report = sweep(client).await?;
    client.check("all five students of the course get a mail", report["sent"] == 5, &report)?;
    let entries = entries(client, "scheduled", STUDENT).await?;
    let entry = entries.last().ok_or_else(|| DemoError::missing(&json!("no calendar entry")))?;
    client.check(
        "the mail has a calendar entry",
        entry.method == "REQUEST" && entry.sequence == "0",
        &json!(entry.uid),
    )?;
    let again = sweep(client).await?;
    client.check("no mail is sent twice", again["sent"] == 0, &again)
}

/// Checks the mails about the changed class.
pub(super) async fn updated(
    client: &mut Client,
    trainer: &str,
    path: &str,
) -> Result<(), DemoError> {
    client.print_heading("Announcing the change");
    let report = sweep(client).await?;
    client.check("all five students get a mail about the change", report["sent"] == 5, &report)?;
    let before = entries(client, "scheduled", STUDENT).await?;
    let after = entries(client, "updated", STUDENT).await?;
    let (Some(before), Some(after)) = (before.last(), after.last()) else {
        return Err(DemoError::missing(&json!("no calendar entry")));
    };
    client.check(
        "it updates the calendar entry with a higher sequence",
        before.uid == after.uid && after.sequence == "1",
        &json!({"uid": after.uid, "sequence": after.sequence}),
    )?;
    let class = client.get(trainer, path).await?.expect(200)?;
    client.check(
        "the trainer sees how many mails were sent",
        class["mail"]["sent"] == 10,
        &class["mail"],
    )?;
    let timeline = client.get(trainer, &format!("{path}/timeline")).await?.expect(200)?;
    client.check(
        "the timeline shows each delivery",
        timeline["items"][0]["kind"] == "mail.sent",
        &timeline["items"][0],
    )
}

/// Checks the mails about a booking that was moved: an invitation and its update.
pub(super) async fn booking_updated(client: &mut Client) -> Result<(), DemoError> {
    sweep(client).await?;
    let before = entries(client, "scheduled", STUDENT).await?;
    let after = entries(client, "updated", STUDENT).await?;
    let (Some(before), Some(after)) = (before.last(), after.last()) else {
        return Err(DemoError::missing(&json!("no calendar entry")));
    };
    client.check(
        "the student's calendar entry moves with it",
        before.uid == after.uid && after.method == "REQUEST" && after.sequence == "1",
        &json!({"uid": after.uid, "sequence": after.sequence}),
    )
}

/// Checks the invitation of a guest.
pub(super) async fn guest_invited(client: &mut Client, guest: &str) -> Result<(), DemoError> {
    sweep(client).await?;
    let entries = entries(client, "scheduled", guest).await?;
    let entry = entries.last().ok_or_else(|| DemoError::missing(&json!("no calendar entry")))?;
    client.check(
        "the guest gets a mail with a calendar entry",
        entry.method == "REQUEST",
        &json!({"uid": entry.uid, "sequence": entry.sequence}),
    )
}

/// Checks the cancellation mail to the guest.
pub(super) async fn cancelled(client: &mut Client, guest: &str) -> Result<(), DemoError> {
    sweep(client).await?;
    let entries = entries(client, "cancelled", guest).await?;
    let entry = entries.last().ok_or_else(|| DemoError::missing(&json!("no calendar entry")))?;
    client.check(
        "the cancellation mail removes the guest's calendar entry",
        entry.method == "CANCEL" && entry.sequence == "1",
        &json!({"uid": entry.uid, "sequence": entry.sequence}),
    )
}
