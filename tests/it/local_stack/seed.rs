//! `--seed` and `--no-seed`.

use local::seed::SeedSource;
use local::stack::Options;
use serde_json::json;

use crate::world::World;

fn with_file(text: &str) -> (tempfile::NamedTempFile, Options) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("a written file");
    let seed = SeedSource::File(file.path().to_owned());
    (file, Options { seed, ..World::options() })
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_file_replaces_the_starting_data() {
    let lines = concat!(
        r#"{"type":"settings","live_classes_enabled":true,"plans":{"school":{}}}"#,
        "\n\n",
        r#"{"type":"user","id":"ada","email":"ada@example.test","name":"Ada","role":"trainer","plan":"school"}"#,
        "\n",
        r#"{"type":"course","id":"logic","title":"Logic","trainer_id":"ada"}"#,
        "\n",
    );
    let (_file, options) = with_file(lines);
    let world = World::start_with(options).await;
    let listed = world.get("", "/local/directory").await.expect(200);
    let items = listed["items"].as_array().expect("a list");
    assert_eq!((items.len(), &items[2]["id"]), (3, &json!("logic")));
    let ada =
        world.token(json!({"sub": "ada", "role": "trainer", "email": "ada@example.test"})).await;
    let capable = |course: &str| {
        json!({
            "title": "Sets", "audience_type": "course", "course_id": course, "provider": "manual",
            "join_url": "https://meet.example.test/sets", "starts_at": "2026-11-22T09:00:00Z",
            "timezone": "UTC", "duration_minutes": 60,
        })
    };
    world.create(&ada, &capable("logic")).await.expect(201);
    assert!(!world.create(&ada, &capable("course-1")).await.status.is_success());
    // A reset loads the same file.
    world.post("", "/local/reset", json!({})).await.expect(204);
    world.create(&ada, &capable("logic")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_line_of_a_seed_file_is_refused_by_number_and_code() {
    let lines = "\n{\"type\":\"course\",\"id\":\"c\",\"title\":\"C\",\"trainer_id\":\"t\"}\n\
        {\"type\":\"user\",\"id\":\"u\",\"email\":\"nobody\",\"name\":\"U\",\"role\":\"student\"}\nnonsense\n";
    for (text, expected) in [
        (lines, &["line 3: validation_failed (email ", "line 4: validation_failed (body "][..]),
        (" \n", &["has no line. Use --no-seed"]),
    ] {
        let (file, options) = with_file(text);
        let refused = Box::pin(World::try_start(options)).await;
        let error = refused.map(drop).expect_err("a refused file").to_string();
        assert!(error.starts_with(&file.path().display().to_string()), "{error}");
        for part in expected {
            assert!(error.contains(part), "{error}");
        }
    }
    let missing = SeedSource::File("no/such.ndjson".into());
    let refused = Box::pin(World::try_start(Options { seed: missing, ..World::options() })).await;
    let error = refused.map(drop).expect_err("a missing file").to_string();
    assert!(error.starts_with("no/such.ndjson cannot be read: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_file_with_unknown_records_has_warnings() {
    let user = |n: usize| {
        format!(r#"{{"type":"user","id":"u-{n}","name":"U","role":"trainer","plan":"gold"}}"#)
    };
    let mut lines: Vec<_> = (0..12).map(user).collect();
    lines.push(r#"{"type":"settings","live_classes_enabled":true,"plans":{"pro":{}}}"#.to_owned());
    lines.push(
        r#"{"type":"enrollment","course_id":"none","user_id":"u-1","name":"U","access_granted":true}"#.to_owned(),
    );
    let (file, options) = with_file(&lines.join("\n"));
    let world = World::start_with(options).await;
    let name = file.path().display();
    let expected = [
        format!("{name}: unknown course in 1 line of type enrollment: 14"),
        format!("{name}: unknown plan in 12 lines of type user: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …"),
    ];
    assert_eq!(world.stack.seed_warnings(), expected);
    // The starting data refers only to its own records.
    assert_eq!(World::start().await.stack.seed_warnings(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_without_seed_is_empty() {
    let options = Options { seed: SeedSource::Nothing, ..World::options() };
    let world = World::start_with(options).await;
    assert_eq!(world.get("", "/local/directory").await.expect(200), json!({"items": []}));
    assert_eq!(world.dump().await, Vec::<serde_json::Value>::new());
    world.get(&world.trainer().await, "/v1/sessions").await.expect(200);
}
