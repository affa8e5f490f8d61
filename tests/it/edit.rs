//! Changing a class: Zoom is told what changed and nothing else, whoever was quicker wins and nobody's change is lost,
//! and Zoom and we agree in the end.

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::look::{invitees, path_of, with};
use crate::world::{World, class, course_class};

async fn scheduled(body: &Value) -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let made = world.create(&trainer, body).await.expect(201);
    (world, trainer, made)
}

fn titled(title: &str) -> Value {
    with(class(50), json!({"title": title}))
}

/// Zoom has what the class says.
#[track_caller]
fn agrees(world: &World, session: &Value) {
    let meeting = world.meeting_of(session);
    for (ours, theirs) in [
        ("title", "topic"),
        ("starts_at", "start_time"),
        ("timezone", "timezone"),
        ("duration_minutes", "duration"),
    ] {
        assert_eq!(session[ours], meeting[theirs], "{meeting}");
    }
    assert!(meeting["agenda"].as_str().is_some_and(|agenda| {
        agenda.starts_with(session["description"].as_str().unwrap_or_default())
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_is_told_what_changed_and_nothing_else() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    let mark = format!("[live class {}]", made["id"].as_str().expect("an id"));
    let mut body = class(50);
    let steps = [
        (json!({"title": "Geometry"}), json!({"topic": "Geometry"})),
        (
            json!({"description": "Bring a pencil."}),
            json!({"agenda": format!("Bring a pencil.\n\n{mark}")}),
        ),
        (json!({"duration_minutes": 90}), json!({"duration": 90})),
        (
            json!({"starts_at": "2026-12-01T09:00:00Z"}),
            json!({"start_time": "2026-12-01T10:00:00", "timezone": "Europe/Berlin"}),
        ),
        (
            json!({"timezone": "Asia/Kolkata"}),
            json!({"start_time": "2026-12-01T14:30:00", "timezone": "Asia/Kolkata"}),
        ),
        (json!({"record_session": true}), json!({"settings": {"auto_recording": "cloud"}})),
        (
            json!({"settings": {"mute_upon_entry": true}}),
            json!({"settings": {"mute_upon_entry": true}}),
        ),
        (
            json!({"settings": {"mute_upon_entry": true, "waiting_room": true}}),
            json!({"settings": {"waiting_room": true}}),
        ),
        (
            json!({"title": "Stereometry", "duration_minutes": 45}),
            json!({"topic": "Stereometry", "duration": 45}),
        ),
    ];
    let mut expected = Vec::new();
    for (change, patch) in steps {
        body = with(body, change);
        let edited = world.edit(&trainer, &made, &body).await.expect(200);
        expected.push(patch);
        assert_eq!(world.patches_of(&made), expected);
        agrees(&world, &edited);
    }
    // Of no interest to Zoom.
    for change in [
        json!({"audience_type": "course", "course_id": "course-1"}),
        json!({"audience_type": "invitees", "course_id": null, "invitees": invitees(3)}),
        json!({}),
    ] {
        body = with(body, change);
        world.edit(&trainer, &made, &body).await.expect(200);
        assert_eq!(world.patches_of(&made), expected);
    }
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_rises_with_every_change_and_the_sequence_with_the_calendar_and_whose_it_is() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    let mut body = class(50);
    let mut announced = vec![("scheduled".to_owned(), 1, 0)];
    let steps = [
        // What, version and sequence after it, and whether somebody is told.
        (json!({}), 1, 0, false),
        (json!({"title": "Geometry"}), 2, 1, true),
        (json!({"title": "Geometry"}), 2, 1, false),
        (json!({"record_session": true}), 3, 1, false),
        (json!({"settings": {"watermark": true}}), 4, 1, false),
        (json!({"description": "x"}), 5, 2, true),
        (json!({"timezone": "Europe/Paris"}), 6, 3, true),
        (json!({"duration_minutes": 30}), 7, 4, true),
        (json!({"audience_type": "course", "course_id": "course-1"}), 8, 5, true),
        (
            json!({"audience_type": "invitees", "course_id": null, "invitees": invitees(2)}),
            9,
            6,
            true,
        ),
        (json!({"invitees": invitees(3)}), 10, 7, true),
        (
            json!({"invitees": [{"email": "STUDENT2@example.test", "name": "Student 2"}, {"email": "student1@example.test", "name": "Student 1"}, {"email": "student3@example.test", "name": "Student 3"}]}),
            10,
            7,
            false,
        ),
    ];
    for (change, version, sequence, told) in steps {
        world.advance(SignedDuration::from_secs(1));
        body = with(body, change.clone());
        let answer = world.edit(&trainer, &made, &body).await;
        assert_eq!(answer.headers["etag"], format!("\"{version}\"").as_str(), "{change}");
        let edited = answer.expect(200);
        assert_eq!(
            (&edited["version"], &edited["ics_sequence"]),
            (&json!(version), &json!(sequence)),
            "{change}"
        );
        if told {
            announced.push(("updated".to_owned(), version, sequence));
        }
        assert_eq!(world.announced().await, announced, "{change}");
        assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200), edited);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_something_else_than_was_seen_is_refused() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    let edited = world.edit_if(&trainer, &made, "\"1\"", &titled("A")).await.expect(200);
    assert_eq!(edited["version"], 2);
    // The same again, as after a lost answer: the change is there, so there is nothing to refuse.
    assert_eq!(world.edit_if(&trainer, &made, "\"1\"", &titled("A")).await.expect(200), edited);
    world.edit_if(&trainer, &made, "\"1\"", &titled("B")).await.refused(412, "precondition_failed");
    world.edit_if(&trainer, &made, "*", &titled("B")).await.expect(200);
    world.edit_if(&trainer, &made, "soon", &titled("C")).await.refused(422, "validation_failed");
    assert_eq!(world.patches_of(&made).len(), 2, "Zoom heard nothing of the refused ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_change_the_same_version_one_wins_and_the_others_are_told() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    let titles: Vec<_> = (0..6).map(|n| format!("Title {n}")).collect();
    let bodies: Vec<_> = titles.iter().map(|title| titled(title)).collect();
    let answers =
        join_all(bodies.iter().map(|body| world.edit_if(&trainer, &made, "\"1\"", body))).await;
    let mut won = Vec::new();
    for answer in answers {
        match answer.status.as_u16() {
            200 => won.push(answer.json()),
            412 => drop(answer.refused(412, "precondition_failed")),
            _ => drop(answer.refused(409, "conflict")),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert_eq!(shown, won[0]);
    assert_eq!(shown["version"], 2);
    agrees(&world, &shown);
    assert_eq!(world.announced().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_leave_zoom_and_us_agreed() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    let bodies: Vec<_> = (0..4)
        .map(|n| with(titled(&format!("Title {n}")), json!({"duration_minutes": 30 + n})))
        .collect();
    let answers = join_all(bodies.iter().map(|body| world.edit(&trainer, &made, body))).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert!(done >= 1);
    assert_eq!(shown["version"], 1 + done, "each that was told 200 made a version of its own");
    agrees(&world, &shown);
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.refused(409, "conflict");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_follow_the_start() {
    // In 50 hours from nine o'clock on the 21st.
    let (world, trainer, made) = scheduled(&class(50)).await;
    let expect = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter()
            .map(|(kind, at)| ((*kind).to_owned(), format!("2026-11-{at}:00:00.000Z")))
            .collect()
    };
    assert_eq!(
        world.reminders().await,
        expect(&[("day_before", "22T11"), ("hour_before", "23T10"), ("start", "23T11")])
    );
    world.edit(&trainer, &made, &titled("Geometry")).await.expect(200);
    assert_eq!(world.reminders().await.len(), 3, "they stay as they are");
    world.edit(&trainer, &made, &class(27)).await.expect(200);
    assert_eq!(
        world.reminders().await,
        expect(&[("day_before", "21T12"), ("hour_before", "22T11"), ("start", "22T12")])
    );
    // Tomorrow at this time it would already be late for the day before.
    world.edit(&trainer, &made, &class(24)).await.expect(200);
    assert_eq!(world.reminders().await, expect(&[("hour_before", "22T08"), ("start", "22T09")]));
    world.edit(&trainer, &made, &class(1)).await.expect(200);
    assert_eq!(world.reminders().await, expect(&[("start", "21T10")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_invitees_is_replaced_as_a_whole() {
    let listed = |invitees: Value| {
        with(class(50), json!({"audience_type": "invitees", "invitees": invitees}))
    };
    let (world, trainer, made) = scheduled(&listed(invitees(100))).await;
    let (first, last) = (world.student(1).await, world.student(100).await);
    let sees = async |token: &str| world.listed(token, "/v1/me/sessions").await.len();
    assert_eq!((sees(&first).await, sees(&last).await), (1, 1));

    let edited = world.edit(&trainer, &made, &listed(invitees(2))).await.expect(200);
    assert_eq!(edited["invitees"], invitees(2));
    assert_eq!((sees(&first).await, sees(&last).await), (1, 0));
    world.get(&last, &path_of(&made)).await.refused(404, "not_found");
    assert_eq!(world.due("OUTBOX").await[1]["version"], 2);
    assert!(world.due("OUTBOX").await[1]["before"]["list"].is_number(), "who is out is told so");

    // A longer list whose class could not be stored leaves nothing in the next list of that version.
    let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", Kind::Error).by("session-save");
    world.fault(fault.times(3));
    world.edit(&trainer, &made, &listed(invitees(100))).await.refused(503, "unavailable");
    assert_eq!((sees(&first).await, sees(&last).await), (1, 0));
    let others: Value =
        (201..=300).map(|n| json!({"email": format!("other{n}@example.test")})).collect();
    let edited = world.edit(&trainer, &made, &listed(others)).await.expect(200);
    assert_eq!(edited["invitee_count"], 100);
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert_eq!(shown["invitees"].as_array().map(Vec::len), Some(100), "and nobody else");
    assert_eq!((sees(&first).await, sees(&last).await), (0, 0));

    world.edit(&trainer, &made, &course_class(50)).await.expect(200);
    assert_eq!((sees(&first).await, sees(&last).await), (1, 0), "student-1 is in the course");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_class_is_found_by_its_invitees_at_its_new_time() {
    let body = with(class(50), json!({"audience_type": "invitees", "invitees": invitees(2)}));
    let (world, trainer, made) = scheduled(&body).await;
    let moved = with(body, json!({"starts_at": "2026-12-10T09:00:00Z"}));
    world.edit(&trainer, &made, &moved).await.expect(200);
    let student = world.student(1).await;
    let at =
        async |query: &str| world.listed(&student, &format!("/v1/me/sessions?{query}")).await.len();
    assert_eq!(at("from=2026-12-01T00:00:00Z").await, 1);
    assert_eq!(at("to=2026-12-01T00:00:00Z").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_was_deleted_at_zoom_is_said_to_be() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    let id = made["meeting"]["id"].as_str().expect("an id");
    world.delete("", &format!("/zoom/sim/meetings/{id}")).await.expect(204);
    for _ in 0..2 {
        let problem =
            world.edit(&trainer, &made, &titled("Geometry")).await.refused(409, "conflict");
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("deleted at Zoom"))
        );
    }
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert_eq!(shown["version"], 1);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    world.cancel(&trainer, &made).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_unknown_outcome_is_followed_by_one_that_says_everything() {
    for kind in [Kind::Lost, Kind::Error] {
        let (world, trainer, made) = scheduled(&class(50)).await;
        world.fault(Fault::new(Service::Zoom, "update_meeting", kind).times(2));
        world.edit(&trainer, &made, &titled("Geometry")).await.refused(502, "zoom_unavailable");
        assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200)["title"], "Algebra I");
        // At once: the failed one holds nobody up.
        let other = with(class(50), json!({"duration_minutes": 90}));
        let edited = world.edit(&trainer, &made, &other).await.expect(200);
        assert_eq!(edited["title"], "Algebra I");
        agrees(&world, &edited);
        let last = world.patches_of(&made).pop().expect("an update");
        assert_eq!(last["topic"], "Algebra I");
        assert!(last.get("password").is_none());
        world.sweep_later().await;
        agrees(&world, &edited);
        assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_is_lost_once_is_simply_repeated() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    for (kind, title) in
        [(Kind::Lost, "A"), (Kind::Error, "B"), (Kind::Html, "C"), (Kind::Unauthorized, "D")]
    {
        world.zoom_fails("update_meeting", kind);
        let edited = world.edit(&trainer, &made, &titled(title)).await.expect(200);
        agrees(&world, &edited);
    }
    world.zoom_fails("update_meeting", Kind::Throttle);
    world.edit(&trainer, &made, &titled("E")).await.refused(429, "zoom_rate_limited");
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert_eq!(shown["title"], "D");
    agrees(&world, &shown);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_zoom_took_and_we_could_not_store_is_undone_or_overwritten() {
    let fails = |times| {
        Fault::new(Service::Dynamodb, "TransactWriteItems", Kind::Error)
            .by("session-save")
            .after(1)
            .times(times)
    };
    let (world, trainer, made) = scheduled(&class(50)).await;
    world.fault(fails(3));
    world.edit(&trainer, &made, &titled("Geometry")).await.refused(503, "unavailable");
    assert_eq!(world.meeting_of(&made)["topic"], "Geometry", "Zoom has it");
    let report = world.sweep_later().await;
    assert_eq!(report["repaired"], 1);
    let shown = world.get(&trainer, &path_of(&made)).await.expect(200);
    assert_eq!(shown["title"], "Algebra I");
    agrees(&world, &shown);

    world.fault(fails(3));
    world.edit(&trainer, &made, &titled("Geometry")).await.refused(503, "unavailable");
    let again = world.edit(&trainer, &made, &titled("Geometry")).await.expect(200);
    agrees(&world, &again);
    assert_eq!(again["version"], 2);
    // Stored, though every answer was lost: the token of the transaction tells, and it is one edit.
    world.fault(Fault { kind: Kind::Lost, ..fails(2) });
    let edited = world.edit(&trainer, &made, &titled("Stereometry")).await.expect(200);
    assert_eq!(edited["version"], 3);
    agrees(&world, &edited);
    world.sweep_later().await;
    assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200), edited);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_or_not_theirs_nobody_edits() {
    let (world, trainer, made) = scheduled(&course_class(50)).await;
    let body = titled("Geometry");
    let other = world.other_trainer().await;
    world.edit(&other, &made, &body).await.refused(404, "not_found");
    let student = world.student(1).await;
    world.edit(&student, &made, &body).await.refused(403, "forbidden");
    let service = world.service().await;
    world.edit(&service, &made, &body).await.refused(403, "forbidden");
    for id in ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "nonsense", "%00"] {
        world
            .put(&trainer, &format!("/v1/sessions/{id}"), body.clone())
            .await
            .refused(404, "not_found");
    }
    let theirs = json!({"title": "Theirs", "trainer_id": "trainer-2"});
    world.put(&service, "/v1/directory/courses/course-2", theirs).await.expect(200);
    let foreign = with(course_class(50), json!({"course_id": "course-2"}));
    world.edit(&trainer, &made, &foreign).await.refused(404, "not_found");
    assert_eq!(world.patches_of(&made), Vec::<Value>::new());
    world.cancel(&trainer, &made).await.expect(200);
    world.edit(&trainer, &made, &body).await.refused(409, "session_cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_of_an_account_that_is_not_connected_any_more_says_so() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let made = world.create(&trainer, &class(26)).await.expect(201);
    world.connect_zoom(&trainer, "other").await;
    world.stack.usage.reset();
    let moved = with(class(27), json!({}));
    let refused = world.edit(&trainer, &made, &moved).await.refused(409, "conflict");
    assert!(
        refused["detail"].as_str().is_some_and(|why| why.contains("not connected any more")),
        "{refused}"
    );
    world.advance(SignedDuration::from_mins(26 * 60 - 5));
    world
        .post(&trainer, &format!("{}/join", path_of(&made)), json!({}))
        .await
        .refused(409, "conflict");
    assert_eq!(world.get(&trainer, &path_of(&made)).await.expect(200)["version"], made["version"]);
    // Connecting that account again is all it takes.
    world.connect_zoom(&trainer, "app").await;
    world.edit(&trainer, &made, &with(class(30), json!({}))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_is_left_out_is_off_again() {
    let muted = with(class(50), json!({"settings": {"mute_upon_entry": true, "host_video": true}}));
    let (world, trainer, made) = scheduled(&muted).await;
    let is = |name: &str| world.meeting_of(&made)["settings"][name].clone();
    assert_eq!(is("mute_upon_entry"), true);
    let video = with(class(50), json!({"settings": {"host_video": true}}));
    let edited = world.edit(&trainer, &made, &video).await.expect(200);
    assert_eq!(
        edited["settings"],
        with(made["settings"].clone(), json!({"mute_upon_entry": null}))
    );
    assert_eq!(world.patches_of(&made), [json!({"settings": {"mute_upon_entry": false}})]);
    assert_eq!((is("mute_upon_entry"), is("host_video")), (json!(false), json!(true)));
    // It is said once, and what was never given is the account's business.
    world.edit(&trainer, &made, &with(video.clone(), json!({"title": "A"}))).await.expect(200);
    assert_eq!(world.patches_of(&made).last(), Some(&json!({"topic": "A"})));

    // Also where nobody knew whether it was on: at the next edit, and by the repair.
    for repaired in [true, false] {
        world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
        let marked = with(class(50), json!({"settings": {"host_video": true, "watermark": true}}));
        world.edit(&trainer, &made, &marked).await.refused(502, "zoom_unavailable");
        assert_eq!(is("watermark"), true);
        if repaired {
            assert_eq!(world.sweep_later().await["repaired"], 1);
        } else {
            world
                .edit(&trainer, &made, &with(video.clone(), json!({"title": "B"})))
                .await
                .expect(200);
        }
        assert_eq!((is("watermark"), is("host_video")), (json!(false), json!(true)), "{repaired}");
        let last = world.patches_of(&made).pop().expect("an update");
        assert!(last["settings"].get("focus_mode").is_none(), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_unknown_outcome_is_undone_by_asking_for_what_was() {
    let (world, trainer, made) = scheduled(&class(50)).await;
    world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
    world.edit(&trainer, &made, &titled("Geometry")).await.refused(502, "zoom_unavailable");
    assert_eq!(world.meeting_of(&made)["topic"], "Geometry");
    let undone = world.edit(&trainer, &made, &class(50)).await.expect(200);
    agrees(&world, &undone);
    assert_eq!(undone, made, "the class itself is what it was");
    assert_eq!(world.announced().await.len(), 1);
    assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
}
