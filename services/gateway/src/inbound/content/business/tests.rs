//! One row for each form in which a business writes.

use super::*;
use buffa::MessageField;
use serde_json::{Value, json};
use waproto::whatsapp::{
    hydrated_template_button as hydrated,
    message::{
        self as m,
        buttons_message::{Button, button::ButtonText},
        interactive_message::{self as i, native_flow_message::NativeFlowButton},
    },
};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The kind, and the fields of the content that are not null or empty.
fn found(message: &Message) -> (String, Value) {
    let written = serde_json::to_value(card_content(message).expect("a card")).expect("JSON");
    let kept = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    let fields = written["content"].as_object().expect("an object").iter().filter(|(_, value)| kept(value));
    let content = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    (written["messageType"].as_str().unwrap_or_default().to_owned(), content)
}

fn bill() -> Box<DocumentMessage> {
    Box::new(DocumentMessage { file_name: some("bill.pdf"), mimetype: some("application/pdf"), ..Default::default() })
}

#[test]
fn a_template_has_its_text_its_buttons_and_its_file() {
    let link = |url: &str| {
        HydratedButton::UrlButton(Box::new(hydrated::HydratedURLButton {
            display_text: some("Open"),
            url: some(url),
            ..Default::default()
        }))
    };
    let call = hydrated::HydratedCallButton { display_text: some("Call"), phone_number: some("+49") };
    let reply = hydrated::HydratedQuickReplyButton { display_text: some("Yes"), id: some("yes") };
    let code = "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp123456";
    let buttons = [
        link("https://example.org/pay"),
        link(code),
        HydratedButton::CallButton(Box::new(call)),
        HydratedButton::QuickReplyButton(Box::new(reply)),
    ];
    let template = HydratedFourRowTemplate {
        title: Some(Title::DocumentMessage(bill())),
        hydrated_content_text: some("Your bill"),
        hydrated_footer_text: some("Thanks"),
        hydrated_buttons: buttons
            .into_iter()
            .map(|button| HydratedTemplateButton { hydrated_button: Some(button), ..Default::default() })
            .collect(),
        ..Default::default()
    };
    let expected = json!({
        "text": "Your bill", "footer": "Thanks", "fileKind": "document", "fileName": "bill.pdf",
        "mimetype": "application/pdf",
        "buttons": [
            {"id": null, "text": "Open", "url": "https://example.org/pay"},
            {"id": null, "text": "Open", "url": code, "copyCode": "123456"},
            {"id": null, "text": "Call", "phone": "+49"},
            {"id": "yes", "text": "Yes"},
        ],
    });
    let in_format = TemplateMessage {
        format: Some(Format::HydratedFourRowTemplate(Box::new(template.clone()))),
        ..Default::default()
    };
    let in_field = TemplateMessage { hydrated_template: MessageField::some(template), ..Default::default() };
    for template in [in_format, in_field] {
        let message = Message { template_message: MessageField::some(template.clone()), ..Message::default() };
        assert_eq!(found(&message), ("template".to_owned(), expected.clone()));
        assert!(matches!(header_file(&message), Some(HeaderFile::Document(_))));
        let oldest = HighlyStructuredMessage { hydrated_hsm: MessageField::some(template), ..Default::default() };
        let message = Message { highly_structured_message: MessageField::some(oldest), ..Message::default() };
        assert_eq!(found(&message).1, expected);
    }
}

fn flow(buttons: &[(&str, Value)]) -> Option<InteractiveForm> {
    let buttons = buttons.iter().map(|(name, parameters)| NativeFlowButton {
        name: some(name),
        button_params_json: Some(parameters.to_string()),
    });
    Some(InteractiveForm::NativeFlowMessage(Box::new(NativeFlowMessage {
        buttons: buttons.collect(),
        ..Default::default()
    })))
}

fn interactive(form: Option<InteractiveForm>) -> InteractiveMessage {
    InteractiveMessage {
        header: MessageField::some(i::Header {
            title: some("Shop"),
            media: Some(Media::ImageMessage(Box::default())),
            ..Default::default()
        }),
        body: MessageField::some(i::Body { text: some("Choose") }),
        footer: MessageField::some(i::Footer { text: some("Bye"), ..Default::default() }),
        interactive_message: form,
        ..Default::default()
    }
}

