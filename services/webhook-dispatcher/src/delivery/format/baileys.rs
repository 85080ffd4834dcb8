//! Messages in the form of the library Baileys. Evolution API passes them on, and so does WAHA in `_data`.

use crate::delivery::format::{cards, fields::JsonFields, message::MessageView};
use serde_json::{Map, Value, json};

/// `{remoteJid, fromMe, id}`, in groups with `participant`.
pub fn key(message: &MessageView<'_>) -> Value {
    let mut key = json!({ "remoteJid": message.chat, "fromMe": message.from_me, "id": message.id });
    if let Some(participant) = message.participant {
        key["participant"] = participant.into();
    }
    key
}

/// The type's name, and the message: an object with one field of this name.
pub fn content(message: &MessageView<'_>) -> (String, Value) {
    let Some((name, content)) = known(message) else {
        // Content without a form of Kurir's own is kept as WhatsApp sent it, which is what Baileys shows, too.
        return raw(message);
    };
    let mut whole = Map::from_iter([(name.to_owned(), without_nulls(content))]);
    // Flows read a person's text in few places. What a business writes is in many, one-time codes among it.
    if cards::is_card(message) {
        whole.extend(message.text().map(|text| ("conversation".to_owned(), text.into())));
    }
    (name.to_owned(), whole.into())
}

fn known(message: &MessageView<'_>) -> Option<(&'static str, Value)> {
    let content = message.content;
    let text = |name: &str| content.text(name);
    Some(match message.kind {
        "text" => ("conversation", json!(text("text").unwrap_or_default())),
        "image" => ("imageMessage", file(message)),
        "video" if message.about_file().is_true("round") => ("ptvMessage", file(message)),
        "video" => ("videoMessage", file(message)),
        "audio" => ("audioMessage", file(message)),
        "document" => ("documentMessage", file(message)),
        "sticker" => ("stickerMessage", file(message)),
        "contact" => ("contactMessage", card(content)),
        "contacts" => {
            let cards: Vec<Value> = content.list("contacts").map(|contact| card(JsonFields(contact))).collect();
            ("contactsArrayMessage", json!({ "displayName": text("displayName"), "contacts": cards }))
        }
        "location" => ("locationMessage", place(content)),
        "live_location" => {
            let place = json!({
                "degreesLatitude": content.get("latitude"),
                "degreesLongitude": content.get("longitude"),
                "accuracyInMeters": content.get("accuracy"),
                "speedInMps": content.get("speed"),
                "caption": text("caption"),
                // Baileys writes 64-bit numbers of the protocol as texts.
                "sequenceNumber": content.get("sequence").map(Value::to_string),
            });
            ("liveLocationMessage", place)
        }
        "poll" => {
            // WhatsApp has a kind of its own for polls with one choice.
            let single = content.get("selectable").and_then(Value::as_i64) == Some(1);
            let name = if single { "pollCreationMessageV3" } else { "pollCreationMessage" };
            let options: Vec<Value> = content.list("options").map(|option| json!({ "optionName": option })).collect();
            let selectable = content.get("selectable");
            (name, json!({ "name": text("name"), "options": options, "selectableOptionsCount": selectable }))
        }
        "event" => {
            let event = json!({
                "name": text("name"),
                "description": text("description"),
                "startTime": content.get("startsAt").map(Value::to_string),
                "endTime": content.get("endsAt").map(Value::to_string),
                "location": content.get("location").map(|location| place(JsonFields(location))),
                "joinLink": text("joinLink"),
                "isCanceled": content.is_true("cancelled"),
            });
            ("eventMessage", event)
        }
        "list_reply" => {
            let row = json!({ "selectedRowId": text("rowId") });
            let reply = json!({ "title": text("title"), "description": text("description"), "singleSelectReply": row });
            ("listResponseMessage", reply)
        }
        "button_reply" => {
            let reply = json!({ "selectedButtonId": text("buttonId"), "selectedDisplayText": text("text") });
            ("buttonsResponseMessage", reply)
        }
        "form_reply" => {
            let form = json!({ "name": text("name"), "paramsJson": text("parameters") });
            let reply = json!({ "body": { "text": text("text") }, "nativeFlowResponseMessage": form });
            ("interactiveResponseMessage", reply)
        }
        "product" => {
            let product = json!({
                "productId": text("productId"),
                "title": text("title"),
                "description": text("description"),
                "url": text("url"),
                "retailerId": text("sku"),
                "currencyCode": text("currency"),
                "priceAmount1000": cards::thousandths(content, "price"),
                "salePriceAmount1000": cards::thousandths(content, "salePrice"),
            });
            let product = without_nulls(product);
            let (body, footer) = (content.first_text(&["text"]), text("footer"));
            ("productMessage", without_nulls(json!({ "product": product, "body": body, "footer": footer })))
        }
        "order" => {
            let order = json!({
                "orderId": text("orderId"),
                "orderTitle": text("title"),
                "message": text("message"),
                "itemCount": content.get("items"),
                "token": text("token"),
                "totalAmount1000": cards::thousandths(content, "total"),
                "totalCurrencyCode": text("currency"),
            });
            ("orderMessage", order)
        }
        "album" => {
            let (images, videos) = (content.get("images"), content.get("videos"));
            ("albumMessage", json!({ "expectedImageCount": images, "expectedVideoCount": videos }))
        }
        "interactive" | "template" | "buttons" | "list" => return Some(cards::card(message)),
        "payment" => cards::payment(content),
        "event_response" => {
            let response = content.text("response").map(str::to_ascii_uppercase);
            let guests = content.get("extraGuests");
            ("eventResponseMessage", json!({ "response": response, "extraGuestCount": guests }))
        }
        "poll_option" => ("pollAddOptionMessage", json!({ "addOption": { "optionName": text("option") } })),
        "pin" => {
            let key = json!({ "remoteJid": message.chat, "id": text("messageId") });
            let kind = if content.is_true("pinned") { "PIN_FOR_ALL" } else { "UNPIN_FOR_ALL" };
            ("pinInChatMessage", json!({ "key": key, "type": kind }))
        }
        _ => return None,
    })
}

