//! Connections that say nothing, too little, too slowly or too much.

use std::process::Command;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Answer, NAME, Raw};
use crate::support::{Backend, Database, TestApp, command, eventually};

/// A server that has little patience.
async fn impatient(settings: &[(&str, &str)]) -> TestApp {
    TestApp::start(Database::empty(Backend::Sqlite).await.into(), settings).await
}

fn request(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let app = impatient(&[("SHOAL_HTTP__HEADER_TIMEOUT_MS", "300")]).await;
    // Silent from the start; one that has sent half a head; the start of HTTP/2; one that goes on for ever.
    for start in ["", "POST /graphql HTTP/1.1\r\nhost: x\r\n", "PRI * HT"] {
        let mut raw = Raw::to(&app).await;
        raw.send(start).await;
        assert_eq!(raw.rest().await, "", "{start}");
    }
    let mut drip = Raw::to(&app).await;
    drip.send("GET /livez HTTP/1.1\r\n").await;
    while drip.0.write_all(b"x: y\r\n").await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // A second head on a connection that had a good first.
    let mut second = Raw::to(&app).await;
    second.send(&request(NAME)).await;
    second.until("\"Query\"").await;
    second.send("POST /gra").await;
    assert_eq!(second.rest().await, "");
    assert!(app.metric("shoal_http_connections_cut_total", "").await >= 4.0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = impatient(&[("SHOAL_HTTP__BODY_TIMEOUT_MS", "300")]).await;
    let whole = request(NAME);
    let mut silent = Raw::to(&app).await;
    silent.send(&whole[..whole.len() - 1]).await;
    let answer = silent.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("REQUEST_TIMEOUT"), "{answer}");
    // One that drips has no longer.
    let mut drip = Raw::to(&app).await;
    drip.send(&whole[..whole.len() - NAME.len()].replace("content-length: 26", "content-length: 100000")).await;
    while drip.0.write_all(b" ").await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // One that ends in the middle, and still listens.
    let mut half = Raw::to(&app).await;
    half.send(&whole[..whole.len() - 1]).await;
    half.0.shutdown().await.unwrap();
    let answer = half.rest().await;
    assert!(answer.is_empty() || answer.contains("BAD_REQUEST"), "{answer}");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let app = impatient(&[("SHOAL_HTTP__IDLE_TIMEOUT_MS", "300")]).await;
    let mut raw = Raw::to(&app).await;
    raw.send(&request(NAME)).await;
    raw.until("\"Query\"").await;
    assert_eq!(raw.rest().await, "");
    let ended = raw_2(&app).await;
    assert!(ended.contains("\"Query\""), "{ended}");
}

