//! Files that are converted, and what a message says about its file before it is loaded. `ffmpeg` makes the samples, too:
//! without it these tests say that they skip.

use crate::{
    api::{Api, answer},
    stand_in::{Gateway, connected},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use image::{
    DynamicImage, Frame, ImageFormat, Rgba, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use kurir_contract::{command::Command, media::MEDIA_TO_SEND_BUCKET};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    io::Cursor,
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt as _;

const KEY: &str = crate::api::KEY;
const BUDI: &str = "6281234567890";
/// As the API's own bound, with what a busy machine adds.
const AT_MOST: Duration = Duration::from_secs(90);

fn sent(command: Command, arguments: &Value) -> Option<Value> {
    let sent = json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}});
    Some(if command == Command::Status { connected() } else { sent })
}

/// Whether ffmpeg is there; says so if it is not.
fn has_ffmpeg(test: &str) -> bool {
    let found = Process::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED {test}: it needs ffmpeg (Debian: ffmpeg)");
    }
    found
}

/// A sample that ffmpeg makes in one format.
fn sample(arguments: &str, format: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sample");
    let made = Process::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi"])
        .args(arguments.split(' '))
        .args(["-f", format])
        .arg(&file)
        .status();
    assert!(made.expect("ffmpeg").success(), "{arguments}");
    std::fs::read(&file).expect("the sample")
}

fn sound(codec: &str, format: &str) -> Vec<u8> {
    sample(&format!("-i sine=frequency=440:duration=2.5 -c:a {codec}"), format)
}

fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let picture = RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8, y as u8, 90, 255]));
    let picture = DynamicImage::from(picture);
    let picture = if format == ImageFormat::Jpeg { picture.to_rgb8().into() } else { picture };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("a picture");
    bytes.into_inner()
}

fn moving_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite).expect("a GIF");
    for shade in [0_u8, 120, 240] {
        let frame = RgbaImage::from_pixel(120, 60, Rgba([shade, 10, 200, 255]));
        encoder.encode_frame(Frame::new(frame)).expect("a frame");
    }
    drop(encoder);
    bytes
}

async fn send(api: &Api, kind: &str, bytes: &[u8]) -> (u16, Value) {
    let path = format!("/api/whatsapp/send-{kind}?to={BUDI}");
    let request = api.request(Method::POST, &path).header("X-API-Key", KEY).timeout(AT_MOST);
    answer(request.header("Content-Type", "application/octet-stream").body(bytes.to_vec())).await
}

/// The bytes of the file that the gateway was told to send.
async fn stored(nats: &Nats, command: &Value) -> Vec<u8> {
    let store = nats.jetstream().await.get_object_store(MEDIA_TO_SEND_BUCKET).await.expect("the store");
    let mut object = store.get(command["file"]["object"].as_str().expect("a name")).await.expect("the file");
    let mut bytes = Vec::new();
    object.read_to_end(&mut bytes).await.expect("its bytes");
    bytes
}

/// How many files wait in NATS.
async fn waiting(nats: &Nats) -> usize {
    let store = nats.jetstream().await.get_object_store(MEDIA_TO_SEND_BUCKET).await.expect("the store");
    store.list().await.expect("a list").count().await
}

fn base64(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(value.as_str().unwrap_or_else(|| panic!("no base64: {value}"))).expect("base64")
}

