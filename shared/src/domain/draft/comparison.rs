//! The comparison of a draft with the stored session.

use jiff::Timestamp;

use super::{Draft, Venue};
use crate::domain::audience::{Audience, AudienceDraft, Invitee};
use crate::domain::pending_meeting::MeetingTime;
use crate::domain::session::{Provider, Session};

/// A stored session with the values that are stored beside it.
#[derive(Clone, Copy, Debug)]
pub struct StoredValues<'a> {
    pub session: &'a Session,
    pub invitees: &'a [Invitee],
    /// The link of a session with provider `manual`.
    pub join_url: Option<&'a str>,
}

impl Draft {
    /// Returns whether the draft has the values of the stored session, so that saving it changes nothing. The course's title
    /// and somebody's own change at Zoom are not values of a draft.
    pub fn is_stored_as(&self, stored: &StoredValues<'_>) -> bool {
        let StoredValues { session, invitees, join_url } = *stored;
        let has_venue = match &self.venue {
            Venue::Zoom => session.provider == Provider::Zoom,
            Venue::Manual { join_url: link } => {
                session.provider == Provider::Manual && join_url == Some(link.as_str())
            }
        };
        let has_audience = match (&self.audience, &session.audience) {
            (AudienceDraft::Standalone, Audience::Standalone) => true,
            (AudienceDraft::Course(drafted), Audience::Course { id, .. }) => drafted == id,
            (AudienceDraft::Invitees(drafted), Audience::Invitees { .. }) => drafted == invitees,
            _ => false,
        };
        self.details == session.details && has_venue && has_audience
    }

    /// Returns whether the draft brings the meeting of the session forward, or tries again after it was given up.
    pub fn hastens_meeting(&self, session: &Session, now: Timestamp) -> bool {
        let pending = session.meeting.pending.as_ref();
        self.meeting_time == Some(MeetingTime::Now)
            && pending.is_some_and(|pending| pending.failure.is_some() || pending.due_at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pending_meeting::PendingMeeting;
    use crate::domain::session::{Meeting, Status, testing};
    use crate::domain::text::{Email, Title};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn draft() -> Draft {
        let session = testing::session(at(1_000), Status::Scheduled);
        Draft {
            details: session.details.clone(),
            audience: AudienceDraft::Course(session.audience.course().unwrap().clone()),
            venue: Venue::Zoom,
            allow_overlap: false,
            meeting_time: None,
            is_recorded_by_default: false,
        }
    }

    #[test]
    fn only_the_values_of_a_draft_are_compared() {
        let is_stored = |change: fn(&mut Draft), store: fn(&mut Session)| {
            let (mut draft, mut session) = (draft(), testing::session(at(1_000), Status::Ended));
            change(&mut draft);
            store(&mut session);
            let invitees = [invitee("a@example.test")];
            draft.is_stored_as(&StoredValues {
                session: &session,
                invitees: &invitees,
                join_url: Some("https://meet.example.test/a"),
            })
        };
        fn invitee(address: &str) -> Invitee {
            Invitee { email: Email::parse(address).unwrap(), name: None }
        }
        fn with_link(draft: &mut Draft, link: &str) {
            draft.venue = Venue::Manual { join_url: link.to_owned() };
        }
        fn invite(draft: &mut Draft, address: &str) {
            draft.audience = AudienceDraft::Invitees(vec![invitee(address)]);
        }
        fn store_list(session: &mut Session) {
            let list = crate::domain::audience::InviteeList(1);
            session.audience = Audience::Invitees { list, count: 1 };
        }
        assert!(is_stored(|_| {}, |_| {}));
        assert!(is_stored(
            |draft| draft.allow_overlap = true,
            |session| {
                session.drift = vec!["title".to_owned()];
                session.version = 9;
            }
        ));
        assert!(is_stored(|draft| invite(draft, "a@example.test"), store_list));
        assert!(is_stored(
            |draft| with_link(draft, "https://meet.example.test/a"),
            |session| session.provider = Provider::Manual
        ));
        assert!(!is_stored(|draft| draft.details.title = Title::parse("B").unwrap(), |_| {}));
        assert!(!is_stored(|_| {}, |session| session.details.duration_minutes = 61));
        assert!(!is_stored(|draft| draft.audience = AudienceDraft::Standalone, |_| {}));
        assert!(!is_stored(|draft| invite(draft, "b@example.test"), store_list));
        assert!(!is_stored(
            |draft| with_link(draft, "https://meet.example.test/b"),
            |session| session.provider = Provider::Manual
        ));
        assert!(!is_stored(|draft| with_link(draft, "https://meet.example.test/a"), |_| {}));
    }

    #[test]
    fn meeting_is_hastened_until_it_is_due_or_after_it_failed() {
        let cases = [
            (None, Some(MeetingTime::Now), false),
            (Some((100, None)), Some(MeetingTime::Now), true),
            (Some((100, None)), Some(MeetingTime::Later), false),
            (Some((100, None)), None, false),
            (Some((50, None)), Some(MeetingTime::Now), false),
            (Some((50, Some("zoom_rejected"))), Some(MeetingTime::Now), true),
        ];
        for (pending, meeting_time, expected) in cases {
            let mut session = testing::session(at(1_000), Status::Scheduled);
            if let Some((due_at, failure)) = pending {
                let failure: Option<&str> = failure;
                let failure = failure.map(str::to_owned);
                session.meeting = Meeting::pending(PendingMeeting {
                    due_at: at(due_at),
                    failure,
                    allows_overlap: false,
                });
            }
            let draft = Draft { meeting_time, ..draft() };
            assert_eq!(draft.hastens_meeting(&session, at(60)), expected, "{pending:?}");
        }
    }
}
