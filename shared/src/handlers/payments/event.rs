//! Payments and refunds as events of the host platform.

use serde_json::{Map, Value};

use super::{Deps, PaymentSettings, command, payment_id};
use crate::app::error::Error as AppError;
use crate::app::payments::{self, PaymentCommand};
use crate::domain::id::PaymentId;
use crate::domain::refusal::Refusal;
use crate::handlers::function::Function;
use crate::handlers::platform_event::{EventFailed, PlatformEvent};
use crate::http;
use crate::telemetry::error_chain;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundedDetail {
    payment_id: String,
}

enum PaymentEvent {
    /// The detail is the body of the request with the id.
    Succeeded(Box<PaymentCommand>),
    Refunded(PaymentId),
}

/// Applies an event.
pub(super) async fn handle_event(
    function: &Function<Deps>,
    event: Value,
) -> Result<(), EventFailed> {
    let work = async {
        let deps = function.deps()?;
        let event = PlatformEvent::parse(event)?;
        let (id, kind) = (event.id, event.detail_type);
        let Some(parsed) = parse_event(&kind, event.detail, &deps.state)? else {
            // A newer platform may send detail types that this version does not know.
            tracing::warn!(event = "payments.event_ignored", id, kind);
            return Ok(());
        };
        let now = deps.clock.now();
        match parsed {
            PaymentEvent::Succeeded(command) => {
                let issued_at = event.time.unwrap_or(now);
                payments::request_issued(&deps.clients, &command, issued_at, now).await?;
            }
            PaymentEvent::Refunded(payment) => {
                payments::refund(&deps.clients, &payment, now).await?;
            }
        }
        tracing::info!(event = "payments.event_applied", id, kind);
        Ok(())
    };
    work.await.map_err(|error: AppError| {
        tracing::error!(event = "payments.event_failed", error = error_chain(&error));
        EventFailed(error)
    })
}

/// Parses an event. Returns `None` for an unknown detail type.
fn parse_event(
    kind: &str,
    mut detail: Map<String, Value>,
    settings: &PaymentSettings,
) -> Result<Option<PaymentEvent>, Refusal> {
    Ok(Some(match kind {
        "PaymentSucceeded" => {
            let id = match detail.remove("payment_id") {
                Some(Value::String(id)) => payment_id(&id)?,
                Some(_) => return Err(Refusal::field("payment_id", "must be a string")),
                None => return Err(Refusal::field("payment_id", "is required")),
            };
            PaymentEvent::Succeeded(Box::new(command(id, Value::Object(detail), settings)?))
        }
        "PaymentRefunded" => {
            let detail: RefundedDetail = http::parse_value(Value::Object(detail))?;
            PaymentEvent::Refunded(payment_id(&detail.payment_id)?)
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session_window::JoinWindowSettings;
    use crate::domain::time::Zone;
    use crate::handlers::detail_types;

    #[test]
    fn every_routed_detail_type_is_parsed_and_others_are_ignored() {
        let settings = PaymentSettings {
            default_zone: Zone::utc(),
            join_window: JoinWindowSettings::default(),
        };
        for kind in detail_types("payments") {
            assert!(parse_event(kind, Map::new(), &settings).is_err(), "{kind} needs a detail");
        }
        assert!(matches!(parse_event("PaymentDisputed", Map::new(), &settings), Ok(None)));
    }
}
