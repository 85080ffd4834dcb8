use super::*;
use kurir_contract::session::SessionId;
use std::path::Path;
use tempfile::TempDir;
use tokio::task::JoinSet;
use whatsapp_rust::store::SignalStore as _;

const CHAT: &str = "6281230000001@s.whatsapp.net";

async fn opened(folder: &Path) -> Arc<BatchingStore> {
    let file = folder.join("whatsapp.db");
    let store = Arc::new(SqliteStore::new(file.to_str().expect("a path")).await.expect("a database"));
    let (signals, _) = mpsc::channel(1);
    Arc::new(BatchingStore::new(store, ConnectionAbort::new(SessionId::default(), 1, signals)))
}

fn all_at_once<F: Future<Output = Result<()>> + Send + 'static>(work: impl Fn(String) -> F) -> JoinSet<Result<()>> {
    (0..200).map(|n| work(format!("3EB0{n}"))).collect()
}

async fn kept(store: &BatchingStore) -> usize {
    let mut kept = 0;
    for n in 0..200 {
        let message = store.store.get_pending_inbound(CHAT, CHAT, &format!("3EB0{n}")).await.expect("readable");
        if let Some(message) = message {
            assert_eq!(message, format!("3EB0{n}").as_bytes());
            kept += 1;
        }
    }
    kept
}

async fn keep(store: Arc<BatchingStore>, id: String) -> Result<()> {
    store.write_pending(&[PendingInboundRow { chat: CHAT, sender: CHAT, id: &id, message: id.as_bytes() }]).await
}

async fn forget(store: Arc<BatchingStore>, id: String) -> Result<()> {
    store.delete_pending(&[PendingInboundKey { chat: CHAT, sender: CHAT, id: &id }]).await
}

#[tokio::test]
async fn messages_that_come_together_are_each_kept_and_forgotten() {
    let folder = TempDir::new().expect("a folder");
    let store = opened(folder.path()).await;
    for done in all_at_once(|id| keep(Arc::clone(&store), id)).join_all().await {
        done.expect("kept");
    }
    assert_eq!(kept(&store).await, 200);
    for done in all_at_once(|id| forget(Arc::clone(&store), id)).join_all().await {
        done.expect("forgotten");
    }
    assert_eq!(kept(&store).await, 0);
}

#[tokio::test]
async fn keys_are_written_after_the_messages_that_they_have_moved_past() {
    let folder = TempDir::new().expect("a folder");
    let store = opened(folder.path()).await;
    // Decrypted, and on their way here.
    let _messages = all_at_once(|id| keep(Arc::clone(&store), id));
    let keys = [(Arc::from("6281230000001.0"), bytes::Bytes::from_static(b"keys"))];
    store.put_sessions_batch(&keys).await.expect("written");
    assert_eq!(kept(&store).await, 200);
}

#[tokio::test]
async fn after_a_message_that_is_not_kept_no_keys_are_written() {
    let folder = TempDir::new().expect("a folder");
    let store = opened(folder.path()).await;
    store.messages.record_failure(&StoreError::Validation("full".to_owned()));
    assert!(store.messages.breaker.token().is_cancelled());
    assert!(store.put_session("6281230000001.0", b"keys").await.is_err());
    assert!(store.put_sender_key("6281230000001.0", b"keys").await.is_err());
    assert_eq!(store.get_session("6281230000001.0").await.expect("readable"), None);
}
