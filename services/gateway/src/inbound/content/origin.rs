//! Where a message comes from besides its writer: an advertisement, a channel. Pure.

use kurir_contract::event::{AdReference, ForwardedChannel, MessageSourceContext};
use waproto::whatsapp::{
    ContextInfo,
    context_info::{ExternalAdReplyInfo, external_ad_reply_info::MediaType},
};

pub fn source_context(info: Option<&ContextInfo>) -> MessageSourceContext {
    MessageSourceContext { ad: info.and_then(ad_reference), channel: info.and_then(forwarded_channel) }
}

fn ad_reference(info: &ContextInfo) -> Option<AdReference> {
    let (shown, quoted) = (info.external_ad_reply.as_option(), info.quoted_ad.as_option());
    let entry_point = given(&info.entry_point_conversion_source).or_else(|| given(&info.conversion_source));
    if shown.is_none() && quoted.is_none() && entry_point.is_none() {
        return None;
    }
    let of = |field: fn(&ExternalAdReplyInfo) -> &Option<String>| shown.and_then(|ad| given(field(ad)));
    Some(AdReference {
        source_url: of(|ad| &ad.source_url),
        source_id: of(|ad| &ad.source_id),
        source_type: of(|ad| &ad.source_type),
        source_app: of(|ad| &ad.source_app),
        title: of(|ad| &ad.title),
        body: of(|ad| &ad.body).or_else(|| quoted.and_then(|ad| given(&ad.caption))),
        media_type: shown.and_then(|ad| match ad.media_type? {
            MediaType::IMAGE => Some("image".to_owned()),
            MediaType::VIDEO => Some("video".to_owned()),
            MediaType::NONE => None,
        }),
        media_url: of(|ad| &ad.media_url),
        thumbnail_url: of(|ad| &ad.thumbnail_url).or_else(|| of(|ad| &ad.original_image_url)),
        ctwa_clid: of(|ad| &ad.ctwa_clid),
        reference: of(|ad| &ad.r#ref),
        greeting: of(|ad| &ad.greeting_message_body),
        entry_point,
        entry_point_app: given(&info.entry_point_conversion_app),
        advertiser: quoted.and_then(|ad| given(&ad.advertiser_name)),
    })
}

fn forwarded_channel(info: &ContextInfo) -> Option<ForwardedChannel> {
    let channel = info.forwarded_newsletter_message_info.as_option()?;
    Some(ForwardedChannel {
        jid: given(&channel.newsletter_jid),
        name: given(&channel.newsletter_name),
        message_id: channel.server_message_id,
    })
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}
