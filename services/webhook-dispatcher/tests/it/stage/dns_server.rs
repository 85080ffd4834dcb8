//! A name server on this machine whose answers a test can change: just enough of DNS (RFC 1035, 4) for one question.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::UdpSocket, task::JoinHandle};

const A: u16 = 1;
const FAILED: u8 = 2;
const NO_SUCH_NAME: u8 = 3;

pub struct DnsServer {
    pub address: SocketAddr,
    script: Arc<Mutex<ScriptedAnswers>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct ScriptedAnswers {
    addresses: Vec<Ipv4Addr>,
    ttl: u32,
    is_broken: bool,
    /// Questions for IPv4 addresses.
    questions: usize,
}

impl DnsServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let script = Arc::new(Mutex::new(ScriptedAnswers::default()));
        let serving = tokio::spawn(serve(socket, Arc::clone(&script)));
        Self { address, script, serving }
    }

    /// From now on every name has these addresses; with none, no name exists.
    pub fn answers(&self, addresses: &[&str], ttl: Duration) {
        let mut script = self.script.lock().unwrap();
        script.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        script.ttl = ttl.as_secs() as u32;
    }

    /// From now on the server answers that it has failed.
    pub fn breaks(&self) {
        self.script.lock().unwrap().is_broken = true;
    }

    pub fn questions(&self) -> usize {
        self.script.lock().unwrap().questions
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(socket: UdpSocket, script: Arc<Mutex<ScriptedAnswers>>) {
    let mut query = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut query).await {
        let answer = answer(&query[..length], &mut script.lock().unwrap());
        let _ = socket.send_to(&answer, client).await;
    }
}

fn answer(query: &[u8], script: &mut ScriptedAnswers) -> Vec<u8> {
    // The name: labels with their length in front, up to one without length; then type and class.
    let mut end = 12;
    while query[end] != 0 {
        end += usize::from(query[end]) + 1;
    }
    let kind = u16::from_be_bytes([query[end + 1], query[end + 2]]);
    let question = &query[12..end + 5];
    let addresses = if kind == A { script.addresses.clone() } else { Vec::new() };
    script.questions += usize::from(kind == A);
    let code = match script {
        ScriptedAnswers { is_broken: true, .. } => FAILED,
        ScriptedAnswers { addresses, .. } if addresses.is_empty() => NO_SUCH_NAME,
        ScriptedAnswers { .. } => 0,
    };

    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        // The name of the question, type A, class IN.
        answer.extend([0xc0, 12, 0, 1, 0, 1]);
        answer.extend(script.ttl.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    answer
}
