//! Messages of strangers, commands of callers and folders of other programs, on the kept corpus and mutations of it.

use crate::{
    inbound::{
        addresses::AddressDirectory,
        content::raw_fields,
        mapping::{MappingContext, map_message},
        polls::PollStore,
    },
    outbound::content::MessageToSend,
    session::baileys::{BaileysFolder, BaileysKeys},
};
use buffa::Message as _;
use kurir_contract::{
    command::{Command, build_send},
    session::SessionId,
};
use wacore::types::message::MessageInfo;
use waproto::whatsapp::Message;

#[test]
fn fuzz_messages() {
    let directory = AddressDirectory::of_account("111@s.whatsapp.net".parse().ok(), "222@lid".parse().ok());
    let mut infos = vec![MessageInfo::default(); 2];
    for (info, chat) in infos.iter_mut().zip(["628@s.whatsapp.net", "120363@g.us"]) {
        info.id = "3EB0".to_owned();
        info.source.chat = chat.parse().expect("an address");
        info.source.sender = "628@s.whatsapp.net".parse().expect("an address");
    }
    let (session, polls) = (SessionId::default(), PollStore::default());
    kurir_fuzz::run("messages", |input| {
        let Ok(message) = Message::decode_from_slice(input) else { return };
        for info in &infos {
            let (identity, directory) = (&directory, &directory);
            let seen = MappingContext { info, message: &message, directory, identity, session: &session };
            // A message that is not passed over always has an event, whatever it holds.
            if let Ok(event) = map_message(&seen, &polls) {
                let written = serde_json::to_vec(&event.data).expect("an event is JSON");
                serde_json::from_slice::<serde_json::Value>(&written).expect("an event can be read");
                // The same message has the same id, so that it is stored once.
                assert_eq!(map_message(&seen, &polls).map(|again| again.id), Ok(event.id));
            }
        }
        raw_fields(&message);
    });
}

#[test]
fn fuzz_sends() {
    kurir_fuzz::run("commands", |input| {
        for command in Command::ALL.iter().filter(|command| command.is_send()) {
            let _ = build_send::<MessageToSend>(*command, input);
        }
    });
}

#[test]
fn fuzz_baileys_folders() {
    kurir_fuzz::run("baileys", |input| {
        // The name of a file, and what it holds, several times.
        let mut tar = tar::Builder::new(Vec::new());
        for file in input.split(|byte| *byte == 0) {
            let (name, content) = kurir_fuzz::split_line(file);
            let name = String::from_utf8_lossy(name).replace('/', "__");
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            if tar.append_data(&mut header, format!("sessions/{name}"), content).is_err() {
                return;
            }
        }
        let Ok(tar) = tar.into_inner() else { return };
        if let Ok(folder) = BaileysFolder::from_tar(tar.as_slice()) {
            let _ = BaileysKeys::read(&folder);
        }
        // And as the tar file itself.
        let _ = BaileysFolder::from_tar(input);
    });
}
