//! The pieces that writes are made of: guards, updates, actions, and the transaction that holds them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::schema::{ItemKey, attr};
use crate::domain::time::fixed;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// What an action is about, for whoever must explain why its condition did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionSubject {
    Session,
    Intent,
    Invitee,
    Meeting,
    Event,
    Click,
    Recording,
    Ruling,
    Audit,
    Archive,
    Polls,
    BallotBox,
    User,
    UserOfEmail,
    Preferences,
    Notice,
    Left,
    Month,
    Enrollment,
    Course,
    Settings,
    ZoomDay,
    Due,
    Sweep,
    Resends,
    Mail,
    Fates,
    MailCount,
    Connection,
    ZoomUser,
    OauthState,
    /// An item of which nothing is known but its key.
    Whole,
}

impl ConditionSubject {
    fn of(key: &ItemKey<'_>) -> Self {
        match key {
            ItemKey::Session(_) => Self::Session,
            ItemKey::Intent(_) => Self::Intent,
            ItemKey::Invitee { .. } => Self::Invitee,
            ItemKey::Meeting(_) => Self::Meeting,
            ItemKey::Event { .. } => Self::Event,
            ItemKey::JoinAttempt { .. } => Self::Click,
            ItemKey::Recording { .. } => Self::Recording,
            ItemKey::AttendanceOverride { .. } => Self::Ruling,
            ItemKey::Audit { .. } => Self::Audit,
            ItemKey::Archive(_) | ItemKey::ArchivePart { .. } => Self::Archive,
            ItemKey::Polls(_) => Self::Polls,
            ItemKey::VoteShard { .. } => Self::BallotBox,
            ItemKey::User(_) => Self::User,
            ItemKey::UserOfEmail(_) => Self::UserOfEmail,
            ItemKey::Preferences(_) => Self::Preferences,
            ItemKey::Notification { .. } => Self::Notice,
            ItemKey::FormerEnrollment { .. } => Self::Left,
            ItemKey::Month { .. } => Self::Month,
            ItemKey::Enrollment { .. } => Self::Enrollment,
            ItemKey::Course(_) => Self::Course,
            ItemKey::Settings => Self::Settings,
            ItemKey::ZoomDay { .. } => Self::ZoomDay,
            ItemKey::Due { .. } => Self::Due,
            ItemKey::Sweep(_) => Self::Sweep,
            ItemKey::Resends(_) => Self::Resends,
            ItemKey::Mail { .. } => Self::Mail,
            ItemKey::Deliveries { .. } => Self::Fates,
            ItemKey::MailCount(_) => Self::MailCount,
            ItemKey::Connection(_) => Self::Connection,
            ItemKey::ZoomUser(_) => Self::ZoomUser,
            ItemKey::OauthState(_) => Self::OauthState,
        }
    }
}

/// A condition, or the conditions that must all hold; empty, it always does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    clauses: Vec<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// There is no such item.
    pub(crate) fn new_item() -> Self {
        Self::new().absent(attr::PK)
    }

    /// There is such an item.
    pub(crate) fn existing_item() -> Self {
        Self::new().exists(attr::PK)
    }

    pub(crate) fn absent(self, name: &str) -> Self {
        self.clause(name, |name, _| format!("attribute_not_exists({name})"), None)
    }

    pub(crate) fn exists(self, name: &str) -> Self {
        self.clause(name, |name, _| format!("attribute_exists({name})"), None)
    }

    pub(crate) fn equals(self, name: &str, value: AttributeValue) -> Self {
        self.clause(name, |name, value| format!("{name} = {value}"), Some(value))
    }

    pub(crate) fn absent_or_equals(self, name: &'static str, value: AttributeValue) -> Self {
        self.clause(
            name,
            |name, value| format!("(attribute_not_exists({name}) OR {name} = {value})"),
            Some(value),
        )
    }

    pub(crate) fn absent_or_below(self, name: &'static str, value: AttributeValue) -> Self {
        self.clause(
            name,
            |name, value| format!("(attribute_not_exists({name}) OR {name} < {value})"),
            Some(value),
        )
    }

    /// A right that was never taken, or whose time is over at `now`: held until then, free from then on.
    pub(crate) fn free_at(self, until: &'static str, now: Timestamp) -> Self {
        self.clause(
            until,
            |name, value| format!("(attribute_not_exists({name}) OR {name} <= {value})"),
            Some(text(fixed(now))),
        )
    }

    /// Placeholders are numbered, because not every attribute's name may be one.
    fn clause(
        mut self,
        name: &str,
        text: impl FnOnce(&str, &str) -> String,
        value: Option<AttributeValue>,
    ) -> Self {
        let name_placeholder = format!("#g{}", self.clauses.len());
        let value_placeholder = format!(":g{}", self.clauses.len());
        self.clauses.push(text(&name_placeholder, &value_placeholder));
        self.names.insert(name_placeholder, name.to_owned());
        if let Some(value) = value {
            self.values.insert(value_placeholder, value);
        }
        self
    }

    pub(crate) fn expression(&self) -> Option<String> {
        (!self.clauses.is_empty()).then(|| self.clauses.join(" AND "))
    }
}

