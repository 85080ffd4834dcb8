//! Refuses messages of a restricted account to strangers, and answers what clients ask about restrictions.
//! A contact is no stranger once it wrote to the account or read a message of it.

use wacore::iq::mex_operations::{fetch_new_chat_message_capping_info as capping, fetch_reachout_timelock as lock};
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::node::attribute;
use crate::{
    phone_number::PhoneNumber,
    restrictions::{AccountRestriction, RestrictionKind},
    state::ServerState,
};

impl ServerState {
    /// The number of the nack for a message to this contact, if it is one.
    pub fn restricted(&self, account: &PhoneNumber, contact: &PhoneNumber) -> Option<u16> {
        let restriction = self.restriction(account)?;
        let is_stranger = !(account == contact || self.wrote(contact, account) || self.read(contact, account));
        is_stranger.then(|| restriction.kind.code())
    }

    fn restriction(&self, account: &PhoneNumber) -> Option<&AccountRestriction> {
        self.restrictions.0.get(account).filter(|restriction| self.now() < restriction.until)
    }

    /// Whether one has written to another, outside of groups.
    pub fn has_chat(&self, from: &PhoneNumber, to: &PhoneNumber) -> bool {
        self.wrote(from, to) || self.read(to, from)
    }

    fn wrote(&self, contact: &PhoneNumber, account: &PhoneNumber) -> bool {
        self.ledger.iter().any(|line| line.to == *account && line.contact == *contact && line.group.is_none())
    }

    fn read(&self, contact: &PhoneNumber, account: &PhoneNumber) -> bool {
        let inbox = self.people.get(contact).map(|contact| &contact.inbox);
        inbox.is_some_and(|inbox| inbox.messages().any(|read| read.from == *account && read.group.is_none()))
    }

    /// The answer to a question of GraphQL, if it is about restrictions.
    pub fn answer_graphql(&self, account: &PhoneNumber, iq: &NodeRef<'_>) -> Option<Node> {
        let query = iq.get_optional_child("query")?;
        let restriction = self.restriction(account);
        let is = |kind: RestrictionKind| restriction.filter(|restriction| restriction.kind == kind);
        let data = match attribute(query, "query_id")?.as_str() {
            lock::DOC_ID => {
                let lock = is(RestrictionKind::TimeLock);
                serde_json::json!({"xwa2_fetch_account_reachout_timelock": {
                    "is_active": lock.is_some(),
                    "time_enforcement_ends": lock.map(|lock| lock.until.to_string()),
                }})
            }
            capping::DOC_ID => {
                let cap = is(RestrictionKind::NewChatCap);
                serde_json::json!({"xwa2_message_capping_info": {
                    "capping_status": if cap.is_some() { "CAPPED" } else { "NONE" },
                    "cycle_end_timestamp": cap.map(|cap| cap.until),
                }})
            }
            _ => return None,
        };
        let answer = serde_json::json!({"data": data}).to_string();
        Some(NodeBuilder::new("result").bytes(answer.into_bytes()).build())
    }
}
