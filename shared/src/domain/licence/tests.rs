use proptest::prelude::*;

use super::*;
use crate::domain::platform_host::{
    FoundUser, HostCreation, HostOutcome, HostRequest, OutcomeTime, ZoomUserRemoval,
};
use crate::domain::text::Email;

/// Minutes after a full hour.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_795_003_200 + 60 * minute).unwrap()
}

fn trainer(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn user(name: &str) -> ZoomUserId {
    ZoomUserId::parse(&format!("zoom-{name}")).unwrap()
}

fn class(name: &str, from: i64, until: i64) -> HostedClass {
    HostedClass {
        session: SessionId::from_bytes([1; 16]),
        trainer: trainer(name),
        user: user(name),
        starts_at: at(from),
        ends_at: at(until),
    }
}

/// An active host without a licence.
fn host(name: &str, licence: LicenceMode) -> PlatformHost {
    let email = Email::parse(&format!("{name}@school.test")).unwrap();
    let request = HostRequest { email, creation: HostCreation::Existing, licence };
    let found = FoundUser { user: Some(user(name)), account: None, is_licensed: false };
    PlatformHost::requested(trainer(name), request, at(-9000))
        .after(HostOutcome::Ready(found), OutcomeTime { now: at(-9000), spread: 0 })
}

fn leased(name: &str, until: i64) -> PlatformHost {
    host(name, LicenceMode::Leased).with_licence_assigned(Some(at(until)), at(-9000))
}

#[test]
fn lease_follows_the_classes_of_the_host() {
    use LicenceStep::{Extend, Leave, Return, Take};
    let without = host("ada", LicenceMode::Leased);
    let take = |until| Take { until: at(until) };
    let extend = |until| Extend { until: at(until) };
    type Case<'a> = (&'a str, &'a PlatformHost, &'a [(i64, i64)], LicenceStep);
    let cases: [Case<'_>; 13] = [
        ("nothing planned", &without, &[], Leave),
        ("a class in 31 minutes", &without, &[(31, 91)], Leave),
        ("a class in 30 minutes", &without, &[(30, 90)], take(120)),
        ("the later of two classes", &without, &[(20, 50), (30, 200)], take(230)),
        ("a class in progress", &leased("ada", 60), &[], Leave),
        ("the next class within the hour", &leased("ada", 10), &[(60, 120)], extend(150)),
        ("the next class in 61 minutes", &leased("ada", 10), &[(61, 120)], Leave),
        ("over, with a class within the hour", &leased("ada", 0), &[(60, 120)], extend(150)),
        ("over, with a class in 61 minutes", &leased("ada", 0), &[(61, 120)], Return),
        ("extended before", &leased("ada", 150), &[(60, 120)], Leave),
        ("over", &leased("ada", -1), &[], Return),
        ("permanent", &host("ada", LicenceMode::Permanent), &[(10, 70)], Leave),
        ("none", &host("ada", LicenceMode::None), &[(10, 70)], Leave),
    ];
    for (name, host, classes, expected) in cases {
        let classes: Vec<_> =
            classes.iter().map(|(from, until)| class("ada", *from, *until)).collect();
        assert_eq!(next_step(host, &classes, at(0)), expected, "{name}");
    }
    let others = [class("eve", 10, 70)];
    assert_eq!(next_step(&without, &others, at(0)), Leave, "another trainer's class");
    let former = HostedClass { user: user("former"), ..class("ada", 10, 70) };
    assert_eq!(next_step(&without, &[former], at(0)), Leave, "a class of the former user");
    let removed = leased("ada", -1).with_removal(ZoomUserRemoval::Keep, at(0)).unwrap();
    assert_eq!(next_step(&removed, &[], at(0)), Leave, "the removal returns it");
}

