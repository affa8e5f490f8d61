//! Decides immediately before sending whether a mail is still relevant.

use jiff::Timestamp;

use super::urgency::Urgency;
use super::{EntryDigest, Mail, MailKind, RecipientState};
use crate::domain::host_status::HostStatus;
use crate::domain::id::UserId;
use crate::domain::notification_kind::Relevance;
use crate::domain::session::{Session, Status};

/// The reason for dropping a mail, shown in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The session does not exist.
    Gone,
    Cancelled,
    /// The session has ended or, for a reminder, has started.
    Ended,
    /// The session no longer starts at the time in the reminder.
    Moved,
    NotInvited,
    /// The recipient of a removal is invited again.
    InvitedAgain,
    /// A mail that was sent before shows the same version or a later one.
    Superseded,
    /// The recipient's calendar entry is up to date, because the change was undone.
    Unchanged,
    /// The recipient was never sent an invitation.
    NeverInvited,
    /// The trainer has connected Zoom, as the mail asks.
    ZoomConnected,
    /// The session has got the meeting that was missing.
    MeetingMade,
    /// The recipient has turned mails off.
    MailsOff,
    /// Nothing has the recipient's address any more, because they were erased.
    NoAddress,
    /// A mail to the address bounced, or its recipient complained.
    Suppressed,
}

impl SkipReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "class_gone",
            Self::Cancelled => "class_cancelled",
            Self::Ended => "class_over",
            Self::Moved => "class_moved",
            Self::NotInvited => "not_invited",
            Self::InvitedAgain => "invited_again",
            Self::Superseded => "superseded",
            Self::Unchanged => "unchanged",
            Self::NeverInvited => "never_invited",
            Self::ZoomConnected => "zoom_connected",
            Self::MeetingMade => "meeting_made",
            Self::MailsOff => "mails_off",
            Self::NoAddress => "no_address",
            Self::Suppressed => "suppressed",
        }
    }
}

/// Whether the relevance of the mail or its calendar entry depends on the recipient state. It does not for the most
/// common case, the first invitation to a new session.
pub fn depends_on_recipient_state(mail: &Mail, session: &Session) -> bool {
    let is_first = mail.kind == MailKind::Scheduled
        && !mail.to_new_student
        && session.version == Session::FIRST_VERSION;
    mail.kind.calendar_method().is_some() && !is_first
}

/// Decides whether a mail that asks the trainer to connect Zoom is still relevant.
pub fn is_host_still_missing(
    mail: &Mail,
    session: Option<&Session>,
    host: &HostStatus,
) -> Result<(), SkipReason> {
    let is_solved = match session {
        Some(session) => host.problem(session).is_none(),
        // It is about the connection of this version.
        None => mail.version.is_some_and(|version| host.has_replaced(version)),
    };
    match mail.kind.spec().asks_to_connect && is_solved {
        true => Err(SkipReason::ZoomConnected),
        false => Ok(()),
    }
}

/// Decides whether a mail is still relevant. `invited` is whether the recipient is currently invited.
pub fn is_still_relevant(
    mail: &Mail,
    session: Option<&Session>,
    invited: bool,
    recipient_state: &RecipientState,
    now: Timestamp,
) -> Result<(), SkipReason> {
    let rule = mail.kind.spec().relevance;
    if rule == Relevance::TrainerAccount {
        return Ok(());
    }
    let session = session.ok_or(SkipReason::Gone)?;
    match rule {
        Relevance::Cancellation if recipient_state.was_never_invited() => {
            return Err(SkipReason::NeverInvited);
        }
        // The session invites the recipient again, so a removal would be wrong.
        Relevance::Removal if invited => return Err(SkipReason::InvitedAgain),
        Relevance::Removal if !recipient_state.may_know_session() => {
            return Err(SkipReason::NeverInvited);
        }
        Relevance::Cancellation | Relevance::Removal => return Ok(()),
        _ => {}
    }
    let is_over = session.status == Status::Ended || session.window_closes_at() <= now;
    let has_begun = rule == Relevance::BeforeStart && session.details.starts_at <= now;
    if session.status == Status::Cancelled {
        Err(SkipReason::Cancelled)
    } else if mail.starts_at.is_some_and(|starts_at| starts_at != session.details.starts_at) {
        Err(SkipReason::Moved)
    } else if is_over || has_begun {
        Err(SkipReason::Ended)
    } else if rule == Relevance::TrainerWithoutMeeting && session.meeting.pending.is_none() {
        Err(SkipReason::MeetingMade)
    } else if mail.kind.is_for_invited() && !invited {
        Err(SkipReason::NotInvited)
    } else if rule == Relevance::NewVersion {
        is_new_version(mail, session, recipient_state, now)
    } else {
        Ok(())
    }
}

