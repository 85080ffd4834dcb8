//! App state on the wire: companions fetch and store patches, the phone writes settings of its own, and the account's
//! other companions are told that a collection has a new version.

use anyhow::{Context as _, Result};
use buffa::Message as _;
use wacore::{
    download::{DownloadUtils, MediaType},
    upload::encrypt_media,
};
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use waproto::whatsapp::{ExternalBlobReference, SyncdPatch};

use super::{
    iq::IqReply,
    node::{attribute, child_bytes, children, error},
};
use crate::{
    app_state::{AppState, COLLECTIONS, NewSetting, Setting, SettingIndex},
    phone_number::PhoneNumber,
    state::ServerState,
};

/// Patches of one answer.
const PAGE: usize = 50;

/// A client that begins gets the patches themselves up to so many, and an uploaded snapshot beyond it.
/// WhatsApp gives a snapshot always; some clients look for it on WhatsApp's own media host only.
const SNAPSHOT_BEYOND: usize = 20;

impl ServerState {
    pub(super) fn sync_app_state(&mut self, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) -> IqReply {
        let Some(sync) = iq.get_optional_child("sync") else { return IqReply::refused(400, "bad-request") };
        let mut answers = Vec::new();
        let mut changed = Vec::new();
        for collection in children(sync, "collection") {
            match self.sync_collection(number, collection, &mut changed) {
                Ok(answer) => answers.push(answer),
                Err(problem) => {
                    tracing::error!("the app state of {number} cannot be read: {problem:#}");
                    return IqReply::refused(500, "internal-server-error");
                }
            }
        }
        self.tell_of_app_state(number, Some(device), &changed);
        IqReply::one(NodeBuilder::new("sync").children(answers).build())
    }

    fn sync_collection(
        &mut self,
        number: &PhoneNumber,
        asked: &NodeRef<'_>,
        changed: &mut Vec<(String, u64)>,
    ) -> Result<Node> {
        let name = attribute(asked, "name").unwrap_or_default();
        let answer = NodeBuilder::new("collection").attr("name", name.as_str());
        if !COLLECTIONS.contains(&name.as_str()) {
            return Ok(answer.attr("type", "error").children([error(400, "bad-request")]).build());
        }
        let base = asked.attrs().optional_u64("version").unwrap_or(0);
        let Some(patch) = child_bytes(asked, "patch") else {
            let wants_snapshot = attribute(asked, "return_snapshot").as_deref() == Some("true");
            return self.collection_after(number, &name, base, wants_snapshot, answer);
        };
        let external = self.external_mutations(&patch);
        let state = self.app_state_of(number)?;
        match state.accept(&name, base, &patch, external.as_deref()) {
            Ok(accepted) => {
                match accepted.settings {
                    Ok(settings) => self.settings_changed(number, &settings),
                    Err(problem) => {
                        self.statistics.unreadable_patches += 1;
                        tracing::warn!("the phone of {number} cannot read a patch of {name}: {problem}");
                    }
                }
                self.dirty = true;
                changed.push((name, accepted.version));
                Ok(answer.attr("version", accepted.version.to_string()).build())
            }
            Err(current) => {
                // What the writer has missed comes with the refusal.
                let (patches, has_more) = state.patches_after(&name, base, PAGE).unwrap_or_default();
                let answer = answer
                    .attr("version", current.to_string())
                    .attr("type", "error")
                    .attr("has_more_patches", has_more.to_string());
                Ok(answer.children([error(409, "conflict"), patch_list(patches)]).build())
            }
        }
    }

    /// What a client at version `base` lacks.
    fn collection_after(
        &mut self,
        number: &PhoneNumber,
        name: &str,
        base: u64,
        wants_snapshot: bool,
        answer: NodeBuilder,
    ) -> Result<Node> {
        let state = self.app_state_of(number)?;
        let version = state.version(name);
        let begins = wants_snapshot || base == 0;
        let patches = state.patches_after(name, base, PAGE).filter(|_| !begins || state.kept(name) <= SNAPSHOT_BEYOND);
        let snapshot = if patches.is_none() { state.snapshot(name)? } else { None };
        let patches = match (&snapshot, patches) {
            (Some(_), _) => None,
            (None, Some(patches)) => Some(patches),
            // There is no snapshot because nobody can read the records.
            (None, None) => state.patches_after(name, base, PAGE),
        };
        let answer = answer.attr("version", version.to_string());
        if let Some(snapshot) = snapshot {
            let reference = self.upload_snapshot(&snapshot)?;
            let snapshot = NodeBuilder::new("snapshot").bytes(reference.encode_to_vec()).build();
            return Ok(answer.attr("has_more_patches", "false").children([snapshot]).build());
        }
        let (patches, has_more) = patches.unwrap_or_default();
        if patches.is_empty() {
            return Ok(answer.build());
        }
        Ok(answer.attr("has_more_patches", has_more.to_string()).children([patch_list(patches)]).build())
    }

