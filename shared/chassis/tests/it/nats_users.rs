//! The users of NATS that Kurir ships: what each is refused. That a service may do what it does is shown by each test of a whole
//! stack, which fails if NATS refused a service anything.

use crate::SOON;
use async_nats::jetstream::{self, consumer::pull};
use futures::StreamExt as _;
use kurir_test_harness::{Nats, until};

/// What nobody but the operator may do.
const FOR_NOBODY: [&str; 9] = [
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.MSG.DELETE.EVENTS",
    "$JS.API.STREAM.RESTORE.EVENTS",
    "$JS.API.STREAM.SNAPSHOT.KV_api_keys",
    "$JS.API.STREAM.DELETE.KV_webhook_endpoints",
    "$JS.API.STREAM.UPDATE.KV_webhook_endpoints",
    // A stream of another name could mirror any other one.
    "$JS.API.STREAM.CREATE.MIRROR",
];

/// What each user may not publish.
const REFUSED: [(&str, &[&str]); 4] = [
    (
        "gateway",
        &[
            "$JS.API.DIRECT.GET.KV_webhook_endpoints.$KV.webhook_endpoints.sales",
            "$JS.API.STREAM.MSG.GET.KV_webhook_endpoints",
            "$JS.API.CONSUMER.CREATE.KV_webhook_endpoints.name",
            "$JS.API.CONSUMER.CREATE.KV_api_keys.name",
            "$JS.API.CONSUMER.CREATE.DEAD_LETTERS.name",
            "$JS.API.CONSUMER.CREATE.EVENTS.name",
            "$JS.API.CONSUMER.DELETE.EVENTS.webhook-default",
            "$KV.webhook_endpoints.sales",
            "$KV.api_keys.key",
            "whatsapp.commands.default.send-text",
            "whatsapp.dead-letters.default.id",
            "whatsapp.retries.waiting.default.-.live.1",
            "whatsapp.webhooks.replay",
            "kurir.audit.key",
        ],
    ),
    (
        "webhook-dispatcher",
        &[
            "whatsapp.commands.default.send-text",
            "whatsapp.events.default.message.received",
            "whatsapp.outbox.due.default.job",
            "$JS.API.CONSUMER.CREATE.OUTBOX.name",
            "$JS.API.DIRECT.GET.KV_api_keys.$KV.api_keys.key",
            "$JS.API.DIRECT.GET.OBJ_media_to_send.file",
            "$KV.api_keys.key",
            "$KV.sessions.default",
            "$KV.session_holders.default",
            "$O.media.C.id",
            "kurir.audit.key",
        ],
    ),
    (
        "api",
        &[
            "whatsapp.outbox.due.default.job",
            "whatsapp.retries.waiting.default.-.live.1",
            "whatsapp.deliveries.default",
            "whatsapp.dead-letters.default.id",
            "$KV.known_chats.chat",
            "$KV.idempotency_keys.key",
            "$KV.session_holders.default",
            "$KV.gateways.one",
            "$O.media.C.id",
            "$JS.API.CONSUMER.CREATE.OUTBOX.name",
            "$JS.API.CONSUMER.CREATE.RETRIES.name",
            "$JS.API.STREAM.PURGE.DEAD_LETTERS",
        ],
    ),
    (
        "reader",
        &[
            "whatsapp.events.default.message.received",
            "whatsapp.commands.default.send-text",
            "whatsapp.webhooks.replay",
            "$KV.webhook_endpoints.sales",
            "$JS.API.STREAM.INFO.KV_webhook_endpoints",
            "$JS.API.DIRECT.GET.KV_webhook_endpoints.$KV.webhook_endpoints.sales",
            "$JS.API.CONSUMER.CREATE.DELIVERIES.name",
            "$JS.API.CONSUMER.CREATE.OUTBOX.name",
            "$JS.API.STREAM.CREATE.EVENTS",
            "$O.media.C.id",
            "kurir.services.gateway.ping",
            "kurir.sessions.changed",
        ],
    ),
];

/// What nobody but the operator may listen to: the answers to others, the values of buckets as they are written.
const UNHEARD: [&str; 6] = [">", "_INBOX.>", "_INBOX_kurir.>", "$KV.>", "$KV.webhook_endpoints.>", "$JS.API.>"];

async fn log_in(nats: &Nats, user: &str) -> async_nats::Client {
    let password = format!("{user}-in-tests");
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password);
    options.custom_inbox_prefix(format!("_INBOX_{user}")).connect(nats.url()).await.unwrap()
}

async fn is_refused(nats: &Nats, user: &str, what: &str, subject: &str) {
    let line = format!("user:{user}\" - {what} Violation - Subject \"{subject}\"");
    until(&format!("{user} to be refused: {what} {subject}"), SOON, || async {
        if nats.violations().iter().any(|violation| violation.contains(&line)) {
            Ok(())
        } else {
            Err(nats.violations())
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_of_nats_may_do_what_its_service_does_and_no_more() {
    let nats = Nats::start().await;
    crate::connect(&nats).await;
    for (user, subjects) in REFUSED {
        let client = log_in(&nats, user).await;
        for subject in subjects.iter().chain(&FOR_NOBODY) {
            client.publish(*subject, "{}".into()).await.unwrap();
            is_refused(&nats, user, "Publish", subject).await;
        }
        for subject in UNHEARD {
            let _subscription = client.subscribe(subject).await.unwrap();
            client.flush().await.unwrap();
            is_refused(&nats, user, "Subscription", subject).await;
        }
    }
}

#[tokio::test]
async fn the_reader_reads_events_with_a_position_of_its_own() {
    let nats = Nats::start().await;
    let operator = crate::connect(&nats).await;
    operator.jetstream.publish("whatsapp.events.default.message.received", "{}".into()).await.unwrap().await.unwrap();
    let jetstream = jetstream::new(log_in(&nats, "reader").await);
    let events = jetstream.get_stream("EVENTS").await.unwrap();
    let durable = pull::Config { durable_name: Some("my-service".to_owned()), ..pull::Config::default() };
    let consumer = events.create_consumer(durable).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let message = messages.next().await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "whatsapp.events.default.message.received");
    message.double_ack().await.unwrap();
    assert_eq!(nats.violations(), Vec::<String>::new());
}
