//! Properties of the report that hold for any set and order of events.

use proptest::prelude::*;
use serde_json::json;

use super::{Case, ended, minute, participant_event_at, second, started};
use crate::domain::attendance::Percent;
use crate::domain::meeting_instance::{self, InstanceEvent, MeetingInstance};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};

/// Any event of two meeting instances, with four participants in three rooms and six identities.
fn any_event() -> impl Strategy<Value = ZoomEvent> {
    let kinds = [
        "joined",
        "left",
        "joined_breakout_room",
        "left_breakout_room",
        "admitted",
        "put_in_waiting_room",
    ];
    let identities = [
        json!({"customer_key": "key-ada"}),
        json!({"email": "bob@example.test"}),
        json!({"user_name": "Eve", "id": "zoom-eve"}),
        json!({"user_name": "Eve"}),
        json!({"id": "zoom-host"}),
        json!({}),
    ];
    let participant_event =
        (0..2usize, 0..kinds.len(), 0..4usize, 0..3usize, 0..80i64, 0..identities.len());
    let participant_event =
        participant_event.prop_map(move |(uuid, kind, participant, room, at, identity)| {
            // Steps of 20 seconds make simultaneous events likely.
            let (uuid, participant) = (["u", "v"][uuid], ["c", "d", "e", "f"][participant]);
            let room = ["1", "2", "3"][room];
            participant_event_at(
                uuid,
                kinds[kind],
                participant,
                room,
                second(at * 20),
                identities[identity].clone(),
            )
        });
    let meeting_event = (0..2usize, any::<bool>(), 0..40i64).prop_map(|(uuid, is_start, at)| {
        let uuid = ["u", "v"][uuid];
        if is_start { started(uuid, at) } else { ended(uuid, at) }
    });
    prop_oneof![8 => participant_event, 1 => meeting_event]
}

fn stored_instances(events: &[ZoomEvent]) -> Vec<MeetingInstance> {
    events.iter().fold(Vec::new(), |known, event| match &event.payload {
        EventPayload::Started { at } => meeting_instance::with_event(
            known,
            event.uuid.as_deref().unwrap(),
            InstanceEvent::Running(*at),
        ),
        _ => known,
    })
}

proptest! {
    #[test]
    fn report_ignores_order_and_repetition_of_events(
        (events, shuffled) in proptest::collection::vec(any_event(), 0..40).prop_flat_map(|events| {
            let twice = [events.clone(), events.clone()].concat();
            (Just(events), Just(twice).prop_shuffle())
        }),
        now in 0..300i64,
        has_stored_instances in any::<bool>(),
    ) {
        let mut case = Case::new();
        let report = case.report(&events, minute(now));
        // The report is the same whether or not the session has stored its meeting instances.
        if has_stored_instances {
            case.session.meeting_instances = stored_instances(&shuffled);
        }
        prop_assert_eq!(report, case.report(&shuffled, minute(now)));
    }

    #[test]
    fn lost_events_never_extend_attendance_beyond_held_time(
        events in proptest::collection::vec(any_event(), 0..40),
        delivered in proptest::collection::vec(any::<bool>(), 40),
        now in 0..300i64,
    ) {
        let delivered: Vec<_> =
            events.into_iter().zip(delivered).filter(|(_, delivered)| *delivered).map(|(event, _)| event).collect();
        let report = Case::new().report(&delivered, minute(now));
        for row in &report.attendees {
            prop_assert!(row.minutes <= report.held_minutes, "{row:?}");
            prop_assert!(row.percent <= Percent::ratio(1, 1), "{row:?}");
            prop_assert!(row.first_joined_at <= row.last_left_at || row.last_left_at.is_none());
        }
        prop_assert!(report.present <= report.expected);
    }
}
