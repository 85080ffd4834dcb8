//! Reads the head of an HTTP/1 answer, in each form that says unmistakably which status it has.
//!
//! Pure. Servers fold header lines, put spaces before colons, send hundreds of headers or a wrong length. The receiver
//! has taken the event all the same, so the status decides. A connection whose answer is not in good form is closed
//! after it, because where the next answer would begin is uncertain.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// The head of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub framing: BodyFraming,
    /// Whether another request may be sent when the body is read.
    pub keeps_open: bool,
}

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    Length(u64),
    Chunked,
    UntilClose,
    /// The head does not say it in good form. Nothing is waited for.
    Unknown,
}

/// The error of bytes that are no HTTP/1 answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not HTTP")]
pub struct NotHttp;

/// The length of a whole head at the start of `bytes`, with the empty line that ends it. `from`: where to look, because
/// the bytes before hold no end.
#[must_use]
pub fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).filter(|&at| bytes[at] == b'\n').find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Parses a whole head.
pub fn parse_head(head: &[u8]) -> Result<AnswerHead, NotHttp> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (minor, status) = parse_status_line(lines.next().ok_or(NotHttp)?).ok_or(NotHttp)?;
    let mut headers = HeaderMap::new();
    let mut is_good = true;
    let mut field: Option<(HeaderName, Vec<u8>)> = None;
    for line in lines.chain([&b""[..]]) {
        if let [b' ' | b'\t', ..] = line {
            is_good = false;
            if let Some((_, value)) = &mut field {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        if let Some((name, value)) = field.take() {
            match HeaderValue::from_bytes(value.trim_ascii()) {
                // A head of 64 KB has fewer headers than a map can hold.
                Ok(value) => is_good &= headers.try_append(name, value).is_ok(),
                Err(_) => is_good = false,
            }
        }
        if line.is_empty() {
            continue;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            is_good = false;
            continue;
        };
        let name = line[..colon].trim_ascii_end();
        is_good &= name.len() == colon;
        match HeaderName::from_bytes(name) {
            Ok(name) => field = Some((name, line[colon + 1..].to_vec())),
            Err(_) => is_good = false,
        }
    }
    let framing = body_framing(status, &headers);
    let keeps_open = is_good
        && framing != BodyFraming::UntilClose
        && framing != BodyFraming::Unknown
        && !(minor == 0 && headers.contains_key(TRANSFER_ENCODING))
        && keeps_open(minor, &headers);
    Ok(AnswerHead { status, headers, framing, keeps_open })
}

/// `HTTP/1.1 200 OK`; the reason may be missing.
fn parse_status_line(line: &[u8]) -> Option<(u8, StatusCode)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b" ").filter(|_| minor.is_ascii_digit())?.trim_ascii_start();
    let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    Some((minor - b'0', StatusCode::from_bytes(&rest[..end]).ok()?))
}

fn body_framing(status: StatusCode, headers: &HeaderMap) -> BodyFraming {
    if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return BodyFraming::Length(0);
    }
    let mut codings = tokens(headers, &TRANSFER_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    match codings.next_back() {
        Some(last) if last.eq_ignore_ascii_case("chunked") => return BodyFraming::Chunked,
        Some(_) => return BodyFraming::Unknown,
        None => {}
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        if status == StatusCode::RESET_CONTENT {
            // It has no content (RFC 9110, 15.3.6), and servers leave the length out.
            return BodyFraming::Unknown;
        }
        let is_plain = !headers.contains_key(TRANSFER_ENCODING);
        return if is_plain { BodyFraming::UntilClose } else { BodyFraming::Unknown };
    }
    let mut lengths = tokens(headers, &CONTENT_LENGTH).map(|length| length.parse::<u64>().ok());
    match lengths.next().flatten() {
        Some(length) if lengths.all(|other| other == Some(length)) => BodyFraming::Length(length),
        Some(_) | None => BodyFraming::Unknown,
    }
}

fn keeps_open(minor: u8, headers: &HeaderMap) -> bool {
    let says = |word: &str| tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(word));
    !says("close") && (minor > 0 || says("keep-alive"))
}

/// The parts of a header between its commas.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a str> {
    headers.get_all(name).iter().flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(head: &str) -> AnswerHead {
        let bytes = head.as_bytes();
        assert_eq!(head_length(bytes, 0), Some(bytes.len()), "{head:?}");
        parse_head(bytes).unwrap()
    }

    #[test]
    fn the_status_is_read_whatever_the_form_of_the_head() {
        use BodyFraming::{Chunked, Length, Unknown, UntilClose};
        for (head, status, framing, keeps_open) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, Length(5), true),
            ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", 200, Length(5), true),
            ("HTTP/1.1 204 \r\n\r\n", 204, Length(0), true),
            ("HTTP/1.1 200 OK\nContent-Length:5\n\n", 200, Length(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, Chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n", 200, Chunked, true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n", 200, Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 200, Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", 200, Length(5), true),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, UntilClose, false),
            ("HTTP/1.1 205 Reset Content\r\n\r\n", 205, Unknown, false),
            ("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, Length(0), true),
            // Not in good form.
            ("HTTP/1.1 200 OK\r\nX-Long: a\r\n  b\r\nContent-Length: 5\r\n\r\n", 200, Length(5), false),
            ("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", 200, Length(5), false),
            ("HTTP/1.1 200 OK\r\nno colon\r\nb\u{e4}d: x\r\n: y\r\nContent-Length: 5\r\n\r\n", 200, Length(5), false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n", 200, Length(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", 200, Unknown, false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 200, Unknown, false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 200, Unknown, false),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", 200, Chunked, false),
            ("HTTP/1.1 201 OK\r\nContent-Length: five\r\n\r\n", 201, Unknown, false),
            ("HTTP/1.1 201 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 201, Unknown, false),
            ("HTTP/1.1 201 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n", 201, Length(5), true),
            ("HTTP/1.1 500 \u{fc}\r\nContent-Length: 0\r\n\r\n", 500, Length(0), true),
        ] {
            let head_read = parsed(head);
            let seen = (head_read.status.as_u16(), head_read.framing, head_read.keeps_open);
            assert_eq!(seen, (status, framing, keeps_open), "{head:?}");
        }
    }

    #[test]
    fn a_folded_value_is_one_value_and_no_number_of_headers_is_too_large() {
        assert_eq!(parsed("HTTP/1.1 200 OK\r\nX-Long: a\r\n\t b \r\nX-Next: c\r\n\r\n").headers["x-long"], "a b");
        let many: String = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect();
        assert_eq!(parsed(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).headers.len(), 2_000);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for head in
            ["\0\u{ff}this is not HTTP\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 20\r\n\r\n"]
        {
            assert!(parse_head(head.as_bytes()).is_err(), "{head:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (head_length(&bytes, 0), parse_head(&bytes));
            let _ = parse_head(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat());
        }
    }
}
