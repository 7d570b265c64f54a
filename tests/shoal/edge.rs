//! The process as operators meet it: probes, metrics, start, stop, settings, servers that are gone.

use std::process::Output;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Backend, Database, Stack, TestApp, command, eventually};

crate::on_both!(
    probes_and_metrics_tell_how_it_is,
    a_signal_ends_it_cleanly,
    a_database_that_is_behind_is_refused,
    a_database_of_a_later_version_is_served
);

const POSTS: &str = "{ posts(first: 2) { nodes { title author { name } } } }";

async fn probes_and_metrics_tell_how_it_is(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.query(POSTS).await;
    assert_eq!(app.get("/livez").await.status(), 200);
    assert_eq!(app.get("/readyz").await.status(), 200);

    // Replicas lag for moments, beside other tests.
    eventually("a good bill of health", async || {
        let response = app.get("/health").await;
        let is_ok = response.status() == 200;
        let health: Value = response.json().await.unwrap();
        is_ok && health["status"] == "ok" && health["state"] == "all is well"
    })
    .await;
    let health = app.health().await;
    let nodes: Vec<_> = health["databases"].as_array().unwrap().iter().map(|node| node["node"].clone()).collect();
    match backend {
        Backend::Postgres => assert_eq!(nodes, ["primary", "replica-1", "replica-2"]),
        Backend::Sqlite => assert_eq!(nodes, ["embedded"]),
    }

    let metrics = app.get("/metrics").await.text().await.unwrap();
    for family in [
        "shoal_http_requests_total{route=\"/graphql\",status=\"200\"} 1",
        "shoal_http_seconds_count{route=\"/graphql\"} 1",
        "shoal_sql_statements_total",
        "shoal_sql_seconds_bucket",
        "shoal_batch_keys_sum{source=\"users\",kind=\"rows\"} 2",
        "shoal_pool_connections",
        "shoal_pool_idle",
    ] {
        assert!(metrics.contains(family), "{family} in {metrics}");
    }
}

