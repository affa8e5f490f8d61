//! Forgetting a person.
//!
//! Found by what leads to it, since nothing is scanned: the courses they are or were in and the addresses that they are
//! known by lead to classes, and a class to its clicks, its polls, what Zoom said of its meeting, and its archive. So what
//! leads to the rest goes last, and an erasing that was cut off can be run again.
//!
//! Meanwhile the sweep may be putting a class into its archive, with what it read before. So nobody who is being erased has
//! access to a course any more from the start, and an invitation goes in one transaction with a new revision of the
//! archive, which whoever is writing it at that moment does not know.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use super::forget_email;
use crate::app::error::Error;
use crate::app::{Services, disconnect, join, poll, session_cancel};
use crate::domain::attendance::people::KnownBy;
use crate::domain::attendance::record;
use crate::domain::directory::{ERASED_NAME, Enrollment};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::{Email, PersonName};
use crate::domain::zoom_event::ParticipantEvent;
use crate::store::directory as items;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::store::sessions::{SessionFilter, SessionCursor};
use crate::store::tx::Action;
use crate::store::{attendance as rulings, invitations, preferences};

/// Classes that are gone through at once: each is two queries.
const CLASSES_AT_ONCE: usize = 16;
/// Tries of one class against the sweep, which may be archiving it, and does so once.
const ROUNDS: usize = 5;
/// Classes read in one request.
const PAGE: usize = 100;

/// Somebody to be forgotten.
struct Person {
    id: UserId,
    /// Every address that the platform knows them by.
    addresses: Vec<Email>,
    /// What Zoom's events name them by. Unknown where the Meeting SDK is not set up.
    customer_key: Option<String>,
}

/// What one class knows a person by: besides what they are known by today, what they were when they clicked. The key
/// changes with the Meeting SDK's secret, and an address as people move.
struct KnownIn {
    keys: BTreeSet<String>,
    addresses: BTreeSet<Email>,
    is_host: bool,
}

impl KnownIn {
    fn today(person: &Person, class: &Session) -> Self {
        Self {
            keys: person.customer_key.iter().cloned().collect(),
            addresses: person.addresses.iter().cloned().collect(),
            is_host: class.trainer == person.id,
        }
    }

    /// Also by these.
    fn by(&mut self, key: Option<String>, email: Option<Email>) {
        self.keys.extend(key);
        self.addresses.extend(email);
    }

    /// Whether it is them who came or went.
    fn is(&self, presence: &ParticipantEvent) -> bool {
        presence.customer_key.as_ref().is_some_and(|key| self.keys.contains(key))
            || presence.email.as_ref().is_some_and(|email| self.addresses.contains(email))
            || (presence.is_host && self.is_host)
    }
}

/// Forgets a person: what they were to teach is cancelled, and its students are told; then go their Zoom grant, their
/// clicks and what Zoom told of them in each class that they could be in, whose their votes were, their address wherever a
/// class invited it, what they were told and wanted to be told, their places in courses, and their entry.
pub(super) async fn erase(tools: &Services, id: &UserId) -> Result<(), Error> {
    let user = tools.store.user(id).await?;
    let enrollments = tools.store.enrollments(id).await?;
    let closed = enrollments.iter().map(|e| Enrollment { access_granted: false, ..e.clone() });
    tools.store.put_all(closed.map(|place| items::put_enrollment(&place)).collect()).await?;
    let mut addresses: Vec<Email> =
        enrollments.iter().map(|enrollment| enrollment.email.clone()).collect();
    if let Some(user) = &user {
        forget_email(tools, &user.email, id).await?;
        addresses.push(user.email.clone());
    }
    if let Some(email) = tools.store.address_with_preferences(id).await? {
        forget_email(tools, &email, id).await?;
        addresses.push(email);
    }
    addresses.sort();
    addresses.dedup();
    let now = tools.clock.now();
    // While the grant is there, so that their meetings can be deleted.
    let cancelled = session_cancel::cancel_upcoming(tools, id, now).await?;
    disconnect::disconnect(tools, id).await?;
    let customer_key = join::customer_key(&*tools.secrets.get(now).await?, id).ok();
    let person = Person { id: id.clone(), addresses, customer_key };
    let mut erasing =
        Erasing { tools, person: &person, now, done: BTreeSet::new(), sum: Sum::default() };
    erasing.invitations().await?;
    let classes = collect(tools, Of::Trainer(id)).await?;
    erasing.forget_in_all(classes, &BTreeMap::new()).await?;
    let left = tools.store.left_courses(id).await?;
    let keep = bearing_addresses(&enrollments, user.as_ref().map(|user| &user.email));
    let courses: BTreeSet<_> = enrollments.iter().map(|e| &e.course).chain(&left).collect();
    let (last, first): (Vec<_>, Vec<_>) =
        courses.into_iter().partition(|course| keep.contains(*course));
    // Course by course, each finished before the next is begun: a run that is cut off leaves less to the next.
    for course in first {
        erasing.course(course).await?;
        let gone = [items::delete_enrollment(course, id), items::delete_left(course, id)];
        tools.store.put_all(gone.into()).await?;
    }
    let mut gone = Vec::new();
    for course in last {
        erasing.course(course).await?;
        gone.extend([items::delete_enrollment(course, id), items::delete_left(course, id)]);
    }
    gone.push(preferences::delete(id));
    gone.push(items::delete_user(id));
    let notices = tools.store.erase_notices(id).await?;
    tools.store.erase_mailing(id).await?;
    tools.store.put_all(gone).await?;
    let (classes, Sum { invitations, traces, votes }) = (erasing.done.len(), erasing.sum);
    tracing::info!(
        event = "directory.user_erased",
        enrollments = enrollments.len(),
        invitations,
        notices,
        classes,
        cancelled,
        traces,
        votes
    );
    Ok(())
}

