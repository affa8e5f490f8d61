//! The stored format of an archive line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::attendance::{ErasureMarker, JoinIdentity};
use crate::domain::directory::ERASED_NAME;
use crate::domain::id::UserId;
use crate::domain::text::{Email, PersonName};
use crate::domain::zoom_event::{EventPayload, ParticipantEvent, ZoomEvent};
use crate::domain::zoom_report::InstanceReport;
use crate::store::zoom_reports::StoredRow;

/// One line of an archive. Names are short, because every participation adds two lines.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArchiveLine {
    Student {
        user: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Email>,
        name: PersonName,
    },
    Invitee {
        email: Email,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PersonName>,
    },
    JoinAttempt {
        at: Timestamp,
        /// Absent for a guest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Email>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PersonName>,
        #[serde(default, skip_serializing_if = "is_false")]
        host: bool,
        #[serde(default, skip_serializing_if = "is_false")]
        rejected: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer_key: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registrant: Option<String>,
    },
    Started {
        instance: String,
        at: Timestamp,
    },
    Ended {
        instance: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        at: Timestamp,
    },
    Joined(ArchivedEvent),
    Left(ArchivedEvent),
    /// Zoom has finished its list of the participants of the meeting instance.
    Listed {
        instance: String,
    },
    /// A row of Zoom's list.
    Reported {
        instance: String,
        #[serde(flatten)]
        row: StoredRow,
    },
    TelephoneBound {
        instance: String,
        at: Option<Timestamp>,
        telephone: String,
        participant: String,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct ArchivedEvent {
    /// The uuid of the meeting instance.
    pub(super) instance: String,
    /// The event's name without [`PARTICIPANT`].
    event: String,
    at: Timestamp,
    #[serde(rename = "c")]
    participant_uuid: String,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    room_user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_key: Option<String>,
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

/// The prefix of every participant event.
const PARTICIPANT: &str = "meeting.participant_";

impl ArchivedEvent {
    fn new(instance: &str, name: &str, event: &ParticipantEvent) -> Self {
        Self {
            instance: instance.to_owned(),
            event: name.strip_prefix(PARTICIPANT).unwrap_or(name).to_owned(),
            at: event.at,
            participant_uuid: event.participant_uuid.clone(),
            room_user_id: event.room_user_id.clone(),
            customer_key: event.customer_key.clone(),
            registrant: event.registrant.clone(),
            email: event.email.clone(),
            name: event.name.clone(),
            zoom_user: event.zoom_user.clone(),
            host: event.is_host,
        }
    }

    pub(super) fn to_participant_event(&self) -> ParticipantEvent {
        ParticipantEvent {
            at: self.at,
            participant_uuid: self.participant_uuid.clone(),
            room_user_id: self.room_user_id.clone(),
            customer_key: self.customer_key.clone(),
            registrant: self.registrant.clone(),
            email: self.email.clone(),
            name: self.name.clone(),
            zoom_user: self.zoom_user.clone(),
            is_host: self.host,
        }
    }

    /// The full name of the event.
    pub(super) fn event_name(&self) -> String {
        format!("{PARTICIPANT}{}", self.event)
    }

    /// Removes the identity of an erased person. The connection and the time remain.
    fn anonymized(self) -> Self {
        Self {
            customer_key: None,
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
    pub(super) fn from_event(event: &ZoomEvent) -> Option<Self> {
        let instance = event.uuid.clone()?;
        Some(match &event.payload {
            EventPayload::Started { at } => Self::Started { instance, at: *at },
            EventPayload::Ended { started_at, at } => {
                Self::Ended { instance, started_at: *started_at, at: *at }
            }
            EventPayload::Joined(payload) => {
                Self::Joined(ArchivedEvent::new(&instance, &event.name, payload))
            }
            EventPayload::Left(payload) => {
                Self::Left(ArchivedEvent::new(&instance, &event.name, payload))
            }
            EventPayload::TelephoneBound { telephone, participant } => Self::TelephoneBound {
                instance,
                at: event.at,
                telephone: telephone.clone(),
                participant: participant.clone(),
            },
            _ => return None,
        })
    }

    /// Returns a line for the list, if it is complete, and one for each of its rows.
    pub(super) fn from_report(report: &InstanceReport) -> impl Iterator<Item = Self> {
        let instance = || report.instance_uuid.clone();
        let listed = report.is_complete.then(|| Self::Listed { instance: instance() });
        let rows = report.connections.iter();
        let rows =
            rows.map(move |row| Self::Reported { instance: instance(), row: StoredRow::new(row) });
        listed.into_iter().chain(rows)
    }

    pub(super) fn from_join_attempt(at: Timestamp, identity: &JoinIdentity) -> Self {
        Self::JoinAttempt {
            at,
            user: identity.user.clone(),
            email: identity.email.clone(),
            name: identity.name.clone(),
            host: identity.host,
            rejected: !identity.admitted,
            customer_key: identity.customer_key.clone(),
            registrant: identity.registrant.clone(),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn is_audience(text: &str) -> bool {
        matches!(Self::parse(text), Some(Self::Student { .. } | Self::Invitee { .. }))
    }

    /// Removes an erased person. Returns `None` if nothing of the line remains.
    pub(super) fn without_person(self, person: &ErasureMarker) -> Option<Self> {
        let is_their_event = |archived: &ArchivedEvent| {
            person.is_participant(&archived.instance, &archived.to_participant_event())
        };
        match self {
            Self::Student { ref user, .. } if person.is_user(user) => None,
            Self::Invitee { ref email, .. } if person.is_email(email) => None,
            Self::JoinAttempt { at, ref user, ref email, .. }
                if person.is_join_attempt(user.as_ref(), email.as_ref())
                    && !person.is_after_erasure(at) =>
            {
                None
            }
            Self::Joined(archived) if is_their_event(&archived) => {
                Some(Self::Joined(archived.anonymized()))
            }
            Self::Left(archived) if is_their_event(&archived) => {
                Some(Self::Left(archived.anonymized()))
            }
            Self::Reported { instance, row } => {
                let mut row = row.into_connection();
                if person.is_participant(&instance, &row.participant) {
                    row.participant.anonymize();
                }
                Some(Self::Reported { instance, row: StoredRow::new(&row) })
            }
            other => Some(other),
        }
    }
}
