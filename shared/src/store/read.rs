//! Reading: one item, many by key, a range of a partition.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Select};

use super::error::StoreError;
use super::schema::{ItemKey, Table, attr, index, limit};
use super::tx::{Item, key_item, text};
use super::{BATCH_ROUNDS, Store, broken, failed};

/// A page of a query, and where the next begins.
#[derive(Debug)]
pub(crate) struct ItemPage {
    pub(crate) items: Vec<Item>,
    /// The key that the query stopped at, if there may be more.
    pub(crate) last: Option<Item>,
}

/// What to read from a partition, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRange {
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
    /// One item, strongly consistent.
    pub(crate) async fn get(&self, key: ItemKey<'_>) -> Result<Option<Item>, StoreError> {
        self.get_item(key, true).await
    }

    /// One item as it was at most moments ago.
    pub(crate) async fn get_eventually(&self, key: ItemKey<'_>) -> Result<Option<Item>, StoreError> {
        self.get_item(key, false).await
    }

    async fn get_item(&self, key: ItemKey<'_>, consistent: bool) -> Result<Option<Item>, StoreError> {
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
    pub(crate) async fn batch_get(&self, keys: &[ItemKey<'_>]) -> Result<BatchItems, StoreError> {
        self.batch_get_items(keys, true).await
    }

    /// Items as they were at most moments ago, at half the price.
    pub(crate) async fn batch_get_eventually(&self, keys: &[ItemKey<'_>]) -> Result<BatchItems, StoreError> {
        self.batch_get_items(keys, false).await
    }

    async fn batch_get_items(
        &self,
        keys: &[ItemKey<'_>],
        consistent: bool,
    ) -> Result<BatchItems, StoreError> {
        // DynamoDB refuses to be asked twice for one item, and callers come by the same one in more than one way.
        let mut seen = HashSet::new();
        let keys: Vec<_> =
            keys.iter().filter(|key| seen.insert((key.table(), key.pk(), key.sk()))).collect();
        let mut found = BatchItems::default();
        for chunk in keys.chunks(limit::BATCH_GETS) {
            let mut wanted: HashMap<String, KeysAndAttributes> = HashMap::new();
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
    pub(crate) async fn query(&self, range: KeyRange) -> Result<ItemPage, StoreError> {
        let answer = self.ask(range, None).await?;
        Ok(answer.map_or(ItemPage { items: Vec::new(), last: None }, |answer| ItemPage {
            items: answer.items.unwrap_or_default(),
            last: answer.last_evaluated_key,
        }))
    }

    /// How many items of a range there are, as far as one request sees: DynamoDB stops at a megabyte.
    pub(crate) async fn count(&self, range: KeyRange) -> Result<usize, StoreError> {
        let answer = self.ask(range, Some(Select::Count)).await?;
        Ok(answer.map_or(0, |answer| usize::try_from(answer.count).unwrap_or(0)))
    }

    /// How many items of a range there are, page by page.
    pub(crate) async fn count_all(&self, range: KeyRange) -> Result<usize, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let range = KeyRange { after: after.take(), ..range.clone() };
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
        range: KeyRange,
        select: Option<Select>,
    ) -> Result<Option<QueryOutput>, StoreError> {
        if let (Some(from), Some(to)) = (&range.from, &range.to)
            && from > to
        {
            // DynamoDB refuses such a range as an error; there is simply nothing in it.
            return Ok(None);
        }
        let (pk, sk) = match range.index {
            Some(index::BY_OWNER) => (attr::G1PK, attr::G1SK),
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
    pub(crate) async fn query_all(&self, range: KeyRange) -> Result<Vec<Item>, StoreError> {
        let mut items: Vec<Item> = Vec::new();
        let mut after = None;
        loop {
            let page = self.query(KeyRange { after: after.take(), ..range.clone() }).await?;
            items.extend(page.items);
            match page.last {
                Some(last) => after = Some(last),
                None => return Ok(items),
            }
        }
    }
}

/// Items that were asked for by key.
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

    /// Together with what another request found.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn take(&mut self, key: ItemKey<'_>) -> Option<Item> {
        self.0.remove(&(key.table(), key.pk(), key.sk()))
    }
}
