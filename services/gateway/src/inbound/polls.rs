//! Remembers polls and calendar events. A vote holds only hashes, encrypted with its poll's secret; the answer to a
//! calendar event is encrypted with the event's secret.
//!
//! The polls are stored next to the session's keys, so that later votes are readable after a restart. If the file is
//! lost, only the meaning of votes is lost, so an error with the file is logged and ignored.

use super::content::{find_event, find_poll};
use crate::session::journal::{SessionJournal, StoreChange};
use kurir_contract::{address::ChatJid, event::KnownAddresses};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use wacore::event::decrypt_event_response_with_secret;
use wacore::poll::{PollVoteAddressing, PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_fallback};
use waproto::whatsapp::{
    Message,
    message::{EncEventResponseMessage, EventResponseMessage, PollEncValue},
};

/// The number of polls kept, the newest ones: about 300 bytes each.
const KEPT: usize = 2_000;
/// The bytes of all polls in memory, and of the lines that the file may have beyond them.
const KEPT_BYTES: usize = 4_000_000;
/// WhatsApp's apps write a question of 255 characters and twelve options of 100. The votes of a larger poll are published
/// without their options.
const LARGEST_POLL: usize = 16_000;

/// The polls. Clones share them.
#[derive(Clone, Default)]
pub struct PollStore(Arc<Mutex<PollMemory>>);

#[derive(Default)]
struct PollMemory {
    polls: HashMap<(ChatJid, String), Arc<KnownPoll>>,
    /// Oldest first.
    order: VecDeque<(ChatJid, String)>,
    /// Of the polls, as they are remembered.
    bytes: usize,
    /// Bytes that were appended to the file since its last rewrite.
    appended: usize,
    file: Option<PathBuf>,
    /// Of a session whose state is in NATS.
    journal: Option<SessionJournal>,
}

/// What it takes to read a vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPoll {
    chat: ChatJid,
    id: String,
    pub name: String,
    options: Vec<String>,
    secret: Vec<u8>,
}

impl PollStore {
    /// Reads a file, which may not exist yet.
    #[must_use]
    pub fn open(file: &Path) -> Self {
        Self(Arc::new(Mutex::new(PollMemory::read(file))))
    }

    /// Keeps what is added in NATS, too.
    #[must_use]
    pub fn with_journal(self, journal: Option<SessionJournal>) -> Self {
        self.lock().journal = journal;
        self
    }

    /// Reads the file again, which somebody else wrote.
    pub fn read_again(&self) {
        let mut memory = self.lock();
        if let Some(file) = memory.file.clone() {
            let journal = memory.journal.take();
            *memory = PollMemory { journal, ..PollMemory::read(&file) };
        }
    }

    /// Remembers the poll or the calendar event in a message, if there is one.
    pub fn add_message(&self, chat: &ChatJid, id: &str, message: &Message) {
        let event = || find_event(message).map(|(name, secret)| (name, Vec::new(), secret));
        let Some((name, options, secret)) = find_poll(message).or_else(event) else { return };
        let poll = KnownPoll { chat: chat.clone(), id: id.to_owned(), name, options, secret };
        if poll.size() > LARGEST_POLL {
            return;
        }
        let mut memory = self.lock();
        if memory.polls.contains_key(&(poll.chat.clone(), poll.id.clone())) {
            return;
        }
        let size = poll.size();
        memory.append(&poll);
        memory.add(poll);
        memory.appended += size;
        if memory.appended > KEPT_BYTES {
            memory.rewrite();
        }
    }

    /// Adds an option that somebody added to a poll.
    pub fn add_option(&self, chat: &KnownAddresses, id: &str, option: &str) {
        let Some(known) = self.find(chat, id) else { return };
        if known.options.iter().any(|known| known == option) {
            return;
        }
        let mut poll = (*known).clone();
        poll.options.push(option.to_owned());
        let size = poll.size();
        if size > LARGEST_POLL {
            return;
        }
        let mut memory = self.lock();
        // When the file is read, a later line of a poll replaces the earlier one.
        memory.append(&poll);
        memory.add(poll);
        memory.appended += size;
        if memory.appended > KEPT_BYTES {
            memory.rewrite();
        }
    }

    /// Forgets all polls after a logout, which removed their file.
    pub fn clear(&self) {
        let mut memory = self.lock();
        memory.polls.clear();
        memory.order.clear();
        (memory.bytes, memory.appended) = (0, 0);
    }

    #[must_use]
    pub fn get(&self, chat: &ChatJid, id: &str) -> Option<Arc<KnownPoll>> {
        self.lock().polls.get(&(chat.clone(), id.to_owned())).cloned()
    }

    /// Finds a poll, also if it came before the chat's number was known.
    #[must_use]
    pub fn find(&self, chat: &KnownAddresses, id: &str) -> Option<Arc<KnownPoll>> {
        self.get(&chat.jid, id).or_else(|| self.get(chat.lid.as_ref()?, id))
    }

    fn lock(&self) -> MutexGuard<'_, PollMemory> {
        // Each change left the polls whole, also if a panic followed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownPoll {
    /// About how many bytes it takes, in memory and in the file.
    fn size(&self) -> usize {
        let options: usize = self.options.iter().map(|option| option.len() + 24).sum();
        200 + self.chat.as_str().len() + self.id.len() + self.name.len() + options + 4 * self.secret.len()
    }
}

