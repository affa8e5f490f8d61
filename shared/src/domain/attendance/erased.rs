//! Recognition of an erased person in events that arrive after the erasure.
//!
//! An erasure leaves a marker per meeting. It has no names or addresses, only digests of the identifiers under which the
//! person took part. Zoom may deliver an event hours late, and the marker finds it without knowing whose it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AttendanceRecord, AttendeeId, JoinIdentity};
use crate::domain::id::{SessionId, UserId};
use crate::domain::text::Email;
use crate::domain::zoom_event::{EventPayload, ParticipantEvent, ZoomEvent};
use crate::domain::zoom_report::InstanceReport;

/// A join attempt that was in progress during the erasure is recorded within this time.
const JOIN_IN_PROGRESS: SignedDuration = SignedDuration::from_secs(60);

/// The digests by which an erased person is recognised in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureMarker {
    pub session: SessionId,
    /// The digest of the user id, which distinguishes the markers of a meeting.
    pub person: AttendeeId,
    pub erased_at: Timestamp,
    /// Whether the person hosted the meeting.
    pub is_host: bool,
    /// Digests of user id, addresses, customer keys, registrations, Zoom users and participations.
    pub identities: BTreeSet<AttendeeId>,
}

impl ErasureMarker {
    pub fn new(session: &SessionId, user: &UserId, is_host: bool, erased_at: Timestamp) -> Self {
        let person = AttendeeId::for_user(session, user);
        Self {
            session: session.clone(),
            identities: BTreeSet::from([person.clone()]),
            person,
            erased_at,
            is_host,
        }
    }

    pub fn add_email(&mut self, email: &Email) {
        self.identities.insert(AttendeeId::for_email(&self.session, email));
    }

    pub fn add_customer_key(&mut self, key: &str) {
        self.identities.insert(AttendeeId::for_customer_key(&self.session, key));
    }

    pub fn add_registrant(&mut self, registrant: &str) {
        self.identities.insert(AttendeeId::for_registrant(&self.session, registrant));
    }

    pub fn is_user(&self, user: &UserId) -> bool {
        self.identities.contains(&AttendeeId::for_user(&self.session, user))
    }

    pub fn is_email(&self, email: &Email) -> bool {
        self.identities.contains(&AttendeeId::for_email(&self.session, email))
    }

    /// Returns whether a join attempt is of this person.
    pub fn is_join_attempt(&self, user: Option<&UserId>, email: Option<&Email>) -> bool {
        user.is_some_and(|user| self.is_user(user))
            || email.is_some_and(|email| self.is_email(email))
    }

    /// Returns whether a participant event is of this person.
    pub fn is_participant(&self, instance: &str, event: &ParticipantEvent) -> bool {
        let session = &self.session;
        let has = |id: AttendeeId| self.identities.contains(&id);
        (event.is_host && self.is_host)
            || event
                .customer_key
                .as_ref()
                .is_some_and(|key| has(AttendeeId::for_customer_key(session, key)))
            || event
                .registrant
                .as_ref()
                .is_some_and(|registrant| has(AttendeeId::for_registrant(session, registrant)))
            || event.email.as_ref().is_some_and(|email| self.is_email(email))
            || participation_ids(session, instance, event).any(has)
            // Several people with keys or registrations of their own may use one Zoom account.
            || (event.customer_key.is_none()
                && event.registrant.is_none()
                && event
                    .zoom_user
                    .as_ref()
                    .is_some_and(|user| has(AttendeeId::for_zoom_user(session, user))))
    }

