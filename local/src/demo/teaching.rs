//! Steps during and after the class: joining, polls, status, recordings and the attendance report.

use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::text;

/// The people, the class and its meeting.
pub(super) struct LiveSession<'a> {
    pub(super) trainer: &'a str,
    pub(super) student: &'a str,
    pub(super) classmate: &'a str,
    /// Path of the session in the API.
    pub(super) path: &'a str,
    /// Path of the meeting at the simulated Zoom.
    pub(super) meeting: &'a str,
    pub(super) five_minutes_before: jiff::Timestamp,
}

impl LiveSession<'_> {
    /// Plays the class. Moves the clock to its start and advances it.
    pub(super) async fn play(&self, client: &mut Client) -> Result<(), DemoError> {
        client.print_heading("Teaching");
        let join = format!("{}/join", self.path);
        let early = client.post(self.student, &join, json!({})).await?.expect(409)?;
        client.check(
            "students cannot join an hour before the class",
            early["code"] == "too_early",
            &early["opens_at"],
        )?;
        client
            .post("", "/local/clock", json!({"now": self.five_minutes_before}))
            .await?
            .expect(200)?;
        let host = client.post(self.trainer, &join, json!({})).await?.expect(200)?;
        client.check(
            "the trainer can join as host",
            host["role"] == 1 && host["zak"].is_string(),
            &host["mode"],
        )?;
        let link =
            client.post(self.student, &join, json!({"prefer": "link"})).await?.expect(200)?;
        client.check(
            "a student whose browser cannot run the SDK gets a link",
            link["mode"] == "link" && link["join_url"].is_string(),
            &link["mode"],
        )?;
        self.act(client, "start", json!({})).await?;
        let class = client.get(self.trainer, self.path).await?.expect(200)?;
        client.check(
            "the class is live when the meeting starts",
            class["status"] == "live",
            &class["actual_started_at"],
        )?;

        let first = self.join(client, self.student, &join, "Student 1").await?;
        self.join(client, self.classmate, &join, "Student 2").await?;
        self.run_poll(client).await?;
        self.advance(client, "20m").await?;
        self.act(client, "leave", json!({"participant_uuid": first})).await?;
        self.advance(client, "5m").await?;
        self.join(client, self.student, &join, "Student 1").await?;
        client.pass("a student loses the connection and rejoins", "a second connection");
        self.act(client, "join", json!({"name": "Somebody"})).await?;
        self.advance(client, "30m").await?;
        self.act(client, "end", json!({})).await?;
        self.act(client, "recording", json!({})).await?;
        let class = client.get(self.trainer, self.path).await?.expect(200)?;
        client.check(
            "the class has ended when the meeting ends",
            class["status"] == "ended",
            &class["actual_ended_at"],
        )?;
        self.review(client).await
    }

    async fn review(&self, client: &mut Client) -> Result<(), DemoError> {
        let subpath = |part: &str| format!("{}/{part}", self.path);
        let recordings = client.get(self.student, &subpath("recordings")).await?.expect(200)?;
        let first = &recordings["items"][0];
        let plays_at_once = first["play_url"].as_str().is_some_and(|url| url.contains("?pwd="));
        client.check(
            "a student can watch the recording at Zoom without typing its passcode",
            plays_at_once && first["visibility"] == "invited",
            &first["play_url"],
        )?;
        let class = client.get(self.student, self.path).await?.expect(200)?;
        client.check(
            "the class shows that it has a recording",
            class["has_recording"] == true,
            &class["has_recording"],
        )?;
        let timeline = client.get(self.trainer, &subpath("timeline")).await?.expect(200)?;
        let kinds: Vec<_> = timeline["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| &entry["kind"])
            .collect();
        client.check(
            "the timeline lists join attempts and Zoom's events",
            kinds.len() > 8,
            &json!(kinds),
        )?;
        self.review_attendance(client).await
    }

    async fn review_attendance(&self, client: &mut Client) -> Result<(), DemoError> {
        let attendance = format!("{}/attendance", self.path);
        let report = client.get(self.trainer, &attendance).await?.expect(200)?;
        let rows = report["attendees"].as_array().cloned().unwrap_or_default();
        let row = |user: &str| {
            rows.iter().find(|row| row["user_id"] == user).cloned().unwrap_or_default()
        };
        let (first, second) = (row("student-1"), row("student-2"));
        client.check(
            "attendance counts both connections but not the gap",
            first["connections"] == 2 && first["minutes"] == 50 && second["minutes"] == 55,
            &json!({"student-1": first["minutes"], "student-2": second["minutes"], "class": report["held_minutes"]}),
        )?;
        let absent = row("student-4");
        client.check(
            "the report gives each person a status",
            first["status"].is_string() && absent["status"] == "absent",
            &json!({"student-1": first["status"], "student-4": absent["status"], "counted": report["counted_minutes"]}),
        )?;
        let unknown =
            rows.iter().find(|row| row["flags"].to_string().contains("needs_review")).cloned();
        let unknown = unknown.ok_or_else(|| DemoError::missing(&report))?;
        client.check(
            "an unknown participant needs a review",
            unknown["match"] == "none",
            &unknown["name"],
        )?;
        let assignment =
            json!({"assign_to": {"user_id": "student-3"}, "reason": "Joined by phone."});
        let address = format!("{attendance}/{}", text(&unknown["attendee_id"])?);
        let assigned = client.put(self.trainer, &address, &assignment, "").await?.expect(200)?;
        client.check(
            "the trainer assigns the participant and gives a reason",
            assigned["user_id"] == "student-3",
            &assigned["minutes"],
        )?;
        let file = client
            .get(self.trainer, &format!("{attendance}?format=csv"))
            .await?
            .expect_text(200)?;
        let lines = file.lines().count();
        client.check(
            "the report is also available as CSV",
            lines == 1 + 5,
            &json!(file.lines().nth(1)),
        )
    }

    /// Runs a poll.
    async fn run_poll(&self, client: &mut Client) -> Result<(), DemoError> {
        let polls = format!("{}/polls", self.path);
        let question = json!({"question": "Which fraction is larger?", "options": ["2/3", "3/4"]});
        let poll = client.post(self.trainer, &polls, question).await?.expect(201)?;
        client.check(
            "the trainer opens a poll",
            poll["state"] == "open" && poll["present"] == 2,
            &json!({"question": poll["question"], "present": poll["present"]}),
        )?;
        let address = format!("{polls}/{}", text(&poll["id"])?);
        let votes = [
            (self.student, 0, "a student votes", json!([1, 0])),
            (self.classmate, 1, "another student votes", json!([1, 1])),
            (self.student, 1, "the first student changes the vote", json!([0, 2])),
        ];
        for (person, option, step, expected) in votes {
            let choice = json!({"option_ids": [poll["options"][option]["id"]]});
            let vote = format!("{address}/vote");
            let seen = client.put(person, &vote, &choice, "").await?.expect(200)?;
            let tally = json!([seen["options"][0]["votes"], seen["options"][1]["votes"]]);
            client.check(step, tally == expected, &tally)?;
        }
        let close = format!("{address}/close");
        let closed = client.post(self.trainer, &close, json!({})).await?.expect(200)?;
        client.check(
            "the poll is closed",
            closed["state"] == "closed" && closed["responses"] == 2,
            &json!({"responses": closed["responses"], "rate": closed["response_rate"]}),
        )?;
        let choice = json!({"option_ids": [poll["options"][0]["id"]]});
        let vote = format!("{address}/vote");
        let late = client.put(self.student, &vote, &choice, "").await?.expect(409)?;
        client.check(
            "a closed poll accepts no more votes",
            late["code"] == "poll_closed",
            &late["code"],
        )?;
        let seen = client.get(self.trainer, &polls).await?.expect(200)?;
        let voters = &seen["items"][0]["voters"];
        client.check("the trainer sees the vote of each student", voters[1].is_object(), voters)
    }

    /// Requests join credentials and joins the meeting at the simulated Zoom with their customer key.
    async fn join(
        &self,
        client: &mut Client,
        person: &str,
        join: &str,
        name: &str,
    ) -> Result<String, DemoError> {
        let credentials = client.post(person, join, json!({})).await?.expect(200)?;
        let body = json!({"name": name, "customer_key": credentials["customer_key"]});
        let connection = self.act(client, "join", body).await?;
        client.check(
            &format!("{name} can join"),
            credentials["role"] == 0,
            &credentials["mode"],
        )?;
        text(&connection["participant_uuid"]).map(str::to_owned)
    }

    async fn act(&self, client: &Client, action: &str, body: Value) -> Result<Value, DemoError> {
        client.post("", &format!("{}/{action}", self.meeting), body).await?.expect(200)
    }

    async fn advance(&self, client: &Client, by: &str) -> Result<(), DemoError> {
        client.post("", "/local/clock", json!({"advance": by})).await?.expect(200).map(drop)
    }
}
