//! Servers that a test scripts byte by byte.

use futures::future::BoxFuture;
use std::{future::pending, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

type Behaviour = Arc<dyn Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync>;

/// Servers, each on a port of its own, as long as this lives.
#[derive(Default)]
pub struct BadServers(JoinSet<()>);

impl BadServers {
    /// Starts a server whose connections behave so, and gives its port.
    pub async fn start<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        behave: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behave: Behaviour = Arc::new(move |tcp| Box::pin(behave(tcp)));
        self.0.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(behave(tcp));
            }
        });
        port
    }

    /// A server that reads something, writes this, and keeps the connection open or closes it.
    pub async fn answer(&mut self, bytes: impl Into<Vec<u8>>, closes: bool) -> u16 {
        let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
        self.start(move |mut tcp| {
            let bytes = Arc::clone(&bytes);
            async move {
                let _ = tcp.read(&mut [0; 64 * 1024]).await;
                let _ = tcp.write_all(&bytes).await;
                if closes {
                    let _ = tcp.shutdown().await;
                } else {
                    pending::<()>().await;
                }
            }
        })
        .await
    }
}
