//! Whoever watches a job sees it get on, and its end.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Socket;
use crate::jobs::{LONG_LEASE, OFTEN, Worker, added, locked, unlock};
use crate::model::global;
use crate::mutations::mutation;
use crate::on_both;
use crate::support::{Backend, Database, TestApp, eventually};
use crate::uploads::{HEADER, sent};

on_both!(it_is_watched_until_it_has_ended);

const WATCH: &str =
    "subscription($id: ID!) { jobProgress(id: $id) { state progress progressTotal cancelRequested attempt } }";

/// The job in the next event.
async fn event(socket: &mut Socket, id: &str) -> Value {
    socket.event(id).await["jobProgress"].take()
}

/// The operation ends without an error.
async fn completes(socket: &mut Socket, id: &str) {
    assert_eq!(socket.receive().await, json!({ "id": id, "type": "complete" }));
}

/// What a worker would write; on the embedded database only the server itself may.
async fn it_is_watched_until_it_has_ended(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    let job = |kind: &str| format!("('{kind}', '{{}}', 3)");
    let rows = format!("{}, {}", job("nobody''s"), job("nobody''s"));
    database.execute(&format!("insert into jobs (kind, task, max_attempts) values {rows}")).await;
    let app = TestApp::start(database, &[]).await;
    app.caches().await;
    let [one, other] = [1, 2].map(|key| global("Job", key));
    let mut socket = Socket::open(&app).await;
    socket.subscribe("one", WATCH, json!({ "id": one })).await;
    socket.subscribe("same", WATCH, json!({ "id": one })).await;
    socket.subscribe("other", WATCH, json!({ "id": other })).await;
    socket.subscribe("post", WATCH, json!({ "id": global("Post", 1) })).await;
    assert_eq!(socket.error("post").await, "BAD_USER_INPUT");
    socket.settle().await;

    let change = async |name: &str| {
        let asked = format!("mutation($id: ID!) {{ {name}(input: {{ id: $id }}) {{ userErrors {{ code }} }} }}");
        assert_eq!(app.query_with(&asked, json!({ "id": one })).await[name]["userErrors"], json!([]));
    };
    // One that waits already is only due at once: nothing to be told.
    change("retryJob").await;
    change("cancelJob").await;
    let cancelled =
        json!({ "state": "CANCELLED", "progress": 0, "progressTotal": null, "cancelRequested": false, "attempt": 0 });
    let mut messages = [(); 4].map(|()| Value::Null);
    for message in &mut messages {
        *message = socket.receive().await;
    }
    for id in ["one", "same"] {
        let of: Vec<_> = messages.iter().filter(|message| message["id"] == id).collect();
        assert_eq!(of[0]["payload"]["data"]["jobProgress"], cancelled, "{messages:?}");
        assert_eq!(of[1]["type"], "complete", "{messages:?}");
    }
    // The next life of a job is another subscription's.
    socket.subscribe("again", WATCH, json!({ "id": one })).await;
    socket.settle().await;
    change("retryJob").await;
    assert_eq!(event(&mut socket, "again").await["state"], "QUEUED");
    change("cancelJob").await;
    assert_eq!(event(&mut socket, "again").await["state"], "CANCELLED");
    completes(&mut socket, "again").await;
    socket.settle().await;
    assert!(socket.aside.is_empty(), "the other job has not changed: {:?}", socket.aside);
}

#[tokio::test]
async fn a_worker_elsewhere_is_watched_from_the_queue_to_the_end() {
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    let app = TestApp::start(database.clone(), &[]).await;
    app.caches().await;
    let key = added(&database);
    let mut socket = Socket::open(&app).await;
    socket.subscribe("job", WATCH, json!({ "id": global("Job", &key) })).await;
    socket.settle().await;
    let lock = locked(&database).await;
    let _worker = Worker::start(&database, &[OFTEN, LONG_LEASE]);
    let running = event(&mut socket, "job").await;
    assert_eq!((&running["state"], &running["attempt"]), (&json!("RUNNING"), &json!(1)));
    // That its lease is extended is no event.
    let lease = async || database.text("select leased_until::text from jobs").await.unwrap();
    for _ in 0..2 {
        let before = lease().await;
        eventually("the lease to be extended", async || lease().await != before).await;
    }
    database.execute("update jobs set progress = 1, progress_total = 2").await;
    let progress = event(&mut socket, "job").await;
    assert_eq!((&progress["progress"], &progress["progressTotal"]), (&json!(1), &json!(2)), "{progress}");
    unlock(lock).await;
    assert_eq!(event(&mut socket, "job").await["state"], "DONE");
    completes(&mut socket, "job").await;
    assert_eq!(app.metric("shoal_subscriptions", "").await, 0.0);
    // Nothing of all that was told to nobody: the events were those that were shown.
    assert_eq!(app.metric("shoal_events_total", "job_progress").await, 3.0);
}

/// Three processes: one is asked for the import, one is watched, one does it.
#[tokio::test]
async fn an_import_is_watched_at_another_server_than_asked_for_it() {
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    let (asked, watched) = tokio::join!(TestApp::start(database.clone(), &[]), TestApp::start(database.clone(), &[]));
    watched.caches().await;
    let lines: String = (0..600).map(|number| format!("S{number:04},Vase,1,EUR\n")).collect();
    let upload = sent(&asked, format!("{HEADER}{lines}")).await;
    let begun = mutation("importProducts", "job { id state progress progressTotal }");
    let payload = asked.query_with(&begun, json!({ "input": { "uploadId": upload } })).await["importProducts"].take();
    assert_eq!(payload["userErrors"], json!([]));
    let job = &payload["job"];
    assert_eq!((&job["state"], &job["progress"]), (&json!("QUEUED"), &json!(0)), "{job}");

    let mut socket = Socket::open(&watched).await;
    socket.subscribe("job", WATCH, json!({ "id": job["id"] })).await;
    socket.settle().await;
    let _worker = Worker::start(&database, &[OFTEN]);
    let mut seen = Vec::new();
    loop {
        let message = socket.receive().await;
        if message == json!({ "id": "job", "type": "complete" }) {
            break;
        }
        let job = &message["payload"]["data"]["jobProgress"];
        seen.push((job["state"].as_str().unwrap().to_owned(), job["progress"].as_i64().unwrap()));
    }
    // Each batch and each state is an event, of which a later state may be shown: the last is the first that shows the end.
    assert!(seen.len() <= 5 && seen.is_sorted_by_key(|(_, progress)| *progress), "{seen:?}");
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(*last, ("DONE".to_owned(), 600), "{seen:?}");
    assert!(before.iter().all(|(state, _)| state == "RUNNING"), "{seen:?}");
}
