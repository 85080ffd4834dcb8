//! The bytes of one connection, between the socket and hyper: what passes is told to the phase, hyper's own answers get a
//! body, and a connection that ends early is read on until the peer has seen its answer.

use crate::connection_phase::ConnectionPhase;
use bytes::{Buf as _, Bytes};
use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};

/// How long, and how much, is read and thrown away after the last answer. A client that is still writing would see its
/// connection reset instead of the answer.
const READ_ON: (Duration, usize) = (Duration::from_secs(2), 16 << 20);
/// The same for a caller with the right key: most files fit in.
const READ_ON_WITH_KEY: (Duration, usize) = (Duration::from_secs(10), 64 << 20);

/// One byte less than hyper's first buffer: hyper doubles the buffer of a connection when a read fills it, up to the size of the
/// largest head, and a thousand connections that upload would keep 32 MB.
const READ_AT_ONCE: u64 = 8 * 1024 - 1;

pub struct ConnectionStream<S> {
    stream: S,
    phase: Arc<ConnectionPhase>,
    /// An answer that replaces one of hyper's, as far as it is not written.
    own_answer: Bytes,
    ending: Option<Ending>,
}

/// The last step: the answer is out and the peer knows that no other follows.
struct Ending {
    is_shut_down: bool,
    /// None if too many others have one.
    turn: Option<OwnedSemaphorePermit>,
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ConnectionStream<S> {
    pub fn new(stream: S, phase: Arc<ConnectionPhase>) -> Self {
        Self { stream, phase, own_answer: Bytes::new(), ending: None }
    }

    fn poll_own_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.own_answer.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.own_answer))?;
            self.own_answer.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    fn record_write<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.phase.record_write(written.is_ready());
        written
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ConnectionStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let mut portion = (&mut self.stream).take(READ_AT_ONCE);
        ready!(Pin::new(&mut portion).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.phase.record_read(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ConnectionStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(answer) = answer_instead(buf) {
            self.own_answer = answer;
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.record_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [buf] = bufs {
            return self.poll_write(cx, buf);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.record_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.poll_own_answer(cx);
        ready!(self.record_write(written))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = &mut *self;
        let ending = this.ending.get_or_insert_with(|| {
            let (time, bytes_left) = if this.phase.has_key() { READ_ON_WITH_KEY } else { READ_ON };
            // The connection may give its place to another one now.
            this.phase.end_request();
            Ending { is_shut_down: false, turn: this.phase.read_on(), deadline: Box::pin(sleep(time)), bytes_left }
        });
        if !ending.is_shut_down {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            ending.is_shut_down = true;
        }
        if ending.turn.is_none() {
            return Poll::Ready(Ok(()));
        }
        let mut thrown_away = [0; 16 * 1024];
        loop {
            if ending.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut thrown_away);
            // A peer that has gone away has nothing more to see.
            if ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)).is_err() {
                return Poll::Ready(Ok(()));
            }
            let bytes = buf.filled().len();
            if bytes == 0 || bytes > ending.bytes_left {
                return Poll::Ready(Ok(()));
            }
            ending.bytes_left -= bytes;
        }
    }
}

/// Hyper answers by itself what it cannot read, and without a body. Every answer of Kurir's own with these codes has one.
fn answer_instead(written: &[u8]) -> Option<Bytes> {
    let (code, message) = match written.get(..12)? {
        b"HTTP/1.1 400" | b"HTTP/1.0 400" => ("invalid_request", "The request is not valid HTTP/1.1"),
        b"HTTP/1.1 414" | b"HTTP/1.0 414" => ("uri_too_long", "The URL is longer than 32 kB"),
        b"HTTP/1.1 431" | b"HTTP/1.0 431" => {
            ("headers_too_large", "The head of the request is larger than 32 kB, or has more than 100 headers")
        }
        _ => return None,
    };
    let head = written.strip_suffix(b"\r\n\r\n")?;
    let is_empty = head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == b"content-length: 0");
    is_empty.then(|| {
        let status = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        whole_answer(&status, "", code, message)
    })
}

/// An answer for which there is no request.
pub fn whole_answer(status_line: &str, headers: &str, code: &str, message: &str) -> Bytes {
    let body = serde_json::json!({"success": false, "message": message, "code": code}).to_string();
    let length = body.len();
    Bytes::from(format!(
        "{status_line}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_hyper_is_replaced() {
        let of_hyper = "HTTP/1.1 431 Request Header JsonObject Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let answer = answer_instead(of_hyper.as_bytes()).expect("an answer of hyper");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 431 Request Header JsonObject Too Large\r\n"), "{text}");
        assert!(text.ends_with('}') && text.contains("\"success\":false"), "{text}");
        for ours in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\n{\"a\":true}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 58\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP",
        ] {
            assert!(answer_instead(ours.as_bytes()).is_none(), "{ours}");
        }
    }
}