/// Whether a message is a poll.
#[must_use]
pub fn is_poll(message: &Message) -> bool {
    find_poll(message).is_some()
}

impl PollMemory {
    fn read(file: &Path) -> Self {
        let mut memory = Self { file: Some(file.to_owned()), ..Self::default() };
        match File::open(file) {
            Ok(lines) => {
                let lines = BufReader::new(lines).lines().map_while(Result::ok);
                // A line that a crash cut off loses one poll.
                lines.filter_map(|line| serde_json::from_str(&line).ok()).for_each(|poll| memory.add(poll));
                memory.rewrite();
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!("the stored polls cannot be read, so votes on them cannot be read either: {error}")
            }
        }
        memory
    }

    fn add(&mut self, poll: KnownPoll) {
        let key = (poll.chat.clone(), poll.id.clone());
        self.bytes += poll.size();
        match self.polls.insert(key.clone(), Arc::new(poll)) {
            Some(before) => self.bytes -= before.size(),
            None => self.order.push_back(key),
        }
        while self.order.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.polls.remove(&oldest).map_or(0, |poll| poll.size());
        }
    }

    fn append(&self, poll: &KnownPoll) {
        let Some(path) = &self.file else { return };
        let line = serde_json::to_string(poll).unwrap_or_default();
        if let Some(journal) = &self.journal {
            journal.note(StoreChange::Poll(line.clone()));
        }
        let written = open_file(path, false).and_then(|mut file| writeln!(file, "{line}"));
        if let Err(error) = written {
            tracing::warn!("a poll is remembered until the next start only: {error}");
        }
    }

    /// Writes the file without the polls that were forgotten.
    fn rewrite(&mut self) {
        self.appended = 0;
        let Some(path) = &self.file else { return };
        let polls = self.order.iter().filter_map(|key| self.polls.get(key));
        let lines: String = polls.map(|poll| serde_json::to_string(&**poll).unwrap_or_default() + "\n").collect();
        if let Err(error) = open_file(path, true).and_then(|mut file| file.write_all(lines.as_bytes())) {
            tracing::warn!("failed to shorten the file of polls: {error}");
        }
    }
}

/// Only the owner can read the file, because it holds secrets.
fn open_file(path: &Path, anew: bool) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(!anew).write(true).truncate(anew).mode(0o600).open(path)
}

impl KnownPoll {
    /// Writes this poll's secret into a message.
    pub fn set_secret(&self, message: &mut Message) {
        if let Some(context) = message.message_context_info.as_option_mut() {
            context.message_secret = Some(self.secret.clone());
        }
    }

    /// The options that a vote chose; none if the vote cannot be decrypted, or if one of them is unknown. WhatsApp binds a vote to the addresses of
    /// the poll's author and of the voter, by number or by LID.
    #[must_use]
    pub fn decrypt_vote(
        &self,
        vote: &PollEncValue,
        id: &str,
        creator: Option<&KnownAddresses>,
        voter: &KnownAddresses,
    ) -> Option<Vec<String>> {
        let (enc_payload, enc_iv) = (vote.enc_payload.as_deref()?, vote.enc_iv.as_deref()?);
        let creator = creator?;
        let mut chosen = None;
        for poll_creator_jid in [&creator.lid, &creator.pn].into_iter().flatten() {
            for voter_jid in [&voter.lid, &voter.pn].into_iter().flatten() {
                let addressing =
                    PollVoteAddressing { poll_creator_jid: poll_creator_jid.as_str(), voter_jid: voter_jid.as_str() };
                let ciphertext = PollVoteCiphertext { enc_payload, enc_iv };
                chosen = chosen
                    .or_else(|| decrypt_poll_vote_with_fallback(ciphertext, &self.secret, id, addressing, None).ok());
            }
        }
        let hashes = chosen?;
        let is_hash_of = |option: &String, hash: &[u8]| *hash == compute_option_hash(option)[..];
        let is_known = |hash: &[u8]| self.options.iter().any(|option| is_hash_of(option, hash));
        if !hashes.iter().all(|hash| is_known(hash)) {
            // A part of the choice would look like the whole of it.
            return None;
        }
        let is_chosen = |option: &&String| hashes.iter().any(|hash| is_hash_of(option, hash));
        Some(self.options.iter().filter(is_chosen).cloned().collect())
    }

    /// The answer to this calendar event; none if it cannot be decrypted. WhatsApp binds it to the addresses of the event's
    /// author and of the person who answers, by number or by LID.
    #[must_use]
    pub fn decrypt_answer(
        &self,
        sealed: &EncEventResponseMessage,
        id: &str,
        creator: &KnownAddresses,
        person: &KnownAddresses,
    ) -> Option<EventResponseMessage> {
        let (payload, iv) = (sealed.enc_payload.as_deref()?, sealed.enc_iv.as_deref()?);
        let creators = [&creator.lid, &creator.pn].into_iter().flatten();
        let pairs = creators.flat_map(|creator| {
            [&person.lid, &person.pn].into_iter().flatten().map(move |person| (creator.as_str(), person.as_str()))
        });
        pairs.into_iter().find_map(|(creator, person)| {
            decrypt_event_response_with_secret(payload, iv, &self.secret, id, creator, person).ok()
        })
    }
}

#[cfg(test)]
mod tests;
