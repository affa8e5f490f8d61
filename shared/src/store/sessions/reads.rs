//! Reads of sessions, one by one and in lists.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::SessionRecord;
use super::stored::{decode_record, decode_session};
use crate::domain::draft::DURATION_MINUTES;
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::session::{Session, Status};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::{plus_minutes, sortable_text};
use crate::store::error::StoreError;
use crate::store::item::{decode, decode_readable};
use crate::store::schema::{
    Index, ItemKey, attr, course_partition, session_sort_key, trainer_partition,
};
use crate::store::tx::{Item, text};
use crate::store::{BatchItems, ItemPage, KeyRange, Store};

/// Items that a filtered list reads per request. Sparse matches then take few requests.
const FILTERED_PAGE: i32 = 200;
/// Requests per page of a filtered list. If they do not fill the page, it is returned short with a cursor.
const FILTERED_REQUESTS: usize = 10;

#[derive(Deserialize)]
struct MeetingPointer {
    session_id: SessionId,
}

/// A filter for session lists.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    pub status: Option<Status>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Whether a session that cannot be read is an error. Otherwise it is left out.
    pub is_strict: bool,
}

/// Sessions that were read by id.
#[derive(Debug, Default)]
pub struct SessionsById {
    pub found: HashMap<SessionId, Session>,
    /// Sessions that exist, but cannot be read.
    pub unreadable: HashSet<SessionId>,
}

/// The part of a session from which its enrollments are fanned out, which is read even if the rest is not readable.
#[derive(Clone, Debug, Deserialize)]
pub struct SessionVersion {
    pub id: SessionId,
    pub version: u64,
    pub created_at: Timestamp,
}

/// The position in a list by start at which a page ended. It contains no partition, so that a cursor cannot open another
/// user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    pub starts_at: Timestamp,
    pub id: SessionId,
}

impl SessionCursor {
    pub fn from_session(session: &Session) -> Self {
        Self { starts_at: session.details.starts_at, id: session.id.clone() }
    }
}

impl Store {
    pub async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.get(ItemKey::Session(id)).await?.map(decode_record).transpose()
    }

    /// Reads a session with an eventually consistent read, at half the price. If it is not found, the read is repeated with
    /// strong consistency.
    pub async fn session_eventually_consistent(
        &self,
        id: &SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        match self.get_eventually_consistent(ItemKey::Session(id)).await? {
            Some(item) => decode_record(item).map(Some),
            None => self.session(id).await,
        }
    }

    /// Returns the session of a Zoom meeting.
    pub async fn session_of_meeting(
        &self,
        meeting: MeetingId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let Some(pointer) = self.get(ItemKey::Meeting(meeting)).await? else { return Ok(None) };
        self.session(&decode::<MeetingPointer>(pointer)?.session_id).await
    }

    /// Returns the ids of the sessions to which meetings belong. Unknown meetings are missing.
    pub async fn owners_of_meetings(
        &self,
        meetings: &[MeetingId],
    ) -> Result<HashMap<MeetingId, SessionId>, StoreError> {
        let keys: Vec<_> = meetings.iter().map(|meeting| ItemKey::Meeting(*meeting)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut owners = HashMap::new();
        for meeting in meetings {
            if let Some(pointer) = found.take(ItemKey::Meeting(*meeting)) {
                owners.insert(*meeting, decode::<MeetingPointer>(pointer)?.session_id);
            }
        }
        Ok(owners)
    }

    /// Returns the sessions of meeting instances by uuid. Unknown instances are missing.
    pub async fn sessions_of_instances(
        &self,
        uuids: &[&str],
    ) -> Result<HashMap<String, SessionRecord>, StoreError> {
        let keys: Vec<_> = uuids.iter().map(|uuid| ItemKey::MeetingInstance(uuid)).collect();
        let mut pointers = self.batch_get(&keys).await?;
        let mut known = Vec::new();
        for uuid in uuids {
            if let Some(pointer) = pointers.take(ItemKey::MeetingInstance(uuid)) {
                let pointer = decode::<MeetingPointer>(pointer);
                known.extend(pointer.ok().map(|pointer| (*uuid, pointer.session_id)));
            }
        }
        let keys: Vec<_> = known.iter().map(|(_, session)| ItemKey::Session(session)).collect();
        let mut found =
            if keys.is_empty() { BatchItems::default() } else { self.batch_get(&keys).await? };
        let mut records = HashMap::new();
        for (_, id) in &known {
            if let Ok(Some(record)) = found.session(id) {
                records.insert(id.clone(), record);
            }
        }
        let of_instance =
            |(uuid, id): (&str, SessionId)| Some((uuid.to_owned(), records.get(&id)?.clone()));
        Ok(known.into_iter().filter_map(of_instance).collect())
    }

    pub async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut found = self.batch_get(&keys).await?;
        ids.iter().filter_map(|id| found.take(ItemKey::Session(id))).map(decode_session).collect()
    }

    /// Returns the sessions with these ids. A session that cannot be read does not affect the others.
    pub async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<SessionsById, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut batch = self.batch_get(&keys).await?;
        let mut sessions = SessionsById::default();
        for id in ids {
            match batch.take(ItemKey::Session(id)).map(decode_session) {
                Some(Ok(session)) => drop(sessions.found.insert(id.clone(), session)),
                Some(Err(_)) => drop(sessions.unreadable.insert(id.clone())),
                None => {}
            }
        }
        Ok(sessions)
    }

    /// Returns the starts of sessions with eventual consistency. An unreadable session is left out.
    pub async fn session_starts(
        &self,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, Timestamp>, StoreError> {
        let keys: Vec<_> = ids.iter().map(ItemKey::Session).collect();
        let mut found = self.batch_get_eventually_consistent(&keys).await?;
        let sessions = ids.iter().filter_map(|id| {
            let session = found.take(ItemKey::Session(id)).map(decode_session)?.ok()?;
            Some((id.clone(), session.details.starts_at))
        });
        Ok(sessions.collect())
    }

    /// Returns a page of a trainer's sessions by start, with the cursor of the next page.
    pub async fn sessions_of_trainer(
        &self,
        trainer: &UserId,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let range = list_range(Index::ByOwner, trainer_partition(trainer), filter, after);
        self.session_page(range, limit, filter.is_strict).await
    }

    /// Returns a page of a course's sessions by start, of one trainer or of all, with the cursor of the next page.
    pub async fn sessions_of_course(
        &self,
        course: &CourseId,
        trainer: Option<&UserId>,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let mut range = list_range(Index::ByAudience, course_partition(course), filter, after);
        range.filter.extend(trainer.map(|trainer| (attr::TRAINER_ID, text(trainer.as_str()))));
        self.session_page(range, limit, filter.is_strict).await
    }

    /// Returns the sessions of a range that fit into one request.
    pub(in crate::store) async fn sessions_in_range(
        &self,
        range: KeyRange,
    ) -> Result<Vec<Session>, StoreError> {
        let items = self.query(range).await?.items;
        Ok(items.into_iter().filter_map(|item| decode_session(item).ok()).collect())
    }

    /// Returns the live and upcoming sessions of a course. A session that cannot be read may be one of them.
    pub async fn upcoming_sessions(
        &self,
        course: &CourseId,
        now: Timestamp,
    ) -> Result<Vec<SessionVersion>, StoreError> {
        let mut items = self.query_all(live_or_upcoming_range(course, now)).await?;
        items.retain(|item| {
            decode_session(item.clone()).map_or(true, |session| session.is_upcoming_or_live(now))
        });
        Ok(decode_readable(items).collect())
    }

    /// Returns whether a course has sessions that start after `from`. Eventually consistent.
    pub async fn course_has_sessions(
        &self,
        course: &CourseId,
        from: Timestamp,
    ) -> Result<bool, StoreError> {
        let filter = SessionFilter { from: Some(from), ..SessionFilter::default() };
        let range = list_range(Index::ByAudience, course_partition(course), &filter, None);
        let page = self.query(KeyRange { limit: Some(1), ..range }).await?;
        Ok(!page.items.is_empty())
    }

    async fn session_page(
        &self,
        mut range: KeyRange,
        limit: usize,
        is_strict: bool,
    ) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
        let full_page = i32::try_from(limit).unwrap_or(i32::MAX);
        range.limit =
            Some(if range.filter.is_empty() { full_page } else { full_page.max(FILTERED_PAGE) });
        let mut sessions: Vec<Session> = Vec::new();
        for _ in 0..FILTERED_REQUESTS {
            let ItemPage { items, last_key: last } = self.query(range.clone()).await?;
            for item in items {
                if sessions.len() == limit {
                    return Ok((
                        sessions.clone(),
                        sessions.last().map(SessionCursor::from_session),
                    ));
                }
                match decode_session(item) {
                    Ok(session) => sessions.push(session),
                    Err(error) if is_strict => return Err(error),
                    Err(_) => {}
                }
            }
            match last {
                None => return Ok((sessions, None)),
                Some(last_key) if sessions.len() == limit => {
                    return Ok((sessions, cursor_from_key(&range, &last_key)));
                }
                Some(last_key) => range.after = Some(last_key),
            }
        }
        let next = range.after.as_ref().and_then(|last_key| cursor_from_key(&range, last_key));
        Ok((sessions, next))
    }
}