/// Of each address that stands in places in courses only, one course whose place has it. The address leads to what other
/// courses' classes know, so that place goes last.
fn bearing_addresses(enrollments: &[Enrollment], own: Option<&Email>) -> BTreeSet<CourseId> {
    let mut bearing: BTreeMap<&Email, &CourseId> = BTreeMap::new();
    for enrollment in enrollments.iter().filter(|enrollment| Some(&enrollment.email) != own) {
        bearing.insert(&enrollment.email, &enrollment.course);
    }
    bearing.into_values().cloned().collect()
}

/// An erasing under way.
struct Erasing<'a> {
    tools: &'a Services,
    person: &'a Person,
    now: Timestamp,
    /// Classes that this run is done with: more than one way may lead to one.
    done: BTreeSet<SessionId>,
    sum: Sum,
}

/// What was found of them.
#[derive(Clone, Copy, Default)]
struct Sum {
    invitations: usize,
    traces: usize,
    votes: usize,
}

impl Erasing<'_> {
    /// The classes that invited one of their addresses, and the invitations.
    async fn invitations(&mut self) -> Result<(), Error> {
        let Self { tools, person, .. } = *self;
        let mut invitations: BTreeMap<SessionId, Vec<Action>> = BTreeMap::new();
        for address in &person.addresses {
            let all = tools.store.invitations(address, Timestamp::MIN, Timestamp::MAX).await?;
            for invitation in all {
                let delete = invitations::delete(&invitation.session, invitation.list, address);
                invitations.entry(invitation.session).or_default().push(delete);
            }
        }
        let invited: Vec<_> = invitations.keys().cloned().collect();
        let classes = tools.store.sessions(&invited).await?;
        // Found by the same invitations, and therefore before them.
        self.sum.votes +=
            poll::forget(tools, &person.id, BTreeSet::new(), &person.addresses).await?;
        self.forget_in_all(classes, &invitations).await?;
        let mut left_over = 0;
        for address in &person.addresses {
            left_over += tools.store.erase_invitee(address).await?;
        }
        self.sum.invitations += invitations.values().map(Vec::len).sum::<usize>().max(left_over);
        Ok(())
    }

    async fn course(&mut self, course: &CourseId) -> Result<(), Error> {
        let Self { tools, person, .. } = *self;
        let classes = collect(tools, Of::Course(course)).await?;
        self.forget_in_all(classes, &BTreeMap::new()).await?;
        let course = BTreeSet::from([course.clone()]);
        self.sum.votes += poll::forget(tools, &person.id, course, &[]).await?;
        Ok(())
    }

    async fn forget_in_all(
        &mut self,
        mut classes: Vec<Session>,
        invitations: &BTreeMap<SessionId, Vec<Action>>,
    ) -> Result<(), Error> {
        let Self { tools, person, now, .. } = *self;
        classes.retain(|class| !self.done.contains(&class.id));
        let mut forgetting = Vec::with_capacity(classes.len());
        for class in &classes {
            let invitations = invitations.get(&class.id).map(Vec::as_slice).unwrap_or_default();
            forgetting.push(forget_in(tools, class, invitations, person, now));
        }
        let traces: Vec<usize> =
            stream::iter(forgetting).buffer_unordered(CLASSES_AT_ONCE).try_collect().await?;
        self.sum.traces += traces.into_iter().sum::<usize>();
        self.done.extend(classes.into_iter().map(|class| class.id));
        Ok(())
    }
}

