//! Recording events with a missing or unreadable time.

use serde_json::{Value, json};

use super::{RecordedSession, file, with_pwd};

/// Replaces the time of an event, or removes it.
fn undated(event: &Value, time: &Value) -> Value {
    let mut event = event.clone();
    match time {
        Value::Null => drop(event.as_object_mut().and_then(|event| event.remove("event_ts"))),
        time => event["event_ts"] = time.clone(),
    }
    event
}

async fn recorded_long_ago() -> RecordedSession {
    let recorded = RecordedSession::start().await;
    recorded.post_event(&recorded.session.started("u1", 0)).await;
    // Long after the events, so that the time of arrival is later than their own.
    recorded.world.advance_to(recorded.session.at(200));
    recorded
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undated_recording_event_never_replaces_a_dated_one() {
    let whole = json!({"meeting_uuids": ["u1"]});
    for time in [Value::Null, json!("soon"), json!({}), json!("")] {
        for dated_first in [true, false] {
            let recorded = recorded_long_ago().await;
            let (new, old) = ("https://zoom.us/rec/play/new", "https://zoom.us/rec/play/old");
            let completed = |minute, url| {
                recorded.completed(minute, &[file("a", url), file("b", url), file("c", url)])
            };
            let step = |name: &str, id| recorded.step(name, 80, &[id]);
            let dated = [
                completed(70, new),
                step("recording.trashed", "a"),
                recorded.batch("recording.batch_trashed", 80, &whole),
            ];
            let undated = [
                undated(&completed(75, old), &time),
                undated(&step("recording.recovered", "a"), &time),
                undated(&recorded.batch("recording.batch_recovered", 80, &whole), &time),
            ];
            let events: Vec<_> = match dated_first {
                true => dated.iter().chain(&undated).collect(),
                false => undated.iter().chain(&dated).collect(),
            };
            for event in events {
                recorded.post_event(event).await;
            }
            let listed = recorded.listed_by_trainer().await;
            let states: Vec<_> = listed.iter().map(|item| &item["state"]).collect();
            assert_eq!(states, ["trashed"; 3], "{time}, dated first: {dated_first}");
            let recovered = recorded.batch("recording.batch_recovered", 90, &whole);
            recorded.post_event(&recovered).await;
            for item in recorded.listed_by_trainer().await {
                assert_eq!(item["play_url"], with_pwd(new), "{time}, {dated_first}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undated_recording_events_apply_in_order_of_arrival() {
    let recorded = recorded_long_ago().await;
    let post = async |event: &Value| recorded.post_event(&undated(event, &Value::Null)).await;
    post(&recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    let state = async || recorded.listed_by_trainer().await[0]["state"].clone();
    post(&recorded.step("recording.trashed", 80, &["a"])).await;
    assert_eq!(state().await, "trashed");
    post(&recorded.step("recording.recovered", 80, &["a"])).await;
    assert_eq!(state().await, "available");
    post(&recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a2")])).await;
    let listed = recorded.listed_by_trainer().await;
    assert_eq!(listed[0]["play_url"], with_pwd("https://zoom.us/rec/play/a2"));
}
