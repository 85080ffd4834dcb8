//! One row for each kind of content, with and without its optional parts.

use super::{context::context_of, *};
use crate::inbound::addresses::AddressDirectory;
use buffa::MessageField;
use serde_json::{Value, json};
use waproto::whatsapp::{
    self as wa,
    message::{self as m, ContactMessage, FutureProofMessage},
};

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

fn json_of(message: &Message) -> Value {
    content_of(message).map_or(Value::Null, |content| serde_json::to_value(content).unwrap_or_default())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

macro_rules! with {
    ($field:ident: $kind:ident { $($name:ident: $value:expr),* $(,)? }) => {
        Message {
            $field: MessageField::some(m::$kind { $($name: $value,)* ..Default::default() }),
            ..Message::default()
        }
    };
}

#[test]
fn each_kind_has_its_content() {
    for (message, expected) in [
        (text("hello"), json!({"messageType": "text", "content": {"text": "hello"}})),
        (
            with!(extended_text_message: ExtendedTextMessage { text: some("a link") }),
            json!({"messageType": "text", "content": {"text": "a link"}}),
        ),
        (
            with!(image_message: ImageMessage { caption: some("sea"), mimetype: some("image/png") }),
            json!({"messageType": "image", "content": {"caption": "sea", "text": "sea", "mimetype": "image/png"}}),
        ),
        (
            with!(image_message: ImageMessage {}),
            json!({"messageType": "image", "content": {"caption": "", "mimetype": "image/jpeg"}}),
        ),
        (
            with!(video_message: VideoMessage {}),
            json!({"messageType": "video", "content": {"caption": "", "mimetype": "video/mp4"}}),
        ),
        (
            with!(ptv_message: VideoMessage {}),
            json!({"messageType": "video", "content": {"caption": "", "mimetype": "video/mp4"}}),
        ),
        (with!(audio_message: AudioMessage {}), json!({"messageType": "audio", "content": {"mimetype": "audio/ogg"}})),
        (
            with!(document_message: DocumentMessage { file_name: some("a.pdf"), mimetype: some("application/pdf") }),
            json!({"messageType": "document", "content": {"fileName": "a.pdf", "mimetype": "application/pdf"}}),
        ),
        (
            with!(document_message: DocumentMessage {}),
            json!({"messageType": "document", "content": {"fileName": "document", "mimetype": "application/octet-stream"}}),
        ),
        (
            with!(sticker_message: StickerMessage {}),
            json!({"messageType": "sticker", "content": {"mimetype": "image/webp"}}),
        ),
        (
            with!(contact_message: ContactMessage { display_name: some("Ani"), vcard: some("BEGIN:VCARD") }),
            json!({"messageType": "contact", "content": {"displayName": "Ani", "vcard": "BEGIN:VCARD"}}),
        ),
        (
            with!(location_message: LocationMessage { degrees_latitude: Some(-6.5), degrees_longitude: Some(106.5) }),
            json!({"messageType": "location",
                "content": {"latitude": -6.5, "longitude": 106.5, "name": "", "address": ""}}),
        ),
        (
            with!(group_invite_message: GroupInviteMessage { group_name: some("Team") }),
            json!({"messageType": "group_invite", "content": {"raw": {"groupName": "Team"}}}),
        ),
    ] {
        assert_eq!(json_of(&message), expected);
    }
}

#[test]
fn several_contacts_are_a_list() {
    let card =
        |name: &str, vcard: &str| ContactMessage { display_name: some(name), vcard: some(vcard), ..Default::default() };
    let message = with!(contacts_array_message: ContactsArrayMessage {
        display_name: some("2 contacts"),
        contacts: vec![card("Ani", "A"), card("Budi", "B")],
    });
    let expected = json!({"messageType": "contacts", "content": {"displayName": "2 contacts",
        "contacts": [{"displayName": "Ani", "vcard": "A"}, {"displayName": "Budi", "vcard": "B"}]}});
    assert_eq!(json_of(&message), expected);
}

#[test]
fn kurirs_own_kinds_have_their_content() {
    use m::{
        buttons_response_message::Response, interactive_response_message as form,
        list_response_message::SingleSelectReply, poll_creation_message::Option as PollOption,
        product_message::ProductSnapshot,
    };
    let option = |name: &str| PollOption { option_name: some(name), ..Default::default() };
    let poll = m::PollCreationMessage {
        name: some("Lunch?"),
        options: vec![option("Rice"), option("Soup")],
        selectable_options_count: Some(1),
        ..Default::default()
    };
    let place = m::LocationMessage { name: some("Office"), ..Default::default() };
    for (message, kind, content) in [
        (
            Message { poll_creation_message_v3: MessageField::some(poll), ..Message::default() },
            "poll",
            json!({"name": "Lunch?", "options": ["Rice", "Soup"], "selectable": 1}),
        ),
        (
            with!(live_location_message: LiveLocationMessage {
                degrees_latitude: Some(1.5), degrees_longitude: Some(0.0), sequence_number: Some(7),
            }),
            "live_location",
            json!({"latitude": 1.5, "longitude": 0.0, "caption": "", "accuracy": null, "speed": null, "sequence": 7}),
        ),
        (
            with!(event_message: EventMessage {
                name: some("Launch"), start_time: Some(9), location: MessageField::some(place),
            }),
            "event",
            json!({"name": "Launch", "description": "", "startsAt": 9, "endsAt": null, "joinLink": null,
                "cancelled": false,
                "location": {"latitude": null, "longitude": null, "name": "Office", "address": ""}}),
        ),
        (
            with!(list_response_message: ListResponseMessage {
                title: some("Tea"),
                single_select_reply: MessageField::some(SingleSelectReply { selected_row_id: some("row-1") }),
            }),
            "list_reply",
            json!({"title": "Tea", "description": "", "rowId": "row-1"}),
        ),
        (
            with!(buttons_response_message: ButtonsResponseMessage {
                selected_button_id: some("yes"),
                response: Some(Response::SelectedDisplayText("Yes".to_owned())),
            }),
            "button_reply",
            json!({"text": "Yes", "buttonId": "yes"}),
        ),
        (
            with!(template_button_reply_message: TemplateButtonReplyMessage {
                selected_id: some("no"), selected_display_text: some("No"),
            }),
            "button_reply",
            json!({"text": "No", "buttonId": "no"}),
        ),
        (
            with!(interactive_response_message: InteractiveResponseMessage {
                body: MessageField::some(form::Body { text: some("Sent"), ..Default::default() }),
            }),
            "form_reply",
            json!({"text": "Sent", "name": "", "parameters": ""}),
        ),
        (
            with!(product_message: ProductMessage {
                product: MessageField::some(ProductSnapshot { title: some("Cup"), ..Default::default() }),
            }),
            "product",
            json!({"title": "Cup", "description": "", "productId": "", "url": "", "text": "", "footer": null,
                "sku": null, "price": null, "salePrice": null, "currency": null}),
        ),
        (
            with!(order_message: OrderMessage { order_id: some("7"), item_count: Some(2) }),
            "order",
            json!({"orderId": "7", "title": "", "message": "", "items": 2, "token": null, "total": null,
                "currency": null}),
        ),
        (
            with!(order_message: OrderMessage {
                order_id: some("7"), token: some("T=="), total_amount1000: Some(12_500), total_currency_code: some("EUR"),
            }),
            "order",
            json!({"orderId": "7", "title": "", "message": "", "items": null, "token": "T==", "total": 12.5,
                "currency": "EUR"}),
        ),
        (
            with!(album_message: AlbumMessage { expected_image_count: Some(3) }),
            "album",
            json!({"images": 3, "videos": 0}),
        ),
        (
            with!(pin_in_chat_message: PinInChatMessage {
                key: MessageField::some(MessageKey { id: some("A"), ..Default::default() }),
            }),
            "pin",
            json!({"messageId": "A", "pinned": true}),
        ),
    ] {
        assert_eq!(json_of(&message), json!({"messageType": kind, "content": content}));
    }
}

#[test]
fn an_envelope_does_not_change_what_is_in_it() {
    let envelope = |inner: Message| MessageField::some(FutureProofMessage { message: MessageField::some(inner) });
    let hello = json_of(&text("hello"));
    let once = Message { view_once_message_v2: envelope(text("hello")), ..Message::default() };
    let twice = Message { ephemeral_message: envelope(once.clone()), ..Message::default() };
    let document = Message { document_with_caption_message: envelope(text("hello")), ..Message::default() };
    for message in [once, twice, document] {
        assert_eq!(json_of(&message), hello);
    }
}

#[test]
fn what_has_no_mapping_keeps_the_raw_message() {
    let invoice = with!(invoice_message: InvoiceMessage { note: some("for lunch") });
    let found = json_of(&invoice);
    assert_eq!(found["messageType"], "unknown");
    assert_eq!(found["content"]["raw"]["invoiceMessage"]["note"], "for lunch");
}

#[test]
fn keys_reactions_and_protocol_messages_are_no_content() {
    let keys = with!(sender_key_distribution_message: SenderKeyDistributionMessage { group_id: some("120363@g.us") });
    let reaction = with!(reaction_message: ReactionMessage { text: some("+1") });
    let protocol = with!(protocol_message: ProtocolMessage {});
    let context =
        Message { message_context_info: MessageField::some(wa::MessageContextInfo::default()), ..Message::default() };
    for message in [keys, reaction, protocol, context, Message::default()] {
        assert_eq!(content_of(&message), None);
    }
}

#[test]
fn a_text_that_comes_with_keys_is_a_text() {
    let mut message = with!(sender_key_distribution_message: SenderKeyDistributionMessage {});
    message.conversation = some("hello");
    assert_eq!(json_of(&message), json_of(&text("hello")));
}

fn context_json(message: &Message) -> Value {
    let mut directory = AddressDirectory::default();
    directory.add_pair(&"628@s.whatsapp.net".parse().unwrap(), &"900@lid".parse().unwrap());
    serde_json::to_value(context_of(unwrap_message(message), None, &directory)).unwrap()
}

#[test]
fn a_reply_names_what_it_answers_and_whom_it_mentions() {
    let context = wa::ContextInfo {
        stanza_id: some("A"),
        participant: some("900@lid"),
        quoted_message: MessageField::some(text("the question")),
        mentioned_jid: vec!["900@lid".to_owned(), "629@s.whatsapp.net".to_owned(), "nobody".to_owned()],
        is_forwarded: Some(true),
        forwarding_score: Some(127),
        expiration: Some(86_400),
        ..Default::default()
    };
    let message = with!(extended_text_message: ExtendedTextMessage {
        text: some("the answer"),
        context_info: MessageField::some(context.clone()),
    });
    let found = context_json(&message);
    let quoted = json!({"messageType": "text", "content": {"text": "the question"}});
    assert_eq!(
        found["reply"],
        json!({"messageId": "A", "author": "628@s.whatsapp.net", "chat": null, "quoted": quoted})
    );
    assert_eq!(found["mentions"][0], "628@s.whatsapp.net");
    assert_eq!(found["mentions"][1], "629@s.whatsapp.net");
    assert_eq!((&found["forwarded"], &found["forwardingScore"]), (&json!(true), &json!(127)));
    assert_eq!(found["expiresAfter"], 86_400);
    // In any kind of message.
    let image = with!(image_message: ImageMessage { context_info: MessageField::some(context) });
    assert_eq!(context_json(&image)["reply"], found["reply"]);
    assert_eq!(context_json(&text("no reply"))["reply"], Value::Null);
}

#[test]
fn what_is_shown_once_says_so_in_either_form() {
    let image = with!(image_message: ImageMessage { view_once: Some(true) });
    let envelope = MessageField::some(FutureProofMessage { message: MessageField::some(text("once")) });
    let wrapped = Message { view_once_message_v2: envelope, ..Message::default() };
    for (message, once) in [(image, true), (wrapped, true), (text("often"), false)] {
        assert_eq!(context_json(&message)["viewOnce"], once);
    }
}

#[test]
fn a_file_tells_what_it_is_and_a_link_what_it_shows() {
    let none = json!({"voiceNote": false, "round": false, "gif": false, "animated": false, "seconds": null,
        "width": null, "height": null, "bytes": null, "caption": null});
    let but = |fields: Value| {
        let mut media = none.clone();
        for (name, value) in fields.as_object().unwrap() {
            media[name] = value.clone();
        }
        media
    };
    for (message, expected) in [
        (
            with!(audio_message: AudioMessage { ptt: Some(true), seconds: Some(3) }),
            but(json!({"voiceNote": true, "seconds": 3})),
        ),
        (with!(ptv_message: VideoMessage {}), but(json!({"round": true}))),
        (with!(video_message: VideoMessage { gif_playback: Some(true) }), but(json!({"gif": true}))),
        (with!(sticker_message: StickerMessage { is_animated: Some(true) }), but(json!({"animated": true}))),
        (
            with!(image_message: ImageMessage { width: Some(8), file_length: Some(9) }),
            but(json!({"width": 8, "bytes": 9})),
        ),
        (with!(document_message: DocumentMessage { caption: some("read it") }), but(json!({"caption": "read it"}))),
        (text("no file"), Value::Null),
    ] {
        assert_eq!(context_json(&message)["media"], expected);
    }
    let link = with!(extended_text_message: ExtendedTextMessage {
        text: some("see https://example.org"), matched_text: some("https://example.org"), title: some("Example"),
    });
    let preview = json!({"url": "https://example.org", "title": "Example", "description": ""});
    assert_eq!(context_json(&link)["linkPreview"], preview);
}

#[test]
fn a_place_that_is_none_on_earth_is_unknown() {
    for (latitude, longitude) in
        [(Some(f64::NAN), Some(1.0)), (Some(f64::INFINITY), Some(1.0)), (Some(91.0), Some(1.0)), (Some(1.0), None)]
    {
        let place = with!(location_message: LocationMessage {
            degrees_latitude: latitude, degrees_longitude: longitude, name: some("Nowhere"),
        });
        let found = json_of(&place);
        assert_eq!(
            (&found["messageType"], &found["content"]["raw"]["locationMessage"]["name"]),
            (&json!("unknown"), &json!("Nowhere"))
        );
        let moving = with!(live_location_message: LiveLocationMessage { degrees_latitude: latitude, degrees_longitude: longitude });
        assert_eq!(json_of(&moving)["messageType"], "unknown");
    }
    let whole = with!(location_message: LocationMessage {
        degrees_latitude: Some(-90.0), degrees_longitude: Some(180.0), url: some("https://example.org"),
        comment: some("here"), accuracy_in_meters: Some(7),
    });
    let expected = json!({"latitude": -90.0, "longitude": 180.0, "name": "", "address": "", "url": "https://example.org",
        "comment": "here", "accuracy": 7});
    assert_eq!(json_of(&whole)["content"], expected);
}

#[test]
fn what_is_empty_has_the_default_as_what_is_missing() {
    let document =
        with!(document_message: DocumentMessage { file_name: some(""), mimetype: some(""), caption: some("") });
    let expected = json!({"fileName": "document", "mimetype": "application/octet-stream"});
    assert_eq!(json_of(&document)["content"], expected);
    let image = with!(image_message: ImageMessage { mimetype: some("") });
    assert_eq!(json_of(&image)["content"]["mimetype"], "image/jpeg");
    let captioned = with!(document_message: DocumentMessage { caption: some("read it") });
    assert_eq!(json_of(&captioned)["content"]["caption"], "read it");
}

#[test]
fn each_mention_has_the_words_that_stand_for_it() {
    let context = wa::ContextInfo {
        mentioned_jid: vec!["900@lid".to_owned(), "629@s.whatsapp.net".to_owned(), "630@s.whatsapp.net".to_owned()],
        non_jid_mentions: Some(1),
        group_mentions: vec![wa::GroupMention { group_jid: some("120363@g.us"), group_subject: some("Team") }],
        ..Default::default()
    };
    let message = with!(extended_text_message: ExtendedTextMessage {
        text: some("@628 and @629, see @Team"), context_info: MessageField::some(context),
    });
    let mut directory = AddressDirectory::of_account(Some("629@s.whatsapp.net".parse().unwrap()), None);
    directory.add_pair(&"628@s.whatsapp.net".parse().unwrap(), &"900@lid".parse().unwrap());
    let found = serde_json::to_value(context_of(unwrap_message(&message), None, &directory)).unwrap();
    let person = |token: Value, jid: &str, lid: Value, is_me: bool| json!({"token": token, "jid": jid, "pn": jid, "lid": lid, "isMe": is_me, "name": null});
    let expected = json!([
        person(json!("@628"), "628@s.whatsapp.net", json!("900@lid"), false),
        person(json!("@629"), "629@s.whatsapp.net", Value::Null, true),
        person(Value::Null, "630@s.whatsapp.net", Value::Null, false),
        {"token": "@Team", "jid": "120363@g.us", "pn": null, "lid": null, "isMe": false, "name": "Team"},
    ]);
    assert_eq!((&found["mentioned"], &found["mentionsAll"]), (&expected, &json!(true)));
    assert_eq!(context_json(&text("nobody"))["mentioned"], json!([]));
}

#[test]
fn a_list_of_mentions_that_was_cut_says_so() {
    let mentioning = |count: usize| {
        let mentioned_jid = (0..count).map(|n| format!("{n}@lid")).collect();
        with!(extended_text_message: ExtendedTextMessage {
            context_info: MessageField::some(wa::ContextInfo { mentioned_jid, ..Default::default() }),
        })
    };
    assert_eq!(context::cut_fields(unwrap_message(&mentioning(1_025))), ["mentioned", "mentions"]);
    assert!(context::cut_fields(unwrap_message(&mentioning(1_024))).is_empty());
    assert_eq!(context_json(&mentioning(1_025))["mentions"].as_array().map(Vec::len), Some(1_024));
}

#[test]
fn a_message_names_the_one_to_which_it_belongs() {
    use wa::message_association::AssociationType as Type;
    let key = || MessageField::some(MessageKey { id: some("PARENT"), ..Default::default() });
    let associated = |kind: Type| Message {
        image_message: MessageField::some(m::ImageMessage::default()),
        message_context_info: MessageField::some(wa::MessageContextInfo {
            message_association: MessageField::some(MessageAssociation {
                association_type: Some(kind),
                parent_message_key: key(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Message::default()
    };
    let related = |kind: &str| json!({"kind": kind, "messageId": "PARENT"});
    for (kind, expected) in [
        (Type::MEDIA_ALBUM, related("album")),
        (Type::HD_IMAGE_DUAL_UPLOAD, related("hd")),
        (Type::HD_VIDEO_DUAL_UPLOAD, related("hd")),
        (Type::MOTION_PHOTO, related("motion")),
        (Type::STATUS_QUESTION, related("status")),
        (Type::UNKNOWN, Value::Null),
    ] {
        let message = associated(kind);
        assert_eq!(context_json(&message)["related"], expected);
        // The word may stand at the content or around it.
        let wrapped = Message {
            associated_child_message: MessageField::some(FutureProofMessage { message: MessageField::some(message) }),
            ..Message::default()
        };
        assert_eq!(context_json(&wrapped)["related"], expected);
    }
    let comment = Message {
        comment_message: MessageField::some(m::CommentMessage {
            message: MessageField::some(text("well said")),
            target_message_key: key(),
        }),
        ..Message::default()
    };
    assert_eq!(
        (json_of(&comment), &context_json(&comment)["related"]),
        (json_of(&text("well said")), &related("comment"))
    );
    let answer = with!(extended_text_message: ExtendedTextMessage {
        text: some("nice"),
        context_info: MessageField::some(wa::ContextInfo {
            stanza_id: some("PARENT"), remote_jid: some("status@broadcast"), ..Default::default()
        }),
    });
    assert_eq!(context_json(&answer)["related"], related("status"));
    assert_eq!(context_json(&text("alone"))["related"], Value::Null);
}

#[test]
fn a_message_says_from_which_ad_and_which_channel_it_comes() {
    use wa::context_info as c;
    let ad = c::ExternalAdReplyInfo {
        title: some("Cups"),
        body: some("All of them"),
        source_url: some("https://fb.me/1"),
        source_id: some("1201"),
        source_type: some("ad"),
        media_url: some("https://fb.me/v"),
        ctwa_clid: some("ARA"),
        r#ref: some("summer"),
        media_type: Some(c::external_ad_reply_info::MediaType::VIDEO),
        ..Default::default()
    };
    let channel = c::ForwardedNewsletterMessageInfo {
        newsletter_jid: some("120@newsletter"),
        newsletter_name: some("News"),
        server_message_id: Some(7),
        ..Default::default()
    };
    let context = wa::ContextInfo {
        external_ad_reply: MessageField::some(ad),
        forwarded_newsletter_message_info: MessageField::some(channel),
        entry_point_conversion_source: some("ctwa_ad"),
        ..Default::default()
    };
    let message = with!(extended_text_message: ExtendedTextMessage { context_info: MessageField::some(context) });
    let found = context_json(&message);
    let expected = json!({
        "sourceUrl": "https://fb.me/1", "sourceId": "1201", "sourceType": "ad", "sourceApp": null, "title": "Cups",
        "body": "All of them", "mediaType": "video", "mediaUrl": "https://fb.me/v", "thumbnailUrl": null,
        "ctwaClid": "ARA", "ref": "summer", "greeting": null, "entryPoint": "ctwa_ad", "entryPointApp": null,
        "advertiser": null,
    });
    assert_eq!(found["context"]["ad"], expected);
    assert_eq!(found["context"]["channel"], json!({"jid": "120@newsletter", "name": "News", "messageId": 7}));
    assert_eq!(context_json(&text("hello"))["context"], json!({"ad": null, "channel": null}));
}

#[test]
fn a_payment_has_its_amount() {
    let request = with!(request_payment_message: RequestPaymentMessage {
        note_message: MessageField::some(text("for lunch")), currency_code_iso4217: some("EUR"), amount1000: Some(12_500),
        request_from: some("628@s.whatsapp.net"), expiry_timestamp: Some(1_790_000_000),
    });
    let expected = json!({"messageType": "payment", "content": {"action": "request", "text": "for lunch",
        "amount": 12.5, "currency": "EUR", "from": "628@s.whatsapp.net", "expiresAt": 1_790_000_000, "requestId": null}});
    assert_eq!(json_of(&request), expected);
    let key = MessageField::some(MessageKey { id: some("A"), ..Default::default() });
    let sent = with!(send_payment_message: SendPaymentMessage { request_message_key: key.clone() });
    let declined = Message {
        decline_payment_request_message: MessageField::some(m::DeclinePaymentRequestMessage { key: key.clone() }),
        ..Message::default()
    };
    let cancelled = Message {
        cancel_payment_request_message: MessageField::some(m::CancelPaymentRequestMessage { key }),
        ..Message::default()
    };
    for (message, action) in [(sent, "send"), (declined, "decline"), (cancelled, "cancel")] {
        let content = &json_of(&message)["content"];
        assert_eq!(
            (&content["action"], &content["requestId"], &content["amount"]),
            (&json!(action), &json!("A"), &Value::Null)
        );
    }
}
