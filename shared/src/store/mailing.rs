//! Mails: the claim by which each is sent once, their fates in the order in which they came about, how many of a class
//! are in which state, and who drains the outbox.
//!
//! A mail costs one write to claim. Its fate is not written into the claim but, with those of its neighbours, into one
//! item; together with the counts, in a transaction, so that neither can be without the other. That a mail was sent
//! therefore stands in the fates alone, and a claim that nobody ended is looked up there.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{FATE_PREFIX, ItemKey, DueQueue, about_partition, attr, limit};
use super::timeline::TimelineCursor;
use super::tx::{Action, ItemChanges, Guard, Item, ConditionSubject, number, text};
use super::{KeyRange, Store, UpdateResult};
use crate::crypt::sha256_hex;
use crate::domain::audience::Audience;
use crate::domain::directory::User;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::claim::{NextAttempt, ClaimPhase};
use crate::domain::mailing::{
    MailSubject, MailClaim, MessageKey, DeliveryRecord, PastDelivery, RecipientState, Mail, MailKind, DeliveryStatus, RecipientRef,
};
use crate::domain::session::Session;
use crate::domain::time::fixed;

const SENDING: &str = "sending";
const WAITING: &str = "waiting";
const OVER: &str = "over";

/// How many items of fates a timeline reads at a time: each holds those of up to a hundred mails.
const FATES_PAGE: i32 = 5;

#[derive(Deserialize)]
struct StoredClaim {
    phase: String,
    #[serde(default)]
    attempts: u32,
    #[serde(default)]
    lost: u32,
    #[serde(default)]
    round: u32,
    since: Timestamp,
    until: Timestamp,
    #[serde(default = "queued")]
    told: DeliveryStatus,
}

fn queued() -> DeliveryStatus {
    DeliveryStatus::Queued
}

fn claim_of(item: Item) -> Result<MailClaim, StoreError> {
    let stored: StoredClaim = decode(item)?;
    let phase = match stored.phase.as_str() {
        SENDING => ClaimPhase::Sending { until: stored.until },
        WAITING => ClaimPhase::Waiting,
        _ => ClaimPhase::Over,
    };
    let StoredClaim { attempts, lost, round, since, told, .. } = stored;
    Ok(MailClaim { phase, attempts, lost, round, since, told })
}

/// Whether a mail was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimResult {
    Yes(MailClaim),
    /// As it stands, which is why.
    No(MailClaim),
}

fn days_after(at: Timestamp, days: i64) -> AttributeValue {
    let at = at.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(at);
    number(at.as_second())
}

fn taking(now: Timestamp, until: Timestamp, token: &str) -> ItemChanges {
    ItemChanges::new()
        .set(attr::PHASE, text(SENDING))
        .set(attr::HOLDER, text(token))
        .set(attr::SINCE, text(fixed(now)))
        .set(attr::UNTIL, text(fixed(until)))
        .set(attr::V, number(1))
        .set(attr::TTL, days_after(now, limit::CLAIM_TTL_DAYS))
}

/// A mail's fate, and what is done with its claim.
#[derive(Clone, Debug)]
pub struct DeliveryUpdate {
    pub fate: DeliveryRecord,
    /// What was noted of it before.
    pub before: DeliveryStatus,
    pub claim: ClaimEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimEnd {
    /// The fate says it all.
    AsItIs,
    /// To be tried again; what was tried counts.
    Again,
    /// To be tried again as if it had not been tried.
    Uncounted,
    Over,
}

/// How many mails of a class are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailCounts {
    #[serde(default)]
    pub queued: i64,
    #[serde(default)]
    pub sent: i64,
    #[serde(default)]
    pub retrying: i64,
    #[serde(default)]
    pub failed: i64,
    #[serde(default)]
    pub dead: i64,
    #[serde(default)]
    pub dropped: i64,
}

