//! Looking behind the API: what the tables hold, what Zoom has, and what went over the wire.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use jiff::SignedDuration;
use local::calls::{AWS_PATH, Service};
use local::faults::{Fault, Kind};
use serde_json::{Map, Value, json};
use shared::aws::Aws;
use shared::config::{Env, names};

use crate::world::{Answer, World};

/// The tables of the template, as the stack names them.
const TABLES: [&str; 2] = ["MainTable", "TokensTable"];

impl World {
    /// A DynamoDB client that is none of the functions'.
    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let env = Env::from_pairs([
            (names::AWS_ENDPOINT_URL, format!("{}{AWS_PATH}", self.stack.base_url)),
            (names::AWS_REGION, "local".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "local".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "local".to_owned()),
            (names::AWS_LAMBDA_FUNCTION_NAME, "tests".to_owned()),
        ]);
        let http = shared::net::http_client("live-classes/tests").expect("a client");
        Aws::new(&env, &http).expect("the settings are whole").dynamodb()
    }

    /// Every item of both tables. Only a test may scan.
    pub(crate) async fn dump(&self) -> Vec<Value> {
        let client = self.dynamodb();
        let mut all = Vec::new();
        for table in TABLES {
            let mut after = None;
            loop {
                let page = client.scan().table_name(table).set_exclusive_start_key(after);
                let page = page.send().await.expect("the table can be scanned");
                all.extend(page.items.unwrap_or_default().into_iter().map(|item| {
                    Value::Object(item.into_iter().map(|(name, it)| (name, plain(it))).collect())
                }));
                after = page.last_evaluated_key;
                if after.is_none() {
                    break;
                }
            }
        }
        all
    }

    /// The items whose partition begins so.
    pub(crate) async fn items(&self, partition: &str) -> Vec<Value> {
        items(&self.dump().await, partition)
    }

    /// What is due of one queue: `REMINDER`, `REPAIR`, `OUTBOX` or `ARCHIVE`.
    pub(crate) async fn due(&self, queue: &str) -> Vec<Value> {
        due(&self.dump().await, queue)
    }

    /// The announcements of classes, as `(kind, version, sequence)`.
    pub(crate) async fn announced(&self) -> Vec<(String, u64, u64)> {
        announced(&self.dump().await)
    }

    /// When the reminders are due, by kind.
    pub(crate) async fn reminders(&self) -> Vec<(String, String)> {
        reminders(&self.dump().await)
    }

    /// How many classes of a trainer count in a month, as in `2026-11`.
    pub(crate) async fn month_count(&self, trainer: &str, month: &str) -> i64 {
        month_count(&self.dump().await, trainer, month)
    }

    /// The meetings at Zoom that were not deleted.
    pub(crate) fn meetings(&self) -> Vec<Value> {
        let all = self.stack.zoom.meetings().into_iter();
        all.filter(|meeting| meeting["status"] != "deleted").collect()
    }

    /// The meeting of a class, deleted or not.
    #[track_caller]
    pub(crate) fn meeting_of(&self, session: &Value) -> Value {
        let id = session["meeting"]["id"].as_str().expect("a meeting").parse().expect("a number");
        self.stack.zoom.meeting(id).expect("Zoom knows the meeting")
    }

    /// The bodies of the updates that Zoom received for a class.
    pub(crate) fn patches_of(&self, session: &Value) -> Vec<Value> {
        let requests = self.meeting_of(session)["requests"].clone();
        requests.as_array().expect("a list").iter().skip(1).cloned().collect()
    }

    /// Requests that reached Zoom's API, of one kind.
    pub(crate) fn asked_of_zoom(&self, function: &str, operation: &str) -> u64 {
        self.stack.usage.calls(function, Service::Zoom, operation)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.stack.faults.add(fault).expect("such a fault can happen");
    }

    /// The next call of an operation of Zoom fails so.
    pub(crate) fn zoom_fails(&self, operation: &str, kind: Kind) {
        self.fault(Fault::new(Service::Zoom, operation, kind));
    }

    /// The transaction that stores a class fails so; the one that reserved it did not.
    pub(crate) fn commit_fails(&self, kind: Kind, times: u32) {
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind);
        self.fault(fault.by("session-save").after(1).times(times));
    }

    /// Lets the attempts under way run out, and the sweep look at what they left.
    pub(crate) async fn sweep_later(&self) -> Value {
        self.stack.faults.clear();
        self.advance(SignedDuration::from_secs(90));
        self.sweep().await
    }

    pub(crate) async fn sweep(&self) -> Value {
        self.stack.schedules.run("reminder-sweep").await.expect("the sweep ends")
    }

    pub(crate) async fn settings(&self, settings: Value) {
        let service = self.service().await;
        self.put(&service, "/v1/directory/settings", settings).await.expect(200);
    }

    /// Puts a user into the directory, with what differs from a trainer on the plan `pro`.
    pub(crate) async fn user(&self, id: &str, patch: Value) {
        let mut user = json!({"email": format!("{id}@example.test"), "name": id, "role": "trainer", "plan": "pro"});
        merge(&mut user, patch);
        let service = self.service().await;
        self.put(&service, &format!("/v1/directory/users/{id}"), user).await.expect(200);
    }

    pub(crate) async fn create(&self, token: &str, body: &Value) -> Answer {
        self.post(token, "/v1/sessions", body.clone()).await
    }

    pub(crate) async fn create_with_key(&self, token: &str, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key)];
        self.call(Method::POST, "/v1/sessions", token, Some(body.clone()), &headers).await
    }

    pub(crate) async fn edit(&self, token: &str, session: &Value, body: &Value) -> Answer {
        self.put(token, &path_of(session), body.clone()).await
    }

    pub(crate) async fn edit_if(
        &self,
        token: &str,
        session: &Value,
        version: &str,
        body: &Value,
    ) -> Answer {
        let headers = [("if-match", version)];
        self.call(Method::PUT, &path_of(session), token, Some(body.clone()), &headers).await
    }

    pub(crate) async fn cancel(&self, token: &str, session: &Value) -> Answer {
        let path = format!("{}/cancel", path_of(session));
        self.call(Method::POST, &path, token, None, &[]).await
    }

    /// The items of a list.
    pub(crate) async fn listed(&self, token: &str, path: &str) -> Vec<Value> {
        let page = self.get(token, path).await.expect(200);
        page["items"].as_array().expect("a list").clone()
    }
}

