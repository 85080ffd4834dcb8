//! Messages as protobuf's JSON.

use super::*;
use buffa::MessageField;
use waproto::whatsapp::{
    ContextInfo, Message, MessageContextInfo,
    message::{self as m, template_message::hydrated_four_row_template::Title},
};

#[test]
fn a_message_is_written_as_protobuf_writes_it() {
    let header = m::DocumentMessage {
        file_sha256: Some(vec![0, 1, 254, 255]),
        file_length: Some(5_000_000_000),
        media_key: Some(vec![7; 32]),
        page_count: Some(3),
        ..Default::default()
    };
    let quoted = Message {
        image_message: MessageField::some(m::ImageMessage { media_key: Some(vec![7; 32]), ..Default::default() }),
        ..Default::default()
    };
    let template = m::TemplateMessage {
        context_info: MessageField::some(ContextInfo {
            quoted_message: MessageField::some(quoted),
            mentioned_jid: vec!["900@lid".to_owned()],
            ephemeral_shared_secret: Some(vec![1; 32]),
            ..Default::default()
        }),
        hydrated_template: MessageField::some(m::template_message::HydratedFourRowTemplate {
            title: Some(Title::DocumentMessage(Box::new(header))),
            hydrated_content_text: Some("The bill".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let message = Message {
        template_message: MessageField::some(template),
        message_context_info: MessageField::some(MessageContextInfo {
            message_secret: Some(vec![9; 32]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let expected = json!({
        "templateMessage": {
            "contextInfo": {"quotedMessage": {"imageMessage": {}}, "mentionedJid": ["900@lid"]},
            "hydratedTemplate": {
                "documentMessage": {"fileSha256": "AAH+/w==", "fileLength": "5000000000", "pageCount": 3},
                "hydratedContentText": "The bill",
            },
        },
        "messageContextInfo": {},
    });
    assert_eq!(to_proto_json(&message), expected);
}

#[test]
fn numbers_and_enums_have_protobufs_form() {
    let place = m::LiveLocationMessage {
        degrees_latitude: Some(f64::NAN),
        speed_in_mps: Some(0.1),
        sequence_number: Some(-7),
        ..Default::default()
    };
    let written = to_proto_json(&place);
    assert_eq!(written, json!({"degreesLatitude": "NaN", "speedInMps": 0.1, "sequenceNumber": "-7"}));
    let pin = m::PinInChatMessage { r#type: Some(m::pin_in_chat_message::Type::PIN_FOR_ALL), ..Default::default() };
    assert_eq!(to_proto_json(&pin), json!({"type": "PIN_FOR_ALL"}));
}
