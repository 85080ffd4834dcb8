//! The kinds of content that have a mapping.

use super::{business, commerce, proto_json::to_proto_json};
use kurir_contract::event::{Caption, ContactCard, EventAnswer, EventLocation, MessageContent};
use waproto::whatsapp::{
    Message,
    message::{
        ContactMessage, EventMessage, EventResponseMessage, LiveLocationMessage, LocationMessage, PollCreationMessage,
        buttons_response_message::Response as ButtonResponse, event_response_message::EventResponseType,
        interactive_response_message::InteractiveResponseMessage as FormResponse, pin_in_chat_message::Type as Pin,
    },
};

/// The content of a message that has a mapping.
pub fn mapped_content(message: &Message) -> Option<MessageContent> {
    basic_content(message).or_else(|| social_content(message)).or_else(|| business_content(message))
}

/// The text, or the default if it is missing or empty.
pub fn text_or(value: &Option<String>, default: &str) -> String {
    value.clone().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn basic_content(message: &Message) -> Option<MessageContent> {
    if let Some(text) = &message.conversation {
        return Some(MessageContent::Text { text: text.clone() });
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return Some(MessageContent::Text { text: text_or(&extended.text, "") });
    }
    if let Some(image) = message.image_message.as_option() {
        let mimetype = text_or(&image.mimetype, "image/jpeg");
        return Some(MessageContent::Image {
            caption: text_or(&image.caption, "").into(),
            mimetype,
            file_name: None,
            file: None,
        });
    }
    if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        let mimetype = text_or(&video.mimetype, "video/mp4");
        return Some(MessageContent::Video {
            caption: text_or(&video.caption, "").into(),
            mimetype,
            file_name: None,
            file: None,
        });
    }
    if let Some(audio) = message.audio_message.as_option() {
        return Some(MessageContent::Audio {
            caption: None,
            mimetype: text_or(&audio.mimetype, "audio/ogg"),
            file_name: None,
            file: None,
        });
    }
    if let Some(document) = message.document_message.as_option() {
        let file_name = text_or(&document.file_name, "document");
        let mimetype = text_or(&document.mimetype, "application/octet-stream");
        let caption = document.caption.clone().filter(|caption| !caption.is_empty()).map(Caption::from);
        return Some(MessageContent::Document { caption, file_name, mimetype, file: None });
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        return Some(MessageContent::Sticker { mimetype: text_or(&sticker.mimetype, "image/webp"), file: None });
    }
    if let Some(contact) = message.contact_message.as_option() {
        let ContactCard { display_name, vcard } = contact_card(contact);
        return Some(MessageContent::Contact { display_name, vcard });
    }
    if let Some(place) = message.location_message.as_option() {
        return location(place);
    }
    message.group_invite_message.as_option().map(|invite| MessageContent::GroupInvite { raw: to_proto_json(invite) })
}

