//! Refuses messages of a restricted account to strangers, and answers what clients ask about restrictions.
//! A contact is no stranger once it wrote to the account or read a message of it.

use serde_json::json;

use super::graphql::GraphqlAnswer;
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

    pub(super) fn time_lock(&self, account: &PhoneNumber) -> GraphqlAnswer {
        let lock = self.restriction_of(account, RestrictionKind::TimeLock);
        let answer = json!({
            "is_active": lock.is_some(),
            "time_enforcement_ends": lock.map(|lock| lock.until.to_string()),
        });
        Ok(("xwa2_fetch_account_reachout_timelock", answer))
    }

    pub(super) fn new_chat_cap(&self, account: &PhoneNumber) -> GraphqlAnswer {
        let cap = self.restriction_of(account, RestrictionKind::NewChatCap);
        let answer = json!({
            "capping_status": if cap.is_some() { "CAPPED" } else { "NONE" },
            "cycle_end_timestamp": cap.map(|cap| cap.until),
        });
        Ok(("xwa2_message_capping_info", answer))
    }

    fn restriction_of(&self, account: &PhoneNumber, kind: RestrictionKind) -> Option<&AccountRestriction> {
        self.restriction(account).filter(|restriction| restriction.kind == kind)
    }
}