#[test]
fn abandoned_intent_is_finished_as_the_host_needs_it_now() {
    use LicenceChange::{Assigning, Returning};
    use LicenceStep::{FinishAssigning, Leave, Return};
    let finish = |until: Option<i64>| FinishAssigning { until: until.map(at) };
    for (licence, change, until, age, class_in, expected) in [
        (LicenceMode::Leased, Assigning, Some(90), 59, Some(10), Leave),
        (LicenceMode::Leased, Assigning, Some(90), 60, None, finish(Some(90))),
        (LicenceMode::Leased, Assigning, Some(-1), 60, None, Return),
        (LicenceMode::Leased, Assigning, Some(90), 60, Some(10), finish(Some(100))),
        (LicenceMode::Leased, Returning, None, 59, None, Leave),
        (LicenceMode::Leased, Returning, None, 60, None, Return),
        (LicenceMode::Leased, Returning, None, 60, Some(60), finish(Some(150))),
        (LicenceMode::Permanent, Returning, None, 60, None, finish(None)),
        (LicenceMode::None, Assigning, Some(90), 60, Some(10), Return),
    ] {
        let stored = at(0).saturating_sub(SignedDuration::from_secs(age)).unwrap();
        let host = host("ada", licence).with_licence_intent(change, until.map(at), stored);
        let classes: Vec<_> = class_in.map(|m| class("ada", m, m + 60)).into_iter().collect();
        let step = next_step(&host, &classes, at(0));
        assert_eq!(step, expected, "{licence:?} {change:?} {until:?} {age} {class_in:?}");
    }
}

#[test]
fn licence_is_taken_from_hosts_whose_classes_are_over_only() {
    let permanent = host("per", LicenceMode::Permanent).with_licence_assigned(None, at(-9000));
    let returning = leased("ret", 0).with_licence_intent(LicenceChange::Returning, None, at(0));
    let (over, longer) = (leased("ada", 30), leased("eve", 5));
    let (on, next) = (leased("joe", 31), leased("kim", 10));
    let hosts = [permanent, returning, over, longer, on, next, host("out", LicenceMode::Leased)];
    let classes = [class("kim", 60, 120), class("ada", 61, 120)];
    let names: Vec<_> = idle_leases(&hosts, &classes, at(0))
        .into_iter()
        .map(|host| host.trainer.as_str().to_owned())
        .collect();
    assert_eq!(names, ["eve", "ada"], "the one whose class ended first");
    // After a click, the host has time to start the meeting.
    assert_eq!(start_until(at(-40), at(0)), at(45));
    assert!(!may_be_taken(&leased("ada", 45), &[], at(14)));
    assert_eq!(start_until(at(60), at(0)), at(90));
}

#[test]
fn assignment_keeps_its_date_and_the_last_ten_are_kept() {
    let mut host = leased("ada", 30);
    let since = host.held.as_ref().unwrap().since;
    let again = host.with_licence_intent(LicenceChange::Returning, None, at(1));
    let again = again.with_licence_assigned(Some(at(90)), at(2));
    assert_eq!(again.held, Some(HeldLicence { since, until: Some(at(90)) }));
    let kept = again.with_licence_kept(at(100)).held.unwrap();
    assert_eq!((kept.since, kept.until), (since, Some(at(115))));
    for round in 0..12 {
        host = host.with_licence_returned(at(round));
        assert!(!host.is_licensed_or_changing());
        host = host.with_licence_assigned(Some(at(round + 60)), at(round));
    }
    let latest = LicencePeriod { since: at(10), until: at(11) };
    assert_eq!((host.licence_history.len(), host.licence_history.last()), (10, Some(&latest)));
}

