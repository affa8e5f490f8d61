//! Resends the invitation to a session, to all recipients or to named ones.
//!
//! Stores one domain event together with the resend times that limit the rate, and with the request, by which a
//! repetition is recognized. The fan-out determines the recipients,
//! as for every domain event. Only the named recipients are checked here, so that the response can report unknown
//! names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::delegated_actions;
use super::error::Error;
use super::recipients::{
    AddressBook, audience_recipients, plain_recipient, recipients_with_access,
};
use crate::domain::audience::{Audience, Invitee};
use crate::domain::caller::Caller;
use crate::domain::domain_event::{
    AudienceRef, DomainEvent, DomainEventKind, EventNonce, ResendTo,
};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::mailing::AddressDigest;
use crate::domain::mailing::recipients::Recipients;
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::resend::{self, ResendCounts, ResendRequest};
use crate::domain::rights::Operation;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::time::whole_milli;
use crate::queue::SqsQueue;
use crate::random::Random;
use crate::store::delegated_actions::RESENT;
use crate::store::error::CommitError;
use crate::store::schema::ItemKey;
use crate::store::{Store, due_work, resends};

/// The number of attempts when concurrent requests resend the same invitation.
const MAX_ATTEMPTS: u32 = 4;
const RETRY_WAIT_MS: u64 = 50;

/// The services that a resend uses.
#[derive(Debug)]
pub struct ResendContext<'a> {
    pub store: &'a Store,
    pub queue: &'a SqsQueue,
    pub random: &'a Random,
    pub now: Timestamp,
}

