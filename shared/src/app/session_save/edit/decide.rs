//! Decides the next state of an edited session.

use std::collections::BTreeSet;

use super::{Edit, EditInputs};
use crate::app::error::Error;
use crate::app::meeting::{self, ManualLink};
use crate::app::session_save::invitees::drafted_invitees;
use crate::app::session_save::resolve_audience;
use crate::crypt::Keyring;
use crate::domain::audience::{Audience, AudienceDraft, Invitee};
use crate::domain::directory::Course;
use crate::domain::draft::Venue;
use crate::domain::pending_meeting::PendingMeetingEdit;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Meeting, Session};
use crate::domain::text::Email;
use crate::domain::time::whole_milli;

/// The outcome of an edit.
pub(in crate::app::session_save) struct EditDecision {
    pub(in crate::app::session_save) next: Session,
    pub(in crate::app::session_save) invitees: Vec<Invitee>,
    /// Whether the invitee list is rewritten: it changed, or the start by which it is indexed changed.
    pub(in crate::app::session_save) rewrites_invitees: bool,
    pub(in crate::app::session_save) audience_changed: bool,
    /// Whether people who stay invited get an updated calendar entry.
    pub(in crate::app::session_save) calendar_changed: bool,
}

impl EditDecision {
    /// Whether the session itself changes. It does not if only the meeting has to be sent to Zoom again.
    pub(super) fn changes_session(&self, old: &Session) -> bool {
        self.next.version != old.version
    }
}

impl Edit<'_> {
    /// Decides the next state of the session. Returns `None` if nothing changes and Zoom is in sync.
    pub(super) fn decide(
        self,
        inputs: &EditInputs,
        keyring: &Keyring,
    ) -> Result<Option<EditDecision>, Error> {
        let (old, draft) = (&inputs.record.session, &self.request.draft);
        if draft.venue.provider() != old.provider {
            return Err(Refusal::field(
                "provider",
                "cannot be changed: cancel the class and schedule a new one",
            )
            .into());
        }
        let invitees = drafted_invitees(draft).to_vec();
        let invitees_changed = invitees != inputs.invitees;
        let start_changed = draft.details.starts_at != old.details.starts_at;
        let rewrites_invitees = !invitees.is_empty() && (invitees_changed || start_changed);
        let audience = self.next_audience(inputs, rewrites_invitees)?;
        let audience_changed = audience_differs(&old.audience, &audience, invitees_changed);
        let meeting = self.next_meeting(old, keyring)?;
        let mut next = self.next_session(old, audience, meeting);
        if next == *old {
            // A meeting that is not made yet gets the session's values when it is made.
            let lease = inputs.record.edit_lease.as_ref().filter(|_| old.meeting.pending.is_none());
            let must_resend = lease.is_some_and(|lease| lease.until <= self.now);
            return Ok(must_resend.then_some(EditDecision {
                next,
                invitees,
                rewrites_invitees: false,
                audience_changed: false,
                calendar_changed: false,
            }));
        }
        // A changed setting alone is no reason to change the session.
        next.window = self.request.window;
        next.version = old.version + 1;
        next.updated_at = whole_milli(self.now);
        let calendar_changed = old.calendar_differs(&next);
        // A withdrawn invitation needs a higher sequence than the invitation, and a renewed one a higher sequence than
        // the withdrawal. Some calendars ignore the second of two entries with an equal sequence.
        let invitations_change = match (&old.audience, &next.audience) {
            (Audience::Invitees { .. }, Audience::Invitees { .. }) => {
                addresses(&inputs.invitees) != addresses(&invitees)
            }
            _ => audience_changed,
        };
        if calendar_changed || invitations_change {
            next.ics_sequence = old.ics_sequence + 1;
        }
        Ok(Some(EditDecision {
            next,
            invitees,
            rewrites_invitees,
            audience_changed,
            calendar_changed,
        }))
    }

    fn next_audience(
        self,
        inputs: &EditInputs,
        rewrites_invitees: bool,
    ) -> Result<Audience, Refusal> {
        let Session { audience: old, trainer, .. } = &inputs.record.session;
        let draft = &self.request.draft.audience;
        let list = match old.invitee_list() {
            Some(list) if !rewrites_invitees => list,
            _ => self.services.new_invitee_list(),
        };
        let course = inputs.course.as_ref();
        resolve_audience(draft, course.cloned(), trainer, list)
            .map_err(|refusal| lost_course_refusal(old, draft, course).unwrap_or(refusal))
    }

    /// Returns the meeting with the link of the draft. A Zoom meeting stays.
    fn next_meeting(self, old: &Session, keyring: &Keyring) -> Result<Meeting, Error> {
        let Venue::Manual { join_url } = &self.request.draft.venue else {
            return Ok(self.next_zoom_meeting(old));
        };
        if meeting::join_data(old, keyring)?.join_url.is_some_and(|link| link.expose() == join_url)
        {
            return Ok(old.meeting.clone());
        }
        let link = ManualLink { join_url: join_url.clone() };
        Ok(meeting::seal(&link.meeting(), &old.id, keyring, &self.services.random))
    }

    /// Returns the Zoom meeting, which stays. One that is not made yet follows the start.
    fn next_zoom_meeting(self, old: &Session) -> Meeting {
        let draft = &self.request.draft;
        let edit = PendingMeetingEdit {
            old_start: old.details.starts_at,
            new_start: draft.details.starts_at,
            wanted: draft.meeting_time,
            lead: self.request.meeting_lead,
            allows_overlap: draft.allow_overlap,
        };
        let pending = old.meeting.pending.as_ref();
        Meeting {
            pending: pending.map(|it| it.after_edit(&edit, whole_milli(self.now))),
            ..old.meeting.clone()
        }
    }

    /// Returns the session with the fields of the draft, in its old version.
    fn next_session(self, old: &Session, audience: Audience, meeting: Meeting) -> Session {
        let details = &self.request.draft.details;
        let keeps_local_time =
            details.starts_at == old.details.starts_at && details.zone == old.details.zone;
        Session {
            details: details.clone(),
            audience,
            utc_offset: match keeps_local_time {
                true => old.utc_offset,
                false => details.zone.utc_offset(details.starts_at),
            },
            settings_sent: &old.settings_sent | &details.settings.names(),
            meeting,
            // Zoom gets all fields, which removes any drift.
            drift: Vec::new(),
            ..old.clone()
        }
    }
}

fn audience_differs(old: &Audience, next: &Audience, invitees_changed: bool) -> bool {
    match (old, next) {
        (Audience::Course { id: before, .. }, Audience::Course { id: after, .. }) => {
            before != after
        }
        (Audience::Invitees { .. }, Audience::Invitees { .. }) => invitees_changed,
        (before, after) => before.kind() != after.kind(),
    }
}

/// Returns the reason why a session cannot keep its course. The trainer knows the course, so there is nothing to hide.
fn lost_course_refusal(
    old: &Audience,
    draft: &AudienceDraft,
    course: Option<&Course>,
) -> Option<Refusal> {
    match (old, draft) {
        (Audience::Course { id, .. }, AudienceDraft::Course(kept)) if id == kept => {
            Some(Refusal::Conflict(match course {
                Some(_) => {
                    "the course belongs to another trainer now: choose another audience, or cancel the class"
                }
                None => "the course no longer exists: choose another audience, or cancel the class",
            }))
        }
        _ => None,
    }
}

fn addresses(invitees: &[Invitee]) -> BTreeSet<&Email> {
    invitees.iter().map(|invitee| &invitee.email).collect()
}
