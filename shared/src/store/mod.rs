//! The DynamoDB tables. [`schema`] lists the items, keys and access patterns.
//!
//! A use case reads its input, decides, and commits all writes in one transaction ([`Store::commit`]). The module of each
//! entity contains its stored format and creates its [`tx::Action`]s. `read.rs` and `write.rs` execute them.

pub mod account_token;
pub mod archive;
pub mod attendance;
pub mod attendance_summaries;
pub mod bookings;
pub mod connections;
pub mod corrections;
pub mod counters;
pub mod delegated_actions;
pub mod directory;
pub mod domain_events;
pub mod due_work;
pub mod erasures;
pub mod error;
pub mod event_erasure;
pub mod events;
pub mod host_status;
pub mod hosts;
pub mod intents;
pub mod invitations;
pub mod join_attempts;
pub mod licences;
pub mod mail_addresses;
pub mod mailing;
pub mod notifications;
pub mod payments;
pub mod personal_links;
pub mod polls;
pub mod preferences;
pub mod recipient_states;
pub mod recording_views;
pub mod recordings;
pub mod resends;
pub mod runs;
pub mod schema;
pub mod session_refs;
pub mod sessions;
pub mod settings;
pub mod suppressions;
pub mod timeline;
pub mod tx;
pub mod zoom_reports;

mod item;
mod read;
mod session_defaults;
mod write;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use jiff::SignedDuration;

pub(crate) use read::{BatchItems, ItemPage, KeyRange};
pub(crate) use write::UpdateResult;

use crate::config::{ConfigError, Env, names};
use crate::random::Random;
use error::StoreError;
use schema::{ItemKey, Table, limit};

/// Attempts at a write that conflicts with other transactions. A transaction locks its items for milliseconds, so only a
/// very busy item reaches the fifth attempt within half a second.
const CONFLICT_ATTEMPTS: u32 = 5;
/// The first delay after a conflict. It doubles with each attempt and has up to 100% jitter.
const CONFLICT_BACKOFF_MS: u64 = 25;
/// Attempts at a batch that DynamoDB processes in parts.
const BATCH_ATTEMPTS: u32 = 8;

/// A client for both tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    main: String,
    tokens: Option<String>,
    random: Random,
    /// How long Zoom's events and join attempts are kept. A changed setting applies to new ones.
    event_ttl: SignedDuration,
}

impl Store {
    /// Creates a store for a function without rights on the tokens table.
    pub fn without_tokens(client: Client, env: &Env, random: Random) -> Result<Self, ConfigError> {
        // Read before the first error, so that the set of variables that a function reads is constant.
        let event_ttl = event_ttl(env);
        let main = env.required(names::TABLE_NAME)?;
        Ok(Self { client, main, tokens: None, random, event_ttl: event_ttl? })
    }

    pub fn with_tokens(client: Client, env: &Env, random: Random) -> Result<Self, ConfigError> {
        let tokens = Some(env.required(names::TOKENS_TABLE_NAME)?);
        Ok(Self { tokens, ..Self::without_tokens(client, env, random)? })
    }

    /// Opens the connection before the first event needs it, with a read of half a unit. Errors are ignored.
    pub async fn warm(&self) {
        let _ = self.get_eventually_consistent(ItemKey::Settings).await;
    }

    /// Returns how long Zoom's events and join attempts are kept.
    pub fn event_ttl(&self) -> SignedDuration {
        self.event_ttl
    }

    fn table_name(&self, table: Table) -> &str {
        match (table, &self.tokens) {
            (Table::Tokens, Some(tokens)) => tokens,
            // Without the tokens table the key is looked up in the main table, where it never exists.
            (Table::Tokens, None) | (Table::Main, _) => &self.main,
        }
    }

    /// Waits before the next attempt, or returns [`StoreError::Busy`] after the last one.
    async fn back_off(
        &self,
        operation: &'static str,
        attempt: u32,
        max_attempts: u32,
    ) -> Result<(), StoreError> {
        if attempt + 1 >= max_attempts {
            return Err(StoreError::Busy { operation, source: "no attempts left".into() });
        }
        let base = CONFLICT_BACKOFF_MS << attempt.min(6);
        tokio::time::sleep(Duration::from_millis(base + self.random.below(base))).await;
        Ok(())
    }
}

fn event_ttl(env: &Env) -> Result<SignedDuration, ConfigError> {
    let days = env.parsed(names::EVENT_TTL_DAYS, limit::EVENT_TTL_DAYS)?;
    if !(limit::EVENT_TTL_MIN_DAYS..=limit::EVENT_TTL_MAX_DAYS).contains(&days) {
        return Err(ConfigError::invalid(names::EVENT_TTL_DAYS, "must be from 7 to 365"));
    }
    Ok(SignedDuration::from_hours(24 * days))
}

/// A part of DynamoDB's error for an update of an attribute that has another type.
const WRONG_ATTRIBUTE_TYPE: &str = "incorrect data type";

/// Converts an SDK error to a [`StoreError`]. The SDK has already retried transient errors.
fn classify_error<E>(operation: &'static str, error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let busy_code = matches!(
        error.code(),
        Some(
            "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "TransactionInProgressException"
                | "InternalServerError"
        )
    );
    let no_response = matches!(
        error,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)
    );
    // An error with a success status is a truncated response.
    let server_side = error.raw_response().is_some_and(|response| {
        response.status().is_server_error() || response.status().is_success()
    });
    // An attribute of the item has another type than the update expects.
    let is_item_unexpected = error.code() == Some("ValidationException")
        && error.message().is_some_and(|message| message.contains(WRONG_ATTRIBUTE_TYPE));
    if is_item_unexpected {
        return item::unreadable(operation.to_owned(), WRONG_ATTRIBUTE_TYPE);
    }
    if busy_code || no_response || server_side {
        StoreError::Busy { operation, source: error.into() }
    } else {
        StoreError::Failed { operation, source: error.into() }
    }
}

fn permanent_error(
    operation: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Failed { operation, source: error.into() }
}
