//! Read access to sessions: a trainer's sessions, one session as the caller may see it, and a student's sessions.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use futures::try_join;
use jiff::{SignedDuration, Timestamp};

use super::error::Error;
use crate::domain::audience::{Audience, Invitee};
use crate::domain::caller::{Caller, Role};
use crate::domain::host_status::{HostStatus, WarningSources};
use crate::domain::id::{CourseId, ExternalRef, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, Relation, View};
use crate::domain::session::{Provider, Session};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::invitations::Invitation;
use crate::store::mailing::MailCounts;
use crate::store::sessions::{SessionCursor, SessionFilter, live_or_upcoming_since};

/// How many courses of a student are queried concurrently.
const COURSES_AT_ONCE: usize = 16;
/// How many trainers' warnings are read concurrently. The sessions of a course rarely have more than one trainer.
const TRAINERS_AT_ONCE: usize = 16;
/// How far back a student's list begins by default, so that it includes live sessions and those that ended recently.
const BACK_HOURS: i64 = 12;

/// A session as the caller may see it.
#[derive(Debug)]
pub enum SessionView {
    Owner(Box<OwnerDetails>),
    Invited(Box<Session>),
}

/// A session with the details that only its owner sees.
#[derive(Debug)]
pub struct OwnerDetails {
    pub session: Session,
    pub invitees: Vec<Invitee>,
    pub mails: Option<MailCounts>,
    pub warning_sources: WarningSources,
}

/// Loads a session with the caller's view of it.
pub async fn load_visible_session(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    operation: Operation,
) -> Result<(Session, View), Error> {
    let session = store.session(id).await?.ok_or(Refusal::NotFound)?.session;
    let view = check_with_invitation(store, caller, &session, operation).await?;
    Ok((session, view))
}

/// Checks the right to an operation that an invitation may allow. The invitation is read only if the answer depends on it.
pub async fn check_with_invitation(
    store: &Store,
    caller: &Caller,
    session: &Session,
    operation: Operation,
) -> Result<View, Error> {
    let checked = operation.check(caller, session.relation_to(caller));
    let invited = operation.check(caller, Relation::Invited);
    match checked {
        Err(_) if invited.is_ok() && is_invited(store, caller, session).await? => Ok(invited?),
        checked => Ok(checked?),
    }
}

/// Loads a session with the details that only its trainer sees, if the caller may see them.
pub async fn load_session_view(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    now: Timestamp,
) -> Result<SessionView, Error> {
    let (session, view) = load_visible_session(store, caller, id, Operation::ReadSession).await?;
    if view == View::Limited {
        return Ok(SessionView::Invited(Box::new(session)));
    }
    Ok(SessionView::Owner(Box::new(load_owner_details(store, session, now).await?)))
}

/// Loads the current session of a name with the details that its owner sees, for the host platform's service.
pub async fn load_named_session(
    store: &Store,
    name: &ExternalRef,
    now: Timestamp,
) -> Result<OwnerDetails, Error> {
    let named = store.named_session(name).await?.ok_or(Refusal::NotFound)?;
    load_owner_details(store, named.record.session, now).await
}

async fn load_owner_details(
    store: &Store,
    session: Session,
    now: Timestamp,
) -> Result<OwnerDetails, Error> {
    let warning_sources = async {
        match has_host(&session, now) {
            true => store.warning_sources(&session.trainer, [&session]).await,
            false => Ok(WarningSources::default()),
        }
    };
    let (invitees, mails, warning_sources) = try_join!(
        store.invitees_of_session(&session),
        store.mail_counts(&session.id),
        warning_sources
    )?;
    Ok(OwnerDetails { session, invitees, mails, warning_sources })
}

/// Returns whether the caller is invited: through access to the course, or through an address that the platform
/// verified.
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

/// The filter and the cursor of a list request.
#[derive(Debug, Default)]
pub struct ListRequest {
    pub filter: SessionFilter,
    pub course: Option<CourseId>,
    pub after: Option<SessionCursor>,
    pub limit: usize,
}

