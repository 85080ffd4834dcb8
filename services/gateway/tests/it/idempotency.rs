//! A key sends once, through repeats and restarts. Whether a number is on WhatsApp can be asked without a send.

use crate::world::{SOON, World};
use kurir_contract::{
    clock,
    command::{
        CheckNumber, Command, CommandError, CommandErrorCode, IDEMPOTENCY_BUCKET, IdempotencyKey, NumberChecked,
        SendText, SentMessage,
    },
    job::{JobId, JobItem, JobRecord, SendJob},
    session::SessionId,
};
use serde_json::json;

const ANI: &str = "6281230000009";
const ANI_JID: &str = "6281230000009@s.whatsapp.net";

fn key(key: &str) -> IdempotencyKey {
    key.parse().expect("a key")
}

async fn send(world: &World, with: &str, text: &str) -> Result<SentMessage, CommandError> {
    let to = ANI.parse().expect("a number");
    let send = SendText { idempotency_key: Some(key(with)), ..SendText::new(to, text) };
    world.ask(Command::SendText, send).await
}

/// How often the contact received the message of a key.
async fn copies(world: &World, of: &str) -> u64 {
    let id = key(of).message_id(&SessionId::default());
    let received = world.simulator.received_by(ANI).await;
    received.iter().filter(|got| got["id"] == id.as_str()).filter_map(|got| got["copies"].as_u64()).sum()
}

#[tokio::test]
async fn the_same_key_sends_once_also_across_a_crash() {
    let mut world = World::connected(&[]).await;
    let (first, second) = tokio::join!(send(&world, "order-7", "sekali"), send(&world, "order-7", "sekali"));
    let first = first.expect("sent");
    assert_eq!(second.expect("the first answer"), first);
    assert_eq!(first.message_id, key("order-7").message_id(&SessionId::default()));
    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    assert_eq!(send(&world, "order-7", "sekali").await.expect("the first answer"), first);
    let other = send(&world, "order-8", "sekali").await.expect("another key is another message");
    world.simulator.contact_receives(ANI, "the other", SOON, |got| got["id"] == other.message_id.as_str()).await;
    assert_eq!((copies(&world, "order-7").await, copies(&world, "order-8").await), (1, 1));
    world.event("message.sent", |data| data["messageId"] == other.message_id.as_str()).await;
    assert_eq!(world.events_of("message.sent").await.len(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_key_belongs_to_one_message() {
    let world = World::connected(&[]).await;
    send(&world, "order-7", "sekali").await.expect("sent");
    let refused = send(&world, "order-7", "lain").await.expect_err("another text");
    assert_eq!(refused.code, CommandErrorCode::Conflict);
    assert_eq!(refused.message, "This Idempotency-Key was used for another message");
    assert_eq!(world.simulator.received_by(ANI).await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_send_that_failed_is_tried_again_under_the_id_of_its_key() {
    let world = World::connected(&[("WHATSAPP_SEND_TIMEOUT", "3s"), ("WHATSAPP_SEND_PAUSES", "100ms,200ms")]).await;
    let nack = json!({"kind": "nack", "code": 463, "times": 3, "match": {"direction": "fromClient", "contact": ANI}});
    world.simulator.post("/faults", nack).await;
    let refused = send(&world, "order-7", "akhirnya").await.expect_err("three nacks");
    assert_eq!(refused.code, CommandErrorCode::RefusedByWhatsapp);
    let sent = send(&world, "order-7", "akhirnya").await.expect("sent");
    assert_eq!(sent.message_id, key("order-7").message_id(&SessionId::default()));
    world.simulator.contact_receives(ANI, "the text", SOON, |got| got["text"] == "akhirnya").await;
    world.finish().await;
}

#[tokio::test]
async fn a_key_that_nats_cannot_look_up_sends_nothing_and_says_why() {
    let world = World::connected(&[]).await;
    // NATS answers, but cannot open the bucket: another stream has its subjects.
    let jetstream = world.jetstream().await;
    let config = async_nats::jetstream::stream::Config {
        name: "in_the_way".to_owned(),
        subjects: vec![format!("$KV.{IDEMPOTENCY_BUCKET}.>")],
        ..Default::default()
    };
    jetstream.create_stream(config).await.expect("a stream");
    let refused = send(&world, "order-7", "sekali").await.expect_err("nobody knows");
    assert_eq!(refused.code, CommandErrorCode::BrokerUnavailable, "{refused}");
    assert_eq!(world.simulator.received_by(ANI).await.len(), 0);
    jetstream.delete_stream("in_the_way").await.expect("deleted");
    send(&world, "order-7", "sekali").await.expect("sent");
    // A record that another program wrote there is no failure of NATS.
    let bucket = jetstream.get_key_value(IDEMPOTENCY_BUCKET).await.expect("the bucket");
    bucket.put(key("order-8").of(&SessionId::default()), "no record".into()).await.expect("put");
    let refused = send(&world, "order-8", "sekali").await.expect_err("unreadable");
    assert_eq!(refused.code, CommandErrorCode::Internal, "{refused}");
    world.finish().await;
}

#[tokio::test]
async fn a_number_is_checked_and_nobody_is_written_to() {
    let world = World::connected(&[]).await;
    let check = || CheckNumber { number: ANI.parse().expect("a number") };
    let known: NumberChecked = world.ask(Command::CheckNumber, check()).await.expect("checked");
    assert_eq!((known.exists, known.jid.as_str()), (true, ANI_JID));
    world.simulator.patch(&format!("/contacts/{ANI}"), json!({"registered": false})).await;
    let gone: NumberChecked = world.ask(Command::CheckNumber, check()).await.expect("checked");
    assert_eq!((gone.exists, gone.jid.as_str(), gone.lid), (false, ANI_JID, None));
    // The result holds for sends, too.
    let refused = world.send(ANI, "halo").await.expect_err("nobody is there");
    assert_eq!(refused.code, CommandErrorCode::NotOnWhatsapp);
    let group = CheckNumber { number: "120363000000000001@g.us".parse().expect("a group") };
    let refused = world.ask::<NumberChecked>(Command::CheckNumber, group).await.expect_err("no person");
    assert_eq!(refused.code, CommandErrorCode::InvalidRequest);
    assert_eq!(world.simulator.received_by(ANI).await.len(), 0);
    world.finish().await;
}

#[tokio::test]
async fn a_direct_send_and_a_job_with_one_key_at_the_same_moment_send_once() {
    let world = World::connected(&[]).await;
    for n in 0..5 {
        let name = format!("order-{n}");
        let to = ANI.parse().expect("a number");
        let item = SendText { idempotency_key: Some(key(&name)), ..SendText::new(to, &name) };
        let job = SendJob {
            id: JobId::random(),
            name: None,
            created_at: clock::now_iso(),
            send_at: None,
            items: vec![JobItem {
                command: "send-text".to_owned(),
                arguments: serde_json::to_value(item).expect("JSON"),
                send_at: None,
            }],
        };
        let (sent, submitted) =
            tokio::join!(send(&world, &name, &name), world.ask::<JobRecord>(Command::SubmitJob, &job));
        sent.expect("sent");
        submitted.expect("taken");
        world.data("job.done", |data| data["jobId"] == job.id.as_str()).await;
        assert_eq!(copies(&world, &name).await, 1, "{name}");
    }
    world.finish().await;
}