/// Whether a class may have left clicks and events: until they have run out, after the last that was heard of it.
fn is_remembered(class: &Session, now: Timestamp) -> bool {
    let days = limit::EVENT_TTL_DAYS.max(limit::CLICK_TTL_DAYS) + limit::LATE_DELETION_DAYS;
    let since = now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    record::final_at(class) >= since
}

/// Whose classes.
#[derive(Clone, Copy)]
enum Of<'a> {
    Course(&'a CourseId),
    Trainer(&'a UserId),
}

async fn collect(tools: &Services, of: Of<'_>) -> Result<Vec<Session>, Error> {
    let mut classes = Vec::new();
    let narrow = SessionFilter::default();
    let mut after: Option<SessionCursor> = None;
    loop {
        let behind = after.as_ref();
        let (page, next) = match of {
            Of::Course(id) => {
                tools.store.sessions_of_course(id, None, &narrow, behind, PAGE).await?
            }
            Of::Trainer(id) => tools.store.sessions_of_trainer(id, &narrow, behind, PAGE).await?,
        };
        classes.extend(page);
        match next {
            Some(place) => after = Some(place),
            None => return Ok(classes),
        }
    }
}

/// Takes a person's traces out of one class, and at last their invitations, which lead to it; answers how many there
/// were. That somebody was there, and when, stays: it is part of what others were taught.
async fn forget_in(
    tools: &Services,
    class: &Session,
    invitations: &[Action],
    person: &Person,
    now: Timestamp,
) -> Result<usize, Error> {
    let store = &tools.store;
    let (id, addresses) = (&person.id, &person.addresses);
    let mut known = KnownIn::today(person, class);
    let mut traces = forget_decisions(tools, class, person).await?;
    if is_remembered(class, now) {
        let clicks = store.clicks_of(&class.id, id, addresses).await?;
        let (clicks, gone): (Vec<_>, Vec<_>) = clicks.into_iter().unzip();
        clicks.into_iter().for_each(|click| known.by(click.customer_key, click.email));
        if let Some(meeting) = class.meeting.id {
            let is_meant = |presence: &ParticipantEvent| known.is(presence);
            traces += store.disguise(meeting, ERASED_NAME, is_meant).await?;
        }
        // Last, because they lead to the events.
        traces += gone.len();
        store.put_all(gone).await?;
    }
    if !record::may_be_kept(class, now) {
        store.put_all(invitations.to_vec()).await?;
        return Ok(traces);
    }
    for _ in 0..ROUNDS {
        let archive = store.archive(&class.id).await?;
        archive.clicks_of(id, addresses).for_each(|(key, email)| known.by(key, email));
        let is_meant = |presence: &ParticipantEvent| known.is(presence);
        let forgotten = store.forget_in_archive(&class.id, &archive, id, addresses, is_meant).await;
        let done = match forgotten {
            Ok(0) => store.unless_archived(&class.id, &archive, invitations.to_vec()).await,
            Ok(more) => {
                traces += more;
                continue;
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => return Ok(traces),
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("others are writing a class's archive"))
}

/// Takes a person's name from what was decided of them by hand. The decision stays, as nobody's.
async fn forget_decisions(tools: &Services, class: &Session, person: &Person) -> Result<usize, Error> {
    let mut forgotten = 0;
    for kept in tools.store.rulings(&class.id).await? {
        let is_theirs = kept.whose.as_ref().is_some_and(|whose| {
            whose.user.as_ref() == Some(&person.id)
                || whose.email.as_ref().is_some_and(|email| person.addresses.contains(email))
        });
        if is_theirs {
            let nobody =
                KnownBy { name: PersonName::parse(ERASED_NAME).ok(), ..KnownBy::default() };
            // Whoever decides at this moment names them anew, so that the erasing has to be said again.
            tools.store.commit_one(rulings::about(&class.id, &kept, nobody)).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}