/// Changes to named attributes; what a newer version keeps beside them stays as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct ItemChanges {
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl ItemChanges {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = self.placeholders(name, value);
        self.set.push(format!("{name} = {value}"));
        self
    }

    /// Sets what is not set yet.
    pub(crate) fn set_once(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = self.placeholders(name, value);
        self.set.push(format!("{name} = if_not_exists({name}, {value})"));
        self
    }

    pub(crate) fn add(mut self, name: &str, by: i64) -> Self {
        let (name, value) = self.placeholders(name, number(by));
        self.add.push(format!("{name} {value}"));
        self
    }

    pub(crate) fn remove(mut self, name: &str) -> Self {
        let placeholder = self.name(name);
        self.remove.push(placeholder);
        self
    }

    /// Sets a member of an attribute that is a map, and leaves its other members alone.
    pub(crate) fn set_member(mut self, map: &str, member: &str, value: AttributeValue) -> Self {
        let map = self.name(map);
        let (member, value) = self.placeholders(member, value);
        self.set.push(format!("{map}.{member} = {value}"));
        self
    }

    /// Gives an attribute that is there another name.
    pub(crate) fn rename(mut self, old: &str, new: &str) -> Self {
        let (old, new) = (self.name(old), self.name(new));
        self.set.push(format!("{new} = {old}"));
        self.remove.push(old);
        self
    }

    /// Sets every attribute of `item` but its key, and removes those of `all` that it no longer has.
    pub(crate) fn replace(item: Item, all: &[&str]) -> Self {
        let gone: Vec<_> = all.iter().filter(|name| !item.contains_key(**name)).copied().collect();
        let set = item.into_iter().filter(|(name, _)| name != attr::PK && name != attr::SK);
        let changes = set.fold(Self::new(), |changes, (name, value)| changes.set(&name, value));
        gone.into_iter().fold(changes, Self::remove)
    }

    fn placeholders(&mut self, name: &str, value: AttributeValue) -> (String, String) {
        let name_placeholder = self.name(name);
        let value_placeholder = format!(":c{}", self.values.len());
        self.values.insert(value_placeholder.clone(), value);
        (name_placeholder, value_placeholder)
    }

    /// Placeholders are numbered, because not every attribute's name may be one.
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#c{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    pub(crate) fn expression(&self) -> String {
        let part = |word: &str, items: &[String]| {
            if items.is_empty() { String::new() } else { format!("{word} {} ", items.join(", ")) }
        };
        format!(
            "{}{}{}",
            part("SET", &self.set),
            part("ADD", &self.add),
            part("REMOVE", &self.remove)
        )
        .trim_end()
        .to_owned()
    }
}

/// One write, alone or in a transaction. Made by the file of the entity it concerns.
#[derive(Clone, Debug)]
pub struct Action {
    pub(crate) subject: ConditionSubject,
    pub(crate) table: super::schema::Table,
    pub(crate) key: Item,
    pub(crate) write: Write,
    pub(crate) guard: Guard,
}

#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Item),
    Update(ItemChanges),
    Delete,
}

impl Action {
    pub(crate) fn put(key: ItemKey<'_>, mut item: Item, guard: Guard) -> Self {
        let keys = key_item(&key);
        item.extend(keys.clone());
        Self::on(key, keys, Write::Put(item), guard)
    }

    pub(crate) fn update(key: ItemKey<'_>, changes: ItemChanges, guard: Guard) -> Self {
        let keys = key_item(&key);
        Self::on(key, keys, Write::Update(changes), guard)
    }

    pub(crate) fn delete(key: ItemKey<'_>, guard: Guard) -> Self {
        let keys = key_item(&key);
        Self::on(key, keys, Write::Delete, guard)
    }

    /// Deletes an item of the main table that was read.
    pub(crate) fn delete_item(item: &Item) -> Option<Self> {
        let part = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        Some(Self {
            subject: ConditionSubject::Whole,
            table: super::schema::Table::Main,
            key: HashMap::from([part(attr::PK)?, part(attr::SK)?]),
            write: Write::Delete,
            guard: Guard::new(),
        })
    }

    fn on(key: ItemKey<'_>, keys: Item, write: Write, guard: Guard) -> Self {
        Self { subject: ConditionSubject::of(&key), table: key.table(), key: keys, write, guard }
    }
}

pub(crate) fn key_item(key: &ItemKey<'_>) -> Item {
    HashMap::from([(attr::PK.to_owned(), text(key.pk())), (attr::SK.to_owned(), text(key.sk()))])
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
