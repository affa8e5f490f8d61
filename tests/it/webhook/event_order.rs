//! The events of two meeting instances in every order.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::random::Random;

use super::status;
use crate::world::World;
use crate::zoom_session::ScheduledSession;

/// The number of sessions with shuffled events. Zoom allows a trainer a hundred creations per day.
const SHUFFLES: u64 = 60;

/// The expected status after these events in any order: the latest known meeting instance decides.
fn expected_status(delivered: &[usize]) -> &'static str {
    let has = |n: usize| delivered.contains(&n);
    match (has(STARTED_AGAIN) || has(JOINED_AGAIN), has(ENDED_AGAIN)) {
        (_, true) => "ended",
        (true, false) => "live",
        (false, false) if has(ENDED) => "ended",
        (false, false) if has(STARTED) || has(JOINED) => "live",
        (false, false) => "scheduled",
    }
}

const STARTED: usize = 0;
const JOINED: usize = 1;
const ENDED: usize = 2;
const STARTED_AGAIN: usize = 3;
const JOINED_AGAIN: usize = 4;
const ENDED_AGAIN: usize = 5;

/// The events of a meeting with two instances.
pub(super) fn events_of_two_instances(session: &ScheduledSession) -> [Value; 6] {
    [
        session.started("first", 0),
        session.joined("first", "c1", 3),
        session.ended("first", 0, 30),
        session.started("second", 35),
        session.joined("second", "c2", 36),
        session.ended("second", 35, 60),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_meeting_instance_decides_the_status_in_every_order() {
    fn orders(rest: &[usize]) -> Vec<Vec<usize>> {
        if rest.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for first in rest {
            let others: Vec<_> = rest.iter().copied().filter(|n| n != first).collect();
            all.extend(orders(&others).into_iter().map(|mut order| {
                order.insert(0, *first);
                order
            }));
        }
        all
    }
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    for order in orders(&[STARTED, ENDED, STARTED_AGAIN, ENDED_AGAIN]) {
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        let events = events_of_two_instances(&session);
        for count in 1..=order.len() {
            session.post_event(&world, &events[order[count - 1]]).await;
            let actual = status(&world, &trainer, &session).await;
            assert_eq!(actual, expected_status(&order[..count]), "{:?}", &order[..count]);
        }
        let shown = session.fetch(&world, &trainer).await;
        assert_eq!(shown["actual_started_at"], json!(session.at(0)), "{order:?}");
        assert_eq!(shown["actual_ended_at"], json!(session.at(60)), "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shuffled_repeated_and_dropped_events_give_the_same_status() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    for seed in 0..SHUFFLES {
        let random = Random::seeded(seed);
        let below = |bound: usize| {
            let bound = u64::try_from(bound).expect("small");
            usize::try_from(random.below(bound)).expect("small")
        };
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        let events = events_of_two_instances(&session);
        let mut delivered = Vec::new();
        for n in 0..events.len() {
            delivered.extend(std::iter::repeat_n(n, below(3)));
        }
        for n in (1..delivered.len()).rev() {
            delivered.swap(n, below(n + 1));
        }
        // Some are delivered sequentially, and some concurrently.
        let mut rest = &delivered[..];
        while !rest.is_empty() {
            let (now, remaining) = rest.split_at(1 + below(rest.len().min(3)));
            join_all(now.iter().map(|n| session.post_event(&world, &events[*n]))).await;
            rest = remaining;
        }
        let actual = status(&world, &trainer, &session).await;
        assert_eq!(actual, expected_status(&delivered), "seed {seed}: {delivered:?}");
    }
}
