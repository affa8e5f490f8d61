//! Writes: one item, a transaction, or a batch without conditions.
//!
//! The SDK repeats a write after its response was lost, and the condition then refuses its own result. A transaction has a
//! token by which DynamoDB recognizes the repetition. A single write is recognized by its mark
//! ([`Action::recognized_by`]). If every response was lost, the item is read to find the mark.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, DeleteRequest, Put, PutRequest, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update, WriteRequest,
};

use super::error::{CommitError, StoreError};
use super::item::unreadable;
use super::schema::limit;
use super::tx::{Action, Item, Write};
use super::{BATCH_ATTEMPTS, CONFLICT_ATTEMPTS, Store, classify_error, permanent_error};

impl Store {
    /// Executes one write. Returns the deleted item after a delete.
    pub(crate) async fn write(&self, action: Action) -> Result<Option<Item>, CommitError> {
        for attempt in 0.. {
            match self.write_once(action.clone()).await {
                Err(WriteFailure::Conflict) => {
                    self.back_off("write", attempt, CONFLICT_ATTEMPTS).await?
                }
                Err(WriteFailure::Refused(item)) if action.is_own_result(item.as_ref()) => {
                    return Ok(None);
                }
                Err(WriteFailure::Refused(_)) => {
                    return Err(CommitError::Refused(vec![action.subject]));
                }
                Err(WriteFailure::Store(error)) => {
                    return self.unless_applied(&[action], error).await.map(|()| None);
                }
                Ok(before) => return Ok(before),
            }
        }
        unreachable!("back_off returns an error after the last attempt")
    }

    /// Executes one write.
    pub async fn commit_one(&self, action: Action) -> Result<(), CommitError> {
        self.write(action).await.map(drop)
    }

    /// Returns `error`, unless one of `actions` has a mark and its item shows that the write was applied although no
    /// response arrived. The actions are one write or one transaction.
    async fn unless_applied(
        &self,
        actions: &[Action],
        error: StoreError,
    ) -> Result<(), CommitError> {
        let marked = actions.iter().find(|action| action.own_mark.is_some());
        let Some(action) = marked.filter(|_| matches!(error, StoreError::Busy { .. })) else {
            return Err(error.into());
        };
        match self.current_item(action).await {
            Ok(item) if action.is_own_result(item.as_ref()) => {
                tracing::info!(event = "store.write_recognized", subject = ?action.subject);
                Ok(())
            }
            _ => Err(error.into()),
        }
    }