fn card(content: JsonFields<'_>) -> Value {
    json!({ "displayName": content.text("displayName"), "vcard": content.text("vcard") })
}

fn place(content: JsonFields<'_>) -> Value {
    without_nulls(json!({
        "degreesLatitude": content.get("latitude"),
        "degreesLongitude": content.get("longitude"),
        "name": content.first_text(&["name"]),
        "address": content.first_text(&["address"]),
        "url": content.first_text(&["url"]),
        "comment": content.first_text(&["comment"]),
        "accuracyInMeters": content.get("accuracy"),
    }))
}

pub(super) fn file(message: &MessageView<'_>) -> Value {
    let about = message.about_file();
    let size = message.content.get("fileSize").or(about.get("bytes"));
    let is_true = |name: &str| about.is_true(name).then_some(true);
    json!({
        "caption": message.caption(),
        "mimetype": message.mimetype(),
        "fileName": message.file_name().filter(|_| message.is_document()),
        "title": message.file_name().filter(|_| message.is_document()),
        "fileLength": size.map(Value::to_string),
        "seconds": about.get("seconds"),
        "width": about.get("width"),
        "height": about.get("height"),
        "ptt": (message.kind == "audio").then(|| about.is_true("voiceNote")),
        "gifPlayback": is_true("gif"),
        "isAnimated": is_true("animated"),
        "viewOnce": message.data.is_true("viewOnce").then_some(true),
    })
}

/// What a message answers, whom it mentions, how often it was forwarded; none if there is nothing of these.
pub fn context(message: &MessageView<'_>) -> Option<Value> {
    let (data, reply) = (message.data, message.reply());
    let mentions = data.addresses("mentions");
    let forwarded = data.is_true("forwarded");
    let context = without_nulls(json!({
        "stanzaId": reply.and_then(|reply| reply.first_text(&["messageId"])),
        "participant": reply.and_then(|reply| reply.address(&["author"])),
        "remoteJid": reply.and_then(|reply| reply.address(&["chat"])),
        "quotedMessage": message.quoted().map(|quoted| content(&quoted).1),
        "mentionedJid": (!mentions.is_empty()).then_some(mentions),
        "isForwarded": forwarded.then_some(true),
        "forwardingScore": data.get("forwardingScore").filter(|_| forwarded),
        "expiration": data.get("expiresAfter"),
    }));
    context.as_object().is_some_and(|fields| !fields.is_empty()).then_some(context)
}

fn raw(message: &MessageView<'_>) -> (String, Value) {
    let raw = message.content.within("raw").0;
    let name = raw.as_object().and_then(|fields| fields.keys().find(|name| name.ends_with("Message")));
    (name.cloned().unwrap_or_else(|| "unknown".to_owned()), raw.clone())
}

/// Baileys leaves out absent fields.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}
