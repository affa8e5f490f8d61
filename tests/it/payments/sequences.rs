//! Payments, refunds and changes of the directory in any order and repetition, with crashes, against a model.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::class;
use crate::world::World;

/// The payments of a case. The class of the first is for the student alone.
const PAYMENTS: usize = 2;

/// The longest pause between two attempts, and how many of them a case waits.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(9);
const LONGEST_PAUSES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Act {
    Pay(usize),
    Refund(usize),
    /// The directory gives access as well.
    Grant,
    /// The directory ends the access.
    Revoke,
    /// Delivers the messages.
    Deliver,
    /// The same, and the function dies at one of its calls.
    Crash {
        after: u32,
        is_lost: bool,
    },
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..PAYMENTS).prop_map(Act::Pay),
        3 => (0..PAYMENTS).prop_map(Act::Refund),
        1 => Just(Act::Grant),
        1 => Just(Act::Revoke),
        3 => Just(Act::Deliver),
        4 => (0..14_u32, any::<bool>()).prop_map(|(after, is_lost)| Act::Crash { after, is_lost }),
        2 => Just(Act::Sweep),
    ]
}

/// The student and the course of one case, and the expected state.
struct Case<'a> {
    world: &'a World,
    name: String,
    is_paid: [bool; PAYMENTS],
    is_refunded: [bool; PAYMENTS],
    /// Whether the directory has ended the access that the payment gave.
    is_revoked: [bool; PAYMENTS],
    is_granted: bool,
}

impl<'a> Case<'a> {
    async fn start(world: &'a World, number: u32) -> Self {
        let name = format!("case-{number}");
        let service = world.service().await;
        world.put_user(&name, json!({"role": "student", "plan": null})).await;
        let course = json!({"title": "Algebra", "trainer_id": "trainer-1"});
        world.put(&service, &format!("/v1/directory/courses/{name}"), course).await.expect(200);
        let nothing = [false; PAYMENTS];
        Self {
            world,
            name,
            is_paid: nothing,
            is_refunded: nothing,
            is_revoked: nothing,
            is_granted: false,
        }
    }

    fn payment(&self, n: usize) -> String {
        format!("{}-{n}", self.name)
    }

    fn enrollment_path(&self) -> String {
        format!("/v1/directory/courses/{}/enrollments/{}", self.name, self.name)
    }

    fn body(&self, n: usize) -> Value {
        let own = format!("{}@example.test", self.name);
        let invited = [own.as_str(), "guest@example.test"];
        let classes = [class(30, &invited[..=n])];
        json!({"user_id": self.name, "course_id": self.name, "sessions": classes})
    }

    async fn run(&mut self, act: Act) {
        let world = self.world;
        match act {
            Act::Pay(n) => {
                world.put_payment(&self.payment(n), &self.body(n)).await.expect(202);
                self.is_paid[n] = true;
            }
            Act::Refund(n) => {
                world.refund(&self.payment(n)).await;
                self.is_refunded[n] = true;
            }
            Act::Grant => {
                let service = world.service().await;
                let path = self.enrollment_path();
                let email = format!("{}@example.test", self.name);
                let body = json!({ "email": email, "name": self.name });
                world.put(&service, &path, body).await.expect(200);
                self.is_granted = true;
            }
            Act::Revoke => {
                for n in (0..PAYMENTS).filter(|n| self.is_paid[*n]).collect::<Vec<_>>() {
                    let enrollment = world.payment(&self.payment(n)).await["enrollment"].take();
                    // A payment with a step that is left gives access later.
                    self.is_revoked[n] |= enrollment != "pending";
                }
                let service = world.service().await;
                world.delete(&service, &self.enrollment_path()).await.expect(204);
                self.is_granted = false;
            }
            Act::Deliver => world.deliver_payments().await,
            Act::Crash { after, is_lost } => {
                let kind = if is_lost { FaultKind::Lost } else { FaultKind::Error };
                let fault = Fault::new(Service::Dynamodb, "*", kind).for_function("payments");
                world.inject_fault(fault.after(after).times(100));
                world.deliver_payments().await;
                world.stack.faults.clear();
            }
            Act::Sweep => {
                world.advance(SignedDuration::from_mins(8));
                world.meeting_sweep().await;
            }
        }
    }

    /// Finishes all work, and compares the result with the model.
    async fn check(&self) -> Result<(), String> {
        let world = self.world;
        for _ in 0..LONGEST_PAUSES {
            world.advance(LONGEST_PAUSE);
            world.meeting_sweep().await;
            world.deliver_payments().await;
            if world.items("DUE#PAYMENTS").await.is_empty() {
                break;
            }
        }
        let is_active = |n: usize| self.is_paid[n] && !self.is_refunded[n] && !self.is_revoked[n];
        let expected = self.is_granted || (0..PAYMENTS).any(is_active);
        if world.access(&self.name, &self.name).await != expected {
            return Err(format!("access is not {expected}"));
        }
        let sessions = world.items("SESSION#").await;
        for n in 0..PAYMENTS {
            let id = self.payment(n);
            let of_payment = |item: &&Value| item["triggered_by"] == id.as_str();
            let sessions: Vec<_> = sessions.iter().filter(of_payment).collect();
            let statuses: Vec<_> = sessions.iter().map(|item| &item["status"]).collect();
            let are_as_expected = match (self.is_paid[n], self.is_refunded[n]) {
                (true, false) => statuses == ["scheduled"],
                (false, _) => statuses.is_empty(),
                // If the refund came before the class was created, there is none.
                (true, true) if n == 0 => statuses.is_empty() || statuses == ["cancelled"],
                (true, true) => statuses.is_empty() || statuses == ["scheduled"],
            };
            if !are_as_expected {
                return Err(format!("{id} has sessions {statuses:?}"));
            }
            if self.is_paid[n] || self.is_refunded[n] {
                let payment = world.payment(&id).await;
                let state = if self.is_refunded[n] { "refunded" } else { "done" };
                let is_complete = payment["session_ids"].as_array().map(Vec::len)
                    == Some(sessions.len())
                    && payment["failed"] == 0;
                if payment["state"] != state || !is_complete {
                    return Err(format!("{id} is {payment}"));
                }
            }
        }
        let left = [world.items("DUE#PAYMENTS").await, world.items("PAYMENT#").await].concat();
        let left: Vec<_> = left.into_iter().filter(|item| item["sk"] != "PAYMENT").collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left: {left:?}")) }
    }
}

#[test]
fn payments_and_refunds_in_any_order_end_in_the_same_state() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let world = runtime.block_on(World::start());
    let number = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 32,
        max_shrink_iters: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(acts in proptest::collection::vec(act(), 2..12))| {
        number.set(number.get() + 1);
        let result = runtime.block_on(async {
            let mut case = Case::start(&world, number.get()).await;
            for act in &acts {
                case.run(*act).await;
            }
            case.check().await
        });
        prop_assert_eq!(result, Ok(()));
    });
}