/// One page of sessions, with the cursor of the next page.
#[derive(Debug)]
pub struct SessionPage {
    pub sessions: Vec<Session>,
    pub next: Option<SessionCursor>,
}

/// The sessions of a list with the trainer's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListScope {
    Trainer(UserId),
    /// The sessions of a course, of one trainer or of all.
    Course(CourseId, Option<UserId>),
    /// The latest sessions of a name of the host platform.
    Name(ExternalRef),
}

impl ListScope {
    /// Returns the scope of a name, for the host platform's service and admins.
    pub fn named(
        caller: &Caller,
        name: ExternalRef,
        trainer: Option<UserId>,
        course: Option<CourseId>,
    ) -> Result<Self, Refusal> {
        let refuse = |reason: &str| Err(Refusal::field("external_ref", reason));
        if !caller.has_role(Role::Service) && !caller.has_role(Role::Admin) {
            return refuse("is reserved for the host platform's service and for admins");
        }
        if trainer.is_some() || course.is_some() {
            return refuse("cannot be combined with trainer_id or course_id");
        }
        Ok(Self::Name(name))
    }

    /// Returns the requested scope. Trainers list their own sessions. The host platform's service and admins list those
    /// of anybody, and name a trainer or a course.
    pub fn requested(
        caller: &Caller,
        trainer: Option<UserId>,
        course: Option<CourseId>,
    ) -> Result<Self, Refusal> {
        let lists_all = caller.has_role(Role::Service) || caller.has_role(Role::Admin);
        let own = caller.has_role(Role::Trainer).then(|| caller.id.clone());
        let trainer = match trainer {
            Some(trainer) if !lists_all && own.as_ref() != Some(&trainer) => {
                let reason = "is reserved for the host platform's service and for admins";
                return Err(Refusal::field("trainer_id", reason));
            }
            None if !lists_all || course.is_none() => own,
            trainer => trainer,
        };
        match (course, trainer) {
            (Some(course), trainer) => Ok(Self::Course(course, trainer)),
            (None, Some(trainer)) => Ok(Self::Trainer(trainer)),
            (None, None) => Err(Refusal::field(
                "trainer_id",
                "is required if there is no course_id or external_ref",
            )),
        }
    }
}

/// One page of sessions with the trainer's view.
#[derive(Debug)]
pub struct TrainerSessionPage {
    pub page: SessionPage,
    /// By trainer.
    pub warning_sources: BTreeMap<UserId, WarningSources>,
}

/// Returns whether a session's warnings depend on its host.
fn has_host(session: &Session, now: Timestamp) -> bool {
    session.provider == Provider::Zoom && session.is_upcoming_or_live(now)
}

