//! The usage of single requests, by the stack's meter.

use serde_json::{Value, json};

use super::client::{Client, DemoError};

/// The meter of one function, read before a request.
pub(super) struct Meter {
    function: &'static str,
    before: Value,
}

impl Meter {
    pub(super) async fn start(client: &Client, function: &'static str) -> Result<Self, DemoError> {
        Ok(Self { function, before: totals(client, function).await? })
    }

    /// Prints the usage of the function since the start.
    pub(super) async fn report(self, client: &mut Client, step: &str) -> Result<(), DemoError> {
        let after = totals(client, self.function).await?;
        let used = |name: &str| {
            let [before, after] = [&self.before, &after].map(|all| all[name].as_f64());
            after.unwrap_or_default() - before.unwrap_or_default()
        };
        let [calls, reads, writes] = ["calls", "read_units", "write_units"].map(used);
        let found = json!({"calls": calls, "read_units": reads, "write_units": writes});
        client.check(step, calls > 0.0, &found)
    }
}

async fn totals(client: &Client, function: &str) -> Result<Value, DemoError> {
    let usage = client.get("", "/local/usage").await?.expect(200)?;
    Ok(usage["functions"][function]["totals"].clone())
}
