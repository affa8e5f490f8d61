//! Captures the log of a test in production's format.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};

use serde_json::Value;

/// Every level of our own code, and `info` for the libraries.
const LEVEL: &str = "info,shared=trace";

/// The value of the metrics' deployment dimension.
pub(crate) const DEPLOYMENT: &str = "/aws/lambda/live-classes";

thread_local! {
    /// The buffer that receives this thread's lines.
    static BUFFER: RefCell<LogBuffer> = RefCell::default();
}

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that this thread has logged since `start`. A test that reads the log of other tasks runs on one thread.
pub(crate) struct CapturedLog(LogBuffer);

impl CapturedLog {
    /// Installs one subscriber for the whole process. With one per test, `tracing` caches a callsite as disabled once a
    /// test without a subscriber reaches it.
    pub(crate) fn start() -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let writer = || BUFFER.with_borrow(LogBuffer::clone);
            tracing::subscriber::set_global_default(shared::telemetry::subscriber(
                LEVEL, DEPLOYMENT, writer,
            ))
            .expect("the only subscriber of this process");
        });
        let buffer = LogBuffer::default();
        BUFFER.set(buffer.clone());
        Self(buffer)
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("UTF-8 text")
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("one JSON object per line");
        self.text().lines().map(parse).collect()
    }

    /// Returns the lines of one log event.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == event).collect()
    }
}