fn social_content(message: &Message) -> Option<MessageContent> {
    if let Some(several) = message.contacts_array_message.as_option() {
        let contacts = several.contacts.iter().map(contact_card).collect();
        return Some(MessageContent::Contacts { display_name: text_or(&several.display_name, ""), contacts });
    }
    if let Some(place) = message.live_location_message.as_option() {
        return live_location(place);
    }
    if let Some(poll) = find_poll_creation(message) {
        let options = option_names(poll);
        let selectable = poll.selectable_options_count.unwrap_or_default();
        return Some(MessageContent::Poll { name: text_or(&poll.name, ""), options, selectable });
    }
    if let Some(event) = message.event_message.as_option() {
        return Some(calendar_event(event));
    }
    if let Some(album) = message.album_message.as_option() {
        let images = album.expected_image_count.unwrap_or_default();
        return Some(MessageContent::Album { images, videos: album.expected_video_count.unwrap_or_default() });
    }
    if let Some(added) = message.poll_add_option_message.as_option() {
        let option = added.add_option.as_option()?.option_name.clone()?;
        return Some(MessageContent::PollOption { option });
    }
    let pin = message.pin_in_chat_message.as_option()?;
    let message_id = pin.key.as_option()?.id.clone().filter(|id| !id.is_empty())?;
    Some(MessageContent::Pin { message_id, pinned: pin.r#type != Some(Pin::UNPIN_FOR_ALL) })
}

/// The answer to a calendar event, which WhatsApp encrypts with the event's secret.
pub fn event_response(response: &EventResponseMessage) -> MessageContent {
    let answer = match response.response {
        Some(EventResponseType::GOING) => EventAnswer::Going,
        Some(EventResponseType::NOT_GOING) => EventAnswer::NotGoing,
        Some(EventResponseType::MAYBE) => EventAnswer::Maybe,
        Some(EventResponseType::UNKNOWN) | None => EventAnswer::Unknown,
    };
    let extra_guests = response.extra_guest_count.and_then(|guests| u32::try_from(guests).ok()).unwrap_or_default();
    MessageContent::EventResponse { response: answer, extra_guests }
}

fn business_content(message: &Message) -> Option<MessageContent> {
    if let Some(reply) = message.list_response_message.as_option() {
        let row_id = reply.single_select_reply.as_option().map(|row| text_or(&row.selected_row_id, ""));
        return Some(MessageContent::ListReply {
            title: text_or(&reply.title, ""),
            description: text_or(&reply.description, ""),
            row_id: row_id.unwrap_or_default(),
        });
    }
    if let Some(reply) = message.buttons_response_message.as_option() {
        let text = match &reply.response {
            Some(ButtonResponse::SelectedDisplayText(text)) => text.clone(),
            None => String::new(),
        };
        return Some(MessageContent::ButtonReply { text, button_id: text_or(&reply.selected_button_id, "") });
    }
    if let Some(reply) = message.template_button_reply_message.as_option() {
        let text = text_or(&reply.selected_display_text, "");
        return Some(MessageContent::ButtonReply { text, button_id: text_or(&reply.selected_id, "") });
    }
    if let Some(reply) = message.interactive_response_message.as_option() {
        let text = reply.body.as_option().map(|body| text_or(&body.text, "")).unwrap_or_default();
        let (name, parameters) = match &reply.interactive_response_message {
            Some(FormResponse::NativeFlowResponseMessage(flow)) => {
                (text_or(&flow.name, ""), text_or(&flow.params_json, ""))
            }
            None => (String::new(), String::new()),
        };
        return Some(MessageContent::FormReply { text, name, parameters });
    }
    business::card_content(message).or_else(|| commerce::commerce_content(message))
}

/// The poll in a message, in any of WhatsApp's versions.
pub fn find_poll_creation(message: &Message) -> Option<&PollCreationMessage> {
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

/// The names of a poll's options, in order.
pub fn option_names(poll: &PollCreationMessage) -> Vec<String> {
    poll.options.iter().map(|option| text_or(&option.option_name, "")).collect()
}

fn contact_card(contact: &ContactMessage) -> ContactCard {
    ContactCard { display_name: text_or(&contact.display_name, ""), vcard: text_or(&contact.vcard, "") }
}

/// A place. None without a latitude and a longitude on Earth: zero would be another place.
fn coordinates(latitude: Option<f64>, longitude: Option<f64>) -> Option<(f64, f64)> {
    let (latitude, longitude) = (latitude?, longitude?);
    let is_place = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    is_place.then_some((latitude, longitude))
}

fn location(place: &LocationMessage) -> Option<MessageContent> {
    let (latitude, longitude) = coordinates(place.degrees_latitude, place.degrees_longitude)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Some(MessageContent::Location {
        latitude,
        longitude,
        name: text_or(&place.name, ""),
        address: text_or(&place.address, ""),
        url: given(&place.url),
        comment: given(&place.comment),
        accuracy: place.accuracy_in_meters,
    })
}

fn event_location(place: &LocationMessage) -> EventLocation {
    let (latitude, longitude) = coordinates(place.degrees_latitude, place.degrees_longitude).unzip();
    EventLocation { latitude, longitude, name: text_or(&place.name, ""), address: text_or(&place.address, "") }
}

fn live_location(place: &LiveLocationMessage) -> Option<MessageContent> {
    let (latitude, longitude) = coordinates(place.degrees_latitude, place.degrees_longitude)?;
    Some(MessageContent::LiveLocation {
        latitude,
        longitude,
        caption: text_or(&place.caption, "").into(),
        accuracy: place.accuracy_in_meters,
        // JSON has no number for what is none.
        speed: place.speed_in_mps.map(f64::from).filter(|speed| speed.is_finite()),
        sequence: place.sequence_number,
    })
}

fn calendar_event(event: &EventMessage) -> MessageContent {
    MessageContent::Event {
        name: text_or(&event.name, ""),
        description: text_or(&event.description, ""),
        starts_at: event.start_time,
        ends_at: event.end_time,
        location: event.location.as_option().map(event_location),
        join_link: event.join_link.clone(),
        cancelled: event.is_canceled.unwrap_or_default(),
    }
}