/// Lists the sessions of a scope by start time.
pub async fn list_for_trainer(
    store: &Store,
    scope: &ListScope,
    request: &ListRequest,
    now: Timestamp,
) -> Result<TrainerSessionPage, Error> {
    let ListRequest { filter, after, limit, .. } = request;
    let (sessions, next) = match scope {
        ListScope::Trainer(trainer) => {
            store.sessions_of_trainer(trainer, filter, after.as_ref(), *limit).await?
        }
        ListScope::Course(course, trainer) => {
            store
                .sessions_of_course(course, trainer.as_ref(), filter, after.as_ref(), *limit)
                .await?
        }
        ListScope::Name(name) => page_of_name(store, name, request).await?,
    };
    let mut hosted: BTreeMap<UserId, Vec<Session>> = BTreeMap::new();
    for session in sessions.iter().filter(|session| has_host(session, now)) {
        hosted.entry(session.trainer.clone()).or_default().push(session.clone());
    }
    let warning_sources = stream::iter(hosted)
        .map(|(trainer, sessions)| async move {
            let sources = store.warning_sources(&trainer, &sessions).await?;
            Ok::<_, StoreError>((trainer, sources))
        })
        .buffer_unordered(TRAINERS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(TrainerSessionPage { page: SessionPage { sessions, next }, warning_sources })
}

/// The sessions of a name that are listed. Each one before the last was cancelled.
const LISTED_GENERATIONS: u32 = 100;

/// Returns a page of the latest sessions of a name, by start.
async fn page_of_name(
    store: &Store,
    name: &ExternalRef,
    request: &ListRequest,
) -> Result<(Vec<Session>, Option<SessionCursor>), StoreError> {
    let ListRequest { filter, after, limit, .. } = request;
    let mut sessions = store.sessions_of_name(name, LISTED_GENERATIONS).await?;
    sessions.retain(|session| {
        let starts_at = session.details.starts_at;
        filter.status.is_none_or(|status| session.status == status)
            && filter.from.is_none_or(|from| starts_at >= from)
            && filter.to.is_none_or(|to| starts_at <= to)
            && after
                .as_ref()
                .is_none_or(|after| (starts_at, &session.id) > (after.starts_at, &after.id))
    });
    sessions.sort_by(|a, b| (a.details.starts_at, &a.id).cmp(&(b.details.starts_at, &b.id)));
    let has_more = sessions.len() > *limit;
    sessions.truncate(*limit);
    let next = sessions.last().filter(|_| has_more).map(SessionCursor::from_session);
    Ok((sessions, next))
}

/// Sessions of a trainer per request.
const TRAINER_PAGE: usize = 100;

/// Returns a trainer's sessions that are not over or cancelled.
pub async fn upcoming_sessions(
    store: &Store,
    trainer: &UserId,
    now: Timestamp,
) -> Result<Vec<Session>, Error> {
    let from = live_or_upcoming_since(now);
    let filter = SessionFilter { from: Some(from), ..SessionFilter::default() };
    let mut upcoming = Vec::new();
    let mut after = None;
    loop {
        let (page, next) =
            store.sessions_of_trainer(trainer, &filter, after.as_ref(), TRAINER_PAGE).await?;
        upcoming.extend(page.into_iter().filter(|session| session.is_upcoming_or_live(now)));
        match next {
            Some(cursor) => after = Some(cursor),
            None => return Ok(upcoming),
        }
    }
}

/// A trainer's upcoming sessions that cannot be started with a host status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AffectedSessions {
    pub count: usize,
    /// When the last one is over.
    pub last_end: Option<Timestamp>,
}

/// Counts the trainer's upcoming sessions that cannot be started while the trainer has the given host status.
pub async fn affected_sessions(
    store: &Store,
    trainer: &UserId,
    host: &HostStatus,
    now: Timestamp,
) -> Result<AffectedSessions, Error> {
    let upcoming = upcoming_sessions(store, trainer, now).await?;
    let affected: Vec<_> =
        upcoming.iter().filter(|session| host.problem(session).is_some()).collect();
    Ok(AffectedSessions {
        count: affected.len(),
        last_end: affected.iter().map(|session| session.window_closes_at()).max(),
    })
}

/// Lists a student's sessions by start time: those of courses that they have access to, and those that invite their
/// verified address. Standalone sessions are never included.
pub async fn list_invited(
    store: &Store,
    caller: &Caller,
    request: &ListRequest,
    now: Timestamp,
) -> Result<SessionPage, Error> {
    let from = request.filter.from.unwrap_or_else(|| {
        now.saturating_sub(SignedDuration::from_hours(BACK_HOURS)).unwrap_or(now)
    });
    let filter =
        SessionFilter { from: Some(from), to: request.filter.to, ..SessionFilter::default() };
    let invitations = async {
        match &caller.verified_email {
            // A session with invitees has no course.
            Some(email) if request.course.is_none() => {
                store.readable_invitations(email, from, filter.to.unwrap_or(Timestamp::MAX)).await
            }
            _ => Ok(Vec::new()),
        }
    };
    let (enrollments, invitations) =
        try_join!(store.readable_enrollments(&caller.id), invitations)?;
    let courses = enrollments.into_iter().filter(|enrollment| {
        let is_requested = request.course.as_ref().is_none_or(|id| *id == enrollment.course);
        enrollment.access_granted && is_requested
    });
    let courses = courses.map(|enrollment| enrollment.course).collect();
    let (of_courses, by_address) = try_join!(
        sessions_of_courses(store, courses, &filter, request),
        sessions_by_address(store, &invitations)
    )?;
    let by_address = by_address.into_iter().filter(|session| {
        let after = request.after.as_ref();
        session.details.starts_at >= from
            && after.is_none_or(|after| {
                (session.details.starts_at, &session.id) > (after.starts_at, &after.id)
            })
    });
    let sorted: BTreeMap<_, _> = of_courses
        .into_iter()
        .chain(by_address)
        .map(|session| ((session.details.starts_at, session.id.clone()), session))
        .collect();
    let mut sessions: Vec<_> = sorted.into_values().take(request.limit + 1).collect();
    let more = sessions.len() > request.limit;
    sessions.truncate(request.limit);
    let next = if more { sessions.last().map(SessionCursor::from_session) } else { None };
    Ok(SessionPage { sessions, next })
}

