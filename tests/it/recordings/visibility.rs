//! Recordings that students see, and those that only the trainer sees.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_play_urls_at_zoom_are_shown() {
    let recorded = RecordedSession::start().await;
    for (n, (play_url, listed)) in [
        ("https://zoom.us/rec/play/x", true),
        ("https://us06web.zoom.us/rec/play/x", true),
        ("https://company.zoomgov.com/rec/play/x", true),
        ("http://zoom.us/rec/play/x", false),
        ("https://example.com/rec/play/x", false),
        ("https://zoom.us.evil.test/rec/play/x", false),
        ("https://evilzoom.us/rec/play/x", false),
        ("https://zoom.us@evil.test/rec/play/x", false),
        ("https://evil.test/#zoom.us", false),
        ("https://evil.test\\@zoom.us/", false),
        ("javascript:alert(1)//zoom.us", false),
        ("//zoom.us/rec/play/x", false),
        ("", false),
        ("nonsense", false),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("file-{n}");
        recorded.post_event(&recorded.completed(70, &[file(&id, play_url)])).await;
        let items = recorded.listed().await;
        let found = items.iter().find(|item| item["id"] == id.as_str());
        assert_eq!(found.is_some(), listed, "{play_url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_outside_the_window_are_shown_only_to_the_trainer() {
    let recorded = RecordedSession::start().await;
    let session = &recorded.session;
    let day = 24 * 60;
    // A rehearsal on the day before.
    recorded.post_event(&session.started("u0", -day)).await;
    recorded.post_event(&session.ended("u0", -day, -day + 20)).await;
    recorded.post_event(&recorded.recorded("u0", "rehearsal", -day, -day + 20)).await;
    assert_eq!(recorded.listed().await, [] as [Value; 0]);
    let listed = recorded.listed_by_trainer().await;
    assert_eq!(ids(&listed), ["rehearsal"]);
    assert_eq!(listed[0]["visibility"], "trainer");
    assert_eq!(listed[0]["passcode"], PASSCODE);
    assert_eq!(recorded.has_recording().await, (true, false));
    assert_eq!(recorded.notification_count().await, 0);
    // The class itself.
    recorded.world.advance_to(session.at(0));
    recorded.post_event(&session.started("u1", -5)).await;
    recorded.world.advance_to(session.at(60));
    recorded.post_event(&session.ended("u1", -5, 60)).await;
    recorded.post_event(&recorded.recorded("u1", "class", 0, 60)).await;
    assert_eq!(ids(&recorded.listed().await), ["class"]);
    assert_eq!(recorded.has_recording().await, (true, true));
    assert_eq!(recorded.notification_count().await, 1);
    // Another use of the meeting in the evening, and one whose start and end were lost.
    recorded.world.advance_to(session.at(400));
    recorded.post_event(&session.started("u2", 300)).await;
    recorded.post_event(&session.ended("u2", 300, 330)).await;
    recorded.post_event(&recorded.recorded("u2", "later", 300, 330)).await;
    recorded.post_event(&recorded.recorded("u3", "lost", 340, 350)).await;
    let listed = recorded.listed().await;
    assert_eq!(ids(&listed), ["class"]);
    assert_eq!(listed[0]["visibility"], "invited");
    let listed = recorded.listed_by_trainer().await;
    assert_eq!(ids(&listed), ["rehearsal", "class", "later", "lost"]);
    let visibilities: Vec<_> = listed.iter().map(|item| &item["visibility"]).collect();
    assert_eq!(visibilities, ["trainer", "invited", "trainer", "trainer"]);
    assert_eq!(recorded.notification_count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn has_recording_follows_the_files_that_can_be_watched() {
    let recorded = RecordedSession::start().await;
    assert_eq!(recorded.has_recording().await, (false, false));
    let files = |ids: &[&str]| -> Vec<Value> {
        ids.iter().map(|id| file(id, &format!("https://zoom.us/rec/play/{id}"))).collect()
    };
    // A file without a play URL cannot be watched.
    recorded.post_event(&recorded.completed(69, &[json!({"id": "chat"})])).await;
    assert_eq!(recorded.has_recording().await, (false, false));
    for (event, expected) in [
        (recorded.completed(70, &files(&["a", "b"])), true),
        (recorded.step("recording.trashed", 71, &["a"]), true),
        (recorded.step("recording.trashed", 72, &["b"]), false),
        (recorded.step("recording.recovered", 73, &["b"]), true),
        (recorded.step("recording.deleted", 74, &[]), false),
    ] {
        recorded.post_event(&event).await;
        assert_eq!(recorded.has_recording().await, (expected, expected), "{event}");
        let listed = recorded.listed().await;
        let available = listed.iter().any(|item| item["state"] == "available");
        assert_eq!(available, expected, "{event}");
    }
    assert_eq!(recorded.notification_count().await, 1);
}
