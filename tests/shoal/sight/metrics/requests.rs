//! What clients do, and what is done for them: connections, answers, writes, jobs.

use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpStream;

use super::{grows, is, moves};
use crate::jobs::{OFTEN, added, locked, unlock};
use crate::model::global;
use crate::support::{Backend, CACHES_OFF, Database, Gate, Stack, TestApp, eventually};

const RENAME: &str =
    "mutation($id: ID!, $name: String!) { updateUser(input: { id: $id, name: $name }) { user { id } } }";

#[tokio::test]
async fn requests_and_writes_are_counted_by_how_they_end() {
    let database = Arc::new(Database::demo(Backend::Sqlite).await);
    let app = TestApp::start(database.clone(), &[CACHES_OFF, ("SHOAL_HTTP__MAX_CONNECTIONS", "3")]).await;
    let rename = async |id: &str, name: &str| {
        app.ask(&json!({ "query": RENAME, "variables": { "id": id, "name": name } })).await
    };
    moves(&app, &[("shoal_graphql_errors_total", "code=\"BAD_USER_INPUT\"")], async || {
        app.refusal("{ user(id: \"?\") { name } }", json!({})).await;
    })
    .await;
    assert_eq!(app.metric("shoal_graphql_errors_total", "").await, 1.0);
    let done = [
        ("shoal_writes_total", "outcome=\"done\""),
        ("shoal_write_seconds_count", "work=\"updateUser\""),
        ("shoal_rows_written_total", "operation=\"update\""),
    ];
    moves(&app, &done, async || {
        rename("VXNlcjox", "Somebody").await;
    })
    .await;
    moves(&app, &[("shoal_writes_total", "outcome=\"refused\"")], async || {
        let input = json!({ "id": global("Product", 1), "delta": -1_000_000, "idempotencyKey": "too many" });
        let query = "mutation($input: AdjustStockInput!) { adjustStock(input: $input) { userErrors { code } } }";
        app.query_with(query, json!({ "input": input })).await;
    })
    .await;
    assert_eq!(app.metric("shoal_rows_written_total", "operation=\"insert\"").await, 0.0);
    let create = "mutation { createUser(input: { email: \"new@example.org\", name: \"New\" }) { user { id } } }";
    moves(&app, &[("shoal_rows_written_total", "operation=\"insert\"")], async || {
        app.query(create).await;
    })
    .await;
    let delete = "mutation { deleteComment(input: { id: \"Q29tbWVudDox\" }) { userErrors { code } } }";
    moves(&app, &[("shoal_rows_written_total", "operation=\"delete\"")], async || {
        app.query(delete).await;
    })
    .await;
    let address = app.at("").replace("http://", "");
    moves(&app, &[("shoal_http_connections_refused_total", "")], async || {
        let mut open = Vec::new();
        for _ in 0..6 {
            open.push(TcpStream::connect(&address).await.unwrap());
        }
        // The client's own connection is one of those that were let in.
        grows(&app, ("shoal_http_connections", ""), 2.0).await;
    })
    .await;
    moves(&app, &[("shoal_sql_failures_total", "node=\"embedded\"")], async || {
        database.execute("alter table tags rename to gone").await;
        app.refusal("{ tags { nodes { name } } }", json!({})).await;
    })
    .await;
}

#[tokio::test]
async fn a_write_that_nobody_takes_has_failed() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let gate = Gate::open(Stack::get().primary.url(database.name())).await;
    let settings = [("DATABASE_URL", gate.url().as_str()), ("REPLICA_URLS", ""), ("SHOAL_DATABASE__POOL__SIZE", "1")];
    let app = TestApp::start(database.clone(), &[&settings[..], &[CACHES_OFF]].concat()).await;
    // Two that need the one connection of the pool.
    let lock = locked_users(&database).await;
    moves(&app, &[("shoal_pool_waits_total", "node=\"primary\"")], async || {
        let asked = ["{ user(id: \"VXNlcjox\") { name } }", "{ users(first: 1) { nodes { name } } }"].map(|query| {
            let request = reqwest::Client::new().post(app.at("/graphql")).json(&json!({ "query": query }));
            tokio::spawn(request.send())
        });
        grows(&app, ("shoal_pool_waits_total", "node=\"primary\""), 0.0).await;
        unlock(lock).await;
        for asked in asked {
            assert_eq!(asked.await.unwrap().unwrap().status(), 200);
        }
    })
    .await;
    moves(&app, &[("shoal_writes_total", "outcome=\"failed\"")], async || {
        gate.close().await;
        let variables = json!({ "id": "VXNlcjox", "name": "Nobody" });
        assert_eq!(app.refusal(RENAME, variables).await.0, "UNAVAILABLE");
    })
    .await;
}

async fn locked_users(database: &Database) -> sqlx::PgConnection {
    let mut connection = Stack::get().primary.connect(database.name()).await;
    sqlx::raw_sql("begin; lock table users in access exclusive mode").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn jobs_are_counted_by_how_they_end() {
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    let settings = [OFTEN, ("SHOAL_JOBS__IN_SERVER", "always"), ("SHOAL_JOBS__LEASE_MS", "1000")];
    let app = TestApp::start(database.clone(), &settings).await;
    let done = [("shoal_jobs_total", "outcome=\"done\""), ("shoal_job_seconds_count", "kind=\"retention\"")];
    moves(&app, &done, async || {
        added(&database);
    })
    .await;
    moves(&app, &[("shoal_jobs_total", "outcome=\"failed\"")], async || {
        let row = r#"('retention', '{"task":"of_another_version"}', 1)"#;
        database.execute(&format!("insert into jobs (kind, task, max_attempts) values {row}")).await;
    })
    .await;
    let becomes = async |id: &str, state: &str| {
        eventually(state, async || {
            database.text(&format!("select state from jobs where id = {id}")).await.as_deref() == Some(state)
        })
        .await;
    };
    let lock = locked(&database).await;
    moves(&app, &[("shoal_jobs_total", "outcome=\"cancelled\"")], async || {
        let id = added(&database);
        becomes(&id, "running").await;
        let cancel = "mutation($id: ID!) { cancelJob(input: { id: $id }) { job { id } } }";
        app.query_with(cancel, json!({ "id": global("Job", &id) })).await;
        becomes(&id, "cancelled").await;
    })
    .await;
    moves(&app, &[("shoal_jobs_total", "outcome=\"lost\"")], async || {
        let id = added(&database);
        becomes(&id, "running").await;
        // As if another had it.
        database.execute(&format!("update jobs set attempt = attempt + 1, worker = 'another' where id = {id}")).await;
    })
    .await;
    unlock(lock).await;
    // Due for an hour, and nobody to run it.
    drop(app);
    let app = TestApp::start(database.clone(), &[("SHOAL_JOBS__IN_SERVER", "never")]).await;
    database.execute("delete from jobs").await;
    is(&app, ("shoal_jobs_oldest_seconds", "kind=\"retention\""), 0.0).await;
    let row = r#"('retention', '{"task":"retention"}', 1, current_timestamp - interval '1 hour')"#;
    database.execute(&format!("insert into jobs (kind, task, max_attempts, due_at) values {row}")).await;
    grows(&app, ("shoal_jobs_oldest_seconds", "kind=\"retention\""), 3599.0).await;
    is(&app, ("shoal_jobs_waiting", "kind=\"retention\""), 1.0).await;
}
