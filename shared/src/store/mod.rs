//! The tables; everything that knows DynamoDB. What the tables hold and how it is found stands in [`schema`].
//!
//! A use case reads what it needs, decides, and commits all that follows in one transaction ([`Store::commit`]).
//! Each entity's file holds its stored shape and makes its [`tx::Action`]s; `read.rs` and `write.rs`
//! carry them out, for all entities alike.

pub mod domain_events;
pub mod archive;
pub mod attendance;
pub mod join_attempts;
pub mod connections;
pub mod counters;
pub mod directory;
pub mod error;
pub mod events;
pub mod intents;
pub mod invitations;
pub mod mailing;
pub mod notifications;
pub mod outbox;
pub mod polls;
pub mod preferences;
pub mod recordings;
pub mod resends;
pub mod schema;
pub mod sessions;
pub mod timeline;
pub mod tx;

mod item;
mod read;
mod write;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

pub(crate) use read::{BatchItems, ItemPage, KeyRange};
pub(crate) use write::UpdateResult;

use crate::config::{ConfigError, Env, names};
use crate::random::Random;
use error::StoreError;
use schema::{ItemKey, Table};

/// How often a write that met another transaction is tried in all. Each meeting is short: a transaction holds
/// its items for milliseconds, so the fifth try in half a second is only reached on an item under siege.
const CONFLICT_ATTEMPTS: u32 = 5;
/// The first pause after a conflict, doubled each time, with as much again of jitter.
const CONFLICT_PAUSE_MS: u64 = 25;
/// Rounds of a batch that DynamoDB answers in parts.
const BATCH_ROUNDS: u32 = 8;

/// A handle on both tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    main: String,
    tokens: Option<String>,
    random: Random,
}

impl Store {
    /// A store for a function that may not see the tokens table.
    pub fn main_only(client: Client, env: &Env, random: Random) -> Result<Self, ConfigError> {
        Ok(Self { client, main: env.required(names::TABLE_NAME)?, tokens: None, random })
    }

    pub fn with_tokens(client: Client, env: &Env, random: Random) -> Result<Self, ConfigError> {
        let tokens = Some(env.required(names::TOKENS_TABLE_NAME)?);
        Ok(Self { tokens, ..Self::main_only(client, env, random)? })
    }

    /// Opens the connection that the first event would otherwise wait for, by the cheapest of reads: half a unit.
    /// Whether it succeeds is the first event's to find out.
    pub async fn warm(&self) {
        let _ = self.get_eventually(ItemKey::Settings).await;
    }

    fn table_name(&self, table: Table) -> &str {
        match (table, &self.tokens) {
            (Table::Tokens, Some(tokens)) => tokens,
            // A function without the tokens table names the main one, where such a key never exists.
            _ => &self.main,
        }
    }

    /// Waits before round `round + 1`, or says that the table is busy when there is to be none.
    async fn pause(
        &self,
        operation: &'static str,
        round: u32,
        rounds: u32,
    ) -> Result<(), StoreError> {
        if round + 1 >= rounds {
            return Err(StoreError::Busy { operation, source: "given up after retries".into() });
        }
        let base = CONFLICT_PAUSE_MS << round.min(6);
        tokio::time::sleep(Duration::from_millis(base + self.random.below(base))).await;
        Ok(())
    }
}

/// Sorts an SDK error by what the caller can do. The SDK has retried by then what can be retried.
fn failed<E>(operation: &'static str, error: SdkError<E>) -> StoreError
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
    let unanswered = matches!(
        error,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)
    );
    // A success that is an error all the same is an answer that broke off on its way.
    let server_side = error.raw_response().is_some_and(|response| {
        response.status().is_server_error() || response.status().is_success()
    });
    if busy_code || unanswered || server_side {
        StoreError::Busy { operation, source: error.into() }
    } else {
        StoreError::Failed { operation, source: error.into() }
    }
}

fn broken(
    operation: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Failed { operation, source: error.into() }
}
