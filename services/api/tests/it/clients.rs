//! Files as programs upload them: forms as clients write them, and files that come in other ways.

use crate::{
    api::{Api, KEY, answer},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};

pub const PATH: &str = "/api/whatsapp/send-document";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";

pub fn replies(command: Command, arguments: &Value) -> Option<Value> {
    let sent = json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}});
    Some(if command == Command::Status { connected() } else { sent })
}

/// The body of a client's form with CRLF, and its boundary.
struct ClientForm {
    client: &'static str,
    boundary: &'static str,
    body: &'static str,
    file_name: &'static str,
    mimetype: &'static str,
}

const FORMS: &[ClientForm] = &[
    ClientForm {
        client: "curl 8 -F to=… -F media=@report.pdf",
        boundary: "------------------------TZ1kPQJkG2zYwNqYxF3mUe",
        body: "--------------------------TZ1kPQJkG2zYwNqYxF3mUe\nContent-Disposition: form-data; name=\"to\"\n\n6281234567890\n\
            --------------------------TZ1kPQJkG2zYwNqYxF3mUe\nContent-Disposition: form-data; name=\"media\"; \
            filename=\"report.pdf\"\nContent-Type: application/pdf\n\n%PDF-1.4\n\
            --------------------------TZ1kPQJkG2zYwNqYxF3mUe--\n",
        file_name: "report.pdf",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "curl 8 -F to=… -F 'media=<report.pdf'",
        boundary: "------------------------d74496d66958873e",
        body: "--------------------------d74496d66958873e\nContent-Disposition: form-data; name=\"to\"\n\n6281234567890\n\
            --------------------------d74496d66958873e\nContent-Disposition: form-data; name=\"media\"\n\n%PDF-1.4\n\
            --------------------------d74496d66958873e--\n",
        file_name: "",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "Python requests 2, files={\"media\": (\"résumé.pdf\", f)}",
        boundary: "3c2f7a0d5d0f4b1f9d8f6b0f6e0c1a2b",
        body: "--3c2f7a0d5d0f4b1f9d8f6b0f6e0c1a2b\nContent-Disposition: form-data; name=\"to\"\n\n6281234567890\n\
            --3c2f7a0d5d0f4b1f9d8f6b0f6e0c1a2b\nContent-Disposition: form-data; name=\"media\"; filename=\"résumé.pdf\"\n\n\
            %PDF-1.4\n--3c2f7a0d5d0f4b1f9d8f6b0f6e0c1a2b--\n",
        file_name: "résumé.pdf",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "Python requests with urllib3 1, which writes RFC 5987",
        boundary: "b1",
        body: "--b1\nContent-Disposition: form-data; name=\"to\"\n\n6281234567890\n--b1\nContent-Disposition: form-data; \
            name=\"media\"; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\n\n%PDF-1.4\n--b1--\n",
        file_name: "résumé.pdf",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "aiohttp 3",
        boundary: "f0f7d3a6e3f14f5e9d1a1a3d2f5b7c9e",
        body: "--f0f7d3a6e3f14f5e9d1a1a3d2f5b7c9e\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: form-data; \
            name=\"to\"\n\n6281234567890\n--f0f7d3a6e3f14f5e9d1a1a3d2f5b7c9e\nContent-Type: application/pdf\n\
            Content-Disposition: form-data; name=\"media\"; filename=\"r%C3%A9sum%C3%A9.pdf\"; \
            filename*=utf-8''r%C3%A9sum%C3%A9.pdf\n\n%PDF-1.4\n--f0f7d3a6e3f14f5e9d1a1a3d2f5b7c9e--\n",
        file_name: "résumé.pdf",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "axios with form-data and a Buffer without a name",
        boundary: "--------------------------104545932463548729014332",
        body: "----------------------------104545932463548729014332\nContent-Disposition: form-data; name=\"to\"\n\n\
            6281234567890\n----------------------------104545932463548729014332\nContent-Disposition: form-data; \
            name=\"media\"\nContent-Type: application/octet-stream\n\n%PDF-1.4\n\
            ----------------------------104545932463548729014332--\n",
        file_name: "",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "Go's mime/multipart with CreateFormFile",
        boundary: "8d7ef6a4c0f3a1b9d2b5c1e0f4a7d6b8c9e0f1a2b3c4d5e6f7a8b9c0d1e2",
        body: "--8d7ef6a4c0f3a1b9d2b5c1e0f4a7d6b8c9e0f1a2b3c4d5e6f7a8b9c0d1e2\nContent-Disposition: form-data; name=\"to\"\n\n\
            6281234567890\n--8d7ef6a4c0f3a1b9d2b5c1e0f4a7d6b8c9e0f1a2b3c4d5e6f7a8b9c0d1e2\nContent-Disposition: form-data; \
            name=\"media\"; filename=\"report.pdf\"\nContent-Type: application/octet-stream\n\n%PDF-1.4\n\
            --8d7ef6a4c0f3a1b9d2b5c1e0f4a7d6b8c9e0f1a2b3c4d5e6f7a8b9c0d1e2--\n",
        file_name: "report.pdf",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: ".NET MultipartFormDataContent",
        boundary: "\"5f9b1c2e-7a3d-4e5f-8a6b-9c0d1e2f3a4b\"",
        body: "--5f9b1c2e-7a3d-4e5f-8a6b-9c0d1e2f3a4b\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: form-data; \
            name=to\n\n6281234567890\n--5f9b1c2e-7a3d-4e5f-8a6b-9c0d1e2f3a4b\nContent-Disposition: form-data; name=media; \
            filename=\"=?utf-8?B?csOpc3Vtw6kucGRm?=\"; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\n\n%PDF-1.4\n\
            --5f9b1c2e-7a3d-4e5f-8a6b-9c0d1e2f3a4b--\n",
        file_name: "résumé.pdf",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "PHP's curl with CURLFile",
        boundary: "------------------------7f1c0e9d8b7a6f5e",
        body: "--------------------------7f1c0e9d8b7a6f5e\nContent-Disposition: form-data; name=\"to\"\n\n6281234567890\n\
            --------------------------7f1c0e9d8b7a6f5e\nContent-Disposition: form-data; name=\"media\"; \
            filename=\"/tmp/phpA1b2C3\"\nContent-Type: application/pdf\n\n%PDF-1.4\n\
            --------------------------7f1c0e9d8b7a6f5e--\n",
        file_name: "phpA1b2C3",
        mimetype: "application/pdf",
    },
    ClientForm {
        client: "n8n's HTTP Request node with n8n's own name of a file",
        boundary: "--------------------------315684728194350472859104",
        body: "----------------------------315684728194350472859104\nContent-Disposition: form-data; name=\"to\"\n\n\
            6281234567890\n----------------------------315684728194350472859104\nContent-Disposition: form-data; \
            name=\"data\"; filename=\"report.pdf\"\nContent-Type: application/pdf\n\n%PDF-1.4\n\
            ----------------------------315684728194350472859104--\n",
        file_name: "report.pdf",
        mimetype: "application/pdf",
    },
];

