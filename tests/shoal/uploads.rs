//! Files that are sent by PUT: what is taken, and how the rest is refused.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shoal::data::Databases;
use shoal::data::write::{CountChanges, Refused, Writes};
use shoal::domain::import::upload::{ImportProducts, PurgeUploads, StoreUpload};
use shoal::domain::refusal::Refusal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::model::global;
use crate::support::{Backend, Database, TestApp};

crate::on_both!(a_file_is_kept_as_it_is, files_belong_to_whoever_sent_them, what_stays_keeps_nothing_else);

pub const HEADER: &str = "sku,name,price_cents,currency\n";
const GOOD: &str = "sku,name,price_cents,currency\nA,Vase,250,EUR\n";

struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        Self { status, headers, json: serde_json::from_slice(&body).unwrap_or_default() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status, code and message of a refusal.
    fn refusal(&self) -> (u16, String, String) {
        let error = &self.json["errors"][0];
        assert_eq!(error["extensions"]["requestId"], self.header("x-request-id"), "{}", self.json);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (self.status, text(&error["extensions"]["code"]), text(&error["message"]))
    }
}

fn put(app: &TestApp) -> reqwest::RequestBuilder {
    reqwest::Client::new().put(app.at("/uploads"))
}

/// Sends a file that is taken; its id.
pub async fn sent(app: &TestApp, content: impl Into<reqwest::Body>) -> String {
    let answer = Answer::of(put(app).header("content-type", "text/csv").body(content)).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    answer.json["id"].as_str().unwrap().to_owned()
}

/// Sends bytes as they are; what comes until the server closes the connection.
async fn raw(app: &TestApp, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(app.at("").replace("http://", "")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn a_file_is_kept_as_it_is(backend: Backend) {
    let app = TestApp::empty(backend).await;
    let answer = Answer::of(put(&app).header("content-type", "Text/CSV; charset=utf-8").body(GOOD)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, "private, no-store"), "{}", answer.json);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!((&answer.json["id"], &answer.json["size"]), (&json!(global("Upload", 1)), &json!(GOOD.len())));
    let sha256: String = Sha256::digest(GOOD).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer.json["sha256"], sha256);
    let row = "select owner || ' ' || content_type || ' ' || rows || ' ' || sha256 from uploads";
    let expected = format!("anybody text/csv 1 {}", answer.json["sha256"].as_str().unwrap());
    assert_eq!(app.database.text(row).await, Some(expected));
    // It may come compressed, and is kept as it is meant.
    let packed = zstd::encode_all(GOOD.as_bytes(), 3).unwrap();
    let answer_packed =
        Answer::of(put(&app).header("content-type", "text/csv").header("content-encoding", "zstd").body(packed)).await;
    assert_eq!((answer_packed.status, &answer_packed.json["sha256"]), (201, &answer.json["sha256"]));
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused() {
    let small = ("SHOAL_HTTP__MAX_UPLOAD_BYTES", "100");
    let app = TestApp::start(Database::empty(Backend::Sqlite).await.into(), &[small]).await;
    for (content, said) in [
        (&b""[..], "the file, line 1: the file is empty"),
        (HEADER.as_bytes(), "the file has no rows"),
        (b"sku,name,currency\nA,B,EUR\n", "cannot do without the column price_cents"),
        (b"sku,name,price_cents,currency,color\n", "has no column \"color\""),
        (b"id,sku,name,price_cents,currency\n", "the column id is not for files to fill"),
        (b"sku,name,price_cents,currency\nA,\xff,1,EUR\n", "the file, line 2: the text is not UTF-8"),
        (b"sku,name,price_cents,currency\nA,\"B,1,EUR\n", "a quote is opened and never closed"),
        (b"sku,name,price_cents,currency\nA,\0,1,EUR\n", "there is a NUL byte"),
    ] {
        let (status, code, message) =
            Answer::of(put(&app).header("content-type", "text/csv").body(content)).await.refusal();
        assert_eq!((status, code.as_str()), (400, "BAD_USER_INPUT"), "{message}");
        assert!(message.contains(said), "{said}: {message}");
    }
    let refused = async |request: reqwest::RequestBuilder| {
        let (status, code, _) = Answer::of(request).await.refusal();
        format!("{status} {code}")
    };
    let csv = || put(&app).header("content-type", "text/csv");
    assert_eq!(refused(put(&app).body(GOOD)).await, "415 UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(
        refused(put(&app).header("content-type", "application/json").body(GOOD)).await,
        "415 UNSUPPORTED_MEDIA_TYPE"
    );
    let latin = put(&app).header("content-type", "text/csv; charset=iso-8859-1");
    assert_eq!(refused(latin.body(GOOD)).await, "415 UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(refused(csv().header("content-encoding", "lzma").body(GOOD)).await, "415 UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(refused(csv().header("accept", "text/html").body(GOOD)).await, "406 NOT_ACCEPTABLE");
    assert_eq!(refused(csv().header("sec-fetch-site", "cross-site").body(GOOD)).await, "403 FORBIDDEN");
    // By what it says, by what comes, and by what that is unpacked.
    let large = || format!("{GOOD}{}", "B,Vase,1,EUR\n".repeat(10));
    assert_eq!(refused(csv().body(large())).await, "413 PAYLOAD_TOO_LARGE");
    let head = "PUT /uploads HTTP/1.1\r\nhost: a\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = raw(&app, &format!("{head}{:x}\r\n{}\r\n", large().len(), large())).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
    let packed = zstd::encode_all(large().as_bytes(), 3).unwrap();
    assert!(packed.len() < 100);
    assert_eq!(refused(csv().header("content-encoding", "zstd").body(packed)).await, "413 PAYLOAD_TOO_LARGE");
    assert_eq!(app.database.text("select cast(count(*) as text) from uploads").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn methods_and_origins() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let client = reqwest::Client::new();
    for method in ["GET", "POST", "DELETE", "PATCH"] {
        let answer = Answer::of(client.request(method.parse().unwrap(), app.at("/uploads"))).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "PUT, OPTIONS"), "{method}");
        assert_eq!(answer.refusal().1, "METHOD_NOT_ALLOWED", "{method}");
    }
    let preflight = async |app: &TestApp| {
        let request =
            client.request(reqwest::Method::OPTIONS, app.at("/uploads")).header("origin", "https://shop.example");
        let request = request.header("access-control-request-method", "PUT");
        Answer::of(request.header("access-control-request-headers", "content-type")).await
    };
    let answer = preflight(&app).await;
    assert_eq!(
        (answer.status, answer.header("allow"), answer.header("access-control-allow-origin")),
        (204, "PUT, OPTIONS", "")
    );
    let listed = ("SHOAL_HTTP__CORS_ORIGINS", "[\"https://shop.example\"]");
    let app = TestApp::start(Database::empty(Backend::Sqlite).await.into(), &[listed]).await;
    let answer = preflight(&app).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(answer.header("allow"), "PUT, OPTIONS");
    assert!(answer.header("access-control-allow-methods").contains("PUT"));
    let cross = put(&app).header("origin", "https://shop.example").header("sec-fetch-site", "cross-site");
    assert_eq!(Answer::of(cross.header("content-type", "text/csv").body(GOOD)).await.status, 201);
}

#[tokio::test]
async fn a_file_that_drips_is_not_waited_for() {
    let soon = ("SHOAL_HTTP__BODY_TIMEOUT_MS", "300");
    let app = TestApp::start(Database::empty(Backend::Sqlite).await.into(), &[soon]).await;
    let head = "PUT /uploads HTTP/1.1\r\nhost: a\r\ncontent-type: text/csv\r\ncontent-length: 1000\r\n\r\nsku,";
    let answer = raw(&app, head).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("REQUEST_TIMEOUT"), "{answer}");
}

