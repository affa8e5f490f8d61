//! Sending the invitation to a class again, as the class now stands, to all or to some.
//!
//! What is stored is one announcement, with the count that limits it; who gets what is worked out when it is delivered,
//! as with every other. Only that those who were named are really invited is looked at here, so that a wrong name comes
//! back to whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::error::Error;
use crate::domain::audience::Audience;
use crate::domain::caller::Caller;
use crate::domain::domain_event::{DomainEvent, ResendTo, EventNonce, DomainEventKind};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::resend;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::time::whole_milli;
use crate::queue::SqsQueue;
use crate::random::Random;
use crate::store::error::CommitError;
use crate::store::schema::ItemKey;
use crate::store::{Store, outbox, resends};

/// Tries against others who resend at the same time.
const ROUNDS: u32 = 4;
const WAIT_MS: u64 = 50;

/// What resending works with.
#[derive(Debug)]
pub struct ResendContext<'a> {
    pub store: &'a Store,
    pub queue: &'a SqsQueue,
    pub random: &'a Random,
    pub now: Timestamp,
}

/// Sends the invitation again; answers to how many. `named` are user ids and addresses; none means everybody.
pub async fn resend(
    desk: &ResendContext<'_>,
    caller: &Caller,
    id: &SessionId,
    named: Option<&[String]>,
) -> Result<usize, Error> {
    for _ in 0..ROUNDS {
        let keys = [ItemKey::Session(id), ItemKey::Settings, ItemKey::Resends(id)];
        let mut found = desk.store.batch_get(&keys).await?;
        let session = found.session(id)?.ok_or(Refusal::NotFound)?.session;
        session.owned_by(caller)?;
        found.settings()?.enabled_for(&caller.id)?;
        resend::worth_it(&session, desk.now)?;
        let before = found.resends(id)?;
        let (to, queued) = match named {
            Some(named) => some(desk.store, &session, named).await?,
            None => (ResendTo::All, everybody(desk.store, &session).await?),
        };
        if queued == 0 {
            return Ok(0);
        }
        let now = whole_milli(desk.now);
        let read = before.clone().unwrap_or_default();
        let next = read.next(resend::admit(&read.times, now)?, now);
        let announcement = DomainEvent {
            at: now,
            kind: DomainEventKind::Resend {
                session: id.clone(),
                version: session.version,
                sequence: session.ics_sequence,
                turn: EventNonce(next.revision),
                to,
            },
        };
        let actions =
            vec![resends::put(id, &next, before.as_ref(), now), outbox::announce(&announcement)];
        match desk.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "session.resent", session_id = %id, queued);
                desk.queue.send_wake_up(outbox::address(&announcement)).await;
                return Ok(queued);
            }
            Err(CommitError::Refused(_)) => {
                let wait = WAIT_MS + desk.random.below(WAIT_MS);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the invitation is being sent again by others"))
}

async fn everybody(store: &Store, session: &Session) -> Result<usize, Error> {
    Ok(match &session.audience {
        Audience::Standalone => 0,
        Audience::Course { id, .. } => store.count_students(id).await?,
        Audience::Invitees { count, .. } => *count,
    })
}

/// Those whom `named` means, each once. Whoever the class does not invite is refused, by their place in the list.
async fn some(
    store: &Store,
    session: &Session,
    named: &[String],
) -> Result<(ResendTo, usize), Error> {
    let invited = match &session.audience {
        Audience::Standalone => Invited::default(),
        Audience::Course { id, .. } => students(store, id, named).await?,
        Audience::Invitees { list, .. } => {
            let emails = store.invitees(&session.id, *list).await?.into_iter();
            invitees(store, emails.map(|invitee| invitee.email).collect(), named).await?
        }
    };
    let (mut users, mut emails, mut errors) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (n, name) in named.iter().enumerate() {
        match invited.find(name) {
            Some(Recipient::User(user)) => drop(users.insert(user.clone())),
            Some(Recipient::Email(email)) => drop(emails.insert(email.clone())),
            None => {
                errors.push(FieldError::new(format!("recipients[{n}]"), "is not invited"));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors).into());
    }
    let queued = users.len() + emails.len();
    let named = ResendTo::Named {
        users: users.into_iter().collect(),
        emails: emails.into_iter().collect(),
    };
    Ok((named, queued))
}

enum Recipient {
    User(UserId),
    Email(Email),
}

/// Those whom a class invites, by what they may be named.
#[derive(Default)]
struct Invited {
    ids: BTreeMap<UserId, Recipient>,
    emails: BTreeMap<Email, Recipient>,
}

impl Invited {
    fn find(&self, name: &str) -> Option<&Recipient> {
        let by_id = UserId::parse(name).ok().and_then(|id| self.ids.get(&id));
        by_id.or_else(|| self.emails.get(&Email::parse(name).ok()?))
    }
}

fn user_ids(named: &[String]) -> Vec<UserId> {
    named.iter().filter_map(|name| UserId::parse(name).ok()).collect()
}

/// The students with access among `named`. Who is named by their address is looked for among all of them.
async fn students(store: &Store, course: &CourseId, named: &[String]) -> Result<Invited, Error> {
    let mut invited = Invited::default();
    let with_id = store.enrollments_in(course, &user_ids(named)).await?;
    for student in with_id.into_iter().filter(|student| student.access_granted) {
        invited.ids.insert(student.user.clone(), Recipient::User(student.user));
    }
    if named.iter().any(|name| invited.find(name).is_none() && Email::parse(name).is_ok()) {
        let all = store.students(course).await?.into_iter();
        for student in all.filter(|student| student.access_granted) {
            invited.emails.insert(student.email, Recipient::User(student.user));
        }
    }
    // Their own entry may have another address than their place in the course.
    let others = named.iter().filter(|name| invited.find(name).is_none());
    let others: Vec<_> = others.filter_map(|name| Email::parse(name).ok()).collect();
    if !others.is_empty() {
        let known = store.users_by_email(&others).await?;
        let users: Vec<_> = known.values().map(|known| known.user.clone()).collect();
        let places = store.enrollments_in(course, &users).await?.into_iter();
        let access: BTreeSet<_> =
            places.filter(|place| place.access_granted).map(|place| place.user).collect();
        for (email, known) in known.into_iter().filter(|(_, one)| access.contains(&one.user)) {
            invited.emails.insert(email, Recipient::User(known.user));
        }
    }
    Ok(invited)
}

/// The addresses of a list, which may also be named by the users who have them.
async fn invitees(store: &Store, emails: Vec<Email>, named: &[String]) -> Result<Invited, Error> {
    let mut invited = Invited::default();
    for email in &emails {
        invited.emails.insert(email.clone(), Recipient::Email(email.clone()));
    }
    let others: Vec<_> =
        named.iter().filter(|name| invited.find(name).is_none()).cloned().collect();
    for user in store.users(&user_ids(&others)).await?.into_values() {
        if invited.emails.contains_key(&user.email) {
            invited.ids.insert(user.id, Recipient::Email(user.email));
        }
    }
    Ok(invited)
}
