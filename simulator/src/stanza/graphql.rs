//! Questions in GraphQL (`w:mex`). A client names a stored operation by a number and sends its variables; each client
//! library has numbers of its own for the same operation, so the table below has all that are known.

use serde_json::{Value, json};
use wacore::iq::mex_operations as web;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{iq::IqReply, node::attribute};
use crate::{phone_number::PhoneNumber, state::ServerState};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    TimeLock,
    NewChatCap,
    Subgroups,
    SubgroupSizes,
    ShowChannel,
    ListChannels,
    ListFollowers,
    CreateChannel,
    UpdateChannel,
    JoinChannel,
    LeaveChannel,
    MuteChannel,
    UnmuteChannel,
    ChangeChannelSetting,
    CountAdmins,
    ChangeOwner,
    DemoteAdmin,
    DeleteChannel,
}

/// The numbers: WhatsApp Web's of today, and the older ones that whatsmeow and Baileys send.
const OPERATIONS: &[(Operation, &[&str])] = &[
    (Operation::TimeLock, &[web::fetch_reachout_timelock::DOC_ID]),
    (Operation::NewChatCap, &[web::fetch_new_chat_message_capping_info::DOC_ID]),
    (Operation::Subgroups, &[web::fetch_all_subgroups::DOC_ID]),
    (Operation::SubgroupSizes, &[web::query_subgroup_participant_count::DOC_ID]),
    (
        Operation::ShowChannel,
        &[
            web::fetch_newsletter::DOC_ID,
            web::fetch_newsletter_dehydrated::DOC_ID,
            "6563316087068696",
            "7272540469429201",
        ],
    ),
    (Operation::ListChannels, &[web::fetch_all_newsletters_metadata::DOC_ID, "6388546374527196"]),
    (Operation::ListFollowers, &[web::fetch_newsletter_followers::DOC_ID, "9783111038412085", "9800646650009898"]),
    (Operation::CreateChannel, &[web::create_newsletter::DOC_ID, "8823471724422422", "6234210096708695"]),
    (Operation::UpdateChannel, &[web::update_newsletter::DOC_ID, "7150902998257522"]),
    (Operation::JoinChannel, &[web::join_newsletter::DOC_ID, "9926858900719341"]),
    (Operation::LeaveChannel, &[web::leave_newsletter::DOC_ID, "6392786840836363"]),
    (Operation::MuteChannel, &["29766401636284406", "6274038279359549"]),
    (Operation::UnmuteChannel, &["9864994326891137", "6068417879924485"]),
    (Operation::ChangeChannelSetting, &[web::update_newsletter_user_setting::DOC_ID]),
    (Operation::CountAdmins, &["7130823597031706"]),
    (Operation::ChangeOwner, &[web::change_newsletter_owner::DOC_ID, "7341777602580933"]),
    (Operation::DemoteAdmin, &[web::demote_newsletter_admin::DOC_ID, "6551828931592903"]),
    (Operation::DeleteChannel, &[web::delete_newsletter::DOC_ID]),
];

impl Operation {
    fn of(number: &str) -> Option<Self> {
        OPERATIONS.iter().find(|(_, numbers)| numbers.contains(&number)).map(|(operation, _)| *operation)
    }
}

/// Why an operation failed, as GraphQL reports it.
pub(super) struct GraphqlError {
    pub code: u16,
    pub text: &'static str,
}

impl GraphqlError {
    pub(super) const NOT_FOUND: Self = Self { code: 404, text: "Not Found" };
    pub(super) const FORBIDDEN: Self = Self { code: 403, text: "Forbidden" };
    pub(super) const BAD: Self = Self { code: 400, text: "Bad Request" };
}

/// The field of the answer, and what it holds.
pub(super) type GraphqlAnswer = Result<(&'static str, Value), GraphqlError>;

impl ServerState {
    /// None for an operation that is not known here.
    pub(super) fn answer_graphql(&mut self, account: &PhoneNumber, iq: &NodeRef<'_>) -> Option<IqReply> {
        let query = iq.get_optional_child("query")?;
        let operation = Operation::of(&attribute(query, "query_id")?)?;
        let sent: Value =
            query.content_bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let variables = &sent["variables"];
        let answer = match operation {
            Operation::TimeLock => self.time_lock(account),
            Operation::NewChatCap => self.new_chat_cap(account),
            Operation::Subgroups => self.show_subgroups(account, variables),
            Operation::SubgroupSizes => self.subgroup_sizes(account, variables),
            _ => self.answer_about_channel(operation, account, variables),
        };
        let answer = match answer {
            Ok((field, value)) => json!({"data": {field: value}}),
            Err(GraphqlError { code, text }) => json!({"data": null, "errors": [{
                "message": text,
                "path": [],
                "extensions": {"error_code": code, "is_retryable": false, "severity": "CRITICAL"},
            }]}),
        };
        Some(IqReply::one(result(&answer)))
    }
}

fn result(answer: &Value) -> Node {
    NodeBuilder::new("result").bytes(answer.to_string().into_bytes()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_operation() {
        let mut all: Vec<&str> = OPERATIONS.iter().flat_map(|(_, numbers)| numbers.iter().copied()).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(Operation::of(web::join_newsletter::DOC_ID), Some(Operation::JoinChannel));
        assert_eq!(Operation::of("1"), None);
    }
}
