//! The error responses of each service, in its own format.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use jiff::{Timestamp, ToSpan, Unit, tz::TimeZone};
use serde_json::{Value, json};
use simulated_aws::calls::AwsService;
use simulated_aws::refusal::Refusal;

use super::{Fault, FaultKind};
use crate::calls::{Call, Service};

/// The `Retry-After` of a throttled call if the fault does not set one.
const DEFAULT_RETRY_AFTER_SECONDS: u32 = 30;

/// Returns the error response of a service that does not process the call.
pub(super) fn error_response(fault: &Fault, call: &Call, body: &[u8], now: Timestamp) -> Response {
    if fault.kind == FaultKind::Html {
        return html(fault.status);
    }
    match call.service {
        Service::Dynamodb => dynamodb(fault.kind, &call.operation, body).into_response(),
        Service::Sqs => sqs(fault.kind).into_response(),
        Service::Secretsmanager => secretsmanager(fault.kind).into_response(),
        Service::Ses => ses(fault.kind).into_response(),
        Service::Zeptomail => zeptomail(fault),
        Service::Eventbridge => eventbridge(fault.kind).into_response(),
        Service::Zoom => zoom(fault, &call.operation, now),
        // Zoom applies faults of its deliveries itself.
        Service::Webhook => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Returns the HTML response of a load balancer or proxy in front of a service.
fn html(status: Option<u16>) -> Response {
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let page =
        format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
    (status, Html(page)).into_response()
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
fn dynamodb(kind: FaultKind, operation: &str, body: &[u8]) -> Refusal {
    let refusal = |status, code, message| Refusal::new(AwsService::Dynamodb, status, code, message);
    match kind {
        FaultKind::Conflict
            if operation == "TransactWriteItems" || operation == "TransactGetItems" =>
        {
            conflicting_transaction(body)
        }
        FaultKind::Conflict => refusal(
            StatusCode::BAD_REQUEST,
            "TransactionConflictException",
            "Transaction is ongoing for the item",
        ),
        FaultKind::Throttle => refusal(
            StatusCode::BAD_REQUEST,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. \
             Consider increasing your provisioning level with the UpdateTable API.",
        ),
        FaultKind::Unauthorized => refusal(
            StatusCode::BAD_REQUEST,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "Internal server error",
        ),
    }
}

/// Returns a cancelled transaction, which has a reason for each item. The first item is in conflict.
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
        AwsService::Dynamodb,
        StatusCode::BAD_REQUEST,
        "TransactionCanceledException",
        message,
    )
    .with_member("CancellationReasons", Value::Array(reasons))
}

fn sqs(kind: FaultKind) -> Refusal {
    let refusal = |status, code, message| Refusal::new(AwsService::Sqs, status, code, message);
    match kind {
        FaultKind::Throttle => {
            refusal(StatusCode::BAD_REQUEST, "RequestThrottled", "Request is throttled.")
        }
        FaultKind::Unauthorized => refusal(
            StatusCode::FORBIDDEN,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        _ => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "We encountered an internal error. Please try again.",
        ),
    }
}

fn secretsmanager(kind: FaultKind) -> Refusal {
    let refusal =
        |status, code, message| Refusal::new(AwsService::Secretsmanager, status, code, message);
    match kind {
        FaultKind::Throttle => {
            refusal(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded")
        }
        FaultKind::Unauthorized => refusal(
            StatusCode::BAD_REQUEST,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceError",
            "An error occurred on the server side.",
        ),
    }
}

/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html>
fn eventbridge(kind: FaultKind) -> Refusal {
    let refusal =
        |status, code, message| Refusal::new(AwsService::Eventbridge, status, code, message);
    match kind {
        FaultKind::Throttle => {
            refusal(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded")
        }
        FaultKind::Unauthorized => refusal(
            StatusCode::BAD_REQUEST,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalException",
            "This exception occurs due to unexpected causes.",
        ),
    }
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>.
/// Only the message distinguishes the per-second from the daily quota, with the texts of
/// <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>. That page names the
/// error `ThrottlingException`, but the v2 API was observed to return `TooManyRequestsException`.
fn ses(kind: FaultKind) -> Refusal {
    let refusal = |status, code, message| Refusal::new(AwsService::Ses, status, code, message);
    match kind {
        FaultKind::Throttle => refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Maximum sending rate exceeded.",
        ),
        FaultKind::Daily => refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Daily message quota exceeded.",
        ),
        FaultKind::Paused => refusal(
            StatusCode::BAD_REQUEST,
            "SendingPausedException",
            "Email sending is disabled for the account.",
        ),
        FaultKind::Rejected => {
            refusal(StatusCode::BAD_REQUEST, "MessageRejected", "Email address is not verified.")
        }
        FaultKind::Unauthorized => refusal(
            StatusCode::FORBIDDEN,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        _ => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceErrorException",
            "The request could not be completed.",
        ),
    }
}

/// <https://www.zoho.com/zeptomail/help/api/error-codes.html>. The page has no HTTP statuses, and no
/// codes for throttling or internal errors. Those codes are assumptions, so callers must only rely
/// on the statuses 429 and 5xx.
fn zeptomail(fault: &Fault) -> Response {
    let refusal = simulated_aws::zeptomail::error_response;
    let throttled =
        || refusal(StatusCode::TOO_MANY_REQUESTS, "TM_4290", "LE_429", "Too many requests.", "");
    match fault.kind {
        FaultKind::Throttle => throttled(),
        FaultKind::ThrottleSeconds => {
            let wait = fault.retry_after_seconds.unwrap_or(DEFAULT_RETRY_AFTER_SECONDS);
            ([(http::header::RETRY_AFTER, wait.to_string())], throttled()).into_response()
        }
        FaultKind::Daily => refusal(
            StatusCode::FORBIDDEN,
            "TM_3601",
            "SMI_115",
            "Per day limit exhausted, try after some time.",
            "",
        ),
        FaultKind::Rejected => refusal(
            StatusCode::BAD_REQUEST,
            "TM_4001",
            "SM_113",
            "Mandatory Field \"to\" has Invalid Value.",
            "to",
        ),
        FaultKind::Unauthorized => simulated_aws::zeptomail::invalid_token(),
        _ => refusal(
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
    let wait = fault.retry_after_seconds.unwrap_or(DEFAULT_RETRY_AFTER_SECONDS);
    match fault.kind {
        FaultKind::Throttle => zoom_throttled("QPS", "20", None),
        FaultKind::ThrottleSeconds => zoom_throttled("QPS", "20", Some(wait.to_string())),
        FaultKind::ThrottleIso => {
            let until = now.checked_add(i64::from(wait).seconds()).unwrap_or(now);
            zoom_throttled("QPS", "20", Some(iso(until)))
        }
        FaultKind::Daily => zoom_throttled("Daily-limit", "100", Some(iso(next_utc_midnight(now)))),
        FaultKind::InvalidGrant => {
            let body = json!({ "reason": "Invalid Token!", "error": "invalid_grant" });
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
        FaultKind::Unauthorized if oauth => {
            let body = json!({ "reason": "Invalid client_id or client_secret", "error": "invalid_client" });
            (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
        }
        FaultKind::Unauthorized => {
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

/// Zoom's 429: <https://developers.zoom.us/docs/api/rate-limits/>. `Retry-After` is a date-time for
/// the daily limit, and often missing for the per-second limit.
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

/// Formats a time like Zoom, in whole seconds with a `Z`.
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

    fn zoom_response(kind: FaultKind) -> Response {
        let now = "2026-11-12T10:11:12.5Z".parse().unwrap();
        zoom(&Fault::new(Service::Zoom, "*", kind), "create_meeting", now)
    }

    #[test]
    fn zoom_retry_after_has_each_of_its_three_formats() {
        let retry_after = |kind| {
            let response = zoom_response(kind);
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            let headers = response.headers();
            let text = |name| {
                headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned())
            };
            (text("x-ratelimit-type").unwrap(), text("retry-after"))
        };
        assert_eq!(retry_after(FaultKind::Throttle), ("QPS".into(), None));
        assert_eq!(retry_after(FaultKind::ThrottleSeconds), ("QPS".into(), Some("30".into())));
        assert_eq!(
            retry_after(FaultKind::ThrottleIso),
            ("QPS".into(), Some("2026-11-12T10:11:43Z".into()))
        );
        assert_eq!(
            retry_after(FaultKind::Daily),
            ("Daily-limit".into(), Some("2026-11-13T00:00:00Z".into()))
        );
    }

    #[test]
    fn cancelled_transaction_has_a_reason_for_each_item() {
        let refusal = conflicting_transaction(br#"{"TransactItems":[{},{},{}]}"#);
        assert_eq!(
            refusal.message(),
            "Transaction cancelled, please refer cancellation reasons for specific reasons \
             [TransactionConflict, None, None]"
        );
    }
}
