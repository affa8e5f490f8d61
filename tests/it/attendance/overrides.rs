//! Attendance overrides and their audit.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn override_takes_precedence_and_is_audited() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "iPhone"})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let (first, phone) = (id("Student 1"), id("iPhone"));

    let excused = json!({"present": true, "reason": "Took part by telephone."});
    let shown = scenario.override_row(&first, excused.clone()).await.expect(200);
    assert_eq!((&shown["present"], &shown["present_by"]), (&json!(true), &json!("override")));
    scenario.override_row(&first, excused).await.expect(200);
    scenario.wait(1);
    let undone = json!({"present": false, "reason": "It was somebody else."});
    let admin = scenario.admin().await;
    let path = format!("{}/{first}", scenario.report_path());
    scenario.world.put(&admin, &path, undone).await.expect(200);
    scenario.wait(1);
    let assigned =
        json!({"present": true, "reason": "That is Bob.", "assign_to": {"user_id": "student-2"}});
    let shown = scenario.override_row(&phone, assigned).await.expect(200);
    assert_eq!((&shown["user_id"], &shown["minutes"]), (&json!("student-2"), &json!(60)));
    assert_eq!(shown["flags"], json!(["assigned"]));

    let after = scenario.report().await;
    assert_eq!(
        after["attendees"].as_array().map(Vec::len),
        Some(5),
        "the assigned participant should have no row"
    );
    assert_row(&after, "Student 1", json!({"present": false, "present_by": "override"}));
    assert_row(&after, "Student 2", json!({"present": true, "present_by": "override"}));

    let audit = format!("{}/audit", scenario.report_path());
    let audit_page = scenario.world.get(&scenario.trainer, &audit).await.expect(200);
    let entries = audit_page["items"].as_array().expect("entries");
    assert_eq!(entries.len(), 4, "a repeated request should not be audited: {audit_page}");
    let oldest = &entries[3];
    assert_eq!(
        (&oldest["actor"], &oldest["reason"], &oldest["attendee_id"]),
        (&json!("trainer-1"), &json!("Took part by telephone."), &json!(first))
    );
    assert_eq!(
        (&oldest["old"]["present"], &oldest["old"]["present_by"]),
        (&json!(false), &json!("rule"))
    );
    assert_eq!(oldest["new"]["present_by"], "override");
    assert_eq!(
        (&entries[2]["actor"], &entries[2]["old"]["present"]),
        (&json!("admin-1"), &json!(true))
    );
    let of_phone = entries[..2].iter().find(|entry| entry["attendee_id"] == json!(phone));
    assert!(of_phone.is_some_and(|entry| entry["new"]["assigned_to"].is_string()), "{audit_page}");

    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = format!("{audit}?limit=1{next}");
        let page = scenario.world.get(&scenario.trainer, &page).await.expect(200);
        paged.extend(page["items"].as_array().expect("entries").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(&paged, entries);

    // The host platform's service excuses a person, without a reason.
    let service = scenario.world.service().await;
    let excused = json!({"status": "excused"});
    let shown = scenario.world.put(&service, &path, excused).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["present"], &shown["present_by"]),
        (&json!("excused"), &json!(false), &json!("override"))
    );
    let cleared = json!({"status": null});
    let shown = scenario.world.put(&service, &path, cleared).await.expect(200);
    assert_eq!((&shown["status"], &shown["present_by"]), (&json!("absent"), &json!("rule")));
    let page = scenario.world.get(&scenario.trainer, &audit).await.expect(200);
    let by_service: Vec<_> = page["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["actor"] == "host-platform")
        .map(|entry| (&entry["new"]["status"], &entry["reason"]))
        .collect();
    assert_eq!(
        by_service,
        [(&json!("absent"), &Value::Null), (&json!("excused"), &Value::Null)],
        "{page}"
    );
    let unexplained = json!({"assign_to": null});
    scenario.override_row(&phone, unexplained).await.expect_problem(422, "validation_failed");

    let back = json!({"assign_to": null, "reason": "It was not Bob."});
    let shown = scenario.override_row(&phone, back).await.expect(200);
    assert_eq!((&shown["name"], &shown["flags"]), (&json!("iPhone"), &json!(["needs_review"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_overrides_are_audited_in_sequence() {
    let scenario = AttendanceScenario::for_course().await;
    let report = scenario.report().await;
    let first = row(&report, "Student 1")["attendee_id"].as_str().expect("an id").to_owned();
    let path = format!("{}/{first}", scenario.report_path());
    let admin = scenario.admin().await;
    let override_body = |present: bool| json!({"present": present, "reason": "I was there."});
    let (by_trainer, by_admin) = futures::join!(
        scenario.world.put(&scenario.trainer, &path, override_body(true)),
        scenario.world.put(&admin, &path, override_body(false)),
    );
    by_trainer.expect(200);
    by_admin.expect(200);
    let audit = format!("{}/audit", scenario.report_path());
    let audit_page = scenario.world.get(&scenario.trainer, &audit).await.expect(200);
    assert_eq!(audit_page["items"].as_array().map(Vec::len), Some(2), "{audit_page}");
    // Clearing an override that does not exist is not audited.
    let second = row(&report, "Student 2")["attendee_id"].as_str().expect("an id").to_owned();
    let clear = json!({"present": null, "reason": "Use the rule."});
    scenario.override_row(&second, clear.clone()).await.expect(200);
    for present in [true, false, true, false] {
        scenario.override_row(&first, override_body(present)).await.expect(200);
    }
    scenario.override_row(&first, clear.clone()).await.expect(200);
    scenario
        .override_row(&first, patched(clear, json!({"reason": "Once more."})))
        .await
        .expect(200);

    // The clock does not advance, yet every entry begins with the state of the entry before it.
    let audit_page = scenario.world.get(&scenario.trainer, &audit).await.expect(200);
    let entries = audit_page["items"].as_array().expect("entries");
    let count = entries.len();
    assert!(
        (6..=7).contains(&count),
        "one concurrent override may have changed nothing: {audit_page}"
    );
    assert_eq!(entries[count - 1]["old"]["present_by"], "rule");
    let at = |entry: &Value| {
        entry["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok()).expect("a time")
    };
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["old"], pair[1]["new"], "{audit_page}");
        assert!(at(&pair[0]) > at(&pair[1]), "{audit_page}");
    }
    let now = scenario.report().await;
    assert_eq!(row(&now, "Student 1")["present_by"], "rule");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn override_survives_removal_from_course() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "iPhone"})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let seen = json!({"present": true, "reason": "I saw her."});
    scenario.override_row(&id("Student 1"), seen.clone()).await.expect(200);
    let assign = json!({"assign_to": {"user_id": "student-3"}, "reason": "That is his phone."});
    scenario.override_row(&id("iPhone"), assign).await.expect(200);
    scenario.override_row(&id("Student 4"), seen).await.expect(200);
    let back = json!({"present": null, "reason": "I was wrong."});
    scenario.override_row(&id("Student 4"), back).await.expect(200);

    let world = &scenario.world;
    let service = world.service().await;
    for n in 1..=4 {
        let enrollment = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        world.delete(&service, &enrollment).await.expect(204);
    }
    let report = scenario.report().await;
    assert_eq!((&report["expected"], &report["present"]), (&json!(5), &json!(2)), "{report}");
    let decided = json!({"present": true, "present_by": "override", "user_id": "student-1", "email": "student1@example.test"});
    assert_row(&report, "Student 1", decided);
    assert_row(&report, "Student 3", json!({"minutes": 60, "flags": ["assigned"]}));

    // The override of an erased student is kept without personal data.
    world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    let report = scenario.report().await;
    assert!(!report.to_string().contains("tudent1@") && !report.to_string().contains("student-1"));
    assert_row(&report, "(erased)", json!({"present": true, "present_by": "override"}));
}
