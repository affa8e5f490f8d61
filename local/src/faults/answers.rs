//! What each service says when it fails, in its own words and shape.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use jiff::{Timestamp, ToSpan, Unit, tz::TimeZone};
use serde_json::{Value, json};

use super::{Fault, Kind};
use crate::aws::refusal::Refusal;
use crate::calls::{Call, Service};

/// What Zoom says to wait when the fault does not say.
const RETRY_AFTER_SECONDS: u32 = 30;

/// The answer that a failing service gives instead of doing its work.
pub(super) fn answer(fault: &Fault, call: &Call, body: &[u8], now: Timestamp) -> Response {
    if fault.kind == Kind::Html {
        return html(fault.status);
    }
    match call.service {
        Service::Dynamodb => dynamodb(fault.kind, &call.operation, body).into_response(),
        Service::Sqs => sqs(fault.kind).into_response(),
        Service::Secretsmanager => secretsmanager(fault.kind).into_response(),
        Service::Ses => ses(fault.kind).into_response(),
        Service::Zeptomail => zeptomail(fault),
        Service::Zoom => zoom(fault, &call.operation, now),
    }
}

/// What a load balancer or proxy in front of a service answers.
fn html(status: Option<u16>) -> Response {
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let page =
        format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
    (status, Html(page)).into_response()
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
fn dynamodb(kind: Kind, operation: &str, body: &[u8]) -> Refusal {
    let refuse = |status, code, message| Refusal::new(Service::Dynamodb, status, code, message);
    match kind {
        Kind::Conflict if operation == "TransactWriteItems" || operation == "TransactGetItems" => {
            conflicting_transaction(body)
        }
        Kind::Conflict => refuse(
            StatusCode::BAD_REQUEST,
            "TransactionConflictException",
            "Transaction is ongoing for the item",
        ),
        Kind::Throttle => refuse(
            StatusCode::BAD_REQUEST,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. \
             Consider increasing your provisioning level with the UpdateTable API.",
        ),
        Kind::Unauthorized => refuse(
            StatusCode::BAD_REQUEST,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "Internal server error",
        ),
    }
}

/// A cancelled transaction names a reason for each of its items; here the first is in conflict.
fn conflicting_transaction(body: &[u8]) -> Refusal {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = request["TransactItems"].as_array().map_or(1, Vec::len).max(1);
    let reasons: Vec<_> = (0..items)
        .map(|index| match index {
            0 => json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" }),
            _ => json!({ "Code": "None" }),
        })
        .collect();
    let codes: Vec<_> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    Refusal::new(
        Service::Dynamodb,
        StatusCode::BAD_REQUEST,
        "TransactionCanceledException",
        message,
    )
    .with("CancellationReasons", Value::Array(reasons))
}

fn sqs(kind: Kind) -> Refusal {
    let refuse = |status, code, message| Refusal::new(Service::Sqs, status, code, message);
    match kind {
        Kind::Throttle => {
            refuse(StatusCode::BAD_REQUEST, "RequestThrottled", "Request is throttled.")
        }
        Kind::Unauthorized => refuse(
            StatusCode::FORBIDDEN,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        _ => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "We encountered an internal error. Please try again.",
        ),
    }
}

fn secretsmanager(kind: Kind) -> Refusal {
    let refuse =
        |status, code, message| Refusal::new(Service::Secretsmanager, status, code, message);
    match kind {
        Kind::Throttle => refuse(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded"),
        Kind::Unauthorized => refuse(
            StatusCode::BAD_REQUEST,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceError",
            "An error occurred on the server side.",
        ),
    }
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>.
/// Only the message tells the two quotas apart, by the second and by the day, in the words of
/// <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>. That page calls the
/// error `ThrottlingException`; what the v2 API was seen to answer is `TooManyRequestsException`.
fn ses(kind: Kind) -> Refusal {
    let refuse = |status, code, message| Refusal::new(Service::Ses, status, code, message);
    match kind {
        Kind::Throttle => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Maximum sending rate exceeded.",
        ),
        Kind::Daily => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Daily message quota exceeded.",
        ),
        Kind::Paused => refuse(
            StatusCode::BAD_REQUEST,
            "SendingPausedException",
            "Email sending is disabled for the account.",
        ),
        Kind::Rejected => {
            refuse(StatusCode::BAD_REQUEST, "MessageRejected", "Email address is not verified.")
        }
        Kind::Unauthorized => refuse(
            StatusCode::FORBIDDEN,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceErrorException",
            "The request could not be completed.",
        ),
    }
}

/// <https://www.zoho.com/zeptomail/help/api/error-codes.html>. The page has no HTTP statuses, and no
/// codes for too many requests at once or for a failure of its own: those here are assumed, and
/// nothing should depend on more than their being 429 and 5xx.
fn zeptomail(fault: &Fault) -> Response {
    let refuse = crate::aws::zeptomail::refusal;
    let throttled =
        || refuse(StatusCode::TOO_MANY_REQUESTS, "TM_4290", "LE_429", "Too many requests.", "");
    match fault.kind {
        Kind::Throttle => throttled(),
        Kind::ThrottleSeconds => {
            let wait = fault.retry_after_seconds.unwrap_or(RETRY_AFTER_SECONDS);
            ([(http::header::RETRY_AFTER, wait.to_string())], throttled()).into_response()
        }
        Kind::Daily => refuse(
            StatusCode::FORBIDDEN,
            "TM_3601",
            "SMI_115",
            "Per day limit exhausted, try after some time.",
            "",
        ),
        Kind::Rejected => refuse(
            StatusCode::BAD_REQUEST,
            "TM_4001",
            "SM_113",
            "Mandatory Field \"to\" has Invalid Value.",
            "to",
        ),
        Kind::Unauthorized => crate::aws::zeptomail::invalid_token(),
        _ => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "TM_5000",
            "SERR_500",
            "Internal server error.",
            "",
        ),
    }
}

