//! Businesses and bots as clients ask for them: profiles, verified names, the list of bots.

use wacore_binary::{Jid, Node, NodeRef, Server, builder::NodeBuilder};

use super::{iq::IqReply, node::jid};
use crate::{
    people::{SimulatedPerson, business::SERIAL},
    state::ServerState,
};

/// The one bot that there is, as clients know it: WhatsApp's own.
const BOT: &str = "867051314767696";
const PERSONA: &str = "867051314767696$760019659443059";

impl ServerState {
    /// Of each person that is asked for; who is no business has none.
    pub(super) fn business_profiles(&self, iq: &NodeRef<'_>) -> IqReply {
        let Some(asked) = iq.get_optional_child("business_profile") else {
            return IqReply::refused(400, "bad-request");
        };
        let profiles = asked.children().unwrap_or_default().iter().filter_map(|profile| {
            let address = jid(profile, "jid")?;
            let person = self.people.get(&self.people.number_of(&address)?)?;
            profile_node(person, address)
        });
        let profiles: Vec<Node> = profiles.collect();
        IqReply::one(NodeBuilder::new("business_profile").attr("v", "244").children(profiles).build())
    }

    pub(super) fn list_bots(&self) -> IqReply {
        let bot = NodeBuilder::new("bot").attr("jid", bot()).attr("persona_id", PERSONA).build();
        let section = NodeBuilder::new("section").attr("type", "all").attr("name", "All").children([bot]).build();
        IqReply::one(NodeBuilder::new("bot").attr("v", "2").children([section]).build())
    }
}

fn bot() -> Jid {
    Jid::new(BOT, Server::Bot)
}

fn profile_node(person: &SimulatedPerson, address: Jid) -> Option<Node> {
    let business = person.business.as_ref()?;
    let text = |tag: &'static str, text: &str| {
        (!text.is_empty()).then(|| NodeBuilder::new(tag).bytes(text.as_bytes().to_vec()).build())
    };
    let mut parts: Vec<Node> = [
        text("description", &business.description),
        text("address", &business.address),
        text("email", &business.email),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts.extend(business.websites.iter().filter_map(|website| text("website", website)));
    if !business.category.is_empty() {
        let category =
            NodeBuilder::new("category").attr("id", "1").bytes(business.category.as_bytes().to_vec()).build();
        parts.push(NodeBuilder::new("categories").children([category]).build());
    }
    Some(NodeBuilder::new("profile").attr("jid", address).attr("tag", "1").children(parts).build())
}

/// A person's verified name, in an answer of the directory.
pub(super) fn business_node(person: &SimulatedPerson) -> Option<Node> {
    let business = person.business.as_ref()?;
    let name = verified_name_node(business.certificate(&person.phone));
    Some(NodeBuilder::new("business").children([name]).build())
}

pub(super) fn verified_name_node(certificate: Vec<u8>) -> Node {
    NodeBuilder::new("verified_name")
        .attr("v", "1")
        .attr("verified_level", "low")
        .attr("serial", SERIAL.to_string())
        .bytes(certificate)
        .build()
}

/// What a bot says of itself, in an answer of the directory. None for who is no bot.
pub(super) fn bot_profile(address: &Jid) -> Option<Node> {
    if *address != bot() {
        return None;
    }
    let text = |tag: &'static str, text: &str| NodeBuilder::new(tag).bytes(text.as_bytes().to_vec()).build();
    let command = NodeBuilder::new("command").children([text("name", "ask"), text("description", "Asks")]).build();
    let commands = NodeBuilder::new("commands").children([text("description", "What it does"), command]).build();
    let prompt = NodeBuilder::new("prompt").children([text("emoji", "👋"), text("text", "Hello")]).build();
    let profile = NodeBuilder::new("profile").attr("persona_id", PERSONA).children([
        text("name", "Simulated AI"),
        text("attributes", ""),
        text("description", "It answers nobody"),
        text("category", "assistant"),
        NodeBuilder::new("default").build(),
        NodeBuilder::new("prompts").children([prompt]).build(),
        commands,
    ]);
    Some(NodeBuilder::new("bot").children([profile.build()]).build())
}
