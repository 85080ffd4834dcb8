//! A recording of what happens: the calls of the control API, what clients send, and what people receive of it. It can be
//! had as a script that makes the same calls and waits for the same messages, so that a session becomes a test.

use std::{collections::BTreeMap, fmt::Write as _, time::Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::phone_number::PhoneNumber;

/// Steps of one recording. What comes after it is left out, and said to be.
const MAX_STEPS: usize = 10_000;
/// Bytes of all steps of one recording, as JSON.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// One thing that happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordedStep {
    /// Milliseconds since the recording began.
    at_ms: u64,
    #[serde(flatten)]
    what: Happening,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Happening {
    /// Somebody called the control API.
    Call { method: String, path: String, body: String, status: u16 },
    /// A client sent a stanza.
    Stanza {
        account: PhoneNumber,
        device: u16,
        tag: String,
        id: Option<String>,
        to: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
        xmlns: Option<String>,
    },
    /// Somebody's phone got a client's message.
    Received {
        contact: PhoneNumber,
        from: PhoneNumber,
        group: Option<String>,
        #[serde(rename = "type")]
        kind: String,
        text: Option<String>,
    },
}

/// What was recorded, and whether it goes on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordingView {
    recording: bool,
    /// False if there was more than fits.
    complete: bool,
    steps: Vec<RecordedStep>,
}

#[derive(Debug, Default)]
pub struct Recording {
    since: Option<Instant>,
    is_running: bool,
    is_cut: bool,
    bytes: usize,
    steps: Vec<RecordedStep>,
}

impl Recording {
    /// Begins, and forgets the recording before.
    pub fn begin(&mut self) {
        *self = Self { since: Some(Instant::now()), is_running: true, ..Self::default() };
    }

    pub fn end(&mut self) {
        self.is_running = false;
    }

    pub fn is_running(&self) -> bool {
        self.is_running
    }

    pub fn add(&mut self, what: Happening) {
        let Some(since) = self.since.filter(|_| self.is_running) else { return };
        // What cannot be written cannot be shown, either.
        let size = serde_json::to_vec(&what).map_or(MAX_BYTES, |written| written.len());
        if self.steps.len() == MAX_STEPS || self.bytes + size > MAX_BYTES {
            self.is_cut = true;
            return;
        }
        self.bytes += size;
        let at_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.steps.push(RecordedStep { at_ms, what });
    }

    pub fn view(&self) -> RecordingView {
        RecordingView { recording: self.is_running, complete: !self.is_cut, steps: self.steps.clone() }
    }

    /// A script for `sh` with `curl`: the same calls, and the client has to write the same messages.
    pub fn script(&self) -> String {
        let mut script = SCRIPT.to_owned();
        // How often each inbox has shown each message so far.
        let mut shown = BTreeMap::<(String, String), u32>::new();
        let mut until_shows = |script: &mut String, contact: &PhoneNumber, part: String| {
            let path = format!("/contacts/{contact}/messages");
            let (path_word, part_word) = (quoted(&path), quoted(&part));
            let times = shown.entry((path, part)).or_default();
            *times += 1;
            writeln!(script, "until_shows {times} {path_word} {part_word}")
        };
        for step in &self.steps {
            // Writing into a String never fails.
            let _ = match &step.what {
                Happening::Call { path, .. } if path.contains("/scan-qr") || path.contains("/enter-code") => {
                    writeln!(script, "# Here the client was paired: {path}")
                }
                Happening::Call { method, path, status, .. } if *status >= 400 => {
                    writeln!(script, "# Here a call was refused with {status}: {method} {path}")
                }
                Happening::Call { method, path, body, .. } => {
                    writeln!(script, "call {} {} {}", quoted(method), quoted(path), quoted(body))
                }
                Happening::Received { contact, text: Some(text), .. } => {
                    let text = serde_json::to_string(text).unwrap_or_default();
                    until_shows(&mut script, contact, format!("\"text\":{text}"))
                }
                Happening::Received { contact, kind, .. } => {
                    until_shows(&mut script, contact, format!("\"type\":\"{kind}\""))
                }
                Happening::Stanza { .. } => Ok(()),
            };
        }
        script.push_str("echo 'everything came as recorded'\n");
        script
    }
}

const SCRIPT: &str = r#"#!/bin/sh
# A recorded session as a test: it makes the recorded calls, and fails unless the client writes what it wrote then.
# Usage: sh recording.sh [ADDRESS]. TRIES: how often it looks for each message, ten times a second (300).
set -eu
base=${1:-http://127.0.0.1:8080}
call() { printf %s "$3" | curl -fsS -X "$1" --data-binary @- "$base$2" > /dev/null; }
until_shows() {
  tries=0
  until [ "$(curl -fsS "$base$2" | grep -oF -- "$3" | wc -l)" -ge "$1" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt "${TRIES:-300}" ] || { echo "$2 showed $3 less than $1 times" >&2; exit 1; }
    sleep 0.1
  done
}
"#;

/// One word of a shell's line.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, body: &str) -> Happening {
        Happening::Call { method: "POST".to_owned(), path: path.to_owned(), body: body.to_owned(), status: 200 }
    }

    #[test]
    fn a_script_makes_the_calls_and_waits_for_the_messages() {
        let mut recording = Recording::default();
        recording.add(call("/before", "{}"));
        recording.begin();
        recording.add(call("/admin/mock-phone/scan-qr", "2@secret"));
        recording.add(call("/contacts/15550200001/messages", r#"{"text":"it's me"}"#));
        let (contact, from) = ("15550200001".parse().unwrap(), "15550100001".parse().unwrap());
        let text = Some("\"hi\"\n$(false)".to_owned());
        let received = Happening::Received { contact, from, group: None, kind: "text".to_owned(), text };
        recording.add(received.clone());
        let (method, path) = ("POST".to_owned(), "/refused".to_owned());
        recording.add(Happening::Call { method, path, body: String::new(), status: 409 });
        recording.add(received);
        recording.end();
        recording.add(call("/after", "{}"));
        let script = recording.script();
        assert!(script.contains(r#"call 'POST' '/contacts/15550200001/messages' '{"text":"it'\''s me"}'"#), "{script}");
        let waits =
            |times: u32| format!(r#"until_shows {times} '/contacts/15550200001/messages' '"text":"\"hi\"\n$(false)"'"#);
        assert!(script.contains(&waits(1)) && script.contains(&waits(2)), "{script}");
        assert!(
            script.contains("# Here a call was refused with 409: POST /refused")
                && !script.contains("call 'POST' '/refused'")
        );
        assert!(!script.contains("2@secret") && !script.contains("/before") && !script.contains("/after"));
        assert_eq!(recording.view().steps.len(), 5);
    }

    #[test]
    fn a_recording_has_an_end() {
        let mut recording = Recording::default();
        recording.begin();
        (0..MAX_STEPS + 5).for_each(|_| recording.add(call("/x", "")));
        assert_eq!((recording.view().steps.len(), recording.view().complete), (MAX_STEPS, false));
        recording.begin();
        assert_eq!((recording.view().steps.len(), recording.view().complete), (0, true));
    }
}
