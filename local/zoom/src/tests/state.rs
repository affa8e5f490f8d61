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
    other.zoom.restore(snapshot.clone());
    assert_eq!(other.zoom.snapshot(), snapshot);
    other.zoom.restore(json!({ "meetings": 5 }));
    assert_eq!(other.zoom.snapshot(), snapshot, "an unreadable snapshot changes nothing");
    let read = other.get(&format!("/zoom/v2/meetings/{id}"), token).await;
    assert_eq!(read.body["status"], "started");
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
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    bench.act(id, "start", json!({})).await;
    let mut old = bench.zoom.snapshot();
    remove_new_fields(&mut old);
    let restored = Bench::new();
    restored.zoom.restore(old);
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
