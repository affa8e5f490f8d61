//! The usage meter: counts the calls, units, bytes and costs of each function.

mod price;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use shared::clock::Clock;

use simulated_aws::Units;

use crate::calls::{Call, Service};

pub use price::Price;

/// The usage meter. Clones share the same counters.
#[derive(Clone, Debug)]
pub struct Usage {
    meter: Arc<Mutex<Meter>>,
    clock: Clock,
}

#[derive(Debug)]
struct Meter {
    since: Timestamp,
    functions: BTreeMap<String, FunctionMeter>,
}

#[derive(Debug, Default)]
struct FunctionMeter {
    invocations: u64,
    invoked_ms: u64,
    http_requests: u64,
    calls: BTreeMap<(Service, String), Tally>,
}

/// The measurements of one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallMeasurement {
    pub units: Units,
    pub bytes_in: usize,
    pub bytes_out: usize,
    pub failed: bool,
}

/// A sum over calls. The byte counts are those of the bodies, which the services bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    pub calls: u64,
    pub errors: u64,
    pub read_units: f64,
    pub write_units: f64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Billed requests: SQS bills one per 64 KB, SES only accepted mails.
    pub billed_requests: u64,
}

impl Tally {
    fn from_call(service: Service, measured: CallMeasurement) -> Self {
        Self {
            calls: 1,
            errors: measured.failed.into(),
            read_units: measured.units.read,
            write_units: measured.units.write,
            bytes_in: to_u64(measured.bytes_in),
            bytes_out: to_u64(measured.bytes_out),
            billed_requests: price::billed_requests(service, measured),
        }
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.read_units += other.read_units;
        self.write_units += other.write_units;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.billed_requests += other.billed_requests;
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The response of `GET /local/usage`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub since: Timestamp,
    pub functions: BTreeMap<String, FunctionReport>,
}

/// One function's part of the report.
#[derive(Debug, Serialize)]
pub struct FunctionReport {
    pub invocations: u64,
    pub invoked_ms: u64,
    pub http_requests: u64,
    pub calls: Vec<CallReport>,
    pub totals: Tally,
    /// The parts of `price_usd`. Only Lambda's time depends on the machine.
    pub price: Price,
    pub price_usd: f64,
}

/// One operation's part of the function's report.
#[derive(Debug, Serialize)]
pub struct CallReport {
    pub service: Service,
    pub operation: String,
    #[serde(flatten)]
    pub tally: Tally,
    pub price_usd: f64,
}

impl Usage {
    pub fn new(clock: Clock) -> Self {
        let meter = Meter { since: clock.now(), functions: BTreeMap::new() };
        Self { meter: Arc::new(Mutex::new(meter)), clock }
    }

    /// Counts one call.
    pub fn record(&self, call: &Call, measured: CallMeasurement) {
        let mut meter = self.lock();
        let function = meter.functions.entry(call.function.clone()).or_default();
        let tally = function.calls.entry((call.service, call.operation.clone())).or_default();
        tally.add(Tally::from_call(call.service, measured));
    }

    /// Counts one invocation of a function.
    pub fn invocation(&self, function: &str, duration_ms: u64) {
        let mut meter = self.lock();
        let function = meter.functions.entry(function.to_owned()).or_default();
        function.invocations += 1;
        // Lambda bills every started millisecond, and at least one.
        function.invoked_ms += duration_ms.max(1);
    }

    /// Counts one request to a function through the HTTP API.
    pub fn http_request(&self, function: &str) {
        self.lock().functions.entry(function.to_owned()).or_default().http_requests += 1;
    }

    /// Returns how often a function called an operation since the last reset.
    pub fn calls(&self, function: &str, service: Service, operation: &str) -> u64 {
        self.tally(function, service, operation).calls
    }

    /// Returns the sum of a function's calls of one operation since the last reset.
    pub fn tally(&self, function: &str, service: Service, operation: &str) -> Tally {
        let meter = self.lock();
        let calls = meter.functions.get(function).map(|function| &function.calls);
        calls
            .and_then(|calls| calls.get(&(service, operation.to_owned())))
            .copied()
            .unwrap_or_default()
    }

    /// Returns the sum of a function's calls of one service since the last reset.
    pub fn service_totals(&self, function: &str, service: Service) -> Tally {
        self.sum(function, |called| called == service)
    }

    /// Returns the sum of all of a function's calls since the last reset.
    pub fn totals(&self, function: &str) -> Tally {
        self.sum(function, |_| true)
    }

