//! A receiver that answers 200 to every request and counts.
//!
//! It implements only as much of HTTP/1.1 as requests with a length need, so that it uses little of the machine.

use anyhow::Context as _;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// How many connections may wait to be accepted. Thousands of endpoints connect at the same time, and a refused one tries again
/// only after a second.
const BACKLOG: u32 = 4_096;
/// The field of a body with the time of the publish, in nanoseconds since 1970.
const SENT: &[u8] = b"\"sent\":";

#[derive(Clone)]
pub struct CountingReceiver(Arc<ReceiverState>);

struct ReceiverState {
    address: SocketAddr,
    begun: Instant,
    delay: Duration,
    count: AtomicU64,
    /// The first request, in nanoseconds since `begun`.
    first: AtomicU64,
    last: AtomicU64,
    /// The times from publish to receipt in microseconds; empty unless bodies have the time of the publish.
    latencies: Mutex<Vec<u32>>,
}

/// The requests since the last [`CountingReceiver::reset`].
#[derive(Clone, Copy, Debug)]
pub struct ReceivedCount {
    pub count: u64,
    /// Between the first and the last.
    pub span: Duration,
}

impl CountingReceiver {
    /// Starts a receiver that waits for `delay` before each answer.
    pub async fn start(delay: Duration) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4().context("failed to make a socket")?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("failed to bind")?;
        let listener = socket.listen(BACKLOG).context("failed to listen")?;
        let sink = Self(Arc::new(ReceiverState {
            address: listener.local_addr()?,
            begun: Instant::now(),
            delay,
            count: AtomicU64::new(0),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            latencies: Mutex::default(),
        }));
        let own = sink.clone();
        // The task ends with the process.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = own.clone();
                tokio::spawn(async move { sink.serve(stream).await });
            }
        });
        Ok(sink)
    }

    pub fn url(&self) -> String {
        format!("http://{}/webhook", self.0.address)
    }

    pub fn reset(&self) {
        self.0.count.store(0, Ordering::SeqCst);
        self.latencies().clear();
    }

    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }

    pub fn seen(&self) -> ReceivedCount {
        let nanoseconds = self.0.last.load(Ordering::SeqCst).saturating_sub(self.0.first.load(Ordering::SeqCst));
        ReceivedCount { count: self.count(), span: Duration::from_nanos(nanoseconds) }
    }

    pub fn take_latencies(&self) -> Vec<u32> {
        std::mem::take(&mut *self.latencies())
    }

    /// Waits for `count` requests.
    pub async fn wait_for(&self, count: u64, within: Duration) -> anyhow::Result<ReceivedCount> {
        let deadline = Instant::now() + within;
        while self.count() < count {
            anyhow::ensure!(Instant::now() < deadline, "{} of {count} deliveries within {within:?}", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(self.seen())
    }

    /// Serves a connection until it ends. A malformed request ends it.
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut buffer = Vec::with_capacity(16 * 1024);
        loop {
            while let Some(length) = request_length(&buffer) {
                self.saw(&buffer[..length]);
                buffer.drain(..length);
                if !self.0.delay.is_zero() {
                    tokio::time::sleep(self.0.delay).await;
                }
                stream.write_all(ANSWER).await.ok()?;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    fn saw(&self, request: &[u8]) {
        let at = self.0.begun.elapsed().as_nanos() as u64;
        if self.0.count.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.first.store(at, Ordering::SeqCst);
        }
        self.0.last.fetch_max(at, Ordering::SeqCst);
        if let Some(latency) = latency(request) {
            self.latencies().push(latency);
        }
    }

    fn latencies(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.0.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The length of the first request in `buffer`, if it is complete.
fn request_length(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")? + 4;
    let length = find(&buffer[..head], b"ontent-length: ").or_else(|| find(&buffer[..head], b"ontent-Length: "))?;
    let digits = buffer[length + 15..].split(|byte| *byte == b'\r').next()?;
    let body: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (buffer.len() >= head + body).then_some(head + body)
}

fn latency(request: &[u8]) -> Option<u32> {
    let at = find(request, SENT)? + SENT.len();
    let digits = request[at..].split(|byte| !byte.is_ascii_digit()).next()?;
    let sent: u128 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some((now.saturating_sub(sent) / 1_000) as u32)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
