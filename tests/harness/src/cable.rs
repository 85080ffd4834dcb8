//! A TCP proxy between two parts, which can be cut, frozen, slowed and mended.
//!
//! A cut ends all connections and refuses new ones. A freeze ends nothing and passes nothing, as when a machine vanishes
//! from the network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Port;
use crate::tcp_server::TcpServer;

/// Bytes on their way in each direction. Few, so that a frozen cable soon blocks a sender.
const BUFFER: usize = 16 * 1024;

#[derive(Debug)]
pub struct NetworkCable {
    to: SocketAddr,
    port: Port,
    frozen: watch::Sender<bool>,
    delay: watch::Sender<Duration>,
    counts: Arc<ConnectionCounts>,
    listening: Option<TcpServer>,
}

#[derive(Debug, Default)]
struct ConnectionCounts {
    made: AtomicUsize,
    open: AtomicUsize,
}

impl NetworkCable {
    /// A cable whose far end is `to`; connect to [`NetworkCable::addr`].
    #[track_caller]
    pub fn to(to: SocketAddr) -> Self {
        let mut cable = Self {
            to,
            port: Port::reserve(),
            frozen: watch::Sender::new(false),
            delay: watch::Sender::new(Duration::ZERO),
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

    /// Passes nothing more, but keeps connections open and accepts new ones.
    pub fn freeze(&mut self) {
        self.frozen.send_replace(true);
    }

    /// Passes every portion of at most 16 kB so much later: a line that is long and narrow.
    pub fn slow(&mut self, delay: Duration) {
        self.delay.send_replace(delay);
    }

    /// Repairs it: after a cut it accepts connections again, after a freeze it passes the waiting bytes.
    #[track_caller]
    pub fn mend(&mut self) {
        self.frozen.send_replace(false);
        self.delay.send_replace(Duration::ZERO);
        if self.listening.is_none() {
            let (to, counts) = (self.to, Arc::clone(&self.counts));
            let (frozen, delay) = (self.frozen.clone(), self.delay.clone());
            self.listening = Some(TcpServer::start(&self.port, move |near| {
                let state = CableState { frozen: frozen.subscribe(), delay: delay.subscribe() };
                pass_connection(near, to, state, Arc::clone(&counts))
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

/// What is with the cable at this moment.
#[derive(Clone)]
struct CableState {
    frozen: watch::Receiver<bool>,
    delay: watch::Receiver<Duration>,
}

/// One connection, until either direction has broken or both have ended.
async fn pass_connection(mut near: TcpStream, to: SocketAddr, state: CableState, counts: Arc<ConnectionCounts>) {
    counts.made.fetch_add(1, Ordering::SeqCst);
    counts.open.fetch_add(1, Ordering::SeqCst);
    let _open = OpenConnection(counts);

    wait_until_thawed(state.frozen.clone()).await;
    // Nobody listens at the far end, so the near end sees its connection end.
    let Ok(mut far) = TcpStream::connect(to).await else {
        return;
    };
    let _ = far.set_nodelay(true);
    let (near_reads, near_writes) = near.split();
    let (far_reads, far_writes) = far.split();
    let _ =
        tokio::try_join!(pass_bytes(near_reads, far_writes, state.clone()), pass_bytes(far_reads, near_writes, state));
}

async fn pass_bytes(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: CableState,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await;
        // After reading, not before: bytes that arrive while it is frozen must wait, and so must the end.
        wait_until_thawed(state.frozen.clone()).await;
        let delay = *state.delay.borrow();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match read? {
            0 => return to.shutdown().await,
            length => to.write_all(&buffer[..length]).await?,
        }
    }
}

async fn wait_until_thawed(mut frozen: watch::Receiver<bool>) {
    // The sender is dropped with the cable, and then the connection ends, too.
    let _ = frozen.wait_for(|frozen| !frozen).await;
}

/// Counts a connection as open until it is dropped.
struct OpenConnection(Arc<ConnectionCounts>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}