/// The range of a course's sessions that may not be over, given the longest duration and window.
fn live_or_upcoming_range(course: &CourseId, now: Timestamp) -> KeyRange {
    let from = live_or_upcoming_since(now);
    let filter = SessionFilter { from: Some(from), ..SessionFilter::default() };
    list_range(Index::ByAudience, course_partition(course), &filter, None)
}

/// Returns the earliest planned start of a session with a window that may be open at `now`.
pub fn live_or_upcoming_since(now: Timestamp) -> Timestamp {
    plus_minutes(now, -(DURATION_MINUTES.end() + JoinWindowSettings::LIMIT_MINUTES))
}

fn list_range(
    index: Index,
    pk: String,
    filter: &SessionFilter,
    after: Option<&SessionCursor>,
) -> KeyRange {
    // A bound instead of DynamoDB's start key, which is an error outside the range, as with the cursor of another `from`.
    // '!' sorts after the end of a key and before every continuation.
    let lower = after.map(|cursor| format!("{}!", session_sort_key(cursor.starts_at, &cursor.id)));
    KeyRange {
        index: Some(index),
        from: filter.from.map(sortable_text).max(lower),
        // '~' sorts after the '#' that follows the time, so that a start at exactly `to` is included.
        to: filter.to.map(|to| format!("{}~", sortable_text(to))),
        filter: filter
            .status
            .map(|status| (attr::STATUS, text(status.as_str())))
            .into_iter()
            .collect(),
        pk,
        ..KeyRange::default()
    }
}

/// Returns the cursor for the last key of a query.
fn cursor_from_key(range: &KeyRange, last_key: &Item) -> Option<SessionCursor> {
    let (_, sk) = range.key_attributes();
    let key = last_key.get(sk)?.as_s().ok()?;
    let (starts_at, id) = key.split_once('#')?;
    Some(SessionCursor { starts_at: starts_at.parse().ok()?, id: SessionId::parse(id)? })
}

impl BatchItems {
    pub(crate) fn session(&mut self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.take(ItemKey::Session(id)).map(decode_record).transpose()
    }
}
