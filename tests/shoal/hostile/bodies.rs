//! Bodies that are no GraphQL request.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{refused, unharmed};
use crate::support::{Backend, TestApp};

const JSON: &str = "application/json";

#[tokio::test]
async fn a_body_that_is_no_request() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let deep = |open: &str, close: &str, levels: usize| {
        format!(
            "{{\"query\": \"{{__typename}}\", \"variables\": {{\"x\": {}1{}}}}}",
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    let bodies = [
        String::new(),
        " ".into(),
        "{".into(),
        "nonsense".into(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        "\"{__typename}\"".into(),
        "[{\"query\": \"{__typename}\"}, 7]".into(),
        "[{\"query\": \"{__typename}\"}".into(),
        "[[{\"query\": \"{__typename}\"}]]".into(),
        "{\"query\": null}".into(),
        "{\"query\": 1}".into(),
        "{\"query\": [\"{__typename}\"]}".into(),
        "{\"query\": \"{__typename}\"} trailing".into(),
        "{\"query\": \"{__typename}\", \"query\": \"{__typename}\"}".into(),
        "{\"query\": \"{__typename}\", \"variables\": []}".into(),
        "{\"query\": \"{__typename}\", \"variables\": \"{}\"}".into(),
        "{\"query\": \"{__typename}\", \"variables\": {\"x\": 1e400}}".into(),
        "{\"query\": \"{__typename}\", \"variables\": {\"x\": \"\\ud800\"}}".into(),
        "{\"query\": \"{__typename}\", \"variables\": {\"\\udfff\": 1}}".into(),
        "{\"query\": \"{__typename \\ud83d}\"}".into(),
        "{\"query\": \"{__typename}\", \"operationName\": 1}".into(),
        "{\"query\": \"{__typename}\", \"operationName\": \"\\udc00\"}".into(),
        "{\"query\": \"{__typename}\", \"extensions\": 1}".into(),
        "{\"query\": \"{__typename}\", \"extensions\": []}".into(),
        "{\"query\": \"{__typename}\n\"}".into(),
        "{\"query\": \"{__typename}\\\u{0}\"}".into(),
        "\u{feff}{\"query\": \"{__typename}\"}".into(),
        deep("[", "]", 1000),
        deep("[", "]", 100_000),
        deep("{\"x\":", "}", 1000),
        deep("{\"x\":", "}", 100_000),
    ];
    for body in bodies {
        let asked = body.get(..body.len().min(100)).unwrap_or_default().to_owned();
        let answer = app.send(JSON, body).await;
        assert_eq!(answer.status, 400, "{asked}: {}", answer.json);
        refused(&answer, &asked);
        unharmed(&app, &asked).await;
    }
    for bytes in
        [&b"{\"query\": \"\xff\"}"[..], b"\x00\x01\x02", b"{\"query\": \"{__typename}\"}\x00", b"\x1f\x8b\x08\x00"]
    {
        let answer = app.send(JSON, bytes).await;
        assert_eq!(answer.status, 400, "{bytes:?}");
        refused(&answer, &format!("{bytes:?}"));
    }
    // Nulls stand for what is left out; what nobody knows is left alone.
    let lenient =
        json!({ "query": "{ __typename }", "variables": null, "operationName": null, "extensions": null, "id": 7 });
    assert_eq!(app.ask(&lenient).await.json, json!({ "data": { "__typename": "Query" } }));
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let body = "{\"query\": \"{ __typename }\"}";
    for media_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/graphql", "", "json", "\"", "a/b"]
    {
        let answer = app.send(media_type, body).await;
        assert_eq!(answer.status, 415, "{media_type}");
        refused(&answer, media_type);
    }
    for media_type in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"utf-8\""] {
        assert_eq!(app.send(media_type, body).await.json, json!({ "data": { "__typename": "Query" } }), "{media_type}");
    }

    // The limit is 1 MiB.
    let padded = |size: usize| format!("{body}{}", " ".repeat(size - body.len()));
    assert_eq!(app.send(JSON, padded(1 << 20)).await.status, 200);
    for size in [(1 << 20) + 1, 5 << 20] {
        too_large(&app, &format!("content-length: {size}"), padded(size).into_bytes()).await;
    }
    // One that does not say how long it is, and goes on for ever.
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    too_large(&app, "transfer-encoding: chunked", chunk.repeat(100).into_bytes()).await;
}

/// Sends a body by hand: the server answers before it has come to its end, and hears no more of it.
async fn too_large(app: &TestApp, header: &str, body: Vec<u8>) {
    let host = app.at("").replace("http://", "");
    let (mut answers, mut asks) = TcpStream::connect(&host).await.unwrap().into_split();
    let head = format!("POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-type: {JSON}\r\n{header}\r\n\r\n");
    let sending = tokio::spawn(async move {
        // The server may close the connection meanwhile.
        let _ = asks.write_all(&[head.into_bytes(), body].concat()).await;
        asks
    });
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with("]}") {
        let read = answers.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "{header}: {answer}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    sending.abort();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("PAYLOAD_TOO_LARGE"), "{header}: {answer}");
    unharmed(app, header).await;
}

#[tokio::test]
async fn a_request_that_is_no_post() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let client = reqwest::Client::new();
    for (method, path, status) in [
        ("GET", "/graphql", 400),
        ("PUT", "/graphql", 405),
        ("DELETE", "/graphql", 405),
        ("OPTIONS", "/graphql", 204),
        ("NONSENSE", "/graphql", 405),
        ("POST", "/", 405),
        ("POST", "/livez", 405),
        ("GET", "/graphql/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/assets/nothing.js", 404),
        ("GET", "/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/%00", 404),
        ("GET", "/%ff", 400),
    ] {
        let response = client.request(method.parse().unwrap(), app.at(path)).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert!(response.headers().contains_key("x-request-id"), "{method} {path}");
        let body = response.text().await.unwrap();
        assert!(body.len() < 200 && !body.contains("root:"), "{method} {path}: {body}");
    }
    unharmed(&app, "other methods").await;
}
