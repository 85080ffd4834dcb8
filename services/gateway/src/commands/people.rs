//! People: whether a number is on WhatsApp, what a contact shows, pictures, and blocked contacts.

use super::{
    CommandServer,
    groups::lookup::{map_group_error, parse_group},
    whatsapp_request::RequestFailure,
};
use crate::inbound::addresses;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kurir_contract::{
    address::ChatJid,
    command::{
        AnswerCommand, CheckNumber, CommandError, CommandErrorCode, EmptyBody, NumberChecked,
        people::{
            BlockedContact, BlockedContacts, ContactDetails, LONGEST_PICTURE, MOST_BLOCKED_SHOWN, PersonRequest,
            PictureLink, PictureLookup, PictureRequest, PictureUpdate, SetPicture,
        },
        spec,
    },
    event::KnownAddresses,
};
use wacore_binary::Jid;
use whatsapp_rust::{Client, features::ContactError};

/// The first bytes of every JPEG.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

impl AnswerCommand<spec::CheckNumber> for CommandServer {
    async fn answer(&self, request: CheckNumber) -> Result<NumberChecked, CommandError> {
        let number = request.number;
        let jid = parse_person(&number)?;
        self.ask_whatsapp(|client| async move { self.query_number(&client, &number, &jid).await }).await
    }
}

impl AnswerCommand<spec::Contact> for CommandServer {
    async fn answer(&self, request: PersonRequest) -> Result<ContactDetails, CommandError> {
        let number = request.number;
        let jid = parse_person(&number)?;
        self.ask_whatsapp(|client| async move {
            self.require_number(&client, &number, &jid).await?;
            let info = client.contacts().get_user_info(std::slice::from_ref(&jid)).await?.into_values().next();
            // A picture that this account may not see counts as none.
            let picture = client.contacts().get_profile_picture(&jid, false).await;
            let picture = picture.ok().flatten().map(|picture| PictureLink { id: picture.id, url: picture.url });
            let KnownAddresses { jid, pn, lid } = addresses::resolve_address(&client, &jid).await;
            Ok(ContactDetails {
                jid,
                pn,
                lid,
                about: info.as_ref().and_then(|info| info.status.clone()).filter(|about| !about.is_empty()),
                picture,
                business: info.as_ref().is_some_and(|info| info.is_business),
                verified_name: info.and_then(|info| info.verified_name).and_then(|name| name.name),
            })
        })
        .await
    }
}

/// The picture of a person or a group.
impl AnswerCommand<spec::Picture> for CommandServer {
    async fn answer(&self, request: PictureRequest) -> Result<PictureLookup, CommandError> {
        let of = request.of;
        let jid = if of.is_group() { parse_group(&of)? } else { parse_person(&of)? };
        self.ask_whatsapp(|client| async move {
            let picture = client.contacts().get_profile_picture(&jid, false).await?;
            Ok(PictureLookup { picture: picture.map(|picture| PictureLink { id: picture.id, url: picture.url }) })
        })
        .await
    }
}

/// Sets or removes the picture of the account or of a group.
impl AnswerCommand<spec::SetPicture> for CommandServer {
    async fn answer(&self, request: SetPicture) -> Result<PictureUpdate, CommandError> {
        let SetPicture { group, picture } = request;
        let group = group.as_ref().map(parse_group).transpose()?;
        let jpeg = picture.as_deref().map(decode_jpeg).transpose()?;
        self.ask_whatsapp(|client| async move {
            let is_there = jpeg.is_some();
            // Without bytes the client removes the picture.
            let jpeg = jpeg.unwrap_or_default();
            let set = match &group {
                Some(group) => {
                    let set = client.groups().set_profile_picture(group, jpeg).await;
                    map_group_error(&client, group, set).await?
                }
                None => client.profile().set_profile_picture(jpeg).await?,
            };
            Ok(PictureUpdate { id: is_there.then_some(set.id) })
        })
        .await
    }
}

impl AnswerCommand<spec::Blocklist> for CommandServer {
    async fn answer(&self, EmptyBody {}: EmptyBody) -> Result<BlockedContacts, CommandError> {
        self.ask_whatsapp(|client| async move {
            let mut people = Vec::new();
            for entry in client.blocking().get_blocklist().await?.iter().take(MOST_BLOCKED_SHOWN) {
                people.push(blocked_contact(addresses::resolve_address(&client, &entry.jid).await));
            }
            Ok(BlockedContacts { people })
        })
        .await
    }
}

impl AnswerCommand<spec::Block> for CommandServer {
    async fn answer(&self, request: PersonRequest) -> Result<BlockedContact, CommandError> {
        self.set_blocked(request.number, true).await
    }
}

impl AnswerCommand<spec::Unblock> for CommandServer {
    async fn answer(&self, request: PersonRequest) -> Result<BlockedContact, CommandError> {
        self.set_blocked(request.number, false).await
    }
}

impl CommandServer {
    /// A person who is blocked already stays blocked.
    async fn set_blocked(&self, number: ChatJid, is_to_be: bool) -> Result<BlockedContact, CommandError> {
        let jid = parse_person(&number)?;
        self.ask_whatsapp(|client| async move {
            // WhatsApp needs both addresses. The lookup reveals the missing one.
            let KnownAddresses { pn, lid, .. } = addresses::resolve_address(&client, &jid).await;
            if pn.is_none() || lid.is_none() {
                self.require_number(&client, &number, &jid).await?;
            }
            if is_to_be {
                client.blocking().block(&jid).await?;
            } else {
                client.blocking().unblock(&jid).await?;
            }
            Ok(blocked_contact(addresses::resolve_address(&client, &jid).await))
        })
        .await
    }

    /// Looks the person up, so that the client knows both addresses.
    async fn require_number(&self, client: &Client, number: &ChatJid, jid: &Jid) -> Result<(), RequestFailure> {
        if self.query_number(client, number, jid).await?.exists {
            return Ok(());
        }
        Err(CommandError::new(CommandErrorCode::NotOnWhatsapp, format!("{number} is not on WhatsApp")).into())
    }

    async fn query_number(
        &self,
        client: &Client,
        number: &ChatJid,
        jid: &Jid,
    ) -> Result<NumberChecked, RequestFailure> {
        self.outbound.sender.recipients.query_whatsapp(client, number, jid).await.map_err(|error| {
            error
                .downcast::<ContactError>()
                .map_or_else(|error| RequestFailure::Client(format!("{error:#}")), RequestFailure::from)
        })
    }
}

fn blocked_contact(KnownAddresses { jid, pn, lid }: KnownAddresses) -> BlockedContact {
    BlockedContact { jid, pn, lid }
}

fn parse_person(number: &ChatJid) -> Result<Jid, CommandError> {
    let jid: Option<Jid> = number.as_str().parse().ok();
    jid.filter(|jid| jid.is_pn() || jid.is_lid()).ok_or_else(|| CommandError::invalid("Invalid phone number format"))
}

fn decode_jpeg(picture: &str) -> Result<Vec<u8>, CommandError> {
    let bytes = Some(picture).filter(|picture| picture.len() <= LONGEST_PICTURE);
    let bytes = bytes.and_then(|picture| BASE64_STANDARD.decode(picture).ok());
    bytes.filter(|bytes| bytes.starts_with(&JPEG)).ok_or_else(|| {
        CommandError::invalid(format!("a picture is a JPEG in base64, of at most {LONGEST_PICTURE} characters"))
    })
}
