//! The tables; everything that knows DynamoDB. What the tables hold and how it is found stands in [`schema`].
//!
//! A use case reads what it needs, decides, and commits all that follows in one transaction ([`Store::commit`]).
//! Each entity's file holds its stored shape and makes its [`tx::Action`]s; this file carries them out.

pub mod announcements;
pub mod attendance;
pub mod clicks;
pub mod connections;
pub mod counters;
pub mod directory;
pub mod error;
pub mod events;
pub mod intents;
pub mod invitees;
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

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, KeysAndAttributes, Put, ReturnValue,
    ReturnValuesOnConditionCheckFailure, Select, TransactWriteItem, Update, WriteRequest,
};

use crate::config::{ConfigError, Env, names};
use crate::random::Random;
use error::{CommitError, StoreError};
use schema::{Key, Table, attr, limit};
use tx::{Action, Item, Write, key_item, text};

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

/// A page of a query, and where the next begins.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// The key that the query stopped at, if there may be more.
    pub(crate) last: Option<Item>,
}

/// What to read from a partition, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Range {
    pub(crate) index: Option<&'static str>,
    pub(crate) pk: String,
    /// Sort keys from here on, this one included.
    pub(crate) from: Option<String>,
    /// Sort keys up to here, this one included.
    pub(crate) to: Option<String>,
    pub(crate) prefix: Option<String>,
    /// Begin behind this item.
    pub(crate) after: Option<Item>,
    /// Only items with these values; DynamoDB reads the others, too, and charges for them.
    pub(crate) filter: Vec<(&'static str, AttributeValue)>,
    /// Only items without these attributes, at the same price.
    pub(crate) without: Vec<&'static str>,
    pub(crate) limit: Option<i32>,
    pub(crate) consistent: bool,
    /// Largest sort keys first; `after` then means before.
    pub(crate) backwards: bool,
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
        let _ = self.get_eventually(Key::Settings).await;
    }

    fn table_name(&self, table: Table) -> &str {
        match (table, &self.tokens) {
            (Table::Tokens, Some(tokens)) => tokens,
            // A function without the tokens table names the main one, where such a key never exists.
            _ => &self.main,
        }
    }

    /// One item, strongly consistent.
    pub(crate) async fn get(&self, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.get_item(key, true).await
    }

    /// One item as it was at most moments ago.
    pub(crate) async fn get_eventually(&self, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.get_item(key, false).await
    }

    async fn get_item(&self, key: Key<'_>, consistent: bool) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.table_name(key.table()))
            .set_key(Some(key_item(&key)))
            .consistent_read(consistent)
            .send()
            .await
            .map_err(|error| failed("GetItem", error))?;
        Ok(answer.item)
    }

    /// Items of both tables in one request, strongly consistent; those that are not there are absent.
    /// The answer is found by `(table, pk, sk)` with [`Found::take`].
    pub(crate) async fn batch_get(&self, keys: &[Key<'_>]) -> Result<Found, StoreError> {
        self.batch_get_items(keys, true).await
    }

    /// Items as they were at most moments ago, at half the price.
    pub(crate) async fn batch_get_eventually(&self, keys: &[Key<'_>]) -> Result<Found, StoreError> {
        self.batch_get_items(keys, false).await
    }

    async fn batch_get_items(
        &self,
        keys: &[Key<'_>],
        consistent: bool,
    ) -> Result<Found, StoreError> {
        let mut found = Found::default();
        for chunk in keys.chunks(limit::BATCH_GETS) {
            let mut wanted: HashMap<String, KeysAndAttributes> = HashMap::new();
            for table in [Table::Main, Table::Tokens] {
                let keys: Vec<_> =
                    chunk.iter().filter(|key| key.table() == table).map(key_item).collect();
                if !keys.is_empty() {
                    let keys = KeysAndAttributes::builder()
                        .set_keys(Some(keys))
                        .consistent_read(consistent)
                        .build();
                    let keys = keys.map_err(|error| broken("BatchGetItem", error))?;
                    wanted.insert(self.table_name(table).to_owned(), keys);
                }
            }
            for round in 0.. {
                let answer =
                    self.client.batch_get_item().set_request_items(Some(wanted)).send().await;
                let answer = answer.map_err(|error| failed("BatchGetItem", error))?;
                for (table, items) in answer.responses.unwrap_or_default() {
                    let table = if table == self.main { Table::Main } else { Table::Tokens };
                    found.add(table, items);
                }
                wanted = answer.unprocessed_keys.unwrap_or_default();
                if wanted.is_empty() {
                    break;
                }
                self.pause("BatchGetItem", round, BATCH_ROUNDS).await?;
            }
        }
        Ok(found)
    }

    /// One page of a partition.
    pub(crate) async fn query(&self, range: Range) -> Result<Page, StoreError> {
        let answer = self.ask(range, None).await?;
        Ok(answer.map_or(Page { items: Vec::new(), last: None }, |answer| Page {
            items: answer.items.unwrap_or_default(),
            last: answer.last_evaluated_key,
        }))
    }

    /// How many items of a range there are, as far as one request sees: DynamoDB stops at a megabyte.
    pub(crate) async fn count(&self, range: Range) -> Result<usize, StoreError> {
        let answer = self.ask(range, Some(Select::Count)).await?;
        Ok(answer.map_or(0, |answer| usize::try_from(answer.count).unwrap_or(0)))
    }

    /// How many items of a range there are, page by page.
    pub(crate) async fn count_all(&self, range: Range) -> Result<usize, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let range = Range { after: after.take(), ..range.clone() };
            let Some(answer) = self.ask(range, Some(Select::Count)).await? else {
                return Ok(count);
            };
            count += usize::try_from(answer.count).unwrap_or(0);
            match answer.last_evaluated_key {
                Some(last) => after = Some(last),
                None => return Ok(count),
            }
        }
    }

    /// One request for a range; none where nothing can be in it.
    async fn ask(
        &self,
        range: Range,
        select: Option<Select>,
    ) -> Result<Option<QueryOutput>, StoreError> {
        if let (Some(from), Some(to)) = (&range.from, &range.to)
            && from > to
        {
            // DynamoDB refuses such a range as an error; there is simply nothing in it.
            return Ok(None);
        }
        let (pk, sk) = match range.index {
            Some(schema::index::BY_OWNER) => (attr::G1PK, attr::G1SK),
            Some(_) => (attr::G2PK, attr::G2SK),
            None => (attr::PK, attr::SK),
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.main)
            .set_index_name(range.index.map(str::to_owned))
            .set_select(select)
            .consistent_read(range.consistent)
            .set_exclusive_start_key(range.after)
            .scan_index_forward(!range.backwards)
            .set_limit(range.limit)
            .expression_attribute_names("#pk", pk)
            .expression_attribute_values(":pk", text(range.pk));
        let mut condition = "#pk = :pk".to_owned();
        let bounds = match (range.prefix, range.from, range.to) {
            (Some(prefix), _, _) => vec![("begins_with(#sk, :a)", ":a", prefix)],
            (None, Some(from), Some(to)) => {
                vec![("#sk BETWEEN :a AND :b", ":a", from), ("", ":b", to)]
            }
            (None, Some(from), None) => vec![("#sk >= :a", ":a", from)],
            (None, None, Some(to)) => vec![("#sk <= :b", ":b", to)],
            (None, None, None) => vec![],
        };
        if !bounds.is_empty() {
            query = query.expression_attribute_names("#sk", sk);
        }
        for (clause, placeholder, value) in bounds {
            if !clause.is_empty() {
                condition = format!("{condition} AND {clause}");
            }
            query = query.expression_attribute_values(placeholder, text(value));
        }
        let mut filters = Vec::new();
        for (name, value) in range.filter {
            filters.push(format!("#{name} = :{name}"));
            query = query
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        for name in range.without {
            filters.push(format!("attribute_not_exists(#{name})"));
            query = query.expression_attribute_names(format!("#{name}"), name);
        }
        if !filters.is_empty() {
            query = query.filter_expression(filters.join(" AND "));
        }
        let answer = query.key_condition_expression(condition).send().await;
        answer.map(Some).map_err(|error| failed("Query", error))
    }

    /// Every item of a range, page by page: for ranges whose size something else bounds.
    pub(crate) async fn query_all(&self, range: Range) -> Result<Vec<Item>, StoreError> {
        let mut items: Vec<Item> = Vec::new();
        let mut after = None;
        loop {
            let page = self.query(Range { after: after.take(), ..range.clone() }).await?;
            items.extend(page.items);
            match page.last {
                Some(last) => after = Some(last),
                None => return Ok(items),
            }
        }
    }

    /// Carries out one write by itself. Answers the item as it was before a delete.
    pub(crate) async fn write(&self, action: Action) -> Result<Option<Item>, CommitError> {
        for round in 0.. {
            match self.write_once(action.clone()).await {
                Err(WriteFailure::Conflict) => {
                    self.pause("write", round, CONFLICT_ATTEMPTS).await?
                }
                Err(WriteFailure::Refused) => {
                    return Err(CommitError::Refused(vec![action.subject]));
                }
                Err(WriteFailure::Store(error)) => return Err(error.into()),
                Ok(before) => return Ok(before),
            }
        }
        unreachable!("the pause ends the rounds")
    }

    /// Carries out one write by itself.
    pub async fn commit_one(&self, action: Action) -> Result<(), CommitError> {
        self.write(action).await.map(drop)
    }

    async fn write_once(&self, action: Action) -> Result<Option<Item>, WriteFailure> {
        let table = self.table_name(action.table);
        let condition = action.guard.expression();
        let mut names = action.guard.names;
        let mut values = action.guard.values;
        match action.write {
            Write::Put(item) => {
                let put = self
                    .client
                    .put_item()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(condition);
                let put = put
                    .set_expression_attribute_names(some(names))
                    .set_expression_attribute_values(some(values));
                put.send().await.map(|_| None).map_err(|error| WriteFailure::of("PutItem", error))
            }
            Write::Update(changes) => {
                let expression = changes.expression();
                names.extend(changes.names);
                values.extend(changes.values);
                let update = self.client.update_item().table_name(table).set_key(Some(action.key));
                let update = update
                    .update_expression(expression)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(some(names))
                    .set_expression_attribute_values(some(values));
                update
                    .send()
                    .await
                    .map(|_| None)
                    .map_err(|error| WriteFailure::of("UpdateItem", error))
            }
            Write::Delete => {
                let delete = self.client.delete_item().table_name(table).set_key(Some(action.key));
                let delete = delete
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(some(names))
                    .set_expression_attribute_values(some(values))
                    .return_values(ReturnValue::AllOld);
                let answer =
                    delete.send().await.map_err(|error| WriteFailure::of("DeleteItem", error))?;
                Ok(answer.attributes)
            }
        }
    }

    /// Carries out an update by itself, and answers the item as it is then, be it updated or not.
    pub(crate) async fn update_and_read(&self, action: Action) -> Result<Updated, StoreError> {
        const OPERATION: &str = "UpdateItem";
        let Write::Update(changes) = action.write else {
            return Err(broken(OPERATION, "only an update answers the item that it made"));
        };
        let condition = action.guard.expression();
        let expression = changes.expression();
        let mut names = action.guard.names;
        let mut values = action.guard.values;
        names.extend(changes.names);
        values.extend(changes.values);
        let update = self
            .client
            .update_item()
            .table_name(self.table_name(action.table))
            .set_key(Some(action.key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(some(names))
            .set_expression_attribute_values(some(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for round in 0.. {
            let error = match update.clone().send().await {
                Ok(answer) => return Ok(Updated::Done(answer.attributes.unwrap_or_default())),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(Updated::Refused(refused.item().cloned().unwrap_or_default()));
                }
                Some(UpdateItemError::TransactionConflictException(_)) => {
                    self.pause(OPERATION, round, CONFLICT_ATTEMPTS).await?;
                }
                _ => return Err(failed(OPERATION, error)),
            }
        }
        unreachable!("the pause ends the rounds")
    }

    /// Carries out all of `actions` or none of them.
    pub async fn commit(&self, actions: Vec<Action>) -> Result<(), CommitError> {
        let items = actions
            .iter()
            .map(|action| self.transact_item(action.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for round in 0.. {
            let answer = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .send()
                .await;
            let Err(error) = answer else { return Ok(()) };
            let Some(reasons) = cancellation(&error) else {
                return Err(failed("TransactWriteItems", error).into());
            };
            let is = |code: &str| reasons.iter().any(|reason| reason == code);
            // A condition that did not hold is final; a conflict, or a throttled part, says nothing about the conditions.
            if is("ConditionalCheckFailed") {
                let refused = actions
                    .iter()
                    .zip(&reasons)
                    .filter(|(_, reason)| *reason == "ConditionalCheckFailed");
                return Err(CommitError::Refused(
                    refused.map(|(action, _)| action.subject).collect(),
                ));
            }
            if !(is("TransactionConflict")
                || is("ThrottlingError")
                || is("ProvisionedThroughputExceeded"))
            {
                return Err(failed("TransactWriteItems", error).into());
            }
            self.pause("TransactWriteItems", round, CONFLICT_ATTEMPTS).await?;
        }
        unreachable!("the pause ends the rounds")
    }

    fn transact_item(&self, action: Action) -> Result<TransactWriteItem, StoreError> {
        let table = self.table_name(action.table);
        let condition = action.guard.expression();
        let mut names = action.guard.names;
        let mut values = action.guard.values;
        let item = TransactWriteItem::builder();
        let item = match action.write {
            Write::Put(put) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(put))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(some(names))
                    .set_expression_attribute_values(some(values))
                    .build()
                    .map_err(|error| broken("TransactWriteItems", error))?,
            ),
            Write::Update(changes) => {
                let expression = changes.expression();
                names.extend(changes.names);
                values.extend(changes.values);
                item.update(
                    Update::builder()
                        .table_name(table)
                        .set_key(Some(action.key))
                        .update_expression(expression)
                        .set_condition_expression(condition)
                        .set_expression_attribute_names(some(names))
                        .set_expression_attribute_values(some(values))
                        .build()
                        .map_err(|error| broken("TransactWriteItems", error))?,
                )
            }
            Write::Delete => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(action.key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(some(names))
                    .set_expression_attribute_values(some(values))
                    .build()
                    .map_err(|error| broken("TransactWriteItems", error))?,
            ),
        };
        Ok(item.build())
    }

    /// Puts and deletes without conditions, in as many batches as it takes. Running it again changes nothing more.
    pub(crate) async fn write_all(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        for chunk in actions.chunks(limit::BATCH_WRITES) {
            let mut wanted: HashMap<String, Vec<WriteRequest>> = HashMap::new();
            for action in chunk {
                let request = batch_request(action.clone())?;
                wanted.entry(self.table_name(action.table).to_owned()).or_default().push(request);
            }
            for round in 0.. {
                let answer =
                    self.client.batch_write_item().set_request_items(Some(wanted)).send().await;
                let answer = answer.map_err(|error| failed("BatchWriteItem", error))?;
                wanted = answer.unprocessed_items.unwrap_or_default();
                if wanted.is_empty() {
                    break;
                }
                self.pause("BatchWriteItem", round, BATCH_ROUNDS).await?;
            }
        }
        Ok(())
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

/// An update that was carried out, or whose condition did not hold; each with the item as it is.
#[derive(Debug)]
pub(crate) enum Updated {
    Done(Item),
    Refused(Item),
}

/// Items that were asked for by key.
#[derive(Debug, Default)]
pub(crate) struct Found(HashMap<(Table, String, String), Item>);

impl Found {
    fn add(&mut self, table: Table, items: Vec<Item>) {
        for item in items {
            if let (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) =
                (item.get(attr::PK), item.get(attr::SK))
            {
                self.0.insert((table, pk.clone(), sk.clone()), item);
            }
        }
    }

    /// Together with what another request found.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn take(&mut self, key: Key<'_>) -> Option<Item> {
        self.0.remove(&(key.table(), key.pk(), key.sk()))
    }
}

fn batch_request(action: Action) -> Result<WriteRequest, StoreError> {
    use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest};
    let request = WriteRequest::builder();
    let request = match action.write {
        Write::Put(item) => {
            let put = PutRequest::builder().set_item(Some(item)).build();
            request.put_request(put.map_err(|error| broken("BatchWriteItem", error))?)
        }
        Write::Delete => {
            let delete = DeleteRequest::builder().set_key(Some(action.key)).build();
            request.delete_request(delete.map_err(|error| broken("BatchWriteItem", error))?)
        }
        Write::Update(_) => {
            return Err(broken("BatchWriteItem", "only puts and deletes go in a batch"));
        }
    };
    Ok(request.build())
}

/// DynamoDB refuses an empty map of names or values.
fn some<K, V>(map: HashMap<K, V>) -> Option<HashMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

enum WriteFailure {
    Refused,
    Conflict,
    Store(StoreError),
}

impl WriteFailure {
    fn of<E>(operation: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error.code() {
            Some("ConditionalCheckFailedException") => Self::Refused,
            Some("TransactionConflictException") => Self::Conflict,
            _ => Self::Store(failed(operation, error)),
        }
    }
}

/// The reasons of a cancelled transaction, one per action (`None` where there was none).
fn cancellation(error: &SdkError<TransactWriteItemsError>) -> Option<Vec<String>> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(
            cancelled
                .cancellation_reasons()
                .iter()
                .map(|reason| reason.code().unwrap_or("None").to_owned())
                .collect(),
        ),
        _ => None,
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