    /// Adds the participations and Zoom users of the person in these events, because Zoom may omit the other identifiers in
    /// the next event. Returns whether anything was added.
    pub fn learn_from<'a>(
        &mut self,
        events: impl Iterator<Item = (&'a str, &'a ParticipantEvent)> + Clone,
    ) -> bool {
        let known = self.identities.len();
        // The keys and registrations under which each Zoom user took part.
        let mut identities_of_users: BTreeMap<&str, BTreeSet<AttendeeId>> = BTreeMap::new();
        for (_, event) in events.clone() {
            let Some(user) = &event.zoom_user else { continue };
            let own = identities_of_users.entry(user).or_default();
            let key = event.customer_key.iter();
            own.extend(key.map(|key| AttendeeId::for_customer_key(&self.session, key)));
            let registrant = event.registrant.iter();
            own.extend(registrant.map(|id| AttendeeId::for_registrant(&self.session, id)));
        }
        loop {
            let before = self.identities.len();
            for (instance, event) in events.clone() {
                if !self.is_participant(instance, event) {
                    continue;
                }
                let session = self.session.clone();
                self.identities.extend(participation_ids(&session, instance, event));
                let Some(user) = event.zoom_user.as_ref().filter(|_| !event.is_host) else {
                    continue;
                };
                let own = identities_of_users.get(user.as_str());
                if own.is_none_or(|own| own.is_subset(&self.identities)) {
                    self.identities.insert(AttendeeId::for_zoom_user(&session, user));
                }
            }
            if self.identities.len() == before {
                return before > known;
            }
        }
    }

    /// Adds the telephones that are bound to the person's participations, because their names are numbers. Returns whether
    /// anything was added.
    pub fn add_telephones<'a>(
        &mut self,
        bindings: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> bool {
        let known = self.identities.len();
        for (instance, telephone, participant) in bindings {
            let id =
                |participant| AttendeeId::for_participation(&self.session, instance, participant);
            let (telephone, participant) = (id(telephone), id(participant));
            if self.identities.contains(&participant) {
                self.identities.insert(telephone);
            }
        }
        self.identities.len() > known
    }

    /// Returns the marker without the identifiers of somebody who is known again, such as a person who was enrolled again or
    /// another person with the same address.
    pub fn without_known_people(mut self, record: &AttendanceRecord) -> Self {
        let session = &self.session;
        let mut known = BTreeSet::new();
        for student in record.enrollments.iter().filter(|student| student.access_granted) {
            known.insert(AttendeeId::for_user(session, &student.user));
            let email = student.email.iter();
            known.extend(email.map(|email| AttendeeId::for_email(session, email)));
        }
        let invitees = record.invitees.iter();
        known.extend(invitees.map(|invitee| AttendeeId::for_email(session, &invitee.email)));
        for (at, identity) in &record.join_attempts {
            if self.is_after_erasure(*at) {
                let JoinIdentity { user, email, customer_key, registrant, .. } = identity;
                known.extend(user.iter().map(|user| AttendeeId::for_user(session, user)));
                known.extend(email.iter().map(|email| AttendeeId::for_email(session, email)));
                let keys = customer_key.iter();
                known.extend(keys.map(|key| AttendeeId::for_customer_key(session, key)));
                let registrants = registrant.iter();
                known.extend(registrants.map(|id| AttendeeId::for_registrant(session, id)));
            }
        }
        self.identities.retain(|identity| !known.contains(identity));
        self
    }

    /// Returns whether a join attempt was begun after the erasure.
    pub fn is_after_erasure(&self, attempt_at: Timestamp) -> bool {
        attempt_at > self.erased_at.saturating_add(JOIN_IN_PROGRESS).unwrap_or(self.erased_at)
    }
}

/// Returns the ids of a participation. A row of Zoom's report shares only the `user_id` with the events.
fn participation_ids<'a>(
    session: &'a SessionId,
    instance: &'a str,
    event: &'a ParticipantEvent,
) -> impl Iterator<Item = AttendeeId> + 'a {
    let ids = std::iter::once(&event.participant_uuid).chain(&event.room_user_id);
    ids.map(move |id| AttendeeId::for_participation(session, instance, id))
}

