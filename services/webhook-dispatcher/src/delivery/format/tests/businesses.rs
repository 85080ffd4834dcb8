//! What businesses write, payments, and a file that came late.

use super::{AT, BUDI, origin, received};
use crate::{delivery::format::tests::event, event::StoredEvent};
use kurir_contract::{
    event::{
        BusinessCard, CardButton, CardRow, CardSection, FileKind, MediaDownloaded, MessageContent, MessageContext,
        PaymentAction, ReceivedFile,
    },
    media::MediaFile,
};

fn own(text: &str) -> String {
    text.to_owned()
}

fn card() -> BusinessCard {
    let link = CardButton { text: own("Pay"), url: Some(own("https://example.org/pay")), ..CardButton::default() };
    let code = CardButton { text: own("Copy code"), copy_code: Some(own("123456")), ..CardButton::default() };
    let call = CardButton { text: own("Call"), phone: Some(own("+491700000001")), ..CardButton::default() };
    let reply = CardButton { id: Some(own("yes")), text: own("Yes"), ..CardButton::default() };
    BusinessCard {
        title: Some(own("Bank")),
        text: own("Your code is below"),
        footer: Some(own("Do not share it")),
        buttons: vec![link, code, call, reply],
        ..BusinessCard::default()
    }
}

fn file(kind: &str, mimetype: &str) -> ReceivedFile {
    ReceivedFile::stored(MediaFile::for_message(kind, "3EB0A1", mimetype, AT, 1), 5_000, own(mimetype))
}

pub fn events() -> Vec<(&'static str, StoredEvent)> {
    let of = |content| received(BUDI, content, MessageContext::default());
    let bill = BusinessCard {
        file_kind: Some(FileKind::Document),
        mimetype: Some(own("application/pdf")),
        file_name: Some(own("bill.pdf")),
        file: Some(file("document", "application/pdf")),
        ..card()
    };
    let rows = vec![CardRow { id: own("r1"), title: own("Tea"), description: own("hot") }];
    let list = BusinessCard {
        buttons: vec![CardButton { text: own("Open"), ..CardButton::default() }],
        sections: vec![CardSection { title: own("Drinks"), rows }],
        ..card()
    };
    let late = MediaDownloaded {
        message_id: own("3EB0A1"),
        content: MessageContent::Image {
            caption: own("Sea").into(),
            mimetype: own("image/jpeg"),
            file_name: None,
            file: Some(file("image", "image/jpeg")),
        },
        timestamp: AT,
        origin: origin(BUDI, BUDI),
    };
    let payment = MessageContent::Payment {
        action: PaymentAction::Request,
        text: own("For lunch"),
        amount: Some(12.5),
        currency: Some(own("EUR")),
        from: None,
        expires_at: None,
        request_id: None,
    };
    vec![
        ("interactive_with_a_code", of(MessageContent::Interactive { card: Box::new(card()) })),
        ("template_with_a_bill", of(MessageContent::Template { card: Box::new(bill) })),
        ("buttons", of(MessageContent::Buttons { card: Box::new(card()) })),
        ("list", of(MessageContent::List { card: Box::new(list) })),
        ("payment_request", of(payment)),
        ("late_file", event("media.downloaded", late)),
    ]
}
