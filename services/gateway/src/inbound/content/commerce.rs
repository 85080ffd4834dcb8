//! Products, orders and payments. Pure. Prices are in thousandths in WhatsApp's messages, and in units of the currency
//! in events.

use super::kinds::text_or;
use kurir_contract::event::{CardOrder, CardOrderItem, MessageContent, PaymentAction};
use serde::Deserialize;
use waproto::whatsapp::{Message, MessageKey, Money, message::RequestPaymentMessage};

/// The content of a product, an order or a payment; none if the message is of another kind.
pub fn commerce_content(message: &Message) -> Option<MessageContent> {
    if let Some(product) = message.product_message.as_option() {
        let shown = product.product.as_option()?;
        let picture = shown.product_image.as_option();
        return Some(MessageContent::Product {
            title: text_or(&shown.title, ""),
            description: text_or(&shown.description, ""),
            product_id: text_or(&shown.product_id, ""),
            url: text_or(&shown.url, ""),
            text: text_or(&product.body, ""),
            footer: given(&product.footer),
            sku: given(&shown.retailer_id),
            price: shown.price_amount1000.map(from_thousandths),
            sale_price: shown.sale_price_amount1000.map(from_thousandths),
            currency: given(&shown.currency_code),
            mimetype: picture.map(|picture| text_or(&picture.mimetype, "image/jpeg")),
            file: None,
        });
    }
    if let Some(order) = message.order_message.as_option() {
        return Some(MessageContent::Order {
            order_id: text_or(&order.order_id, ""),
            title: text_or(&order.order_title, ""),
            message: text_or(&order.message, ""),
            items: order.item_count.and_then(|items| u32::try_from(items).ok()),
            token: given(&order.token),
            total: order.total_amount1000.map(from_thousandths),
            currency: given(&order.total_currency_code),
        });
    }
    payment(message)
}

fn payment(message: &Message) -> Option<MessageContent> {
    if let Some(request) = message.request_payment_message.as_option() {
        return Some(payment_request(request));
    }
    let (action, text, key) = if let Some(sent) = message.send_payment_message.as_option() {
        (PaymentAction::Send, sent.note_message.as_option().map(note).unwrap_or_default(), &sent.request_message_key)
    } else if let Some(declined) = message.decline_payment_request_message.as_option() {
        (PaymentAction::Decline, String::new(), &declined.key)
    } else {
        (PaymentAction::Cancel, String::new(), &message.cancel_payment_request_message.as_option()?.key)
    };
    Some(MessageContent::Payment {
        action,
        text,
        amount: None,
        currency: None,
        from: None,
        expires_at: None,
        request_id: key.as_option().and_then(|key: &MessageKey| given(&key.id)),
    })
}

fn payment_request(request: &RequestPaymentMessage) -> MessageContent {
    let money = request.amount.as_option();
    let thousandths = request.amount1000.map(|amount| amount as f64 / 1000.0);
    MessageContent::Payment {
        action: PaymentAction::Request,
        text: request.note_message.as_option().map(note).unwrap_or_default(),
        amount: money.and_then(amount).or(thousandths),
        currency: money.and_then(|money| given(&money.currency_code)).or_else(|| given(&request.currency_code_iso4217)),
        from: given(&request.request_from),
        expires_at: request.expiry_timestamp.filter(|at| *at > 0),
        request_id: None,
    }
}

/// The text that goes with a payment.
fn note(message: &Message) -> String {
    let extended = message.extended_text_message.as_option().and_then(|extended| extended.text.clone());
    message.conversation.clone().or(extended).unwrap_or_default()
}

/// An amount in units: WhatsApp writes the digits and by what they are divided.
fn amount(money: &Money) -> Option<f64> {
    Some(money.value? as f64 / f64::from(money.offset.filter(|offset| *offset > 0).unwrap_or(1)))
}

fn from_thousandths(amount: i64) -> f64 {
    amount as f64 / 1000.0
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

#[derive(Deserialize)]
struct OrderParameters {
    reference_id: Option<String>,
    currency: Option<String>,
    total_amount: Option<OrderAmount>,
    order: Option<OrderPart>,
}

#[derive(Deserialize)]
struct OrderPart {
    #[serde(default)]
    items: Vec<OrderItem>,
}

#[derive(Deserialize)]
struct OrderItem {
    retailer_id: Option<String>,
    name: Option<String>,
    amount: Option<OrderAmount>,
    quantity: Option<u32>,
}

#[derive(Deserialize)]
struct OrderAmount {
    value: f64,
    offset: Option<f64>,
}

impl OrderAmount {
    fn units(&self) -> Option<f64> {
        let units = self.value / self.offset.filter(|offset| *offset > 0.0).unwrap_or(1.0);
        units.is_finite().then_some(units)
    }
}

/// The order in the JSON of a button with which a person pays it; none if the button is another one.
pub fn order_to_pay(parameters: &str) -> Option<CardOrder> {
    let read: OrderParameters = serde_json::from_str(parameters).ok()?;
    let order = read.order?;
    let item = |item: OrderItem| CardOrderItem {
        sku: item.retailer_id,
        name: item.name,
        price: item.amount.as_ref().and_then(OrderAmount::units),
        quantity: item.quantity,
    };
    Some(CardOrder {
        reference_id: read.reference_id,
        total: read.total_amount.as_ref().and_then(OrderAmount::units),
        currency: read.currency,
        items: order.items.into_iter().map(item).collect(),
    })
}
