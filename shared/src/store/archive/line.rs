//! A line of an archive, as it is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::attendance::JoinIdentity;
use crate::domain::directory::ERASED_NAME;
use crate::domain::id::UserId;
use crate::domain::text::{Email, PersonName};
use crate::domain::zoom_event::{ParticipantEvent, EventPayload, ZoomEvent};

/// Short names: there are two lines for every time that somebody came in.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArchiveLine {
    Student {
        user: UserId,
        email: Email,
        name: PersonName,
    },
    Invitee {
        email: Email,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PersonName>,
    },
    Click {
        at: Timestamp,
        user: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Email>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PersonName>,
        #[serde(default, skip_serializing_if = "is_false")]
        host: bool,
        #[serde(default, skip_serializing_if = "is_false")]
        in_vain: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    Started {
        of: String,
        at: Timestamp,
    },
    Ended {
        of: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Timestamp>,
        at: Timestamp,
    },
    In(ArchivedEvent),
    Out(ArchivedEvent),
}

#[derive(Serialize, Deserialize)]
pub(super) struct ArchivedEvent {
    /// The uuid of the running.
    pub(super) of: String,
    /// The event's name, without what all of them have in common.
    event: String,
    at: Timestamp,
    #[serde(rename = "c")]
    connection: String,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    seat: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registrant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_user: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    host: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What every event of a participant begins with.
const PARTICIPANT: &str = "meeting.participant_";

impl ArchivedEvent {
    fn of(running: &str, event: &str, presence: &ParticipantEvent) -> Self {
        Self {
            of: running.to_owned(),
            event: event.strip_prefix(PARTICIPANT).unwrap_or(event).to_owned(),
            at: presence.at,
            connection: presence.connection.clone(),
            seat: presence.seat.clone(),
            key: presence.customer_key.clone(),
            registrant: presence.registrant.clone(),
            email: presence.email.clone(),
            name: presence.name.clone(),
            zoom_user: presence.zoom_user.clone(),
            host: presence.is_host,
        }
    }

    pub(super) fn presence(&self) -> ParticipantEvent {
        ParticipantEvent {
            at: self.at,
            connection: self.connection.clone(),
            seat: self.seat.clone(),
            customer_key: self.key.clone(),
            registrant: self.registrant.clone(),
            email: self.email.clone(),
            name: self.name.clone(),
            zoom_user: self.zoom_user.clone(),
            is_host: self.host,
        }
    }

    /// The event's whole name.
    pub(super) fn name(&self) -> String {
        format!("{PARTICIPANT}{}", self.event)
    }

    /// What stays of somebody who is forgotten: which connection came or went, and when.
    fn forgotten(self) -> Self {
        Self {
            key: None,
            registrant: None,
            email: None,
            name: ERASED_NAME.to_owned(),
            zoom_user: None,
            host: false,
            ..self
        }
    }
}

impl ArchiveLine {
    pub(super) fn of_event(event: &ZoomEvent) -> Option<Self> {
        let of = event.uuid.clone()?;
        Some(match &event.payload {
            EventPayload::Started { at } => Self::Started { of, at: *at },
            EventPayload::Ended { started_at, at } => Self::Ended { of, from: *started_at, at: *at },
            EventPayload::Joined(presence) => Self::In(ArchivedEvent::of(&of, &event.name, presence)),
            EventPayload::Left(presence) => Self::Out(ArchivedEvent::of(&of, &event.name, presence)),
            _ => return None,
        })
    }

    pub(super) fn of_click(at: Timestamp, clicker: &JoinIdentity) -> Self {
        Self::Click {
            at,
            user: clicker.user.clone(),
            email: clicker.email.clone(),
            name: clicker.name.clone(),
            host: clicker.host,
            in_vain: !clicker.admitted,
            key: clicker.customer_key.clone(),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn is_audience(text: &str) -> bool {
        matches!(Self::read(text), Some(Self::Student { .. } | Self::Invitee { .. }))
    }

    /// The line without somebody: a user, or their addresses, or what they came and went as. `None` when nothing of it
    /// stays.
    pub(super) fn without(
        self,
        person: &UserId,
        addresses: &[Email],
        is_meant: &impl Fn(&ParticipantEvent) -> bool,
    ) -> Option<Self> {
        let is_theirs = |email: &Email| addresses.contains(email);
        match self {
            Self::Student { ref user, .. } if user == person => None,
            Self::Invitee { ref email, .. } if is_theirs(email) => None,
            Self::Click { ref user, ref email, .. }
                if user == person || email.as_ref().is_some_and(is_theirs) =>
            {
                None
            }
            Self::In(heard) if is_meant(&heard.presence()) => Some(Self::In(heard.forgotten())),
            Self::Out(heard) if is_meant(&heard.presence()) => Some(Self::Out(heard.forgotten())),
            other => Some(other),
        }
    }
}
