//! A day of a booking engine: 5,000 bookings, of which some are repeated, moved, cancelled and paid. It prints the cost.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::patched;
use crate::world::{Response, World, session_body};

/// Each trainer has as many bookings as Zoom accepts creates of a host on a day.
const TRAINERS: usize = 50;
const BOOKINGS_OF_TRAINER: usize = 100;
/// Requests at a time, as of a booking engine with some workers.
const CONCURRENCY: usize = 8;
/// Lessons of a trainer on one day.
const LESSONS_PER_DAY: usize = 5;
/// The first lessons take place after the next weeks' meetings are made.
const FIRST_DAY: usize = 10;

/// More minutes than the mails of the day take.
const MINUTES_OF_MAIL: usize = 300;

/// A booking of the day.
#[derive(Clone, Copy)]
struct Booking {
    trainer: usize,
    number: usize,
}

impl Booking {
    fn all() -> impl Iterator<Item = Self> {
        (0..BOOKINGS_OF_TRAINER)
            .flat_map(|number| (0..TRAINERS).map(move |trainer| Self { trainer, number }))
    }

    fn path(self) -> String {
        format!("/v1/sessions/by-ref/booking-{}-{}", self.trainer, self.number)
    }

    /// The body of the booking, `moved_by` hours later than at first.
    fn body(self, moved_by: usize) -> Value {
        let day = FIRST_DAY + self.number / LESSONS_PER_DAY;
        let hour = 24 * day + 2 * (self.number % LESSONS_PER_DAY) + moved_by;
        let student =
            json!({"email": format!("student-{}-{}@example.test", self.trainer, self.number)});
        patched(
            session_body(i64::try_from(hour).expect("an hour")),
            json!({
                "trainer_id": format!("tutor-{}", self.trainer), "title": "Private lesson", "meeting": "later",
                "audience_type": "invitees", "invitees": [student],
            }),
        )
    }

    fn is_moved(self) -> bool {
        self.number % 10 == 3
    }

    fn is_cancelled(self) -> bool {
        self.number % 20 == 7
    }
}

/// Connects a Zoom user of the trainer's own.
async fn connect(world: &World, token: &str, zoom_email: &str) {
    let (code, state) = world.consent(token, &format!("decision=allow&user={zoom_email}")).await;
    let body = json!({"code": code, "state": state});
    world.post(token, "/v1/zoom/connect", body).await.expect(200);
}

/// Sends one request for each of the bookings, some at a time.
async fn each<F: Future<Output = Response>>(
    bookings: impl Iterator<Item = Booking>,
    request: impl Fn(Booking) -> F,
    status: u16,
) -> usize {
    let responses = stream::iter(bookings.map(request)).buffer_unordered(CONCURRENCY);
    let checked = responses.map(|response| drop(response.expect(status)));
    checked.count().await
}

/// Runs the outbox sweep each minute until this number of mails was sent, and checks that there are no others.
async fn send_mails(world: &World, expected: usize) {
    let mut sent = 0;
    for _ in 0..MINUTES_OF_MAIL {
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_mins(1));
        sent = world.sent_mails().await.len();
        if sent >= expected {
            break;
        }
    }
    world.run_outbox_sweep().await;
    assert_eq!((sent, world.sent_mails().await.len()), (expected, expected));
}

/// Prints the requests and the price of each function since the last reset, and returns the price of all.
fn print_cost(world: &World, part: &str) -> f64 {
    let mut total = 0.0;
    for (function, report) in world.stack.usage.report().functions {
        let of_table: BTreeMap<_, _> =
            report.calls.iter().map(|call| (call.operation.clone(), call.tally.calls)).collect();
        println!("{part:<10} {function:<16} {:>9.4} USD {of_table:?}", report.price_usd);
        total += report.price_usd;
    }
    world.stack.usage.reset();
    println!("{part:<10} {:<16} {total:>9.4} USD", "all");
    total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn day_of_five_thousand_bookings_is_scheduled_and_gets_its_meetings() {
    let world = World::start().await;
    for trainer in 0..TRAINERS {
        let id = format!("tutor-{trainer}");
        world.put_user(&id, json!({})).await;
        let token = world.token(json!({"sub": id, "role": "trainer"})).await;
        connect(&world, &token, &format!("{id}@example.test")).await;
    }
    world.stack.usage.reset();
    let service = &world.service().await;
    let put = |moved_by: usize| {
        let world = &world;
        move |booking: Booking| async move {
            world.put(service, &booking.path(), booking.body(moved_by)).await
        }
    };
    let confirmed = each(Booking::all(), put(0), 201).await;
    assert_eq!(confirmed, TRAINERS * BOOKINGS_OF_TRAINER);
    let mut cost = print_cost(&world, "confirm");
    send_mails(&world, confirmed).await;
    cost += print_cost(&world, "invite");
    each(Booking::all().filter(|booking| booking.number % 10 == 0), put(0), 200).await;
    cost += print_cost(&world, "repeat");
    let moved = each(Booking::all().filter(|booking| booking.is_moved()), put(1), 200).await;
    cost += print_cost(&world, "move");
    let cancel = |booking: Booking| {
        let path = booking.path();
        let world = &world;
        async move { world.delete(service, &path).await }
    };
    let cancelled =
        each(Booking::all().filter(|booking| booking.is_cancelled()), cancel, 200).await;
    cost += print_cost(&world, "cancel");
    // Those whose booking was moved or cancelled get another mail, and a repeated request causes none.
    send_mails(&world, confirmed + moved + cancelled).await;
    cost += print_cost(&world, "announce");
    println!("{:.2} USD for the day, with the mails of SES", cost);

    // The meetings are made in the days before the lessons. No host has more creates than Zoom accepts.
    assert_eq!(world.meetings().len(), 0);
    let days = FIRST_DAY + BOOKINGS_OF_TRAINER / LESSONS_PER_DAY;
    for _ in 0..days {
        for _ in 0..12 {
            world.meeting_sweep().await;
            world.advance(SignedDuration::from_hours(2));
        }
    }
    print_cost(&world, "meetings");
    assert_eq!(world.meetings().len(), confirmed - cancelled);
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 0);
}
