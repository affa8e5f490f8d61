//! A local HTTP server for tests with configured responses and recorded requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Loopback {
    address: SocketAddr,
    received: Arc<Received>,
}

#[derive(Debug, Default)]
struct Received {
    requests: Mutex<Vec<LoopbackRequest>>,
    connections: AtomicUsize,
}

#[derive(Clone, Debug)]
pub(crate) struct LoopbackRequest {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl LoopbackRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LoopbackResponse {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
    half: bool,
    close: bool,
}

impl LoopbackResponse {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
            after: Duration::ZERO,
            half: false,
            close: false,
        }
    }

    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::with(200, body)
    }

    pub(crate) fn with(status: u16, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::status(status) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Delays the response by `after`.
    pub(crate) fn delayed(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Sends half of the body and closes the connection.
    pub(crate) fn truncated(mut self) -> Self {
        self.half = true;
        self
    }

    /// Closes the connection after the response without a `Connection: close` header.
    pub(crate) fn then_close(mut self) -> Self {
        self.close = true;
        self
    }
}

impl Loopback {
    /// Starts a server that runs until the process ends.
    pub(crate) fn start(
        respond: impl Fn(&LoopbackRequest) -> LoopbackResponse + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Received::default());
        let (respond, shared) = (Arc::new(respond), Arc::clone(&received));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (respond, received) = (Arc::clone(&respond), Arc::clone(&shared));
                thread::spawn(move || serve(&stream, &received, &*respond));
            }
        });
        Self { address, received }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<LoopbackRequest> {
        self.received.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.received.connections.load(Ordering::SeqCst)
    }
}

/// Returns a URL on which no server listens.
pub(crate) fn unreachable_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

fn serve(
    stream: &TcpStream,
    received: &Received,
    respond: &dyn Fn(&LoopbackRequest) -> LoopbackResponse,
) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        received.requests.lock().unwrap().push(request.clone());
        let response = respond(&request);
        thread::sleep(response.after);
        let mut head = format!("HTTP/1.1 {} -\r\n", response.status);
        for (name, value) in &response.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", response.body.len()));
        let sent = if response.half { response.body.len() / 2 } else { response.body.len() };
        let mut writer = stream;
        let written = writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(&response.body.as_bytes()[..sent]));
        if written.is_err() || response.half || response.close {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<LoopbackRequest> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = LoopbackRequest { path, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
