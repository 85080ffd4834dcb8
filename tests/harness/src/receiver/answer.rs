//! The answers of a receiver: those of a good server, and those of bad ones.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The pause between two bytes of an [`Answer::Drip`]: too short for a client's read timeout.
const DRIP: Duration = Duration::from_millis(100);

/// How a receiver answers a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A complete answer.
    Whole { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// This answer after a delay.
    Slow(Duration, Box<Answer>),
    /// No answer, on a connection that stays open.
    Hang,
    /// 200, and then an endless body of one byte every 100 ms.
    Drip,
    /// An endless head of one byte every 100 ms.
    DripHead,
    /// 200, and then an endless body, as fast as the client reads.
    Flood,
    /// No answer: the connection is reset.
    Reset,
    /// Bytes that are not HTTP.
    Garbage,
}

/// Whether the connection can take another request.
pub enum ConnectionFate {
    KeepOpen,
    Close,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self::Whole { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A redirect with status 302 to `location`.
    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("location", location)
    }

    pub fn slow(self, by: Duration) -> Self {
        Self::Slow(by, Box::new(self))
    }

    /// Adds a header to a complete answer, also to a slow one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match &mut self {
            Self::Whole { headers, .. } => headers.push((name.to_owned(), value.to_owned())),
            Self::Slow(_, answer) => **answer = answer.as_ref().clone().header(name, value),
            other => panic!("{other:?} has no headers of its own"),
        }
        self
    }

    /// Sets the body of a complete answer, also of a slow one.
    pub fn body(mut self, new: impl Into<Vec<u8>>) -> Self {
        match &mut self {
            Self::Whole { body, .. } => *body = new.into(),
            Self::Slow(_, answer) => **answer = answer.as_ref().clone().body(new),
            other => panic!("{other:?} has no body of its own"),
        }
        self
    }

    /// Writes the answer; an endless one until the client closes the connection.
    pub(super) async fn write(self, stream: &mut TcpStream) -> io::Result<ConnectionFate> {
        let mut answer = self;
        while let Self::Slow(by, then) = answer {
            tokio::time::sleep(by).await;
            answer = *then;
        }
        match answer {
            Self::Slow(..) => unreachable!("unwrapped above"),
            Self::Whole { status, headers, body } => {
                stream.write_all(&whole(status, &headers, &body)).await?;
                return Ok(ConnectionFate::KeepOpen);
            }
            Self::Hang => while stream.read(&mut [0; 1024]).await? > 0 {},
            Self::Drip => {
                stream.write_all(ENDLESS_BODY).await?;
                loop {
                    stream.write_all(b"1\r\n.\r\n").await?;
                    tokio::time::sleep(DRIP).await;
                }
            }
            Self::DripHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ").await?;
                loop {
                    stream.write_all(b".").await?;
                    tokio::time::sleep(DRIP).await;
                }
            }
            Self::Flood => {
                stream.write_all(ENDLESS_BODY).await?;
                let mut chunk = b"10000\r\n".to_vec();
                chunk.resize(chunk.len() + 0x10000, b'.');
                chunk.extend_from_slice(b"\r\n");
                loop {
                    stream.write_all(&chunk).await?;
                }
            }
            Self::Reset => stream.set_zero_linger()?,
            Self::Garbage => stream.write_all(b"\x00\xffthis is not HTTP\r\n\r\n").await?,
        }
        Ok(ConnectionFate::Close)
    }
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

const ENDLESS_BODY: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn whole(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} scripted\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // These statuses have no body, and a client does not expect a length (RFC 9110, 8.6).
    if status >= 200 && status != 204 && status != 304 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut whole = head.into_bytes();
    whole.extend_from_slice(body);
    whole
}