/// Decides whether an invitation or a change shows the recipient something new.
fn is_new_version(
    mail: &Mail,
    session: &Session,
    recipient_state: &RecipientState,
    now: Timestamp,
) -> Result<(), SkipReason> {
    // The invitation, which is still to be sent, will show the change.
    let is_in_invitation = mail.kind == MailKind::Updated
        && recipient_state.awaits_invitation()
        && Urgency::of_start(session.details.starts_at, now) == Urgency::Bulk;
    let is_sent = mail.version.is_some_and(|version| recipient_state.has_version(version));
    if is_sent || is_in_invitation {
        Err(SkipReason::Superseded)
    } else if recipient_state.has_entry(&EntryDigest::from_session(session)) {
        Err(SkipReason::Unchanged)
    } else {
        Ok(())
    }
}

/// Returns the kind as which a relevant mail is sent. An urgent change that reaches the recipient before the invitation is
/// sent as the invitation, which waits in the other queue and is then superseded.
pub fn kind_to_send(mail: &Mail, recipient_state: &RecipientState) -> MailKind {
    match mail.kind {
        MailKind::Updated if recipient_state.awaits_invitation() => MailKind::Scheduled,
        kind => kind,
    }
}

/// Refuses a mail if all its users have turned mails off since it was queued. A mail that removes a calendar entry is sent
/// if the entry may exist.
pub fn respect_preferences(
    mail: &Mail,
    turned_mails_off: impl Fn(&UserId) -> bool,
    recipient_state: &RecipientState,
) -> Result<(), SkipReason> {
    // People who are not users of the platform have no preferences.
    let is_muted = mail.user.is_some() && mail.users().all(turned_mails_off);
    let withdraws_entry = mail.kind.is_withdrawal() && recipient_state.may_hold_entry();
    match is_muted && !withdraws_entry {
        true => Err(SkipReason::MailsOff),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::MailKind::*;
    use super::*;
    use crate::domain::audience::Audience;
    use crate::domain::id::SessionId;
    use crate::domain::mailing::{
        AddressDigest, DeliveryStatus, MailSubject, MessageKey, PastDelivery, RecipientRef,
        SentEntry,
    };
    use crate::domain::session::{Provider, testing};
    use crate::domain::text::Email;
    use crate::domain::time::plus_minutes;

    fn session(starts_at: Timestamp, status: Status) -> Session {
        Session {
            audience: Audience::Standalone,
            provider: Provider::Manual,
            ..testing::session(starts_at, status)
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T09:00:00Z".parse().unwrap()
    }

    fn in_minutes(minutes: i64) -> Timestamp {
        plus_minutes(now(), minutes)
    }

    /// A mail about version 2 of the session.
    fn mail(kind: MailKind, starts_at: Option<Timestamp>) -> Mail {
        let to = Email::parse("a@b.cd").unwrap();
        let subject = MailSubject::Session(SessionId::from_bytes([1; 16]));
        Mail {
            message_key: MessageKey::new("x", kind, &to),
            kind,
            to: AddressDigest::new(&to),
            recipient: RecipientRef::new(&subject, &to),
            subject,
            user: None,
            other_users: Vec::new(),
            starts_at,
            reason: None,
            version: Some(2),
            link_generation: None,
            to_new_student: false,
            address_changed: false,
            redrives: 0,
        }
    }

    fn delivery(
        short_key: &str,
        kind: MailKind,
        status: DeliveryStatus,
        sent_version: Option<u64>,
    ) -> PastDelivery<'_> {
        PastDelivery { short_key, kind, status, sent_version, entry: None, in_doubt: false }
    }

    #[test]
    fn relevance_depends_on_session_and_invitation() {
        // Kind, minutes until the start, session status, whether the recipient is invited.
        let cases = [
            (Scheduled, 60, Status::Scheduled, true, Ok(())),
            (Scheduled, 60, Status::Scheduled, false, Err(SkipReason::NotInvited)),
            (Scheduled, 60, Status::Cancelled, true, Err(SkipReason::Cancelled)),
            (Scheduled, -30, Status::Live, true, Ok(())),
            (Scheduled, -149, Status::Scheduled, true, Ok(())),
            (Scheduled, -150, Status::Scheduled, true, Err(SkipReason::Ended)),
            (Updated, -149, Status::Scheduled, true, Ok(())),
            (Resent, -149, Status::Scheduled, true, Ok(())),
            (Resent, -150, Status::Scheduled, true, Err(SkipReason::Ended)),
            (Updated, 60, Status::Scheduled, true, Ok(())),
            (Updated, -90, Status::Ended, true, Err(SkipReason::Ended)),
            (Resent, 60, Status::Cancelled, true, Err(SkipReason::Cancelled)),
            (ReminderHourBefore, 60, Status::Scheduled, true, Ok(())),
            (ReminderHourBefore, 60, Status::Scheduled, false, Err(SkipReason::NotInvited)),
            (ReminderHourBefore, 0, Status::Scheduled, true, Err(SkipReason::Ended)),
            (ReminderDayBefore, -30, Status::Live, true, Err(SkipReason::Ended)),
            (ReminderDayBefore, 60, Status::Cancelled, true, Err(SkipReason::Cancelled)),
            (Cancelled, 60, Status::Cancelled, false, Ok(())),
            (Cancelled, -6000, Status::Cancelled, true, Ok(())),
            (Removed, 60, Status::Scheduled, false, Err(SkipReason::NeverInvited)),
            (Removed, 60, Status::Scheduled, true, Err(SkipReason::InvitedAgain)),
            (Removed, 60, Status::Cancelled, false, Err(SkipReason::NeverInvited)),
            (HostNotConnected, 60, Status::Scheduled, false, Ok(())),
            (HostNotConnected, 60, Status::Cancelled, false, Err(SkipReason::Cancelled)),
            (HostNotConnected, -149, Status::Scheduled, false, Ok(())),
            (HostNotConnected, -150, Status::Scheduled, false, Err(SkipReason::Ended)),
            (MeetingDeleted, 60, Status::Scheduled, false, Ok(())),
            (MeetingDeleted, -149, Status::Scheduled, false, Ok(())),
            (MeetingDeleted, 60, Status::Cancelled, false, Err(SkipReason::Cancelled)),
            (MeetingDeleted, -600, Status::Ended, false, Err(SkipReason::Ended)),
            // The session of this test has a meeting.
            (MeetingMissing, 60, Status::Scheduled, false, Err(SkipReason::MeetingMade)),
        ];
        let state = RecipientState::default();
        for (kind, minutes, status, invited, expected) in cases {
            let session = session(in_minutes(minutes), status);
            let mail = mail(kind, Some(in_minutes(minutes)));
            let result = is_still_relevant(&mail, Some(&session), invited, &state, now());
            assert_eq!(result, expected, "{kind:?} {minutes} {status:?} {invited}");
        }
    }

    #[test]
    fn mail_about_another_start_or_no_session_is_dropped() {
        let state = RecipientState::default();
        let moved = session(in_minutes(120), Status::Scheduled);
        for kind in [ReminderDayBefore, ReminderHourBefore, HostNotConnected] {
            let mail = mail(kind, Some(in_minutes(60)));
            let result = is_still_relevant(&mail, Some(&moved), true, &state, now());
            assert_eq!(result, Err(SkipReason::Moved), "{kind:?}");
        }
        for kind in MailKind::ALL {
            let result = is_still_relevant(&mail(kind, None), None, true, &state, now());
            let expected = if kind == ReauthRequired { Ok(()) } else { Err(SkipReason::Gone) };
            assert_eq!(result, expected, "{kind:?}");
        }
    }

    #[test]
    fn relevance_depends_on_earlier_mails() {
        let sent = |kind, version| (kind, DeliveryStatus::Sent, Some(version));
        let dropped = (Scheduled, DeliveryStatus::Dropped, None);
        let upcoming = session(in_minutes(60), Status::Scheduled);
        let cancelled = session(in_minutes(60), Status::Cancelled);
        for (kind, earlier, session, invited, expected) in [
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
            (Removed, sent(Scheduled, 1), &upcoming, false, Ok(())),
            (Removed, sent(ReminderHourBefore, 1), &upcoming, false, Ok(())),
            (Removed, sent(Removed, 1), &upcoming, false, Err(SkipReason::NeverInvited)),
        ] {
            let mut state = RecipientState::default();
            let (earlier_kind, status, sent_version) = earlier;
            state.apply(&delivery("x", earlier_kind, status, sent_version));
            let mail = mail(kind, Some(in_minutes(60)));
            let result = is_still_relevant(&mail, Some(session), invited, &state, now());
            assert_eq!(result, expected, "{kind:?} after {earlier:?}");
        }
    }

    #[test]
    fn urgent_change_before_the_invitation_is_sent_as_the_invitation() {
        let upcoming = session(in_minutes(60), Status::Scheduled);
        let mut state = RecipientState::default();
        state.apply(&delivery("a", Scheduled, DeliveryStatus::Queued, None));
        state.apply(&delivery("b", Updated, DeliveryStatus::Queued, None));
        let relevance = |kind, state: &RecipientState| {
            let mail = mail(kind, None);
            let relevance = is_still_relevant(&mail, Some(&upcoming), true, state, now());
            relevance.map(|()| kind_to_send(&mail, state))
        };
        assert_eq!(relevance(Updated, &state), Ok(Scheduled));
        // If the session does not start soon, the invitation shows the change.
        let later = session(in_minutes(25 * 60), Status::Scheduled);
        assert_eq!(
            is_still_relevant(&mail(Updated, None), Some(&later), true, &state, now()),
            Err(SkipReason::Superseded)
        );
        state.apply(&delivery("b", Scheduled, DeliveryStatus::Sent, Some(2)));
        for kind in [Scheduled, Updated] {
            assert_eq!(relevance(kind, &state), Err(SkipReason::Superseded));
        }
    }

    #[test]
    fn recipient_with_the_current_entry_gets_no_mail() {
        let upcoming = session(in_minutes(60), Status::Scheduled);
        // An attempt to send another entry may have had an unknown outcome.
        for (status, version, expected) in [
            (DeliveryStatus::Sent, 1, Err(SkipReason::Unchanged)),
            (DeliveryStatus::Sent, 2, Err(SkipReason::Superseded)),
            (DeliveryStatus::Retrying, 1, Ok(())),
        ] {
            let mut state = RecipientState::default();
            let content = Some(EntryDigest::from_session(&upcoming));
            let sent_version = (status == DeliveryStatus::Sent).then_some(version);
            state.apply(&PastDelivery {
                entry: Some(SentEntry { sequence: 0, content }),
                ..delivery("x", Updated, status, sent_version)
            });
            let updated = mail(Updated, None);
            let result = is_still_relevant(&updated, Some(&upcoming), true, &state, now());
            assert_eq!(result, expected, "{status:?} {version}");
        }
    }
}
