//! What is counted of a built function: instructions, memory, bytes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Fault;
use crate::runtime::Runtime;

/// Valgrind takes a second or two for what a function does in milliseconds; beyond this it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A built function in its environment.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Subject {
    /// The instructions from its start until it has answered these events and asks for one more. Callgrind's file stays
    /// in `into`, for `callgrind_annotate`.
    pub(crate) async fn instructions(&self, events: Vec<Value>, into: &Path) -> Result<u64, Fault> {
        let name = self.name.replace(", ", "-").replace(' ', "-");
        let file = into.join(format!("callgrind.{name}.{}", events.len()));
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(&self.program);
        let child = self.answered(valgrind, events).await?;
        stop(child).await?;
        let profile = std::fs::read_to_string(&file)?;
        let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.ok_or("callgrind counted nothing")?.trim().parse()?)
    }

    /// The most memory that it has held once it has answered one event and is idle, in KiB.
    pub(crate) async fn memory(&self, event: Value) -> Result<u64, Fault> {
        let child = self.answered(Command::new(&self.program), vec![event]).await?;
        let id = child.id().ok_or("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        stop(child).await?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("the kernel does not say")?.parse()?)
    }

    /// Lets the program answer the events, each with success, and leaves it waiting for another.
    async fn answered(&self, mut program: Command, events: Vec<Value>) -> Result<Child, Fault> {
        let expected = events.len();
        let runtime = Runtime::with(events).await?;
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
            idle = timeout(PATIENCE, runtime.idle()) => idle.map_err(|_| "it does not answer")?,
            ended = child.wait() => return Err(format!("{} ended: {}", self.name, ended?).into()),
        }
        let answers = runtime.answers();
        let good = |answer: &[u8]| {
            serde_json::from_slice::<Value>(answer).is_ok_and(|answer| answer["statusCode"] == 200)
        };
        match answers.iter().find(|answer| !good(answer)) {
            None if answers.len() == expected => Ok(child),
            None => Err(format!("{}: {} answers of {expected}", self.name, answers.len()).into()),
            Some(bad) => Err(format!("{}: {}", self.name, String::from_utf8_lossy(bad)).into()),
        }
    }
}

/// Ends a program in the way in which valgrind still writes down what it counted.
async fn stop(mut child: Child) -> Result<(), Fault> {
    let id = child.id().ok_or("it has ended by itself")?;
    Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await?;
    timeout(PATIENCE, child.wait()).await??;
    Ok(())
}

/// The bytes of a program as Lambda stores it, by `zip -9`.
pub(crate) async fn deflated(program: &Path) -> Result<u64, Fault> {
    let mut zip = Command::new("zip")
        .args(["-9", "--quiet", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = zip.stdin.take().ok_or("no way into zip")?;
    let bytes = std::fs::read(program)?;
    let (zipped, written) = tokio::join!(zip.wait_with_output(), async {
        let written = input.write_all(&bytes).await;
        drop(input);
        written
    });
    written?;
    Ok(u64::try_from(zipped?.stdout.len())?)
}
