use super::*;
use axum::http::HeaderValue;
use serde_json::json;

fn read(content_type: &str, body: &[u8]) -> Result<Value, String> {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a header"));
    }
    read_fields(&headers, body).map(Value::Object).map_err(|error| error.message.into_owned())
}

/// What Express with body-parser 1.20 and qs 6.13 makes of the same bytes, but for JSON without its type, which is Kurir's.
#[test]
fn a_body_is_read_as_express_read_it() {
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let utf16: Vec<u8> = "{\"a\":\"é\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content_type, body, expected) in [
        (json, b"" as &[u8], json!({})),
        (json, b"{\"a\":1}", json!({"a": 1})),
        (json, b"\xef\xbb\xbf{\"a\":1}", json!({"a": 1})),
        (json, b"\r\n {\"a\":1}\n", json!({"a": 1})),
        (json, b"{\"a\":1,\"a\":2}", json!({"a": 2})),
        (json, br#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"})),
        (json, br#"{"a":"\ude00x"}"#, json!({"a": "\u{fffd}x"})),
        (json, br#"{"a":"\ud83d\u0041"}"#, json!({"a": "\u{fffd}A"})),
        (json, br#"{"a":"\ud83d\ude00 \ud83d"}"#, json!({"a": "😀 \u{fffd}"})),
        (json, br#"{"a":"\\ud83d"}"#, json!({"a": "\\ud83d"})),
        (json, b"{\"a\":\"x\xf0\x9f\x98\"}", json!({"a": "x\u{fffd}"})),
        ("application/json; charset=utf-8", "{\"a\":\"é\"}".as_bytes(), json!({"a": "é"})),
        ("application/json;charset=\"UTF-8\"", b"{\"a\":1}", json!({"a": 1})),
        ("application/json; charset=utf-16", &utf16, json!({"a": "é"})),
        ("application/vnd.api+json", b"{\"a\":1}", json!({"a": 1})),
        ("APPLICATION/JSON", b"{\"a\":1}", json!({"a": 1})),
        ("", b"{\"a\":1}", json!({"a": 1})),
        ("text/plain", b"{\"a\":1}", json!({"a": 1})),
        (form, b"{\"a\":1}", json!({"a": 1})),
        (form, b"to=62812&message=Hello+there%21", json!({"to": "62812", "message": "Hello there!"})),
        (form, b"to=%2B62+812&message=%F0%9F%98%80", json!({"to": "+62 812", "message": "😀"})),
        (form, b"message=a%F0%9F%98", json!({"message": "a\u{fffd}"})),
        (form, b"message=100%", json!({"message": "100%"})),
        (form, b"a=&b", json!({"a": "", "b": ""})),
        (form, b"options[quoted]=3EB0&options%5BsendAt%5D=x", json!({"options": {"quoted": "3EB0", "sendAt": "x"}})),
        (form, b"options[quoted][key][id]=3EB0", json!({"options": {"quoted": {"key": {"id": "3EB0"}}}})),
        (
            form,
            b"messages[0][to]=1&messages[0][message]=x&messages[1][to]=2",
            json!({"messages": [{"to": "1", "message": "x"}, {"to": "2"}]}),
        ),
        (form, b"a[]=1&a[]=2", json!({"a": ["1", "2"]})),
        (form, b"a=1&a=2", json!({"a": ["1", "2"]})),
        (form, b"a[=1&[b]=2", json!({"a[": "1", "[b]": "2"})),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b"a=\xe9", json!({"a": "é"})),
    ] {
        assert_eq!(read(content_type, body), Ok(expected), "{content_type} {}", String::from_utf8_lossy(body));
    }
}

#[test]
fn what_express_refused_is_refused() {
    let json = "application/json";
    for (content_type, body, text) in [
        (json, b"[1]" as &[u8], "must be a JSON object"),
        (json, b"\"x\"", "must be a JSON object"),
        (json, b"{\"a\":1", "not valid JSON"),
        (json, b"{'a':1}", "not valid JSON"),
        (json, b"{\"a\":\"\n\"}", "not valid JSON"),
        (json, br#"{"a":"\ud8"}"#, "not valid JSON"),
        ("application/json; charset=koi8-r", b"{}", "charset"),
        ("application/xml", b"<a/>", "must be JSON"),
        ("application/x-www-form-urlencoded", b"a=1&a[b]=2", "contradict"),
        ("application/x-www-form-urlencoded", b"a[7]=1", "gaps"),
        ("application/x-www-form-urlencoded", b"a[b][c][d][e][f][g]=1", "too deeply"),
    ] {
        let refused = read(content_type, body).expect_err("refused");
        assert!(refused.contains(text), "{content_type} {}: {refused}", String::from_utf8_lossy(body));
    }
}
