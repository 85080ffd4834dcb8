//! A port of 127.0.0.1 that is reserved for one test, also while nobody listens on it.
//!
//! A part that is killed and started again must find its port free. On Linux a bound socket that does not listen keeps
//! the `bind(0)` of other tests away, refuses connections, and lets a server with `SO_REUSEADDR` listen (tokio, Go, all
//! servers). On other systems the port is only chosen, not reserved.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// More connections than any test opens in one moment.
const BACKLOG: u32 = 4096;

#[derive(Debug)]
pub struct Port {
    addr: SocketAddr,
    #[cfg(target_os = "linux")]
    _kept: TcpSocket,
}

impl Port {
    /// Chooses a free port and reserves it until this value is dropped.
    #[track_caller]
    pub fn reserve() -> Self {
        let chosen =
            bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).and_then(|socket| Ok((socket.local_addr()?, socket)));
        match chosen {
            Ok((addr, _kept)) => Self {
                addr,
                #[cfg(target_os = "linux")]
                _kept,
            },
            Err(problem) => panic!("no free port on 127.0.0.1: {problem}"),
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn number(&self) -> u16 {
        self.addr.port()
    }

    /// Listens on the port. When the listener is dropped, connections are refused again.
    #[track_caller]
    pub fn listen(&self) -> TcpListener {
        match bind(self.addr).and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => listener,
            Err(problem) => panic!("cannot listen on {}: {problem}", self.addr),
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
