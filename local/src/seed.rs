//! The starting data of the stack: lines as `POST /v1/directory/import` takes them.

use std::path::PathBuf;

use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::{Env, names};
use shared::handlers::directory;
use shared::handlers::function::Function;
use shared::random::Random;
use shared::telemetry;

/// The function that imports the starting data.
const FUNCTION: &str = "directory";
/// The number of rejected lines in an error. The import lists more.
const SHOWN_REJECTIONS: usize = 10;

/// The contents of a new stack.
#[derive(Clone, Debug, Default)]
pub enum SeedSource {
    /// A small school.
    #[default]
    School,
    Nothing,
    /// A file of directory commands (NDJSON).
    File(PathBuf),
}

/// Why the starting data cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("{file} cannot be read: {source}")]
    File { file: String, source: std::io::Error },
    #[error("{file} has no line. Use --no-seed to start without data")]
    Empty { file: String },
    #[error("{name} was refused:{}", lines.concat())]
    Rejected { name: String, lines: Vec<String> },
    #[error("{name} cannot be imported: {reason}")]
    Import { name: String, reason: String },
}

/// The starting data of one stack.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The file, for errors.
    name: String,
    lines: String,
}

impl Seed {
    /// Reads the starting data.
    pub fn read(source: &SeedSource) -> Result<Self, SeedError> {
        match source {
            SeedSource::Nothing => Ok(Self { name: String::new(), lines: String::new() }),
            SeedSource::School => {
                let lines: Vec<_> = school().iter().map(Value::to_string).collect();
                Ok(Self { name: "the starting data".to_owned(), lines: lines.join("\n") })
            }
            SeedSource::File(path) => {
                let file = path.display().to_string();
                let lines = std::fs::read_to_string(path)
                    .map_err(|source| SeedError::File { file: file.clone(), source })?;
                match lines.trim().is_empty() {
                    true => Err(SeedError::Empty { file }),
                    false => Ok(Self { name: file, lines }),
                }
            }
        }
    }

    /// Returns the commands, for `GET /local/directory`.
    pub fn commands(&self) -> Vec<Value> {
        self.lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Returns a trainer with a course of five students, a second trainer, and a student without a course. The directory
/// does not contain the outside guest, `guest@example.test`.
fn school() -> Vec<Value> {
    let user = |id: &str, email: &str, name: &str, role: &str, plan: Option<&str>| json!({"type": "user", "id": id, "email": email, "name": name, "role": role, "plan": plan});
    let mut all = vec![
        json!({"type": "settings", "live_classes_enabled": true, "plans": {
            "free": {"sessions_per_month": 4, "max_duration_minutes": 60, "max_invitees": 20, "recording": false},
            "pro": {},
        }}),
        user("trainer-1", "trainer@example.test", "Tara Trainer", "trainer", Some("pro")),
        user("trainer-2", "trainer2@example.test", "Tom Teacher", "trainer", Some("pro")),
        json!({"type": "course", "id": "course-1", "title": "Algebra I", "trainer_id": "trainer-1"}),
        user("student-9", "student9@example.test", "Student Nine", "student", None),
    ];
    for n in 1..=5 {
        let (id, email, name) =
            (format!("student-{n}"), format!("student{n}@example.test"), format!("Student {n}"));
        all.push(user(&id, &email, &name, "student", None));
        all.push(json!({
            "type": "enrollment", "course_id": "course-1", "user_id": id, "email": email, "name": name, "access_granted": true,
        }));
    }
    all
}

/// Imports the starting data like the `directory` function, without a request and its token. Returns the warnings about
/// references to records that do not exist.
pub async fn load(
    seed: &Seed,
    environment: &[(String, String)],
    clock: &Clock,
    random: &Random,
) -> Result<Vec<String>, SeedError> {
    if seed.lines.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |reason: String| SeedError::Import { name: seed.name.clone(), reason };
    let function_name = (names::AWS_LAMBDA_FUNCTION_NAME.to_owned(), FUNCTION.to_owned());
    let environment = environment.iter().cloned().chain([function_name]);
    let function = Function::new(&Env::from_pairs(environment), clock.clone(), random);
    let imported = Box::pin(directory::import_file(&function, seed.lines.as_bytes())).await;
    let outcome = imported.map_err(|error| failed(telemetry::error_chain(&error).to_string()))?;
    if let Some(line) = outcome["next_line"].as_u64() {
        return Err(failed(format!("the import ended before line {line}")));
    }
    let rejected = outcome["rejected"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rejected.is_empty() {
        return Ok(warnings(seed, &outcome["warnings"]));
    }
    let text = |rejected: &Value, name: &str| {
        rejected[name].as_str().map_or_else(|| rejected[name].to_string(), str::to_owned)
    };
    let describe = |rejected: &Value| {
        let [line, code, field, message] =
            ["line", "code", "field", "message"].map(|name| text(rejected, name));
        format!("\n  line {line}: {code} ({field} {message})")
    };
    let lines = rejected.iter().take(SHOWN_REJECTIONS).map(describe).collect();
    Err(SeedError::Rejected { name: seed.name.clone(), lines })
}

/// Describes the warnings of an import.
fn warnings(seed: &Seed, warnings: &Value) -> Vec<String> {
    let Some(warnings) = warnings.as_array() else {
        return vec![format!("{}: there was no time to look for unknown records.", seed.name)];
    };
    let describe = |warning: &Value| {
        let word = |name: &str| warning[name].as_str().unwrap_or_default().replace('_', " ");
        let lines = warning["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let listed: Vec<_> = lines.iter().map(Value::to_string).collect();
        let count = warning["count"].as_u64().unwrap_or_default();
        let more = if count > listed.len() as u64 { ", …" } else { "" };
        let (code, kind, lines) = (word("code"), word("kind"), listed.join(", "));
        let noun = if count == 1 { "line" } else { "lines" };
        format!("{}: {code} in {count} {noun} of type {kind}: {lines}{more}", seed.name)
    };
    warnings.iter().map(describe).collect()
}
