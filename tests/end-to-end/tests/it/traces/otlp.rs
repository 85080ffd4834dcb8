//! Reads what a collector was sent: as much of OTLP's protobuf as the tests look at.

use kurir_test_harness::Receiver;
use std::collections::HashMap;

/// One span, as the collector has it.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    /// `service.name` of its resource.
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first span of a trace.
    pub parent: String,
    /// 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u64,
    /// 1 good, 2 an error.
    pub status: u64,
    pub attributes: HashMap<String, String>,
    pub start: u64,
    pub end: u64,
}

/// All spans that a collector was sent.
pub fn collected_spans(collector: &Receiver) -> Vec<CollectedSpan> {
    let requests = collector.requests();
    assert!(requests.iter().all(|request| request.path == "/v1/traces"));
    assert!(requests.iter().all(|request| request.header("content-type") == "application/x-protobuf"));
    let mut spans = Vec::new();
    for resource_spans in requests.iter().flat_map(|request| messages(&request.body, 1)) {
        let resource = messages(&resource_spans, 1).into_iter().next().unwrap_or_default();
        let service = attributes(&resource, 1).remove("service.name").unwrap_or_default();
        for span in messages(&resource_spans, 2).iter().flat_map(|scope| messages(scope, 2)) {
            spans.push(read_span(&service, &span));
        }
    }
    spans
}

fn read_span(service: &str, span: &[u8]) -> CollectedSpan {
    let hex = |field| messages(span, field).first().into_iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    let text = |field| messages(span, field).pop().map(|text| String::from_utf8(text).unwrap()).unwrap_or_default();
    let number = |field| numbers(span, field).pop().unwrap_or_default();
    let status = messages(span, 15).pop().unwrap_or_default();
    CollectedSpan {
        service: service.to_owned(),
        name: text(5),
        trace: hex(1),
        id: hex(2),
        parent: hex(4),
        kind: number(6),
        status: numbers(&status, 3).pop().unwrap_or_default(),
        attributes: attributes(span, 9),
        start: number(7),
        end: number(8),
    }
}

/// Attributes whose values are texts or whole numbers.
fn attributes(message: &[u8], field: u64) -> HashMap<String, String> {
    let read = |pair: Vec<u8>| {
        let key = String::from_utf8(messages(&pair, 1).pop()?).ok()?;
        let value = messages(&pair, 2).pop()?;
        let text = messages(&value, 1).pop().and_then(|text| String::from_utf8(text).ok());
        Some((key, text.or_else(|| numbers(&value, 3).pop().map(|number| number.to_string()))?))
    };
    messages(message, field).into_iter().filter_map(read).collect()
}

enum FieldContent {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of one message of protobuf.
fn fields(mut bytes: &[u8]) -> Vec<(u64, FieldContent)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let content = match key & 7 {
            0 => FieldContent::Number(varint(&mut bytes)),
            1 => FieldContent::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes) as usize;
                FieldContent::Bytes(take(&mut bytes, length).to_vec())
            }
            5 => FieldContent::Number(u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap()).into()),
            other => panic!("no wire type of protobuf: {other}"),
        };
        fields.push((key >> 3, content));
    }
    fields
}

fn messages(message: &[u8], field: u64) -> Vec<Vec<u8>> {
    let of_field = fields(message).into_iter().filter(|(number, _)| *number == field);
    of_field
        .filter_map(|(_, content)| if let FieldContent::Bytes(bytes) = content { Some(bytes) } else { None })
        .collect()
}

fn numbers(message: &[u8], field: u64) -> Vec<u64> {
    let of_field = fields(message).into_iter().filter(|(number, _)| *number == field);
    of_field
        .filter_map(|(_, content)| if let FieldContent::Number(value) = content { Some(value) } else { None })
        .collect()
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}
