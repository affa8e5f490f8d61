//! The parts of writes: conditions, item changes and actions.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::schema::{Index, ItemKey, attr};
use crate::domain::time::sortable_text;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The kind of item that an action writes. It identifies the failed condition of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionSubject {
    Session,
    Intent,
    SessionRef,
    Invitee,
    MailAddress,
    Suppression,
    Meeting,
    MeetingInstance,
    Event,
    JoinAttempt,
    DelegatedAction,
    RecordingViews,
    AttemptDay,
    GuestJoins,
    PersonalLink,
    ErasureMarker,
    ZoomReport,
    Recording,
    AttendanceOverride,
    Audit,
    Archive,
    AttendanceSummary,
    Polls,
    VoteShard,
    User,
    UserOfEmail,
    PlatformHost,
    PlatformHostOfEmail,
    LicencePool,
    Preferences,
    Notification,
    FormerEnrollment,
    Month,
    Enrollment,
    EnrollmentPeriod,
    Course,
    Payment,
    PaidClass,
    PaymentOfUser,
    Settings,
    ZoomDay,
    Bookings,
    Due,
    Sweep,
    Run,
    Resends,
    Mail,
    Deliveries,
    RecipientStates,
    MailCount,
    ZoomConnection,
    ZoomUser,
    ZoomHost,
    HostStatus,
    OauthState,
    AccountToken,
    Erasure,
    /// An item that was identified by its key only.
    UnknownItem,
}

impl ConditionSubject {
    fn from_key(key: &ItemKey<'_>) -> Self {
        match key {
            ItemKey::Session(_) => Self::Session,
            ItemKey::Intent(_) => Self::Intent,
            ItemKey::SessionRef(_) => Self::SessionRef,
            ItemKey::Invitee { .. } | ItemKey::InviteeByDigest { .. } => Self::Invitee,
            ItemKey::MailAddress(_) => Self::MailAddress,
            ItemKey::Suppression(_) => Self::Suppression,
            ItemKey::Meeting(_) => Self::Meeting,
            ItemKey::MeetingInstance(_) => Self::MeetingInstance,
            ItemKey::Event { .. } => Self::Event,
            ItemKey::ErasureMarker { .. } => Self::ErasureMarker,
            ItemKey::ZoomReportPart { .. } => Self::ZoomReport,
            ItemKey::JoinAttempt { .. } => Self::JoinAttempt,
            ItemKey::DelegatedAction { .. } => Self::DelegatedAction,
            ItemKey::RecordingViews { .. } => Self::RecordingViews,
            ItemKey::AttemptDay { .. } => Self::AttemptDay,
            ItemKey::GuestJoins { .. } => Self::GuestJoins,
            ItemKey::PersonalLink { .. } => Self::PersonalLink,
            ItemKey::Recording { .. } => Self::Recording,
            ItemKey::AttendanceOverride { .. } => Self::AttendanceOverride,
            ItemKey::Audit { .. } => Self::Audit,
            ItemKey::Archive(_) | ItemKey::ArchivePart { .. } => Self::Archive,
            ItemKey::AttendanceSummary(_) | ItemKey::AttendanceSummaryPart { .. } => {
                Self::AttendanceSummary
            }
            ItemKey::Polls(_) => Self::Polls,
            ItemKey::VoteShard { .. } => Self::VoteShard,
            ItemKey::User(_) => Self::User,
            ItemKey::UserOfEmail(_) => Self::UserOfEmail,
            ItemKey::PlatformHost(_) => Self::PlatformHost,
            ItemKey::PlatformHostOfEmail(_) => Self::PlatformHostOfEmail,
            ItemKey::LicencePool => Self::LicencePool,
            ItemKey::Preferences(_) => Self::Preferences,
            ItemKey::Notification { .. } => Self::Notification,
            ItemKey::FormerEnrollment { .. } => Self::FormerEnrollment,
            ItemKey::Month { .. } => Self::Month,
            ItemKey::Enrollment { .. } => Self::Enrollment,
            ItemKey::EnrollmentPeriod { .. } => Self::EnrollmentPeriod,
            ItemKey::Course(_) => Self::Course,
            ItemKey::Payment(_) => Self::Payment,
            ItemKey::PaidClass { .. } => Self::PaidClass,
            ItemKey::PaymentOfUser { .. } => Self::PaymentOfUser,
            ItemKey::Settings => Self::Settings,
            ItemKey::ZoomDay { .. } => Self::ZoomDay,
            ItemKey::Bookings { .. } => Self::Bookings,
            ItemKey::Due { .. } => Self::Due,
            ItemKey::Sweep(_) => Self::Sweep,
            ItemKey::Run(_) => Self::Run,
            ItemKey::Resends(_) => Self::Resends,
            ItemKey::Mail { .. } => Self::Mail,
            ItemKey::Deliveries { .. } => Self::Deliveries,
            ItemKey::RecipientStates { .. } => Self::RecipientStates,
            ItemKey::MailCount(_) => Self::MailCount,
            ItemKey::ZoomConnection(_) => Self::ZoomConnection,
            ItemKey::ZoomUser(_) => Self::ZoomUser,
            ItemKey::ZoomHost(_) => Self::ZoomHost,
            ItemKey::HostStatus(_) => Self::HostStatus,
            ItemKey::OauthState(_) => Self::OauthState,
            ItemKey::AccountToken(_) => Self::AccountToken,
            ItemKey::Erasure(_) => Self::Erasure,
        }
    }
}

