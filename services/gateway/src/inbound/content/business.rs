//! Messages of businesses: a text with a header, a footer and buttons, in each of WhatsApp's forms. Pure.

use super::{commerce, kinds::text_or};
use kurir_contract::event::{BusinessCard, CardButton, CardRow, CardSection, FileKind, MessageContent};
use serde::Deserialize;
use waproto::whatsapp::{
    HydratedTemplateButton, Message, TemplateButton,
    hydrated_template_button::HydratedButton,
    message::{
        ButtonsMessage, DocumentMessage, HighlyStructuredMessage, ImageMessage, InteractiveMessage, ListMessage,
        TemplateMessage, VideoMessage,
        buttons_message::Header as ButtonsHeader,
        interactive_message::{InteractiveMessage as InteractiveForm, NativeFlowMessage, header::Media},
        template_message::{
            Format, FourRowTemplate, HydratedFourRowTemplate, four_row_template::Title as OldTitle,
            hydrated_four_row_template::Title,
        },
    },
    template_button::Button as OldButton,
};

/// A file in the header of a message of a business.
#[derive(Clone, Copy)]
pub enum HeaderFile<'a> {
    Image(&'a ImageMessage),
    Video(&'a VideoMessage),
    Document(&'a DocumentMessage),
}

/// The content of a message of a business; none if it is of another kind.
pub fn card_content(message: &Message) -> Option<MessageContent> {
    if let Some(interactive) = message.interactive_message.as_option() {
        return Some(MessageContent::Interactive { card: Box::new(interactive_card(interactive, true)) });
    }
    if let Some(template) = template_of(message) {
        return Some(MessageContent::Template { card: Box::new(template_card(template)) });
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        return Some(MessageContent::Buttons { card: Box::new(buttons_card(buttons)) });
    }
    let list = message.list_message.as_option()?;
    Some(MessageContent::List { card: Box::new(list_card(list)) })
}

/// The file in the header of a message of a business.
pub fn header_file(message: &Message) -> Option<HeaderFile<'_>> {
    if let Some(interactive) = message.interactive_message.as_option() {
        return interactive_file(interactive);
    }
    if let Some(template) = template_of(message) {
        return template_file(template);
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        return match buttons.header.as_ref()? {
            ButtonsHeader::ImageMessage(image) => Some(HeaderFile::Image(image)),
            ButtonsHeader::VideoMessage(video) => Some(HeaderFile::Video(video)),
            ButtonsHeader::DocumentMessage(document) => Some(HeaderFile::Document(document)),
            ButtonsHeader::Text(_) | ButtonsHeader::LocationMessage(_) => None,
        };
    }
    let product = message.product_message.as_option()?.product.as_option()?;
    product.product_image.as_option().map(HeaderFile::Image)
}

/// The template in a message, also if it is in a message of the oldest form.
fn template_of(message: &Message) -> Option<&TemplateMessage> {
    let structured = message.highly_structured_message.as_option();
    message.template_message.as_option().or_else(|| structured?.hydrated_hsm.as_option())
}

fn interactive_card(interactive: &InteractiveMessage, has_cards: bool) -> BusinessCard {
    let header = interactive.header.as_option();
    let title = header.and_then(|header| given(&header.title).or_else(|| given(&header.subtitle)));
    let mut card = BusinessCard {
        title,
        text: interactive.body.as_option().map(|body| text_or(&body.text, "")).unwrap_or_default(),
        footer: interactive.footer.as_option().and_then(|footer| given(&footer.text)),
        ..BusinessCard::default()
    };
    set_file(&mut card, interactive_file(interactive));
    match &interactive.interactive_message {
        Some(InteractiveForm::NativeFlowMessage(flow)) => read_flow(&mut card, flow),
        // A card of a carousel holds no carousel: the depth is bounded.
        Some(InteractiveForm::CarouselMessage(carousel)) if has_cards => {
            card.cards = carousel.cards.iter().map(|inner| interactive_card(inner, false)).collect();
        }
        Some(
            InteractiveForm::CarouselMessage(_)
            | InteractiveForm::ShopStorefrontMessage(_)
            | InteractiveForm::CollectionMessage(_),
        )
        | None => {}
    }
    card
}

fn interactive_file(interactive: &InteractiveMessage) -> Option<HeaderFile<'_>> {
    match interactive.header.as_option()?.media.as_ref()? {
        Media::ImageMessage(image) => Some(HeaderFile::Image(image)),
        Media::VideoMessage(video) => Some(HeaderFile::Video(video)),
        Media::DocumentMessage(document) => Some(HeaderFile::Document(document)),
        Media::JpegThumbnail(_) | Media::LocationMessage(_) | Media::ProductMessage(_) => None,
    }
}