#[test]
fn pool_keeps_to_the_setting_and_tries_again_after_a_refusal() {
    let pool = LicencePool::default();
    let one = pool.with_holder(&trainer("ada"), Some(1), at(0)).unwrap();
    assert_eq!((one.assigned(), one.version), (1, 1));
    assert_eq!(one.with_holder(&trainer("ada"), Some(1), at(0)), Some(one.clone()));
    assert_eq!(one.with_holder(&trainer("eve"), Some(1), at(0)), None);
    let two = one.with_holder(&trainer("eve"), None, at(0)).unwrap();
    // Zoom refused the second one.
    let refused = two.refused(&trainer("eve"), Some(1), at(0));
    assert_eq!((refused.assigned(), refused.limit(None)), (1, Some(1)));
    assert_eq!((refused.limit(Some(5)), two.limit(Some(5))), (Some(1), Some(5)));
    assert_eq!(refused.with_holder(&trainer("eve"), None, at(0)), None);
    let again = refused.with_holder(&trainer("eve"), None, at(1)).expect("a minute later");
    assert_eq!(refused.grown(), None);
    assert_eq!(again.grown().unwrap().limit(None), None, "Zoom has more licences now");
    // An answer without a number: no more than we have assigned.
    assert_eq!(two.refused(&trainer("eve"), None, at(0)).limit(None), Some(1));
    let freed = refused.without_holders(&[trainer("ada")]);
    assert!(freed.with_holder(&trainer("eve"), None, at(0)).is_some());
}

#[test]
fn forecast_has_the_peak_of_each_hour() {
    let needs = |forecast: Vec<LicenceNeed>| -> Vec<(i64, u32)> {
        let hour = |need: LicenceNeed| (need.at.as_second() - at(0).as_second()) / 3600;
        forecast.into_iter().map(|need| (hour(need), need.needed)).collect()
    };
    let forecast = |permanent, held: &[(&UserId, Timestamp)], classes: &[HostedClass], now| {
        needs(forecast(permanent, held.iter().copied(), classes, now))
    };
    assert_eq!(forecast(0, &[], &[], at(0)), [(0, 0)]);
    assert_eq!(forecast(2, &[], &[], at(30)), [(0, 2)]);
    let (ada, eve) = (trainer("ada"), trainer("eve"));
    // Ada 2:00–3:00 and Eve 4:00–5:00 need one licence, from 1:30 to 5:30.
    let classes = [class("ada", 120, 180), class("eve", 240, 300)];
    assert_eq!(forecast(0, &[], &classes, at(0)), [(0, 0), (1, 1), (6, 0)]);
    // Both at once. A lease in force counts from now on.
    let classes = [class("ada", 120, 180), class("eve", 150, 210)];
    assert_eq!(forecast(1, &[(&ada, at(20))], &classes, at(0)), [(0, 2), (2, 3), (4, 1)]);
    // Between two classes the host keeps the licence, if the second begins within the hour.
    let near = [class("eve", 60, 120), class("eve", 210, 240)];
    assert_eq!(forecast(0, &[], &near, at(0)), [(0, 1), (5, 0)]);
    let far = [class("eve", 60, 90), class("eve", 240, 270)];
    assert_eq!(forecast(0, &[], &far, at(0)), [(0, 1), (2, 0), (3, 1), (5, 0)]);
    assert_eq!(forecast(0, &[(&eve, at(0))], &[], at(0)), [(0, 0)]);
    let peak = peak_before(
        &[LicenceNeed { at: at(0), needed: 1 }, LicenceNeed { at: at(60), needed: 3 }],
        at(60),
    );
    assert_eq!(peak.map(|peak| peak.needed), Some(1));
}

/// A week in the model: each host has a licence or not, and is live or not.
#[derive(Clone, Debug)]
struct Model {
    hosts: Vec<PlatformHost>,
    live: Vec<bool>,
    pool: LicencePool,
}

const NAMES: [&str; 6] = ["ada", "eve", "joe", "kim", "liv", "mia"];
const LICENCES: u32 = 2;

impl Model {
    fn new() -> Self {
        let hosts = NAMES.map(|name| host(name, LicenceMode::Leased)).to_vec();
        Self { hosts, live: vec![false; NAMES.len()], pool: LicencePool::default() }
    }

