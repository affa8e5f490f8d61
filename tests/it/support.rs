//! Shared requests and request bodies, fault injection, and access to the tables and to Zoom's state.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use jiff::SignedDuration;
use local::aws::calls::AWS_PATH;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Map, Value, json};
use shared::aws::Aws;
use shared::config::{Env, names};

use crate::world::{Response, World};

/// The tables of the stack.
const TABLES: [&str; 2] = ["MainTable", "TokensTable"];

/// The items of a page of [`World::dump`].
const SCAN_PAGE: i32 = 500;

impl World {
    /// Returns a DynamoDB client of the test.
    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let env = Env::from_pairs([
            (names::AWS_ENDPOINT_URL, format!("{}{AWS_PATH}", self.stack.base_url)),
            (names::AWS_REGION, "local".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "local".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "local".to_owned()),
            (names::AWS_LAMBDA_FUNCTION_NAME, "tests".to_owned()),
        ]);
        let http = shared::net::http_client("live-classes/tests").expect("an HTTP client");
        Aws::new(&env, &http).expect("complete AWS settings").dynamodb()
    }

    /// Deletes the domain events of the starting data, which are due a minute later.
    pub(crate) async fn drop_pending_events(&self) {
        let client = self.dynamodb();
        let pending = client
            .query()
            .table_name("MainTable")
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S("DUE#OUTBOX".to_owned()));
        for item in pending.send().await.expect("a query").items.unwrap_or_default() {
            let delete = client.delete_item().table_name("MainTable");
            let delete = delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
            delete.send().await.expect("a deletion");
        }
        self.stack.usage.reset();
    }

    /// Returns every item of both tables.
    pub(crate) async fn dump(&self) -> Vec<Value> {
        let client = self.dynamodb();
        let mut all = Vec::new();
        for table in TABLES {
            let mut start_key = None;
            loop {
                // A large page takes longer than the client waits.
                let page = client.scan().table_name(table).limit(SCAN_PAGE);
                let page = page.set_exclusive_start_key(start_key);
                let page = page.send().await.expect("a table scan");
                all.extend(page.items.unwrap_or_default().into_iter().map(|item| {
                    Value::Object(item.into_iter().map(|(name, it)| (name, to_json(it))).collect())
                }));
                start_key = page.last_evaluated_key;
                if start_key.is_none() {
                    break;
                }
            }
        }
        all
    }

    /// Returns the items whose partition key has this prefix.
    pub(crate) async fn items(&self, partition: &str) -> Vec<Value> {
        items(&self.dump().await, partition)
    }

    /// Returns the due work of one kind: `REMINDER`, `REPAIR`, `OUTBOX` or `ARCHIVE`.
    pub(crate) async fn due_work(&self, queue: &str) -> Vec<Value> {
        due_work(&self.dump().await, queue)
    }

    /// Returns the domain events of sessions as `(kind, version, sequence)`.
    pub(crate) async fn session_events(&self) -> Vec<(String, u64, u64)> {
        session_events(&self.dump().await)
    }

    /// Returns the kind and due time of each reminder.
    pub(crate) async fn reminders(&self) -> Vec<(String, String)> {
        reminders(&self.dump().await)
    }

    /// Returns the number of a trainer's sessions that count in a month such as `2026-11`.
    pub(crate) async fn monthly_session_count(&self, trainer: &str, month: &str) -> i64 {
        monthly_session_count(&self.dump().await, trainer, month)
    }

    /// Returns the meetings at Zoom that are not deleted.
    pub(crate) fn meetings(&self) -> Vec<Value> {
        let all = self.stack.zoom.meetings().into_iter();
        all.filter(|meeting| meeting["status"] != "deleted").collect()
    }

    /// Returns the meeting of a session, even if it is deleted.
    #[track_caller]
    pub(crate) fn meeting_of(&self, session: &Value) -> Value {
        let id = session["meeting"]["id"].as_str().expect("a meeting").parse().expect("a number");
        self.stack.zoom.meeting(id).expect("a meeting at Zoom")
    }

    /// Returns the bodies of the meeting updates that Zoom received for a session.
    pub(crate) fn meeting_updates(&self, session: &Value) -> Vec<Value> {
        let requests = self.meeting_of(session)["requests"].clone();
        requests.as_array().expect("a list").iter().skip(1).cloned().collect()
    }

    /// Returns the number of a function's calls of one operation of Zoom's API.
    pub(crate) fn zoom_calls(&self, function: &str, operation: &str) -> u64 {
        self.stack.usage.calls(function, Service::Zoom, operation)
    }

    pub(crate) fn inject_fault(&self, fault: Fault) {
        self.stack.faults.add(fault).expect("a valid fault");
    }

    /// Makes the next call of a Zoom operation fail.
    pub(crate) fn inject_zoom_fault(&self, operation: &str, kind: FaultKind) {
        self.inject_fault(Fault::new(Service::Zoom, operation, kind));
    }

    /// Makes the transaction that stores a session fail, but not the earlier one that reserves it.
    pub(crate) fn fail_session_commit(&self, kind: FaultKind, times: u32) {
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind);
        self.inject_fault(fault.for_function("session-save").after(1).times(times));
    }

    /// Clears all faults, lets the leases of interrupted requests expire and runs the sweep.
    pub(crate) async fn advance_and_sweep(&self) -> Value {
        self.stack.faults.clear();
        self.advance(SignedDuration::from_secs(90));
        self.sweep().await
    }

    pub(crate) async fn sweep(&self) -> Value {
        self.stack.schedules.run("reminder-sweep").await.expect("a report of the sweep")
    }

    pub(crate) async fn put_settings(&self, settings: Value) {
        let service = self.service().await;
        self.put(&service, "/v1/directory/settings", settings).await.expect(200);
    }

    /// Stores a user in the directory: a trainer on the plan `pro` with the patch applied.
    pub(crate) async fn put_user(&self, id: &str, patch: Value) {
        let mut user = json!({"email": format!("{id}@example.test"), "name": id, "role": "trainer", "plan": "pro"});
        merge(&mut user, patch);
        let service = self.service().await;
        self.put(&service, &format!("/v1/directory/users/{id}"), user).await.expect(200);
    }

    pub(crate) async fn create(&self, token: &str, body: &Value) -> Response {
        self.post(token, "/v1/sessions", body.clone()).await
    }

    pub(crate) async fn create_with_idempotency_key(
        &self,
        token: &str,
        key: &str,
        body: &Value,
    ) -> Response {
        let headers = [("idempotency-key", key)];
        self.call(Method::POST, "/v1/sessions", token, Some(body.clone()), &headers).await
    }

    pub(crate) async fn edit(&self, token: &str, session: &Value, body: &Value) -> Response {
        self.put(token, &session_path(session), body.clone()).await
    }

    pub(crate) async fn edit_if_match(
        &self,
        token: &str,
        session: &Value,
        version: &str,
        body: &Value,
    ) -> Response {
        let headers = [("if-match", version)];
        self.call(Method::PUT, &session_path(session), token, Some(body.clone()), &headers).await
    }

    pub(crate) async fn cancel(&self, token: &str, session: &Value) -> Response {
        let path = format!("{}/cancel", session_path(session));
        self.call(Method::POST, &path, token, None, &[]).await
    }

    /// Returns the items of a list response.
    pub(crate) async fn list_items(&self, token: &str, path: &str) -> Vec<Value> {
        let page = self.get(token, path).await.expect(200);
        page["items"].as_array().expect("a list").clone()
    }
}

