//! A name server on this machine whose answers a test can change: just enough of DNS (RFC 1035, 4) for one question.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{net::UdpSocket, task::JoinHandle};

const A: u16 = 1;
const AAAA: u16 = 28;
const NO_SUCH_NAME: u8 = 3;

pub struct DnsServer {
    script: Arc<DnsScript>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct DnsScript {
    names: Mutex<HashMap<String, Vec<Ipv4Addr>>>,
    drops_aaaa: AtomicBool,
    is_silent: AtomicBool,
}

impl DnsServer {
    /// Serves at this address, whose port is 53: resolvers know no other. None: it cannot be taken.
    pub async fn start(ip: &str) -> Option<Self> {
        let address: SocketAddr = format!("{ip}:53").parse().unwrap();
        let socket = UdpSocket::bind(address).await.ok()?;
        let script = Arc::new(DnsScript::default());
        let serving = tokio::spawn(serve(socket, Arc::clone(&script)));
        Some(Self { script, serving })
    }

    /// From now on the name has this address. Other names do not exist.
    pub fn answer(&self, name: &str, address: &str) {
        self.script.names.lock().unwrap().insert(name.to_owned(), vec![address.parse().unwrap()]);
    }

    /// From now on questions for IPv6 addresses are dropped, as some firewalls do.
    pub fn drop_aaaa(&self) {
        self.script.drops_aaaa.store(true, Ordering::SeqCst);
    }

    /// From now on nothing is answered.
    pub fn go_silent(&self) {
        self.script.is_silent.store(true, Ordering::SeqCst);
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(socket: UdpSocket, script: Arc<DnsScript>) {
    let mut query = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut query).await {
        if let Some(answer) = answer(&query[..length], &script) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

fn answer(query: &[u8], script: &DnsScript) -> Option<Vec<u8>> {
    // The name: labels with their length in front, up to one without length; then type and class.
    let (mut end, mut labels) = (12, Vec::new());
    while query[end] != 0 {
        let next = end + usize::from(query[end]) + 1;
        labels.push(String::from_utf8_lossy(&query[end + 1..next]).to_lowercase());
        end = next;
    }
    let kind = u16::from_be_bytes([query[end + 1], query[end + 2]]);
    let question = &query[12..end + 5];
    if script.is_silent.load(Ordering::SeqCst) || (kind == AAAA && script.drops_aaaa.load(Ordering::SeqCst)) {
        return None;
    }
    let known = script.names.lock().unwrap().get(&labels.join(".")).cloned();
    let code = if known.is_some() { 0 } else { NO_SUCH_NAME };
    let addresses = known.filter(|_| kind == A).unwrap_or_default();

    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        // The name of the question, type A, class IN, for a minute.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
