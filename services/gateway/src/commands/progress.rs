//! Tells the caller of a send every few seconds that it is under way.
//!
//! NATS loses a request, or its answer, when a connection breaks or a node is away for a while, and a gateway may be killed. The
//! caller hears of neither, and would wait until its deadline, which is minutes for a send.

use async_nats::{Client, HeaderMap, Message, Subject, connection::State};
use bytes::Bytes;
use futures::FutureExt as _;
use kurir_contract::{command::PROGRESS_EVERY, header::PROGRESS};
use std::{future::Future, pin::pin};
use tokio::time::{Instant, interval_at};

/// Where to say that a command is under way, if its caller wants to hear it.
pub fn progress_inbox(request: &Message) -> Option<Subject> {
    request.headers.as_ref()?.get(PROGRESS)?;
    request.reply.clone()
}

/// What says that this gateway reports progress.
pub fn progress_header() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(PROGRESS, "yes");
    headers
}

/// Does the work of a command.
pub async fn do_with_progress(nats: &Client, inbox: Option<Subject>, work: impl Future<Output = ()>) {
    let Some(inbox) = inbox else { return work.await };
    let mut work = pin!(work);
    let mut next = interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    loop {
        tokio::select! {
            () = &mut work => return,
            _ = next.tick() => {
                // The work waits for nothing here: a caller that hears nothing gives up, which is right if NATS takes nothing.
                if nats.connection_state() == State::Connected {
                    let _ = nats.publish_with_headers(inbox.clone(), progress_header(), Bytes::new()).now_or_never();
                }
            }
        }
    }
}