/// Returns the items of a dump whose partition key has this prefix.
pub(crate) fn items(dump: &[Value], partition: &str) -> Vec<Value> {
    let matches = |item: &&Value| item["pk"].as_str().is_some_and(|pk| pk.starts_with(partition));
    dump.iter().filter(matches).cloned().collect()
}

pub(crate) fn due_work(dump: &[Value], queue: &str) -> Vec<Value> {
    let mut due = match queue {
        "OUTBOX" | "ARCHIVE" => items(dump, &format!("DUE#{queue}")),
        // The previous version stored repairs among the other work.
        "REPAIR" => [items(dump, "DUE#REPAIRS"), items(dump, "DUE#WORK")].concat(),
        _ => items(dump, "DUE#WORK"),
    };
    due.retain(|item| item["work"].is_null() || item["work"] == queue.to_lowercase());
    due.sort_by_key(|item| item["sk"].as_str().unwrap_or_default().to_owned());
    due
}

pub(crate) fn session_events(dump: &[Value]) -> Vec<(String, u64, u64)> {
    let number = |item: &Value, name: &str| item[name].as_u64().expect("a number");
    let mut all: Vec<_> = due_work(dump, "OUTBOX")
        .iter()
        .filter(|item| item["event"] == "session")
        .map(|item| {
            let kind = item["kind"].as_str().expect("a kind").to_owned();
            (kind, number(item, "version"), number(item, "sequence"))
        })
        .collect();
    all.sort_by_key(|(_, version, _)| *version);
    all
}

