//! A TCP cable between two parts, which can be cut, frozen and mended.
//!
//! It passes bytes and knows nothing about them. Cut, both ends see their connections end and new ones are
//! refused; frozen, nothing ends and nothing passes, as with a machine that vanished from the network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Port;
use crate::listening::Listening;

/// What is on its way in each direction: little, so that a frozen cable holds a sender up soon.
const BUFFER: usize = 16 * 1024;

#[derive(Debug)]
pub struct Cable {
    to: SocketAddr,
    port: Port,
    frozen: watch::Sender<bool>,
    counts: Arc<Counts>,
    listening: Option<Listening>,
}

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    open: AtomicUsize,
}

impl Cable {
    /// A cable whose far end is `to`; connect to [`Cable::addr`].
    #[track_caller]
    pub fn to(to: SocketAddr) -> Self {
        let mut cable = Self {
            to,
            port: Port::reserve(),
            frozen: watch::Sender::new(false),
            counts: Arc::default(),
            listening: None,
        };
        cable.mend();
        cable
    }

    /// The near end.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Ends all connections and refuses new ones.
    pub async fn cut(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.stop().await;
        }
    }

    /// Passes nothing more, but keeps connections open and takes new ones.
    pub fn freeze(&mut self) {
        self.frozen.send_replace(true);
    }

    /// As new: after a cut connections are possible again, after a freeze what waited goes on.
    #[track_caller]
    pub fn mend(&mut self) {
        self.frozen.send_replace(false);
        if self.listening.is_none() {
            let (to, frozen, counts) = (self.to, self.frozen.clone(), Arc::clone(&self.counts));
            self.listening = Some(Listening::start(&self.port, move |near| {
                connection(near, to, frozen.subscribe(), Arc::clone(&counts))
            }));
        }
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Connections that were ever made.
    pub fn connections_made(&self) -> usize {
        self.counts.made.load(Ordering::SeqCst)
    }
}

/// One connection, until either direction has broken or both have ended.
async fn connection(mut near: TcpStream, to: SocketAddr, frozen: watch::Receiver<bool>, counts: Arc<Counts>) {
    counts.made.fetch_add(1, Ordering::SeqCst);
    counts.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(counts);

    thawed(frozen.clone()).await;
    // Nobody at the far end: the near one sees its connection end.
    let Ok(mut far) = TcpStream::connect(to).await else {
        return;
    };
    let _ = far.set_nodelay(true);
    let (near_reads, near_writes) = near.split();
    let (far_reads, far_writes) = far.split();
    let _ = tokio::try_join!(pass(near_reads, far_writes, frozen.clone()), pass(far_reads, near_writes, frozen));
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    frozen: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await;
        // After reading, not before: what arrives while it is frozen must wait, and so must the end.
        thawed(frozen.clone()).await;
        match read? {
            0 => return to.shutdown().await,
            length => to.write_all(&buffer[..length]).await?,
        }
    }
}

async fn thawed(mut frozen: watch::Receiver<bool>) {
    // The sender lives in the cable; gone with it, the connection ends as well.
    let _ = frozen.wait_for(|frozen| !frozen).await;
}

/// Counts a connection as open for as long as it lives.
struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}
