//! A repeated look at the polls that finds nothing new.
//!
//! Every page of a class asks again every few seconds, and most looks find no open poll and no change. A function
//! instance remembers which entity tag it gave to a caller. A look with that tag reads two of the three items on which
//! the response depends, eventually consistent, which costs one read unit. The third was read within [`TRUSTED_FOR`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::PollContext;
use super::reader::{PollRequest, PollsRead};
use crate::app::error::Error;
use crate::app::visibility::VisibilitySource;
use crate::domain::id::{SessionId, UserId};
use crate::domain::next_look;
use crate::domain::rights::Relation;
use crate::domain::session::Session;
use crate::store::schema::ItemKey;

/// Callers in the memory, each with some hundred bytes.
const MEMORY_LIMIT: usize = 4096;
/// How old an item may be that a look does not read. A student who was removed can look at closed polls for this long.
const TRUSTED_FOR: SignedDuration = SignedDuration::from_mins(2);

/// How long a remembered response is good for. An erased voter is then gone from the owner's list too.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_mins(10);

/// The items on which a response without an open poll depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Polls,
    Session,
    Access,
}

/// The response that a caller got.
#[derive(Clone, Debug)]
struct Shown {
    tag: String,
    revision: u64,
    next_look_seconds: u32,
    relation: Relation,
    access: Option<VisibilitySource>,
    /// The response may change at this time without a change of an item.
    changes_at: Timestamp,
    shown_at: Timestamp,
    /// When each [`Part`] was read.
    read_at: [Timestamp; 3],
}

impl Shown {
    fn at(&self, part: Part) -> Timestamp {
        self.read_at[part as usize]
    }

    /// Returns the two items that a look reads: the one that changes most, and the older of the others.
    fn due(&self) -> [Part; 2] {
        let is_live = self.next_look_seconds < next_look::IDLE_SECONDS;
        let (first, other) = match is_live {
            true => (Part::Polls, Part::Session),
            false => (Part::Session, Part::Polls),
        };
        let is_access_older = self.access.is_some() && self.at(Part::Access) <= self.at(other);
        [first, if is_access_older { Part::Access } else { other }]
    }

    /// Returns whether the items that are not read are recent.
    fn trusts_rest(&self, due: [Part; 2], now: Timestamp) -> bool {
        let all = [Part::Polls, Part::Session, Part::Access];
        let rest = all.into_iter().filter(|part| !due.contains(part));
        let has_access = self.access.is_some();
        let mut rest = rest.filter(|part| *part != Part::Access || has_access);
        now < self.changes_at
            && now.duration_since(self.shown_at) <= REMEMBERED_FOR
            && rest.all(|part| now.duration_since(self.at(part)) <= TRUSTED_FOR)
    }
}

/// The responses without an open poll that a function instance gave last.
#[derive(Debug, Default)]
pub struct LookMemory(Mutex<BTreeMap<(SessionId, UserId), Shown>>);

impl LookMemory {
    fn recall(&self, request: &PollRequest<'_>) -> Option<Shown> {
        let key = (request.session.clone(), request.caller.id.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn remember(&self, request: &PollRequest<'_>, shown: Shown) {
        let key = (request.session.clone(), request.caller.id.clone());
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= MEMORY_LIMIT && !memory.contains_key(&key) {
            memory.clear();
        }
        memory.insert(key, shown);
    }
}

/// The facts about a response that a later look compares.
#[derive(Clone, Debug)]
pub(super) struct QuietLook {
    revision: u64,
    next_look_seconds: u32,
    relation: Relation,
    access: Option<VisibilitySource>,
    changes_at: Timestamp,
}

impl QuietLook {
    /// Returns `None` while a poll is open, because its votes change.
    pub(super) fn of(request: &PollRequest<'_>, read: &PollsRead, now: Timestamp) -> Option<Self> {
        if read.poll_list.open().is_some() {
            return None;
        }
        let (relation, access) = rights(request, &read.session);
        Some(Self {
            revision: read.poll_list.revision,
            next_look_seconds: next_look::for_polls(&read.session, false, now),
            relation,
            access,
            changes_at: changes_at(&read.session, now),
        })
    }
}

/// Remembers a response with its entity tag.
pub(super) fn remember(
    context: &PollContext<'_>,
    request: &PollRequest<'_>,
    quiet: QuietLook,
    tag: String,
) {
    let QuietLook { revision, next_look_seconds, relation, access, changes_at } = quiet;
    let now = context.now;
    context.looks.remember(
        request,
        Shown {
            tag,
            revision,
            next_look_seconds,
            relation,
            access,
            changes_at,
            shown_at: now,
            read_at: [now; 3],
        },
    );
}

/// Returns the entity tag that the caller has, if a cheap look finds that the response is unchanged.
pub(super) async fn unchanged(
    context: &PollContext<'_>,
    request: &PollRequest<'_>,
    has_tag: impl Fn(&str) -> bool,
) -> Result<Option<String>, Error> {
    let (id, caller, now) = (request.session, request.caller, context.now);
    let Some(mut shown) = context.looks.recall(request).filter(|shown| has_tag(&shown.tag)) else {
        return Ok(None);
    };
    let due = shown.due();
    if !shown.trusts_rest(due, now) {
        return Ok(None);
    }
    let access = shown.access.clone();
    let key = |part| match part {
        Part::Polls => Some(ItemKey::Polls(id)),
        Part::Session => Some(ItemKey::Session(id)),
        Part::Access => access.as_ref().map(|access| access.key(id, caller)),
    };
    let keys: Vec<_> = due.into_iter().filter_map(key).collect();
    let mut found = context.store.batch_get_eventually_consistent(&keys).await?;
    for part in due {
        let is_same = match part {
            Part::Polls => {
                let list = found.poll_list(id)?;
                list.revision == shown.revision && list.open().is_none()
            }
            Part::Session => match found.session(id)? {
                None => false,
                Some(record) => is_session_same(request, &record.session, &mut shown, now),
            },
            Part::Access => match &access {
                None => true,
                Some(access) => access.is_granted(&mut found, id, caller)?,
            },
        };
        if !is_same {
            return Ok(None);
        }
        shown.read_at[part as usize] = now;
    }
    let tag = shown.tag.clone();
    context.looks.remember(request, shown);
    Ok(Some(tag))
}

fn is_session_same(
    request: &PollRequest<'_>,
    session: &Session,
    shown: &mut Shown,
    now: Timestamp,
) -> bool {
    shown.changes_at = changes_at(session, now);
    next_look::for_polls(session, false, now) == shown.next_look_seconds
        && rights(request, session) == (shown.relation, shown.access.clone())
}

/// Returns the caller's relation to the session, and the item that proves an invitation if the relation is none.
fn rights(request: &PollRequest<'_>, session: &Session) -> (Relation, Option<VisibilitySource>) {
    let relation = session.relation_to(request.caller);
    let needs_item = request.depends_on_invitation(session);
    let access =
        needs_item.then(|| VisibilitySource::new(request.caller, &session.audience)).flatten();
    (relation, access)
}

/// Returns the next time at which the session begins or ends by the clock alone.
fn changes_at(session: &Session, now: Timestamp) -> Timestamp {
    let times = [session.window_opens_at(), session.details.starts_at, session.window_closes_at()];
    times.into_iter().filter(|time| *time > now).min().unwrap_or(Timestamp::MAX)
}
