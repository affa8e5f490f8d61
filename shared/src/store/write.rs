//! Writing: one item, all or none of a few, many without conditions.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    Delete, DeleteRequest, Put, PutRequest, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update, WriteRequest,
};

use super::error::{CommitError, StoreError};
use super::schema::limit;
use super::tx::{Action, Item, Write};
use super::{BATCH_ROUNDS, CONFLICT_ATTEMPTS, Store, broken, failed};

impl Store {
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
    pub(crate) async fn update_and_read(&self, action: Action) -> Result<UpdateResult, StoreError> {
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
                Ok(answer) => return Ok(UpdateResult::Done(answer.attributes.unwrap_or_default())),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(UpdateResult::Refused(refused.item().cloned().unwrap_or_default()));
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
}

/// An update that was carried out, or whose condition did not hold; each with the item as it is.
#[derive(Debug)]
pub(crate) enum UpdateResult {
    Done(Item),
    Refused(Item),
}

fn batch_request(action: Action) -> Result<WriteRequest, StoreError> {
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