#[tokio::test]
async fn a_voice_note_is_made_of_any_sound() {
    if !has_ffmpeg("a_voice_note_is_made_of_any_sound") {
        return;
    }
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let film =
        "-i testsrc=duration=2.5:size=160x120:rate=10 -f lavfi -i sine=frequency=440:duration=2.5 -c:v mpeg4 -c:a aac";
    let sounds = [
        ("mp3", sound("libmp3lame", "mp3")),
        ("wav", sound("pcm_s16le", "wav")),
        ("flac", sound("flac", "flac")),
        ("m4a", sound("aac", "ipod")),
        ("aac", sound("aac", "adts")),
        ("vorbis", sound("libvorbis", "ogg")),
        ("webm", sound("libopus", "webm")),
        ("opus", sound("libopus", "ogg")),
        ("mp4 with a picture", sample(film, "mp4")),
    ];
    for (name, bytes) in &sounds {
        let (status, answer) = send(&api, "voice", bytes).await;
        assert_eq!(status, 200, "{name}: {answer}");
        let (_, command) = gateway.commands().pop().expect("a command");
        assert_eq!(
            (&command["kind"], &command["mimetype"]),
            (&json!("voice"), &json!("audio/ogg; codecs=opus")),
            "{name}"
        );
        assert_eq!(command["preview"]["seconds"], 3, "{name}: {command}");
        let waveform = base64(&command["preview"]["waveform"]);
        assert_eq!((waveform.len(), waveform.iter().max()), (64, Some(&100)), "{name}");
        let file = stored(&nats, &command).await;
        assert!(file.starts_with(b"OggS") && file.windows(8).any(|at| at == b"OpusHead"), "{name}");
        assert_eq!(command["file"]["size"], file.len(), "{name}");
    }
    // What was converted is not kept beside what was made of it.
    assert_eq!(waiting(&nats).await, sounds.len());
}

#[tokio::test]
async fn a_sticker_is_made_of_a_picture_and_moves_if_the_picture_does() {
    if !has_ffmpeg("a_sticker_is_made_of_a_picture_and_moves_if_the_picture_does") {
        return;
    }
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    for (name, bytes, moves) in [
        ("PNG", picture(ImageFormat::Png, 300, 100), false),
        ("JPEG", picture(ImageFormat::Jpeg, 1_000, 1_000), false),
        ("small GIF", picture(ImageFormat::Gif, 20, 40), false),
        ("moving GIF", moving_gif(), true),
    ] {
        let (status, answer) = send(&api, "sticker", &bytes).await;
        assert_eq!(status, 200, "{name}: {answer}");
        let (_, command) = gateway.commands().pop().expect("a command");
        assert_eq!(command["mimetype"], "image/webp", "{name}");
        let preview = &command["preview"];
        assert_eq!((&preview["width"], &preview["height"]), (&json!(512), &json!(512)), "{name}: {preview}");
        assert_eq!(preview["animated"].as_bool().unwrap_or_default(), moves, "{name}: {preview}");
        let file = stored(&nats, &command).await;
        assert!(file.starts_with(b"RIFF") && &file[8..12] == b"WEBP", "{name}");
        assert!(file.len() <= if moves { 500_000 } else { 100_000 }, "{name}: {}", file.len());
    }
}

#[tokio::test]
async fn pictures_and_films_have_a_size_and_a_thumbnail() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let mut files: Vec<_> = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP]
        .into_iter()
        .map(|format| ("image", picture(format, 400, 200), (400, 200), None))
        .collect();
    if has_ffmpeg("films have a size and a thumbnail") {
        let film = sample("-i testsrc=duration=2.5:size=320x160:rate=10 -c:v mpeg4 -pix_fmt yuv420p", "mp4");
        files.push(("video", film, (320, 160), Some(3)));
    }
    for (kind, bytes, (width, height), seconds) in files {
        let (status, answer) = send(&api, kind, &bytes).await;
        assert_eq!(status, 200, "{kind}: {answer}");
        let (_, command) = gateway.commands().pop().expect("a command");
        let preview = &command["preview"];
        assert_eq!((&preview["width"], &preview["height"]), (&json!(width), &json!(height)), "{kind}: {preview}");
        assert_eq!(preview["seconds"], json!(seconds), "{kind}");
        let thumbnail = base64(&preview["thumbnail"]);
        let small = image::load_from_memory_with_format(&thumbnail, ImageFormat::Jpeg).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (100, 50), "{kind}");
        assert_eq!(stored(&nats, &command).await, bytes, "the file itself is as it was");
    }
}

