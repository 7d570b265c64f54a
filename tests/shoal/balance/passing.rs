//! What nginx has to pass on as it is: sockets, events, addresses, refusals.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Response;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::Instance;
use super::nginx::Nginx;
use crate::support::{Backend, Database, free_port};

const NAME: &str = "{ __typename }";
const USER: &str = r#"subscription { userUpdated(id: "VXNlcjox") { name } }"#;
const PATIENCE: Duration = Duration::from_secs(30);

async fn two(database: &Arc<Database>, settings: &[(&str, &str)]) -> [Instance; 2] {
    [Instance::start(database, settings).await, Instance::start(database, settings).await]
}

fn client(last: u8) -> reqwest::Client {
    reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, last])).build().unwrap()
}

/// What comes of an answer up to this.
async fn until(response: &mut Response, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("something is to come");
        read.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    read
}

#[tokio::test]
async fn sockets_and_events_pass_at_once() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let instances = two(&database, &[]).await;
    for instance in &instances {
        instance.app().caches().await;
    }
    let nginx = Nginx::start("least-connections", &instances.each_ref().map(|instance| instance.port)).await;
    let mut request = nginx.url("/graphql").replace("http", "ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    // A page of the server's own: nginx has to pass on by which name it was asked.
    request.headers_mut().insert("origin", nginx.url("").parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let mut say = async |message: Value| socket.send(Message::text(message.to_string())).await.unwrap();
    say(json!({ "type": "connection_init" })).await;
    say(json!({ "type": "subscribe", "id": "1", "payload": { "query": USER } })).await;
    // It answers in turn: whoever has this is subscribed.
    say(json!({ "type": "ping" })).await;
    let mut heard = async |kind: &str| {
        loop {
            let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    };
    heard("pong").await;
    let streamed = |accept: &'static str| {
        let request = client(1).post(nginx.url("/graphql")).header("accept", accept);
        request.json(&json!({ "query": USER })).send()
    };
    let mut events = streamed("text/event-stream").await.unwrap();
    let mut parts = streamed("multipart/mixed;boundary=graphql;subscriptionSpec=1.0").await.unwrap();
    database.execute("update users set name = 'Through nginx' where id = 1").await;
    assert_eq!(heard("next").await["payload"]["data"]["userUpdated"]["name"], "Through nginx");
    // Nothing that comes later pushes them through.
    assert!(until(&mut events, "Through nginx").await.contains("event: next"));
    assert!(until(&mut parts, "Through nginx").await.contains("userUpdated"));
}

#[tokio::test]
async fn clients_keep_their_addresses_and_get_instances_by_the_rule() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    // A bucket of two requests, which fills up after hours.
    let settings = [
        ("SHOAL_HTTP__TRUSTED_PROXIES", r#"["127.0.0.1"]"#),
        ("SHOAL_RATE__PER_SECOND", "1"),
        ("SHOAL_RATE__BURST", "40000"),
        ("REDIS_URL", ""),
    ];
    let instances = two(&database, &settings).await;
    let ports = instances.each_ref().map(|instance| instance.port);
    let url = |nginx: &Nginx| nginx.url("/graphql");
    let ask = async |last: u8, url: &str, query: &str| {
        client(last).post(url).json(&json!({ "query": query })).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let addresses = [21, 22, 23, 24, 25, 26, 27, 28];

    let nginx = Nginx::start("client-hash", &ports).await;
    for last in addresses {
        for _ in 0..3 {
            assert_eq!(ask(last, &url(&nginx), NAME).await["data"]["__typename"], "Query");
        }
    }
    let by_client = nginx.by_client(3 * addresses.len()).await;
    assert_eq!(by_client.len(), addresses.len());
    for (client, instances) in &by_client {
        assert_eq!(instances.values().sum::<usize>(), 3, "{client}: {instances:?}");
        assert_eq!(instances.len(), 1, "{client} has one instance: {instances:?}");
    }
    // What one asks for is not what another pays.
    let dear = "{ posts(first: 100) { nodes { comments(first: 100) { nodes { author { name } } } } } }";
    let mut codes = Vec::new();
    for last in [21, 21, 22] {
        codes.push(ask(last, &url(&nginx), dear).await["errors"][0]["extensions"]["code"].clone());
    }
    assert_eq!(codes, [Value::Null, json!("RATE_LIMITED"), Value::Null]);
    drop(nginx);

    for variant in ["round-robin", "least-connections"] {
        let nginx = Nginx::start(variant, &ports).await;
        for _ in 0..8 {
            ask(30, &url(&nginx), NAME).await;
        }
        let instances = nginx.by_client(8).await["127.0.0.30"].clone();
        assert_eq!(instances.into_values().collect::<Vec<_>>(), [4, 4], "{variant}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_a_coded_error() {
    let nobody = [free_port(), free_port()];
    let nginx = Nginx::start("round-robin", &nobody).await;
    for request in [client(1).get(nginx.url("/graphql?query=x")), client(1).post(nginx.url("/graphql")).body("{}")] {
        let response = request.send().await.unwrap();
        let headers: HashMap<_, _> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        assert_eq!((response.status().as_u16(), headers["retry-after"].as_str()), (502, "1"));
        assert_eq!(
            (headers["content-type"].as_str(), headers["cache-control"].as_str()),
            ("application/json", "no-store")
        );
        let answer: Value = response.json().await.unwrap();
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["code"], &extensions["requestId"]),
            (&json!("UNAVAILABLE"), &json!(headers["x-request-id"]))
        );
    }
    let large = client(1).put(nginx.url("/uploads")).body(vec![b'x'; 21 << 20]).send().await.unwrap();
    assert_eq!(large.status(), 413);
    assert_eq!(large.json::<Value>().await.unwrap()["errors"][0]["extensions"]["code"], "PAYLOAD_TOO_LARGE");
    for path in ["/metrics", "/health"] {
        assert_eq!(client(1).get(nginx.url(path)).send().await.unwrap().status(), 404);
    }
}
