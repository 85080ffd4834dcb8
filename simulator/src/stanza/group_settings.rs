//! A group's settings: what a client asks for at creation and later, and how each is shown and told.
//! Promises that a setting is honoured or refused with 501, never passed over.

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::node::{attribute, text};
use crate::groups::ChatGroup;

/// Durations that WhatsApp offers for messages that disappear, in seconds.
const MAX_EPHEMERAL: u32 = 365 * 24 * 60 * 60;

/// Brings one setting into force. The number and text of the refusal otherwise.
pub(super) fn apply(group: &mut ChatGroup, setting: &NodeRef<'_>) -> Result<(), (u16, &'static str)> {
    const BAD: (u16, &str) = (400, "bad-request");
    match setting.tag.as_ref() {
        "announcement" => group.announcement = true,
        "not_announcement" => group.announcement = false,
        "locked" => group.locked = true,
        "unlocked" => group.locked = false,
        "ephemeral" => {
            let seconds = attribute(setting, "expiration").and_then(|seconds| seconds.parse::<u32>().ok());
            group.settings.ephemeral = seconds.filter(|seconds| *seconds <= MAX_EPHEMERAL).ok_or(BAD)?;
        }
        "not_ephemeral" => group.settings.ephemeral = 0,
        "member_add_mode" => {
            group.members_add = match text(setting).as_str() {
                "all_member_add" => true,
                "admin_add" => false,
                _ => return Err(BAD),
            };
        }
        "member_link_mode" => {
            group.settings.member_links = match text(setting).as_str() {
                "all_member_link" => true,
                "admin_link" => false,
                _ => return Err(BAD),
            };
        }
        "membership_approval_mode" => {
            let state = setting.get_optional_child("group_join").and_then(|join| attribute(join, "state"));
            group.settings.approval = match state.as_deref() {
                Some("on") => true,
                Some("off") => false,
                _ => return Err(BAD),
            };
        }
        "no_frequently_forwarded" => group.settings.no_frequently_forwarded = true,
        "frequently_forwarded_ok" => group.settings.no_frequently_forwarded = false,
        "allow_admin_reports" => group.settings.admin_reports = true,
        "not_allow_admin_reports" => group.settings.admin_reports = false,
        "group_history" => group.settings.history = true,
        "no_group_history" => group.settings.history = false,
        _ => return Err((501, "feature-not-implemented")),
    }
    if setting.tag.ends_with("announcement") {
        group.announcement_version += 1;
    }
    Ok(())
}

/// The settings that differ from a new group's, as part of the group's description.
pub(super) fn shown(group: &ChatGroup) -> Vec<Node> {
    let settings = &group.settings;
    let flags = [
        (group.announcement, "announcement"),
        (group.locked, "locked"),
        (settings.no_frequently_forwarded, "no_frequently_forwarded"),
        (settings.admin_reports, "allow_admin_reports"),
        (settings.history, "group_history"),
    ];
    let mut nodes: Vec<Node> =
        flags.into_iter().filter(|(is_on, _)| *is_on).map(|(_, tag)| NodeBuilder::new(tag).build()).collect();
    if settings.ephemeral > 0 {
        nodes.push(NodeBuilder::new("ephemeral").attr("expiration", settings.ephemeral.to_string()).build());
    }
    let mode = if group.members_add { "all_member_add" } else { "admin_add" };
    nodes.push(NodeBuilder::new("member_add_mode").string_content(mode).build());
    let mode = if settings.member_links { "all_member_link" } else { "admin_link" };
    nodes.push(NodeBuilder::new("member_link_mode").string_content(mode).build());
    if settings.approval {
        nodes.push(approval(true));
    }
    nodes
}

/// As the members are told of it.
pub(super) fn told(group: &ChatGroup, setting: &NodeRef<'_>) -> Node {
    let node = NodeBuilder::new_dynamic(setting.tag.to_string());
    match setting.tag.as_ref() {
        "announcement" | "not_announcement" => node.attr("v_id", group.announcement_version.to_string()).build(),
        "ephemeral" => node.attr("expiration", group.settings.ephemeral.to_string()).build(),
        "member_add_mode" | "member_link_mode" => node.string_content(text(setting)).build(),
        "membership_approval_mode" => approval(group.settings.approval),
        _ => node.build(),
    }
}

fn approval(is_on: bool) -> Node {
    let join = NodeBuilder::new("group_join").attr("state", if is_on { "on" } else { "off" }).build();
    NodeBuilder::new("membership_approval_mode").children([join]).build()
}