/// Returns the first sessions of each course after the cursor. One extra session shows whether there is another page.
async fn sessions_of_courses(
    store: &Store,
    courses: Vec<CourseId>,
    filter: &SessionFilter,
    request: &ListRequest,
) -> Result<Vec<Session>, StoreError> {
    let (after, limit) = (request.after.as_ref(), request.limit + 1);
    stream::iter(courses)
        .map(|course| async move {
            store.sessions_of_course(&course, None, filter, after, limit).await
        })
        .buffer_unordered(COURSES_AT_ONCE)
        .try_fold(Vec::new(), |mut all, (sessions, _)| async move {
            all.extend(sessions);
            Ok(all)
        })
        .await
}

/// Returns the sessions that still have these invitations. The index is eventually consistent: it may still have a
/// withdrawn invitation or an earlier start.
async fn sessions_by_address(
    store: &Store,
    invitations: &[Invitation],
) -> Result<Vec<Session>, StoreError> {
    if invitations.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = invitations.iter().map(|found| found.session.clone()).collect();
    let sessions = store.sessions_by_id(&ids).await?.found.into_values();
    let is_invited = |session: &Session| {
        let is_on_list =
            |list| invitations.iter().any(|i| i.session == session.id && i.list == list);
        session.audience.invitee_list().is_some_and(is_on_list)
    };
    Ok(sessions.filter(is_invited).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_of_a_list_follows_the_roles() {
        use Role::{Admin, Service, Trainer};
        let user = |id: &str| UserId::parse(id).unwrap();
        let course = CourseId::parse("algebra").unwrap();
        let of = |trainer: &str| Some(ListScope::Trainer(user(trainer)));
        let of_course =
            |trainer: Option<&str>| Some(ListScope::Course(course.clone(), trainer.map(user)));
        for (roles, trainer, has_course, expected) in [
            (vec![Trainer], None, false, of("ada")),
            (vec![Trainer], Some("ada"), false, of("ada")),
            (vec![Trainer], None, true, of_course(Some("ada"))),
            (vec![Trainer], Some("bob"), false, None),
            (vec![Trainer], Some("bob"), true, None),
            (vec![Service], None, false, None),
            (vec![Service], Some("bob"), false, of("bob")),
            (vec![Service], Some("bob"), true, of_course(Some("bob"))),
            (vec![Admin], None, true, of_course(None)),
            (vec![Admin, Trainer], None, false, of("ada")),
            (vec![Admin, Trainer], Some("bob"), false, of("bob")),
            (vec![Admin, Trainer], None, true, of_course(None)),
        ] {
            let caller = Caller {
                id: user("ada"),
                roles: roles.iter().copied().collect(),
                verified_email: None,
                name: None,
            };
            let named = has_course.then(|| course.clone());
            let scope = ListScope::requested(&caller, trainer.map(&user), named);
            assert_eq!(scope.ok(), expected, "{roles:?} {trainer:?} {has_course}");
        }
    }
}
