//! Reads: one item, a batch of keys, or a range of a partition.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Select};

use super::error::StoreError;
use super::schema::{Index, ItemKey, Table, attr, limit};
use super::tx::{Action, Item, key_item, text};
use super::{BATCH_ATTEMPTS, Store, classify_error, permanent_error};

/// A page of a query.
#[derive(Debug)]
pub(crate) struct ItemPage {
    pub(crate) items: Vec<Item>,
    /// The key at which the query stopped, if there may be more items.
    pub(crate) last_key: Option<Item>,
}

/// A range of a partition, read in sort key order.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRange {
    /// The index to read, or none for the table itself.
    pub(crate) index: Option<Index>,
    pub(crate) pk: String,
    /// The lowest sort key, inclusive.
    pub(crate) from: Option<String>,
    /// The highest sort key, inclusive.
    pub(crate) to: Option<String>,
    pub(crate) prefix: Option<String>,
    /// The item after which the query starts.
    pub(crate) after: Option<Item>,
    /// Returns only items with these values. DynamoDB reads and charges for the others as well.
    pub(crate) filter: Vec<(&'static str, AttributeValue)>,
    /// Returns only items without these attributes, at the same price.
    pub(crate) absent_attributes: Vec<&'static str>,
    pub(crate) limit: Option<i32>,
    pub(crate) consistent: bool,
    /// Reads the highest sort keys first. `after` then means before.
    pub(crate) descending: bool,
}

impl KeyRange {
    /// Returns the attributes of the keys in the table or index of this range.
    pub(crate) fn key_attributes(&self) -> (&'static str, &'static str) {
        self.index.map_or((attr::PK, attr::SK), Index::key_attributes)
    }
}

impl Store {
    /// Reads one item with strong consistency.
    pub(crate) async fn get(&self, key: ItemKey<'_>) -> Result<Option<Item>, StoreError> {
        self.get_item(key, true).await
    }

    /// Reads one item with eventual consistency.
    pub(crate) async fn get_eventually_consistent(
        &self,
        key: ItemKey<'_>,
    ) -> Result<Option<Item>, StoreError> {
        self.get_item(key, false).await
    }

    /// Reads the item that a write concerns, with strong consistency.
    pub(crate) async fn current_item(&self, action: &Action) -> Result<Option<Item>, StoreError> {
        self.get_by_key(action.table, action.key.clone(), true).await
    }

    async fn get_item(
        &self,
        key: ItemKey<'_>,
        consistent: bool,
    ) -> Result<Option<Item>, StoreError> {
        self.get_by_key(key.table(), key_item(&key), consistent).await
    }

    async fn get_by_key(
        &self,
        table: Table,
        key: Item,
        consistent: bool,
    ) -> Result<Option<Item>, StoreError> {
        let response = self
            .client
            .get_item()
            .table_name(self.table_name(table))
            .set_key(Some(key))
            .consistent_read(consistent)
            .send()
            .await
            .map_err(|error| classify_error("GetItem", error))?;
        Ok(response.item)
    }