/// The items of a dump whose partition begins so.
pub(crate) fn items(dump: &[Value], partition: &str) -> Vec<Value> {
    let begins = |item: &&Value| item["pk"].as_str().is_some_and(|pk| pk.starts_with(partition));
    dump.iter().filter(begins).cloned().collect()
}

pub(crate) fn due(dump: &[Value], queue: &str) -> Vec<Value> {
    let mut due = match queue {
        "OUTBOX" | "ARCHIVE" => items(dump, &format!("DUE#{queue}")),
        // Reminders and repairs lie together, sorted by time.
        _ => items(dump, "DUE#WORK"),
    };
    due.retain(|item| item["work"].is_null() || item["work"] == queue.to_lowercase());
    due.sort_by_key(|item| item["sk"].as_str().unwrap_or_default().to_owned());
    due
}

pub(crate) fn announced(dump: &[Value]) -> Vec<(String, u64, u64)> {
    let number = |item: &Value, name: &str| item[name].as_u64().expect("a number");
    let mut all: Vec<_> = due(dump, "OUTBOX")
        .iter()
        .filter(|item| item["what"] == "session")
        .map(|item| {
            let kind = item["kind"].as_str().expect("a kind").to_owned();
            (kind, number(item, "version"), number(item, "sequence"))
        })
        .collect();
    all.sort_by_key(|(_, version, _)| *version);
    all
}

pub(crate) fn reminders(dump: &[Value]) -> Vec<(String, String)> {
    due(dump, "REMINDER")
        .iter()
        .map(|item| {
            let sk = item["sk"].as_str().expect("a key");
            let at = sk.split('#').next().expect("a time").to_owned();
            (item["reminder"].as_str().expect("a kind").to_owned(), at)
        })
        .collect()
}

pub(crate) fn month_count(dump: &[Value], trainer: &str, month: &str) -> i64 {
    let key = format!("MONTH#{month}");
    let counter =
        items(dump, &format!("USER#{trainer}")).into_iter().find(|item| item["sk"] == key.as_str());
    counter.map_or(0, |item| item["count"].as_i64().expect("a number"))
}

pub(crate) fn path_of(session: &Value) -> String {
    format!("/v1/sessions/{}", session["id"].as_str().expect("an id"))
}

/// `base` with the fields of `patch`; `null` takes a field out.
pub(crate) fn with(base: Value, patch: Value) -> Value {
    let mut body = base;
    merge(&mut body, patch);
    body
}

fn merge(base: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else { unreachable!("a patch is an object") };
    for (name, value) in patch {
        let fields = base.as_object_mut().expect("an object");
        if value.is_null() {
            fields.remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
}

/// So many addresses, the first those of the seeded students.
pub(crate) fn invitees(count: usize) -> Value {
    let all = (1..=count).map(
        |n| json!({"email": format!("student{n}@example.test"), "name": format!("Student {n}")}),
    );
    Value::Array(all.collect())
}

/// The fields that a refusal names.
pub(crate) fn fields(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str()).collect()
}

fn plain(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(number) => serde_json::from_str(&number).expect("a number is JSON"),
        AttributeValue::Bool(flag) => Value::Bool(flag),
        AttributeValue::L(list) => list.into_iter().map(plain).collect(),
        AttributeValue::M(map) => {
            let fields: Map<_, _> = map.into_iter().map(|(name, it)| (name, plain(it))).collect();
            Value::Object(fields)
        }
        AttributeValue::Null(_) => Value::Null,
        other => panic!("no item of ours holds {other:?}"),
    }
}

impl World {
    /// A request with a body that is not JSON, or with bytes for it.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Vec<u8>,
    ) -> Answer {
        let http = shared::net::http_client("live-classes/tests").expect("a client");
        let request =
            http.request(method, format!("{}{path}", self.stack.base_url)).bearer_auth(token);
        let request = request.header("content-type", "application/x-ndjson").body(body);
        let answer = request.send().await.expect("the stack answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.expect("a whole answer") }
    }
}
