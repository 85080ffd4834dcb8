//! Groups as clients ask for them (`w:g2`).

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{iq::Reply, jid};
use crate::{groups::Group, people::Number, world::World};

impl World {
    pub(super) fn on_group_iq(&mut self, number: &Number, iq: &NodeRef<'_>) -> Reply {
        let tag =
            iq.children().and_then(|children| children.first()).map(|child| child.tag.to_string()).unwrap_or_default();
        match tag.as_str() {
            "query" => {
                let group = jid(iq, "to").and_then(|to| self.groups.get(&to.user));
                match group {
                    None => Reply::refused(404, "item-not-found"),
                    Some(group) if !group.participants.contains(number) => Reply::refused(403, "forbidden"),
                    Some(group) => Reply::one(describe(group)),
                }
            }
            "participating" => {
                let mine = self.groups.iter().filter(|group| group.participants.contains(number)).map(describe);
                Reply::one(NodeBuilder::new("groups").children(mine).build())
            }
            _ => {
                self.statistics.unanswered("w:g2");
                Reply::refused(501, "feature-not-implemented")
            }
        }
    }
}

fn describe(group: &Group) -> Node {
    let participants = group.participants.iter().map(|number| {
        let mut participant =
            NodeBuilder::new("participant").attr("jid", number.lid_jid(0)).attr("phone_number", number.jid(0));
        if *number == group.creator {
            participant = participant.attr("type", "superadmin");
        }
        participant.build()
    });
    NodeBuilder::new("group")
        .attr("id", group.id.as_str())
        .attr("subject", group.subject.as_str())
        .attr("s_t", group.created.to_string())
        .attr("creation", group.created.to_string())
        .attr("creator", group.creator.lid_jid(0))
        .attr("addressing_mode", "lid")
        .attr("size", group.participants.len().to_string())
        .children(participants)
        .build()
}
