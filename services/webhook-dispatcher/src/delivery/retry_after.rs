//! The wait that a receiver asks for in `Retry-After`. Pure.

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, RETRY_AFTER},
};
use std::time::{Duration, SystemTime};

/// When a receiver wants the next request (RFC 9110, 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    After(Duration),
    At(SystemTime),
}

impl RetryAfter {
    /// Parses seconds, or a date in one of HTTP's three forms. Anything else is ignored.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that is too large is the largest one.
            return Some(Self::After(Duration::from_secs(value.parse().unwrap_or(u64::MAX))));
        }
        httpdate::parse_http_date(value).ok().map(Self::At)
    }

    /// What the headers of an answer ask for. Of several the longest counts: proxies add one of their own. A date is counted
    /// from the answer's own `Date`, so that a receiver's clock that is wrong changes nothing.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let dated = headers.get(DATE).and_then(text).and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        let asked = headers.get_all(RETRY_AFTER).iter().filter_map(text).filter_map(|value| Self::parse(&value));
        let asked = asked.map(|asked| match (asked, dated) {
            (Self::At(at), Some(dated)) => Self::After(at.duration_since(dated).unwrap_or_default()),
            (asked, _) => asked,
        });
        asked.max_by_key(|asked| match *asked {
            Self::After(delay) => (delay, None),
            Self::At(at) => (Duration::ZERO, Some(at)),
        })
    }

    /// The wait from now on; zero if the time is over.
    #[must_use]
    pub fn delay_from(self, now: SystemTime) -> Duration {
        match self {
            Self::After(delay) => delay,
            Self::At(at) => at.duration_since(now).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wish_for_patience_is_read_in_each_form_in_which_it_comes() {
        let (date, minute_later) = ("Tue, 24 Nov 2026 13:27:25 GMT", "Tue, 24 Nov 2026 13:28:25 GMT");
        let after = |seconds| Some(RetryAfter::After(Duration::from_secs(seconds)));
        let at = httpdate::parse_http_date(minute_later).map(RetryAfter::At).ok();
        for (values, dated, expected) in [
            (&["7"][..], None, after(7)),
            (&[" 7 "], None, after(7)),
            (&["0"], None, after(0)),
            (&["-7"], None, None),
            (&["7.5"], None, None),
            (&["soon"], None, None),
            (&[""], None, None),
            (&["99999999999999999999999"], None, after(u64::MAX)),
            (&[minute_later], None, at),
            (&[minute_later], Some(date), after(60)),
            (&[date], Some(minute_later), after(0)),
            (&["7", "70"], None, after(70)),
            (&["soon", "7"], None, after(7)),
            (&["7", minute_later], Some(date), after(60)),
            (&[], Some(date), None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(RETRY_AFTER, value.parse().unwrap());
            }
            if let Some(dated) = dated {
                headers.insert(DATE, dated.parse().unwrap());
            }
            assert_eq!(RetryAfter::from_headers(&headers), expected, "{values:?} at {dated:?}");
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            // The three forms of RFC 9110, 5.6.7, one minute from now.
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("1994-11-06T08:49:37Z", None),
        ] {
            let asked = RetryAfter::parse(value).map(|asked| asked.delay_from(now));
            assert_eq!(asked, seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reading_of_a_retry_after_panic(value in "\\PC{0,40}") {
            let _ = RetryAfter::parse(&value);
        }
    }

    #[test]
    fn fuzz_retry_after() {
        kurir_fuzz::run("retry-after", |input| {
            let mut headers = HeaderMap::new();
            for (number, value) in input.split(|byte| *byte == b'\n').enumerate() {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(if number % 3 == 2 { DATE } else { RETRY_AFTER }, value);
                }
            }
            // Of several, none is cut short; and what asks for nothing is no wait.
            let all = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
            let all: Vec<_> = all.filter_map(RetryAfter::parse).collect();
            let longest = all.iter().filter_map(|asked| match asked {
                RetryAfter::After(delay) => Some(*delay),
                RetryAfter::At(_) => None,
            });
            let asked = RetryAfter::from_headers(&headers);
            assert_eq!(asked.is_some(), !all.is_empty());
            let wait = asked.map_or(Duration::ZERO, |asked| asked.delay_from(SystemTime::now()));
            assert!(longest.max().is_none_or(|longest| wait >= longest), "{wait:?} of {all:?}");
        });
    }
}
