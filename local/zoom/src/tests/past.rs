//! Tests of past meetings and the recordings of a host, read with the account's token.

use super::*;

const DAY: i64 = 24 * 3600;

async fn held() -> (Bench, String, String, i64) {
    let bench = Bench::new();
    let token = bench.account_token().await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let id = bench.create_meeting_of(&token, &host).await;
    bench.act(id, "start", json!({})).await;
    bench.act(id, "join", json!({ "name": "Zoë", "customer_key": "key-1" })).await;
    bench.wait(600);
    bench.act(id, "end", json!({})).await;
    (bench, token, host, id)
}

#[tokio::test]
async fn past_meeting_and_its_instances_are_read_with_the_account_token() {
    let (bench, token, host, id) = held().await;
    let path = format!("/zoom/v2/past_meetings/{id}");
    let past = bench.get(&path, &token).await.body;
    assert_eq!(past["host_id"], host);
    assert_eq!((&past["duration"], &past["participants_count"]), (&json!(10), &json!(2)));
    assert_eq!(past["total_minutes"], 20);
    bench.act(id, "start", json!({})).await;
    let instances = bench.get(&format!("{path}/instances"), &token).await.body;
    assert_eq!(instances["meetings"].as_array().unwrap().len(), 1, "only ended instances");
    assert_eq!(instances["meetings"][0]["uuid"], past["uuid"]);
    let report = format!("/zoom/v2/report/meetings/{id}/participants");
    let report = bench.get(&report, &token).await.body;
    assert_eq!(report["participants"][1]["customer_key"], "key-1");
    bench.act(id, "end", json!({})).await;
    bench.wait(366 * DAY);
    let token = bench.account_token().await;
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (400, 12702));
}

#[tokio::test]
async fn participants_of_a_one_person_meeting_are_not_listed() {
    let (bench, token, _, id) = held().await;
    let lists = [
        format!("/zoom/v2/past_meetings/{id}/participants"),
        format!("/zoom/v2/report/meetings/{id}/participants"),
    ];
    for list in &lists {
        assert_eq!(bench.get(list, &token).await.body["total_records"], 2);
    }
    bench.act(id, "start", json!({})).await;
    bench.wait(60);
    bench.act(id, "end", json!({})).await;
    for list in &lists {
        assert_eq!(bench.get(list, &token).await.body["total_records"], 0);
    }
}

#[tokio::test]
async fn incomplete_lists_have_durations_of_zero() {
    let (bench, token, _, id) = held().await;
    bench.update_settings(json!({ "participants_lag_seconds": 1800 })).await;
    let list = format!("/zoom/v2/past_meetings/{id}/participants");
    let durations = async || {
        let list = bench.get(&list, &token).await.body;
        let rows = list["participants"].as_array().unwrap().clone();
        rows.into_iter().map(|row| row["duration"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(durations().await, [0, 0]);
    bench.wait(1800);
    assert_eq!(durations().await, [600, 600]);
}

#[tokio::test]
async fn recordings_of_a_host_are_listed_for_a_month_at_most() {
    let (bench, token, host, id) = held().await;
    bench.act(id, "recording", json!({})).await;
    let list = async |token: &str, query: &str| {
        bench.get(&format!("/zoom/v2/users/{host}/recordings?{query}"), token).await
    };
    let today = list(&token, "").await.body;
    assert_eq!((&today["from"], &today["to"]), (&json!("2026-11-21"), &json!("2026-11-21")));
    assert_eq!(today["meetings"][0]["id"], id);
    assert_eq!(today["meetings"][0]["recording_files"].as_array().unwrap().len(), 2);
    assert_eq!(today["meetings"][0].get("password"), None);
    // A longer period is shortened, and only the response shows it.
    let long = list(&token, "from=2026-01-01&to=2026-12-31").await.body;
    assert_eq!((&long["from"], &long["total_records"]), (&json!("2026-11-30"), &json!(0)));
    let near = list(&token, "from=2026-01-01&to=2026-12-01").await.body;
    assert_eq!((&near["from"], &near["total_records"]), (&json!("2026-11-01"), &json!(1)));
    let backwards = list(&token, "from=2026-12-01&to=2026-11-01").await;
    assert_eq!(backwards.status_and_code(), (400, 300));
    bench.act(id, "recording", json!({ "action": "trash" })).await;
    assert_eq!(list(&token, "").await.body["total_records"], 0);
    assert_eq!(list(&token, "trash=true").await.body["total_records"], 1);
    let user = bench.token(&[]).await;
    assert_eq!(list(&user, "").await.status_and_code(), (400, 4711));
}

#[tokio::test]
async fn stays_in_rooms_and_in_the_waiting_room_have_rows_of_their_own() {
    let bench = Bench::new();
    let token = bench.account_token().await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let id = bench.create_meeting_of(&token, &host).await;
    bench.act(id, "start", json!({})).await;
    let zoe = bench.act(id, "join", json!({ "name": "Zoë" })).await;
    let zoe = json!({ "participant_uuid": zoe["participant_uuid"] });
    bench.wait(60);
    let mut to_room = zoe.clone();
    to_room["room"] = json!("Room 1");
    bench.act(id, "room-move", to_room).await;
    bench.wait(120);
    bench.act(id, "room-move", zoe.clone()).await;
    bench.wait(180);
    bench.act(id, "put-in-waiting-room", zoe.clone()).await;
    bench.wait(240);
    bench.act(id, "admit", zoe).await;
    bench.wait(300);
    bench.act(id, "end", json!({})).await;
    let stays = async || {
        let report = format!("/zoom/v2/report/meetings/{id}/participants");
        let rows =
            bench.get(&report, &token).await.body["participants"].as_array().unwrap().clone();
        let own = rows.into_iter().filter(|row| row["name"] == "Zoë");
        let stay = |row: Value| {
            let is_waiting = row["status"] == "in_waiting_room";
            (row["duration"].as_i64().unwrap(), row["bo_mtg_id"].is_string(), is_waiting)
        };
        own.map(stay).collect::<Vec<_>>()
    };
    let (waited, admitted) = ((240, false, true), (300, false, false));
    let in_rooms = [(60, false, false), (120, true, false), (180, false, false)];
    assert_eq!(stays().await, [in_rooms[0], in_rooms[1], in_rooms[2], admitted, waited]);
    bench.update_settings(json!({ "participants_per_connection": true })).await;
    assert_eq!(stays().await, [(360, false, false), admitted, waited]);
}
