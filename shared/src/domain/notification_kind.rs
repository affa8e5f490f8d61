//! Every kind of notification, in one place.
//!
//! A kind with a mail is a variant of [`MailKind`] with a row in [`MailKind::spec`]. A kind without one is a constant of
//! [`NotificationKind`]. `CONTRIBUTING.md` lists the other places of a new kind.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The kind of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    Scheduled,
    Updated,
    Cancelled,
    ReminderDayBefore,
    ReminderHourBefore,
    /// The invitation again, with the current details.
    Resent,
    /// To a person who is no longer invited. The session itself takes place.
    #[serde(rename = "uninvited")]
    Removed,
    /// To a trainer whose Zoom account must be connected again.
    ReauthRequired,
    /// To a trainer who cannot start a session, because the Zoom user that hosts it is not connected.
    HostNotConnected,
    /// To a trainer whose meeting was deleted at Zoom.
    MeetingDeleted,
    /// To a trainer whose session starts soon and has no meeting yet.
    MeetingMissing,
    /// To a trainer, because mails about the session came back.
    MailReturned,
}

/// The properties of a kind with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSpec {
    /// The name in queue messages, delivery records, the header `X-Live-Class-Kind` and the timeline. The templates with
    /// its texts have the same name.
    pub name: &'static str,
    /// The in-app notification that accompanies the mail.
    pub in_app: Option<NotificationKind>,
    /// The effect of the mail on the recipient's calendar.
    pub calendar: Option<CalendarMethod>,
    pub relevance: Relevance,
    /// Whether the mail contains the trainer's reason for the change.
    pub shows_reason: bool,
    /// Whether the mail asks the trainer to connect Zoom. It is dropped, and its in-app notification is dismissed, when the
    /// trainer has done so.
    pub asks_to_connect: bool,
}

/// The rule by which a mail is dropped before it is sent. Unless stated otherwise, a mail is dropped if its session is
/// cancelled or over, or no longer starts at the time in the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relevance {
    /// To invited people whose latest mail shows an earlier version of the session.
    NewVersion,
    /// To invited people.
    Invited,
    /// To invited people, until the session starts.
    BeforeStart,
    /// To everyone who may have the calendar entry, also after the session.
    Cancellation,
    /// To people who may know the session and are not invited, also after the session.
    Removal,
    /// To the trainer.
    Trainer,
    /// To the trainer, until the session has a meeting.
    TrainerWithoutMeeting,
    /// To a trainer, about no session.
    TrainerAccount,
}

/// The effect of a mail on its recipient's calendar: the iTIP method of its entry (RFC 5546, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarMethod {
    Request,
    Cancel,
}

impl MailKind {
    pub const ALL: [Self; 12] = [
        Self::Scheduled,
        Self::Updated,
        Self::Cancelled,
        Self::ReminderDayBefore,
        Self::ReminderHourBefore,
        Self::Resent,
        Self::Removed,
        Self::ReauthRequired,
        Self::HostNotConnected,
        Self::MeetingDeleted,
        Self::MeetingMissing,
        Self::MailReturned,
    ];

    /// Returns the row of the kind.
    pub const fn spec(self) -> KindSpec {
        match self {
            Self::Scheduled => KindSpec {
                in_app: Some(NotificationKind("scheduled")),
                calendar: Some(CalendarMethod::Request),
                ..KindSpec::new("scheduled", Relevance::NewVersion)
            },
            Self::Updated => KindSpec {
                in_app: Some(NotificationKind("updated")),
                calendar: Some(CalendarMethod::Request),
                shows_reason: true,
                ..KindSpec::new("updated", Relevance::NewVersion)
            },
            Self::Cancelled => KindSpec {
                in_app: Some(NotificationKind("cancelled")),
                calendar: Some(CalendarMethod::Cancel),
                shows_reason: true,
                ..KindSpec::new("cancelled", Relevance::Cancellation)
            },
            Self::ReminderDayBefore => KindSpec {
                in_app: Some(NotificationKind("reminder")),
                ..KindSpec::new("reminder_day_before", Relevance::BeforeStart)
            },
            Self::ReminderHourBefore => KindSpec {
                in_app: Some(NotificationKind("reminder")),
                ..KindSpec::new("reminder_hour_before", Relevance::BeforeStart)
            },
            // Only the mail was missing. The in-app notification still exists.
            Self::Resent => KindSpec {
                calendar: Some(CalendarMethod::Request),
                ..KindSpec::new("resent", Relevance::Invited)
            },
            // The reason of a change is for people who are still invited.
            Self::Removed => KindSpec {
                in_app: Some(NotificationKind("uninvited")),
                calendar: Some(CalendarMethod::Cancel),
                ..KindSpec::new("uninvited", Relevance::Removal)
            },
            Self::ReauthRequired => KindSpec {
                in_app: Some(NotificationKind("reconnect_zoom")),
                asks_to_connect: true,
                ..KindSpec::new("reauth_required", Relevance::TrainerAccount)
            },
            Self::HostNotConnected => KindSpec {
                in_app: Some(NotificationKind("host_not_connected")),
                asks_to_connect: true,
                ..KindSpec::new("host_not_connected", Relevance::Trainer)
            },
            Self::MeetingDeleted => KindSpec {
                in_app: Some(NotificationKind("meeting_deleted")),
                ..KindSpec::new("meeting_deleted", Relevance::Trainer)
            },
            Self::MeetingMissing => KindSpec {
                in_app: Some(NotificationKind("meeting_missing")),
                ..KindSpec::new("meeting_missing", Relevance::TrainerWithoutMeeting)
            },
            Self::MailReturned => KindSpec {
                in_app: Some(NotificationKind("mail_returned")),
                ..KindSpec::new("mail_returned", Relevance::Trainer)
            },
        }
    }

    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    pub fn in_app(self) -> Option<NotificationKind> {
        self.spec().in_app
    }

