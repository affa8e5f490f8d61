//! The steps about the trainer's Zoom account.

use serde_json::json;

use super::classes::class_body;
use super::client::{Client, DemoError};
use super::{People, text};
use crate::stack::Stack;

/// Connects the Zoom account.
pub(super) async fn connect(
    client: &mut Client,
    stack: &Stack,
    people: &People,
) -> Result<(), DemoError> {
    client.print_heading("Connecting Zoom");
    let connection = client.get(&people.trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.check(
        "the trainer has not connected a Zoom account",
        connection["status"] == "not_connected",
        &connection["status"],
    )?;
    let early = client
        .post(&people.trainer, "/v1/sessions", class_body(stack, 2, "course"))
        .await?
        .expect(409)?;
    client.check(
        "a class cannot be scheduled without one",
        early["code"] == "zoom_not_connected",
        &early["code"],
    )?;
    authorize(client, stack, people).await
}

/// Follows the link to Zoom and returns with a code, which works once and only for the same trainer.
async fn authorize(client: &mut Client, stack: &Stack, people: &People) -> Result<(), DemoError> {
    let redirect = format!("{}/callback", stack.base_url);
    let authorization = client
        .post(&people.trainer, "/v1/zoom/authorize", json!({"redirect_uri": redirect}))
        .await?
        .expect(200)?;
    client.check(
        "the trainer gets a link to Zoom's consent page",
        authorization["authorize_url"].is_string(),
        &authorization["expires_at"],
    )?;
    let (code, state) = client
        .consent(text(&authorization["authorize_url"])?, "account=app&decision=allow")
        .await?;
    let rejected = client
        .post(&people.stranger, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(422)?;
    client.check(
        "another trainer cannot use the returned code",
        rejected["code"] == "validation_failed",
        &rejected["code"],
    )?;
    let connection = client
        .post(&people.trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(200)?;
    client.check(
        "the Zoom account is connected",
        connection["status"] == "connected",
        &connection["zoom_email"],
    )?;
    client.check(
        "no scope is missing",
        connection["missing_scopes"] == json!([]),
        &connection["scopes"],
    )?;
    client
        .post(&people.trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(422)?;
    client.pass("the code works only once", "the second request is rejected");
    Ok(())
}

/// Disconnects the Zoom account.
pub(super) async fn disconnect(client: &mut Client, people: &People) -> Result<(), DemoError> {
    client.print_heading("Disconnecting");
    client.delete(&people.trainer, "/v1/zoom/connection").await?.expect_empty(204)?;
    let connection = client.get(&people.trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.check(
        "the Zoom account is disconnected",
        connection["status"] == "not_connected",
        &connection["status"],
    )?;
    client.delete(&people.trainer, "/v1/zoom/connection").await?.expect_empty(204)?;
    client.pass("a second disconnection succeeds, too", "204");
    Ok(())
}