    async fn write_once(&self, action: Action) -> Result<Option<Item>, WriteFailure> {
        let table = self.table_name(action.table);
        let condition = action.condition.expression();
        let on_refusal =
            action.own_mark.as_ref().map(|_| ReturnValuesOnConditionCheckFailure::AllOld);
        let mut names = action.condition.names;
        let mut values = action.condition.values;
        match action.write {
            Write::Put(item) => {
                let put = self
                    .client
                    .put_item()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(condition)
                    .set_return_values_on_condition_check_failure(on_refusal);
                let put = put
                    .set_expression_attribute_names(none_if_empty(names))
                    .set_expression_attribute_values(none_if_empty(values));
                put.send().await.map(|_| None).map_err(|error| {
                    let item = match error.as_service_error() {
                        Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                            refused.item().cloned()
                        }
                        _ => None,
                    };
                    WriteFailure::from_sdk("PutItem", error, item)
                })
            }
            Write::Update(changes) => {
                let expression = changes.expression();
                names.extend(changes.names);
                values.extend(changes.values);
                let update = self.client.update_item().table_name(table).set_key(Some(action.key));
                let update = update
                    .update_expression(expression)
                    .set_condition_expression(condition)
                    .set_return_values_on_condition_check_failure(on_refusal)
                    .set_expression_attribute_names(none_if_empty(names))
                    .set_expression_attribute_values(none_if_empty(values));
                update.send().await.map(|_| None).map_err(|error| {
                    let item = match error.as_service_error() {
                        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                            refused.item().cloned()
                        }
                        _ => None,
                    };
                    WriteFailure::from_sdk("UpdateItem", error, item)
                })
            }
            Write::Delete => {
                let delete = self.client.delete_item().table_name(table).set_key(Some(action.key));
                let delete = delete
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(none_if_empty(names))
                    .set_expression_attribute_values(none_if_empty(values))
                    .return_values(ReturnValue::AllOld);
                let response = delete
                    .send()
                    .await
                    .map_err(|error| WriteFailure::from_sdk("DeleteItem", error, None))?;
                Ok(response.attributes)
            }
            Write::Check => Err(WriteFailure::Store(permanent_error(
                "ConditionCheck",
                "a check is a part of a transaction",
            ))),
        }
    }

    /// Executes one update and returns the resulting item, whether or not the condition held.
    pub(crate) async fn update_and_read(&self, action: Action) -> Result<UpdateResult, StoreError> {
        const OPERATION: &str = "UpdateItem";
        let marked = action.own_mark.is_some().then(|| action.clone());
        let is_own =
            |item: &Item| marked.as_ref().is_some_and(|marked| marked.is_own_result(Some(item)));
        let Write::Update(changes) = action.write else {
            return Err(permanent_error(OPERATION, "only an update returns the resulting item"));
        };
        let condition = action.condition.expression();
        let expression = changes.expression();
        let mut names = action.condition.names;
        let mut values = action.condition.values;
        names.extend(changes.names);
        values.extend(changes.values);
        let update = self
            .client
            .update_item()
            .table_name(self.table_name(action.table))
            .set_key(Some(action.key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(none_if_empty(names))
            .set_expression_attribute_values(none_if_empty(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for attempt in 0.. {
            let error = match update.clone().send().await {
                Ok(response) => {
                    return Ok(UpdateResult::Updated(response.attributes.unwrap_or_default()));
                }
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let item = refused.item().cloned().unwrap_or_default();
                    return Ok(if is_own(&item) {
                        UpdateResult::Updated(item)
                    } else {
                        UpdateResult::Refused(item)
                    });
                }
                Some(UpdateItemError::TransactionConflictException(_)) => {
                    self.back_off(OPERATION, attempt, CONFLICT_ATTEMPTS).await?;
                }
                _ => {
                    let error = classify_error(OPERATION, error);
                    let Some(marked) =
                        marked.as_ref().filter(|_| matches!(error, StoreError::Busy { .. }))
                    else {
                        return Err(error);
                    };
                    // The update may have been applied although no response arrived.
                    return match self.current_item(marked).await {
                        Ok(Some(item)) if is_own(&item) => Ok(UpdateResult::Updated(item)),
                        _ => Err(error),
                    };
                }
            }
        }
        unreachable!("back_off returns an error after the last attempt")
    }

    /// Executes `actions` in one transaction.
    pub async fn commit(&self, actions: Vec<Action>) -> Result<(), CommitError> {
        let items = actions
            .iter()
            .map(|action| self.transact_item(action.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        // The token is the same for every attempt, so that a repetition of an applied transaction succeeds.
        let token = data_encoding::BASE32_NOPAD.encode(&self.random.bytes::<16>());
        for attempt in 0.. {
            let response = self
                .client
                .transact_write_items()
                .client_request_token(&token)
                .set_transact_items(Some(items.clone()))
                .send()
                .await;
            let Err(error) = response else { return Ok(()) };
            let Some(reasons) = cancellation_reasons(&error) else {
                let error = classify_error("TransactWriteItems", error);
                return self.unless_applied(&actions, error).await;
            };
            let has_reason = |code: &str| reasons.iter().any(|reason| reason == code);
            // A failed condition is final. After a conflict or throttling the transaction is retried.
            if has_reason("ConditionalCheckFailed") {
                let refused = actions
                    .iter()
                    .zip(&reasons)
                    .filter(|(_, reason)| *reason == "ConditionalCheckFailed");
                return Err(CommitError::Refused(
                    refused.map(|(action, _)| action.subject).collect(),
                ));
            }
            if has_reason("ValidationError") {
                let reason = "an attribute has an unexpected type";
                return Err(unreadable("TransactWriteItems".to_owned(), reason).into());
            }
            if !(has_reason("TransactionConflict")
                || has_reason("ThrottlingError")
                || has_reason("ProvisionedThroughputExceeded"))
            {
                return Err(classify_error("TransactWriteItems", error).into());
            }
            self.back_off("TransactWriteItems", attempt, CONFLICT_ATTEMPTS).await?;
        }
        unreachable!("back_off returns an error after the last attempt")
    }

    fn transact_item(&self, action: Action) -> Result<TransactWriteItem, StoreError> {
        let table = self.table_name(action.table);
        let condition = action.condition.expression();
        let mut names = action.condition.names;
        let mut values = action.condition.values;
        let item = TransactWriteItem::builder();
        let item = match action.write {
            Write::Put(put) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(put))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(none_if_empty(names))
                    .set_expression_attribute_values(none_if_empty(values))
                    .build()
                    .map_err(|error| permanent_error("TransactWriteItems", error))?,
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
                        .set_expression_attribute_names(none_if_empty(names))
                        .set_expression_attribute_values(none_if_empty(values))
                        .build()
                        .map_err(|error| permanent_error("TransactWriteItems", error))?,
                )
            }
            Write::Delete => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(action.key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(none_if_empty(names))
                    .set_expression_attribute_values(none_if_empty(values))
                    .build()
                    .map_err(|error| permanent_error("TransactWriteItems", error))?,
            ),
            Write::Check => item.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(action.key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(none_if_empty(names))
                    .set_expression_attribute_values(none_if_empty(values))
                    .build()
                    .map_err(|error| permanent_error("TransactWriteItems", error))?,
            ),
        };
        Ok(item.build())
    }

    /// Executes puts and deletes without conditions in batches. It is idempotent.
    pub(crate) async fn write_all(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        for chunk in actions.chunks(limit::BATCH_WRITES) {
            let mut pending: HashMap<String, Vec<WriteRequest>> = HashMap::new();
            for action in chunk {
                let request = batch_request(action.clone())?;
                pending.entry(self.table_name(action.table).to_owned()).or_default().push(request);
            }
            for attempt in 0.. {
                let response =
                    self.client.batch_write_item().set_request_items(Some(pending)).send().await;
                let response = response.map_err(|error| classify_error("BatchWriteItem", error))?;
                pending = response.unprocessed_items.unwrap_or_default();
                if pending.is_empty() {
                    break;
                }
                self.back_off("BatchWriteItem", attempt, BATCH_ATTEMPTS).await?;
            }
        }
        Ok(())
    }
}

/// The item after an update, or the current item if the condition did not hold.
#[derive(Debug)]
pub(crate) enum UpdateResult {
    Updated(Item),
    Refused(Item),
}

fn batch_request(action: Action) -> Result<WriteRequest, StoreError> {
    let request = WriteRequest::builder();
    let request = match action.write {
        Write::Put(item) => {
            let put = PutRequest::builder().set_item(Some(item)).build();
            request.put_request(put.map_err(|error| permanent_error("BatchWriteItem", error))?)
        }
        Write::Delete => {
            let delete = DeleteRequest::builder().set_key(Some(action.key)).build();
            request
                .delete_request(delete.map_err(|error| permanent_error("BatchWriteItem", error))?)
        }
        Write::Update(_) | Write::Check => {
            return Err(permanent_error(
                "BatchWriteItem",
                "a batch contains only puts and deletes",
            ));
        }
    };
    Ok(request.build())
}

/// Omits an empty map, which DynamoDB refuses.
fn none_if_empty<K, V>(map: HashMap<K, V>) -> Option<HashMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

enum WriteFailure {
    /// The condition did not hold. The item is known if the write has a mark.
    Refused(Option<Item>),
    Conflict,
    Store(StoreError),
}

impl WriteFailure {
    fn from_sdk<E>(operation: &'static str, error: SdkError<E>, item: Option<Item>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error.code() {
            Some("ConditionalCheckFailedException") => Self::Refused(item),
            Some("TransactionConflictException") => Self::Conflict,
            _ => Self::Store(classify_error(operation, error)),
        }
    }
}

/// The reasons of a cancelled transaction, one per action ("None" if there is none).
fn cancellation_reasons(error: &SdkError<TransactWriteItemsError>) -> Option<Vec<String>> {
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