/// The parameters of a button, as JSON in the message.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowParameters {
    display_text: Option<String>,
    title: Option<String>,
    id: Option<String>,
    url: Option<String>,
    phone_number: Option<String>,
    copy_code: Option<String>,
    sections: Vec<FlowSection>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowSection {
    title: Option<String>,
    rows: Vec<FlowRow>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowRow {
    id: Option<String>,
    title: Option<String>,
    description: Option<String>,
}

fn read_flow(card: &mut BusinessCard, flow: &NativeFlowMessage) {
    for button in flow.buttons.iter() {
        let written = button.button_params_json.as_deref().unwrap_or_default();
        let parameters: FlowParameters = serde_json::from_str(written).unwrap_or_default();
        card.order = card.order.take().or_else(|| commerce::order_to_pay(written));
        for section in parameters.sections.into_iter() {
            let rows = section.rows.into_iter().map(|row| CardRow {
                id: row.id.unwrap_or_default(),
                title: row.title.unwrap_or_default(),
                description: row.description.unwrap_or_default(),
            });
            card.sections.push(CardSection { title: section.title.unwrap_or_default(), rows: rows.collect() });
        }
        let text = parameters.display_text.or(parameters.title).or_else(|| button.name.clone()).unwrap_or_default();
        card.buttons.push(CardButton {
            id: parameters.id,
            text,
            copy_code: parameters.copy_code.or_else(|| parameters.url.as_deref().and_then(code_in_url)),
            url: parameters.url,
            phone: parameters.phone_number,
        });
    }
}

fn template_card(template: &TemplateMessage) -> BusinessCard {
    if let Some(Format::InteractiveMessageTemplate(interactive)) = &template.format {
        return interactive_card(interactive, true);
    }
    let mut card = match hydrated_template(template) {
        Some(hydrated) => BusinessCard {
            title: match &hydrated.title {
                Some(Title::HydratedTitleText(title)) => Some(title.clone()).filter(|title| !title.is_empty()),
                _ => None,
            },
            text: text_or(&hydrated.hydrated_content_text, ""),
            footer: given(&hydrated.hydrated_footer_text),
            buttons: hydrated.hydrated_buttons.iter().filter_map(hydrated_button).collect(),
            ..BusinessCard::default()
        },
        None => match &template.format {
            Some(Format::FourRowTemplate(rows)) => four_row_card(rows),
            _ => BusinessCard::default(),
        },
    };
    set_file(&mut card, template_file(template));
    card
}

fn hydrated_template(template: &TemplateMessage) -> Option<&HydratedFourRowTemplate> {
    match &template.format {
        Some(Format::HydratedFourRowTemplate(hydrated)) => Some(hydrated),
        _ => template.hydrated_template.as_option(),
    }
}

fn template_file(template: &TemplateMessage) -> Option<HeaderFile<'_>> {
    if let Some(Format::InteractiveMessageTemplate(interactive)) = &template.format {
        return interactive_file(interactive);
    }
    if let Some(hydrated) = hydrated_template(template) {
        return match hydrated.title.as_ref()? {
            Title::ImageMessage(image) => Some(HeaderFile::Image(image)),
            Title::VideoMessage(video) => Some(HeaderFile::Video(video)),
            Title::DocumentMessage(document) => Some(HeaderFile::Document(document)),
            Title::HydratedTitleText(_) | Title::LocationMessage(_) => None,
        };
    }
    let Some(Format::FourRowTemplate(rows)) = &template.format else { return None };
    match rows.title.as_ref()? {
        OldTitle::ImageMessage(image) => Some(HeaderFile::Image(image)),
        OldTitle::VideoMessage(video) => Some(HeaderFile::Video(video)),
        OldTitle::DocumentMessage(document) => Some(HeaderFile::Document(document)),
        OldTitle::HighlyStructuredMessage(_) | OldTitle::LocationMessage(_) => None,
    }
}

fn hydrated_button(button: &HydratedTemplateButton) -> Option<CardButton> {
    Some(match button.hydrated_button.as_ref()? {
        HydratedButton::QuickReplyButton(reply) => {
            CardButton { id: given(&reply.id), text: text_or(&reply.display_text, ""), ..CardButton::default() }
        }
        HydratedButton::UrlButton(link) => CardButton {
            text: text_or(&link.display_text, ""),
            copy_code: link.url.as_deref().and_then(code_in_url),
            url: given(&link.url),
            ..CardButton::default()
        },
        HydratedButton::CallButton(call) => CardButton {
            text: text_or(&call.display_text, ""),
            phone: given(&call.phone_number),
            ..CardButton::default()
        },
    })
}

