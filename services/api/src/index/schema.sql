CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row for each message of EVENTS; `seq` is its sequence there.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  session TEXT NOT NULL,
  stored_at INTEGER NOT NULL,
  at INTEGER NOT NULL,
  chat TEXT,
  author TEXT,
  message_id TEXT,
  from_me INTEGER NOT NULL,
  detail TEXT,
  reference TEXT
);
CREATE INDEX events_id ON events (id);
CREATE INDEX events_message ON events (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX events_reference ON events (reference) WHERE reference IS NOT NULL;
CREATE INDEX events_type ON events (type, seq);
CREATE INDEX events_session ON events (session, type, seq);
CREATE INDEX events_chat ON events (chat, seq) WHERE chat IS NOT NULL;
CREATE INDEX events_stored ON events (stored_at);

-- One row for each message that somebody wrote; `seq` is that of its event.
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL,
  session TEXT NOT NULL,
  chat TEXT NOT NULL,
  message_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  from_me INTEGER NOT NULL,
  author TEXT,
  author_name TEXT,
  kind TEXT NOT NULL,
  text TEXT,
  file TEXT,
  status TEXT,
  edited INTEGER NOT NULL DEFAULT 0,
  revoked INTEGER NOT NULL DEFAULT 0,
  reaction TEXT
);
CREATE INDEX messages_chat ON messages (chat, seq);
CREATE INDEX messages_id ON messages (message_id);
CREATE INDEX messages_author ON messages (author) WHERE author IS NOT NULL;
CREATE VIRTUAL TABLE message_texts USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');

CREATE TABLE chats (
  id INTEGER PRIMARY KEY,
  session TEXT NOT NULL,
  chat TEXT NOT NULL,
  name TEXT,
  messages INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  UNIQUE (session, chat)
);
CREATE INDEX chats_last ON chats (last_seq);

CREATE TABLE contacts (
  id INTEGER PRIMARY KEY,
  session TEXT NOT NULL,
  jid TEXT NOT NULL,
  lid TEXT,
  name TEXT,
  last_seq INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  UNIQUE (session, jid)
);
CREATE INDEX contacts_last ON contacts (last_seq);

-- One row for each attempt; `id` is the sequence of its batch in DELIVERIES and its place in the batch.
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL,
  event_seq INTEGER NOT NULL,
  event_type TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  session TEXT,
  chat TEXT,
  attempt INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  status INTEGER,
  class TEXT,
  answer TEXT,
  headers TEXT,
  duration_ms INTEGER NOT NULL,
  at INTEGER NOT NULL,
  replay TEXT
);
CREATE INDEX deliveries_event ON deliveries (event_seq);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, id);
CREATE INDEX deliveries_failed ON deliveries (endpoint, id) WHERE outcome <> 'delivered';
CREATE INDEX deliveries_outcome ON deliveries (outcome, id) WHERE outcome <> 'delivered';
CREATE INDEX deliveries_status ON deliveries (status, id) WHERE status <> 200;
CREATE INDEX deliveries_type ON deliveries (event_type, id);
CREATE INDEX deliveries_session ON deliveries (session, event_type, id);
CREATE INDEX deliveries_chat ON deliveries (chat, id) WHERE chat IS NOT NULL;
CREATE INDEX deliveries_at ON deliveries (at);
-- Attempts whose event is not indexed yet.
CREATE INDEX deliveries_open ON deliveries (event_seq) WHERE session IS NULL;

-- Counts for charts: how many attempts of an endpoint ended how in a minute, and in which class of duration.
CREATE TABLE delivery_minutes (
  endpoint TEXT NOT NULL,
  minute INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  duration_class INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (minute, endpoint, outcome, duration_class)
) WITHOUT ROWID;

-- One row for each dead letter; `seq` is its sequence in DEAD_LETTERS.
CREATE TABLE dead_letters (
  seq INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL,
  event_seq INTEGER NOT NULL,
  endpoint TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX dead_letters_event ON dead_letters (event_id, endpoint);

-- One row for each message of AUDIT.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT,
  status INTEGER NOT NULL,
  entry TEXT NOT NULL
);
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE INDEX audit_target ON audit (target, seq) WHERE target IS NOT NULL;
