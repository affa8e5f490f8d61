//! Tests of the saved state, also of older versions.

use super::*;

#[tokio::test]
async fn snapshot_restores_the_whole_state() {
    let bench = Bench::new();
    let tokens = bench.exchange(&bench.code(&[]).await).await.body;
    let token = tokens["access_token"].as_str().unwrap();
    let id = bench.create_meeting(token).await;
    bench.act(id, "start", json!({})).await;
    let snapshot = bench.zoom.snapshot();
    let other = Bench::new();
    other.zoom.restore(snapshot.clone()).unwrap();
    assert_eq!(other.zoom.snapshot(), snapshot);
    other.zoom.restore(json!({ "meetings": 5 })).unwrap_err();
    assert_eq!(other.zoom.snapshot(), snapshot, "an unreadable snapshot changes nothing");
    let read = other.get(&format!("/zoom/v2/meetings/{id}"), token).await;
    assert_eq!(read.body["status"], "started");
    other.zoom.reset();
    assert_eq!(other.zoom.meetings(), Vec::<Value>::new());
}

#[tokio::test]
async fn only_changes_raise_the_revision_and_only_waiting_webhooks_are_stored() {
    let bench = Bench::with_webhooks_to(Some("http://127.0.0.1:9/webhook".into()));
    let id = bench.create_meeting(&bench.token(&[]).await).await;
    let before = bench.zoom.revision();
    bench.act(id, "start", json!({})).await;
    assert!(bench.zoom.revision() > before);
    // Nobody listens there, so the event waits for its second attempt.
    let (stored, revision) = bench.zoom.snapshot_with_revision();
    assert!(!stored["webhook_queue"]["webhooks"].as_object().unwrap().is_empty());
    bench.zoom.deliver_due().await;
    assert!(!bench.zoom.meetings().is_empty() && !bench.zoom.users().is_empty());
    assert_eq!(bench.zoom.snapshot_with_revision(), (stored, revision));

    for minutes in [5, 20, 60] {
        bench.clock.advance(jiff::SignedDuration::from_mins(minutes));
        bench.zoom.deliver_due().await;
    }
    assert!(bench.zoom.webhooks().iter().all(|webhook| webhook["state"] == "gave_up"));
    assert_eq!(bench.zoom.snapshot()["webhook_queue"]["webhooks"], json!({}));
}

/// Removes the fields that states of older versions lack.
fn remove_new_fields(state: &mut Value) {
    let remove = |value: &mut Value, names: &[&str]| {
        let object = value.as_object_mut().unwrap();
        for name in names {
            assert!(object.remove(*name).is_some(), "{name}");
        }
    };
    let each = |value: &mut Value, names: &[&str]| {
        for item in value.as_object_mut().unwrap().values_mut() {
            remove(item, names);
        }
    };
    state["users"].as_object_mut().unwrap().retain(|_, user| user["owner"] == false);
    remove(state, &["unlicensed", "daily_invitations"]);
    remove(&mut state["counts"], &["account_tokens", "live_downgrades"]);
    remove(&mut state["settings"], &["participants_lag_seconds", "server_app"]);
    remove(&mut state["settings"]["webhooks"], &["both_apps"]);
    each(&mut state["accounts"], &["users"]);
    each(&mut state["users"], &["origin", "invited_until", "owner", "chosen_name"]);
    each(&mut state["webhook_queue"]["webhooks"], &["app"]);
}

#[tokio::test]
async fn state_of_an_older_version_is_readable() {
    // Nobody listens there, so the events wait for a retry.
    let bench = Bench::with_webhooks_to(Some("http://127.0.0.1:9/webhook".into()));
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    bench.act(id, "start", json!({})).await;
    let mut old = bench.zoom.snapshot();
    remove_new_fields(&mut old);
    let restored = Bench::new();
    restored.zoom.restore(old).unwrap();
    let read = restored.get(&format!("/zoom/v2/meetings/{id}"), &token).await;
    assert_eq!(read.body["status"], "started");
    assert_eq!(restored.zoom.webhooks()[0]["app"], "user");
    let account = restored.account_token().await;
    let owners = restored.get("/zoom/v2/users?role_id=0", &account).await.body;
    assert_eq!(owners["users"][0]["email"], "owner@app.zoom.test");
    // Earlier users do not count towards the limit of licences.
    let limit = json!({ "accounts": { "app": { "licenses": 1 } } });
    restored.update_settings(limit).await;
    restored.host(&account, "ada@school.test", 2).await;
}
