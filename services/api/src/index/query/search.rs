//! Search by words, by a name or number, and by an id.

use super::{
    Filter, Page, PageRequest, VisibleSessions,
    contacts::{ContactFilter, PersonView, list_contacts},
    events::{EventSummary, find_event},
    messages::{COLUMNS, MessageView, read_message},
};
use rusqlite::{Connection, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// People and ids that the first page shows before messages.
const MOST_PEOPLE: usize = 5;
/// Words of a search; further ones are ignored.
const MOST_WORDS: usize = 16;

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "found")]
pub enum SearchHit {
    /// The id that was searched for.
    Event { event: EventSummary },
    /// A person whose name or number has the text in it.
    Contact { contact: PersonView },
    /// A message with all the words.
    Message { message: MessageView },
}

pub fn search(
    connection: &Connection,
    text: &str,
    session: Option<&str>,
    visible: &VisibleSessions,
    page: &PageRequest,
) -> Result<Page<SearchHit>> {
    let mut hits = Vec::new();
    if page.before.is_none() {
        hits.extend(find_event(connection, text, visible)?.map(|event| SearchHit::Event { event }));
        let people = ContactFilter {
            visible: visible.clone(),
            session: session.map(str::to_owned),
            text: Some(text.trim_start_matches('+').to_owned()),
        };
        let people = list_contacts(connection, &people, &PageRequest { limit: MOST_PEOPLE, before: None })?;
        hits.extend(people.rows.into_iter().map(|contact| SearchHit::Contact { contact }));
    }
    let Some(words) = match_expression(text) else { return Ok(Page { rows: hits, next: None }) };
    let mut filter = Filter::default();
    filter.and("message_texts MATCH ?", Some(words));
    filter.within("messages.session", visible);
    filter.and("messages.session = ?", session.map(str::to_owned));
    let table = "message_texts JOIN messages ON messages.seq = message_texts.rowid";
    let columns = COLUMNS.split(", ").map(|column| format!("messages.{column}")).collect::<Vec<_>>().join(", ");
    let found = filter.page(connection, (table, "message_texts.rowid", &columns), page, read_message)?;
    hits.extend(found.rows.into_iter().map(|message| SearchHit::Message { message }));
    Ok(Page { rows: hits, next: found.next })
}

/// Messages with all words, each as it is or as the beginning of a longer one; none without a word. Nothing of what was
/// typed is an operator.
fn match_expression(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(MOST_WORDS);
    let words: Vec<String> = words.map(|word| format!("\"{word}\"*")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_is_an_operator() {
        for (typed, expected) in [
            ("hello wor", Some(r#""hello"* "wor"*"#)),
            (r#"a" OR text:b NEAR(c)"#, Some(r#""a"* "OR"* "text"* "b"* "NEAR"* "c"*"#)),
            ("*^-:\"", None),
            ("", None),
        ] {
            assert_eq!(match_expression(typed).as_deref(), expected, "{typed}");
        }
    }
}