#[tokio::test]
async fn without_ffmpeg_the_answer_says_what_is_missing() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("PATH", "/nowhere")]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    for (kind, bytes) in [("voice", b"ID3\x03\0\0\0\0\0\0".to_vec()), ("sticker", picture(ImageFormat::Png, 8, 8))] {
        let (status, answer) = send(&api, kind, &bytes).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_mimetype")), "{answer}");
        assert!(answer["message"].as_str().is_some_and(|text| text.contains("ffmpeg")), "{answer}");
    }
    assert_eq!((gateway.asked(), waiting(&nats).await), (0, 0), "nothing was sent, and nothing stays");
    let (status, answer) = send(&api, "image", &picture(ImageFormat::Png, 8, 8)).await;
    assert_eq!(status, 200, "pictures need no ffmpeg: {answer}");
}

#[tokio::test]
async fn hostile_files_are_refused_in_time_and_reach_nothing() {
    if !has_ffmpeg("hostile_files_are_refused_in_time_and_reach_nothing") {
        return;
    }
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n");
    let concat = "ffconcat version 1.0\nfile /etc/passwd\n".to_owned();
    let with_head = |head: &[u8], rest: &[u8]| [head, rest].concat();
    let mut large = picture(ImageFormat::Png, 8, 8);
    large[16..24].copy_from_slice(&[0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff]);
    let noise: Vec<u8> = (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, kind, bytes) in [
        ("a playlist behind an ID3 tag", "voice", with_head(b"ID3\x03\0\0\0\0\0\0", playlist.as_bytes())),
        ("a playlist behind a GIF's head", "sticker", with_head(b"GIF89a", playlist.as_bytes())),
        ("a list of files", "voice", with_head(b"OggS\0\x02", concat.as_bytes())),
        ("an mp4 of nothing", "voice", with_head(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", &noise)),
        ("a wav of nothing", "voice", with_head(b"RIFF\xff\xff\xff\x7fWAVE", &noise)),
        ("a picture that claims to be huge", "sticker", large),
        ("a GIF of nothing", "sticker", with_head(b"GIF89a\xff\xff\xff\xff", &noise)),
        ("a JPEG of nothing", "sticker", with_head(b"\xff\xd8\xff\xe0", &noise)),
    ] {
        let begun = Instant::now();
        let (status, answer) = send(&api, kind, &bytes).await;
        assert_eq!(status, 400, "{name}: {answer}");
        assert!(begun.elapsed() < AT_MOST, "{name} took {:?}", begun.elapsed());
    }
    assert_eq!((gateway.asked(), waiting(&nats).await), (0, 0), "nothing was sent, and nothing stays");
    let nobody = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err(), "a file made ffmpeg connect");
    // The API does its work as before.
    assert_eq!(send(&api, "image", &picture(ImageFormat::Jpeg, 8, 8)).await.0, 200);
}

#[tokio::test]
async fn files_of_jobs_are_converted_too() {
    if !has_ffmpeg("files_of_jobs_are_converted_too") {
        return;
    }
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |command, job| {
        let record = || {
            json!({"id": job["id"], "name": null, "session": "default", "state": "scheduled", "total": 1, "sent": 0, "failed": 0,
                "createdAt": job["createdAt"], "updatedAt": job["createdAt"], "sendAt": null, "until": null, "reason": null,
                "failures": [], "fingerprint": ""})
        };
        Some(if command == Command::Status { connected() } else { json!({"ok": record()}) })
    })
    .await;
    let file = BASE64_STANDARD.encode(sound("pcm_s16le", "wav"));
    let message = json!({"command": "send-media", "kind": "voice", "to": BUDI, "base64": file});
    let (_, answer) = api.post("/api/whatsapp/jobs", &json!({"messages": [message]})).await;
    gateway.wait_for_commands(1).await;
    let (command, job) = gateway.commands().pop().expect("a command");
    assert_eq!(command, Command::SubmitJob, "{answer}");
    let arguments = &job["items"][0]["arguments"];
    assert_eq!(arguments["mimetype"], "audio/ogg; codecs=opus", "{answer}");
    assert_eq!((&arguments["preview"]["seconds"], waiting(&nats).await), (&json!(3), 1));
}
