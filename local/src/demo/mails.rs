//! What those invited find in their mailboxes, and what the trainer sees of it.

use serde_json::{Value, json};

use super::client::{Client, Fault};
use super::text;

/// A calendar entry as a mail brings it.
struct Entry {
    uid: String,
    sequence: String,
    method: String,
}

impl Entry {
    /// From the raw message, in which a long line may be broken by `=` at its end (RFC 2045, section 6.7).
    fn read(raw: &str) -> Option<Self> {
        let whole = raw.replace("=\r\n", "");
        let value = |name: &str| {
            let line = whole.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        Some(Self { uid: value("UID:")?, sequence: value("SEQUENCE:")?, method: value("METHOD:")? })
    }
}

/// The mails of a kind that were sent to an address so far, newest last, each with its entry.
async fn entries(client: &Client, kind: &str, to: &str) -> Result<Vec<Entry>, Fault> {
    let listed = client.get("", "/local/mail").await?.expect(200)?;
    let mut entries = Vec::new();
    for mail in listed["items"].as_array().into_iter().flatten() {
        if mail["kind"] == kind && mail["to"] == to {
            let path = format!("/local/mail/{}", text(&mail["id"])?);
            let raw = client.get("", &path).await?.expect_text(200)?;
            entries.extend(Entry::read(&raw));
        }
    }
    Ok(entries)
}

async fn sweep(client: &Client) -> Result<Value, Fault> {
    client.post("", "/local/schedules/outbox-sweep/run", json!({})).await?.expect(200)
}

const STUDENT: &str = "student1@example.test";

/// After a class of the course was scheduled.
pub(super) async fn invited(client: &mut Client) -> Result<(), Fault> {
    client.chapter("Inviting");
    let report = sweep(client).await?;
    client.holds("everybody of the course is sent a mail", report["sent"] == 5, &report)?;
    let entries = entries(client, "scheduled", STUDENT).await?;
    let entry = entries.last().ok_or_else(|| Fault::missing(&json!("no entry")))?;
    client.holds(
        "with an entry for their calendar",
        entry.method == "REQUEST" && entry.sequence == "0",
        &json!(entry.uid),
    )?;
    let again = sweep(client).await?;
    client.holds("once", again["sent"] == 0, &again)
}

/// After it was changed.
pub(super) async fn updated(client: &mut Client, trainer: &str, path: &str) -> Result<(), Fault> {
    client.chapter("Telling of the change");
    let report = sweep(client).await?;
    client.holds("everybody is told", report["sent"] == 5, &report)?;
    let before = entries(client, "scheduled", STUDENT).await?;
    let after = entries(client, "updated", STUDENT).await?;
    let (Some(before), Some(after)) = (before.last(), after.last()) else {
        return Err(Fault::missing(&json!("no entry")));
    };
    client.holds(
        "by the same entry, with a higher sequence",
        before.uid == after.uid && after.sequence == "1",
        &json!({"uid": after.uid, "sequence": after.sequence}),
    )?;
    let class = client.get(trainer, path).await?.expect(200)?;
    client.holds("the trainer sees how many went", class["mail"]["sent"] == 10, &class["mail"])?;
    let timeline = client.get(trainer, &format!("{path}/timeline")).await?.expect(200)?;
    client.holds(
        "and what became of each",
        timeline["items"][0]["kind"] == "mail.sent",
        &timeline["items"][0],
    )
}

/// After a class with a guest was scheduled.
pub(super) async fn guest_invited(client: &mut Client, guest: &str) -> Result<(), Fault> {
    sweep(client).await?;
    let entries = entries(client, "scheduled", guest).await?;
    let entry = entries.last().ok_or_else(|| Fault::missing(&json!("no entry")))?;
    client.holds(
        "and is sent a mail with an entry",
        entry.method == "REQUEST",
        &json!({"uid": entry.uid, "sequence": entry.sequence}),
    )
}

/// After the class with a guest was cancelled.
pub(super) async fn cancelled(client: &mut Client, guest: &str) -> Result<(), Fault> {
    sweep(client).await?;
    let entries = entries(client, "cancelled", guest).await?;
    let entry = entries.last().ok_or_else(|| Fault::missing(&json!("no entry")))?;
    client.holds(
        "and the guest's calendar is told to take it out",
        entry.method == "CANCEL" && entry.sequence == "1",
        &json!({"uid": entry.uid, "sequence": entry.sequence}),
    )
}