/// Removes erased people from a record that was read with the markers of its meeting.
pub fn without_erased_people(
    mut record: AttendanceRecord,
    markers: &[ErasureMarker],
) -> AttendanceRecord {
    for marker in markers {
        let mut marker = marker.clone().without_known_people(&record);
        marker.learn_from(record.participants());
        marker.add_telephones(telephones(&record.events));
        record.join_attempts.retain(|(at, identity)| {
            marker.is_after_erasure(*at)
                || !marker.is_join_attempt(identity.user.as_ref(), identity.email.as_ref())
        });
        let marker = [marker];
        record.events.iter_mut().for_each(|event| anonymize_event(event, &marker));
        for report in &mut record.reports {
            anonymize_report(report, &marker);
        }
    }
    record
}

/// Removes the identities of erased people from a report. Returns whether anything changed.
pub fn anonymize_report(report: &mut InstanceReport, markers: &[ErasureMarker]) -> bool {
    let before = report.clone();
    for row in &mut report.connections {
        let is_erased =
            |marker: &ErasureMarker| marker.is_participant(&before.instance_uuid, &row.participant);
        if markers.iter().any(is_erased) {
            row.participant.anonymize();
        }
    }
    *report != before
}

/// Removes the identity of an erased person from an event.
pub fn anonymize_event(event: &mut ZoomEvent, markers: &[ErasureMarker]) {
    let Some(instance) = event.uuid.as_deref() else { return };
    if let EventPayload::Joined(participant) | EventPayload::Left(participant) = &mut event.payload
        && markers.iter().any(|marker| marker.is_participant(instance, participant))
    {
        participant.anonymize();
    }
}

/// Returns the bindings of telephones: the uuid of the meeting instance, the telephone, and its owner.
pub fn telephones<'a>(
    events: impl IntoIterator<Item = &'a ZoomEvent>,
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    events.into_iter().filter_map(|event| match &event.payload {
        EventPayload::TelephoneBound { telephone, participant } => {
            Some((event.uuid.as_deref()?, telephone.as_str(), participant.as_str()))
        }
        _ => None,
    })
}

/// Returns the participant events with the uuids of their meeting instances.
pub fn participant_events<'a>(
    events: impl IntoIterator<Item = &'a ZoomEvent, IntoIter: Clone>,
) -> impl Iterator<Item = (&'a str, &'a ParticipantEvent)> + Clone {
    events.into_iter().filter_map(|event| match &event.payload {
        EventPayload::Joined(participant) | EventPayload::Left(participant) => {
            Some((event.uuid.as_deref()?, participant))
        }
        _ => None,
    })
}