/// The oldest form: texts whose blanks the app fills. What the app would say in this account's language is unknown, so the
/// parameters stand for it.
fn four_row_card(rows: &FourRowTemplate) -> BusinessCard {
    let text = |structured: &HighlyStructuredMessage| structured.params.join(" ");
    let button = |button: &TemplateButton| {
        Some(match button.button.as_ref()? {
            OldButton::QuickReplyButton(reply) => CardButton {
                id: given(&reply.id),
                text: reply.display_text.as_option().map(text).unwrap_or_default(),
                ..CardButton::default()
            },
            OldButton::UrlButton(link) => CardButton {
                text: link.display_text.as_option().map(text).unwrap_or_default(),
                url: link.url.as_option().map(text),
                ..CardButton::default()
            },
            OldButton::CallButton(call) => CardButton {
                text: call.display_text.as_option().map(text).unwrap_or_default(),
                phone: call.phone_number.as_option().map(text),
                ..CardButton::default()
            },
        })
    };
    BusinessCard {
        title: match &rows.title {
            Some(OldTitle::HighlyStructuredMessage(title)) => Some(text(title)),
            _ => None,
        },
        text: rows.content.as_option().map(text).unwrap_or_default(),
        footer: rows.footer.as_option().map(text),
        buttons: rows.buttons.iter().filter_map(button).collect(),
        ..BusinessCard::default()
    }
}

fn buttons_card(buttons: &ButtonsMessage) -> BusinessCard {
    let title = match &buttons.header {
        Some(ButtonsHeader::Text(title)) => Some(title.clone()).filter(|title| !title.is_empty()),
        _ => None,
    };
    let mut card = BusinessCard {
        title,
        text: text_or(&buttons.content_text, ""),
        footer: given(&buttons.footer_text),
        ..BusinessCard::default()
    };
    for button in buttons.buttons.iter() {
        let written = button.native_flow_info.as_option().and_then(|flow| flow.params_json.as_deref());
        let parameters: FlowParameters =
            written.and_then(|written| serde_json::from_str(written).ok()).unwrap_or_default();
        let text = button.button_text.as_option().and_then(|text| given(&text.display_text));
        card.buttons.push(CardButton {
            id: given(&button.button_id).or(parameters.id),
            text: text.or(parameters.display_text).unwrap_or_default(),
            copy_code: parameters.copy_code.or_else(|| parameters.url.as_deref().and_then(code_in_url)),
            url: parameters.url,
            phone: parameters.phone_number,
        });
    }
    set_file(
        &mut card,
        match &buttons.header {
            Some(ButtonsHeader::ImageMessage(image)) => Some(HeaderFile::Image(image)),
            Some(ButtonsHeader::VideoMessage(video)) => Some(HeaderFile::Video(video)),
            Some(ButtonsHeader::DocumentMessage(document)) => Some(HeaderFile::Document(document)),
            Some(ButtonsHeader::Text(_) | ButtonsHeader::LocationMessage(_)) | None => None,
        },
    );
    card
}

fn list_card(list: &ListMessage) -> BusinessCard {
    let row = |row: &waproto::whatsapp::message::list_message::Row| CardRow {
        id: text_or(&row.row_id, ""),
        title: text_or(&row.title, ""),
        description: text_or(&row.description, ""),
    };
    let sections = list.sections.iter().map(|section| CardSection {
        title: text_or(&section.title, ""),
        rows: section.rows.iter().map(row).collect(),
    });
    // A list of products names them by their numbers in the catalogue.
    let products = list.product_list_info.as_option().into_iter().flat_map(|info| &info.product_sections);
    let products = products.map(|section| CardSection {
        title: text_or(&section.title, ""),
        rows: section
            .products
            .iter()
            .map(|product| CardRow { id: text_or(&product.product_id, ""), ..CardRow::default() })
            .collect(),
    });
    let opener = given(&list.button_text).map(|text| CardButton { text, ..CardButton::default() });
    BusinessCard {
        title: given(&list.title),
        text: text_or(&list.description, ""),
        footer: given(&list.footer_text),
        buttons: opener.into_iter().collect(),
        sections: sections.chain(products).collect(),
        ..BusinessCard::default()
    }
}

fn set_file(card: &mut BusinessCard, file: Option<HeaderFile<'_>>) {
    let (kind, mimetype) = match file {
        Some(HeaderFile::Image(image)) => (FileKind::Image, text_or(&image.mimetype, "image/jpeg")),
        Some(HeaderFile::Video(video)) => (FileKind::Video, text_or(&video.mimetype, "video/mp4")),
        Some(HeaderFile::Document(document)) => {
            card.file_name = Some(text_or(&document.file_name, "document"));
            (FileKind::Document, text_or(&document.mimetype, "application/octet-stream"))
        }
        None => return,
    };
    (card.file_kind, card.mimetype) = (Some(kind), Some(mimetype));
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// The one-time code in the link of WhatsApp's button that copies it, as `…/otp/code/?otp_type=COPY_CODE&code=otp123456`.
fn code_in_url(url: &str) -> Option<String> {
    let (before, query) = url.split_once('?')?;
    if !before.contains("whatsapp.com/otp/") {
        return None;
    }
    let code = query.split('&').find_map(|field| field.strip_prefix("code="))?;
    Some(code.strip_prefix("otp").unwrap_or(code).to_owned()).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests;