/// A client that sends all and closes its half before the answer is there.
async fn raw_2(app: &TestApp) -> String {
    let mut raw = Raw::to(app).await;
    raw.send(&request(NAME).replace("host: x", "host: x\r\nconnection: close")).await;
    raw.rest().await
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_not_kept() {
    let app = impatient(&[("SHOAL_HTTP__WRITE_TIMEOUT_MS", "300"), ("SHOAL_HTTP__MAX_BATCH", "200")]).await;
    let large = "{\"query\":\"{ __schema { types { name description fields { name description } } } }\"}";
    let batch = format!("[{}]", [large; 200].join(","));
    let mut raw = Raw::to(&app).await;
    raw.send(&request(&batch)).await;
    // It reads nothing until it was cut off.
    eventually("the connection to be cut", async || app.metric("shoal_http_connections_cut_total", "").await > 0.0)
        .await;
    assert!(!raw.rest().await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn heads_are_bounded() {
    let app = impatient(&[("SHOAL_HTTP__MAX_HEADER_BYTES", "16384")]).await;
    let padded =
        |size: usize| format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\nconnection: close\r\n\r\n", "y".repeat(size));
    let mut raw = Raw::to(&app).await;
    raw.send(&padded(8_000)).await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 200 "));
    for head in [padded(40_000), format!("GET /livez HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200))] {
        let mut raw = Raw::to(&app).await;
        let _ = raw.0.write_all(head.as_bytes()).await;
        assert!(raw.rest().await.starts_with("HTTP/1.1 431 "));
    }
    assert_eq!(app.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn connections_are_bounded() {
    let app = impatient(&[("SHOAL_HTTP__MAX_CONNECTIONS", "3")]).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::to(&app).await;
        raw.send(&request(NAME)).await;
        raw.until("\"Query\"").await;
        held.push(raw);
    }
    let refused = Raw::to(&app).await.rest().await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1"), "{refused}");
    held.clear();
    eventually("a place to be free", async || raw_2(&app).await.contains("\"Query\"")).await;
}

#[tokio::test]
async fn http_2_without_tls() {
    let app = impatient(&[("SHOAL_HTTP__HEADER_TIMEOUT_MS", "300")]).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let ask = || client.post(app.at("/graphql")).header("content-type", "application/json").body(NAME).send();
    let response = ask().await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    // Between requests it may be silent for longer than a head may take.
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(ask().await.unwrap().status(), 200);
    assert_eq!(app.metric("shoal_http_connections_cut_total", "").await, 0.0);
    let long = client.get(app.at("/livez")).header("x", "y".repeat(60_000)).send().await;
    assert!(long.is_err() || long.is_ok_and(|response| response.status() == 431));
}

#[tokio::test]
async fn tls_is_a_setting() {
    let directory = tempfile::tempdir().unwrap();
    let (key, certificate) = (directory.path().join("key.pem"), directory.path().join("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success());
    let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let database = Arc::new(Database::empty(Backend::Sqlite).await);

    let half = command(&database).args(["serve", "--listen", "127.0.0.1:0"]).env("SHOAL_HTTP__TLS__KEY", key).output();
    let said = String::from_utf8_lossy(&half.unwrap().stderr).into_owned();
    assert!(said.contains("both a certificate and a key"), "{said}");

    let settings = [("SHOAL_HTTP__TLS__KEY", key), ("SHOAL_HTTP__TLS__CERTIFICATE", certificate)];
    let app = TestApp::start(database, &settings).await;
    let address = app.at("").replace("https://", "");
    assert!(app.at("").starts_with("https://"));
    let port = address.rsplit(':').next().unwrap();
    for version in ["--http1.1", "--http2"] {
        let asked = Command::new("curl")
            .args(["-sS", version, "--cacert", certificate, "--resolve", &format!("localhost:{port}:127.0.0.1")])
            .args(["-w", " %{http_version}", "-H", "content-type: application/json", "-d", NAME])
            .arg(format!("https://localhost:{port}/graphql"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        assert!(said.starts_with("{\"data\":{\"__typename\":\"Query\"}}"), "{said} {asked:?}");
        assert!(said.ends_with(if version == "--http2" { " 2" } else { " 1.1" }), "{said}");
    }
    // Nor does who asks from within its container need to know more than its certificate.
    let probe = |certificate: &str| {
        let mut probe = command(&app.database);
        probe
            .arg("probe")
            .envs(settings)
            .env("SHOAL_LISTEN", &address)
            .env("SHOAL_HTTP__TLS__CERTIFICATE", certificate);
        probe.output().unwrap()
    };
    let probed = probe(certificate);
    assert!(probed.status.success() && probed.stdout == b"ok\n", "{probed:?}");
    let other = directory.path().join("other.pem");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-keyout", "/dev/null", "-out"])
        .arg(&other)
        .output();
    assert!(made.unwrap().status.success());
    assert!(!probe(other.to_str().unwrap()).status.success());
    // Whoever speaks no TLS is not answered.
    let mut plain = Raw(TcpStream::connect(&address).await.unwrap());
    plain.send(&request(NAME)).await;
    assert!(!plain.rest().await.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_answer_says_who_it_was() {
    let app = impatient(&[]).await;
    let answer = Answer::of(reqwest::Client::new().get(app.at("/graphql?query=%7B__typename%7D"))).await;
    assert_eq!(answer.header("x-request-id").len(), 16);
}
