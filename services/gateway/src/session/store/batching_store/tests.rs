use super::*;
use kurir_contract::session::SessionId;
use std::{path::Path, sync::atomic::AtomicUsize};
use tempfile::TempDir;
use tokio::task::JoinSet;
use wacore::runtime::Runtime as _;

const CHAT: &str = "6281230000001@s.whatsapp.net";

async fn opened(folder: &Path) -> Arc<BatchingStore> {
    let file = folder.join("whatsapp.db");
    let store = Arc::new(SqliteStore::new(file.to_str().expect("a path")).await.expect("a database"));
    let (signals, _) = mpsc::channel(1);
    let abort = ConnectionAbort::new(SessionId::default(), 1, signals);
    Arc::new(BatchingStore::new(store, abort, ClientTasks::default(), None))
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
    // Decrypted, and on their way here, each in a task of the client; the others wait for their turn.
    let (decrypted, all_are) = oneshot::channel();
    let left = Arc::new(AtomicUsize::new(200));
    let decrypted = Arc::new(std::sync::Mutex::new(Some(decrypted)));
    for n in 0..200 {
        let (store, left, decrypted) = (Arc::clone(&store), Arc::clone(&left), Arc::clone(&decrypted));
        store.tasks.clone().spawn_detached(Box::pin(async move {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                let _ = decrypted.lock().expect("no panic").take().expect("once").send(());
            }
            keep(store, format!("3EB0{n}")).await.expect("kept");
        }));
    }
    all_are.await.expect("all are decrypted");
    let keys = [(Arc::from("6281230000001.0"), Bytes::from_static(b"keys"))];
    store.put_sessions_batch(&keys).await.expect("written");
    assert_eq!(kept(&store).await, 200);
}

#[tokio::test]
async fn no_keys_are_written_for_a_connection_that_is_given_up() {
    let folder = TempDir::new().expect("a folder");
    let store = opened(folder.path()).await;
    store.messages.breaker.abort(SessionSignal::BrokerLost, &"NATS is away");
    let keys = [(Arc::from("6281230000001.0"), Bytes::from_static(b"keys"))];
    assert!(store.put_sessions_batch(&keys).await.is_err());
    assert!(store.put_sender_keys_batch(&keys).await.is_err());
    assert_eq!(store.get_session("6281230000001.0").await.expect("readable"), None);
    // A message is kept all the same: it was decrypted.
    keep(Arc::clone(&store), "3EB00".to_owned()).await.expect("kept");
    store.finish().await;
    assert_eq!(kept(&store).await, 1);
}

#[tokio::test]
async fn a_message_that_waits_is_kept_for_longer_than_whatsapp_holds_it() {
    let folder = TempDir::new().expect("a folder");
    let store = opened(folder.path()).await;
    keep(Arc::clone(&store), "3EB00".to_owned()).await.expect("kept");
    let days = |days: i64| days * 24 * 60 * 60;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    // What the library asks for when the message is so many days old, whose bound is seven.
    for (age, is_there) in [(8, 1), (14, 1), (16, 0)] {
        store.delete_expired_pending_inbound(now + days(age - 7)).await.expect("deleted");
        assert_eq!(kept(&store).await, is_there, "{age} days");
    }
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

#[tokio::test]
async fn a_message_is_kept_for_as_long_as_whatsapp_sends_it_again() {
    const DAY: i64 = 24 * 60 * 60;
    let folder = TempDir::new().expect("a folder");
    let store = opened(folder.path()).await;
    keep(Arc::clone(&store), "3EB00".to_owned()).await.expect("kept");
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    // The library deletes what is seven days old: on the eighth, the fourteenth and the sixteenth day.
    for (day, expected) in [(8, 1), (14, 1), (16, 0)] {
        store.delete_expired_pending_inbound(now + (day - 7) * DAY).await.expect("deleted");
        assert_eq!(kept(&store).await, expected, "day {day}");
    }
}
