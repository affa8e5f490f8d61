//! SQS's limits:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::error::SqsError;

pub(super) const MAX_BATCH_ENTRIES: usize = 10;
/// The limit for one message and for all messages of a batch together. It was 256 KiB until August 2025.
pub(super) const MAX_MESSAGE_BYTES: usize = 1_048_576;
pub(super) const MAX_MESSAGE_ATTRIBUTES: usize = 10;
const MAX_BATCH_ENTRY_ID_LENGTH: usize = 80;
pub(super) const MAX_QUEUE_NAME_LENGTH: usize = 80;
pub(super) const DELAY_SECONDS: RangeInclusive<u32> = 0..=900;
pub(super) const VISIBILITY_SECONDS: RangeInclusive<u32> = 0..=43_200;
pub(super) const WAIT_SECONDS: RangeInclusive<u32> = 0..=20;
pub(super) const RETENTION_SECONDS: RangeInclusive<u32> = 60..=1_209_600;
pub(super) const RECEIVED_MESSAGES: RangeInclusive<u32> = 1..=10;
pub(super) const MAXIMUM_MESSAGE_SIZE: RangeInclusive<u32> = 1024..=1_048_576;
pub(super) const MAX_RECEIVE_COUNT: RangeInclusive<u32> = 1..=1000;
pub(super) const MOVED_PER_SECOND: RangeInclusive<u32> = 1..=500;
/// The minimum time between two purges of a queue.
pub(super) const PURGE_PAUSE_MS: i64 = 60_000;

/// Returns the value if it is in the range, or the default if there is no value.
pub(super) fn in_range(
    parameter: &'static str,
    value: Option<i64>,
    range: &RangeInclusive<u32>,
    default: u32,
) -> Result<u32, SqsError> {
    let Some(value) = value else { return Ok(default) };
    u32::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(|| {
        SqsError::InvalidParameterValue(format!(
            "Value {value} for parameter {parameter} is invalid. Reason: Must be >= {} and <= {}, \
             if provided.",
            range.start(),
            range.end()
        ))
    })
}

/// Checks the number and the ids of a batch's entries.
pub(super) fn check_batch<'a>(
    count: usize,
    ids: impl Iterator<Item = &'a str>,
) -> Result<(), SqsError> {
    if count == 0 {
        return Err(SqsError::EmptyBatchRequest);
    }
    if count > MAX_BATCH_ENTRIES {
        return Err(SqsError::TooManyEntriesInBatchRequest { sent: count, max: MAX_BATCH_ENTRIES });
    }
    let mut seen = HashSet::new();
    for id in ids {
        let valid = !id.is_empty()
            && id.len() <= MAX_BATCH_ENTRY_ID_LENGTH
            && id.chars().all(is_name_character);
        if !valid {
            return Err(SqsError::InvalidBatchEntryId);
        }
        if !seen.insert(id) {
            return Err(SqsError::BatchEntryIdsNotDistinct(id.to_owned()));
        }
    }
    Ok(())
}

/// Returns whether a character is allowed in a queue name or an entry id.
pub(super) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-' || character == '_'
}

/// Returns whether a character is allowed in a message: the characters of XML 1.0.
pub(super) fn is_message_character(character: char) -> bool {
    matches!(character,
        '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
