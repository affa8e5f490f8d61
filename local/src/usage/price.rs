//! AWS list prices of November 2026: us-east-1, on demand, without the free tier. Check a price on
//! the linked page before you plan a budget with it.

use serde::Serialize;

use super::{CallMeasurement, Tally};
use crate::calls::Service;

const PER_MILLION: f64 = 1e-6;

/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>. The prices were halved on 1 November 2024.
const DYNAMODB_READ_UNIT_USD: f64 = 0.125 * PER_MILLION;
const DYNAMODB_WRITE_UNIT_USD: f64 = 0.625 * PER_MILLION;
/// <https://aws.amazon.com/sqs/pricing/>, standard queues.
const SQS_REQUEST_USD: f64 = 0.40 * PER_MILLION;
/// The same page: each 64 KB of a payload is one request.
const SQS_CHUNK_BYTES: usize = 64 * 1024;
/// <https://aws.amazon.com/secrets-manager/pricing/>: $0.05 per 10,000 calls.
const SECRETS_CALL_USD: f64 = 5.0 * PER_MILLION;
/// <https://aws.amazon.com/ses/pricing/>: $0.10 per 1,000 mails.
const SES_MAIL_USD: f64 = 100.0 * PER_MILLION;
/// <https://aws.amazon.com/eventbridge/pricing/>: $1.00 per million events, each chunk of 64 KB of a request at least one.
const EVENTBRIDGE_EVENT_USD: f64 = 1.00 * PER_MILLION;
/// <https://aws.amazon.com/lambda/pricing/>
const LAMBDA_REQUEST_USD: f64 = 0.20 * PER_MILLION;
/// The same page, arm64, the first tier.
const LAMBDA_GB_SECOND_USD: f64 = 0.000_013_333_4;
/// The assumed memory of a function in GB: 128 MB.
const LAMBDA_MEMORY_GB: f64 = 0.125;
/// <https://aws.amazon.com/api-gateway/pricing/>, HTTP API, the first tier.
const API_GATEWAY_REQUEST_USD: f64 = 1.00 * PER_MILLION;

/// The price in US dollars, by service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Price {
    pub dynamodb: f64,
    pub sqs: f64,
    pub secretsmanager: f64,
    pub ses: f64,
    pub eventbridge: f64,
    pub lambda_requests: f64,
    pub lambda_time: f64,
    pub api_gateway: f64,
}

impl Price {
    pub fn total(&self) -> f64 {
        self.dynamodb
            + self.sqs
            + self.secretsmanager
            + self.ses
            + self.eventbridge
            + self.lambda_requests
            + self.lambda_time
            + self.api_gateway
    }

    /// Adds the price of one operation's calls, and returns it.
    pub(super) fn add_calls(&mut self, service: Service, tally: &Tally) -> f64 {
        let requests = tally.billed_requests as f64;
        let (account, price) = match service {
            Service::Dynamodb => (
                &mut self.dynamodb,
                tally.read_units * DYNAMODB_READ_UNIT_USD
                    + tally.write_units * DYNAMODB_WRITE_UNIT_USD,
            ),
            Service::Sqs => (&mut self.sqs, requests * SQS_REQUEST_USD),
            Service::Secretsmanager => (&mut self.secretsmanager, requests * SECRETS_CALL_USD),
            Service::Ses => (&mut self.ses, requests * SES_MAIL_USD),
            Service::Eventbridge => (&mut self.eventbridge, requests * EVENTBRIDGE_EVENT_USD),
            // Only AWS services have a price here.
            Service::Zeptomail | Service::Zoom | Service::Webhook => return 0.0,
        };
        *account += price;
        price
    }
}

/// Returns the number of requests that a service bills for one call.
pub(super) fn billed_requests(service: Service, measured: CallMeasurement) -> u64 {
    match service {
        Service::Sqs => {
            let payload = measured.bytes_in.max(measured.bytes_out);
            super::to_u64(payload.div_ceil(SQS_CHUNK_BYTES).max(1))
        }
        Service::Ses | Service::Zeptomail => (!measured.failed).into(),
        // A request with several small events is billed as more, which this estimate leaves out.
        Service::Eventbridge => super::to_u64(measured.bytes_in.div_ceil(SQS_CHUNK_BYTES).max(1)),
        Service::Dynamodb | Service::Secretsmanager | Service::Zoom | Service::Webhook => 1,
    }
}

pub(super) fn lambda_requests(invocations: u64) -> f64 {
    invocations as f64 * LAMBDA_REQUEST_USD
}

pub(super) fn lambda_time(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0 * LAMBDA_MEMORY_GB * LAMBDA_GB_SECOND_USD
}

pub(super) fn api_gateway(requests: u64) -> f64 {
    requests as f64 * API_GATEWAY_REQUEST_USD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sqs_payload_bills_several_requests_and_refused_mail_bills_none() {
        let sqs = |bytes_in| {
            billed_requests(
                Service::Sqs,
                CallMeasurement { bytes_in, ..CallMeasurement::default() },
            )
        };
        assert_eq!((sqs(0), sqs(65_536), sqs(65_537)), (1, 1, 2));
        let refused = CallMeasurement { failed: true, ..CallMeasurement::default() };
        assert_eq!(billed_requests(Service::Ses, refused), 0);
        assert_eq!(billed_requests(Service::Dynamodb, refused), 1);
    }
}
