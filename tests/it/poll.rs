//! Polls: each voter has one vote, which can be changed until the poll is closed.

mod ballots;
mod cost;
mod privacy;
mod repeat;
mod results;
mod rules;

use http::Method;
use serde_json::{Value, json};

use crate::world::{Response, World};
use crate::zoom_session::ScheduledSession;

/// A session of `course-1` with polls.
struct PollSetup {
    world: World,
    session: ScheduledSession,
    trainer: String,
}

impl PollSetup {
    /// A session that begins in an hour.
    async fn scheduled() -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let session =
            ScheduledSession::schedule(&world, &trainer, crate::world::course_session_body(1))
                .await;
        Self { world, session, trainer }
    }

    async fn live() -> Self {
        let setup = Self::scheduled().await;
        setup.world.advance(jiff::SignedDuration::from_hours(1));
        setup.session.post_event(&setup.world, &setup.session.started("u1", 0)).await;
        setup
    }

    /// Ends the meeting that [`Self::live`] started, 10 minutes after its start.
    async fn end(&self) {
        self.world.advance(jiff::SignedDuration::from_mins(10));
        self.session.post_event(&self.world, &self.session.ended("u1", 0, 10)).await;
    }

    fn polls(&self) -> String {
        format!("{}/polls", self.session.path)
    }

    async fn launch(&self, body: Value) -> Response {
        self.world.post(&self.trainer, &self.polls(), body).await
    }

    /// Launches a question with two options.
    async fn launch_question(&self) -> Value {
        self.launch(question()).await.expect(201)
    }

    async fn close(&self, poll: &Value) -> Response {
        let path = format!("{}/{}/close", self.polls(), text(&poll["id"]));
        self.world.call(Method::POST, &path, &self.trainer, None, &[]).await
    }

    async fn vote(&self, token: &str, poll: &Value, options: &[usize]) -> Response {
        let ids: Vec<_> = options.iter().map(|n| option(poll, *n)).collect();
        self.world.put(token, &vote_path(self, poll), json!({ "option_ids": ids })).await
    }

    /// The newest poll as this caller sees it.
    async fn newest_poll(&self, token: &str) -> Value {
        self.world.get(token, &self.polls()).await.expect(200)["items"][0].clone()
    }
}

fn vote_path(setup: &PollSetup, poll: &Value) -> String {
    format!("{}/{}/vote", setup.polls(), text(&poll["id"]))
}

fn question() -> Value {
    json!({"question": "Which fraction is larger?", "options": ["2/3", "3/4"]})
}

fn option(poll: &Value, n: usize) -> Value {
    poll["options"][n]["id"].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

/// The votes per option, and the number of responses.
fn tally(poll: &Value) -> (Vec<u64>, u64) {
    let options = poll["options"].as_array().expect("options").iter();
    let votes = options.map(|option| option["votes"].as_u64().expect("a number"));
    (votes.collect(), poll["responses"].as_u64().expect("a number"))
}
