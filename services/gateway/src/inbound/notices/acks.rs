//! `message.ack`: WhatsApp's server has a message of this account, or a person received, read or played it. Pure.

use super::notice_event::NoticeEvent;
use crate::inbound::{addresses::AddressDirectory, mapping::EventSource};
use kurir_contract::{
    event::{AckStatus, EventType, MessageAck},
    session::SessionId,
};
use wacore::types::{
    events::{Receipt, ServerAck},
    presence::ReceiptType,
};
use wacore_binary::{Jid, JidExt as _};

/// The event when WhatsApp's server accepted a message of this device. The sender handles a nack.
pub fn server_ack_notice(ack: &ServerAck, directory: &AddressDirectory, session: &SessionId) -> Option<NoticeEvent> {
    if ack.class.as_deref() != Some("message") || ack.error.is_some() {
        return None;
    }
    let chat = ack.from.as_ref()?;
    let place = EventSource { chat, author: directory.own_jid()?, from_me: true };
    let at = ack.timestamp.map_or_else(now_millis, |at| at.timestamp_millis());
    Some(ack_notice(&ack.id, AckStatus::Server, at, place, directory, session))
}

/// One event for each message in a receipt.
pub fn receipt_notices(receipt: &Receipt, directory: &AddressDirectory, session: &SessionId) -> Vec<NoticeEvent> {
    let Some(status) = ack_status(&receipt.r#type) else { return Vec::new() };
    let (chat, author) = (&receipt.source.chat, &receipt.source.sender);
    let mut directory = directory.clone();
    if let Some(alt) = &receipt.source.sender_alt {
        directory.add_pair(author, alt);
    }
    let from_me = directory.is_own(author);
    if from_me && (status == AckStatus::Delivered || is_direct(chat)) {
        // Another device of the account has its copy; or it read a message whose chat the client does not name.
        return Vec::new();
    }
    let place = EventSource { chat, author, from_me };
    let at = receipt.timestamp.timestamp_millis();
    receipt.message_ids.iter().map(|id| ack_notice(id, status, at, place, &directory, session)).collect()
}

fn is_direct(chat: &Jid) -> bool {
    !chat.is_group() && !chat.is_status_broadcast()
}

fn ack_status(kind: &ReceiptType) -> Option<AckStatus> {
    match kind {
        // A device in the background has the message, too.
        ReceiptType::Delivered | ReceiptType::Inactive => Some(AckStatus::Delivered),
        ReceiptType::Read => Some(AckStatus::Read),
        ReceiptType::Played => Some(AckStatus::Played),
        // Receipts among the account's own devices, requests to send again, and types that WhatsApp may add.
        _ => None,
    }
}

fn ack_notice(
    message_id: &str,
    status: AckStatus,
    timestamp: i64,
    place: EventSource<'_>,
    directory: &AddressDirectory,
    session: &SessionId,
) -> NoticeEvent {
    let kind = EventType::MESSAGE_ACK;
    let origin = place.event_origin(directory, session, &kind, (message_id, status.as_str()));
    let id = origin.event_id.clone();
    NoticeEvent::new(kind, id, MessageAck { message_id: message_id.to_owned(), status, timestamp, origin })
}

/// Milliseconds since 1970.
fn now_millis() -> i64 {
    whatsapp_rust::chrono::Utc::now().timestamp_millis()
}
