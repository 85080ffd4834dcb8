//! `docs/asyncapi.yaml`: the subjects of the events and their messages, for tools that read AsyncAPI 3.

use crate::committed;
use kurir_contract::{
    event::{EventType, schema},
    session::SessionId,
    subject,
};
use std::fmt::Write as _;

const DOCUMENT: &str = "docs/asyncapi.yaml";

#[test]
fn the_document_has_every_event_on_its_subject() {
    let mut channels = String::new();
    let mut operations = String::new();
    let mut messages = String::new();
    for event in schema::event_schemas() {
        let (name, key) = (event.event_type.as_str(), channel_name(&event.event_type));
        let address = subject::event(&SessionId::default(), &event.event_type);
        let address = address.replace(".default.", ".{session}.");
        write!(
            channels,
            "  {key}:\n    address: {address}\n    parameters:\n      session:\n        $ref: '#/components/parameters/session'\n    messages:\n      {key}:\n        $ref: '#/components/messages/{key}'\n"
        )
        .unwrap();
        write!(
            operations,
            "  on_{key}:\n    action: send\n    channel:\n      $ref: '#/channels/{key}'\n    messages:\n      - $ref: '#/channels/{key}/messages/{key}'\n"
        )
        .unwrap();
        write!(
            messages,
            "    {key}:\n      name: {name}\n      title: {}\n      contentType: application/json\n      headers:\n        $ref: '#/components/schemas/headers'\n      payload:\n        schemaFormat: application/schema+json;version=draft-2020-12\n        schema:\n          $ref: ../shared/contract/schemas/{name}.json\n",
            quoted(event.description)
        )
        .unwrap();
    }
    let document =
        format!("{HEAD}channels:\n{channels}operations:\n{operations}components:\n  messages:\n{messages}{TAIL}");
    committed::assert_file(DOCUMENT, &document);
}

/// The name of an event's channel: the document allows no dots there.
fn channel_name(event_type: &EventType) -> String {
    event_type.as_str().replace('.', "_")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const HEAD: &str = "# Generated from the types of shared/contract; see its tests.
asyncapi: 3.0.0
info:
  title: Kurir
  version: 0.1.0
  description: The events of WhatsApp sessions in NATS JetStream, stream EVENTS.
  license:
    name: MIT
defaultContentType: application/json
servers:
  nats:
    host: 127.0.0.1:4222
    protocol: nats
";

const TAIL: &str = "  parameters:
    session:
      description: The session's name; the routes without a session use `default`.
      default: default
  schemas:
    headers:
      type: object
      properties:
        Nats-Msg-Id:
          type: string
          description: The event's id, also `webhook-id` at a receiver.
        traceparent:
          type: string
          description: The trace of the event (W3C Trace Context).
      required:
        - Nats-Msg-Id
";
