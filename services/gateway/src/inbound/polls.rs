//! The polls that were seen: a vote holds only hashes, encrypted with the poll's own secret.
//!
//! They are kept beside the session's keys, so that a vote of next week is readable after a restart. Losing them loses
//! the meaning of votes and nothing else, so trouble with the file is told and passed over.

use super::content::find_poll;
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
use wacore::poll::{PollVoteAddressing, PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_fallback};
use waproto::whatsapp::{Message, message::PollEncValue};

/// Polls that are remembered, the newest: about 300 bytes each. A session with more open polls is a voting machine.
const KEPT: usize = 2_000;
/// Bytes of all that are remembered, and of the lines that the file may have beyond them.
const KEPT_BYTES: usize = 4_000_000;
/// WhatsApp's apps write a question of 255 characters and twelve options of 100; a larger poll is somebody's joke, whose votes
/// are told without their options.
const LARGEST_POLL: usize = 16_000;

/// All that are remembered; clones share them.
#[derive(Clone, Default)]
pub struct PollStore(Arc<Mutex<PollMemory>>);

#[derive(Default)]
struct PollMemory {
    polls: HashMap<(ChatJid, String), Arc<KnownPoll>>,
    /// Oldest first.
    order: VecDeque<(ChatJid, String)>,
    /// Of the polls, as they are remembered.
    bytes: usize,
    /// Of the file, since it was written anew.
    appended: usize,
    file: Option<PathBuf>,
}

/// What is needed to read a vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPoll {
    chat: ChatJid,
    id: String,
    pub name: String,
    options: Vec<String>,
    secret: Vec<u8>,
}

impl PollStore {
    /// Those of a file, which need not be there yet.
    #[must_use]
    pub fn open(file: &Path) -> Self {
        let mut memory = PollMemory { file: Some(file.to_owned()), ..PollMemory::default() };
        match File::open(file) {
            Ok(lines) => {
                let lines = BufReader::new(lines).lines().map_while(Result::ok);
                // A line that was cut off by a crash is a poll less.
                lines.filter_map(|line| serde_json::from_str(&line).ok()).for_each(|poll| memory.add(poll));
                memory.rewrite();
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("the polls seen before cannot be read, so votes on them cannot: {error}"),
        }
        Self(Arc::new(Mutex::new(memory)))
    }

    /// Remembers the poll that a message is, if it is one.
    pub fn add_message(&self, chat: &ChatJid, id: &str, message: &Message) {
        let Some((name, options, secret)) = find_poll(message) else { return };
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

    /// Forgets all: the session was logged out, and its file is gone.
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

    /// The poll of a chat, also if it was seen before the chat's number was known.
    #[must_use]
    pub fn find(&self, chat: &KnownAddresses, id: &str) -> Option<Arc<KnownPoll>> {
        self.get(&chat.jid, id).or_else(|| self.get(chat.lid.as_ref()?, id))
    }

    fn lock(&self) -> MutexGuard<'_, PollMemory> {
        // A panic while it was held left whole polls.
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
        let written = open_file(path, false).and_then(|mut file| writeln!(file, "{line}"));
        if let Err(error) = written {
            tracing::warn!("a poll is remembered until the next start only: {error}");
        }
    }

    /// Leaves out what was forgotten meanwhile.
    fn rewrite(&mut self) {
        self.appended = 0;
        let Some(path) = &self.file else { return };
        let polls = self.order.iter().filter_map(|key| self.polls.get(key));
        let lines: String = polls.map(|poll| serde_json::to_string(&**poll).unwrap_or_default() + "\n").collect();
        if let Err(error) = open_file(path, true).and_then(|mut file| file.write_all(lines.as_bytes())) {
            tracing::warn!("the file of polls grows: {error}");
        }
    }
}

/// Readable by its owner only: it holds secrets.
fn open_file(path: &Path, anew: bool) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(!anew).write(true).truncate(anew).mode(0o600).open(path)
}

impl KnownPoll {
    /// Gives a message this poll's secret.
    pub fn set_secret(&self, message: &mut Message) {
        if let Some(context) = message.message_context_info.as_option_mut() {
            context.message_secret = Some(self.secret.clone());
        }
    }

    /// The options that a vote chose; none if it cannot be opened. WhatsApp binds a vote to the addresses of creator and
    /// voter, by number or by LID.
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
        let is_chosen = |option: &&String| hashes.iter().any(|hash| hash[..] == compute_option_hash(option)[..]);
        Some(self.options.iter().filter(is_chosen).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