    /// Reads items of both tables in one request with strong consistency. [`BatchItems::take`] returns them by key.
    pub(crate) async fn batch_get(&self, keys: &[ItemKey<'_>]) -> Result<BatchItems, StoreError> {
        self.batch_get_items(keys, true).await
    }

    /// Reads items with eventual consistency, at half the price.
    pub(crate) async fn batch_get_eventually_consistent(
        &self,
        keys: &[ItemKey<'_>],
    ) -> Result<BatchItems, StoreError> {
        self.batch_get_items(keys, false).await
    }

    async fn batch_get_items(
        &self,
        keys: &[ItemKey<'_>],
        consistent: bool,
    ) -> Result<BatchItems, StoreError> {
        // DynamoDB refuses duplicate keys in a batch, and callers may pass the same key twice.
        let mut seen = HashSet::new();
        let keys: Vec<_> =
            keys.iter().filter(|key| seen.insert((key.table(), key.pk(), key.sk()))).collect();
        let mut found = BatchItems::default();
        for chunk in keys.chunks(limit::BATCH_GETS) {
            let mut pending: HashMap<String, KeysAndAttributes> = HashMap::new();
            for table in [Table::Main, Table::Tokens] {
                let keys: Vec<_> = chunk
                    .iter()
                    .filter(|key| key.table() == table)
                    .map(|key| key_item(key))
                    .collect();
                if !keys.is_empty() {
                    let keys = KeysAndAttributes::builder()
                        .set_keys(Some(keys))
                        .consistent_read(consistent)
                        .build();
                    let keys = keys.map_err(|error| permanent_error("BatchGetItem", error))?;
                    pending.insert(self.table_name(table).to_owned(), keys);
                }
            }
            for attempt in 0.. {
                let response =
                    self.client.batch_get_item().set_request_items(Some(pending)).send().await;
                let response = response.map_err(|error| classify_error("BatchGetItem", error))?;
                for (table, items) in response.responses.unwrap_or_default() {
                    let table = if table == self.main { Table::Main } else { Table::Tokens };
                    found.add(table, items);
                }
                pending = response.unprocessed_keys.unwrap_or_default();
                if pending.is_empty() {
                    break;
                }
                self.back_off("BatchGetItem", attempt, BATCH_ATTEMPTS).await?;
            }
        }
        Ok(found)
    }

    /// Reads one page of a range.
    pub(crate) async fn query(&self, range: KeyRange) -> Result<ItemPage, StoreError> {
        let response = self.send_query(range, None).await?;
        Ok(response.map_or(ItemPage { items: Vec::new(), last_key: None }, |response| ItemPage {
            items: response.items.unwrap_or_default(),
            last_key: response.last_evaluated_key,
        }))
    }

    /// Counts the items of a range in one request, which DynamoDB ends at one megabyte.
    pub(crate) async fn count_first_page(&self, range: KeyRange) -> Result<usize, StoreError> {
        let response = self.send_query(range, Some(Select::Count)).await?;
        Ok(response.map_or(0, |response| usize::try_from(response.count).unwrap_or(0)))
    }

    /// Counts the items of a range, page by page.
    pub(crate) async fn count_all(&self, range: KeyRange) -> Result<usize, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let range = KeyRange { after: after.take(), ..range.clone() };
            let Some(response) = self.send_query(range, Some(Select::Count)).await? else {
                return Ok(count);
            };
            count += usize::try_from(response.count).unwrap_or(0);
            match response.last_evaluated_key {
                Some(last) => after = Some(last),
                None => return Ok(count),
            }
        }
    }

    /// Sends one query, or none if the range is empty.
    async fn send_query(
        &self,
        range: KeyRange,
        select: Option<Select>,
    ) -> Result<Option<QueryOutput>, StoreError> {
        if let (Some(from), Some(to)) = (&range.from, &range.to)
            && from > to
        {
            // DynamoDB treats an inverted range as an error.
            return Ok(None);
        }
        let (pk, sk) = range.key_attributes();
        let mut query = self
            .client
            .query()
            .table_name(&self.main)
            .set_index_name(range.index.map(|index| index.name().to_owned()))
            .set_select(select)
            .consistent_read(range.consistent)
            .set_exclusive_start_key(range.after)
            .scan_index_forward(!range.descending)
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
        for name in range.absent_attributes {
            filters.push(format!("attribute_not_exists(#{name})"));
            query = query.expression_attribute_names(format!("#{name}"), name);
        }
        if !filters.is_empty() {
            query = query.filter_expression(filters.join(" AND "));
        }
        let response = query.key_condition_expression(condition).send().await;
        response.map(Some).map_err(|error| classify_error("Query", error))
    }

    /// Reads every item of a range, page by page. Only for ranges whose size is bounded.
    pub(crate) async fn query_all(&self, range: KeyRange) -> Result<Vec<Item>, StoreError> {
        let mut items: Vec<Item> = Vec::new();
        let mut after = None;
        loop {
            let page = self.query(KeyRange { after: after.take(), ..range.clone() }).await?;
            items.extend(page.items);
            match page.last_key {
                Some(last) => after = Some(last),
                None => return Ok(items),
            }
        }
    }
}

/// The items of a batch read.
#[derive(Debug, Default)]
pub(crate) struct BatchItems(HashMap<(Table, String, String), Item>);

impl BatchItems {
    fn add(&mut self, table: Table, items: Vec<Item>) {
        for item in items {
            if let (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) =
                (item.get(attr::PK), item.get(attr::SK))
            {
                self.0.insert((table, pk.clone(), sk.clone()), item);
            }
        }
    }

    /// Adds the items of another batch.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn get(&self, key: ItemKey<'_>) -> Option<Item> {
        self.0.get(&(key.table(), key.pk(), key.sk())).cloned()
    }

    pub(crate) fn take(&mut self, key: ItemKey<'_>) -> Option<Item> {
        self.0.remove(&(key.table(), key.pk(), key.sk()))
    }
}
