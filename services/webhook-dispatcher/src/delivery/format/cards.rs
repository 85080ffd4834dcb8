//! What businesses write, and payments, in the form of the library Baileys.

use crate::delivery::format::{
    baileys::{file, without_nulls},
    fields::JsonFields,
    message::MessageView,
};
use serde_json::{Value, json};

/// Whether the message has a text with buttons or rows.
pub fn is_card(message: &MessageView<'_>) -> bool {
    matches!(message.kind, "interactive" | "template" | "buttons" | "list")
}

/// The type's name, and the content.
pub fn card(message: &MessageView<'_>) -> (&'static str, Value) {
    let content = message.content;
    match message.kind {
        "template" => ("templateMessage", json!({ "hydratedTemplate": template(message) })),
        "buttons" => {
            let buttons: Vec<Value> = buttons(content)
                .map(|button| {
                    let text = json!({ "displayText": button.text("text") });
                    json!({ "buttonId": button.text("id"), "buttonText": text, "type": "RESPONSE" })
                })
                .collect();
            let mut body = json!({
                "text": content.text("title"),
                "contentText": content.text("text"),
                "footerText": content.text("footer"),
                "buttons": buttons,
            });
            add_file(&mut body, message);
            ("buttonsMessage", without_nulls(body))
        }
        "list" => ("listMessage", list(content)),
        _ => ("interactiveMessage", interactive(message)),
    }
}

fn interactive(message: &MessageView<'_>) -> Value {
    let content = message.content;
    let buttons: Vec<Value> = buttons(content)
        .map(|button| {
            let (name, parameters) = if let Some(code) = button.text("copyCode") {
                ("cta_copy", json!({ "display_text": button.text("text"), "copy_code": code }))
            } else if let Some(url) = button.text("url") {
                ("cta_url", json!({ "display_text": button.text("text"), "url": url }))
            } else if let Some(phone) = button.text("phone") {
                ("cta_call", json!({ "display_text": button.text("text"), "phone_number": phone }))
            } else {
                ("quick_reply", json!({ "display_text": button.text("text"), "id": button.text("id") }))
            };
            json!({ "name": name, "buttonParamsJson": parameters.to_string() })
        })
        .collect();
    let mut header = json!({ "title": content.text("title"), "hasMediaAttachment": message.has_media() });
    add_file(&mut header, message);
    without_nulls(json!({
        "header": without_nulls(header),
        "body": { "text": content.text("text") },
        "footer": content.text("footer").map(|footer| json!({ "text": footer })),
        "nativeFlowMessage": { "buttons": buttons },
    }))
}

fn template(message: &MessageView<'_>) -> Value {
    let content = message.content;
    let buttons: Vec<Value> = buttons(content)
        .enumerate()
        .map(|(index, button)| {
            let text = button.text("text");
            if let Some(url) = button.text("url") {
                json!({ "index": index, "urlButton": { "displayText": text, "url": url } })
            } else if let Some(phone) = button.text("phone") {
                json!({ "index": index, "callButton": { "displayText": text, "phoneNumber": phone } })
            } else {
                json!({ "index": index, "quickReplyButton": { "displayText": text, "id": button.text("id") } })
            }
        })
        .collect();
    let mut body = json!({
        "hydratedTitleText": content.text("title"),
        "hydratedContentText": content.text("text"),
        "hydratedFooterText": content.text("footer"),
        "hydratedButtons": buttons,
    });
    add_file(&mut body, message);
    without_nulls(body)
}

fn list(content: JsonFields<'_>) -> Value {
    let row = |row: &Value| {
        let row = JsonFields(row);
        json!({ "title": row.text("title"), "description": row.text("description"), "rowId": row.text("id") })
    };
    let sections: Vec<Value> = content
        .list("sections")
        .map(|section| {
            let section = JsonFields(section);
            json!({ "title": section.text("title"), "rows": section.list("rows").map(row).collect::<Vec<_>>() })
        })
        .collect();
    without_nulls(json!({
        "title": content.text("title"),
        "description": content.text("text"),
        "footerText": content.text("footer"),
        "buttonText": buttons(content).next().and_then(|button| button.text("text")),
        "sections": sections,
    }))
}

fn buttons(content: JsonFields<'_>) -> impl Iterator<Item = JsonFields<'_>> {
    content.list("buttons").map(JsonFields)
}

/// The file in the header, under the name of its kind.
fn add_file(parent: &mut Value, message: &MessageView<'_>) {
    let name = match message.content.text("fileKind") {
        Some("image") => "imageMessage",
        Some("video") => "videoMessage",
        Some("document") => "documentMessage",
        Some(_) | None => return,
    };
    parent[name] = without_nulls(file(message));
}

/// A payment: asked for, sent, declined or taken back.
pub fn payment(content: JsonFields<'_>) -> (&'static str, Value) {
    let key = content.text("requestId").map(|id| json!({ "id": id }));
    let note = content.first_text(&["text"]).map(|text| json!({ "conversation": text }));
    match content.text("action") {
        Some("send") => ("sendPaymentMessage", json!({ "noteMessage": note, "requestMessageKey": key })),
        Some("decline") => ("declinePaymentRequestMessage", json!({ "key": key })),
        Some("cancel") => ("cancelPaymentRequestMessage", json!({ "key": key })),
        Some(_) | None => {
            let request = json!({
                "noteMessage": note,
                "currencyCodeIso4217": content.text("currency"),
                "amount1000": thousandths(content, "amount"),
                "requestFrom": content.text("from"),
                "expiryTimestamp": content.get("expiresAt").map(Value::to_string),
            });
            ("requestPaymentMessage", request)
        }
    }
}

/// An amount as WhatsApp writes it. Baileys writes 64-bit numbers of the protocol as texts.
pub fn thousandths(content: JsonFields<'_>, name: &str) -> Option<String> {
    let amount = content.get(name)?.as_f64()?;
    Some(format!("{:.0}", amount * 1000.0))
}
