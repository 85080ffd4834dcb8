//! The socket of one client: WebSocket messages in, frames, Noise, stanzas; and back.
//! Promises that a stanza handed to the outbox is written in order, and that the ledger hears of
//! a delivery only after the write. Decides nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::{Bytes, BytesMut};
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{sync::mpsc, time::timeout};
use wacore_binary::{OwnedNodeRef, consts::WA_CONN_HEADER, util::unpack_bytes};
use wacore_noise::{
    NoiseCipher,
    framing::{FrameDecoder, append_frame_into, encode_frame},
};

use crate::{
    connection::ConnectionId,
    noise::{self, HandshakeReply, NoiseSession},
    state::SharedState,
    wire::encode_stanza,
};

/// Real clients give a handshake 20 s as well.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(20);

/// A client that does not read for so long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// Stanzas written at once: enough to keep the socket busy, few enough to answer in between.
const BATCH: usize = 128;

/// WebSocket messages of a client that the latency holds back.
const MAX_ON_THE_WAY: usize = 1_024;

/// Bytes of the reason in a WebSocket close; the texts here are ASCII.
const MAX_CLOSE_REASON: usize = 120;

/// Serves one client until one of the two ends it.
pub async fn accept(shared: SharedState, mut socket: WebSocket) {
    shared.lock().statistics.connections_accepted += 1;
    let mut frames = FrameReader::default();
    let established = match timeout(HANDSHAKE_DEADLINE, handshake(&shared, &mut socket, &mut frames)).await {
        Ok(Ok(established)) => established,
        Ok(Err(error)) => {
            shared.lock().statistics.handshakes_failed += 1;
            tracing::warn!("a handshake failed: {error:#}");
            let reason: String = error.to_string().chars().take(MAX_CLOSE_REASON).collect();
            let frame = CloseFrame { code: close_code::PROTOCOL, reason: reason.into() };
            // A client that is gone needs no reason.
            let _ = socket.send(Message::Close(Some(frame))).await;
            return;
        }
        Err(_) => {
            shared.lock().statistics.handshakes_failed += 1;
            tracing::warn!("a client did not finish its handshake");
            return;
        }
    };
    let NoiseSession { read, write, client_static, payload } = established;
    let (id, latency) = {
        let mut server = shared.lock();
        (server.connected(client_static, &payload), server.latency)
    };
    let (sink, stream) = socket.split();
    // Messages that the latency holds back; the client waits once so many are on their way.
    let (arrived, arrivals) = mpsc::channel(MAX_ON_THE_WAY);
    let ended = tokio::select! {
        ended = read_messages(stream, arrived) => ended,
        ended = handle_stanzas(&shared, id, arrivals, frames, read, latency) => ended,
        ended = write_stanzas(&shared, id, sink, write, latency) => ended,
        () = shared.stop.cancelled() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(connection = id.0, "a connection ended: {error:#}");
    }
    shared.lock().disconnected(id);
}

async fn handshake(shared: &SharedState, socket: &mut WebSocket, frames: &mut FrameReader) -> Result<NoiseSession> {
    let hello = next_frame(socket, frames).await?;
    let identity = shared.lock().identity.clone();
    match noise::answer(&identity, &hello)? {
        HandshakeReply::Done(reply, established) => {
            *shared.lock().statistics.handshakes.entry("ik").or_default() += 1;
            send_plain(socket, &reply).await?;
            Ok(*established)
        }
        HandshakeReply::Continue(reply, pending) => {
            *shared.lock().statistics.handshakes.entry(pending.pattern()).or_default() += 1;
            send_plain(socket, &reply).await?;
            pending.finish(&next_frame(socket, frames).await?)
        }
    }
}