impl MailCounts {
    /// A mail may be sent before the chunk that it was worked out with is noted; for that moment it counts below nothing.
    fn at_least_none(self) -> Self {
        let Self { queued, sent, retrying, failed, dead, dropped } = self;
        Self {
            queued: queued.max(0),
            sent: sent.max(0),
            retrying: retrying.max(0),
            failed: failed.max(0),
            dead: dead.max(0),
            dropped: dropped.max(0),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredFates {
    mails: Vec<StoredFate>,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// With short names: there are a hundred in an item, and DynamoDB charges for names as for values.
#[derive(Serialize, Deserialize)]
struct StoredFate {
    /// The first half of the effect.
    e: String,
    r: RecipientRef,
    k: MailKind,
    s: DeliveryStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    /// The version of the class that it showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<u64>,
    /// In doubt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    d: bool,
}

impl StoredFate {
    fn happened(&self) -> PastDelivery<'_> {
        PastDelivery { mail: &self.e, kind: self.k, state: self.s, shows: self.v, in_doubt: self.d }
    }
}

fn put_fates<'a>(
    about: &MailSubject,
    fates: impl Iterator<Item = &'a DeliveryRecord> + Clone,
    at: Timestamp,
) -> Action {
    let names: String =
        fates.clone().flat_map(|fate| [fate.effect.as_str(), fate.state.as_str()]).collect();
    let queued = fates.clone().all(|fate| fate.state == DeliveryStatus::Queued);
    let ttl = at
        .saturating_add(SignedDuration::from_hours(24 * limit::FATE_TTL_DAYS))
        .unwrap_or(at)
        .as_second();
    let mails = fates.map(|fate| StoredFate {
        e: fate.effect.short().to_owned(),
        r: fate.recipient.clone(),
        k: fate.kind,
        s: fate.state,
        n: fate.note.clone(),
        v: fate.shows,
        d: fate.in_doubt,
    });
    let item = encode(&StoredFates { mails: mails.collect(), ttl });
    // What is queued comes before what is sent, also where both happen in one millisecond.
    let digest = format!("{}{}", if queued { 'a' } else { 'b' }, &sha256_hex(names)[..15]);
    Action::put(ItemKey::Deliveries { about, at, digest: &digest }, item, Guard::new_item())
}

/// Moves mails from one state to another; `None` where nothing moves.
fn count(about: &MailSubject, moves: &BTreeMap<DeliveryStatus, i64>) -> Option<Action> {
    let moves: Vec<_> = moves.iter().filter(|(_, by)| **by != 0).collect();
    let changes =
        moves.iter().fold(ItemChanges::new(), |changes, (state, by)| changes.add(state.as_str(), **by));
    (!moves.is_empty()).then(|| Action::update(ItemKey::MailCount(about), changes, Guard::new()))
}

/// Notes that mails were queued. Together with what says so of their announcement, it is one transaction.
pub fn queued_deliveries(about: &MailSubject, mails: &[Mail], at: Timestamp) -> Vec<Action> {
    if mails.is_empty() {
        return Vec::new();
    }
    let fates: Vec<_> = mails.iter().map(|mail| DeliveryRecord::of(mail, DeliveryStatus::Queued, None)).collect();
    let moves = BTreeMap::from([(DeliveryStatus::Queued, i64::try_from(mails.len()).unwrap_or(0))]);
    std::iter::once(put_fates(about, fates.iter(), at)).chain(count(about, &moves)).collect()
}

/// Notes that somebody is about to be told of a class: before anybody is, so that it holds whatever comes between.
pub fn begin_notifying(about: &MailSubject) -> Action {
    let changes = ItemChanges::new().set(attr::ANNOUNCED, AttributeValue::Bool(true));
    Action::update(ItemKey::MailCount(about), changes, Guard::new())
}

fn end(about: &MailSubject, noted: &DeliveryUpdate) -> Option<Action> {
    let told = text(noted.fate.state.as_str());
    let changes = match noted.claim {
        ClaimEnd::AsItIs => return None,
        ClaimEnd::Again => ItemChanges::new().set(attr::PHASE, text(WAITING)),
        ClaimEnd::Uncounted => {
            ItemChanges::new().set(attr::PHASE, text(WAITING)).add(attr::ATTEMPTS, -1)
        }
        ClaimEnd::Over => ItemChanges::new().set(attr::PHASE, text(OVER)),
    };
    let changes = changes.set(attr::TOLD, told);
    Some(Action::update(ItemKey::Mail { about, effect: &noted.fate.effect }, changes, Guard::new()))
}

/// Gives a claim back of which nothing came, and of which nothing needs to be told.
pub fn give_back(about: &MailSubject, effect: &MessageKey) -> Action {
    let changes = ItemChanges::new().set(attr::PHASE, text(WAITING)).add(attr::ATTEMPTS, -1);
    Action::update(ItemKey::Mail { about, effect }, changes, Guard::existing_item())
}

/// What holds for the outbox as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OutboxState {
    /// Nothing is sent before.
    #[serde(default)]
    pub paused_until: Option<Timestamp>,
    /// The mail service's code.
    #[serde(default)]
    pub paused_by: Option<String>,
}

/// Takes the right to send mails until `until`; refused while another run has it. Two at once would each keep to the
/// configured rate, and together go at twice that.
pub fn take_outbox(holder: &str, now: Timestamp, until: Timestamp) -> Action {
    let changes = ItemChanges::new()
        .set(attr::LEASE_HOLDER, text(holder))
        .set(attr::LEASE_UNTIL, text(fixed(until)));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, Guard::new().free_at(attr::LEASE_UNTIL, now))
}

