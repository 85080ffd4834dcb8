//! Businesses and bots, as real clients see them.

use serde_json::json;
use tempfile::tempdir;
use whatsapp_rust::{Jid, types::events::Event};

use crate::{
    support::{Phone, Sim},
    witness::{Client, Witness, for_each_client},
};

const SHOP: &str = "15550200001";
const ANNA: &str = "15550200002";

async fn open_shop(sim: &Sim) {
    let business = json!({"business": {"verifiedName": "Anna's Shop", "description": "Everything", "address": "Main Street 1",
        "email": "shop@example.org", "websites": ["https://example.org"], "category": "Shopping"}});
    let (status, answer) = sim.call("PATCH", &format!("/contacts/{SHOP}"), Some(business)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_has_a_profile_and_a_verified_name_in_all_it_writes() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    open_shop(&sim).await;
    sim.text(SHOP, "welcome", json!({})).await;
    let name = |event: &Event| match event {
        Event::Messages(batch) => batch.messages.iter().find_map(|one| one.info.verified_name.clone()?.name),
        _ => None,
    };
    assert_eq!(phone.until(name).await, "Anna's Shop");
    let shop: Jid = format!("{SHOP}@s.whatsapp.net").parse().unwrap();
    let profile = phone.client.get_business_profile(&shop).await.unwrap().unwrap();
    assert_eq!((profile.description.as_str(), profile.email.as_deref()), ("Everything", Some("shop@example.org")));
    assert_eq!(
        (profile.website, profile.address.as_deref()),
        (vec!["https://example.org".to_owned()], Some("Main Street 1"))
    );
    let anna: Jid = format!("{ANNA}@s.whatsapp.net").parse().unwrap();
    sim.text(ANNA, "hello", json!({})).await;
    assert!(phone.client.get_business_profile(&anna).await.unwrap().is_none(), "she has none");
    let found = phone.client.contacts().get_user_info(&[shop.clone(), anna.clone()]).await.unwrap();
    assert_eq!(found[&shop].verified_name.as_ref().and_then(|one| one.name.as_deref()), Some("Anna's Shop"));
    assert!(found[&anna].verified_name.is_none());

    // It closes, and is an ordinary person again.
    let (status, shown) = sim.call("PATCH", &format!("/contacts/{SHOP}"), Some(json!({"business": null}))).await;
    assert_eq!((status, shown["business"].is_null()), (200, true));
    assert!(phone.client.get_business_profile(&shop).await.unwrap().is_none());
    phone.shutdown().await;
    sim.stop().await;
}

async fn sees_a_business_and_the_bot(client: Client) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    witness.pair(async |code| sim.scan(code).await).await;
    open_shop(&sim).await;
    witness.order(json!({"do": "business", "to": SHOP}));
    let shown = witness.until("business").await;
    assert_eq!((&shown["address"], &shown["category"]), (&json!("Main Street 1"), &json!("Shopping")), "{shown}");
    witness.order(json!({"do": "bots"}));
    assert_eq!(witness.until("bots").await["count"], 1);
    sim.stop().await;
}

for_each_client! {
    sees_a_business_and_the_bot: whatsmeow_sees_a_business_and_the_bot, baileys_sees_a_business_and_the_bot;
}