async fn next_frame(socket: &mut WebSocket, frames: &mut FrameReader) -> Result<BytesMut> {
    loop {
        if let Some(frame) = frames.next()? {
            return Ok(frame);
        }
        match socket.recv().await.context("the client left")?? {
            Message::Binary(bytes) => frames.feed(&bytes),
            Message::Close(_) => bail!("the client left"),
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

async fn send_plain(socket: &mut WebSocket, message: &[u8]) -> Result<()> {
    socket.send(Message::Binary(encode_frame(message, None)?.into())).await?;
    Ok(())
}

async fn read_messages(mut stream: SplitStream<WebSocket>, arrived: mpsc::Sender<(Instant, Bytes)>) -> Result<()> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => arrived.send((Instant::now(), bytes)).await?,
            Some(Ok(Message::Close(_))) | None => break,
            Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    // What the client sent before it left is still handled: the other half ends when it has read everything.
    drop(arrived);
    std::future::pending().await
}

async fn handle_stanzas(
    shared: &SharedState,
    id: ConnectionId,
    mut arrivals: mpsc::Receiver<(Instant, Bytes)>,
    mut frames: FrameReader,
    cipher: NoiseCipher,
    latency: Duration,
) -> Result<()> {
    let mut counter = 0;
    loop {
        while let Some(mut frame) = frames.next()? {
            cipher.decrypt_in_place_with_counter(counter, &mut frame)?;
            counter += 1;
            let stanza = OwnedNodeRef::new(unpack_bytes(frame)?)?;
            shared.lock().on_stanza(id, stanza.get());
        }
        let Some((at, bytes)) = arrivals.recv().await else { return Ok(()) };
        tokio::time::sleep_until((at + latency).into()).await;
        frames.feed(&bytes);
    }
}

async fn write_stanzas(
    shared: &SharedState,
    id: ConnectionId,
    mut sink: SplitSink<WebSocket, Message>,
    cipher: NoiseCipher,
    latency: Duration,
) -> Result<()> {
    let mut counter = 0;
    let Some(wake) = shared.lock().wake_of(id) else {
        return Ok(());
    };
    loop {
        let batch = shared.lock().take_batch(id, BATCH);
        if batch.nodes.is_empty() && !batch.close {
            wake.notified().await;
            tokio::time::sleep(latency).await;
            continue;
        }
        let mut buffer = Vec::new();
        for node in batch.nodes {
            let encoded = match encode_stanza(node) {
                Ok(encoded) => encoded,
                Err(error) => {
                    tracing::error!(connection = id.0, "a stanza is not written: {error:#}");
                    continue;
                }
            };
            let sealed = cipher.encrypt_with_counter(counter, &encoded)?;
            counter += 1;
            append_frame_into(&sealed, None, &mut buffer)?;
        }
        if !buffer.is_empty() {
            timeout(WRITE_DEADLINE, sink.send(Message::Binary(buffer.into())))
                .await
                .context("the client does not read")??;
            shared.lock().written(&batch.records);
        }
        if batch.close {
            timeout(WRITE_DEADLINE, sink.close()).await.context("the client does not read")??;
            return Ok(());
        }
    }
}

/// Bytes of the socket cut into frames, without the header in front of the first.
#[derive(Default)]
struct FrameReader {
    decoder: FrameDecoder,
    /// What came before the header was complete; `None` once it is gone.
    head: StreamHeader,
}

#[derive(Default)]
enum StreamHeader {
    #[default]
    Empty,
    Partial(Vec<u8>),
    Gone,
}

impl FrameReader {
    fn feed(&mut self, bytes: &[u8]) {
        match &mut self.head {
            StreamHeader::Gone => self.decoder.feed(bytes),
            StreamHeader::Empty => self.head = StreamHeader::Partial(bytes.to_vec()),
            StreamHeader::Partial(head) => head.extend_from_slice(bytes),
        }
    }

    fn next(&mut self) -> Result<Option<BytesMut>> {
        if let StreamHeader::Partial(head) = &self.head {
            // Edge routing: "ED" 00 01, a length of three bytes, the routing itself.
            let skip = match head.as_slice() {
                [b'E', b'D', 0, 1, high, middle, low, ..] => {
                    7 + usize::from(*high) * 65_536 + usize::from(*middle) * 256 + usize::from(*low)
                }
                [b'E', b'D', ..] if head.len() < 7 => return Ok(None),
                _ => 0,
            };
            let Some(rest) = head.get(skip..).filter(|rest| rest.len() >= 4) else {
                return Ok(None);
            };
            ensure!(rest[..3] == WA_CONN_HEADER[..3], "the client does not begin as a WhatsApp client");
            // The header is part of what the handshake authenticates, and names the tokens of every stanza.
            ensure!(
                rest[3] == WA_CONN_HEADER[3],
                "the client speaks version {} of the token dictionary, this server only version {}",
                rest[3],
                WA_CONN_HEADER[3]
            );
            self.decoder.feed(&rest[4..]);
            self.head = StreamHeader::Gone;
        }
        Ok(self.decoder.decode_frame())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_in_pieces_and_edge_routing_are_skipped() {
        let mut bytes = b"ED\x00\x01\x00\x00\x02xy".to_vec();
        bytes.extend_from_slice(&WA_CONN_HEADER);
        bytes.extend_from_slice(&encode_frame(b"hello", None).unwrap());
        let mut frames = FrameReader::default();
        for byte in &bytes[..bytes.len() - 1] {
            frames.feed(&[*byte]);
            assert!(frames.next().unwrap().is_none());
        }
        frames.feed(&bytes[bytes.len() - 1..]);
        assert_eq!(&frames.next().unwrap().unwrap()[..], b"hello");
    }

    #[test]
    fn an_older_dictionary_is_refused_by_name() {
        let mut frames = FrameReader::default();
        frames.feed(b"WA\x06\x02\x00\x00\x00");
        assert!(frames.next().unwrap_err().to_string().contains("version 2 of the token dictionary"));
    }

    #[test]
    fn another_protocol_is_refused() {
        let mut frames = FrameReader::default();
        frames.feed(b"GET / HTTP/1.1");
        assert!(frames.next().is_err());
    }
}
