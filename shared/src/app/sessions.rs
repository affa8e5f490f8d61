//! The reads: a trainer's classes, one class as the caller may see it, a student's classes.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use futures::try_join;
use jiff::{SignedDuration, Timestamp};

use super::error::Error;
use crate::domain::audience::{Audience, Invitee};
use crate::domain::caller::{Caller, Role};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::store::Store;
use crate::store::mailing::MailCounts;
use crate::store::sessions::{SessionFilter, SessionCursor};

/// Courses of one student that are asked for at once.
const COURSES_AT_ONCE: usize = 16;
/// How far back a student's list goes unless asked: what is still on or just over is in it.
const BACK_HOURS: i64 = 12;

/// A class as the caller may see it.
#[derive(Debug)]
pub enum SessionView {
    Owner { session: Session, invitees: Vec<Invitee>, mails: Option<MailCounts> },
    Invited(Session),
}

/// One class, for its owner and for those it invites. To whom it is nothing, it does not exist.
pub async fn class_for(store: &Store, caller: &Caller, id: &SessionId) -> Result<Session, Error> {
    let session = store.session(id).await?.ok_or(Refusal::NotFound)?.session;
    if session.is_owned_by(caller) || is_invited(store, caller, &session).await? {
        Ok(session)
    } else {
        Err(Refusal::NotFound.into())
    }
}

/// The same, with what its owner sees of it.
pub async fn show(store: &Store, caller: &Caller, id: &SessionId) -> Result<SessionView, Error> {
    let session = class_for(store, caller, id).await?;
    if !session.is_owned_by(caller) {
        return Ok(SessionView::Invited(session));
    }
    let (invitees, mails) = try_join!(store.invitees_of(&session), store.mail_counts(id))?;
    Ok(SessionView::Owner { session, invitees, mails })
}

/// Whether the class is for the caller: by access to its course, or by an address that the platform verified.
pub async fn is_invited(store: &Store, caller: &Caller, session: &Session) -> Result<bool, Error> {
    Ok(match &session.audience {
        Audience::Standalone => false,
        Audience::Course { id, .. } => store
            .enrollment(&caller.id, id)
            .await?
            .is_some_and(|enrollment| enrollment.access_granted),
        Audience::Invitees { list, .. } => match &caller.verified_email {
            Some(email) => store.is_invited(&session.id, *list, email).await?,
            None => false,
        },
    })
}

/// What a list is narrowed to, and where it goes on.
#[derive(Debug, Default)]
pub struct ListRequest {
    pub narrow: SessionFilter,
    pub course: Option<CourseId>,
    pub after: Option<SessionCursor>,
    pub limit: usize,
}

/// A page, and where the next begins.
#[derive(Debug)]
pub struct SessionPage {
    pub sessions: Vec<Session>,
    pub next: Option<SessionCursor>,
}

/// A trainer's own classes, by start.
pub async fn list_own(
    store: &Store,
    trainer: &UserId,
    request: &ListRequest,
) -> Result<SessionPage, Error> {
    let after = request.after.as_ref();
    let (sessions, next) = match &request.course {
        Some(course) => {
            store
                .sessions_of_course(course, Some(trainer), &request.narrow, after, request.limit)
                .await?
        }
        None => store.sessions_of_trainer(trainer, &request.narrow, after, request.limit).await?,
    };
    Ok(SessionPage { sessions, next })
}

/// A student's classes, by start: those of the courses that they have access to, and those that invite their
/// verified address. Never standalone ones.
pub async fn list_invited(
    store: &Store,
    caller: &Caller,
    request: &ListRequest,
    now: Timestamp,
) -> Result<SessionPage, Error> {
    // A trainer may be enrolled in another's course; nobody else ever is.
    if !caller.is(Role::Student) && !caller.is(Role::Trainer) {
        return Err(Refusal::Forbidden.into());
    }
    let from = request.narrow.from.unwrap_or_else(|| {
        now.saturating_sub(SignedDuration::from_hours(BACK_HOURS)).unwrap_or(now)
    });
    // By time only: what else a trainer narrows their list by is not offered here.
    let narrow = SessionFilter { from: Some(from), to: request.narrow.to, status: None };
    let invitations = async {
        match &caller.verified_email {
            Some(email) => {
                store.invitations(email, from, narrow.to.unwrap_or(Timestamp::MAX)).await
            }
            None => Ok(Vec::new()),
        }
    };
    let (enrollments, invitations) = try_join!(store.enrollments(&caller.id), invitations)?;

    // One class more than the page holds tells whether there is another page.
    let wanted = request.limit + 1;
    let courses = enrollments.into_iter().filter(|enrollment| enrollment.access_granted);
    let of_courses = stream::iter(courses.map(|enrollment| enrollment.course))
        .map(|course| {
            let narrow = &narrow;
            async move {
                store
                    .sessions_of_course(&course, None, narrow, request.after.as_ref(), wanted)
                    .await
            }
        })
        .buffer_unordered(COURSES_AT_ONCE)
        .try_fold(Vec::new(), |mut all, (sessions, _)| async move {
            all.extend(sessions);
            Ok(all)
        });
    let by_address = async {
        if invitations.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = invitations.iter().map(|found| found.session.clone()).collect();
        store.sessions(&ids).await
    };
    let (of_courses, by_address) = try_join!(of_courses, by_address)?;

    // The index may still know an invitation that was withdrawn, or an earlier start: the class itself decides.
    let in_force = by_address.into_iter().filter(|session| {
        let listed = |list| invitations.iter().any(|i| i.session == session.id && i.list == list);
        let behind = request
            .after
            .as_ref()
            .is_none_or(|after| (session.starts_at, &session.id) > (after.starts_at, &after.id));
        session.audience.list().is_some_and(listed) && behind && session.starts_at >= from
    });
    let sorted: BTreeMap<_, _> = of_courses
        .into_iter()
        .chain(in_force)
        .map(|session| ((session.starts_at, session.id.clone()), session))
        .collect();
    let mut sessions: Vec<_> = sorted.into_values().take(wanted).collect();
    let more = sessions.len() == wanted;
    sessions.truncate(request.limit);
    let next = if more { sessions.last().map(SessionCursor::of) } else { None };
    Ok(SessionPage { sessions, next })
}
