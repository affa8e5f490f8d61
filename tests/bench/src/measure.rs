//! Measurements of a built function: instructions, memory and size.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::BoxError;
use crate::runtime::Runtime;

/// Under valgrind a function takes seconds instead of milliseconds. After this time it is considered hanging.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A built function with its environment.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Subject {
    /// Counts the instructions from the start until the function has handled these events and requests another one.
    /// Callgrind's file stays in `directory`, for `callgrind_annotate`.
    pub(crate) async fn count_instructions(
        &self,
        events: Vec<Value>,
        directory: &Path,
    ) -> Result<u64, BoxError> {
        let name = self.name.replace(", ", "-").replace(' ', "-");
        let file = directory.join(format!("callgrind.{name}.{}", events.len()));
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(&self.program);
        let child = self.run_events(valgrind, events).await?;
        stop(child).await?;
        let profile = std::fs::read_to_string(&file)?;
        let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.ok_or("callgrind counted nothing")?.trim().parse()?)
    }

    /// Returns the peak memory after one event, in KiB.
    pub(crate) async fn peak_memory_kib(&self, event: Value) -> Result<u64, BoxError> {
        let child = self.run_events(Command::new(&self.program), vec![event]).await?;
        let id = child.id().ok_or("the function has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        stop(child).await?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("the kernel reports no peak memory")?.parse()?)
    }

    /// Starts the program and waits until it has handled all events successfully and requests another one.
    async fn run_events(
        &self,
        mut program: Command,
        events: Vec<Value>,
    ) -> Result<Child, BoxError> {
        let expected = events.len();
        let runtime = Runtime::start(events).await?;
        let mut child = program
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("AWS_LAMBDA_RUNTIME_API", runtime.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "hello")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        tokio::select! {
            idle = timeout(TIMEOUT, runtime.idle()) => idle.map_err(|_| "the function does not respond")?,
            ended = child.wait() => return Err(format!("{} ended: {}", self.name, ended?).into()),
        }
        let responses = runtime.responses();
        let good = |response: &[u8]| {
            serde_json::from_slice::<Value>(response)
                .is_ok_and(|response| response["statusCode"] == 200)
        };
        match responses.iter().find(|response| !good(response)) {
            None if responses.len() == expected => Ok(child),
            None => {
                Err(format!("{}: {} of {expected} responses", self.name, responses.len()).into())
            }
            Some(bad) => Err(format!("{}: {}", self.name, String::from_utf8_lossy(bad)).into()),
        }
    }
}

/// Stops a program with SIGTERM, so that valgrind writes its results.
async fn stop(mut child: Child) -> Result<(), BoxError> {
    let id = child.id().ok_or("the function has ended by itself")?;
    Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await?;
    timeout(TIMEOUT, child.wait()).await??;
    Ok(())
}

/// Returns the size of a program as Lambda stores it, compressed by `zip -9`.
pub(crate) async fn deflated_size(program: &Path) -> Result<u64, BoxError> {
    let mut zip = Command::new("zip")
        .args(["-9", "--quiet", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = zip.stdin.take().ok_or("no way directory zip")?;
    let bytes = std::fs::read(program)?;
    let (zipped, written) = tokio::join!(zip.wait_with_output(), async {
        let written = input.write_all(&bytes).await;
        drop(input);
        written
    });
    written?;
    Ok(u64::try_from(zipped?.stdout.len())?)
}
