//! More payments for one host than Zoom accepts creates on a day.

use jiff::SignedDuration;
use serde_json::json;

use super::payment;
use crate::support::patched;
use crate::world::{World, session_body};

const PAYMENTS: i64 = 300;
/// Zoom's limit per host and day.
const LIMIT: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_beyond_the_daily_limit_get_their_meetings_on_the_next_days() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    for n in 0..PAYMENTS {
        let invited = json!({"trainer_id": "trainer-1", "audience_type": "invitees", "invitees": [{"email": "student9@example.test"}]});
        let class = patched(session_body(24 * 20 + n), invited);
        world
            .put_payment(&format!("pay-{n}"), &payment(json!({"sessions": [class]})))
            .await
            .expect(202);
    }
    world.deliver_payments().await;
    let payments = world.items("PAYMENT#").await;
    let done = payments.iter().filter(|item| item["state"] == "done").count();
    assert_eq!((done, payments.len()), (300, 300));
    assert_eq!(world.paid_sessions("scheduled").await.len(), 300);
    assert_eq!(world.meetings().len(), 0);

    // One run an hour, from the morning of the first day.
    let mut made_by_midnight = Vec::new();
    for hours in [15, 24, 24] {
        for _ in 0..hours {
            world.meeting_sweep().await;
            world.advance(SignedDuration::from_hours(1));
        }
        made_by_midnight.push(world.meetings().len());
    }
    assert_eq!(made_by_midnight, [LIMIT, 2 * LIMIT, 3 * LIMIT]);
    assert_eq!(world.items("DUE#MEETINGS").await.len(), 0);
}
