//! Reads a whole bucket, and leaves no consumer behind.

use async_nats::{
    Client,
    jetstream::{
        Message,
        consumer::{DeliverPolicy, push::OrderedConfig},
        kv::Store,
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use std::{collections::BTreeMap, error::Error};

/// Each key with its value, which is empty if only `keys` are asked for.
///
/// The client's own watches stay in NATS for half a minute after their end. A gateway that looks at three buckets each second
/// would have a hundred of them there at any time; a caller that lists something as often adds as many.
pub(super) async fn read_whole(store: &Store, client: &Client, keys: bool) -> anyhow::Result<BTreeMap<String, Bytes>> {
    // A consumer of an empty bucket sends nothing, not even that it is empty.
    if store.stream.cached_info().state.messages == 0 {
        return Ok(BTreeMap::new());
    }
    let config = OrderedConfig {
        deliver_subject: client.new_inbox(),
        filter_subject: format!("{}>", store.prefix),
        headers_only: keys,
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..OrderedConfig::default()
    };
    let consumer = store.stream.create_consumer(config).await?;
    let name = consumer.cached_info().name.clone();
    let values = match consumer.cached_info().num_pending {
        0 => Ok(BTreeMap::new()),
        _ => collect_values(consumer.messages().await?, &store.prefix).await,
    };
    let stream = store.stream.clone();
    tokio::spawn(async move {
        // The values are here. If this fails, NATS forgets the consumer by itself.
        let _ = stream.delete_consumer(&name).await;
    });
    values
}

async fn collect_values<E: Error + Send + Sync + 'static>(
    mut messages: impl Stream<Item = Result<Message, E>> + Unpin,
    prefix: &str,
) -> anyhow::Result<BTreeMap<String, Bytes>> {
    let mut values = BTreeMap::new();
    while let Some(message) = messages.next().await {
        let message = message?;
        let is_last = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.pending == 0;
        let is_deletion = message.headers.as_ref().is_some_and(super::is_deletion);
        if let Some(key) = message.subject.strip_prefix(prefix) {
            // A key that is changed meanwhile comes twice.
            if is_deletion {
                values.remove(key);
            } else {
                values.insert(key.to_owned(), message.payload.clone());
            }
        }
        if is_last {
            break;
        }
    }
    Ok(values)
}
