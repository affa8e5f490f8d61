//! The log, as production writes it, kept for a test to read.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};

use serde_json::Value;

/// All of ours, and of the libraries what `info` lets them say.
const LEVEL: &str = "info,shared=trace";

/// What metrics are counted under.
pub(crate) const DEPLOYMENT: &str = "/aws/lambda/live-classes";

thread_local! {
    /// Where this thread's lines go.
    static PAGE: RefCell<Page> = RefCell::default();
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What this thread logs from here on. A test that waits for others runs on one thread to read all of it.
pub(crate) struct Log(Page);

impl Log {
    /// One subscriber for the whole process: with one per test, `tracing` forgets a line for good that a test without
    /// any came to first.
    pub(crate) fn start() -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let writer = || PAGE.with_borrow(Page::clone);
            tracing::subscriber::set_global_default(shared::telemetry::subscriber(
                LEVEL, DEPLOYMENT, writer,
            ))
            .expect("nobody else logs in this process");
        });
        let page = Page::default();
        PAGE.set(page.clone());
        Self(page)
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("text")
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let read = |line: &str| serde_json::from_str(line).expect("one JSON object in a line");
        self.text().lines().map(read).collect()
    }

    /// The lines of one event.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == event).collect()
    }
}
