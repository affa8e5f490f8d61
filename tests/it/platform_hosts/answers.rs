//! Every answer of Zoom to a request for a host.

use jiff::SignedDuration;
use local::calls::Service::Zoom;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::state_and_reason;
use crate::world::World;

/// A user who exists before the request.
#[derive(Clone, Copy)]
enum Existing {
    Nobody,
    /// In the platform's account, without a licence.
    Own,
    Inactive,
    /// In another account.
    Foreign,
}

struct Answer {
    /// The rules of the account.
    rules: Value,
    existing: Existing,
    create: &'static str,
    licence: &'static str,
    expected: (&'static str, Option<&'static str>),
}

fn answer(
    create: &'static str,
    rules: Value,
    state: &'static str,
    reason: Option<&'static str>,
) -> Answer {
    let existing = Existing::Nobody;
    Answer { rules, existing, create, licence: "none", expected: (state, reason) }
}

fn failed(create: &'static str, rules: Value, reason: &'static str) -> Answer {
    answer(create, rules, "failed", Some(reason))
}

fn answers() -> Vec<Answer> {
    use Existing::{Foreign, Inactive, Own};
    let of = |existing, answer: Answer| Answer { existing, ..answer };
    let licensed = |answer: Answer| Answer { licence: "permanent", ..answer };
    let mut all: Vec<_> = [
        (200, "not_allowed"),
        (300, "name_refused"),
        (1005, "exists_elsewhere"),
        (1009, "exists_elsewhere"),
        (1107, "address_refused"),
        (1108, "not_allowed"),
        (1116, "address_refused"),
        (2016, "not_allowed"),
        (2033, "user_limit"),
        (2034, "no_licence"),
        (2038, "no_licence"),
        (3412, "no_licence"),
        (11321, "address_refused"),
    ]
    .map(|(code, reason)| failed("invite", json!({"refuse_creation": code}), reason))
    .into();
    all.extend(
        [
            (1108, "not_allowed"),
            (1109, "account_not_paid"),
            (1120, "invitation_expired"),
            (2034, "no_licence"),
            (3412, "no_licence"),
        ]
        .map(|(code, reason)| {
            of(Own, licensed(failed("existing", json!({"refuse_update": code}), reason)))
        }),
    );
    all.extend([
        answer("invite", json!({}), "invited", None),
        answer("auto", json!({}), "active", None),
        failed("auto", json!({"managed_domains": ["school.test"]}), "address_refused"),
        failed("auto", json!({"managed_domains": []}), "not_allowed"),
        failed("sso", json!({}), "not_allowed"),
        answer("sso", json!({"sso": true}), "active", None),
        failed("custom", json!({}), "not_allowed"),
        answer("custom", json!({"isv": true}), "active", None),
        failed("invite", json!({"refused_words": ["tara"]}), "name_refused"),
        failed("existing", json!({}), "not_found"),
        answer("invite", json!({"daily_invitations": 0}), "requested", Some("daily_limit")),
        of(Own, answer("existing", json!({}), "active", None)),
        of(Own, licensed(answer("invite", json!({}), "active", None))),
        of(Inactive, answer("invite", json!({}), "active", None)),
        of(Foreign, failed("invite", json!({"foreign_user_code": 1005}), "exists_elsewhere")),
        of(Foreign, failed("invite", json!({"foreign_user_code": 1009}), "exists_elsewhere")),
        of(Foreign, failed("existing", json!({}), "not_found")),
    ]);
    all
}

/// The rules before each answer.
fn usual_rules() -> Value {
    json!({
        "managed_domains": ["example.test"], "refuse_creation": null, "refuse_update": null, "sso": false, "isv": false,
        "refused_words": [], "foreign_user_code": null, "daily_invitations": null,
    })
}

