//! Errors of payments.

use serde_json::json;

use super::People;
use crate::openapi::responses::CheckedApi;

pub(super) async fn check_payments(api: &mut CheckedApi, people: &People) {
    let (service, path) = (&*people.service, "/v1/payments/pay-of-errors");
    let body = json!({"user_id": "student-9", "course_id": "course-1"});
    api.put(service, path, body).await.expect(202);
    let other = json!({"user_id": "student-1", "course_id": "course-1"});
    api.put(service, path, other).await.expect_problem(422, "idempotency_key_reused");
}