/// Gives that right back, if it is still `holder`'s.
pub fn leave_outbox(holder: &str) -> Action {
    let changes = ItemChanges::new().remove(attr::LEASE_HOLDER).remove(attr::LEASE_UNTIL);
    let guard = Guard::new().equals(attr::LEASE_HOLDER, text(holder));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, guard)
}

/// Has nothing sent before `until`.
pub fn pause_outbox(until: Timestamp, code: &str) -> Action {
    let changes =
        ItemChanges::new().set(attr::PAUSED_UNTIL, text(fixed(until))).set(attr::PAUSED_BY, text(code));
    Action::update(ItemKey::Sweep(DueQueue::Outbox), changes, Guard::new())
}

impl Store {
    /// Claims a mail that nobody claimed yet, or that waits to be tried again.
    pub async fn claim(
        &self,
        mail: &Mail,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let token = self.token();
        let changes = taking(now, until, &token).add(attr::ATTEMPTS, 1);
        let guard = Guard::new().absent_or_equals(attr::PHASE, text(WAITING));
        self.take(mail, changes, guard, &token).await
    }

    /// By which a claim is known for one's own, should the answer to taking it be lost and the SDK ask again.
    fn token(&self) -> String {
        data_encoding::BASE32_NOPAD.encode(&self.random.bytes::<10>())
    }

    /// Claims a mail whose claim is as it was `found`, for the reason that the rule gives.
    pub async fn claim_again(
        &self,
        mail: &Mail,
        found: &MailClaim,
        reason: NextAttempt,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        let token = self.token();
        let changes = taking(now, until, &token);
        let changes = if reason == NextAttempt::BroughtBack || mail.round > found.round {
            changes
                .set(attr::ATTEMPTS, number(1))
                .set(attr::LOST, number(0))
                .set(attr::ROUND, number(mail.round))
        } else {
            changes.add(attr::ATTEMPTS, 1).add(attr::LOST, 1)
        };
        let guard = Guard::new().equals(attr::SINCE, text(fixed(found.since)));
        let phase = match found.phase {
            ClaimPhase::Sending { .. } => SENDING,
            ClaimPhase::Waiting => WAITING,
            ClaimPhase::Over => OVER,
        };
        self.take(mail, changes, guard.equals(attr::PHASE, text(phase)), &token).await
    }

    async fn take(
        &self,
        mail: &Mail,
        changes: ItemChanges,
        guard: Guard,
        token: &str,
    ) -> Result<ClaimResult, StoreError> {
        let key = ItemKey::Mail { about: &mail.subject, effect: &mail.message_key };
        match self.update_and_read(Action::update(key, changes, guard)).await? {
            UpdateResult::Done(item) => Ok(ClaimResult::Yes(claim_of(item)?)),
            UpdateResult::Refused(item) if item.get(attr::HOLDER) == Some(&text(token)) => {
                Ok(ClaimResult::Yes(claim_of(item)?))
            }
            UpdateResult::Refused(item) => Ok(ClaimResult::No(claim_of(item)?)),
        }
    }

