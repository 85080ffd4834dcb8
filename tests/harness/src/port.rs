//! A port of 127.0.0.1 that is reserved for one test, also while nobody listens on it.
//!
//! A part that is killed and started again must find its port free. On Linux a bound socket that does not listen keeps
//! other tests away, refuses connections, and lets a server with `SO_REUSEADDR` listen (tokio, Go, all
//! servers). On other systems the port is only chosen, not reserved.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// More connections than any test opens in one moment.
const BACKLOG: u32 = 4096;
/// The ports to choose from. The system gives the ones above them to connections, on every address of the machine, and
/// a server that listens on all of them would be refused its port.
const FIRST: u16 = 15_000;
const COUNT: u64 = 17_000;
const TRIES: u32 = 200;

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
        let numbers = (0..TRIES).map(|_| FIRST + (RandomState::new().build_hasher().finish() % COUNT) as u16);
        let mut chosen = Err(io::ErrorKind::AddrInUse.into());
        for number in numbers {
            chosen = reserve(number);
            if chosen.is_ok() {
                break;
            }
        }
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

fn reserve(number: u16) -> io::Result<(SocketAddr, TcpSocket)> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
    let socket = TcpSocket::new_v4()?;
    // Two sockets that both allow it may be bound to one port, so this one allows it only afterwards.
    socket.set_reuseaddr(false)?;
    socket.bind(addr)?;
    socket.set_reuseaddr(true)?;
    Ok((addr, socket))
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
