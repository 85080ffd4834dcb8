//! What an app would not like in a message that the server takes: what its screen needs and does not find.
//! Leaves what is in a file to the control API, which opens it.

use wacore_binary::Jid;
use waproto::whatsapp::{ContextInfo, Message};

use super::{inbound::InboundMessage, message_kind::inside};
use crate::{groups, people::Complaint, state::ServerState};

impl ServerState {
    pub(super) fn complaints(&self, incoming: &InboundMessage<'_>, message: &Message) -> Vec<Complaint> {
        let message = content(message);
        let mut found = of_media(message);
        if incoming.has_wrong_hash {
            found.push(Complaint::WrongPhash);
        }
        if let Some(context) = context(message) {
            found.extend(of_quote(context));
            found.extend(of_mentions(context, &text(message), |address| self.can_be_mentioned(incoming, address)));
        }
        found
    }

    /// In a group its members, by the addresses that the group uses; elsewhere anybody.
    fn can_be_mentioned(&self, incoming: &InboundMessage<'_>, address: &str) -> bool {
        let group = incoming.group.and_then(|group| self.groups.get(groups::bare(group)));
        match group {
            Some(group) => group.participants.iter().any(|member| member.lid_jid(0).to_string() == address),
            None => address.parse::<Jid>().is_ok_and(|jid| self.people.number_of(&jid).is_some()),
        }
    }
}

fn content(message: &Message) -> &Message {
    inside(message).map_or(message, content)
}

fn of_quote(context: &ContextInfo) -> Vec<Complaint> {
    if context.stanza_id.is_none() {
        return Vec::new();
    }
    let has_author = context.participant.as_deref().is_some_and(|author| !author.is_empty());
    let has_content = context.quoted_message.as_option().is_some_and(|quoted| *quoted != Message::default());
    [(has_content, Complaint::QuoteWithoutContent), (has_author, Complaint::QuoteWithoutAuthor)]
        .into_iter()
        .filter_map(|(is_there, complaint)| (!is_there).then_some(complaint))
        .collect()
}

fn of_mentions(context: &ContextInfo, text: &str, is_somebody: impl Fn(&str) -> bool) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mentioned = &context.mentioned_jid;
    if mentioned.iter().any(|address| !is_somebody(address)) {
        found.push(Complaint::MentionOfNobody);
    }
    let user = |address: &str| address.split(['@', ':']).next().unwrap_or_default().to_owned();
    if mentioned.iter().any(|address| !text.contains(&format!("@{}", user(address)))) {
        found.push(Complaint::MentionNotInText);
    }
    found
}

fn of_media(message: &Message) -> Vec<Complaint> {
    let has = |number: Option<u32>| number.is_some_and(|number| number > 0);
    let mut missing = Vec::new();
    let mut wants = |is_there: bool, complaint: Complaint| {
        if !is_there {
            missing.push(complaint);
        }
    };
    let sized = |length: Option<u64>| length.is_some_and(|length| length > 0);
    if let Some(image) = message.image_message.as_option() {
        wants(sized(image.file_length), Complaint::MediaWithoutSize);
        wants(has(image.width) && has(image.height), Complaint::MediaWithoutDimensions);
    } else if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        wants(sized(video.file_length), Complaint::MediaWithoutSize);
        wants(has(video.width) && has(video.height), Complaint::MediaWithoutDimensions);
        wants(has(video.seconds), Complaint::MediaWithoutDuration);
    } else if let Some(audio) = message.audio_message.as_option() {
        wants(sized(audio.file_length), Complaint::MediaWithoutSize);
        wants(has(audio.seconds), Complaint::MediaWithoutDuration);
        let has_waveform = audio.waveform.as_ref().is_some_and(|waveform| !waveform.is_empty());
        wants(audio.ptt != Some(true) || has_waveform, Complaint::VoiceWithoutWaveform);
    } else if let Some(document) = message.document_message.as_option() {
        wants(sized(document.file_length), Complaint::MediaWithoutSize);
    } else if let Some(sticker) = message.sticker_message.as_option() {
        wants(sized(sticker.file_length), Complaint::MediaWithoutSize);
    }
    missing
}

fn context(message: &Message) -> Option<&ContextInfo> {
    [
        message.extended_text_message.as_option().map(|text| &text.context_info),
        message.image_message.as_option().map(|image| &image.context_info),
        message.video_message.as_option().map(|video| &video.context_info),
        message.ptv_message.as_option().map(|video| &video.context_info),
        message.audio_message.as_option().map(|audio| &audio.context_info),
        message.document_message.as_option().map(|document| &document.context_info),
        message.sticker_message.as_option().map(|sticker| &sticker.context_info),
        message.contact_message.as_option().map(|contact| &contact.context_info),
        message.contacts_array_message.as_option().map(|contacts| &contacts.context_info),
        message.location_message.as_option().map(|place| &place.context_info),
        message.live_location_message.as_option().map(|place| &place.context_info),
        message.poll_creation_message.as_option().map(|poll| &poll.context_info),
        message.poll_creation_message_v3.as_option().map(|poll| &poll.context_info),
    ]
    .into_iter()
    .flatten()
    .find_map(|context| context.as_option())
}

/// What a mention has to stand in.
fn text(message: &Message) -> String {
    let texts = [
        message.extended_text_message.as_option().and_then(|text| text.text.clone()),
        message.image_message.as_option().and_then(|image| image.caption.clone()),
        message.video_message.as_option().and_then(|video| video.caption.clone()),
        message.document_message.as_option().and_then(|document| document.caption.clone()),
        message.location_message.as_option().and_then(|place| place.comment.clone()),
        message.poll_creation_message_v3.as_option().and_then(|poll| poll.name.clone()),
    ];
    texts.into_iter().flatten().next().unwrap_or_default()
}