impl World {
    async fn prepare(&self, existing: Existing, email: &str) {
        let account = match existing {
            Existing::Nobody => return,
            Existing::Own | Existing::Inactive => "app",
            Existing::Foreign => "other",
        };
        let user = json!({"email": email, "account": account, "licence": 1});
        let user = self.post("", "/zoom/sim/users", user).await.expect(200);
        if matches!(existing, Existing::Inactive) {
            let token = self.account_token().await;
            let path = format!("/zoom/v2/users/{}/status", user["id"].as_str().expect("an id"));
            self.put(&token, &path, json!({"action": "deactivate"})).await.expect(204);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_zoom_becomes_a_state_with_a_reason() {
    let world = World::start().await;
    for (n, case) in answers().into_iter().enumerate() {
        let (trainer, email) = (format!("t-{n}"), format!("t-{n}@example.test"));
        world.put_user(&trainer, json!({"name": "Tara Trainer"})).await;
        world.change_user_rules(usual_rules()).await;
        world.prepare(case.existing, &email).await;
        world.change_user_rules(case.rules.clone()).await;
        world.put_host(&trainer, &email, case.create, case.licence).await;
        let host = world.host_after_sweep(&trainer).await;
        let context = format!("{} {} {}", case.create, case.licence, case.rules);
        assert_eq!(state_and_reason(&host), case.expected, "{context}");
        let is_own = matches!(case.existing, Existing::Own | Existing::Inactive);
        if host["state"] == "active" || is_own {
            let user = world.zoom_user(&email).await.expect("the user");
            assert_eq!(host["zoom_user_id"], user["id"], "{context}");
            assert_eq!(host["licence"]["held"], user["licence"] == 2, "{context}");
            assert_eq!(user["status"], "active", "{context}");
        }
        if host["state"] == "failed" {
            let user = world.zoom_user(&email).await;
            assert!(user.is_none_or(|user| user["licence"] == 1), "{context}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_waits_for_licences_limits_and_zoom() {
    let world = World::start().await;
    // A licence that somebody gives back is found without a request.
    world.change_zoom(json!({"accounts": {"app": {"licenses": 0}}})).await;
    world.put_host("t-1", "t-1@example.test", "auto", "permanent").await;
    let failed = world.host_after_sweep("t-1").await;
    assert_eq!(state_and_reason(&failed), ("failed", Some("no_licence")));
    world.change_zoom(json!({"accounts": {"app": {"licenses": 3}}})).await;
    world.advance(SignedDuration::from_mins(91));
    assert_eq!(world.host_after_sweep("t-1").await["state"], "active");

    // The daily limit of invitations stops the other invitations of the run, and nothing else.
    world.change_user_rules(json!({"daily_invitations": 0})).await;
    for n in 2..6 {
        let create = if n == 5 { "auto" } else { "invite" };
        world.put_host(&format!("t-{n}"), &format!("t-{n}@example.test"), create, "none").await;
    }
    let created = world.stack.usage.calls("meeting-sweep", Zoom, "create_user");
    let report = world.meeting_sweep().await;
    assert_eq!(
        (&report["due"], &report["done"], &report["postponed"]),
        (&json!(4), &json!(1), &json!(3))
    );
    assert_eq!(world.stack.usage.calls("meeting-sweep", Zoom, "create_user"), created + 2);
    assert_eq!(state_and_reason(&world.host("t-4").await), ("requested", Some("daily_limit")));
    world.change_user_rules(json!({"daily_invitations": null})).await;
    world.advance(SignedDuration::from_hours(24));
    world.meeting_sweep().await;
    assert_eq!(world.host("t-2").await["state"], "invited");

    // The limit per second belongs to people: the run ends.
    for n in 6..9 {
        world.put_host(&format!("t-{n}"), &format!("t-{n}@example.test"), "auto", "none").await;
    }
    world.inject_zoom_fault("get_user", FaultKind::Throttle);
    let report = world.meeting_sweep().await;
    assert_eq!((&report["done"], &report["postponed"]), (&json!(0), &json!(3)));
    world.advance(SignedDuration::from_mins(5));
    assert_eq!(world.meeting_sweep().await["done"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_waits_while_zoom_fails_or_refuses_the_account() {
    let world = World::start().await;
    world.put_host("t-1", "t-1@example.test", "auto", "none").await;
    world.inject_fault(Fault::new(Zoom, "get_user", FaultKind::Error).times(2));
    let waiting = world.host_after_sweep("t-1").await;
    assert_eq!(state_and_reason(&waiting), ("requested", Some("zoom_unavailable")));
    // A token that dies is renewed once.
    world.advance(SignedDuration::from_mins(8));
    world.post("", "/zoom/sim/expire-tokens", json!({"app": "server"})).await.expect(204);
    assert_eq!(world.host_after_sweep("t-1").await["state"], "active");

    // A scope that the app lacks concerns the operator.
    world.change_zoom(json!({"server_app": {"scopes": ["user:read:user:admin"]}})).await;
    world.put_host("t-2", "t-2@example.test", "auto", "none").await;
    let refused = world.host_after_sweep("t-2").await;
    assert_eq!(state_and_reason(&refused), ("failed", Some("not_allowed")));
    world.change_zoom(json!({"server_app": {"scopes": null, "active": false}})).await;
    world.put_host("t-2", "t-2@example.test", "auto", "none").await;
    let waiting = world.host_after_sweep("t-2").await;
    assert_eq!(state_and_reason(&waiting), ("requested", Some("zoom_unavailable")));
    world.change_zoom(json!({"server_app": {"active": true}})).await;
    world.advance(SignedDuration::from_mins(8));
    assert_eq!(world.host_after_sweep("t-2").await["state"], "active");
}
