//! A stop, step by step: left alone first, then drained, and nothing that was sent is lost.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{signal, terminate};
use crate::support::{Backend, Database, TestApp, eventually};

const NAME: &str = r#"{"query":"{ __typename }"}"#;

fn address(app: &TestApp) -> String {
    app.at("").replace("http://", "")
}

async fn with_delay(milliseconds: &str) -> TestApp {
    let database = Arc::new(Database::empty(Backend::Sqlite).await);
    TestApp::start(database, &[("SHOAL_HTTP__SHUTDOWN_DELAY_MS", milliseconds)]).await
}

#[tokio::test]
async fn it_is_left_alone_before_it_stops() {
    let mut app = with_delay("600000").await;
    let query = async || {
        let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
        request.body(NAME).send().await.unwrap()
    };
    assert_eq!(query().await.headers().get("connection"), None);
    terminate(&app);
    eventually("it to say so", async || app.get("/readyz").await.status() == 503).await;
    assert_eq!(app.get("/readyz").await.text().await.unwrap(), "stopping");
    assert_eq!(app.get("/livez").await.status(), 200);
    // It still serves, and keeps no connection on which the next request might be lost.
    let answer = query().await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (200, &"close".parse().unwrap()));
    // Whoever asks twice does not want to wait.
    terminate(&app);
    assert_eq!(app.wait(), Some(0));
    eventually("the end", async || app.log().contains("stopped")).await;
}

#[tokio::test]
async fn at_a_keyboard_nobody_waits() {
    let mut app = with_delay("600000").await;
    signal(&app, "INT");
    assert_eq!(app.wait(), Some(0));
}

/// Connections that the kernel has made, and nobody has read a byte of.
#[tokio::test]
async fn who_is_connected_is_answered() {
    let mut app = with_delay("0").await;
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(TcpStream::connect(address(&app)).await.unwrap());
    }
    terminate(&app);
    eventually("the stop", async || app.log().contains("stopping: ")).await;
    for connection in &mut connections {
        connection.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }
    for mut connection in connections {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(app.wait(), Some(0));
}

/// Under requests that never pause, each on a connection of its own, all that got one are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_with_the_listener() {
    let mut app = with_delay("0").await;
    let address = address(&app);
    let asking: Vec<_> = (0..32)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                // Until nobody listens there any more.
                while let Ok(mut connection) = TcpStream::connect(&address).await {
                    connection.write_all(b"GET /livez HTTP/1.0\r\nhost: x\r\n\r\n").await.unwrap();
                    let mut answer = String::new();
                    connection.read_to_string(&mut answer).await.unwrap();
                    assert!(answer.starts_with("HTTP/1.0 200 "), "after {answered}: {answer}");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    eventually("some requests", async || app.metric("shoal_http_requests_total", "/livez").await > 100.0).await;
    terminate(&app);
    for asking in asking {
        assert!(asking.await.unwrap() > 0);
    }
    assert_eq!(app.wait(), Some(0));
}

/// The type of each frame of HTTP/2 that comes until the connection ends. RFC 9113, 4.1.
async fn frames(connection: &mut TcpStream) -> Vec<u8> {
    let mut found = Vec::new();
    let mut head = [0; 9];
    while connection.read_exact(&mut head).await.is_ok() {
        found.push(head[3]);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        connection.read_exact(&mut vec![0; length as usize]).await.unwrap();
        // Whoever pings is to know that somebody is there.
        if head[3] == 6 && head[4] == 0 {
            connection.write_all(&[0, 0, 8, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        }
    }
    found
}

#[tokio::test]
async fn a_connection_of_http_2_is_told_to_go_away() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const HEADERS: [u8; 9] = [0, 0, 13, 1, 5, 0, 0, 0, 1];
    let mut app = with_delay("0").await;
    let mut connection = TcpStream::connect(address(&app)).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&SETTINGS).await.unwrap();
    // GET, http, /livez, without an authority.
    connection.write_all(&HEADERS).await.unwrap();
    connection.write_all(&[0x82, 0x86, 0x44, 6, b'/', b'l', b'i', b'v', b'e', b'z', 0x41, 1, b'x']).await.unwrap();
    eventually("its answer", async || app.metric("shoal_http_requests_total", "/livez").await == 1.0).await;
    terminate(&app);
    let frames = frames(&mut connection).await;
    assert!(frames.contains(&7), "no GOAWAY among {frames:?}");
    assert_eq!(app.wait(), Some(0));
}

#[tokio::test]
async fn a_reserved_stream_ends() {
    let mut app = TestApp::demo(Backend::Sqlite).await;
    let client = reqwest::Client::new();
    let token = client.put(app.at("/graphql/stream")).send().await.unwrap().text().await.unwrap();
    let stream = client.get(app.at("/graphql/stream")).header("x-graphql-event-stream-token", &token);
    let stream = stream.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    terminate(&app);
    assert_eq!(stream.text().await.unwrap(), ":\n\n");
    assert_eq!(app.wait(), Some(0));
}
