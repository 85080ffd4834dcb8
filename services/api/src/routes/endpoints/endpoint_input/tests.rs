use super::*;
use serde_json::json;

fn read(
    max_age: Option<u64>,
    allowed: &str,
    body: Value,
    before: Option<&EndpointSettings>,
) -> Result<EndpointSettings, Vec<String>> {
    let kept = EventsStreamInfo { next_sequence: 1, created: None, max_age: max_age.map(Duration::from_secs) };
    let allowed = NetworkList::parse(allowed).expect("networks");
    let Value::Object(body) = body else { panic!("no object: {body}") };
    EndpointRules { stream: &kept, allowed: &allowed }.read(body, before).map_err(|failure| {
        failure.problems.into_iter().map(|problem| format!("{} {}", problem.field, problem.message)).collect()
    })
}

fn url(url: &str, allowed: &str) -> Result<EndpointSettings, Vec<String>> {
    read(None, allowed, json!({"url": url}), None)
}

#[test]
fn an_address_that_is_nobodys_business_is_refused_with_the_variable_that_opens_it() {
    for bad in [
        "http://127.0.0.1:5678/x",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://[::ffff:192.168.1.1]/",
        // The same address in forms that a URL parser knows.
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
    ] {
        let problems = url(bad, "").expect_err(bad);
        assert!(problems.len() == 1 && problems[0].starts_with("url leads to "), "{bad}: {problems:?}");
        assert!(problems[0].contains("WEBHOOK_ALLOWED_NETWORKS"), "{bad}: {problems:?}");
    }
    for (good, allowed) in [
        ("https://example.org/", ""),
        ("https://1.1.1.1/", ""),
        ("https://localhost.example.org/", ""),
        ("http://127.0.0.1/", "127.0.0.0/8"),
        ("http://localhost/", "127.0.0.0/8"),
        ("http://10.1.2.3/", "10.1.0.0/16"),
    ] {
        assert!(url(good, allowed).is_ok(), "{good}");
    }
    assert!(url("http://10.1.2.3/", "127.0.0.0/8").is_err());
}

#[test]
fn a_schedule_must_end_while_the_event_is_kept() {
    let with = |retry: Value, jitter: u8| json!({"url": "https://example.org/", "retry": retry, "retryJitterPercent": jitter, "timeoutSeconds": 1});
    let hour = 3_600;
    // Two delays are three attempts: 3,500 s and 3 s.
    assert!(read(Some(hour), "", with(json!([1_750, 1_750]), 0), None).is_ok());
    assert!(read(Some(hour), "", with(json!([1_750, 1_847]), 0), None).is_err(), "as long as events are kept");
    assert!(read(Some(hour), "", with(json!([1_750, 1_750]), 3), None).is_err(), "jitter only adds");
    let problems = read(Some(hour), "", with(json!("patient"), 0), None).expect_err("22 h of an hour");
    assert!(problems[0].contains("22h 24m 5s") && problems[0].contains("kept for 1h"), "{problems:?}");
    assert!(read(None, "", with(json!("patient"), 100), None).is_ok(), "kept for ever");
}

#[test]
fn everything_is_told_at_once() {
    let body = json!({"url": "http://127.0.0.1/", "retry": [4_000], "concurrency": 0, "colour": 1, "headers": {"x-key": MASK}});
    let problems = read(Some(3_600), "", body, None).expect_err("five");
    let fields: Vec<_> = problems.iter().filter_map(|problem| problem.split(' ').next()).collect();
    assert_eq!(fields, ["headers", "colour", "concurrency", "url", "retry"], "{problems:?}");
}

#[test]
fn a_mask_that_comes_back_keeps_what_is_stored() {
    let new = json!({"url": "https://example.org/", "headers": {"X-Api-Key": "k", "x-plain": "p"}});
    let before = read(None, "", new, None).expect("good");
    let back = json!({"headers": {"x-api-KEY": MASK, "x-new": "n"}});
    let after = read(None, "", back, Some(&before)).expect("good");
    let headers: Vec<_> = after.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("x-api-key", "k"), ("x-new", "n")]);
    for wrong in [json!({"headers": {"x-token": MASK}}), json!({"headers": {"x-plain": MASK}})] {
        assert_eq!(read(None, "", wrong, Some(&before)).expect_err("a mask of nothing").len(), 1);
    }
}
