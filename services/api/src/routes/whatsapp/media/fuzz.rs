//! Forms of callers, on the kept corpus and mutations of it. The first line of an input is the content type.

use super::part_head::PartHead;
use crate::{extract::insert_field, form_bounds::FormBounds};
use axum::{
    body::Body,
    extract::{FromRequest as _, Multipart},
    http::{HeaderValue, Request, header::CONTENT_TYPE},
};
use serde_json::{Map, Value};

const MOST: u64 = 1 << 20;

#[test]
fn fuzz_forms() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    kurir_fuzz::run("forms", |input| runtime.block_on(read_form(input)));
}

async fn read_form(input: &[u8]) {
    let (kind, body) = kurir_fuzz::split_line(input);
    let bounds = FormBounds::new(MOST);
    let request = Request::builder().header(CONTENT_TYPE, kind).body(Body::from(body.to_vec()));
    let Ok(request) = request else { return };
    let Ok(mut form) = Multipart::from_request(request.map(|body| bounds.around(body)), &()).await else { return };
    let mut fields = Map::new();
    for _ in 0..64 {
        bounds.begin_head();
        let field = form.next_field().await;
        bounds.end_head();
        let Ok(Some(field)) = field else { break };
        let head = field.headers().get("content-disposition").map_or(&b""[..], HeaderValue::as_bytes);
        let head = PartHead::parse(head);
        assert!(!head.file_name.as_ref().is_some_and(|name| name.contains('/')), "a file's name leaves its folder");
        let Ok(text) = field.text().await else { break };
        let _ = insert_field(&mut fields, &head.name, Value::String(text));
    }
}
