//! Whether a mail is still worth sending: asked at the last moment, of the class as it stands.

use jiff::Timestamp;

use super::{RecipientState, Mail, MailKind};
use crate::domain::session::{Session, Status};

/// Why a mail was dropped. The words stand in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// There is no such class.
    Gone,
    Cancelled,
    /// It has begun, or is over.
    Over,
    /// It no longer starts when the reminder says.
    Moved,
    NotInvited,
    /// They are invited again, and must not be told otherwise.
    InvitedAgain,
    /// What they were sent since, or their invitation that is still to come, shows all that it has to say.
    Superseded,
    /// They were never sent the invitation that it takes back.
    NeverInvited,
}

impl SkipReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "class_gone",
            Self::Cancelled => "class_cancelled",
            Self::Over => "class_over",
            Self::Moved => "class_moved",
            Self::NotInvited => "not_invited",
            Self::InvitedAgain => "invited_again",
            Self::Superseded => "superseded",
            Self::NeverInvited => "never_invited",
        }
    }
}

/// Whether it depends on what its recipient holds of the class. For the common mail it does not: the first that is sent
/// of a class that nobody changed since.
pub fn depends_on_recipient_state(mail: &Mail, session: &Session) -> bool {
    match mail.kind {
        MailKind::Updated | MailKind::Cancelled | MailKind::Removed => true,
        MailKind::Scheduled => {
            mail.to_newcomer || mail.version.is_some_and(|version| version < session.version)
        }
        _ => false,
    }
}

