//! A trainer asks the class, and the class answers: once each, until the poll is closed, and as often as they click.

mod ballots;
mod cost;
mod forgotten;
mod rules;

use http::Method;
use serde_json::{Value, json};

use crate::lesson::Lesson;
use crate::world::{Answer, World};

/// A class of `course-1` that is being taught.
struct Class {
    world: World,
    lesson: Lesson,
    trainer: String,
}

impl Class {
    /// A class that begins in an hour.
    async fn scheduled() -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let lesson = Lesson::of(&world, &trainer, crate::world::course_class(1)).await;
        Self { world, lesson, trainer }
    }

    async fn live() -> Self {
        let class = Self::scheduled().await;
        class.world.advance(jiff::SignedDuration::from_hours(1));
        class.lesson.tell(&class.world, &class.lesson.started("u1", 0)).await;
        class
    }

    fn polls(&self) -> String {
        format!("{}/polls", self.lesson.path)
    }

    async fn launch(&self, body: Value) -> Answer {
        self.world.post(&self.trainer, &self.polls(), body).await
    }

    /// Launches a question with two options.
    async fn ask(&self) -> Value {
        self.launch(question()).await.expect(201)
    }

    async fn close(&self, poll: &Value) -> Answer {
        let path = format!("{}/{}/close", self.polls(), text(&poll["id"]));
        self.world.call(Method::POST, &path, &self.trainer, None, &[]).await
    }

    async fn vote(&self, token: &str, poll: &Value, options: &[usize]) -> Answer {
        let ids: Vec<_> = options.iter().map(|n| option(poll, *n)).collect();
        self.world.put(token, &vote_path(self, poll), json!({ "option_ids": ids })).await
    }

    /// The newest poll, as somebody sees it.
    async fn seen(&self, token: &str) -> Value {
        self.world.get(token, &self.polls()).await.expect(200)["items"][0].clone()
    }
}

fn vote_path(class: &Class, poll: &Value) -> String {
    format!("{}/{}/vote", class.polls(), text(&poll["id"]))
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

/// The votes for each option, and how many answered.
fn tally(poll: &Value) -> (Vec<u64>, u64) {
    let options = poll["options"].as_array().expect("options").iter();
    let votes = options.map(|option| option["votes"].as_u64().expect("a number"));
    (votes.collect(), poll["responses"].as_u64().expect("a number"))
}
