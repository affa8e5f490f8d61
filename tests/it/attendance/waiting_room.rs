//! The waiting room in the report. Zoom reports an admission with or without a join beside it.

use serde_json::{Value, json};

use super::{AttendanceScenario, assert_row};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_room_events_give_the_same_attendance_with_or_without_joins() {
    for presence in [true, false] {
        let scenario = AttendanceScenario::for_course().await;
        scenario.configure_webhooks(json!({"waiting_room_presence": presence})).await;
        let key = scenario.request_join(1).await;
        scenario.simulate("start", json!({})).await;
        let waiting = json!({"name": "Ada", "customer_key": key});
        let ada = scenario.simulate("wait", waiting).await["participant_uuid"].clone();
        let ada = json!({"participant_uuid": ada});
        // Nobody lets Eve in.
        scenario.simulate("wait", json!({"name": "Eve"})).await;
        scenario.wait(5);
        scenario.simulate("admit", ada.clone()).await;
        scenario.wait(20);
        scenario.simulate("put-in-waiting-room", ada.clone()).await;
        scenario.wait(10);
        let outside = scenario.report().await;
        assert_row(&outside, "Student 1", json!({"minutes": 20, "connections": 1}));
        assert!(outside["attendees"][0]["last_left_at"].is_string(), "{outside}");
        scenario.simulate("admit", ada.clone()).await;
        scenario.wait(15);
        scenario.simulate("leave", ada).await;
        scenario.wait(10);
        scenario.simulate("end", json!({})).await;
        let report = scenario.report().await;
        assert_row(
            &report,
            "Student 1",
            json!({"minutes": 35, "percent": 58.3, "connections": 1, "present": true, "flags": []}),
        );
        let names = report["attendees"].as_array().expect("rows").iter().map(|row| &row["name"]);
        assert!(names.clone().all(|name| name != "Eve"), "{report}");
        let timeline = format!("{}/timeline?limit=100", scenario.path);
        let shown = scenario.world.list_items(&scenario.trainer, &timeline).await;
        let is_shown = |kind: &str| shown.iter().any(|entry: &Value| entry["kind"] == kind);
        for kind in ["joined_waiting_room", "admitted", "put_in_waiting_room"] {
            assert!(is_shown(&format!("zoom.meeting.participant_{kind}")), "{kind}");
        }
    }
}
