//! Whoever writes, wherever one listens.

use serde_json::json;

use super::{Socket, USER, named};
use crate::support::cluster::Cluster;
use crate::support::{Backend, CACHES_OFF, Database, PATIENT, TestApp};

#[tokio::test]
async fn what_others_write_is_heard_through_every_instance() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let (one, two) = (cluster.caching(&[]).await, cluster.caching(&[]).await);
    let mut sockets = [Socket::open(&one).await, Socket::open(&two).await];
    for socket in &mut sockets {
        socket.subscribe("user", USER, json!({})).await;
        socket
            .subscribe("order", r#"subscription { orderStatusChanged(orderId: "T3JkZXI6MQ") { id } }"#, json!({}))
            .await;
        socket.subscribe("post", "subscription { postPublished { title } }", json!({})).await;
        socket.settle().await;
    }
    for sql in [
        "update users set name = 'by psql' where id = 1",
        // Nothing of these is an event.
        "update users set name = 'another' where id = 2",
        "begin; update users set name = 'not committed' where id = 1; rollback",
        "update orders set status = status, updated_at = now() where id = 1",
        "insert into posts (author_id, title, body, status, published_at) values (1, 'told', '', 'published', now())",
        "update users set name = 'the last' where id = 1",
    ] {
        cluster.database.execute(sql).await;
    }
    for socket in &mut sockets {
        assert_eq!(socket.event("user").await, named("by psql"));
        // The two are of different operations, whose events may overtake each other.
        let mut last = [socket.receive().await, socket.receive().await];
        last.sort_by_key(|message| message["id"].to_string());
        assert_eq!(last[0]["payload"]["data"], json!({ "postPublished": { "title": "told" } }));
        assert_eq!(last[1]["payload"]["data"], named("the last"));
    }
    // A mutation on one is heard on the other.
    super::rename(&one, "by mutation").await;
    for socket in &mut sockets {
        assert_eq!(socket.event("user").await, named("by mutation"));
    }
}

#[tokio::test]
async fn an_event_shows_at_least_its_own_state_however_far_replicas_lag() {
    let cluster = Cluster::alone().await;
    let app = cluster.caching(&[PATIENT]).await;
    let mut socket = Socket::open(&app).await;
    let query = r#"subscription { userUpdated(id: "VXNlcjox") { name posts(first: 1) { nodes { title } } } }"#;
    socket.subscribe("user", query, json!({})).await;
    socket.settle().await;
    for place in 0..cluster.replicas.len() {
        cluster.on_replica(place, "select pg_wal_replay_pause()").await;
    }
    for turn in 0..5 {
        let name = format!("paused {turn}");
        cluster.database.execute(&format!("update users set name = '{name}' where id = 1")).await;
        assert_eq!(socket.event("user").await["userUpdated"]["name"], *name);
    }
}

#[tokio::test]
async fn a_thousand_subscribers_cost_one_resolution() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&[("SHOAL_SUBSCRIPTIONS__PER_CONNECTION", "1000")]).await;
    let mut sockets = [Socket::open(&app).await, Socket::open(&app).await];
    let query = r#"subscription($id: ID!) { userUpdated(id: $id) { name posts(first: 3) { nodes { title author { name } } } } }"#;
    for socket in &mut sockets {
        for number in 0..500 {
            socket.subscribe(&number.to_string(), query, json!({ "id": "VXNlcjox" })).await;
        }
        socket.settle().await;
    }
    assert_eq!(app.metric("shoal_subscriptions", "").await, 1000.0);
    cluster.database.execute("update users set name = 'for a thousand' where id = 1").await;
    for socket in &mut sockets {
        let mut heard = Vec::new();
        for _ in 0..500 {
            let message = socket.receive().await;
            assert_eq!(message["payload"]["data"]["userUpdated"]["name"], "for a thousand");
            heard.push(message["id"].as_str().unwrap().parse::<usize>().unwrap());
        }
        heard.sort_unstable();
        assert_eq!(heard, (0..500).collect::<Vec<_>>());
    }
    assert_eq!(app.metric("shoal_event_resolutions_total", "").await, 1.0);
    drop(sockets);
    crate::support::eventually("all to be gone", async || app.metric("shoal_subscriptions", "").await == 0.0).await;
}

#[tokio::test]
async fn without_a_feed_nobody_can_subscribe() {
    let database = Database::demo(Backend::Postgres).await;
    let app = TestApp::start(database.into(), &[CACHES_OFF]).await;
    let mut socket = Socket::open(&app).await;
    socket.subscribe("user", USER, json!({})).await;
    assert_eq!(socket.error("user").await, "UNAVAILABLE");
}
