//! The runnings of a class's meeting, told in every order.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::random::Random;

use super::status;
use crate::lesson::Lesson;
use crate::world::World;

/// Classes whose events are shuffled; Zoom takes a hundred creations of one trainer a day.
const SHUFFLES: u64 = 60;

/// What the class is after these events, whatever their order: the latest running that is known of decides.
fn expected(told: &[usize]) -> &'static str {
    let has = |n: usize| told.contains(&n);
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

/// A meeting that ran twice.
pub(super) fn twice(lesson: &Lesson) -> [Value; 6] {
    [
        lesson.started("first", 0),
        lesson.joined("first", "c1", 3),
        lesson.ended("first", 0, 30),
        lesson.started("second", 35),
        lesson.joined("second", "c2", 36),
        lesson.ended("second", 35, 60),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_order_the_latest_running_decides() {
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
        let lesson = Lesson::schedule(&world, &trainer).await;
        let events = twice(&lesson);
        for told in 1..=order.len() {
            lesson.tell(&world, &events[order[told - 1]]).await;
            let found = status(&world, &trainer, &lesson).await;
            assert_eq!(found, expected(&order[..told]), "{:?}", &order[..told]);
        }
        let shown = lesson.shown(&world, &trainer).await;
        assert_eq!(shown["actual_started_at"], json!(lesson.at(0)), "{order:?}");
        assert_eq!(shown["actual_ended_at"], json!(lesson.at(60)), "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shuffled_repeated_and_dropped_events_end_where_the_others_do() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    for seed in 0..SHUFFLES {
        let random = Random::seeded(seed);
        let below = |bound: usize| {
            let bound = u64::try_from(bound).expect("small");
            usize::try_from(random.below(bound)).expect("small")
        };
        let lesson = Lesson::schedule(&world, &trainer).await;
        let events = twice(&lesson);
        let mut told = Vec::new();
        for n in 0..events.len() {
            told.extend(std::iter::repeat_n(n, below(3)));
        }
        for n in (1..told.len()).rev() {
            told.swap(n, below(n + 1));
        }
        // Some one after another, some at once.
        let mut rest = &told[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + below(rest.len().min(3)));
            join_all(now.iter().map(|n| lesson.tell(&world, &events[*n]))).await;
            rest = later;
        }
        let found = status(&world, &trainer, &lesson).await;
        assert_eq!(found, expected(&told), "seed {seed}: {told:?}");
    }
}
