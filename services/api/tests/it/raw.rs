//! Requests as bytes, for clients that do not keep to HTTP.

use crate::api::{Api, SOON};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Writes `request` and reads until the connection ends.
pub async fn exchange(api: &Api, request: &[u8]) -> String {
    let mut stream = connect(api).await;
    stream.write_all(request).await.expect("written");
    read_until(&mut stream, |_| false).await
}

pub async fn connect(api: &Api) -> TcpStream {
    TcpStream::connect(api.address()).await.expect("a connection")
}

/// A connection from another address of the loopback network.
pub async fn connect_from(api: &Api, address: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, 0)))?;
    socket.connect(api.address()).await
}

/// Reads until `is_enough` or the end of the connection.
pub async fn read_until(stream: &mut TcpStream, is_enough: impl Fn(&str) -> bool) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if is_enough(&text) {
            return text;
        }
        let count = timeout(SOON, stream.read(&mut buffer)).await.unwrap_or_else(|_| panic!("no end after {text:?}"));
        match count {
            Ok(0) => return text,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
            Err(error) => panic!("{error} after {text:?}"),
        }
    }
}

/// Waits until the server closed the connection, whatever it said before.
pub async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let closed = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
    timeout(SOON, closed).await.expect("the server closes the connection");
}

/// The head of a POST.
pub fn post(path: &str, key: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n{more}\r\n\r\n")
}
