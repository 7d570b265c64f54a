//! The protocol `graphql-transport-ws`, to the letter.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::{Socket, USER, named, rename};
use crate::on_both;
use crate::support::{Backend, Database, TestApp};

on_both!(
    what_breaks_the_protocol_closes_with_its_code,
    operations_of_all_kinds_go_over_a_socket,
    an_operation_that_was_ended_is_heard_of_no_more,
    a_socket_shows_what_its_client_has_done,
);

async fn what_breaks_the_protocol_closes_with_its_code(backend: Backend) {
    let settings =
        [("SHOAL_SUBSCRIPTIONS__MAX_MESSAGE_BYTES", "2000"), ("SHOAL_SUBSCRIPTIONS__INIT_TIMEOUT_MS", "200")];
    let app = TestApp::start(Arc::new(Database::demo(backend).await), &settings).await;
    app.caches().await;
    let mut silent = Socket::connect(&app, &[]).await;
    assert_eq!(silent.closed().await, (4408, "Connection initialisation timeout".to_owned()));
    let mut early = Socket::connect(&app, &[]).await;
    early.subscribe("1", USER, json!({})).await;
    assert_eq!(early.closed().await, (4401, "Unauthorized".to_owned()));
    let mut twice = Socket::open(&app).await;
    twice.send(json!({ "type": "connection_init" })).await;
    assert_eq!(twice.closed().await, (4429, "Too many initialisation requests".to_owned()));
    let mut double = Socket::open(&app).await;
    double.subscribe("a name", USER, json!({})).await;
    double.subscribe("a name", USER, json!({})).await;
    assert_eq!(double.closed().await, (4409, "Subscriber for a name already exists".to_owned()));
    for message in [
        Message::text("nonsense"),
        Message::text(r#"{"type":"unknown"}"#),
        Message::text(r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#),
        Message::binary(r#"{"type":"ping"}"#),
        Message::text(json!({ "type": "ping", "payload": { "much": "a".repeat(2000) } }).to_string()),
    ] {
        let mut bad = Socket::open(&app).await;
        bad.say(message.clone()).await;
        assert_eq!(bad.closed().await.0, 4400, "{message}");
    }
}

#[tokio::test]
async fn only_pages_that_may_ask_open_a_socket_of_the_right_protocol() {
    let app = TestApp::demo(Backend::Sqlite).await;
    let own = app.at("");
    assert!(Socket::try_connect(&app, &[("origin", &own)]).await.is_ok());
    assert_eq!(Socket::try_connect(&app, &[("origin", "https://evil.example")]).await.err(), Some(403));
    for other in ["graphql-ws", "nonsense"] {
        assert_eq!(Socket::try_connect(&app, &[("sec-websocket-protocol", other)]).await.err(), Some(400), "{other}");
    }
    let both = [("sec-websocket-protocol", "graphql-ws, graphql-transport-ws")];
    Socket::connect(&app, &both).await.introduce(json!({})).await;
}

#[tokio::test]
async fn who_is_not_there_any_more_is_not_kept() {
    let app = TestApp::start(
        Arc::new(Database::demo(Backend::Sqlite).await),
        &[("SHOAL_SUBSCRIPTIONS__HEARTBEAT_MS", "50"), ("SHOAL_SUBSCRIPTIONS__MAX_CONNECTIONS", "1")],
    )
    .await;
    let mut there = Socket::open(&app).await;
    assert_eq!(Socket::try_connect(&app, &[]).await.err(), Some(503));
    // It answers pings as long as it reads.
    for _ in 0..10 {
        there.settle().await;
    }
    // This one does not read.
    crate::support::eventually("it to be cut off", async || app.metric("shoal_sockets", "").await == 0.0).await;
    Socket::open(&app).await.settle().await;
}

async fn operations_of_all_kinds_go_over_a_socket(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let mut socket = Socket::open(&app).await;
    socket.subscribe("query", "{ user(id: \"VXNlcjox\") { id } }", json!({})).await;
    assert_eq!(socket.event("query").await, json!({ "user": { "id": "VXNlcjox" } }));
    assert_eq!(socket.receive().await, json!({ "id": "query", "type": "complete" }));
    // The id is free again.
    socket.subscribe("query", "{ user(id: \"nonsense\") { id } viewer { role } }", json!({})).await;
    let partly = socket.receive().await;
    assert_eq!((&partly["type"], &partly["payload"]["data"]["viewer"]["role"]), (&json!("next"), &json!("ADMIN")));
    assert_eq!(partly["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert_eq!(socket.receive().await, json!({ "id": "query", "type": "complete" }));
    socket.subscribe("invalid", "{ nothing }", json!({})).await;
    assert_eq!(socket.error("invalid").await, "GRAPHQL_VALIDATION_FAILED");
    socket.send(json!({ "id": "invalid", "type": "complete" })).await;
    socket.send(json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong", "payload": { "a": 1 } }));
    socket.send(json!({ "type": "pong" })).await;
    socket.settle().await;
    assert!(socket.aside.is_empty(), "{:?}", socket.aside);
}

async fn an_operation_that_was_ended_is_heard_of_no_more(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let mut socket = Socket::open(&app).await;
    // Whoever subscribes before a change is told may hear of it, though it was committed before.
    let mut witness = Socket::open(&app).await;
    witness.subscribe("user", USER, json!({})).await;
    witness.settle().await;
    for turn in 0..3 {
        socket.subscribe("user", USER, json!({})).await;
        socket.settle().await;
        rename(&app, &format!("Turn {turn}")).await;
        assert_eq!(socket.event("user").await, named(&format!("Turn {turn}")));
        assert_eq!(witness.event("user").await, named(&format!("Turn {turn}")));
        socket.send(json!({ "id": "user", "type": "complete" })).await;
        socket.settle().await;
        rename(&app, "Unheard").await;
        assert_eq!(witness.event("user").await, named("Unheard"));
        socket.settle().await;
        assert!(socket.aside.is_empty(), "{:?}", socket.aside);
    }
    assert_eq!(app.metric("shoal_subscriptions", "").await, 1.0);
}

async fn a_socket_shows_what_its_client_has_done(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let mut socket = Socket::open(&app).await;
    let update = r#"mutation { updateUser(input: { id: "VXNlcjox", name: "Mine" }) { userErrors { code } } }"#;
    socket.subscribe("write", update, json!({})).await;
    let written = socket.receive().await;
    let token = written["payload"]["extensions"]["shoal-token"].as_str().unwrap_or_else(|| panic!("{written}"));
    assert_eq!(socket.receive().await["type"], "complete");
    let read = r#"{ user(id: "VXNlcjox") { name } }"#;
    socket.subscribe("read", read, json!({})).await;
    assert_eq!(socket.event("read").await["user"]["name"], "Mine");
    // Another shows the token.
    let mut other = Socket::connect(&app, &[]).await;
    other.introduce(json!({ "shoal-token": token })).await;
    other.subscribe("read", read, json!({})).await;
    assert_eq!(other.event("read").await["user"]["name"], "Mine");
    let complete: Value = other.receive().await;
    assert_eq!(complete["type"], "complete");
}
