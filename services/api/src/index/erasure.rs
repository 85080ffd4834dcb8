//! Chats whose messages were erased: no index keeps them any more, nor one that is made again from the streams.
//!
//! A bucket has one key for each erased chat or person; the key is a hash, so that the bucket has no address. Messages that
//! come after the erasure are kept again.

use super::event_facts::EventFacts;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError},
};
use kurir_contract::clock;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, Result, params};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

pub const BUCKET: &str = "index_erasures";

/// An erasure, as the bucket has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// The last event in EVENTS at that time.
    pub through_sequence: u64,
    pub at: String,
}

/// All erasures, by the hash of the address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Erasures(HashMap<String, u64>);

impl Erasures {
    /// Whether the event belongs to a chat or a person that was erased after it.
    pub fn covers(&self, event: &EventFacts) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let author = event.author.as_ref();
        let addresses = [event.chat.as_deref(), author.map(|a| a.jid.as_str()), author.and_then(|a| a.lid.as_deref())];
        addresses
            .into_iter()
            .flatten()
            .any(|address| self.0.get(&address_key(address)).is_some_and(|through| event.sequence <= *through))
    }

    pub fn insert(&mut self, key: String, erasure: &Erasure) {
        let through = self.0.entry(key).or_default();
        *through = erasure.through_sequence.max(*through);
    }
}

/// The key of an address in the bucket.
pub fn address_key(address: &str) -> String {
    hex::encode(&digest(&SHA256, format!("erased {address}").as_bytes()).as_ref()[..16])
}

/// Reads all erasures.
pub async fn read_erasures(broker: &Broker) -> Result<Erasures, BucketError> {
    let mut erasures = Erasures::default();
    for (key, value) in Bucket::new(broker.clone(), BUCKET).entries().await? {
        match serde_json::from_slice(&value) {
            Ok(erasure) => erasures.insert(key, &erasure),
            Err(error) => tracing::warn!("an erasure cannot be read: {error}"),
        }
    }
    Ok(erasures)
}

/// Stores an erasure, so that every index keeps to it.
pub async fn store_erasure(broker: &Broker, address: &str, through_sequence: u64) -> Result<Erasure, BucketError> {
    let erasure = Erasure { through_sequence, at: clock::now_iso() };
    let value = serde_json::to_vec(&erasure).unwrap_or_default();
    Bucket::new(broker.clone(), BUCKET).put(&address_key(address), value.into()).await?;
    Ok(erasure)
}

/// Erases everything that the erasures cover: another replica may have made one, and it knows only a hash.
pub fn erase_covered(connection: &Connection, erasures: &Erasures) -> Result<()> {
    let sql = "SELECT DISTINCT chat FROM events WHERE chat IS NOT NULL
               UNION SELECT jid FROM contacts UNION SELECT lid FROM contacts WHERE lid IS NOT NULL";
    let known: Vec<String> = connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    for address in known {
        if let Some(through) = erasures.0.get(&address_key(&address)) {
            erase_address(connection, &address, *through)?;
        }
    }
    Ok(())
}

/// All addresses of the person who has this one, as far as the index knows them.
pub fn known_addresses(connection: &Connection, address: &str) -> Result<Vec<String>> {
    let sql = "SELECT jid FROM contacts WHERE jid = ?1 OR lid = ?1
               UNION SELECT lid FROM contacts WHERE lid IS NOT NULL AND (jid = ?1 OR lid = ?1) UNION SELECT ?1";
    connection.prepare(sql)?.query_map([address], |row| row.get(0))?.collect()
}

/// Erases what the index has of a chat or a person; gives how many messages that were.
pub fn erase_address(connection: &Connection, address: &str, through_sequence: u64) -> Result<u64> {
    let of_address = "(chat = ?1 OR author = ?1) AND seq <= ?2";
    let bounds = params![address, through_sequence];
    connection.execute(
        "UPDATE chats SET messages = messages - old.count FROM
         (SELECT session, chat, count(*) AS count FROM messages WHERE (chat = ?1 OR author = ?1) AND seq <= ?2 GROUP BY session, chat) AS old
         WHERE chats.session = old.session AND chats.chat = old.chat",
        bounds,
    )?;
    connection.execute(
        &format!("DELETE FROM message_texts WHERE rowid IN (SELECT seq FROM messages WHERE {of_address})"),
        bounds,
    )?;
    let erased = connection.execute(&format!("DELETE FROM messages WHERE {of_address}"), bounds)?;
    connection.execute("UPDATE events SET author = NULL WHERE author = ?1 AND seq <= ?2", bounds)?;
    connection.execute("UPDATE deliveries SET chat = NULL WHERE chat = ?1 AND event_seq <= ?2", bounds)?;
    connection.execute("UPDATE events SET chat = NULL, author = NULL WHERE chat = ?1 AND seq <= ?2", bounds)?;
    connection.execute("DELETE FROM contacts WHERE (jid = ?1 OR lid = ?1) AND last_seq <= ?2", bounds)?;
    connection.execute("DELETE FROM chats WHERE chat = ?1 AND last_seq <= ?2", bounds)?;
    Ok(erased as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::event_facts::Person;

    #[test]
    fn an_erasure_covers_what_came_before_it_in_the_chat_or_from_the_person() {
        let mut erasures = Erasures::default();
        erasures.insert(address_key("1@lid"), &Erasure { through_sequence: 10, at: String::new() });
        let event = |sequence, chat: &str, author: &str| EventFacts {
            sequence,
            chat: Some(chat.to_owned()),
            author: Some(Person { jid: author.to_owned(), ..Person::default() }),
            ..EventFacts::default()
        };
        for (sequence, chat, author, covered) in [
            (10, "1@lid", "1@lid", true),
            (10, "g@g.us", "1@lid", true),
            (11, "1@lid", "1@lid", false),
            (10, "2@lid", "2@lid", false),
        ] {
            assert_eq!(erasures.covers(&event(sequence, chat, author)), covered, "{sequence} {chat} {author}");
        }
    }
}
