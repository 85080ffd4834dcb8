//! The kinds of content, those of the contract first.

use super::raw::raw;
use kurir_contract::event::{ContactCard, EventLocation, MessageContent};
use waproto::whatsapp::{
    Message,
    message::{
        ContactMessage, EventMessage, LiveLocationMessage, LocationMessage, PollCreationMessage,
        buttons_response_message::Response as ButtonResponse,
        interactive_response_message::InteractiveResponseMessage as FormResponse, pin_in_chat_message::Type as Pin,
    },
};

/// The content of a message that has a mapping.
pub fn known(message: &Message) -> Option<MessageContent> {
    of_contract(message).or_else(|| of_people(message)).or_else(|| of_business(message))
}

fn or(value: &Option<String>, default: &str) -> String {
    value.clone().unwrap_or_else(|| default.to_owned())
}

fn of_contract(message: &Message) -> Option<MessageContent> {
    if let Some(text) = &message.conversation {
        return Some(MessageContent::Text { text: text.clone() });
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return Some(MessageContent::Text { text: or(&extended.text, "") });
    }
    if let Some(image) = message.image_message.as_option() {
        let mimetype = or(&image.mimetype, "image/jpeg");
        return Some(MessageContent::Image { caption: or(&image.caption, ""), mimetype, file_name: None, file: None });
    }
    if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        let mimetype = or(&video.mimetype, "video/mp4");
        return Some(MessageContent::Video { caption: or(&video.caption, ""), mimetype, file_name: None, file: None });
    }
    if let Some(audio) = message.audio_message.as_option() {
        return Some(MessageContent::Audio {
            caption: None,
            mimetype: or(&audio.mimetype, "audio/ogg"),
            file_name: None,
            file: None,
        });
    }
    if let Some(document) = message.document_message.as_option() {
        let file_name = or(&document.file_name, "document");
        let mimetype = or(&document.mimetype, "application/octet-stream");
        return Some(MessageContent::Document { caption: None, file_name, mimetype, file: None });
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        return Some(MessageContent::Sticker { mimetype: or(&sticker.mimetype, "image/webp"), file: None });
    }
    if let Some(contact) = message.contact_message.as_option() {
        let ContactCard { display_name, vcard } = card(contact);
        return Some(MessageContent::Contact { display_name, vcard });
    }
    if let Some(place) = message.location_message.as_option() {
        let EventLocation { latitude, longitude, name, address } = place_of(place);
        return Some(MessageContent::Location { latitude, longitude, name, address });
    }
    message.group_invite_message.as_option().map(|invite| MessageContent::GroupInvite { raw: raw(invite) })
}

fn of_people(message: &Message) -> Option<MessageContent> {
    if let Some(several) = message.contacts_array_message.as_option() {
        let contacts = several.contacts.iter().map(card).collect();
        return Some(MessageContent::Contacts { display_name: or(&several.display_name, ""), contacts });
    }
    if let Some(place) = message.live_location_message.as_option() {
        return Some(live_location(place));
    }
    if let Some(poll) = poll_of(message) {
        let options = option_names(poll);
        let selectable = poll.selectable_options_count.unwrap_or_default();
        return Some(MessageContent::Poll { name: or(&poll.name, ""), options, selectable });
    }
    if let Some(event) = message.event_message.as_option() {
        return Some(calendar_event(event));
    }
    if let Some(album) = message.album_message.as_option() {
        let images = album.expected_image_count.unwrap_or_default();
        return Some(MessageContent::Album { images, videos: album.expected_video_count.unwrap_or_default() });
    }
    let pin = message.pin_in_chat_message.as_option()?;
    let message_id = pin.key.as_option().map(|key| or(&key.id, "")).unwrap_or_default();
    Some(MessageContent::Pin { message_id, pinned: pin.r#type != Some(Pin::UNPIN_FOR_ALL) })
}

fn of_business(message: &Message) -> Option<MessageContent> {
    if let Some(reply) = message.list_response_message.as_option() {
        let row_id = reply.single_select_reply.as_option().map(|row| or(&row.selected_row_id, ""));
        return Some(MessageContent::ListReply {
            title: or(&reply.title, ""),
            description: or(&reply.description, ""),
            row_id: row_id.unwrap_or_default(),
        });
    }
    if let Some(reply) = message.buttons_response_message.as_option() {
        let text = match &reply.response {
            Some(ButtonResponse::SelectedDisplayText(text)) => text.clone(),
            None => String::new(),
        };
        return Some(MessageContent::ButtonReply { text, button_id: or(&reply.selected_button_id, "") });
    }
    if let Some(reply) = message.template_button_reply_message.as_option() {
        let text = or(&reply.selected_display_text, "");
        return Some(MessageContent::ButtonReply { text, button_id: or(&reply.selected_id, "") });
    }
    if let Some(reply) = message.interactive_response_message.as_option() {
        let text = reply.body.as_option().map(|body| or(&body.text, "")).unwrap_or_default();
        let (name, parameters) = match &reply.interactive_response_message {
            Some(FormResponse::NativeFlowResponseMessage(flow)) => (or(&flow.name, ""), or(&flow.params_json, "")),
            None => (String::new(), String::new()),
        };
        return Some(MessageContent::FormReply { text, name, parameters });
    }
    if let Some(product) = message.product_message.as_option() {
        let shown = product.product.as_option()?;
        return Some(MessageContent::Product {
            title: or(&shown.title, ""),
            description: or(&shown.description, ""),
            product_id: or(&shown.product_id, ""),
            url: or(&shown.url, ""),
        });
    }
    let order = message.order_message.as_option()?;
    Some(MessageContent::Order {
        order_id: or(&order.order_id, ""),
        title: or(&order.order_title, ""),
        message: or(&order.message, ""),
        items: order.item_count.and_then(|items| u32::try_from(items).ok()).unwrap_or_default(),
    })
}

/// The poll that a message is, in whichever of WhatsApp's versions.
pub fn poll_of(message: &Message) -> Option<&PollCreationMessage> {
    [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ]
    .into_iter()
    .find_map(|poll| poll.as_option())
}

/// The options of a poll, in its order.
pub fn option_names(poll: &PollCreationMessage) -> Vec<String> {
    poll.options.iter().map(|option| or(&option.option_name, "")).collect()
}

fn card(contact: &ContactMessage) -> ContactCard {
    ContactCard { display_name: or(&contact.display_name, ""), vcard: or(&contact.vcard, "") }
}

fn place_of(place: &LocationMessage) -> EventLocation {
    EventLocation {
        latitude: place.degrees_latitude.unwrap_or_default(),
        longitude: place.degrees_longitude.unwrap_or_default(),
        name: or(&place.name, ""),
        address: or(&place.address, ""),
    }
}

fn live_location(place: &LiveLocationMessage) -> MessageContent {
    MessageContent::LiveLocation {
        latitude: place.degrees_latitude.unwrap_or_default(),
        longitude: place.degrees_longitude.unwrap_or_default(),
        caption: or(&place.caption, ""),
        accuracy: place.accuracy_in_meters,
        speed: place.speed_in_mps.map(f64::from),
        sequence: place.sequence_number,
    }
}

fn calendar_event(event: &EventMessage) -> MessageContent {
    MessageContent::Event {
        name: or(&event.name, ""),
        description: or(&event.description, ""),
        starts_at: event.start_time,
        ends_at: event.end_time,
        location: event.location.as_option().map(place_of),
        join_link: event.join_link.clone(),
        cancelled: event.is_canceled.unwrap_or_default(),
    }
}