/// Resends the invitation and returns the numbers of mails. `named` has user ids and addresses, and `None` means all
/// recipients. A repeated request returns the numbers of the first one and sends nothing.
pub async fn resend(
    context: &ResendContext<'_>,
    caller: &Caller,
    id: &SessionId,
    key: Option<&str>,
    named: Option<&[String]>,
) -> Result<ResendCounts, Error> {
    for _ in 0..MAX_ATTEMPTS {
        let keys = [ItemKey::Session(id), ItemKey::Settings, ItemKey::Resends(id)];
        let mut found = context.store.batch_get(&keys).await?;
        let session = found.session(id)?.ok_or(Refusal::NotFound)?.session;
        session.check_right(Operation::ResendInvite, caller)?;
        found.settings()?.check_enabled(&session.trainer)?;
        let stored = found.resends(id)?;
        let now = whole_milli(context.now);
        let previous = stored.clone().unwrap_or_default();
        let request = ResendRequest::new(key, named, session.version);
        if let Some(counts) = request.repeats(&previous.requests, now)? {
            return Ok(counts);
        }
        resend::ensure_resendable(&session, context.now)?;
        let to = match named {
            Some(named) => named_recipients(context.store, &session, named).await?,
            None => ResendTo::All,
        };
        let counts = count_mails(context.store, &session, &to).await?;
        if counts.queued == 0 {
            return Ok(counts);
        }
        let times = resend::apply_hourly_limit(&previous.times, now)?;
        let next = previous.next(times, request.record(&previous.requests, counts, now), now);
        let event = DomainEvent {
            at: now,
            kind: DomainEventKind::Resend {
                session: id.clone(),
                version: session.version,
                sequence: session.ics_sequence,
                nonce: EventNonce(next.revision),
                to,
            },
        };
        let mut actions =
            vec![resends::put(id, &next, stored.as_ref(), now), due_work::put_domain_event(&event)];
        actions.extend(delegated_actions::record(context.random, caller, &session, RESENT, now));
        match context.store.commit(actions).await {
            Ok(()) => {
                let ResendCounts { queued, suppressed } = counts;
                tracing::info!(event = "session.resent", session_id = %id, queued, suppressed);
                context.queue.send_wake_up(due_work::domain_event_key(&event)).await;
                return Ok(counts);
            }
            Err(CommitError::Refused(_)) => {
                let wait = RETRY_WAIT_MS + context.random.below(RETRY_WAIT_MS);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("other requests are resending the invitation"))
}

/// Returns the number of mails that the fan-out will queue: one per address, except where everyone turned mails off. Of named
/// recipients, those with a suppressed address are counted apart. Among all recipients, the outbox skips them.
async fn count_mails(
    store: &Store,
    session: &Session,
    to: &ResendTo,
) -> Result<ResendCounts, Error> {
    let recipients = match (to, &session.audience) {
        (ResendTo::Named { users, .. }, Audience::Course { id, .. }) => {
            recipients_with_access(store.enrollments_of_users(id, users).await?)
        }
        (ResendTo::Named { emails, .. }, _) => {
            let invitees = emails.iter().map(|email| Invitee { email: email.clone(), name: None });
            invitees.map(plain_recipient).collect()
        }
        (ResendTo::All, audience) => {
            audience_recipients(store, &session.id, &AudienceRef::from_audience(audience)).await?
        }
    };
    let book = AddressBook::load(store, recipients.iter()).await?;
    let resolved = recipients.into_values().flat_map(|one| book.resolve(one).into_values());
    let resolved: Recipients = resolved.filter(|recipient| recipient.email.is_some()).collect();
    let users: Vec<_> = resolved.iter().flat_map(|recipient| recipient.users.clone()).collect();
    let preferences =
        if users.is_empty() { Default::default() } else { store.preferences(&users).await? };
    let wants_mail =
        |user: &UserId| preferences.get(user).copied().unwrap_or_default().live_session.email;
    let reached = resolved
        .iter()
        .filter(|recipient| recipient.users.is_empty() || recipient.users.iter().any(wants_mail));
    let reached = reached.filter_map(|recipient| recipient.email.as_ref());
    let reached: Vec<_> = reached.map(AddressDigest::new).collect();
    let suppressed = match to {
        ResendTo::Named { .. } => store.suppressed_addresses(&reached).await?.len(),
        ResendTo::All => 0,
    };
    Ok(ResendCounts { queued: reached.len() - suppressed, suppressed })
}

/// Returns the named recipients without duplicates. Refuses people who are not invited, by their index in the list.
async fn named_recipients(
    store: &Store,
    session: &Session,
    named: &[String],
) -> Result<ResendTo, Error> {
    let invited = match &session.audience {
        Audience::Standalone => InvitedByName::default(),
        Audience::Course { id, .. } => students(store, id, named).await?,
        Audience::Invitees { list, .. } => {
            let listed = store.invitees(&session.id, *list).await?.into_iter();
            invitees(listed.map(|invitee| invitee.email))
        }
    };
    let (mut users, mut emails, mut errors) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (n, name) in named.iter().enumerate() {
        match invited.find(name) {
            Some(RecipientId::User(user)) => drop(users.insert(user.clone())),
            Some(RecipientId::Email(email)) => drop(emails.insert(email.clone())),
            None => {
                errors.push(FieldError::new(format!("recipients[{n}]"), "is not invited"));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors).into());
    }
    Ok(ResendTo::Named { users: users.into_iter().collect(), emails: emails.into_iter().collect() })
}

enum RecipientId {
    User(UserId),
    Email(Email),
}

/// The invited people by user id and by address.
#[derive(Default)]
struct InvitedByName {
    ids: BTreeMap<UserId, RecipientId>,
    emails: BTreeMap<Email, RecipientId>,
}

impl InvitedByName {
    fn find(&self, name: &str) -> Option<&RecipientId> {
        let by_id = UserId::parse(name).ok().and_then(|id| self.ids.get(&id));
        by_id.or_else(|| self.emails.get(&Email::parse(name).ok()?))
    }
}

fn user_ids(named: &[String]) -> Vec<UserId> {
    named.iter().filter_map(|name| UserId::parse(name).ok()).collect()
}

/// Returns the students with access among `named`. An address is searched for among the enrollments of the course, which the
/// trainer sees. The address that the directory has for a user may be another one, and is not disclosed to the trainer.
async fn students(
    store: &Store,
    course: &CourseId,
    named: &[String],
) -> Result<InvitedByName, Error> {
    let mut invited = InvitedByName::default();
    let with_id = store.enrollments_of_users(course, &user_ids(named)).await?;
    for student in with_id.into_iter().filter(|student| student.access_granted) {
        invited.ids.insert(student.user.clone(), RecipientId::User(student.user));
    }
    if named.iter().any(|name| invited.find(name).is_none() && Email::parse(name).is_ok()) {
        let all = store.students(course).await?.into_iter();
        for student in all.filter(|student| student.access_granted) {
            let email = student.email;
            invited.emails.extend(email.map(|email| (email, RecipientId::User(student.user))));
        }
    }
    Ok(invited)
}

/// Returns the invitees by address. A user id is never found: whether it is would tell the trainer to whom an address
/// belongs. The trainer has invited an address, and the platform has not disclosed its user.
fn invitees(emails: impl Iterator<Item = Email>) -> InvitedByName {
    let emails = emails.map(|email| (email.clone(), RecipientId::Email(email)));
    InvitedByName { ids: BTreeMap::new(), emails: emails.collect() }
}
