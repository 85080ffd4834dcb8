//! `/api/whatsapp`: what a user asks of the WhatsApp session, handed on to the gateway that holds it.

mod calls;
mod contacts;
mod forward_message;
mod gateway_request;
mod group_members;
mod groups;
mod job_item;
mod job_submission;
mod jobs;
mod media;
mod message_actions;
mod message_completion;
mod passkey;
mod pictures;
mod presence;
mod qr;
mod send;
mod send_bulk;
mod send_contact;
mod send_location;
mod send_message;
mod send_poll;
mod send_request;
mod session;
mod text_message;

pub use calls::reject_call;
pub use contacts::{block, blocklist, check_number, contact, unblock};
pub use forward_message::forward_message;
pub use group_members::{add_participants, make_admins, make_members, remove_participants};
pub use groups::{change_group, create_group, invite, join_group, leave_group, list_groups, revoke_invite, show_group};
pub use jobs::{cancel_job, create_job, list_jobs, show_job};
pub use media::{send_audio, send_document, send_image, send_media, send_sticker, send_video, send_voice};
pub use message_actions::{edit_message, revoke_message, send_reaction};
pub use passkey::{answer_passkey, confirm_passkey, passkey};
pub use pictures::{
    contact_picture, group_picture, remove_group_picture, remove_own_picture, set_group_picture, set_own_picture,
};
pub use presence::{mark_read, presence, subscribe_presence, typing};
pub use qr::qr;
pub use send_bulk::send_bulk;
pub use send_contact::send_contact;
pub use send_location::send_location;
pub use send_message::send_message;
pub use send_poll::send_poll;
pub use session::{logout, pairing_code, restart, status};