    /// Puts a snapshot into the media store, as phones do.
    fn upload_snapshot(&self, snapshot: &[u8]) -> Result<ExternalBlobReference> {
        let sealed = encrypt_media(snapshot, MediaType::AppState).context("encrypt a snapshot")?;
        let path = self.media.put("md-app-state", sealed.data_to_upload.into());
        Ok(ExternalBlobReference {
            media_key: Some(sealed.media_key.to_vec()),
            handle: Some(path.clone()),
            direct_path: Some(path),
            file_size_bytes: Some(snapshot.len() as u64),
            file_sha256: Some(sealed.file_sha256.to_vec()),
            file_enc_sha256: Some(sealed.file_enc_sha256.to_vec()),
        })
    }

    /// The mutations that a companion uploaded instead of writing them into its patch.
    fn external_mutations(&self, patch: &[u8]) -> Option<Vec<u8>> {
        let external = SyncdPatch::decode_from_slice(patch).ok()?.external_mutations.into_option()?;
        let sealed = self.media.get(&external.direct_path?)?;
        DownloadUtils::verify_and_decrypt(&sealed, &external.media_key?, MediaType::AppState).ok()
    }

    /// The settings of an account. The phone makes them, with the key and its name, when its first companion comes.
    pub fn app_state_of(&mut self, number: &PhoneNumber) -> Result<&mut AppState> {
        let (now, salt) = (self.now(), self.salt_setting(number));
        let person = self.people.meet(number)?;
        if person.app_state.is_none() {
            let mut state = AppState::new(now);
            state.write(&SettingIndex::PushName { name: person.push_name.clone() }.into(), now * 1_000)?;
            if let Some(salt) = salt {
                state.write(&salt, now * 1_000)?;
            }
            person.app_state = Some(state);
        }
        person.app_state.as_mut().context("the app state vanished")
    }

    /// The account's phone changes a setting; all companions are told.
    pub fn change_setting(&mut self, number: &PhoneNumber, new: &NewSetting) -> Result<u64> {
        let now_ms = self.now() * 1_000;
        let version = self.app_state_of(number)?.write(new, now_ms)?;
        let setting = Setting { index: new.index.clone(), value: Some(new.value.clone()), is_removed: new.is_removed };
        self.settings_changed(number, &[setting]);
        self.dirty = true;
        self.tell_of_app_state(number, None, &[(new.collection.clone(), version)]);
        Ok(version)
    }

    /// What the server and the phone do because of a setting.
    fn settings_changed(&mut self, number: &PhoneNumber, settings: &[Setting]) {
        for setting in settings.iter().filter(|setting| !setting.is_removed) {
            let value = setting.value.as_ref();
            let name = value.and_then(|value| value.push_name_setting.as_option()).and_then(|push| push.name.clone());
            if let (Some("setting_pushName"), Some(name)) = (setting.index.first().map(String::as_str), name) {
                self.rename(number, &name);
            }
        }
    }

    fn tell_of_app_state(&mut self, number: &PhoneNumber, but: Option<u16>, changed: &[(String, u64)]) {
        if changed.is_empty() {
            return;
        }
        let collections: Vec<Node> = changed
            .iter()
            .map(|(name, version)| {
                NodeBuilder::new("collection").attr("name", name.as_str()).attr("version", version.to_string()).build()
            })
            .collect();
        for device in self.devices_of(number).into_iter().filter(|device| Some(*device) != but) {
            let id = self.fresh_id("N");
            let node = NodeBuilder::new("notification")
                .attr("type", "server_sync")
                .attr("from", "s.whatsapp.net")
                .attr("id", id.as_str())
                .attr("t", self.now().to_string())
                .children(collections.clone())
                .build();
            self.notify_device(number, device, "", id, node);
        }
    }
}

fn patch_list(patches: Vec<Vec<u8>>) -> Node {
    let patches = patches.into_iter().map(|patch| NodeBuilder::new("patch").bytes(patch).build());
    NodeBuilder::new("patches").children(patches).build()
}