#[tokio::test]
async fn forms_as_clients_and_their_old_versions_write_them_are_read() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    for ClientForm { client, boundary, body, file_name, mimetype } in FORMS {
        let request = api.request(Method::POST, PATH).header("X-API-Key", KEY);
        let request = request.header("Content-Type", format!("multipart/form-data; boundary={boundary}"));
        let (status, answer) = answer(request.body(body.replace('\n', "\r\n"))).await;
        assert_eq!(status, 200, "{client}: {answer}");
        let (_, said) = gateway.commands().pop().expect("a command");
        let name = said["fileName"].as_str().unwrap_or_default();
        assert_eq!((said["to"].as_str(), name), (Some(BUDI_JID), *file_name), "{client}");
        assert_eq!((&said["mimetype"], &said["file"]["size"]), (&json!(mimetype), &json!(8)), "{client}");
    }
}

#[tokio::test]
async fn a_file_may_be_the_body_itself() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    for (path, content_type, disposition, name) in [
        ("/api/whatsapp/send-document?to=6281234567890&caption=a+b&fileName=a.pdf", "application/pdf", "", "a.pdf"),
        (
            "/api/whatsapp/send-document?to=6281234567890&caption=a+b",
            "application/pdf",
            "attachment; filename=\"b.pdf\"",
            "b.pdf",
        ),
        (
            "/api/whatsapp/send-media?to=6281234567890&mediaType=document&caption=a+b&fileName=a.pdf",
            "application/pdf",
            "",
            "a.pdf",
        ),
    ] {
        let request = api.request(Method::POST, path).header("X-API-Key", KEY).header("Content-Type", content_type);
        let request = if disposition.is_empty() { request } else { request.header("Content-Disposition", disposition) };
        let (status, answer) = answer(request.body("%PDF-1.4")).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let (_, said) = gateway.commands().pop().expect("a command");
        let seen = [&said["to"], &said["caption"], &said["fileName"], &said["mimetype"]];
        assert_eq!(seen, [&json!(BUDI_JID), &json!("a b"), &json!(name), &json!("application/pdf")], "{path}");
        assert_eq!(said["file"]["size"], 8);
    }
    let request = api.request(Method::POST, "/api/whatsapp/send-image").header("X-API-Key", KEY);
    let (status, refused) = answer(request.header("Content-Type", "image/png").body("x")).await;
    assert_eq!((status, &refused["code"]), (400, &json!("missing_recipient")));
}

