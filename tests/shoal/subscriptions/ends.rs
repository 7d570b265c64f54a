//! Subscriptions that end before their subscribers do: with a code, and never silently.

use std::sync::Arc;

use serde_json::json;
use sqlx::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, Socket, USER, named, rename};
use crate::on_both;
use crate::support::cluster::Cluster;
use crate::support::{Backend, Database, TestApp, eventually};

on_both!(there_are_only_so_many, whoever_listens_is_told_to_go);

#[tokio::test]
async fn when_the_feed_is_lost_all_end_and_may_begin_anew() {
    let cluster = Cluster::alone().await;
    let app = cluster.caching(&[]).await;
    let mut socket = Socket::open(&app).await;
    socket.subscribe("one", USER, json!({})).await;
    socket.subscribe("two", "subscription { postPublished { id } }", json!({})).await;
    socket.settle().await;
    let mut primary = cluster.stack.primary.connect("shoal").await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'shoal feed'";
    assert_eq!(sqlx::query_scalar::<_, bool>(cut).fetch_all(&mut primary).await.unwrap(), [true]);
    primary.close().await.unwrap();
    let mut ended = Vec::new();
    for _ in 0..2 {
        let message = socket.receive().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "UNAVAILABLE");
        ended.push(message["id"].as_str().unwrap().to_owned());
    }
    ended.sort_unstable();
    assert_eq!(ended, ["one", "two"]);
    assert_eq!(app.metric("shoal_subscriptions_cut_total", "reason=\"events_lost\"").await, 2.0);
    app.caches().await;
    socket.subscribe("one", USER, json!({})).await;
    socket.settle().await;
    cluster.database.execute("update users set name = 'anew' where id = 1").await;
    assert_eq!(socket.event("one").await, named("anew"));
}

#[tokio::test]
async fn a_table_that_is_not_told_of_ends_its_subscriptions_only() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&[]).await;
    let mut socket = Socket::open(&app).await;
    socket.subscribe("user", USER, json!({})).await;
    socket.subscribe("product", r#"subscription { productChanged(id: "UHJvZHVjdDox") { stock } }"#, json!({})).await;
    socket.settle().await;
    cluster.database.execute("alter table users replica identity default").await;
    assert_eq!(socket.error("user").await, "UNAVAILABLE");
    socket.subscribe("user", USER, json!({})).await;
    assert_eq!(socket.error("user").await, "UNAVAILABLE");
    cluster.database.execute("update products set stock = 7 where id = 1").await;
    assert_eq!(socket.event("product").await, json!({ "productChanged": { "stock": 7 } }));
}

/// Until what it does not take fills all that lies between.
#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_cut_off_and_others_go_on() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&[("SHOAL_SUBSCRIPTIONS__QUEUE", "4")]).await;
    let query = r#"subscription { productChanged(id: "UHJvZHVjdDox") { stock description } }"#;
    let mut slow = TcpStream::connect(app.at("").replace("http://", "")).await.unwrap();
    let body = json!({ "query": query }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n";
    slow.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut quick = Socket::open(&app).await;
    quick.subscribe("quick", query, json!({})).await;
    quick.settle().await;
    eventually("both to listen", async || app.metric("shoal_subscriptions", "").await == 2.0).await;
    let mut stock = 0;
    while app.metric("shoal_subscriptions_cut_total", "reason=\"too_slow\"").await == 0.0 {
        stock += 1;
        assert!(stock < 1000, "it takes everything");
        let sql = format!("update products set stock = {stock}, description = repeat('d', 500000) where id = 1");
        cluster.database.execute(&sql).await;
        assert_eq!(quick.event("quick").await["productChanged"]["stock"], stock);
    }
    // What it was sent is all there, up to the reason of the end.
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let end = b"event: complete";
    while !all.windows(end.len()).rev().take(100).any(|window| window == end) {
        let read = tokio::time::timeout(PATIENCE, slow.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0);
        all.extend_from_slice(&buffer[..read]);
    }
    let all = String::from_utf8_lossy(&all);
    assert!(all.contains("SUBSCRIBER_TOO_SLOW"), "{}", &all[all.len() - 1000..]);
    let heard = all.matches(r#""productChanged":{"stock":"#).count();
    assert!(heard > 0 && heard < stock, "{heard} of {stock}");
    cluster.database.execute("update products set stock = -0 + 9999, description = '' where id = 1").await;
    assert_eq!(quick.event("quick").await["productChanged"]["stock"], 9999);
}

async fn there_are_only_so_many(backend: Backend) {
    let settings = [("SHOAL_SUBSCRIPTIONS__MAX", "3"), ("SHOAL_SUBSCRIPTIONS__PER_CONNECTION", "2")];
    let app = TestApp::start(Arc::new(Database::demo(backend).await), &settings).await;
    app.caches().await;
    let (mut one, mut two) = (Socket::open(&app).await, Socket::open(&app).await);
    for id in ["1", "2"] {
        one.subscribe(id, USER, json!({})).await;
    }
    one.subscribe("3", USER, json!({})).await;
    assert_eq!(one.error("3").await, "TOO_MANY_OPERATIONS");
    two.subscribe("1", USER, json!({})).await;
    two.settle().await;
    two.subscribe("2", USER, json!({})).await;
    assert_eq!(two.error("2").await, "UNAVAILABLE");
    one.send(json!({ "id": "1", "type": "complete" })).await;
    one.settle().await;
    two.subscribe("2", USER, json!({})).await;
    two.send(json!({ "id": "1", "type": "complete" })).await;
    two.settle().await;
    rename(&app, "One of Three").await;
    assert_eq!((one.event("2").await, two.event("2").await), (named("One of Three"), named("One of Three")));
}

async fn whoever_listens_is_told_to_go(backend: Backend) {
    let mut app = TestApp::demo(backend).await;
    app.caches().await;
    let mut socket = Socket::open(&app).await;
    socket.subscribe("user", USER, json!({})).await;
    socket.settle().await;
    let url = app.at("/graphql");
    let client = reqwest::Client::new();
    let streamed =
        |accept: &'static str| client.post(&url).header("accept", accept).json(&json!({ "query": USER })).send();
    let events = streamed("text/event-stream").await.unwrap();
    let parts = streamed("multipart/mixed;boundary=graphql;subscriptionSpec=1.0").await.unwrap();
    let kill = std::process::Command::new("kill").args(["-TERM", &app.process().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(socket.closed().await.0, 1001);
    let (events, parts) = (events.text().await.unwrap(), parts.text().await.unwrap());
    assert!(events.contains("UNAVAILABLE") && events.ends_with("event: complete\ndata: \n\n"), "{events}");
    assert!(parts.contains(r#"{"payload":null,"errors":[{"#) && parts.contains("UNAVAILABLE"), "{parts}");
    assert!(parts.ends_with("\r\n--graphql--\r\n"), "{parts}");
    assert_eq!(app.wait(), Some(0));
}
