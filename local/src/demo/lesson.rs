//! The demo's lesson: people come in, the meeting runs, and what Zoom tells of it becomes status, recordings and a report.

use serde_json::{Value, json};

use super::client::{Client, Fault};
use super::text;

/// Who is in it and what it is.
pub(super) struct Lesson<'a> {
    pub(super) trainer: &'a str,
    pub(super) student: &'a str,
    pub(super) classmate: &'a str,
    /// The class's address in the API, and its meeting's at the simulated Zoom.
    pub(super) path: &'a str,
    pub(super) meeting: &'a str,
    /// Five minutes before it begins.
    pub(super) before: jiff::Timestamp,
}

impl Lesson<'_> {
    /// Plays it. The clock is moved to the class, and on as it goes.
    pub(super) async fn play(&self, client: &mut Client) -> Result<(), Fault> {
        client.chapter("Teaching");
        let join = format!("{}/join", self.path);
        let early = client.post(self.student, &join, json!({})).await?.expect(409)?;
        client.holds(
            "an hour ahead the door is shut",
            early["code"] == "too_early",
            &early["opens_at"],
        )?;
        client.post("", "/local/clock", json!({"now": self.before})).await?.expect(200)?;
        let host = client.post(self.trainer, &join, json!({})).await?.expect(200)?;
        client.holds(
            "the trainer is let in as host",
            host["role"] == 1 && host["zak"].is_string(),
            &host["mode"],
        )?;
        let waiting = client.post(self.student, &join, json!({})).await?.expect(409)?;
        client.holds(
            "a student waits for them",
            waiting["code"] == "waiting_for_host",
            &waiting["code"],
        )?;
        self.act(client, "start", json!({})).await?;
        let class = client.get(self.trainer, self.path).await?.expect(200)?;
        client.holds(
            "Zoom says that it has begun",
            class["status"] == "live",
            &class["actual_started_at"],
        )?;

        let first = self.enter(client, self.student, &join, "Student 1").await?;
        self.enter(client, self.classmate, &join, "Student 2").await?;
        self.ask(client).await?;
        self.advance(client, "20m").await?;
        self.act(client, "leave", json!({"participant_uuid": first})).await?;
        self.advance(client, "5m").await?;
        self.enter(client, self.student, &join, "Student 1").await?;
        client.told("a student drops out and comes back", "another connection");
        self.act(client, "join", json!({"name": "Somebody"})).await?;
        self.advance(client, "30m").await?;
        self.act(client, "end", json!({})).await?;
        self.act(client, "recording", json!({})).await?;
        let class = client.get(self.trainer, self.path).await?.expect(200)?;
        client.holds(
            "and that it is over",
            class["status"] == "ended",
            &class["actual_ended_at"],
        )?;
        self.look_back(client).await
    }

    async fn look_back(&self, client: &mut Client) -> Result<(), Fault> {
        let of = |part: &str| format!("{}/{part}", self.path);
        let recordings = client.get(self.student, &of("recordings")).await?.expect(200)?;
        let first = &recordings["items"][0];
        client.holds(
            "a student may watch it, at Zoom",
            first["play_url"].is_string(),
            &first["play_url"],
        )?;
        let timeline = client.get(self.trainer, &of("timeline")).await?.expect(200)?;
        let kinds: Vec<_> = timeline["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| &entry["kind"])
            .collect();
        client.holds(
            "the timeline tells who clicked and what Zoom said",
            kinds.len() > 8,
            &json!(kinds),
        )?;

        let report = client.get(self.trainer, &of("attendance")).await?.expect(200)?;
        let rows = report["attendees"].as_array().cloned().unwrap_or_default();
        let row = |user: &str| {
            rows.iter().find(|row| row["user_id"] == user).cloned().unwrap_or_default()
        };
        let (one, two) = (row("student-1"), row("student-2"));
        client.holds(
            "both connections count, and the gap does not",
            one["connections"] == 2 && one["minutes"] == 50 && two["minutes"] == 55,
            &json!({"student-1": one["minutes"], "student-2": two["minutes"], "held": report["held_minutes"]}),
        )?;
        let stranger =
            rows.iter().find(|row| row["flags"].to_string().contains("needs_review")).cloned();
        let stranger = stranger.ok_or_else(|| Fault::missing(&report))?;
        client.holds(
            "whoever is not recognised waits for a decision",
            stranger["match"] == "none",
            &stranger["name"],
        )?;
        let decision = json!({"assign_to": {"user_id": "student-3"}, "reason": "Joined by phone."});
        let address = format!("{}/{}", of("attendance"), text(&stranger["attendee_id"])?);
        let assigned = client.put(self.trainer, &address, &decision, "").await?.expect(200)?;
        client.holds(
            "which the trainer makes, with a reason",
            assigned["user_id"] == "student-3",
            &assigned["minutes"],
        )?;
        let file = client
            .get(self.trainer, &format!("{}?format=csv", of("attendance")))
            .await?
            .expect_text(200)?;
        let lines = file.lines().count();
        client.holds("the report is a file, too", lines == 1 + 5, &json!(file.lines().nth(1)))
    }

    /// Puts a question to the class.
    async fn ask(&self, client: &mut Client) -> Result<(), Fault> {
        let polls = format!("{}/polls", self.path);
        let question = json!({"question": "Which fraction is larger?", "options": ["2/3", "3/4"]});
        let poll = client.post(self.trainer, &polls, question).await?.expect(201)?;
        client.holds(
            "the trainer asks the class",
            poll["state"] == "open" && poll["present"] == 2,
            &json!({"question": poll["question"], "present": poll["present"]}),
        )?;
        let address = format!("{polls}/{}", text(&poll["id"])?);
        let votes = [
            (self.student, 0, "a student answers", json!([1, 0])),
            (self.classmate, 1, "so does another", json!([1, 1])),
            (self.student, 1, "and the first thinks again", json!([0, 2])),
        ];
        for (person, option, step, expected) in votes {
            let choice = json!({"option_ids": [poll["options"][option]["id"]]});
            let vote = format!("{address}/vote");
            let seen = client.put(person, &vote, &choice, "").await?.expect(200)?;
            let tally = json!([seen["options"][0]["votes"], seen["options"][1]["votes"]]);
            client.holds(step, tally == expected, &tally)?;
        }
        let close = format!("{address}/close");
        let closed = client.post(self.trainer, &close, json!({})).await?.expect(200)?;
        client.holds(
            "the poll is closed",
            closed["state"] == "closed" && closed["responses"] == 2,
            &json!({"responses": closed["responses"], "rate": closed["response_rate"]}),
        )?;
        let choice = json!({"option_ids": [poll["options"][0]["id"]]});
        let vote = format!("{address}/vote");
        let late = client.put(self.student, &vote, &choice, "").await?.expect(409)?;
        client.holds("and takes no more votes", late["code"] == "poll_closed", &late["code"])?;
        let seen = client.get(self.trainer, &polls).await?.expect(200)?;
        let voters = &seen["items"][0]["voters"];
        client.holds("its owner reads who chose what", voters[1].is_object(), voters)
    }

    /// Lets somebody in, and has their client appear at Zoom under the key that they were given.
    async fn enter(
        &self,
        client: &mut Client,
        person: &str,
        join: &str,
        name: &str,
    ) -> Result<String, Fault> {
        let pass = client.post(person, join, json!({})).await?.expect(200)?;
        let body = json!({"name": name, "customer_key": pass["customer_key"]});
        let connection = self.act(client, "join", body).await?;
        client.holds(&format!("{name} is let in"), pass["role"] == 0, &pass["mode"])?;
        text(&connection["participant_uuid"]).map(str::to_owned)
    }

    async fn act(&self, client: &Client, verb: &str, body: Value) -> Result<Value, Fault> {
        client.post("", &format!("{}/{verb}", self.meeting), body).await?.expect(200)
    }

    async fn advance(&self, client: &Client, by: &str) -> Result<(), Fault> {
        client.post("", "/local/clock", json!({"advance": by})).await?.expect(200).map(drop)
    }
}