/// However many files are older and still needed.
async fn what_stays_keeps_nothing_else(backend: Backend) {
    let database = Database::empty(backend).await;
    let databases = Databases::open(&database.settings()).await.unwrap();
    let writes = Writes::new(databases.clone(), std::sync::Arc::new(CountChanges));
    let ledger = std::sync::Arc::default();
    for _ in 0..6 {
        let upload = StoreUpload::of_products("user:1".to_owned(), GOOD.into()).await.unwrap();
        writes.run(upload, None, &ledger).await.unwrap();
    }
    for upload in [1, 2, 3] {
        writes.run(ImportProducts { upload, owner: None }, None, &ledger).await.unwrap();
    }
    database.execute("update uploads set created_at = '2020-01-01T00:00:00+00:00' where id < 6").await;
    let mut purged = Vec::new();
    for _ in 0..3 {
        purged.push(writes.run(PurgeUploads { older_than_ms: 1000, limit: 1 }, None, &ledger).await.unwrap().output);
    }
    assert_eq!(purged, [1, 1, 0]);
    let left = "select cast(count(*) || ' ' || max(id) as text) from uploads";
    assert_eq!(database.text(left).await.as_deref(), Some("4 6"));
    databases.close().await;
}

/// Nobody is told of what belongs to others.
async fn files_belong_to_whoever_sent_them(backend: Backend) {
    let database = Database::empty(backend).await;
    let databases = Databases::open(&database.settings()).await.unwrap();
    let writes = Writes::new(databases.clone(), std::sync::Arc::new(CountChanges));
    let ledger = std::sync::Arc::default();
    let upload = StoreUpload::of_products("user:1".to_owned(), GOOD.into()).await.unwrap();
    let upload = writes.run(upload, None, &ledger).await.unwrap().output.id;
    let import = async |owner: Option<&str>, upload: i64| {
        let work = ImportProducts { upload, owner: owner.map(str::to_owned) };
        writes.run(work, None, &ledger).await.map(|done| done.output)
    };
    let missing = |answer| matches!(answer, Err(Refused::Rule(Refusal::Missing("Upload"))));
    assert!(missing(import(Some("user:2"), upload).await));
    assert!(missing(import(None, upload + 1).await));
    assert!(import(Some("user:1"), upload).await.is_ok());
    // It waits: it is not done twice, whoever asks.
    assert!(matches!(import(None, upload).await, Err(Refused::Rule(Refusal::Problems { .. }))));
    databases.close().await;
}