    fn sum(&self, function: &str, is_selected: impl Fn(Service) -> bool) -> Tally {
        let meter = self.lock();
        let calls = meter.functions.get(function).map(|function| &function.calls);
        let mut sum = Tally::default();
        for ((service, _), tally) in calls.into_iter().flatten() {
            if is_selected(*service) {
                sum.add(*tally);
            }
        }
        sum
    }

    pub fn report(&self) -> Report {
        let meter = self.lock();
        let functions = meter.functions.iter().map(|(name, meter)| (name.clone(), meter.report()));
        Report { since: meter.since, functions: functions.collect() }
    }

    /// Resets all counters.
    pub fn reset(&self) {
        let mut meter = self.lock();
        *meter = Meter { since: self.clock.now(), functions: BTreeMap::new() };
    }

    /// `GET` and `DELETE /local/usage`.
    pub fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/usage",
                get(async |State(usage): State<Self>| Json(usage.report())).delete(
                    async |State(usage): State<Self>| {
                        usage.reset();
                        StatusCode::NO_CONTENT
                    },
                ),
            )
            .with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Meter> {
        // The counters are plain sums, so a panic does not invalidate them.
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FunctionMeter {
    fn report(&self) -> FunctionReport {
        let mut totals = Tally::default();
        let mut price = Price {
            lambda_requests: price::lambda_requests(self.invocations),
            lambda_time: price::lambda_time(self.invoked_ms),
            api_gateway: price::api_gateway(self.http_requests),
            ..Price::default()
        };
        let mut calls = Vec::new();
        for ((service, operation), tally) in &self.calls {
            totals.add(*tally);
            let price_usd = price.add_calls(*service, tally);
            calls.push(CallReport {
                service: *service,
                operation: operation.clone(),
                tally: *tally,
                price_usd,
            });
        }
        FunctionReport {
            invocations: self.invocations,
            invoked_ms: self.invoked_ms,
            http_requests: self.http_requests,
            calls,
            totals,
            price_usd: price.total(),
            price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: &str, service: Service, operation: &str) -> Call {
        Call { service, operation: operation.into(), function: function.into() }
    }

    fn usage() -> Usage {
        Usage::new(Clock::stopped_at(Timestamp::from_second(1_800_000_000).unwrap()))
    }

    #[test]
    fn calls_are_summed_by_function_and_operation() {
        let usage = usage();
        let put = call("join", Service::Dynamodb, "PutItem");
        let units = Units { read: 0.0, write: 2.0 };
        usage.record(&put, CallMeasurement { units, bytes_in: 100, bytes_out: 2, failed: false });
        usage.record(&put, CallMeasurement { units, bytes_in: 50, bytes_out: 3, failed: true });
        usage.record(&call("join", Service::Sqs, "SendMessage"), CallMeasurement::default());
        usage.record(&call("poll", Service::Dynamodb, "PutItem"), CallMeasurement::default());

        assert_eq!(usage.calls("join", Service::Dynamodb, "PutItem"), 2);
        let tally = usage.service_totals("join", Service::Dynamodb);
        assert_eq!((tally.errors, tally.write_units), (1, 4.0));
        assert_eq!((tally.bytes_in, tally.bytes_out), (150, 5));
        assert_eq!(usage.totals("join").calls, 3);
        assert_eq!(usage.totals("nobody"), Tally::default());

        usage.reset();
        assert_eq!(usage.totals("join").calls, 0);
    }

    #[test]
    fn report_prices_match_the_list_prices() {
        let usage = usage();
        let units = Units { read: 1e6, write: 1e6 };
        let measured = CallMeasurement { units, ..CallMeasurement::default() };
        usage.record(&call("join", Service::Dynamodb, "TransactWriteItems"), measured);
        for _ in 0..1000 {
            usage.invocation("join", 1);
            usage.http_request("join");
            usage.record(&call("join", Service::Ses, "SendEmail"), CallMeasurement::default());
            usage.record(&call("join", Service::Sqs, "SendMessage"), CallMeasurement::default());
            usage.record(&call("join", Service::Zoom, "zak"), CallMeasurement::default());
        }
        let report = usage.report();
        let join = &report.functions["join"];
        let rounded = |price: f64| (price * 1e9).round() / 1e9;
        assert_eq!(rounded(join.price.dynamodb), 0.125 + 0.625);
        assert_eq!(rounded(join.price.ses), 0.1);
        assert_eq!(rounded(join.price.sqs), 0.0004);
        assert_eq!(rounded(join.price.lambda_requests), 0.0002);
        assert_eq!(rounded(join.price.api_gateway), 0.001);
        assert_eq!(rounded(join.price_usd), rounded(join.price.total()));
        assert_eq!((join.invocations, join.totals.calls), (1000, 3001));
    }
}
