//! Receivers on https, with certificates of authorities that no machine trusts.

use kurir_test_harness::Port;
pub use kurir_test_harness::TestAuthority as Authority;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

/// Answers 200 to each request, one per connection.
pub struct TlsReceiver {
    port: Port,
    requests: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl TlsReceiver {
    /// `name`: the name in the certificate.
    pub async fn start(authority: &Authority, name: &str) -> Self {
        let (tls, port, requests) = (authority.acceptor(name, &[]), Port::reserve(), Arc::default());
        let (listener, counted) = (port.listen(), Arc::clone(&requests));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust the certificate ends here.
                let Ok(mut stream) = tls.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 16 * 1024]).await;
                AtomicUsize::fetch_add(&counted, 1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, requests, serving }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/webhook", self.port.number())
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
