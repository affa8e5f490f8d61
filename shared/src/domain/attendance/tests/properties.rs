//! What holds whatever arrives, in whatever order.

use proptest::prelude::*;
use serde_json::json;

use super::{Case, ended, minute, passage_at, second, started};
use crate::domain::attendance::Percent;
use crate::domain::meeting_instance::{self, MeetingInstance, InstanceEvent};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};

/// Anything that may be told of a class: of two runnings, four connections in three seats, and six people.
fn anything() -> impl Strategy<Value = ZoomEvent> {
    let ways = ["joined", "left", "joined_breakout_room", "left_breakout_room"];
    let whos = [
        json!({"customer_key": "key-ada"}),
        json!({"email": "bob@example.test"}),
        json!({"user_name": "Eve", "id": "zoom-eve"}),
        json!({"user_name": "Eve"}),
        json!({"id": "zoom-host"}),
        json!({}),
    ];
    let passage = (0..2usize, 0..ways.len(), 0..4usize, 0..3usize, 0..80i64, 0..whos.len());
    let passage = passage.prop_map(move |(uuid, way, c, seat, at, who)| {
        // In steps of 20 seconds, so that things happen within the same one.
        let (uuid, c) = (["u", "v"][uuid], ["c", "d", "e", "f"][c]);
        let seat = ["1", "2", "3"][seat];
        passage_at(uuid, ways[way], c, seat, second(at * 20), whos[who].clone())
    });
    let frame = (0..2usize, any::<bool>(), 0..40i64).prop_map(|(uuid, is_start, at)| {
        let uuid = ["u", "v"][uuid];
        if is_start { started(uuid, at) } else { ended(uuid, at) }
    });
    prop_oneof![8 => passage, 1 => frame]
}

fn remembered(events: &[ZoomEvent]) -> Vec<MeetingInstance> {
    events.iter().fold(Vec::new(), |known, event| match &event.payload {
        EventPayload::Started { at } => {
            meeting_instance::with_event(known, event.uuid.as_deref().unwrap(), InstanceEvent::Running(*at))
        }
        _ => known,
    })
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        (events, shuffled) in proptest::collection::vec(anything(), 0..40).prop_flat_map(|events| {
            let twice = [events.clone(), events.clone()].concat();
            (Just(events), Just(twice).prop_shuffle())
        }),
        now in 0..300i64,
        knows in any::<bool>(),
    ) {
        let mut case = Case::new();
        let plain = case.report(&events, minute(now));
        // Whether the class itself had worked out its runnings by then does not matter either.
        if knows {
            case.session.meeting_instances = remembered(&shuffled);
        }
        prop_assert_eq!(plain, case.report(&shuffled, minute(now)));
    }

    #[test]
    fn whatever_is_lost_nobody_was_there_for_longer_than_it_was_held(
        events in proptest::collection::vec(anything(), 0..40),
        kept in proptest::collection::vec(any::<bool>(), 40),
        now in 0..300i64,
    ) {
        let kept: Vec<_> =
            events.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(event, _)| event).collect();
        let report = Case::new().report(&kept, minute(now));
        for row in &report.attendees {
            prop_assert!(row.minutes <= report.held_minutes, "{row:?}");
            prop_assert!(row.percent <= Percent::of(1, 1), "{row:?}");
            prop_assert!(row.first_joined_at <= row.last_left_at || row.last_left_at.is_none());
        }
        prop_assert!(report.present <= report.expected);
    }
}
