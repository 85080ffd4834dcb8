//! Bounds the work that a receiver can cause: bytes and reads, not only time.
//!
//! A receiver chooses how much it sends before its answer: interim answers, frames, chunks of one byte, records of TLS.
//! All of it passes one socket, so it is counted there, below TLS and HTTP. An exchange that costs too much ends, and a
//! read that never has to wait gives way to others.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Duration, Instant},
};

/// The work of one exchange, in bytes. The head and the body that are read need 128 KB; the rest is for the form in
/// which they come. 512 KB are parsed within a few milliseconds.
const ALLOWANCE: i64 = 512 * 1024;
/// What a read costs at least, in bytes: a receiver that sends single bytes pays for the calls that it causes.
const LEAST_COST: i64 = 128;
/// After so much work without a wait, others have their turn.
const YIELD_AFTER: i64 = 32 * 1024;

/// The error of a receiver that causes more work than an answer can need.
#[derive(Debug, thiserror::Error)]
#[error("the receiver sent far more than an answer needs")]
pub struct TooMuchWork;

/// Counts the work that the other side of a connection causes.
#[derive(Debug)]
pub struct WorkMeter {
    left: AtomicI64,
    opened: Instant,
    /// When bytes last came, in milliseconds since the connection was opened.
    heard: AtomicU64,
}

impl WorkMeter {
    fn new() -> Self {
        Self { left: AtomicI64::new(ALLOWANCE), opened: Instant::now(), heard: AtomicU64::new(0) }
    }

    /// An exchange begins: the receiver may cause work again.
    pub fn refill(&self) {
        self.left.store(ALLOWANCE, Ordering::Relaxed);
    }

    /// The time since bytes last came.
    pub fn silence(&self) -> Duration {
        self.opened.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    fn charge(&self, bytes: usize) -> i64 {
        let cost = i64::try_from(bytes).unwrap_or(i64::MAX).max(LEAST_COST);
        self.left.fetch_sub(cost, Ordering::Relaxed);
        self.heard.store(self.opened.elapsed().as_millis() as u64, Ordering::Relaxed);
        cost
    }

    /// Whether the exchange has cost so much that it should not hold up others.
    pub fn is_costly(&self) -> bool {
        ALLOWANCE - self.left.load(Ordering::Relaxed) >= YIELD_AFTER
    }

    /// Whether the receiver has caused too much work.
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) <= 0
    }
}

/// Whether an error, or what it wraps, is [`TooMuchWork`].
#[must_use]
pub fn is_too_much_work(error: &(dyn Error + 'static)) -> bool {
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<TooMuchWork>()
        || held.is_some_and(|held| is_too_much_work(held))
        || error.source().is_some_and(is_too_much_work)
}

/// A TCP connection whose reads are counted.
pub struct MeteredStream {
    tcp: TcpStream,
    meter: Arc<WorkMeter>,
    since_wait: i64,
}

impl MeteredStream {
    pub fn new(tcp: TcpStream) -> (Self, Arc<WorkMeter>) {
        let meter = Arc::new(WorkMeter::new());
        (Self { tcp, meter: Arc::clone(&meter), since_wait: 0 }, meter)
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.meter.is_spent() {
            return Poll::Ready(Err(io::Error::other(TooMuchWork)));
        }
        if self.since_wait >= YIELD_AFTER {
            self.since_wait = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.tcp).poll_read(cx, buffer) else {
            self.since_wait = 0;
            return Poll::Pending;
        };
        read?;
        self.since_wait += self.meter.charge(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
