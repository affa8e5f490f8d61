//! `PutEvents`: checks the entries, and puts the valid ones on their buses.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DEFAULT_BUS, EventBuses, NewEvent, refused};
use crate::refusal::Refusal;

/// The limit for the entries of a request.
const MAX_ENTRIES: usize = 10;
/// The limit for the size of a request's entries together.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
const MAX_BYTES: usize = 256 * 1024;
/// The size that a time counts.
const TIME_BYTES: usize = 14;
/// The prefix of the sources of AWS's own services.
const AWS_SOURCE_PREFIX: &str = "aws.";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    /// Unix seconds.
    time: Option<f64>,
    source: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
}

/// The reason why an entry is not accepted. The others are.
#[derive(Debug)]
struct EntryError {
    code: &'static str,
    message: String,
}

pub(super) fn put(buses: &EventBuses, body: &[u8]) -> Result<Value, Refusal> {
    let request: PutEvents = serde_json::from_slice(body)
        .map_err(|error| refused("SerializationException", error.to_string()))?;
    let count = request.entries.len();
    if !(1..=MAX_ENTRIES).contains(&count) {
        let problem = if count == 0 {
            "length greater than or equal to 1".to_owned()
        } else {
            format!("length less than or equal to {MAX_ENTRIES}")
        };
        let message = format!(
            "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have {problem}"
        );
        return Err(refused("ValidationException", message));
    }
    if request.entries.iter().map(Entry::size_bytes).sum::<usize>() > MAX_BYTES {
        let message = "Total size of the entries in the request is over the limit.";
        return Err(refused("ValidationException", message));
    }
    let mut failed = 0;
    let entries: Vec<_> = request
        .entries
        .into_iter()
        .map(|entry| match entry.into_event() {
            Ok(event) => json!({ "EventId": buses.publish(event) }),
            Err(EntryError { code, message }) => {
                failed += 1;
                json!({ "ErrorCode": code, "ErrorMessage": message })
            }
        })
        .collect();
    Ok(json!({ "FailedEntryCount": failed, "Entries": entries }))
}

impl Entry {
    fn size_bytes(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail];
        self.time.map_or(0, |_| TIME_BYTES)
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.resources.iter().map(String::len).sum::<usize>()
    }

    fn into_event(self) -> Result<NewEvent, EntryError> {
        let source = required("Source", self.source)?;
        let detail_type = required("DetailType", self.detail_type)?;
        let detail = required("Detail", self.detail)?;
        if source.starts_with(AWS_SOURCE_PREFIX) {
            return Err(EntryError {
                code: "NotAuthorizedForSourceException",
                message: "Not authorized for the source.".to_owned(),
            });
        }
        let detail: Value = serde_json::from_str(&detail).unwrap_or_default();
        if !detail.is_object() {
            let message = "Detail is malformed.".to_owned();
            return Err(EntryError { code: "MalformedDetail", message });
        }
        let bus = self.event_bus_name.unwrap_or_else(|| DEFAULT_BUS.to_owned());
        // A bus can be named by its ARN.
        let bus = bus.rsplit_once(":event-bus/").map_or(bus.clone(), |(_, name)| name.to_owned());
        let time = self.time.and_then(from_unix_seconds);
        let resources = self.resources;
        Ok(NewEvent { bus, source, detail_type, resources, time, detail })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "events have whole seconds")]
fn from_unix_seconds(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_second(seconds as i64).ok()
}

fn required(name: &str, value: Option<String>) -> Result<String, EntryError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| EntryError {
        code: "InvalidArgument",
        message: format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
    })
}
