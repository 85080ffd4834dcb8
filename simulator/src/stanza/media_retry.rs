//! A companion could not fetch a file and asks the phone that has it: `<receipt type="server-error">`, answered by
//! `<notification type="mediaretry">`.
//! Promises that only who has the file's key gets an answer.

use anyhow::Result;
use wacore::{crypto::hkdf_sha256_into, media_retry::decrypt_media_retry_notification};
use wacore_binary::{NodeRef, builder::NodeBuilder};
use wacore_libsignal::crypto::aes_256_gcm_encrypt;
use waproto::whatsapp::{MediaRetryNotification, media_retry_notification::ResultType};

use super::node::child_bytes;
use crate::{
    media_store::{OriginalFile, ReuploadAnswer},
    offline_queue::{QueueEntry, StanzaClass},
    phone_number::PhoneNumber,
    randomness::random,
    state::ServerState,
};

/// What the key of an answer is derived for; the client's own text.
const KEY_INFO: &[u8] = b"WhatsApp Media Retry Notification";

impl ServerState {
    pub(super) fn on_media_request(&mut self, number: &PhoneNumber, device: u16, id: &str, stanza: &NodeRef<'_>) {
        let Some(encrypt) = stanza.get_optional_child("encrypt") else { return };
        let (Some(sealed), Some(iv)) = (child_bytes(encrypt, "enc_p"), child_bytes(encrypt, "enc_iv")) else { return };
        // Whose key opens the request, has the file.
        let opens =
            |original: &OriginalFile| decrypt_media_retry_notification(&original.media_key, id, &iv, &sealed).is_ok();
        let Some(original) = self.media.original(opens) else {
            tracing::debug!("no phone has the file of message {id}");
            return;
        };
        let answered = self.answer_media_request(number, device, id, &original, stanza);
        if let Err(error) = answered {
            tracing::warn!("the answer about the file of {id} is lost: {error:#}");
        }
    }

    fn answer_media_request(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        id: &str,
        original: &OriginalFile,
        stanza: &NodeRef<'_>,
    ) -> Result<()> {
        let answer = match original.answer {
            ReuploadAnswer::Silent => return Ok(()),
            ReuploadAnswer::NotFound => NodeBuilder::new("error").attr("code", "2").build(),
            ReuploadAnswer::Success => {
                let path = self.media.put(original.kind, original.sealed.clone());
                let (sealed, iv) = seal(&original.media_key, id, path)?;
                NodeBuilder::new("encrypt")
                    .children([
                        NodeBuilder::new("enc_p").bytes(sealed).build(),
                        NodeBuilder::new("enc_iv").bytes(iv).build(),
                    ])
                    .build()
            }
        };
        let mut children = vec![answer];
        children.extend(stanza.get_optional_child("rmr").map(NodeRef::to_owned));
        let node = NodeBuilder::new("notification")
            .attr("type", "mediaretry")
            .attr("from", number.jid(0))
            .attr("id", id)
            .attr("t", self.now().to_string())
            .children(children)
            .build();
        let id = id.to_owned();
        let entry =
            QueueEntry { class: StanzaClass::Notification, id, chat: String::new(), node, record: None, written: 0 };
        self.enqueue(number, device, entry)
    }
}

fn seal(media_key: &[u8], id: &str, direct_path: String) -> Result<(Vec<u8>, Vec<u8>)> {
    let notification = MediaRetryNotification {
        stanza_id: Some(id.to_owned()),
        direct_path: Some(direct_path),
        result: Some(ResultType::SUCCESS),
        ..Default::default()
    };
    let mut key = [0; 32];
    hkdf_sha256_into(media_key, None, KEY_INFO, &mut key).map_err(|error| anyhow::anyhow!("{error}"))?;
    let iv = random::<[u8; 12]>();
    let mut sealed = Vec::new();
    aes_256_gcm_encrypt(&key, &iv, id.as_bytes(), &buffa::Message::encode_to_vec(&notification), &mut sealed)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok((sealed, iv.to_vec()))
}
