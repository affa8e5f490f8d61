//! Overrides of many rows with one reason.

use super::*;

impl AttendanceScenario {
    /// Enrolls students until there are `count`.
    async fn enroll_up_to(&self, count: usize) {
        let service = self.world.service().await;
        for n in 6..=count {
            let path = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
            let email = format!("student{n}@example.test");
            let name = format!("Student {n}");
            let body = json!({"email": email, "name": name, "access_granted": true});
            self.world.put(&service, &path, body).await.expect(200);
        }
    }

    async fn override_rows(&self, token: &str, body: Value) -> Response {
        self.world.put(token, &self.report_path(), body).await
    }

    async fn audit(&self) -> Vec<Value> {
        let (mut entries, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{}/audit?limit=100{cursor}", self.report_path());
            let page = self.world.get(&self.trainer, &path).await.expect(200);
            entries.extend(page["items"].as_array().expect("entries").clone());
            let Some(next) = page["next_cursor"].as_str() else { return entries };
            cursor = format!("&cursor={next}");
        }
    }
}

fn ids(report: &Value) -> Vec<String> {
    let rows = report["attendees"].as_array().expect("rows").iter();
    rows.map(|row| row["attendee_id"].as_str().expect("an id").to_owned()).collect()
}

fn excuse(ids: &[String]) -> Value {
    let rows: Vec<_> =
        ids.iter().map(|id| json!({"attendee_id": id, "status": "excused"})).collect();
    json!({"reason": "The school trip.", "rows": rows})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_override_of_300_rows_is_audited_per_row_and_repeatable() {
    const PEOPLE: usize = 300;
    let scenario = AttendanceScenario::for_course().await;
    scenario.enroll_up_to(PEOPLE).await;
    scenario.simulate("start", json!({})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let ids = ids(&scenario.report().await);
    assert_eq!(ids.len(), PEOPLE);
    // A part of the rows is stored already, as after a request that failed half-way.
    scenario.override_rows(&scenario.trainer, excuse(&ids[..120])).await.expect(200);

    scenario.world.stack.usage.reset();
    let body = excuse(&ids);
    let shown = scenario.override_rows(&scenario.trainer, body.clone()).await.expect(200);
    let rows = shown["items"].as_array().expect("rows");
    assert_eq!(rows.len(), PEOPLE);
    for (row, id) in rows.iter().zip(&ids) {
        assert_eq!((&row["attendee_id"], &row["status"]), (&json!(id), &json!("excused")));
    }
    let tally = scenario.world.stack.usage.service_totals("attendance", Service::Dynamodb);
    println!("a bulk override of 180 new rows: {tally:?}");
    // 180 overrides and entries of at most a kilobyte, each at the price of a transaction.
    assert!(tally.calls <= 10, "{tally:?}");
    assert!((360.0 * 2.0..=360.0 * 2.0 + 8.0).contains(&tally.write_units), "{tally:?}");
    let entries = scenario.audit().await;
    assert_eq!(entries.len(), PEOPLE);
    assert!(entries.iter().all(|entry| entry["reason"] == "The school trip."));

    scenario.override_rows(&scenario.trainer, body).await.expect(200);
    assert_eq!(scenario.audit().await.len(), PEOPLE, "a repetition should not be audited");
    let report = scenario.report().await;
    let excused = report["attendees"].as_array().expect("rows").iter();
    assert!(excused.clone().all(|row| row["status"] == "excused"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_override_with_an_invalid_row_changes_nothing() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "iPhone"})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].clone();
    let assign = json!({"assign_to": {"user_id": "student-2"}, "reason": "That is Bob."});
    let phone = id("iPhone");
    scenario.override_row(phone.as_str().expect("an id"), assign).await.expect(200);
    let audited = scenario.audit().await.len();

    let body = json!({"reason": "Ill.", "rows": [
        {"attendee_id": id("Student 1"), "present": true},
        {"attendee_id": "att_aaaaaaaaaaaaaaaaaaaaaaaaaa", "present": true},
        {"attendee_id": phone, "status": "excused"},
    ]});
    let response = scenario.override_rows(&scenario.trainer, body).await;
    let problem = response.expect_problem(422, "validation_failed");
    let fields: Vec<_> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["field"].as_str().expect("a field"))
        .collect();
    assert_eq!(fields, ["rows[1].attendee_id", "rows[2].attendee_id"]);
    assert_eq!(scenario.audit().await.len(), audited);
    assert_row(&scenario.report().await, "Student 1", json!({"present": false}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_bulk_overrides_lose_no_row() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.enroll_up_to(120).await;
    let ids = ids(&scenario.report().await);
    let admin = scenario.admin().await;
    let service = scenario.world.service().await;
    let (first, second, third) = futures::join!(
        scenario.override_rows(&scenario.trainer, excuse(&ids)),
        scenario.override_rows(&admin, excuse(&ids[40..])),
        scenario.override_rows(&service, excuse(&ids[..80])),
    );
    for response in [first, second, third] {
        response.expect(200);
    }
    let report = scenario.report().await;
    let rows = report["attendees"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["status"] == "excused"), "{report}");
    let entries = scenario.audit().await;
    assert_eq!(entries.len(), 120 + 80 + 80, "each person's change should be audited once");
    for id in &ids {
        let own: Vec<_> = entries.iter().filter(|entry| entry["attendee_id"] == **id).collect();
        for pair in own.windows(2) {
            assert_eq!(pair[0]["old"], pair[1]["new"]);
        }
    }
}
