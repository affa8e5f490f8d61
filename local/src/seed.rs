//! The initial data of the stack, imported through the `directory` function like a host platform's data.

use lambda_http::Context;
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::functions::{Functions, InvokeError};
use crate::issuer::{Issuer, Person};

/// Returns a trainer with a course of five students, a second trainer, and a student without a course. The directory
/// does not contain the outside guest, `guest@example.test`.
pub fn directory_commands() -> Vec<Value> {
    let user = |id: &str, email: &str, name: &str, role: &str, plan: Option<&str>| json!({"type": "user", "id": id, "email": email, "name": name, "role": role, "plan": plan});
    let mut all = vec![
        json!({"type": "settings", "live_classes_enabled": true, "plans": {
            "free": {"sessions_per_month": 4, "max_duration_minutes": 60, "max_invitees": 20, "recording": false},
            "pro": {},
        }}),
        user("trainer-1", "trainer@example.test", "Tara Trainer", "trainer", Some("pro")),
        user("trainer-2", "trainer2@example.test", "Tom Teacher", "trainer", Some("pro")),
        json!({"type": "course", "id": "course-1", "title": "Algebra I", "trainer_id": "trainer-1"}),
        user("student-9", "student9@example.test", "Student Nine", "student", None),
    ];
    for n in 1..=5 {
        let (id, email, name) =
            (format!("student-{n}"), format!("student{n}@example.test"), format!("Student {n}"));
        all.push(user(&id, &email, &name, "student", None));
        all.push(json!({
            "type": "enrollment", "course_id": "course-1", "user_id": id, "email": email, "name": name, "access_granted": true,
        }));
    }
    all
}

/// Imports the initial data.
pub async fn load(
    functions: &Functions,
    issuer: &Issuer,
    clock: &Clock,
) -> Result<(), InvokeError> {
    let failed =
        |error: String| InvokeError::Failed(format!("the initial data was rejected: {error}"));
    let service = Person {
        sub: "host-platform".to_owned(),
        role: "service".to_owned(),
        email: None,
        name: None,
        email_verified: false,
    };
    let token = issuer.token(&service, clock.now()).map_err(|error| failed(error.to_string()))?;
    let lines: Vec<String> = directory_commands().iter().map(Value::to_string).collect();
    let event = json!({
        "version": "2.0",
        "routeKey": "POST /v1/directory/import",
        "rawPath": "/v1/directory/import",
        "rawQueryString": "",
        "headers": {"authorization": format!("Bearer {token}"), "content-type": "application/x-ndjson"},
        "requestContext": {
            "http": {"method": "POST", "path": "/v1/directory/import", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
        "isBase64Encoded": false,
        "body": lines.join("\n"),
    });
    let mut context = Context::default();
    context.request_id = "initial-data".to_owned();
    let response = functions.invoke("directory", event, context).await?;
    if response["statusCode"] != 200
        || !response["body"].as_str().is_some_and(|body| body.contains("\"rejected\":[]"))
    {
        return Err(failed(response.to_string()));
    }
    Ok(())
}
