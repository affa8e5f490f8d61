//! The visibility of a recording, and the clicks to watch it.

use super::*;

impl HeldSession {
    async fn file_ids(&self, token: &str) -> Vec<String> {
        let recordings = self.recordings(token).await;
        let items = recordings["items"].as_array().expect("a list").iter();
        items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }

    async fn has_recording(&self) -> (Value, Value) {
        let trainer = self.session.fetch(&self.world, &self.trainer).await;
        let student = self.session.fetch(&self.world, &self.student).await;
        (trainer["has_recording"].clone(), student["has_recording"].clone())
    }

    async fn views(&self) -> Vec<Value> {
        let path = format!("{}/timeline", self.session.path);
        let mut entries = self.world.list_items(&self.trainer, &path).await;
        entries.retain(|entry| entry["kind"] == "recording.viewed");
        entries.iter().map(|entry| entry["actor"].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decision_about_a_recording_outlives_events_and_comparisons() {
    let held = HeldSession::hold(None).await;
    let ids = held.file_ids(&held.student).await;
    assert_eq!((ids.len(), held.has_recording().await), (2, (json!(true), json!(true))));
    let decide = async |token: &str, id: &str, visibility: &str| {
        let path = format!("{}/{id}", held.path());
        held.world.put(token, &path, json!({"visibility": visibility})).await
    };
    for id in &ids {
        let decided = decide(&held.trainer, id, "trainer").await.expect(200);
        assert_eq!((&decided["id"], &decided["visibility"]), (&json!(id), &json!("trainer")));
    }
    let hidden = async || {
        assert_eq!(held.file_ids(&held.student).await, [] as [String; 0]);
        assert_eq!(held.file_ids(&held.trainer).await.len(), 2);
        assert_eq!(held.has_recording().await, (json!(true), json!(false)));
    };
    hidden().await;
    // Zoom reports it again, and a comparison finds it.
    held.simulate("recording", json!({})).await;
    hidden().await;
    held.sweep_at(31).await;
    hidden().await;
    decide(&held.trainer, &ids[0], "invited").await.expect(200);
    assert_eq!(held.file_ids(&held.student).await, [ids[0].clone()]);
    assert_eq!(held.has_recording().await, (json!(true), json!(true)));
    assert_eq!(held.recording_notifications().await, 1, "nobody is notified of a decision");

    decide(&held.student, &ids[0], "invited").await.expect_problem(403, "forbidden");
    let stranger = held.world.other_trainer().await;
    decide(&stranger, &ids[0], "invited").await.expect_problem(404, "not_found");
    decide(&held.trainer, "unknown", "invited").await.expect_problem(404, "not_found");
    decide(&held.trainer, &ids[0], "everybody").await.expect_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_to_watch_are_in_the_timeline_until_the_person_is_erased() {
    let held = HeldSession::hold(None).await;
    let ids = held.file_ids(&held.student).await;
    let view = async |token: &str, id: &str| {
        let path = format!("{}/{id}/view", held.path());
        held.world.post(token, &path, json!({})).await
    };
    view(&held.student, &ids[0]).await.expect(204);
    view(&held.student, &ids[0]).await.expect(204);
    assert_eq!(held.views().await, ["student-1"], "two clicks in the same minute are one");
    held.world.advance(MINUTE * 2);
    view(&held.student, &ids[1]).await.expect(204);
    view(&held.trainer, &ids[1]).await.expect(204);
    let mut views = held.views().await;
    views.sort_by_key(ToString::to_string);
    assert_eq!(views, ["student-1", "student-1", "trainer-1"]);
    // A recording that the student does not see, and people who do not watch.
    let path = format!("{}/{}", held.path(), ids[1]);
    held.world.put(&held.trainer, &path, json!({"visibility": "trainer"})).await.expect(200);
    view(&held.student, &ids[1]).await.expect_problem(404, "not_found");
    view(&held.student, "unknown").await.expect_problem(404, "not_found");
    view(&held.world.student(9).await, &ids[0]).await.expect_problem(404, "not_found");
    view(&held.world.service().await, &ids[0]).await.expect_problem(403, "forbidden");

    let service = held.world.service().await;
    held.world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    assert_eq!(held.views().await, ["trainer-1"]);
    let id = held.session.path.rsplit('/').next().expect("an id");
    let stored = held.world.items(&format!("SESSION#{id}")).await;
    let kept = stored.iter().filter(|item| item["viewer"].is_string()).count();
    let counted =
        |item: &&Value| item["sk"].as_str().is_some_and(|sk| sk.starts_with("RECORDING_VIEWS"));
    assert_eq!((kept, stored.iter().filter(counted).count()), (1, 1), "those of the trainer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_of_one_person_are_limited() {
    let held = HeldSession::hold(None).await;
    let id = held.file_ids(&held.trainer).await.remove(0);
    let path = format!("{}/{id}/view", held.path());
    for _ in 0..105 {
        held.world.advance(MINUTE * 2);
        let student = held.world.student(1).await;
        held.world.post(&student, &path, json!({})).await.expect(204);
    }
    let id = held.session.path.rsplit('/').next().expect("an id");
    let stored = held.world.items(&format!("SESSION#{id}")).await;
    let kept = stored.iter().filter(|item| item["viewer"].is_string()).count();
    assert_eq!(kept, 100);
}