    fn give_back(&mut self, index: usize, now: Timestamp) {
        let host = &self.hosts[index];
        self.hosts[index] = if self.live[index] {
            host.with_licence_kept(now)
        } else {
            self.pool = self.pool.without_holders(std::slice::from_ref(&host.trainer));
            host.with_licence_returned(now)
        };
    }

    fn assign(&mut self, index: usize, until: Timestamp, now: Timestamp) -> bool {
        let host = &self.hosts[index];
        let Some(pool) = self.pool.with_holder(&host.trainer, Some(LICENCES), now) else {
            return false;
        };
        (self.pool, self.hosts[index]) = (pool, host.with_licence_assigned(Some(until), now));
        true
    }

    fn reclaim(&mut self, classes: &[HostedClass], now: Timestamp) {
        let idle = idle_leases(&self.hosts, classes, now).first().map(|host| host.trainer.clone());
        let index = idle.and_then(|idle| self.hosts.iter().position(|host| host.trainer == idle));
        if let Some(index) = index {
            self.give_back(index, now);
        }
    }

    fn sweep(&mut self, classes: &[HostedClass], now: Timestamp) {
        let ahead: Vec<_> =
            classes.iter().filter(|class| class.starts_at >= now).cloned().collect();
        for index in 0..self.hosts.len() {
            match next_step(&self.hosts[index], &ahead, now) {
                LicenceStep::Return => self.give_back(index, now),
                LicenceStep::Take { until } if !self.assign(index, until, now) => {
                    self.reclaim(&ahead, now);
                    self.assign(index, until, now);
                }
                LicenceStep::Extend { until } => {
                    self.hosts[index] = self.hosts[index].with_licence_until(until, now);
                }
                _ => {}
            }
        }
    }
}

proptest! {
    /// Random classes, starts and ends over two days.
    #[test]
    fn random_weeks_keep_the_limit_and_the_licences_of_live_hosts(
        plan in prop::collection::vec((0..NAMES.len(), 0..48i64, 1..9i64, -10..60i64), 0..40),
    ) {
        let classes: Vec<_> = plan
            .iter()
            .map(|(index, hour, quarters, _)| class(NAMES[*index], 60 * hour, 60 * hour + 15 * quarters))
            .collect();
        let mut model = Model::new();
        for minute in (0..51 * 60).step_by(5) {
            let now = at(minute);
            model.sweep(&classes, now);
            for ((index, hour, quarters, delay), class) in plan.iter().zip(&classes) {
                let (from, until) = (60 * hour + delay, 60 * hour + 15 * quarters + delay);
                if minute == from - from.rem_euclid(5) {
                    let until = start_until(class.ends_at, now);
                    let ahead: Vec<_> = classes.iter().filter(|c| c.starts_at >= now).cloned().collect();
                    let has_one = model.hosts[*index].held.is_some();
                    if has_one {
                        let later = model.hosts[*index].held.as_ref().unwrap().until.max(Some(until));
                        model.hosts[*index] = model.hosts[*index].with_licence_until(later.unwrap(), now);
                    } else if !model.assign(*index, until, now) {
                        prop_assert_eq!(model.pool.assigned(), LICENCES, "none starts without one while one is free");
                        model.reclaim(&ahead, now);
                        model.assign(*index, until, now);
                    }
                    model.live[*index] = model.hosts[*index].held.is_some();
                } else if minute == until - until.rem_euclid(5) {
                    model.live[*index] = false;
                }
            }
            prop_assert!(model.pool.assigned() <= LICENCES);
            for (host, live) in model.hosts.iter().zip(&model.live) {
                prop_assert!(!live || host.held.is_some(), "a live host has lost the licence");
                prop_assert_eq!(host.held.is_some(), model.pool.holders.contains(&host.trainer));
            }
        }
        prop_assert_eq!(model.pool.assigned(), 0, "every lease is returned");
    }
}
