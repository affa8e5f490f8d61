//! Who sees the results of a poll and when, and the end of a poll with its class.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{PollSetup, option, question, tally, text};

fn hidden_counts(poll: &Value) -> bool {
    let options = poll["options"].as_array().expect("options").iter();
    options.map(|option| &option["votes"]).all(Value::is_null)
        && poll["responses"].is_null()
        && poll["response_rate"].is_null()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_after_close_are_hidden_from_the_audience() {
    let setup = PollSetup::live().await;
    let (ada, bob) = (setup.world.student(1).await, setup.world.student(2).await);
    let always = setup.launch_question().await;
    assert_eq!(always["results"], "always");
    setup.close(&always).await.expect(200);
    setup.world.advance(SignedDuration::from_mins(1));

    let mut body = question();
    body["results"] = json!("never");
    setup.launch(body.clone()).await.expect_problem(422, "validation_failed");
    body["results"] = json!("after_close");
    let poll = setup.launch(body).await.expect(201);
    assert_eq!((&poll["results"], tally(&poll)), (&json!("after_close"), (vec![0, 0], 0)));
    let voted = setup.vote(&ada, &poll, &[1]).await.expect(200);
    assert!(hidden_counts(&voted), "{voted}");
    assert_eq!(voted["my_vote"], json!([option(&poll, 1)]));
    let before = setup.newest_poll(&bob).await;
    assert!(hidden_counts(&before), "{before}");
    assert_eq!(tally(&setup.newest_poll(&setup.trainer).await), (vec![0, 1], 1));
    setup.close(&poll).await.expect(200);
    assert_eq!(tally(&setup.newest_poll(&bob).await), (vec![0, 1], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_poll_is_closed_by_the_end_of_its_class() {
    let setup = PollSetup::live().await;
    let (world, session) = (&setup.world, &setup.session);
    let ada = world.student(1).await;
    let mut body = question();
    body["results"] = json!("after_close");
    let poll = setup.launch(body).await.expect(201);
    setup.vote(&ada, &poll, &[0]).await.expect(200);
    session.post_event(world, &session.joined("u1", "c1", 2)).await;
    session.post_event(world, &session.ended("u1", 0, 30)).await;
    world.advance(SignedDuration::from_mins(40));

    let closed = setup.newest_poll(&ada).await;
    let end = json!(session.at(30));
    assert_eq!((&closed["state"], &closed["closed_at"]), (&json!("closed"), &end));
    assert_eq!(tally(&closed), (vec![1, 0], 1));
    setup.vote(&ada, &poll, &[1]).await.expect_problem(409, "session_ended");

    // The class goes on before the trainer has read the results, and so does the poll.
    session.post_event(world, &session.started("u2", 40)).await;
    assert_eq!(setup.newest_poll(&ada).await["state"], "open");
    setup.vote(&ada, &poll, &[1]).await.expect(200);
    session.post_event(world, &session.ended("u2", 40, 50)).await;
    world.advance(SignedDuration::from_mins(60));

    let closed = setup.newest_poll(&setup.trainer).await;
    let end = json!(session.at(50));
    assert_eq!((&closed["state"], &closed["closed_at"]), (&json!("closed"), &end));
    assert_eq!((tally(&closed), &closed["present"]), ((vec![0, 1], 1), &json!(1)));
    assert_eq!(setup.close(&poll).await.expect(200), closed);
    session.post_event(world, &session.started("u3", 105)).await;
    assert_eq!(setup.newest_poll(&ada).await["state"], "closed", "the results are final");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_of_a_cancelled_class_is_closed_at_the_cancellation() {
    let setup = PollSetup::live().await;
    setup.launch_question().await;
    setup.world.advance(SignedDuration::from_mins(5));
    let cancel = format!("{}/cancel", setup.session.path);
    let cancelled = setup.world.post(&setup.trainer, &cancel, json!({})).await.expect(200);
    let closed = setup.newest_poll(&setup.trainer).await;
    assert_eq!(closed["state"], "closed");
    let time = |value: &Value| text(value).parse::<jiff::Timestamp>().expect("a time");
    assert_eq!(time(&closed["closed_at"]), time(&cancelled["cancelled_at"]));
}
