//! `GET /media/{file}`: the file, whole and in ranges, from whichever replica is asked, and to whoever has its name.

use crate::api::{Api, answer};
use async_nats::jetstream::object_store::{Config, ObjectMetadata};
use kurir_contract::media::{CONTENT_TYPE, MEDIA_BUCKET};
use kurir_test_harness::Nats;
use reqwest::{Method, Response, header::HeaderMap};

/// Some pieces of 128 kB and a part of one.
const SIZE: usize = 400_001;

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

async fn put(nats: &Nats, name: &str, mimetype: &str) {
    let jetstream = nats.jetstream().await;
    let config = Config { bucket: MEDIA_BUCKET.to_owned(), ..Config::default() };
    let store = match jetstream.get_object_store(MEDIA_BUCKET).await {
        Ok(store) => store,
        Err(_) => jetstream.create_object_store(config).await.expect("a store"),
    };
    let metadata = [(CONTENT_TYPE.to_owned(), mimetype.to_owned())].into();
    let meta = ObjectMetadata { name: name.to_owned(), metadata, ..ObjectMetadata::default() };
    store.put(meta, &mut bytes().as_slice()).await.expect("stored");
}

async fn get(api: &Api, file: &str, headers: &[(&str, &str)]) -> Response {
    let request = api.request(Method::GET, &format!("/media/{file}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn each_replica_serves_a_file_whole_and_in_ranges_without_a_key() {
    let nats = Nats::start().await;
    let (one, other) = (Api::start(&nats, &[]).await, Api::start(&nats, &[]).await);
    put(&nats, "image_A_1_0.jpg", "image/jpeg").await;
    let all = bytes();
    for api in [&one, &other] {
        let whole = get(api, "image_A_1_0.jpg", &[]).await;
        assert_eq!(whole.status(), 200);
        let headers = whole.headers().clone();
        assert_eq!(text(&headers, "content-type"), "image/jpeg");
        assert_eq!(text(&headers, "content-length"), SIZE.to_string());
        assert_eq!(text(&headers, "accept-ranges"), "bytes");
        assert_eq!(text(&headers, "content-disposition"), "inline; filename=\"image_A_1_0.jpg\"");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert!(whole.bytes().await.expect("all of it") == all);

        let tag = text(&headers, "etag");
        let unchanged = get(api, "image_A_1_0.jpg", &[("If-None-Match", tag)]).await;
        assert_eq!((unchanged.status().as_u16(), unchanged.bytes().await.expect("nothing").len()), (304, 0));
        let other_file = get(api, "image_A_1_0.jpg", &[("Range", "bytes=0-9"), ("If-Range", "\"another\"")]).await;
        assert_eq!(other_file.status(), 200);
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            ("bytes=131000-263000", 131_000, 263_001),
            ("bytes=400000-", 400_000, SIZE),
            ("bytes=-7", SIZE - 7, SIZE),
        ] {
            let part = get(api, "image_A_1_0.jpg", &[("Range", range), ("If-Range", tag)]).await;
            assert_eq!(part.status(), 206, "{range}");
            assert_eq!(text(part.headers(), "content-range"), format!("bytes {from}-{}/{SIZE}", to - 1));
            assert_eq!(text(part.headers(), "content-length"), (to - from).to_string());
            assert!(part.bytes().await.expect("a part") == all[from..to], "{range}");
        }
        let outside = get(api, "image_A_1_0.jpg", &[("Range", "bytes=400001-")]).await;
        assert_eq!(outside.status(), 416);
        assert_eq!(text(outside.headers(), "content-range"), format!("bytes */{SIZE}"));
        let head = api.request(Method::HEAD, "/media/image_A_1_0.jpg").send().await.expect("an answer");
        assert_eq!((head.status().as_u16(), text(head.headers(), "content-length")), (200, "400001"));
    }
}

#[tokio::test]
async fn what_a_browser_would_run_is_an_attachment() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for (mimetype, disposition) in
        [("text/html", "attachment"), ("image/svg+xml", "attachment"), ("video/mp4", "inline")]
    {
        put(&nats, "a.bin", mimetype).await;
        let answer = get(&api, "a.bin", &[]).await;
        assert!(text(answer.headers(), "content-disposition").starts_with(disposition), "{mimetype}");
        assert_eq!(text(answer.headers(), "content-type"), mimetype);
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_nats_away_is_503() {
    let mut nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let no_store = answer(api.request(Method::GET, "/media/none.jpg")).await;
    assert_eq!((no_store.0, &no_store.1["code"]), (404, &"media_not_found".into()));
    put(&nats, "a.jpg", "image/jpeg").await;
    for missing in ["/media/none.jpg", "/media/..%2Fa.jpg", "/media/a%20b"] {
        let (status, body) = answer(api.request(Method::GET, missing)).await;
        assert_eq!(
            (status, &body["success"], &body["code"]),
            (404, &false.into(), &"media_not_found".into()),
            "{missing}"
        );
    }
    nats.stop().await;
    let (status, body) = answer(api.request(Method::GET, "/media/a.jpg")).await;
    assert_eq!((status, &body["code"]), (503, &"broker_unavailable".into()));
}