fn zoom(fault: &Fault, operation: &str, now: Timestamp) -> Response {
    let oauth = matches!(operation, "token" | "revoke");
    let wait = fault.retry_after_seconds.unwrap_or(RETRY_AFTER_SECONDS);
    match fault.kind {
        Kind::Throttle => zoom_throttled("QPS", "20", None),
        Kind::ThrottleSeconds => zoom_throttled("QPS", "20", Some(wait.to_string())),
        Kind::ThrottleIso => {
            let until = now.checked_add(i64::from(wait).seconds()).unwrap_or(now);
            zoom_throttled("QPS", "20", Some(iso(until)))
        }
        Kind::Daily => zoom_throttled("Daily-limit", "100", Some(iso(next_utc_midnight(now)))),
        Kind::InvalidGrant => {
            let body = json!({ "reason": "Invalid Token!", "error": "invalid_grant" });
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
        Kind::Unauthorized if oauth => {
            let body = json!({ "reason": "Invalid client_id or client_secret", "error": "invalid_client" });
            (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
        }
        Kind::Unauthorized => {
            let body = json!({ "code": 124, "message": "Invalid access token." });
            (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
        }
        _ => {
            let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({ "code": status.as_u16(), "message": "Internal server error." });
            (status, axum::Json(body)).into_response()
        }
    }
}

/// Zoom's 429: <https://developers.zoom.us/docs/api/rate-limits/>. For the daily limit
/// `Retry-After` is a date-time; for the per-second limit it is often missing.
fn zoom_throttled(
    kind: &'static str,
    limit: &'static str,
    retry_after: Option<String>,
) -> Response {
    let message = match kind {
        "QPS" => {
            "You have reached the maximum per-second rate limit for this API. Try again later."
        }
        _ => {
            "You have exceeded the daily rate limit (100) of Meeting Create/Update API requests \
             permitted for this particular user. You may resume these requests at GMT 00:00:00."
        }
    };
    let body = json!({ "code": 429, "message": message });
    let headers = [
        ("x-ratelimit-category", "Medium"),
        ("x-ratelimit-type", kind),
        ("x-ratelimit-limit", limit),
        ("x-ratelimit-remaining", "0"),
    ];
    let mut response = (StatusCode::TOO_MANY_REQUESTS, headers, axum::Json(body)).into_response();
    if let Some(value) = retry_after.and_then(|value| HeaderValue::from_str(&value).ok()) {
        response.headers_mut().insert(http::header::RETRY_AFTER, value);
    }
    response
}

/// Whole seconds and a `Z`, as Zoom writes times.
fn iso(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

fn next_utc_midnight(now: Timestamp) -> Timestamp {
    let today = now.to_zoned(TimeZone::UTC);
    let tomorrow = today.tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
    tomorrow.map_or(now, |tomorrow| tomorrow.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoom_answer(kind: Kind) -> Response {
        let now = "2026-11-12T10:11:12.5Z".parse().unwrap();
        zoom(&Fault::new(Service::Zoom, "*", kind), "create_meeting", now)
    }

    #[test]
    fn zoom_says_when_to_come_back_in_each_of_its_three_ways() {
        let retry_after = |kind| {
            let response = zoom_answer(kind);
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            let headers = response.headers();
            let text = |name| {
                headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned())
            };
            (text("x-ratelimit-type").unwrap(), text("retry-after"))
        };
        assert_eq!(retry_after(Kind::Throttle), ("QPS".into(), None));
        assert_eq!(retry_after(Kind::ThrottleSeconds), ("QPS".into(), Some("30".into())));
        assert_eq!(
            retry_after(Kind::ThrottleIso),
            ("QPS".into(), Some("2026-11-12T10:11:43Z".into()))
        );
        assert_eq!(
            retry_after(Kind::Daily),
            ("Daily-limit".into(), Some("2026-11-13T00:00:00Z".into()))
        );
    }

    #[test]
    fn a_cancelled_transaction_has_a_reason_per_item() {
        let refusal = conflicting_transaction(br#"{"TransactItems":[{},{},{}]}"#);
        assert_eq!(
            refusal.message(),
            "Transaction cancelled, please refer cancellation reasons for specific reasons \
             [TransactionConflict, None, None]"
        );
    }
}
