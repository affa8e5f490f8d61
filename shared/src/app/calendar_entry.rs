//! The calendar entry of one session for a person who asks for it: the entry that a mail to them would have now.
//!
//! An entry and its mails share the sequence of the address (`domain::mailing::calendar_entry`). It exceeds the session's
//! own only after a mail has removed an entry of the session, so only then are the delivery records read.

use super::error::Error;
use crate::domain::audience::Audience;
use crate::domain::caller::Caller;
use crate::domain::directory::{Enrollment, User};
use crate::domain::id::SessionId;
use crate::domain::mailing::{EntryDigest, MailSubject, RecipientRef};
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, Relation};
use crate::domain::session::{Session, Status};
use crate::domain::text::{Email, PersonName};
use crate::mail::{Attendee, Brand, Calendar, EntryContext, MailSession, calendar_entry};
use crate::store::Store;
use crate::store::mail_addresses::MailAddress;
use crate::store::schema::ItemKey;

/// A session with the recipient of its entry.
#[derive(Debug)]
pub struct SessionEntry {
    session: Session,
    /// `None` for a person who gets no mails about the session: one with the trainer's view, or a student without an
    /// address.
    attendee: Option<MailAddress>,
    sequence: u32,
}

impl SessionEntry {
    /// Renders the entry, which links to `link`. Equal data give equal bytes.
    pub fn to_calendar(&self, brand: &Brand, link: &str) -> Calendar {
        let Session { id, details, .. } = &self.session;
        let attendee = self.attendee.as_ref().map(|attendee| Attendee {
            email: &attendee.email,
            name: attendee.name.as_ref().map(PersonName::as_str),
        });
        let context = EntryContext {
            session: MailSession {
                id,
                title: details.title.as_str(),
                description: details.description.as_str(),
                starts_at: details.starts_at,
                duration_minutes: details.duration_minutes,
                zone: &details.zone,
                sequence: self.sequence,
                // The reason of a cancellation is only in its mails.
                reason: None,
                course_title: None,
                trainer_name: None,
            },
            is_cancelled: self.session.status == Status::Cancelled,
            attendee,
            link: Some(link),
            stamp: self.session.updated_at,
        };
        calendar_entry(&context, brand, None)
    }
}

/// Loads the entry of a session for everyone who may read the session, in two requests.
pub async fn load_session_entry(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
) -> Result<SessionEntry, Error> {
    let subject = MailSubject::Session(id.clone());
    let keys = [ItemKey::Session(id), ItemKey::User(&caller.id), ItemKey::MailCount(&subject)];
    let mut found = store.batch_get(&keys).await?;
    let session = found.session(id)?.ok_or(Refusal::NotFound)?.session;
    // An enrollment or an invitation has an address as well.
    let user = found.user(&caller.id).ok().flatten();
    let attendee = find_attendee(store, caller, &session, user.as_ref()).await?;
    let sequence = match &attendee {
        Some(attendee) if found.has_removal_mails(&subject) => {
            let states = store.recipient_states(id).await?;
            let recipient = RecipientRef::new(&subject, &attendee.email);
            let state = states.get(&recipient).cloned().unwrap_or_default();
            let is_cancelled = session.status == Status::Cancelled;
            let content = (!is_cancelled).then(|| EntryDigest::from_session(&session));
            state.next_entry(session.ics_sequence, content).sequence
        }
        _ => session.ics_sequence,
    };
    Ok(SessionEntry { session, attendee, sequence })
}

/// Returns the address of an invited caller, if there is one. Refuses a caller who may not read the session.
async fn find_attendee(
    store: &Store,
    caller: &Caller,
    session: &Session,
    user: Option<&User>,
) -> Result<Option<MailAddress>, Error> {
    let operation = Operation::ReadCalendarEntry;
    let checked = operation.check(caller, session.relation_to(caller));
    if checked.is_ok() || operation.check(caller, Relation::Invited).is_err() {
        return Ok(checked.map(|_| None)?);
    }
    let refused = checked.map(|_| None);
    match &session.audience {
        Audience::Standalone => Ok(refused?),
        Audience::Course { id, .. } => match store.enrollment(&caller.id, id).await? {
            Some(enrollment) if enrollment.access_granted => {
                Ok(address_of_student(enrollment, user))
            }
            _ => Ok(refused?),
        },
        Audience::Invitees { list, .. } => {
            let Some(email) = &caller.verified_email else { return Ok(refused?) };
            match store.invitee(&session.id, *list, email).await? {
                Some(invitee) => {
                    let name = invitee.name.or_else(|| name_at(user?, &invitee.email));
                    Ok(Some(MailAddress { email: invitee.email, name }))
                }
                None => Ok(refused?),
            }
        }
    }
}

/// Returns the address to which a student's mails go, and the name there.
fn address_of_student(enrollment: Enrollment, user: Option<&User>) -> Option<MailAddress> {
    let enrolled = enrollment.email.as_ref();
    let email = user.map_or(enrolled, |user| user.current_email(enrolled))?.clone();
    let is_enrolled_with = enrollment.emails().any(|enrolled| *enrolled == email);
    let name = match is_enrolled_with {
        true => Some(enrollment.name),
        false => user.map(|user| user.name.clone()),
    };
    Some(MailAddress { email, name })
}

/// Returns the name of a user who has or had this address.
fn name_at(user: &User, email: &Email) -> Option<PersonName> {
    let mut emails = user.email.iter().chain(&user.former_emails);
    emails.any(|known| known == email).then(|| user.name.clone())
}