    pub fn calendar_method(self) -> Option<CalendarMethod> {
        self.spec().calendar
    }

    /// Returns whether the mail removes the calendar entry of its recipient. It also goes to people who are not invited any
    /// more.
    pub fn is_withdrawal(self) -> bool {
        self.calendar_method() == Some(CalendarMethod::Cancel)
    }

    pub fn is_reminder(self) -> bool {
        self.spec().relevance == Relevance::BeforeStart
    }

    /// Returns whether the mail goes to people who are or were invited, and not to the trainer.
    pub fn is_for_audience(self) -> bool {
        !matches!(
            self.spec().relevance,
            Relevance::Trainer | Relevance::TrainerWithoutMeeting | Relevance::TrainerAccount
        )
    }

    /// Returns whether the mail goes only to people who are invited. Only they read the description of the session.
    pub fn is_for_invited(self) -> bool {
        matches!(
            self.spec().relevance,
            Relevance::NewVersion | Relevance::Invited | Relevance::BeforeStart
        )
    }
}

impl KindSpec {
    /// A kind without the optional properties.
    const fn new(name: &'static str, relevance: Relevance) -> Self {
        Self {
            name,
            relevance,
            in_app: None,
            calendar: None,
            shows_reason: false,
            asks_to_connect: false,
        }
    }
}

/// The kind of an in-app notification: its name in the table and in the API. Several kinds of mails can have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NotificationKind(&'static str);

impl NotificationKind {
    /// The session begins. There is no mail.
    pub const LIVE: Self = Self("live");
    /// A recording is available. There is no mail.
    pub const RECORDING_READY: Self = Self("recording_ready");

    const WITHOUT_MAIL: [Self; 2] = [Self::LIVE, Self::RECORDING_READY];

    pub fn all() -> impl Iterator<Item = Self> {
        MailKind::ALL.into_iter().filter_map(MailKind::in_app).chain(Self::WITHOUT_MAIL)
    }

    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns whether the reason for the notification is gone when the trainer has connected the Zoom user that hosts the
    /// sessions.
    pub fn is_cleared_by_connecting(self) -> bool {
        let mut mails = MailKind::ALL.iter().map(|kind| kind.spec());
        mails.any(|spec| spec.asks_to_connect && spec.in_app == Some(self))
    }
}

impl<'de> Deserialize<'de> for NotificationKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Self::all().find(|kind| kind.0 == name);
        known.ok_or_else(|| D::Error::custom("not a kind of notification"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stored_name_of_a_mail_kind_is_the_one_in_its_row() {
        for kind in MailKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        // The error lists every variant.
        let error = serde_json::from_str::<MailKind>("\"?\"").unwrap_err().to_string();
        let (_, names) = error.split_once("expected one of ").unwrap();
        let names: BTreeSet<_> = names.split('`').skip(1).step_by(2).collect();
        assert_eq!(names, MailKind::ALL.iter().map(|kind| kind.as_str()).collect());
    }

    #[test]
    fn stored_names_of_earlier_versions_are_read() {
        let mails = [
            "scheduled",
            "updated",
            "cancelled",
            "reminder_day_before",
            "reminder_hour_before",
            "resent",
            "uninvited",
            "reauth_required",
            "host_not_connected",
            "meeting_deleted",
            "meeting_missing",
            "mail_returned",
        ];
        for name in mails {
            let kind: MailKind = serde_json::from_value(name.into()).unwrap();
            assert_eq!(kind.as_str(), name);
        }
        let in_app = [
            "scheduled",
            "updated",
            "cancelled",
            "uninvited",
            "reminder",
            "live",
            "recording_ready",
            "reconnect_zoom",
            "host_not_connected",
            "meeting_deleted",
            "meeting_missing",
            "mail_returned",
        ];
        for name in in_app {
            let kind: NotificationKind = serde_json::from_value(name.into()).unwrap();
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        assert!(serde_json::from_value::<NotificationKind>("newer".into()).is_err());
    }

    #[test]
    fn connecting_zoom_clears_the_requests_to_connect() {
        let cleared: Vec<_> = NotificationKind::all()
            .filter(|kind| kind.is_cleared_by_connecting())
            .map(NotificationKind::as_str)
            .collect();
        assert_eq!(cleared, ["reconnect_zoom", "host_not_connected"]);
    }
}