#[tokio::test]
async fn a_file_may_be_a_data_uri_or_base64_of_any_kind() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let uri = "data:application/pdf;base64,JVBERi0xLjQ=";
    for (field, text) in [
        ("base64", "JVBERi0xLjQ="),
        ("base64", "JVBERi0xLjQ"),
        ("base64", "JVBE\r\nRi0x\r\nLjQ=\r\n"),
        ("base64", uri),
        ("file", uri),
        ("media", uri),
        ("data", uri),
    ] {
        let (status, answer) = api.post(PATH, &json!({"to": BUDI_JID, field: text})).await;
        assert_eq!(status, 200, "{field} {text}: {answer}");
        let (_, said) = gateway.commands().pop().expect("a command");
        assert_eq!(
            (&said["mimetype"], &said["file"]["size"]),
            (&json!("application/pdf"), &json!(8)),
            "{field} {text}"
        );
    }
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n6281234567890\r\n--b\r\n\
        Content-Disposition: form-data; name=\"media\"\r\n\r\n{uri}\r\n--b--\r\n"
    );
    let request = api.request(Method::POST, PATH).header("X-API-Key", KEY);
    let (status, sent) = answer(request.header("Content-Type", "multipart/form-data; boundary=b").body(form)).await;
    assert_eq!(status, 200, "{sent}");
    let (_, said) = gateway.commands().pop().expect("a command");
    assert_eq!((&said["mimetype"], &said["file"]["size"]), (&json!("application/pdf"), &json!(8)));
    // Larger than a body in JSON was once.
    let (status, sent) = api.post(PATH, &json!({"to": BUDI_JID, "base64": "JVBE".repeat(3 << 20)})).await;
    assert_eq!(status, 200, "{sent}");
}

/// A server that answers each path as it is told, once a request.
async fn file_server() -> (String, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let own = address.clone();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            let answer = match path {
                "/a.pdf" => {
                    "HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 8\r\n\r\n%PDF-1.4".to_owned()
                }
                "/named" => "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A9.pdf\r\n\
                    Content-Length: 8\r\n\r\n%PDF-1.4"
                    .to_owned(),
                "/once" => redirect(&format!("http://{own}/a.pdf")),
                "/forever" => redirect("/forever"),
                "/inside" => redirect("http://169.254.169.254/latest"),
                "/elsewhere" => redirect("file:///etc/passwd"),
                "/large" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(200_000)),
                "/short" => "HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n%PDF-1.4".to_owned(),
                _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_file_may_be_fetched_from_a_url_and_from_no_other_place() {
    let nats = Nats::start().await;
    let settings = [("MEDIA_ALLOWED_NETWORKS", "127.0.0.0/8"), ("MEDIA_UPLOAD_MAX", "100kB")];
    let api = Api::start(&nats, &settings).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let (address, server) = file_server().await;
    for (path, more, name) in [
        ("/a.pdf", json!({}), "a.pdf"),
        ("/named", json!({}), "é.pdf"),
        ("/once", json!({}), "a.pdf"),
        ("/a.pdf", json!({"fileName": "bill.pdf"}), "bill.pdf"),
    ] {
        let mut body = json!({"to": BUDI_JID, "url": format!("http://{address}{path}")});
        for (field, value) in more.as_object().expect("an object") {
            body[field] = value.clone();
        }
        let (status, answer) = api.post(PATH, &body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let (_, said) = gateway.commands().pop().expect("a command");
        let seen = (&said["fileName"], &said["mimetype"], &said["file"]["size"]);
        assert_eq!(seen, (&json!(name), &json!("application/pdf"), &json!(8)), "{path}");
    }
    let before = gateway.commands().len();
    for (url, status, code) in [
        (format!("http://{address}/missing"), 400, "file_unreachable"),
        (format!("http://{address}/forever"), 400, "file_unreachable"),
        (format!("http://{address}/short"), 400, "file_unreachable"),
        (format!("http://{address}/inside"), 400, "invalid_file"),
        (format!("http://{address}/elsewhere"), 400, "invalid_file"),
        (format!("http://{address}/large"), 413, "file_too_large"),
        ("http://10.1.2.3/a.pdf".to_owned(), 400, "invalid_file"),
        ("http://[::1]/a.pdf".to_owned(), 400, "invalid_file"),
        ("http://localhost.invalid/a.pdf".to_owned(), 400, "file_unreachable"),
        ("ftp://example.org/a.pdf".to_owned(), 400, "invalid_file"),
        ("a.pdf".to_owned(), 400, "invalid_file"),
    ] {
        let (seen, answer) = api.post(PATH, &json!({"to": BUDI_JID, "url": url})).await;
        assert_eq!((seen, &answer["code"]), (status, &json!(code)), "{url}: {answer}");
    }
    assert_eq!(gateway.commands().len(), before);
    // Without the setting this machine itself is out of reach.
    let closed = Api::start(&nats, &[]).await;
    let (status, answer) = closed.post(PATH, &json!({"to": BUDI_JID, "url": format!("http://{address}/a.pdf")})).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_file")), "{answer}");
    server.abort();
}
