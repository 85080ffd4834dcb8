//! What the account itself writes on another device and the gateway cannot read: it comes again, as anybody's message does.

use crate::world::{BUDI, World};
use serde_json::json;

fn damage(account: &str, times: u32) -> serde_json::Value {
    json!({"kind": "corrupt", "times": times, "match": {"direction": "toClient", "stanza": "message", "contact": account}})
}

#[tokio::test]
async fn what_the_own_phone_writes_comes_again_if_it_cannot_be_read() {
    let world = World::connected(&[("WHATSAPP_UNDECRYPTABLE_AFTER", "10s")]).await;
    let account = world.account().await;
    let writes = async |text: &str| {
        let body = json!({"to": BUDI, "text": text});
        world.simulator.post(&format!("/contacts/{account}/messages"), body).await["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let first = writes("readable").await;
    world.event("message.sent", |data| data["messageId"] == first.as_str()).await;
    for (times, text) in [(1, "damaged once"), (100, "damaged each time")] {
        world.simulator.post("/faults", damage(&account, times)).await;
        let id = writes(text).await;
        let data = world.data("message.sent", |data| data["messageId"] == id.as_str()).await;
        assert_eq!(data["content"]["text"], text, "{data}");
        world.simulator.delete("/faults").await;
    }
    assert_eq!(world.events_of("message.undecryptable").await.len(), 0);
    world.finish().await;
}