/// Returns the participants in reports with the uuids of their meeting instances.
pub fn reported_participants<'a>(
    reports: impl IntoIterator<Item = &'a InstanceReport, IntoIter: Clone>,
) -> impl Iterator<Item = (&'a str, &'a ParticipantEvent)> + Clone {
    reports.into_iter().flat_map(|report| {
        let instance = report.instance_uuid.as_str();
        report.connections.iter().map(move |row| (instance, &row.participant))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::Invitee;

    fn session() -> SessionId {
        SessionId::from_bytes([1; 16])
    }

    fn marker() -> ErasureMarker {
        let user = UserId::parse("zelda").unwrap();
        let mut marker = ErasureMarker::new(&session(), &user, false, Timestamp::UNIX_EPOCH);
        marker.add_email(&email("zelda"));
        marker.add_customer_key("key");
        marker.add_registrant("registration");
        marker
    }

    fn email(name: &str) -> Email {
        Email::parse(&format!("{name}@example.test")).unwrap()
    }

    fn event(participation: &str, fields: impl FnOnce(&mut ParticipantEvent)) -> ZoomEvent {
        let mut participant = ParticipantEvent {
            participant_uuid: participation.to_owned(),
            name: participation.to_owned(),
            ..ParticipantEvent::default()
        };
        fields(&mut participant);
        ZoomEvent {
            name: "meeting.participant_joined".to_owned(),
            at: None,
            account: None,
            meeting: None,
            uuid: Some("instance".to_owned()),
            payload: EventPayload::Joined(participant),
        }
    }

    fn events() -> Vec<ZoomEvent> {
        let key = |key: &str| Some(key.to_owned());
        vec![
            event("leave without identity", |_| {}),
            event("by address", |event| event.email = Some(email("zelda"))),
            event("by key", |event| event.customer_key = key("key")),
            event("by registration", |event| event.registrant = key("registration")),
            event("key and account", |event| {
                event.customer_key = key("key");
                event.zoom_user = Some("own account".to_owned());
            }),
            event("own account", |event| event.zoom_user = Some("own account".to_owned())),
            event("shared account", |event| {
                event.customer_key = key("key");
                event.zoom_user = Some("school".to_owned());
            }),
            event("classmate", |event| {
                event.customer_key = key("other");
                event.zoom_user = Some("school".to_owned());
            }),
            event("guest of the school", |event| event.zoom_user = Some("school".to_owned())),
            event("registered classmate", |event| {
                event.registrant = key("other");
                event.zoom_user = Some("family".to_owned());
            }),
            event("registered at the classmate's", |event| {
                event.registrant = key("registration");
                event.zoom_user = Some("family".to_owned());
            }),
            event("host", |event| event.is_host = true),
        ]
    }

    fn names(record: &AttendanceRecord) -> Vec<&str> {
        participant_events(&record.events).map(|(_, event)| event.name.as_str()).collect()
    }

    #[test]
    fn erased_person_is_recognised_by_every_identifier() {
        let record = AttendanceRecord { events: events(), ..AttendanceRecord::default() };
        let record = without_erased_people(record, &[marker()]);
        let expected = [
            "leave without identity",
            "(erased)",
            "(erased)",
            "(erased)",
            "(erased)",
            "(erased)",
            "(erased)",
            "classmate",
            "guest of the school",
            "registered classmate",
            "(erased)",
            "host",
        ];
        assert_eq!(names(&record), expected);
    }

    #[test]
    fn participation_is_recognised_after_zoom_omits_the_identity() {
        let mut marker = marker();
        let first = [event("c", |event| event.customer_key = Some("key".to_owned()))];
        assert!(marker.learn_from(participant_events(&first)));
        assert!(!marker.learn_from(participant_events(&first)));
        let late =
            AttendanceRecord { events: vec![event("c", |_| {})], ..AttendanceRecord::default() };
        assert_eq!(names(&without_erased_people(late, &[marker])), ["(erased)"]);
    }

    #[test]
    fn person_who_is_invited_again_keeps_their_name() {
        let invitee = Invitee { email: email("zelda"), name: None };
        let record = AttendanceRecord {
            events: events(),
            invitees: vec![invitee],
            ..AttendanceRecord::default()
        };
        let record = without_erased_people(record, &[marker()]);
        assert_eq!(names(&record)[1], "by address");
    }

    #[test]
    fn join_attempts_in_progress_during_the_erasure_are_removed() {
        let identity = JoinIdentity {
            user: Some(UserId::parse("zelda").unwrap()),
            email: None,
            name: None,
            host: false,
            admitted: true,
            customer_key: Some("key".to_owned()),
            registrant: Some("registration".to_owned()),
        };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        for (seconds, is_kept) in [(1, false), (3600, true)] {
            let record = AttendanceRecord {
                join_attempts: vec![(at(seconds), identity.clone())],
                events: events(),
                ..AttendanceRecord::default()
            };
            let record = without_erased_people(record, &[marker()]);
            assert_eq!(record.join_attempts.len(), usize::from(is_kept), "after {seconds} s");
            assert_eq!(names(&record)[2] == "by key", is_kept, "after {seconds} s");
            assert_eq!(names(&record)[3] == "by registration", is_kept, "after {seconds} s");
        }
    }
}