/// A condition expression: clauses joined by AND. Without clauses it always holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    clauses: Vec<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Condition {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Requires that the item does not exist.
    pub(crate) fn item_absent() -> Self {
        Self::new().absent(attr::PK)
    }

    /// Requires that the item exists.
    pub(crate) fn item_exists() -> Self {
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

    pub(crate) fn absent_or_differs(self, name: &'static str, value: AttributeValue) -> Self {
        self.clause(
            name,
            |name, value| format!("(attribute_not_exists({name}) OR {name} <> {value})"),
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

    pub(crate) fn absent_or_at_most(self, name: &'static str, value: AttributeValue) -> Self {
        self.clause(
            name,
            |name, value| format!("(attribute_not_exists({name}) OR {name} <= {value})"),
            Some(value),
        )
    }

    /// Requires that a lease was never taken or has expired at `now`.
    pub(crate) fn absent_or_expired(self, until: &'static str, now: Timestamp) -> Self {
        self.absent_or_at_most(until, text(sortable_text(now)))
    }

    /// Placeholders are numbered, because not every attribute name is a valid placeholder.
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

/// An update expression for named attributes. Attributes that a newer version stores beside them stay unchanged.
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

    /// Sets an attribute unless it exists.
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

    /// Sets one member of a map attribute.
    pub(crate) fn set_member(mut self, map: &str, member: &str, value: AttributeValue) -> Self {
        let map = self.name(map);
        let (member, value) = self.placeholders(member, value);
        self.set.push(format!("{map}.{member} = {value}"));
        self
    }

    /// Renames an existing attribute.
    pub(crate) fn rename(mut self, old: &str, new: &str) -> Self {
        let (old, new) = (self.name(old), self.name(new));
        self.set.push(format!("{new} = {old}"));
        self.remove.push(old);
        self
    }

    /// Sets every attribute of `item` except its key, and removes those of `optional` that `item` does not have. The format
    /// version of an existing item stays, because a newer version may have written other attributes.
    pub(crate) fn replace(item: Item, optional: &[&str]) -> Self {
        let absent: Vec<_> =
            optional.iter().filter(|name| !item.contains_key(**name)).copied().collect();
        let set = item.into_iter().filter(|(name, _)| name != attr::PK && name != attr::SK);
        let changes = set.fold(Self::new(), |changes, (name, value)| match name.as_str() {
            attr::V => changes.set_once(attr::V, value),
            _ => changes.set(&name, value),
        });
        absent.into_iter().fold(changes, Self::remove)
    }

    fn placeholders(&mut self, name: &str, value: AttributeValue) -> (String, String) {
        let name_placeholder = self.name(name);
        let value_placeholder = format!(":c{}", self.values.len());
        self.values.insert(value_placeholder.clone(), value);
        (name_placeholder, value_placeholder)
    }

    /// Placeholders are numbered, because not every attribute name is a valid placeholder.
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

/// One write, alone or in a transaction. The module of each entity creates its actions.
#[derive(Clone, Debug)]
pub struct Action {
    pub(crate) subject: ConditionSubject,
    pub(crate) table: super::schema::Table,
    pub(crate) key: Item,
    pub(crate) write: Write,
    pub(crate) condition: Condition,
    /// An attribute with a value that only this write stores.
    pub(crate) own_mark: Option<(String, AttributeValue)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Item),
    Update(ItemChanges),
    Delete,
    /// Writes nothing and requires its condition. Only in a transaction.
    Check,
}

impl Action {
    /// Requires a condition of an item that the transaction does not write.
    pub(crate) fn check(key: ItemKey<'_>, condition: Condition) -> Self {
        let keys = key_item(&key);
        Self::new(key, keys, Write::Check, condition)
    }

    /// Adds the time at which the request of a put began, by which a later erasure recognises older data.
    pub(crate) fn requested_at(mut self, at: Timestamp) -> Self {
        if let Write::Put(item) = &mut self.write {
            item.insert(attr::REQUESTED_MS.to_owned(), number(at.as_millisecond()));
        }
        self
    }

    pub(crate) fn put(key: ItemKey<'_>, mut item: Item, condition: Condition) -> Self {
        let keys = key_item(&key);
        item.extend(keys.clone());
        Self::new(key, keys, Write::Put(item), condition)
    }

    pub(crate) fn update(key: ItemKey<'_>, changes: ItemChanges, condition: Condition) -> Self {
        let keys = key_item(&key);
        Self::new(key, keys, Write::Update(changes), condition)
    }

    pub(crate) fn delete(key: ItemKey<'_>, condition: Condition) -> Self {
        let keys = key_item(&key);
        Self::new(key, keys, Write::Delete, condition)
    }

    /// Deletes an item that was read from the main table.
    pub(crate) fn delete_item(item: &Item) -> Option<Self> {
        let part = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        Some(Self {
            subject: ConditionSubject::UnknownItem,
            table: super::schema::Table::Main,
            key: HashMap::from([part(attr::PK)?, part(attr::SK)?]),
            write: Write::Delete,
            condition: Condition::new(),
            own_mark: None,
        })
    }

    /// Changes an item that was read from the main table.
    pub(crate) fn update_item(
        item: &Item,
        changes: ItemChanges,
        condition: Condition,
    ) -> Option<Self> {
        let delete = Self::delete_item(item)?;
        Some(Self { write: Write::Update(changes), condition, ..delete })
    }

    /// Names an attribute by which the write is recognized after its response was lost, such as the holder of a lease. No
    /// other attempt may store the same value.
    pub(crate) fn recognized_by(self, name: &str, value: AttributeValue) -> Self {
        Self { own_mark: Some((name.to_owned(), value)), ..self }
    }

    /// Returns whether `item` is the result of this write.
    pub(crate) fn is_own_result(&self, item: Option<&Item>) -> bool {
        let (Some((name, value)), Some(item)) = (&self.own_mark, item) else { return false };
        item.get(name) == Some(value)
    }

    fn new(key: ItemKey<'_>, keys: Item, write: Write, condition: Condition) -> Self {
        Self {
            subject: ConditionSubject::from_key(&key),
            table: key.table(),
            key: keys,
            write,
            condition,
            own_mark: None,
        }
    }
}

pub(crate) fn key_item(key: &ItemKey<'_>) -> Item {
    HashMap::from([(attr::PK.to_owned(), text(key.pk())), (attr::SK.to_owned(), text(key.sk()))])
}

/// Adds the key by which an index lists the item.
pub(crate) fn insert_index_key(
    item: &mut Item,
    index: Index,
    pk: impl Into<String>,
    sk: impl Into<String>,
) {
    let (pk_name, sk_name) = index.key_attributes();
    item.insert(pk_name.to_owned(), text(pk));
    item.insert(sk_name.to_owned(), text(sk));
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
