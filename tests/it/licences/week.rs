//! Twenty trainers share three licences over a week in which functions die at random calls.

use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::random::Random;

use super::{HostedTrainer, MINUTE, world_with};
use crate::world::World;

const TRAINERS: usize = 20;
const LICENCES: usize = 3;
const DAY_MINUTES: i64 = 24 * 60;

fn minutes(minutes: i64) -> SignedDuration {
    MINUTE * i32::try_from(minutes).expect("a week at most")
}

/// A planned class, and its outcome.
struct Class {
    trainer: usize,
    starts_at: Timestamp,
    ends_at: Timestamp,
    session: Value,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ahead,
    Live,
    Over,
}

struct Week {
    world: World,
    trainers: Vec<HostedTrainer>,
    classes: Vec<Class>,
    random: Random,
    /// One run in so many dies.
    crash_one_in: u64,
}

impl Week {
    async fn plan(seed: u64, days: i64, classes_a_day: usize, crash_one_in: u64) -> Self {
        let (world, trainers) = world_with(LICENCES, TRAINERS).await;
        world.put_settings(json!({"licence_shortage": "refuse"})).await;
        let random = Random::seeded(seed);
        let mut classes: Vec<Class> = Vec::new();
        for day in 0..days {
            for _ in 0..classes_a_day {
                let below = |limit: i64| {
                    i64::try_from(random.below(limit.unsigned_abs())).expect("a small number")
                };
                let trainer = usize::try_from(below(20)).expect("an index");
                // In a few hours of the day, so that classes compete.
                let (hour, duration) = (1 + below(5), 30 * (1 + below(3)));
                let starts_at = world.now() + minutes(day * DAY_MINUTES + 60 * hour);
                let ends_at = starts_at + minutes(duration);
                let overlaps = |class: &Class| {
                    class.trainer == trainer
                        && class.starts_at <= ends_at
                        && starts_at <= class.ends_at
                };
                if classes.iter().any(overlaps) {
                    continue;
                }
                let from = world.now();
                let minute = day * DAY_MINUTES + 60 * hour;
                let session = world.schedule(&trainers[trainer], from, minute, duration).await;
                classes.push(Class { trainer, starts_at, ends_at, session, state: State::Ahead });
            }
        }
        Self { world, trainers, classes, random, crash_one_in }
    }

    /// Lets a run of a function die at a random call, if it is its turn.
    fn maybe_crash(&mut self, function: &str) {
        let draw = |limit| u32::try_from(self.random.below(limit)).expect("a small number");
        if self.random.below(self.crash_one_in) == 0 {
            let (service, calls) = match draw(2) {
                0 => (Service::Zoom, draw(4)),
                _ => (Service::Dynamodb, draw(14)),
            };
            let kind = if draw(2) == 0 { FaultKind::Lost } else { FaultKind::Error };
            let of = |fault: Fault| self.world.inject_fault(fault.for_function(function));
            of(Fault::new(service, "*", kind).after(calls));
            of(Fault::new(service, "*", FaultKind::Error).after(calls).times(200));
        }
    }

    async fn sweep(&mut self) {
        self.maybe_crash("meeting-sweep");
        // A run that dies reports nothing.
        let _: Result<Value, _> = self.world.stack.schedules.run("meeting-sweep").await;
        self.world.stack.faults.clear();
    }

    /// The trainers whose users have a licence at Zoom.
    fn licensed(&self) -> Vec<usize> {
        let users = self.world.stack.zoom.snapshot()["users"].take();
        let is_licensed = |trainer: &HostedTrainer| users[&trainer.user]["licence"] == 2;
        (0..TRAINERS).filter(|index| is_licensed(&self.trainers[*index])).collect()
    }

    fn is_live(&self, trainer: usize) -> bool {
        self.classes.iter().any(|class| class.trainer == trainer && class.state == State::Live)
    }

    /// Whether the licence of a trainer may be needed now, so that it is not free for others.
    fn is_needed(&self, trainer: usize) -> bool {
        let now = self.world.now();
        let near = |class: &&Class| class.starts_at <= now + MINUTE * 60 && now < class.ends_at;
        self.is_live(trainer)
            || self.classes.iter().filter(near).any(|class| class.trainer == trainer)
    }

    async fn click(&mut self, index: usize) {
        let trainer = self.classes[index].trainer;
        self.maybe_crash("join");
        let session = self.classes[index].session.clone();
        let mut response = self.world.click_start(&self.trainers[trainer], &session).await;
        self.world.stack.faults.clear();
        for _ in 0..2 {
            if response.status == 200 {
                break;
            }
            // The trainer tries again. The intent of a process that died is left alone for a minute.
            self.world.advance(MINUTE * 2);
            response = self.world.click_start(&self.trainers[trainer], &session).await;
        }
        if response.status == 200 {
            assert!(self.licensed().contains(&trainer), "started without a licence");
            self.world.meeting(&session, "start").await;
            self.classes[index].state = State::Live;
            return;
        }
        response.expect_problem(409, "no_licence");
        self.classes[index].state = State::Over;
        let licensed = self.licensed().into_iter();
        let needed = licensed.filter(|trainer| self.is_needed(*trainer)).count();
        assert_eq!(needed, LICENCES, "refused although a licence is free");
    }

    fn check(&self) {
        let licensed = self.licensed();
        assert!(licensed.len() <= LICENCES);
        for trainer in (0..TRAINERS).filter(|trainer| self.is_live(*trainer)) {
            assert!(licensed.contains(&trainer), "a live host lost the licence");
        }
    }

    /// Ends the meetings whose classes are over.
    async fn end_meetings(&mut self) {
        let now = self.world.now();
        for class in &mut self.classes {
            if class.state == State::Live && now >= class.ends_at {
                self.world.meeting(&class.session, "end").await;
                class.state = State::Over;
            }
        }
    }

    /// Plays the week. The clock stops at the times at which something happens only.
    async fn play(mut self) {
        let start = self.world.now();
        let around = [-30, -25, -10, 0, 5];
        let after = [0, 5, 30, 35, 50];
        let mut stops: Vec<_> = self
            .classes
            .iter()
            .flat_map(|class| {
                let before = around.map(|minutes| class.starts_at + MINUTE * minutes);
                before.into_iter().chain(after.map(|minutes| class.ends_at + MINUTE * minutes))
            })
            .collect();
        stops.sort();
        stops.dedup();
        for stop in stops.into_iter().filter(|stop| *stop > start) {
            let now = self.world.now();
            if stop > now {
                self.world.advance(stop.duration_since(now));
            }
            self.end_meetings().await;
            self.sweep().await;
            self.check();
            for index in 0..self.classes.len() {
                let class = &self.classes[index];
                if class.state == State::Ahead && stop >= class.starts_at - MINUTE * 10 {
                    self.click(index).await;
                    self.check();
                }
            }
        }
        // Long after the last class, every lease is returned.
        for _ in 0..2 {
            self.world.advance(MINUTE * 60);
            self.world.meeting_sweep().await;
        }
        let licences = self.world.licences().await;
        assert_eq!((&licences["assigned"], &licences["held"]), (&json!(0), &json!([])));
        assert_eq!(self.world.live_downgrades(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_trainers_share_three_licences_although_functions_die() {
    Box::pin(Week::plan(1, 7, 5, 12).await.play()).await;
}

/// Long: run by the nightly checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn twenty_trainers_share_three_licences_in_busy_weeks() {
    for seed in 2..4 {
        Box::pin(Week::plan(seed, 7, 10, 4).await.play()).await;
    }
}
