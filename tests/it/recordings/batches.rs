//! Transcripts, and events that change many recordings.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcript_joins_its_recording_without_a_second_notification() {
    for order in [[0, 1], [1, 0]] {
        let recorded = RecordedSession::start().await;
        let mut transcript = file("t", "https://zoom.us/rec/play/t");
        transcript["file_type"] = json!("TRANSCRIPT");
        let mut completed = recorded.completed(95, &[transcript]);
        completed["event"] = json!("recording.transcript_completed");
        let object = completed["payload"]["object"].as_object_mut().expect("an object");
        object.remove("recording_play_passcode");
        let events =
            [recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")]), completed];
        for n in order {
            recorded.post_event(&events[n]).await;
        }
        let listed = recorded.listed().await;
        assert_eq!(ids(&listed), ["a", "t"], "{order:?}");
        assert_eq!(listed[1]["play_url"], with_pwd("https://zoom.us/rec/play/t"), "{order:?}");
        assert_eq!(recorded.notification_count().await, 1, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_events_change_recordings_by_uuid_in_any_order() {
    let by_uuid = json!({"meeting_uuids": ["u1", "foreign"]});
    let whole = json!({"meetings": [{"meeting_uuid": "u1", "recording_file_ids": null}]});
    let one = json!({"meetings": [{"meeting_uuid": "u1", "recording_file_ids": ["a"]}]});
    let none = json!({"meetings": [{"meeting_uuid": "foreign", "recording_file_ids": ["a"]}]});
    let unreadable = json!({"meetings": [{"meeting_uuid": "u1", "recording_file_ids": [{}]}]});
    for (name, object, expected) in [
        ("recording.batch_trashed", &by_uuid, ["trashed", "trashed"]),
        ("recording.batch_trashed", &one, ["trashed", "available"]),
        ("recording.batch_deleted", &one, ["deleted", "available"]),
        ("recording.batch_deleted", &whole, ["deleted", "deleted"]),
        ("recording.batch_deleted", &none, ["available", "available"]),
        ("recording.batch_deleted", &unreadable, ["available", "available"]),
        ("recording.batch_recovered", &by_uuid, ["available", "available"]),
    ] {
        for completed_first in [true, false] {
            let recorded = RecordedSession::start().await;
            recorded.post_event(&recorded.session.started("u1", 0)).await;
            let files = ["a", "b"].map(|id| file(id, &format!("https://zoom.us/rec/play/{id}")));
            let completed = recorded.completed(70, &files);
            let batch = recorded.batch(name, 80, object);
            let mut events = [&completed, &batch];
            if !completed_first {
                events.reverse();
            }
            for event in events {
                recorded.post_event(event).await;
                recorded.post_event(event).await;
            }
            let listed = recorded.listed().await;
            let states: Vec<_> = listed.iter().map(|item| &item["state"]).collect();
            assert_eq!(states, expected, "{name} {object}, {completed_first}");
            let is_available = expected.contains(&"available");
            assert_eq!(recorded.has_recording().await, (is_available, is_available), "{name}");
            let timeline = format!("{}/timeline", recorded.session.path);
            let kinds = recorded.world.list_items(&recorded.trainer, &timeline).await;
            let shown = kinds.iter().filter(|entry| entry["kind"] == format!("zoom.{name}"));
            assert_eq!(shown.count(), usize::from(*object != none), "{name} {object}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_event_finds_a_recording_whose_instance_events_were_lost() {
    let recorded = RecordedSession::start().await;
    recorded.post_event(&recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    let trashed = recorded.batch("recording.batch_trashed", 80, &json!({"meeting_uuids": ["u1"]}));
    recorded.post_event(&trashed).await;
    assert_eq!(recorded.listed().await[0]["state"], "trashed");
    // Another account cannot change it.
    let deleted = json!({"meetings": [{"meeting_uuid": "u1"}]});
    let mut deleted = recorded.batch("recording.batch_deleted", 90, &deleted);
    deleted["payload"]["account_id"] = json!("another-account");
    recorded.post_event(&deleted).await;
    assert_eq!(recorded.listed().await[0]["state"], "trashed");
    let recovered = json!({"meetings": [{"meeting_uuid": "u1", "recording_file_ids": ["a"]}]});
    let recovered = recorded.batch("recording.batch_recovered", 95, &recovered);
    recorded.post_event(&recovered).await;
    assert_eq!(recorded.listed().await[0]["state"], "available");
    for item in recorded.world.dump().await {
        let text = item.to_string();
        assert!(!text.contains("admin@example.test"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_event_without_a_readable_file_id_changes_nothing() {
    let recorded = RecordedSession::start().await;
    recorded.post_event(&recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    let object = json!({"uuid": "u1", "recording_files": [{"file_type": "TIMELINE"}]});
    let at = recorded.session.at(71);
    recorded.post_event(&recorded.session.event("recording.trashed", at, &object)).await;
    assert_eq!(recorded.listed().await[0]["state"], "available");
}
