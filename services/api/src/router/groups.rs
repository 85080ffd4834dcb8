//! Routes of groups.

use super::session::GATEWAY;
use crate::{
    error_code::ErrorCode::{self, *},
    openapi::{DocumentedRouter, RouteAccess, operation},
    routes::whatsapp,
};
use serde_json::json;

const GROUP: &[ErrorCode] = &[InvalidGroup, GroupNotFound];
const MEMBERS: &[ErrorCode] = &[InvalidGroup, InvalidParticipants, GroupNotFound];
const PICTURE: &[ErrorCode] = &[InvalidGroup, InvalidPicture, GroupNotFound, PictureNotFound];

pub fn routes() -> DocumentedRouter {
    let people = || json!({"participants": ["6281234567890"]});
    DocumentedRouter::new("Groups", RouteAccess::Keyed, GATEWAY)
        .get(
            "/whatsapp/groups",
            whatsapp::list_groups,
            operation("listGroups", "Lists the groups that the account is in, in the order of their ids")
                .errors(&[InvalidGroup]),
        )
        .post(
            "/whatsapp/groups",
            whatsapp::create_group,
            operation("createGroup", "Makes a group")
                .errors(&[InvalidGroup, InvalidParticipants])
                .request(json!({"subject": "Team", "participants": ["6281234567890"]})),
        )
        .post(
            "/whatsapp/groups/join",
            whatsapp::join_group,
            operation("joinGroup", "Joins a group by its invitation")
                .errors(&[InvalidInvite, GroupNotFound, InviteNotFound])
                .request(json!({"link": "https://chat.whatsapp.com/AbCdEfGhIjKlMnOpQrStUv"})),
        )
        .get("/whatsapp/groups/{id}", whatsapp::show_group, operation("showGroup", "Shows a group").errors(GROUP))
        .patch(
            "/whatsapp/groups/{id}",
            whatsapp::change_group,
            operation("changeGroup", "Changes a group")
                .errors(GROUP)
                .request(json!({"subject": "Team", "locked": true})),
        )
        .post(
            "/whatsapp/groups/{id}/participants",
            whatsapp::add_participants,
            operation("addParticipants", "Adds people to a group").errors(MEMBERS).request(people()),
        )
        .delete(
            "/whatsapp/groups/{id}/participants",
            whatsapp::remove_participants,
            operation("removeParticipants", "Removes people from a group").errors(MEMBERS).request(people()),
        )
        .post(
            "/whatsapp/groups/{id}/admins",
            whatsapp::make_admins,
            operation("addAdmins", "Makes administrators of members").errors(MEMBERS).request(people()),
        )
        .delete(
            "/whatsapp/groups/{id}/admins",
            whatsapp::make_members,
            operation("removeAdmins", "Makes members of administrators").errors(MEMBERS).request(people()),
        )
        .get(
            "/whatsapp/groups/{id}/invite",
            whatsapp::invite,
            operation("showInvite", "Shows the invitation link of a group").errors(GROUP),
        )
        .delete(
            "/whatsapp/groups/{id}/invite",
            whatsapp::revoke_invite,
            operation("revokeInvite", "Makes a new invitation link; the old one is no longer valid").errors(GROUP),
        )
        .get(
            "/whatsapp/groups/{id}/picture",
            whatsapp::group_picture,
            operation("showGroupPicture", "Shows where the picture of a group is").errors(PICTURE),
        )
        .put(
            "/whatsapp/groups/{id}/picture",
            whatsapp::set_group_picture,
            operation("setGroupPicture", "Sets the picture of a group").errors(PICTURE),
        )
        .delete(
            "/whatsapp/groups/{id}/picture",
            whatsapp::remove_group_picture,
            operation("removeGroupPicture", "Removes the picture of a group").errors(PICTURE),
        )
        .post(
            "/whatsapp/groups/{id}/leave",
            whatsapp::leave_group,
            operation("leaveGroup", "Leaves a group").errors(GROUP),
        )
}