pub(crate) fn reminders(dump: &[Value]) -> Vec<(String, String)> {
    due_work(dump, "REMINDER")
        .iter()
        .map(|item| {
            let sk = item["sk"].as_str().expect("a key");
            let at = sk.split('#').next().expect("a time").to_owned();
            (item["reminder"].as_str().expect("a kind").to_owned(), at)
        })
        .collect()
}

pub(crate) fn monthly_session_count(dump: &[Value], trainer: &str, month: &str) -> i64 {
    let key = format!("MONTH#{month}");
    let counter =
        items(dump, &format!("USER#{trainer}")).into_iter().find(|item| item["sk"] == key.as_str());
    counter.map_or(0, |item| item["count"].as_i64().expect("a number"))
}

pub(crate) fn session_path(session: &Value) -> String {
    format!("/v1/sessions/{}", session["id"].as_str().expect("an id"))
}

/// Returns `base` with the fields of `patch`. A `null` removes the field.
pub(crate) fn patched(base: Value, patch: Value) -> Value {
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

/// Returns this many invitees. The first ones are the seeded students.
pub(crate) fn invitees(count: usize) -> Value {
    let all = (1..=count).map(
        |n| json!({"email": format!("student{n}@example.test"), "name": format!("Student {n}")}),
    );
    Value::Array(all.collect())
}

/// Returns the fields that are listed in validation errors.
pub(crate) fn fields(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str()).collect()
}

fn to_json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(number) => serde_json::from_str(&number).expect("a JSON number"),
        AttributeValue::Bool(flag) => Value::Bool(flag),
        AttributeValue::L(list) => list.into_iter().map(to_json).collect(),
        AttributeValue::M(map) => {
            let fields: Map<_, _> = map.into_iter().map(|(name, it)| (name, to_json(it))).collect();
            Value::Object(fields)
        }
        AttributeValue::Null(_) => Value::Null,
        other => panic!("unexpected attribute type: {other:?}"),
    }
}

impl World {
    /// Sends a request with a raw body as NDJSON.
    pub(crate) async fn send_raw(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Vec<u8>,
    ) -> Response {
        let http = shared::net::http_client("live-classes/tests").expect("an HTTP client");
        let request =
            http.request(method, format!("{}{path}", self.stack.base_url)).bearer_auth(token);
        let request = request.header("content-type", "application/x-ndjson").body(body);
        // The gateway's limit. An import takes longer than the requests of our own clients.
        let request = request.timeout(std::time::Duration::from_secs(30));
        let response = request.send().await.expect("the stack responds");
        let (status, headers) = (response.status(), response.headers().clone());
        Response { status, headers, text: response.text().await.expect("a complete response body") }
    }
}
