//! Lists the join attempts of a day, session by session. For administrators.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::app::error::Error;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::store::Store;
use crate::store::join_attempts::JoinAttempt;
use crate::store::timeline::{TimelineCursor, TimelineRange};

/// Sessions whose attempts one request reads at most, so that it ends in time.
const SESSIONS_PER_PAGE: usize = 25;
/// Sessions that are read at a time.
const CONCURRENCY: usize = 8;

/// A UTC day.
#[derive(Clone, Debug)]
pub struct LogDay {
    /// As in `2026-11-21`.
    pub name: String,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A position in the list: a session, and the last attempt of it that was listed. Without an attempt, the session is
/// finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLogCursor {
    pub session: SessionId,
    pub before: Option<TimelineCursor>,
}

/// A join attempt with its session.
#[derive(Clone, Debug)]
pub struct SessionLogEntry {
    pub session: Session,
    pub attempt: JoinAttempt,
}

#[derive(Debug)]
pub struct SessionLog {
    pub entries: Vec<SessionLogEntry>,
    pub next: Option<SessionLogCursor>,
}

/// The attempts of one session, newest first. `None` hides the attempt of an erased person.
struct SessionAttempts {
    session: Session,
    attempts: Vec<(TimelineCursor, Option<JoinAttempt>)>,
}

/// Returns a page of the join attempts of a day, and the position of the next page.
pub async fn list(
    store: &Store,
    day: &LogDay,
    after: Option<&SessionLogCursor>,
    limit: usize,
) -> Result<SessionLog, Error> {
    let last = after.map(|after| &after.session);
    let listed = store.sessions_with_attempts(&day.name, last, SESSIONS_PER_PAGE).await?;
    let end = listed.last().filter(|_| listed.len() == SESSIONS_PER_PAGE).cloned();
    // The session in which the page before ended.
    let begun = after.filter(|after| after.before.is_some()).map(|after| after.session.clone());
    let ids: Vec<_> = begun.into_iter().chain(listed).collect();
    let mut sessions = store.sessions_by_id(&ids).await?.found;
    let mut reads = Vec::new();
    for id in &ids {
        if let Some(session) = sessions.remove(id) {
            let before = after.filter(|after| after.session == *id);
            let before = before.and_then(|after| after.before.as_ref());
            reads.push(read_attempts(store, day, session, before, limit));
        }
    }
    // Reads no further sessions once the page is full.
    let mut pages = stream::iter(reads).buffered(CONCURRENCY);
    let mut log = SessionLog { entries: Vec::new(), next: None };
    let mut finished: Option<SessionId> = None;
    while let Some(SessionAttempts { session, attempts }) = pages.try_next().await? {
        let room = limit - log.entries.len();
        if room == 0 {
            log.next = finished.map(|session| SessionLogCursor { session, before: None });
            return Ok(log);
        }
        let last = attempts.get(room - 1).map(|(cursor, _)| cursor.clone());
        let has_more = attempts.len() > room;
        let shown = attempts.into_iter().take(room).filter_map(|(_, attempt)| attempt);
        let id = session.id.clone();
        log.entries
            .extend(shown.map(|attempt| SessionLogEntry { session: session.clone(), attempt }));
        if has_more {
            log.next = Some(SessionLogCursor { session: id, before: last });
            return Ok(log);
        }
        finished = Some(id);
    }
    log.next = end.map(|session| SessionLogCursor { session, before: None });
    Ok(log)
}

/// Reads the attempts of a session on a day. One extra attempt shows whether there are more than `limit`.
async fn read_attempts(
    store: &Store,
    day: &LogDay,
    session: Session,
    before: Option<&TimelineCursor>,
    limit: usize,
) -> Result<SessionAttempts, Error> {
    let range = TimelineRange { before, from: Some(day.from), to: Some(day.to), limit: limit + 1 };
    let markers = async {
        match session.meeting.id {
            Some(meeting) => store.erasure_markers(meeting).await,
            None => Ok(Vec::new()),
        }
    };
    let attempts = store.join_attempts_in(&session.id, range);
    let (attempts, markers) = futures::try_join!(attempts, markers)?;
    let shown = |attempt: JoinAttempt| Some(attempt).filter(|attempt| !attempt.is_of_any(&markers));
    let attempts = attempts.into_iter().map(|(cursor, attempt)| (cursor, shown(attempt)));
    let attempts = attempts.collect();
    Ok(SessionAttempts { session, attempts })
}
