//! A request as it arrived, and how it is read from the connection.
//!
//! Just enough of HTTP/1.1 (RFC 9112) for requests with a length or in chunks, several on one connection.

use std::io;
use std::time::{Instant, SystemTime};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// As most servers have it.
const MAX_HEAD: usize = 64 * 1024;
/// Above every event with its media.
const MAX_BODY: usize = 64 * 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When all of it was read.
    pub at: Instant,
    pub at_wall_clock: SystemTime,
}

impl Request {
    /// A header's value, or an empty text if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(problem) => panic!("the body is not JSON ({problem}): {}", String::from_utf8_lossy(&self.body)),
        }
    }
}

/// Reads the next request; `read_ahead` holds what came after the last one. None at the end.
pub(super) async fn read(stream: &mut TcpStream, read_ahead: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let Some(end) = find_end(stream, read_ahead, 0, b"\r\n\r\n", MAX_HEAD).await? else {
        return Ok(None);
    };
    let head: Vec<u8> = read_ahead.drain(..end).collect();
    let head = String::from_utf8(head).map_err(|_| bad("a head that is not text"))?;
    let mut lines = head.split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1")) = (start.next(), start.next(), start.next()) else {
        return Err(bad("a start line that is not HTTP/1.1's"));
    };
    let headers = headers(lines)?;

    if headers.contains_key("expect") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = if headers.contains_key("transfer-encoding") {
        chunks(stream, read_ahead).await?
    } else {
        let length = match headers.get("content-length") {
            None => 0,
            Some(length) => length
                .to_str()
                .ok()
                .and_then(|length| length.parse().ok())
                .ok_or_else(|| bad("a content-length that is no number"))?,
        };
        exactly(stream, read_ahead, length).await?
    };
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: body.into(),
        at: Instant::now(),
        at_wall_clock: SystemTime::now(),
    }))
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("a header's name"))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad("a header's value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

async fn chunks(stream: &mut TcpStream, read_ahead: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line =
            find_end(stream, read_ahead, 0, b"\r\n", MAX_HEAD).await?.ok_or_else(|| bad("an end within the chunks"))?;
        let size: Vec<u8> = read_ahead.drain(..line).collect();
        let size = String::from_utf8_lossy(&size);
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| bad("a chunk's size"))?;
        if body.len() + size > MAX_BODY {
            return Err(bad("a body above the bound"));
        }
        body.extend(exactly(stream, read_ahead, size).await?);
        // Also after the last chunk, of size 0: our clients send no trailers.
        exactly(stream, read_ahead, 2).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

async fn exactly(stream: &mut TcpStream, read_ahead: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if length > MAX_BODY {
        return Err(bad("a body above the bound"));
    }
    while read_ahead.len() < length {
        if stream.read_buf(read_ahead).await? == 0 {
            return Err(bad("an end within the body"));
        }
    }
    let rest = read_ahead.split_off(length);
    Ok(std::mem::replace(read_ahead, rest))
}

/// The place after the next `mark`, reading on until it is there. None at the end of the stream.
async fn find_end(
    stream: &mut TcpStream,
    read_ahead: &mut Vec<u8>,
    mut searched: usize,
    mark: &[u8],
    bound: usize,
) -> io::Result<Option<usize>> {
    loop {
        let found = read_ahead[searched..].windows(mark.len()).position(|window| window == mark);
        if let Some(found) = found {
            return Ok(Some(searched + found + mark.len()));
        }
        if read_ahead.len() > bound {
            return Err(bad("a head above the bound"));
        }
        searched = read_ahead.len().saturating_sub(mark.len() - 1);
        if stream.read_buf(read_ahead).await? == 0 {
            return Ok(None);
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