    /// Notes what became of mails that are about the same. Noting the same again notes nothing more.
    pub async fn record_deliveries(
        &self,
        about: &MailSubject,
        all: &[DeliveryUpdate],
        at: Timestamp,
    ) -> Result<(), CommitError> {
        if all.is_empty() {
            return Ok(());
        }
        let mut moves = BTreeMap::new();
        for noted in all {
            *moves.entry(noted.before).or_insert(0) -= 1;
            *moves.entry(noted.fate.state).or_insert(0) += 1;
        }
        let mut actions = vec![put_fates(about, all.iter().map(|noted| &noted.fate), at)];
        actions.extend(count(about, &moves));
        actions.extend(all.iter().filter_map(|noted| end(about, noted)));
        match self.commit(actions).await {
            Err(error) if error.refused(ConditionSubject::Fates) => Ok(()),
            other => other,
        }
    }

    /// Whether it is noted that a mail was sent, by who claimed it at `since`.
    pub async fn was_sent(
        &self,
        mail: &Mail,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let range = KeyRange {
            pk: about_partition(&mail.subject),
            from: Some(format!("{FATE_PREFIX}{}", fixed(since))),
            to: Some(format!("{FATE_PREFIX}{}~", fixed(now))),
            consistent: true,
            ..KeyRange::default()
        };
        for item in self.query_all(range).await? {
            let fates: StoredFates = decode(item)?;
            let short = mail.message_key.short();
            if fates.mails.iter().any(|fate| fate.e == short && fate.s == DeliveryStatus::Sent) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What mails are written from and depend on beside their classes: the trainers by their ids, and which mails go to
    /// somebody whom their class now invites.
    pub async fn around_mails(
        &self,
        mails: &[(&Session, &Mail)],
    ) -> Result<(HashMap<UserId, User>, HashSet<MessageKey>), StoreError> {
        // DynamoDB refuses to be asked twice for one item.
        let mut keys = HashMap::new();
        for (session, mail) in mails {
            let trainer = ItemKey::User(&session.trainer);
            keys.insert((trainer.pk(), trainer.sk()), trainer);
            if let Some(key) = invitation(session, mail) {
                keys.insert((key.pk(), key.sk()), key);
            }
        }
        let asked: Vec<_> = keys.into_values().collect();
        let mut found = self.batch_get(&asked).await?;
        let mut trainers = HashMap::new();
        for (session, _) in mails {
            if let Some(user) = found.user(&session.trainer)? {
                trainers.insert(session.trainer.clone(), user);
            }
        }
        let mut open = HashSet::new();
        for key in asked.iter().filter(|key| !matches!(key, ItemKey::User(_))) {
            if found.invites(*key)? {
                open.insert((key.pk(), key.sk()));
            }
        }
        let invited = mails.iter().filter(|(session, mail)| {
            invitation(session, mail).is_some_and(|key| open.contains(&(key.pk(), key.sk())))
        });
        Ok((trainers, invited.map(|(_, mail)| mail.message_key.clone()).collect()))
    }

    /// How many mails of a class are in which state, once there are any.
    pub async fn mail_counts(&self, session: &SessionId) -> Result<Option<MailCounts>, StoreError> {
        let about = MailSubject::Session(session.clone());
        let item = self.get_eventually(ItemKey::MailCount(&about)).await?;
        let counts = item.map(decode::<MailCounts>).transpose()?;
        let counts = counts.filter(|counts| *counts != MailCounts::default());
        Ok(counts.map(MailCounts::at_least_none))
    }

    /// Whether anybody was ever told of a class, or was about to be.
    pub async fn was_notified(&self, about: &MailSubject) -> Result<bool, StoreError> {
        Ok(self.get(ItemKey::MailCount(about)).await?.is_some())
    }

    /// What everybody holds of a class, by what became of the mails to them.
    pub async fn recipient_states(
        &self,
        session: &SessionId,
    ) -> Result<HashMap<RecipientRef, RecipientState>, StoreError> {
        let about = MailSubject::Session(session.clone());
        let mut range = KeyRange {
            pk: about_partition(&about),
            prefix: Some(FATE_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let mut holdings: HashMap<RecipientRef, RecipientState> = HashMap::new();
        loop {
            let page = self.query(range.clone()).await?;
            for item in page.items {
                let fates: StoredFates = decode(item)?;
                for fate in fates.mails {
                    holdings.entry(fate.r.clone()).or_default().follow(&fate.happened());
                }
            }
            match page.last {
                Some(last) => range.after = Some(last),
                None => return Ok(holdings),
            }
        }
    }

    /// The newest fates of a class's mails before a moment. Those of one item are of one moment, in its order.
    pub async fn deliveries_before(
        &self,
        session: &SessionId,
        before: Option<&TimelineCursor>,
        limit: usize,
    ) -> Result<Vec<(TimelineCursor, StoredDelivery)>, StoreError> {
        let about = MailSubject::Session(session.clone());
        // The moment may lie within an item: '~' sorts behind every place in it.
        let to = before.map_or_else(
            || format!("{FATE_PREFIX}~"),
            |moment| format!("{FATE_PREFIX}{}#{}~", fixed(moment.at), moment.tail),
        );
        let mut range = KeyRange {
            pk: about_partition(&about),
            from: Some(FATE_PREFIX.to_owned()),
            to: Some(to),
            backwards: true,
            limit: Some(FATES_PAGE),
            ..KeyRange::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.query(range.clone()).await?;
            for item in page.items {
                let Some(TimelineCursor { at, tail }) = TimelineCursor::read(&item, FATE_PREFIX) else { continue };
                let fates: StoredFates = decode(item)?;
                for (n, fate) in fates.mails.into_iter().enumerate().rev() {
                    let moment = TimelineCursor { at, tail: format!("{tail}n{n:03}") };
                    if before.is_none_or(|before| moment < *before) {
                        let StoredFate { r: recipient, k: kind, s: state, n: note, .. } = fate;
                        all.push((moment, StoredDelivery { recipient, kind, state, note }));
                    }
                }
            }
            match page.last {
                Some(last) if all.len() < limit => range.after = Some(last),
                _ => break,
            }
        }
        all.truncate(limit);
        Ok(all)
    }

    /// What holds for the outbox as a whole, as of a moment ago.
    pub async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        let item = self.get_eventually(ItemKey::Sweep(DueQueue::Outbox)).await?;
        Ok(item.map(decode).transpose()?.unwrap_or_default())
    }

    /// Forgets the mails that were about a person alone.
    pub async fn erase_mailing(&self, user: &UserId) -> Result<(), StoreError> {
        let about = MailSubject::Trainer(user.clone());
        for prefix in ["MAIL", FATE_PREFIX] {
            let range = KeyRange {
                pk: about_partition(&about),
                prefix: Some(prefix.to_owned()),
                ..KeyRange::default()
            };
            let gone = self.query_all(range).await?;
            self.write_all(gone.iter().filter_map(Action::delete_item).collect()).await?;
        }
        Ok(())
    }
}

/// The item by which a class invites the recipient of a mail, if it does.
fn invitation<'a>(session: &'a Session, mail: &'a Mail) -> Option<ItemKey<'a>> {
    match &session.audience {
        Audience::Standalone => None,
        Audience::Course { id, .. } => {
            mail.user.as_ref().map(|user| ItemKey::Enrollment { user, course: id })
        }
        Audience::Invitees { list, .. } => {
            Some(ItemKey::Invitee { session: &session.id, list: *list, email: &mail.to })
        }
    }
}

/// A fate as the timeline tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDelivery {
    pub recipient: RecipientRef,
    pub kind: MailKind,
    pub state: DeliveryStatus,
    pub note: Option<String>,
}
