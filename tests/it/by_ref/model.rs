//! Random sequences of upserts, cancellations and crashes against a model of one name.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{connected_world, named_body, ref_path};
use crate::late_answers::{check_agreement, finish_repairs};
use crate::support::{items, patched};
use crate::world::World;

const NAME: &str = "booking-1";
/// More calls than a request makes.
const EVERY_CALL: u32 = 200;
const CASES: u32 = 12;
const LONGEST_SEQUENCE: usize = 8;

/// The bodies of the upserts: another title, another start in another month, other people.
fn body(variant: u8) -> Value {
    match variant % 4 {
        0 => named_body(50),
        1 => patched(named_body(50), json!({"title": "Geometry", "settings": {"watermark": true}})),
        2 => patched(named_body(24 * 12), json!({"duration_minutes": 90})),
        _ => {
            let body = patched(named_body(50), json!({"course_id": null}));
            let list = json!({"audience_type": "invitees", "invitees": [{"email": "a@b.test"}]});
            patched(body, list)
        }
    }
}

/// The first call that fails, after which no call is answered: its service, the calls before it, and whether it is carried
/// out.
#[derive(Clone, Copy, Debug)]
struct Crash {
    service: Service,
    after: u32,
    is_carried_out: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(u8, Option<Crash>),
    Cancel(Option<Crash>),
    /// The leases of dead requests expire.
    Wait,
    Sweep,
}

fn crash() -> impl Strategy<Value = Option<Crash>> {
    let service = prop_oneof![3 => Just(Service::Dynamodb), 1 => Just(Service::Zoom)];
    let crash = (service, 0..6u32, any::<bool>());
    let crash =
        crash.prop_map(|(service, after, is_carried_out)| Crash { service, after, is_carried_out });
    proptest::option::weighted(0.4, crash)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8, crash()).prop_map(|(variant, crash)| Step::Upsert(variant, crash)),
        2 => crash().prop_map(Step::Cancel),
        1 => Just(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

/// The class of the name, as the model knows it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// The number of classes that had the name.
    generations: usize,
    /// The body of the class. `None` without a class, or if it is cancelled.
    stored: Option<u8>,
}

impl Model {
    fn after_upsert(&self, variant: u8) -> Self {
        let generations = self.generations + usize::from(self.stored.is_none());
        Self { generations, stored: Some(variant % 4) }
    }

    fn after_cancel(&self) -> Self {
        Self { stored: None, ..*self }
    }
}

fn inject(world: &World, function: &str, crash: Crash) {
    let Crash { service, after, is_carried_out } = crash;
    let add = |fault: Fault| world.inject_fault(fault.for_function(function));
    let first = if is_carried_out { FaultKind::Lost } else { FaultKind::Error };
    add(Fault::new(service, "*", first).after(after));
    add(Fault::new(service, "*", FaultKind::Error).after(after).times(EVERY_CALL));
}

/// Reads the class of the name in the form of the model.
async fn observed(world: &World, service: &str) -> Model {
    let dump = world.dump().await;
    let sessions = items(&dump, "SESSION#");
    let generations = sessions.iter().filter(|item| item["external_ref"] == NAME).count();
    let shown = world.get(service, &ref_path(NAME)).await;
    if shown.status == 404 {
        return Model { generations, stored: None };
    }
    let shown = shown.expect(200);
    let fits = |variant: &u8| {
        let body = body(*variant);
        let is_equal = |field: &str| body[field].is_null() || body[field] == shown[field];
        let same_people = body["invitees"].is_null() || shown["invitees"][0]["email"] == "a@b.test";
        ["title", "starts_at", "duration_minutes", "audience_type"].into_iter().all(is_equal)
            && same_people
    };
    let stored = (shown["status"] == "scheduled")
        .then(|| (0..4).find(fits).unwrap_or_else(|| panic!("a mixture of bodies: {shown}")));
    Model { generations, stored }
}

/// Plays one step, and returns the model afterwards. A request that was answered by an error may have had its effect, or not.
async fn play(world: &World, service: &str, model: &Model, step: &Step) -> Model {
    let (function, crash) = match step {
        Step::Upsert(_, crash) => ("session-save", *crash),
        Step::Cancel(crash) => ("session-cancel", *crash),
        Step::Wait => {
            world.advance(SignedDuration::from_secs(31));
            return model.clone();
        }
        Step::Sweep => {
            world.advance_and_sweep().await;
            assert_eq!(observed(world, service).await, *model, "a sweep changes no class");
            return model.clone();
        }
    };
    if let Some(crash) = crash {
        inject(world, function, crash);
    }
    let (response, expected) = match step {
        Step::Upsert(variant, _) => {
            (world.upsert(service, NAME, &body(*variant)).await, model.after_upsert(*variant))
        }
        _ => (world.delete(service, &ref_path(NAME)).await, model.after_cancel()),
    };
    world.stack.faults.clear();
    let seen = observed(world, service).await;
    let status = response.status.as_u16();
    match status {
        200 | 201 => {
            assert_eq!(seen, expected, "{}", response.text);
            let is_new = expected.generations > model.generations;
            assert_eq!(status == 201, is_new && matches!(step, Step::Upsert(..)));
        }
        404 => assert_eq!((&seen, model), (&Model::default(), &Model::default())),
        // A dead request may hold a lease.
        409 | 500.. => assert!(seen == *model || seen == expected, "{seen:?}: {}", response.text),
        _ => panic!("{status}: {}", response.text),
    }
    seen
}

async fn play_all(steps: &[Step]) {
    let (world, trainer, service) = connected_world().await;
    // Loads the secrets first, so that the failing calls are those of the requests.
    let warm = world.upsert(&service, "warm", &named_body(100)).await.expect(201);
    world.delete(&service, &ref_path("warm")).await.expect(200);
    assert_eq!(warm["status"], "scheduled");
    world.drop_pending_events().await;
    let mut model = Model::default();
    for step in steps {
        model = play(&world, &service, &model, step).await;
    }
    world.advance(SignedDuration::from_secs(31));
    // At last, the platform repeats its request until it succeeds, and everything agrees.
    let last = play(&world, &service, &model, &Step::Upsert(1, None)).await;
    assert_eq!(last.stored, Some(1));
    finish_repairs(&world).await;
    check_agreement(&world, &trainer, &format!("{steps:?}")).await;
    assert_eq!(observed(&world, &service).await, last);
    let events = world.session_events().await;
    let scheduled = events.iter().filter(|(kind, _, _)| kind == "scheduled").count();
    assert_eq!(scheduled, last.generations, "each class is announced once: {events:?}");
}

#[test]
fn upserts_and_cancellations_with_crashes_keep_one_class() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    };
    let sequences = proptest::collection::vec(step(), 1..LONGEST_SEQUENCE);
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let outcome = runner.run(&sequences, |steps| {
        runtime.block_on(Box::pin(play_all(&steps)));
        Ok(())
    });
    outcome.expect("every sequence fits the model");
}