async fn a_signal_ends_it_cleanly(backend: Backend) {
    let mut app = TestApp::demo(backend).await;
    app.query(POSTS).await;
    let killed = std::process::Command::new("kill").args(["-TERM", &app.process().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(app.wait(), Some(0));
    eventually("the last line of the log", async || app.log().contains("stopped")).await;
}

async fn a_database_that_is_behind_is_refused(backend: Backend) {
    let database = Database::empty(backend).await;
    assert!(run(&database, &["migrate", "down", "--steps", "2"]).status.success());
    let refused = run(&database, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("2 migrations behind") && said.contains("shoal migrate up"), "{said}");
    let status = run(&database, &["migrate", "status"]);
    assert_eq!(String::from_utf8_lossy(&status.stdout).matches("pending").count(), 2);

    let database = Arc::new(database);
    let app = TestApp::start_with(database, &[], &["--migrate"]).await;
    assert_eq!(app.query("{ posts { totalCount } }").await, json!({ "posts": { "totalCount": 0 } }));
}

/// While instances are brought to another version one after the other, those of before may have to start again.
async fn a_database_of_a_later_version_is_served(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    database.execute("insert into seaql_migrations (version, applied_at) values ('m99991231_000001_later', 1)").await;
    let up = run(&database, &["migrate", "up"]);
    assert!(up.status.success() && up.stdout == b"nothing to do\n", "{up:?}");
    let status = String::from_utf8(run(&database, &["migrate", "status"]).stdout).unwrap();
    assert!(status.ends_with("later    m99991231_000001_later\n") && !status.contains("pending"), "{status}");
    let app = TestApp::start(database.clone(), &[]).await;
    assert_eq!(app.query("{ posts { totalCount } }").await, json!({ "posts": { "totalCount": 0 } }));
    assert!(app.log().contains("the database is of a later version"), "{}", app.log());
    drop(app);
    // Of one that has gone another way nobody can say what it is.
    database.execute("delete from seaql_migrations where version like '%uploads'").await;
    assert!(!run(&database, &["serve", "--migrate"]).status.success());
}

#[tokio::test]
async fn ten_may_migrate_at_once() {
    let database = Database::empty(Backend::Postgres).await;
    let applied = |database| {
        let status = run(database, &["migrate", "status"]);
        String::from_utf8_lossy(&status.stdout).matches("applied").count()
    };
    let all = applied(&database);
    assert!(run(&database, &["migrate", "down", "--steps", &all.to_string()]).status.success());
    assert_eq!(applied(&database), 0);
    let children: Vec<_> = (0..10).map(|_| command(&database).args(["migrate", "up"]).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(applied(&database), all);
}

#[tokio::test]
async fn an_embedded_database_is_for_one_process() {
    let app = TestApp::demo(Backend::Sqlite).await;
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["import", "--demo"], &["migrate", "up"]] {
        let refused = run(&app.database, arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("in use by another process"), "{arguments:?}");
    }
    app.query(POSTS).await;
}

#[tokio::test]
async fn reads_share_the_replicas_and_the_primary_on_demand() {
    let app = TestApp::with_replicas(Database::demo(Backend::Postgres).await).await;
    let ask = async |headers: &[(&str, &str)]| {
        let answer = app.ask_with(&json!({ "query": POSTS }), headers).await;
        let batches = answer.json["extensions"]["shoal"]["batches"].as_array().unwrap().clone();
        batches.iter().map(|batch| batch["node"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut nodes = Vec::new();
    for _ in 0..2 {
        nodes.extend(ask(&[("shoal-trace", "1")]).await);
    }
    nodes.sort();
    assert_eq!(nodes, ["replica-1", "replica-1", "replica-2", "replica-2"]);
    let fresh = ask(&[("shoal-trace", "1"), ("cache-control", "max-age=0, no-cache")]).await;
    assert_eq!(fresh, ["primary", "primary"]);
}

#[tokio::test]
async fn lost_servers_are_answered_for_by_others_until_none_is_left() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let stack = Stack::get();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url_of_nobody = |password: &str| format!("postgres://shoal:{password}@127.0.0.1:{gone}/{}", database.name());

    let patience = ("SHOAL_DATABASE__POOL__ACQUIRE_TIMEOUT_MS", "2000");
    let dead = url_of_nobody("hunter2");
    let app = TestApp::start(database.clone(), &[patience, ("REPLICA_URLS", &dead)]).await;
    app.query(POSTS).await;
    let health = app.health().await;
    assert_eq!((&health["status"], &health["state"]), (&json!("degraded"), &json!("no replica")));
    assert_eq!(app.get("/readyz").await.status(), 200);

    // A primary behind a gate that closes.
    let gate = crate::support::Gate::open(stack.primary.url(database.name())).await;
    let url = gate.url().to_string();
    let app = TestApp::start(database.clone(), &[patience, ("DATABASE_URL", &url), ("REPLICA_URLS", "")]).await;
    app.query(POSTS).await;
    gate.close().await;
    let (code, message) = app.refusal(POSTS, json!({})).await;
    assert_eq!((code.as_str(), message.as_str()), ("UNAVAILABLE", "the data cannot be reached at the moment"));
    // It is looked at now and then.
    eventually("it to be unready", async || app.get("/readyz").await.status() == 503).await;
    let response = app.get("/health").await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.json::<Value>().await.unwrap()["state"], "no database");
    assert_eq!(app.get("/livez").await.status(), 200);
    let password = stack.primary.url("shoal").password().unwrap().to_owned();
    assert!(!app.log().contains(&password), "a password in the log");
}

#[tokio::test]
async fn settings_are_checked_and_secrets_masked() {
    let nowhere = Database::Sqlite { dir: TempDir::new().unwrap() };
    let with = |name: &str, value: &str, arguments: &[&str]| {
        let output = command(&nowhere).env(name, value).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = with("DATABASE_URL", "postgres://shoal:hunter2@127.0.0.1:1/shop", &["config"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("postgres://shoal:***@127.0.0.1:1/shop") && !said.contains("hunter2"), "{said}");
    for (name, value, part) in [
        ("DATABASE_URL", "hunter2", "not a url"),
        ("REPLICA_URLS", "hunter2,postgres://b/c", "not a url"),
        ("SHOAL_GRAPHQL__PAGE_SIZ", "hunter2", "page_siz"),
        ("SHOAL_GRAPHQL__PAGE_SIZE", "hunter2", "page_size"),
    ] {
        let (code, said) = with(name, value, &["config"]);
        assert_eq!(code, Some(1), "{name}");
        assert!(said.to_lowercase().contains(part) && !said.contains("hunter2"), "{name}: {said}");
    }
    let (code, said) = with("DATABASE_URL", "postgres://shoal:hunter2@127.0.0.1:1/shop", &["serve"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot reach the database") && !said.contains("hunter2"), "{said}");
    let (code, said) = with("SHOAL_LISTEN", "0.0.0.0:0", &["serve"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("only loopback addresses are safe"), "{said}");
}

fn run(database: &Database, arguments: &[&str]) -> Output {
    command(database).args(arguments).output().unwrap()
}
