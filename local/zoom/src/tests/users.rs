//! Tests of the users of an account: creation, invitations, refusals, changes and removal.

use super::*;
use crate::OTHER_USER;

async fn bench() -> (Bench, String) {
    let bench = Bench::new();
    let token = bench.account_token().await;
    (bench, token)
}

#[tokio::test]
async fn invited_user_is_pending_until_accepting() {
    let (bench, token) = bench().await;
    let created = bench.create_user(&token, "create", "ada@school.test", 2).await;
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(bench.events(), ["user.created"]);
    assert_eq!(bench.bodies("user.created")[0]["payload"]["creation_type"], "create");
    let by_email = "/zoom/v2/users/ada@school.test";
    let pending = bench.get(by_email, &token).await.body;
    assert_eq!((&pending["status"], &pending["verified"]), (&json!("pending"), &json!(0)));
    let list = bench.get("/zoom/v2/users?status=pending", &token).await.body;
    assert_eq!(list["users"][0]["email"], "ada@school.test");
    assert_eq!(list["users"][0].get("id"), None, "lists lack the ids of pending users");
    // A pending user has no meetings and no tokens.
    let meetings = format!("/zoom/v2/users/{id}/meetings");
    assert_eq!(bench.status_of("POST", &meetings, &token, meeting_body()).await, (404, 1001));
    let zak = format!("/zoom/v2/users/{id}/token?type=zak");
    assert_eq!(bench.get(&zak, &token).await.status_and_code(), (404, 1001));
    let again = bench.create_user(&token, "create", "ADA@school.test", 2).await;
    assert_eq!(again.status_and_code(), (409, 1005));

    bench.sim("users/ada@school.test/accept", json!({})).await;
    assert_eq!(bench.events()[1..], ["user.invitation_accepted"]);
    assert_eq!(bench.get(by_email, &token).await.body["status"], "active");
    assert!(bench.get(&zak, &token).await.body["token"].is_string());
    let twice = bench.call("POST", "/zoom/sim/users/ada@school.test/accept", "", None).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn expired_invitation_makes_the_user_invalid() {
    let bench = Bench::new();
    let path = "/zoom/v2/users/ada@school.test";
    for by_time in [false, true] {
        let token = bench.account_token().await;
        let created = bench.create_user(&token, "create", "ada@school.test", 2).await;
        assert_eq!(created.status, StatusCode::CREATED, "an expired invitation can be repeated");
        if by_time {
            bench.wait(30 * 24 * 3600);
        } else {
            bench.sim("users/ada@school.test/expire", json!({})).await;
        }
        let token = bench.account_token().await;
        assert_eq!(bench.get(path, &token).await.status_and_code(), (400, 1120));
        let licence = json!({ "type": 1 });
        assert_eq!(bench.status_of("PATCH", path, &token, licence).await, (400, 1120));
        let list = bench.get("/zoom/v2/users?status=pending", &token).await.body;
        assert_eq!(list["total_records"], 0);
    }
}

#[tokio::test]
async fn sign_in_accepts_the_invitation() {
    let (bench, token) = bench().await;
    bench.create_user(&token, "create", "ada@school.test", 2).await;
    let own = bench.token(&[("user", "ada@school.test")]).await;
    let user = bench.get("/zoom/v2/users/me", &own).await.body;
    assert_eq!((&user["status"], &user["account_id"]), (&json!("active"), &json!("app-account")));
}

#[tokio::test]
async fn invitations_are_accepted_at_once_if_the_setting_says_so() {
    let (bench, token) = bench().await;
    bench.create_user(&token, "create", "ada@school.test", 2).await;
    bench.user_rules(json!({ "accept_invitations": true })).await;
    bench.create_user(&token, "create", "bob@school.test", 2).await;
    for name in ["ada", "bob"] {
        let path = format!("/zoom/v2/users/{name}@school.test");
        assert_eq!(bench.get(&path, &token).await.body["status"], "active", "{name}");
    }
    assert_eq!(
        bench.events(),
        ["user.created", "user.invitation_accepted", "user.created", "user.invitation_accepted"]
    );
}

#[tokio::test]
async fn other_actions_create_active_users_where_the_account_allows_them() {
    let (bench, token) = bench().await;
    let create = async |action: &str, email: &str| {
        bench.create_user(&token, action, email, 2).await.status_and_code()
    };
    assert_eq!(create("autoCreate", "ada@school.test").await, (400, 200));
    assert_eq!(create("ssoCreate", "ada@school.test").await, (400, 2002));
    assert_eq!(create("custCreate", "ada@school.test").await, (400, 200));
    let rules = json!({ "managed_domains": ["school.test"], "sso": true, "isv": true });
    bench.user_rules(rules).await;
    assert_eq!(create("autoCreate", "ada@elsewhere.test").await, (400, 1116));
    for (action, email) in [
        ("autoCreate", "ada@school.test"),
        ("ssoCreate", "bob@school.test"),
        ("custCreate", "eve@elsewhere.test"),
    ] {
        assert_eq!(create(action, email).await, (201, 0), "{action}");
        let path = format!("/zoom/v2/users/{email}");
        assert_eq!(bench.get(&path, &token).await.body["status"], "active", "{action}");
    }
    let types: Vec<_> = bench
        .bodies("user.created")
        .iter()
        .map(|body| body["payload"]["creation_type"].clone())
        .collect();
    assert_eq!(types, ["autoCreate", "ssoCreate", "custCreate"]);
    assert_eq!(create("mailCreate", "max@school.test").await, (400, 300));
}

#[tokio::test]
async fn user_of_another_account_is_refused_in_two_ways() {
    let (bench, token) = bench().await;
    let person = json!({ "email": "ada@school.test", "account": "other" });
    bench.sim("users", person.clone()).await;
    let mut codes = std::collections::BTreeSet::new();
    for email in ["ada@school.test", OTHER_USER].repeat(10) {
        codes.insert(bench.create_user(&token, "create", email, 2).await.status_and_code());
        let path = format!("/zoom/v2/users/{email}");
        assert_eq!(bench.get(&path, &token).await.status_and_code(), (404, 1001));
    }
    assert_eq!(Vec::from_iter(codes), [(400, 1009), (409, 1005)]);
    bench.user_rules(json!({ "foreign_user_code": 1009 })).await;
    let refused = bench.create_user(&token, "create", "ada@school.test", 2).await;
    assert_eq!(refused.status_and_code(), (400, 1009));
    let again = bench.call("POST", "/zoom/sim/users", "", Some(person)).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn account_refuses_addresses_names_and_every_listed_code() {
    let (bench, token) = bench().await;
    let create =
        async |email: &str| bench.create_user(&token, "create", email, 2).await.status_and_code();
    let rules = json!({
        "limited_domains": ["school.test", "spam.test", "bad.test"],
        "blocked_domains": ["spam.test"],
        "unsafe_domains": ["bad.test"],
        "refused_words": ["ada"],
    });
    bench.user_rules(rules).await;
    assert_eq!(create("bob@school.test").await, (400, 300), "the first name is Ada");
    bench.user_rules(json!({ "refused_words": [] })).await;
    assert_eq!(create("bob@elsewhere.test").await, (400, 1116));
    assert_eq!(create("bob@spam.test").await, (400, 1107));
    assert_eq!(create("bob@bad.test").await, (400, 11321));
    assert_eq!(create("bob").await, (400, 300));
    for code in [200, 300, 1005, 1009, 1107, 1108, 1116, 2016, 2033, 2034, 2038, 3412, 11321] {
        bench.user_rules(json!({ "refuse_creation": code })).await;
        let status = if code == 1005 { 409 } else { 400 };
        assert_eq!(create("bob@school.test").await, (status, code), "{code}");
    }
    bench.user_rules(json!({ "refuse_creation": null })).await;
    assert_eq!(create("bob@school.test").await, (201, 0));
    for code in [1108, 1109, 1120, 2034] {
        bench.user_rules(json!({ "refuse_update": code })).await;
        let path = "/zoom/v2/users/bob@school.test";
        assert_eq!(bench.status_of("PATCH", path, &token, json!({ "type": 1 })).await, (400, code));
    }
    bench.update_settings(json!({ "accounts": { "app": { "plan": "basic" } } })).await;
    assert_eq!(create("max@school.test").await, (400, 200), "a free account has one user");
}

#[tokio::test]
async fn invitations_have_a_daily_limit_per_account() {
    let (bench, token) = bench().await;
    let rules = json!({ "daily_invitations": 2, "managed_domains": ["school.test"] });
    bench.user_rules(rules).await;
    for name in ["ada", "bob"] {
        bench.host(&token, &format!("{name}@school.test"), 1).await;
    }
    let refused = bench.create_user(&token, "create", "eve@school.test", 1).await;
    assert_eq!(refused.status_and_code(), (429, 429));
    assert_eq!(refused.header("x-ratelimit-type"), "Daily-limit");
    assert_eq!(refused.header("retry-after"), "2026-11-22T00:00:00Z");
    let other_action = bench.create_user(&token, "autoCreate", "eve@school.test", 1).await;
    assert_eq!(other_action.status, StatusCode::CREATED);
    bench.wait(24 * 3600);
    let token = bench.account_token().await;
    let next_day = bench.create_user(&token, "create", "max@school.test", 1).await;
    assert_eq!(next_day.status, StatusCode::CREATED);
}

#[tokio::test]
async fn users_are_listed_by_status_in_pages() {
    let (bench, token) = bench().await;
    for index in 0..5 {
        bench.host(&token, &format!("host-{index}@school.test"), 1).await;
    }
    let list = async |query: &str| bench.get(&format!("/zoom/v2/users?{query}"), &token).await;
    // The account has also the default user and the owner.
    let first = list("page_size=4").await.body;
    assert_eq!(first["users"].as_array().unwrap().len(), 4);
    assert_eq!((&first["total_records"], &first["page_count"]), (&json!(7), &json!(2)));
    let next = first["next_page_token"].as_str().unwrap();
    let second = list(&format!("page_size=4&next_page_token={next}")).await.body;
    assert_eq!(second["users"].as_array().unwrap().len(), 3);
    assert_eq!(second["next_page_token"], "");
    let elsewhere = list(&format!("status=inactive&next_page_token={next}")).await;
    assert_eq!(elsewhere.status_and_code(), (400, 300));
    assert_eq!(list("role_id=0").await.body["total_records"], 1);
    for (query, field) in [("status=all", "status"), ("page_size=2001", "page_size")] {
        let refused = list(query).await;
        assert_eq!((refused.status_and_code(), refused.error_fields()), ((400, 300), vec![field]));
    }
    let status = "/zoom/v2/users/host-0@school.test/status";
    let deactivate = json!({ "action": "deactivate" });
    assert_eq!(bench.status_of("PUT", status, &token, deactivate).await, (204, 0));
    let inactive = list("status=inactive").await.body;
    assert_eq!(inactive["users"][0]["email"], "host-0@school.test");
    assert_eq!(list("").await.body["total_records"], 6);
}

#[tokio::test]
async fn changed_fields_are_stored_and_emitted() {
    let (bench, token) = bench().await;
    bench.host(&token, "ada@school.test", 2).await;
    let path = "/zoom/v2/users/ada@school.test";
    let change = json!({ "last_name": "Lovelace", "timezone": "Europe/Berlin", "type": 1 });
    assert_eq!(bench.status_of("PATCH", path, &token, change.clone()).await, (204, 0));
    assert_eq!(bench.status_of("PATCH", path, &token, change).await, (204, 0));
    let updated = bench.bodies("user.updated");
    assert_eq!(updated.len(), 1, "a request without a change has no event");
    let payload = &updated[0]["payload"];
    assert_eq!(payload["object"]["type"], 1);
    assert_eq!(payload["old_object"]["type"], 2);
    assert_eq!(payload["operator"], "owner@app.zoom.test");
    let user = bench.get(path, &token).await.body;
    assert_eq!(user["display_name"], "Ada Lovelace");
    let name = json!({ "display_name": "Countess" });
    assert_eq!(bench.status_of("PATCH", path, &token, name).await, (204, 0));
    assert_eq!(bench.get(path, &token).await.body["display_name"], "Countess");
    let unknown = bench.status_of("PATCH", path, &token, json!({ "nmae": "x" })).await;
    assert_eq!(unknown, (400, 300));
}

#[tokio::test]
async fn deactivated_host_has_no_licence_and_no_meetings() {
    let (bench, token) = bench().await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let status = format!("/zoom/v2/users/{host}/status");
    let set = async |action: &str| {
        bench.status_of("PUT", &status, &token, json!({ "action": action })).await
    };
    let id = bench.create_meeting_of(&token, &host).await;
    assert_eq!(set("deactivate").await, (204, 0));
    let user = bench.get(&format!("/zoom/v2/users/{host}"), &token).await.body;
    assert_eq!((&user["status"], &user["type"]), (&json!("inactive"), &json!(1)));
    let zak = format!("/zoom/v2/users/{host}/token?type=zak");
    assert_eq!(bench.get(&zak, &token).await.status_and_code(), (404, 1001));
    assert_eq!(bench.try_act(id, "start", json!({})).await.status, StatusCode::CONFLICT);
    let meeting = format!("/zoom/v2/meetings/{id}");
    assert_eq!(bench.get(&meeting, &token).await.status, StatusCode::OK);
    assert_eq!(set("activate").await, (204, 0));
    assert!(bench.get(&zak, &token).await.body["token"].is_string());
    assert_eq!(bench.bodies("user.deactivated").len(), 1);
    assert_eq!(bench.bodies("user.activated").len(), 1);
    let owner = "/zoom/v2/users/owner@app.zoom.test/status";
    let deactivate = json!({ "action": "deactivate" });
    assert_eq!(bench.status_of("PUT", owner, &token, deactivate.clone()).await, (400, 200));
    bench.create_user(&token, "create", "bob@school.test", 1).await;
    let pending = "/zoom/v2/users/bob@school.test/status";
    assert_eq!(bench.status_of("PUT", pending, &token, deactivate).await, (404, 1001));
}

#[tokio::test]
async fn disassociated_user_keeps_their_meetings_in_another_account() {
    let (bench, token) = bench().await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let id = bench.create_meeting_of(&token, &host).await;
    let path = format!("/zoom/v2/users/{host}");
    assert_eq!(bench.call("DELETE", &path, &token, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (404, 1001));
    let meeting = format!("/zoom/v2/meetings/{id}");
    assert_eq!(bench.get(&meeting, &token).await.status_and_code(), (404, 3001));
    let own = bench.token(&[("user", "ada@school.test")]).await;
    assert_eq!(bench.get(&meeting, &own).await.status, StatusCode::OK);
    let user = bench.get("/zoom/v2/users/me", &own).await.body;
    assert_eq!(user["type"], 1);
    assert_ne!(user["account_id"], "app-account");
    let event = &bench.bodies("user.disassociated")[0]["payload"];
    assert_eq!(event["account_id"], "app-account");
}

#[tokio::test]
async fn deleted_users_meetings_go_to_the_transfer_target_or_are_removed() {
    let (bench, token) = bench().await;
    let ada = bench.host(&token, "ada@school.test", 2).await;
    bench.host(&token, "bob@school.test", 2).await;
    let (ahead, past) =
        (bench.create_meeting_of(&token, &ada).await, bench.create_meeting_of(&token, &ada).await);
    bench.act(past, "start", json!({})).await;
    let delete = async |query: &str| {
        let path = format!("/zoom/v2/users/{ada}?action=delete{query}");
        bench.call("DELETE", &path, &token, None).await.status_and_code()
    };
    for target in ["ada@school.test", OTHER_USER, "nobody@school.test"] {
        assert_eq!(delete(&format!("&transfer_email={target}")).await, (400, 300), "{target}");
    }
    let query = "&transfer_email=bob@school.test&transfer_meeting=true";
    assert_eq!(delete(query).await, (204, 0));
    assert_eq!(bench.zoom.meeting(ahead).unwrap()["host_email"], "bob@school.test");
    assert_eq!(bench.zoom.meeting(past).unwrap()["status"], "deleted");
    assert_eq!(bench.bodies("user.deleted").len(), 1);
    assert_eq!(delete("").await, (404, 1001));
    let fresh = bench.create_user(&token, "create", "ada@school.test", 2).await;
    assert_eq!(fresh.status, StatusCode::CREATED, "the address is free again");
}

#[tokio::test]
async fn some_users_cannot_be_disassociated() {
    let (bench, token) = bench().await;
    let rules = json!({
        "managed_domains": ["school.test"],
        "keep_managed_users": true,
        "isv": true,
    });
    bench.user_rules(rules).await;
    bench.create_user(&token, "autoCreate", "ada@school.test", 1).await;
    bench.create_user(&token, "custCreate", "bob@elsewhere.test", 1).await;
    bench.create_user(&token, "create", "eve@elsewhere.test", 1).await;
    let delete = async |email: &str, action: &str| {
        let path = format!("/zoom/v2/users/{email}?action={action}");
        bench.call("DELETE", &path, &token, None).await.status_and_code()
    };
    assert_eq!(delete("owner@app.zoom.test", "disassociate").await, (400, 1117));
    assert_eq!(delete("ada@school.test", "disassociate").await, (400, 1107));
    assert_eq!(delete("bob@elsewhere.test", "disassociate").await, (400, 300));
    assert_eq!(delete("ada@school.test", "remove").await, (400, 300));
    assert_eq!(delete("eve@elsewhere.test", "delete").await, (400, 200), "still pending");
    assert_eq!(delete("eve@elsewhere.test", "disassociate").await, (204, 0));
    assert_eq!(delete("ada@school.test", "delete").await, (204, 0));
    assert_eq!(delete("bob@elsewhere.test", "delete").await, (204, 0));
    let users = bench.get("/zoom/sim/users", "").await.body;
    let emails: Vec<_> = users["items"].as_array().unwrap().iter().map(|it| &it["email"]).collect();
    assert_eq!(emails.len(), 3, "{emails:?}");
}