#[test]
fn an_interactive_message_has_its_buttons_its_rows_and_its_order() {
    let row = json!({"id": "r1", "title": "Tea", "description": "hot"});
    let message = interactive(flow(&[
        ("cta_copy", json!({"display_text": "Copy", "copy_code": "123456"})),
        ("cta_url", json!({"display_text": "Open", "url": "https://example.org"})),
        ("quick_reply", json!({"display_text": "Yes", "id": "yes"})),
        ("single_select", json!({"title": "Menu", "sections": [{"title": "Drinks", "rows": [row]}]})),
        (
            "review_and_pay",
            json!({"reference_id": "R7", "currency": "INR", "total_amount": {"value": 2500, "offset": 100},
            "order": {"items": [{"retailer_id": "SKU1", "name": "Cup", "amount": {"value": 1250, "offset": 100},
                "quantity": 2}]}}),
        ),
    ]));
    let message = Message { interactive_message: MessageField::some(message), ..Message::default() };
    let expected = json!({
        "title": "Shop", "text": "Choose", "footer": "Bye", "fileKind": "image", "mimetype": "image/jpeg",
        "buttons": [
            {"id": null, "text": "Copy", "copyCode": "123456"},
            {"id": null, "text": "Open", "url": "https://example.org"},
            {"id": "yes", "text": "Yes"},
            {"id": null, "text": "Menu"},
            {"id": null, "text": "review_and_pay"},
        ],
        "sections": [{"title": "Drinks", "rows": [row]}],
        "order": {"referenceId": "R7", "total": 25.0, "currency": "INR",
            "items": [{"sku": "SKU1", "name": "Cup", "price": 12.5, "quantity": 2}]},
    });
    assert_eq!(found(&message), ("interactive".to_owned(), expected));
}

#[test]
fn a_button_whose_json_is_broken_is_a_button_all_the_same() {
    for broken in ["", "{", "[]", "null", "{\"sections\": 7}", "{\"url\": {}}"] {
        let button = NativeFlowButton { name: some("cta_url"), button_params_json: some(broken) };
        let flow = NativeFlowMessage { buttons: vec![button], ..Default::default() };
        let message = interactive(Some(InteractiveForm::NativeFlowMessage(Box::new(flow))));
        let message = Message { interactive_message: MessageField::some(message), ..Message::default() };
        assert_eq!(found(&message).1["buttons"], json!([{"id": null, "text": "cta_url"}]), "{broken}");
    }
}

#[test]
fn a_carousel_has_cards_and_no_carousel_in_them() {
    let inner = i::CarouselMessage { cards: vec![interactive(None)], ..Default::default() };
    let inner = interactive(Some(InteractiveForm::CarouselMessage(Box::new(inner))));
    let outer = i::CarouselMessage { cards: vec![inner], ..Default::default() };
    let message = interactive(Some(InteractiveForm::CarouselMessage(Box::new(outer))));
    let message = Message { interactive_message: MessageField::some(message), ..Message::default() };
    let cards = found(&message).1["cards"].clone();
    assert_eq!((&cards[0]["text"], &cards[0]["cards"]), (&json!("Choose"), &json!([])));
}

#[test]
fn buttons_and_lists_have_their_texts() {
    let text = ButtonText { display_text: some("Yes") };
    let button = Button { button_id: some("yes"), button_text: MessageField::some(text), ..Default::default() };
    let buttons = ButtonsMessage {
        content_text: some("Sure?"),
        footer_text: some("Bye"),
        buttons: vec![button],
        header: Some(ButtonsHeader::DocumentMessage(bill())),
        ..Default::default()
    };
    let message = Message { buttons_message: MessageField::some(buttons), ..Message::default() };
    let expected = json!({"text": "Sure?", "footer": "Bye", "fileKind": "document", "fileName": "bill.pdf",
        "mimetype": "application/pdf", "buttons": [{"id": "yes", "text": "Yes"}]});
    assert_eq!(found(&message), ("buttons".to_owned(), expected));
    let row = m::list_message::Row { title: some("Tea"), description: some("hot"), row_id: some("r1") };
    let list = ListMessage {
        title: some("Menu"),
        description: some("Choose"),
        button_text: some("Open"),
        sections: vec![m::list_message::Section { title: some("Drinks"), rows: vec![row] }],
        ..Default::default()
    };
    let message = Message { list_message: MessageField::some(list), ..Message::default() };
    let expected = json!({"title": "Menu", "text": "Choose", "buttons": [{"id": null, "text": "Open"}],
        "sections": [{"title": "Drinks", "rows": [{"id": "r1", "title": "Tea", "description": "hot"}]}]});
    assert_eq!(found(&message), ("list".to_owned(), expected));
}