/// `invited` is whether the class now invites the recipient, and `holding` what they hold of it. A cancellation goes
/// whatever happened to the list since: whoever may hold the entry must be told.
pub fn is_still_relevant(
    mail: &Mail,
    session: Option<&Session>,
    invited: bool,
    holding: &RecipientState,
    now: Timestamp,
) -> Result<(), SkipReason> {
    if mail.kind == MailKind::ReauthRequired {
        return Ok(());
    }
    let session = session.ok_or(SkipReason::Gone)?;
    let cancelled = session.status == Status::Cancelled;
    let over = session.status == Status::Ended || session.ends_at() <= now;
    match mail.kind {
        // The cancellation, which goes to everybody who is on the list, says as much to whoever is not.
        MailKind::Removed if invited => Err(SkipReason::InvitedAgain),
        MailKind::Cancelled | MailKind::Removed if holding.was_never_sent_any() => {
            Err(SkipReason::NeverInvited)
        }
        MailKind::Cancelled | MailKind::Removed | MailKind::ReauthRequired => Ok(()),
        _ if cancelled => Err(SkipReason::Cancelled),
        MailKind::MeetingDeleted if over => Err(SkipReason::Over),
        MailKind::MeetingDeleted => Ok(()),
        MailKind::ReminderDayBefore | MailKind::ReminderHourBefore
            if mail.starts_at.is_some_and(|starts_at| starts_at != session.starts_at) =>
        {
            Err(SkipReason::Moved)
        }
        MailKind::ReminderDayBefore | MailKind::ReminderHourBefore
            if over || session.starts_at <= now =>
        {
            Err(SkipReason::Over)
        }
        _ if over => Err(SkipReason::Over),
        _ if !invited => Err(SkipReason::NotInvited),
        // That of which they never heard cannot have changed for them; their invitation will show it.
        MailKind::Updated if holding.awaits_invitation() => Err(SkipReason::Superseded),
        MailKind::Scheduled | MailKind::Updated
            if mail.version.is_some_and(|version| holding.shows(version)) =>
        {
            Err(SkipReason::Superseded)
        }
        MailKind::Scheduled
        | MailKind::Updated
        | MailKind::Resent
        | MailKind::ReminderDayBefore
        | MailKind::ReminderHourBefore => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::Audience;
    use crate::domain::id::{SessionId, UserId};
    use crate::domain::mailing::{MailSubject, MessageKey, PastDelivery, DeliveryStatus};
    use crate::domain::sealed::Sealed;
    use crate::domain::session::{Meeting, Provider, Source};
    use crate::domain::settings::MeetingSettings;
    use crate::domain::text::{Description, Email, Title};
    use crate::domain::time::{Zone, plus_minutes};

    fn session(starts_at: Timestamp, status: Status) -> Session {
        Session {
            id: SessionId::from_bytes([1; 16]),
            trainer: UserId::parse("t").unwrap(),
            title: Title::parse("Algebra").unwrap(),
            description: Description::parse("").unwrap(),
            audience: Audience::Standalone,
            starts_at,
            zone: Zone::utc(),
            duration_minutes: 60,
            provider: Provider::Manual,
            record_session: false,
            settings: MeetingSettings::default(),
            settings_told: Default::default(),
            status,
            source: Source::Manual,
            meeting: Meeting {
                account: None,
                id: None,
                join_url: Sealed::from_stored("x"),
                passcode: None,
                told: Default::default(),
            },
            ics_sequence: 0,
            version: 1,
            created_at: starts_at,
            updated_at: starts_at,
            zoom_told_at: starts_at,
            cancelled_at: None,
            actual_started_at: None,
            actual_ended_at: None,
            meeting_instances: Vec::new(),
            drift: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_still_so_is_told() {
        use MailKind::*;
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let at = |minutes| plus_minutes(now, minutes);
        let mail = |kind, starts_at| Mail {
            message_key: MessageKey::of("x", kind, &Email::parse("a@b.cd").unwrap()),
            kind,
            subject: MailSubject::Session(SessionId::from_bytes([1; 16])),
            to: Email::parse("a@b.cd").unwrap(),
            name: None,
            user: None,
            starts_at,
            reason: None,
            version: Some(2),
            to_newcomer: false,
            round: 0,
        };
        let holding = RecipientState::default();
        // What is asked about, when the class starts from now, its status, whether it invites them.
        let cases = [
            (Scheduled, 60, Status::Scheduled, true, Ok(())),
            (Scheduled, 60, Status::Scheduled, false, Err(SkipReason::NotInvited)),
            (Scheduled, 60, Status::Cancelled, true, Err(SkipReason::Cancelled)),
            (Scheduled, -30, Status::Live, true, Ok(())),
            (Scheduled, -60, Status::Scheduled, true, Err(SkipReason::Over)),
            (Updated, 60, Status::Scheduled, true, Ok(())),
            (Updated, -90, Status::Ended, true, Err(SkipReason::Over)),
            (Resent, 60, Status::Cancelled, true, Err(SkipReason::Cancelled)),
            (ReminderHourBefore, 60, Status::Scheduled, true, Ok(())),
            (ReminderHourBefore, 60, Status::Scheduled, false, Err(SkipReason::NotInvited)),
            (ReminderHourBefore, 0, Status::Scheduled, true, Err(SkipReason::Over)),
            (ReminderDayBefore, -30, Status::Live, true, Err(SkipReason::Over)),
            (ReminderDayBefore, 60, Status::Cancelled, true, Err(SkipReason::Cancelled)),
            (Cancelled, 60, Status::Cancelled, false, Ok(())),
            (Cancelled, -6000, Status::Cancelled, true, Ok(())),
            (Removed, 60, Status::Scheduled, false, Ok(())),
            (Removed, 60, Status::Scheduled, true, Err(SkipReason::InvitedAgain)),
            (Removed, 60, Status::Cancelled, false, Ok(())),
            (MeetingDeleted, 60, Status::Scheduled, false, Ok(())),
            (MeetingDeleted, 60, Status::Cancelled, false, Err(SkipReason::Cancelled)),
            (MeetingDeleted, -600, Status::Ended, false, Err(SkipReason::Over)),
        ];
        for (kind, minutes, status, invited, expected) in cases {
            let session = session(at(minutes), status);
            let asked = is_still_relevant(
                &mail(kind, Some(at(minutes))),
                Some(&session),
                invited,
                &holding,
                now,
            );
            assert_eq!(asked, expected, "{kind:?} {minutes} {status:?} {invited}");
        }
        let moved = session(at(120), Status::Scheduled);
        let reminder = mail(ReminderHourBefore, Some(at(60)));
        assert_eq!(is_still_relevant(&reminder, Some(&moved), true, &holding, now), Err(SkipReason::Moved));
        assert_eq!(
            is_still_relevant(&mail(Cancelled, None), None, true, &holding, now),
            Err(SkipReason::Gone)
        );
        // What tells of version 2, after what its recipient was sent before.
        let sent = |kind, shows| (kind, DeliveryStatus::Sent, Some(shows));
        let dropped = (Scheduled, DeliveryStatus::Dropped, None);
        let upcoming = session(at(60), Status::Scheduled);
        let cancelled = session(at(60), Status::Cancelled);
        for (kind, before, session, invited, expected) in [
            (Updated, sent(Scheduled, 1), &upcoming, true, Ok(())),
            (Updated, sent(Scheduled, 2), &upcoming, true, Err(SkipReason::Superseded)),
            (Updated, sent(Updated, 3), &upcoming, true, Err(SkipReason::Superseded)),
            (Scheduled, sent(Updated, 3), &upcoming, true, Err(SkipReason::Superseded)),
            (Scheduled, sent(Removed, 3), &upcoming, true, Ok(())),
            (Resent, sent(Updated, 3), &upcoming, true, Ok(())),
            (ReminderHourBefore, sent(Updated, 3), &upcoming, true, Ok(())),
            (Cancelled, sent(Updated, 3), &cancelled, true, Ok(())),
            (Cancelled, dropped, &cancelled, true, Err(SkipReason::NeverInvited)),
            (Removed, dropped, &upcoming, false, Err(SkipReason::NeverInvited)),
            (Updated, dropped, &upcoming, true, Ok(())),
        ] {
            let mut holding = RecipientState::default();
            let (of, state, shows) = before;
            let mail_before = PastDelivery { mail: "x", kind: of, state, shows, in_doubt: false };
            holding.follow(&mail_before);
            let asked =
                is_still_relevant(&mail(kind, Some(at(60))), Some(session), invited, &holding, now);
            assert_eq!(asked, expected, "{kind:?} after {before:?}");
        }
        assert_eq!(is_still_relevant(&mail(ReauthRequired, None), None, false, &holding, now), Ok(()));
    }
}
