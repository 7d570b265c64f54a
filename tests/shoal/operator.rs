//! What operators rely on when something is in the way: a stop with requests in work, many starts at once, a server that
//! is gone for a while, settings that are wrong.

mod host;
mod reload;
mod secrets;
mod stop;

use std::sync::Arc;

use futures_util::future::join_all;
use sea_orm::{DbBackend, Statement};
use serde_json::{Value, json};
use shoal::data::ledger::About;
use shoal::data::{Databases, Needs};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::support::{Backend, Database, Gate, Stack, TestApp, command, eventually};

crate::on_both!(readers_cannot_write);

const USERS: &str = "{ users(first: 1) { nodes { name } } }";

/// A request that waits in the primary until `lock` is released.
async fn stuck(app: &TestApp, lock: &mut PgConnection) -> tokio::task::JoinHandle<reqwest::Result<reqwest::Response>> {
    sqlx::raw_sql("begin; lock table users in access exclusive mode").execute(&mut *lock).await.unwrap();
    let request = reqwest::Client::new().post(app.at("/graphql")).header("cache-control", "no-cache");
    let asked = tokio::spawn(request.json(&json!({ "query": USERS })).send());
    let name = app.database.name().to_owned();
    let mut observer = Stack::get().primary.connect("shoal").await;
    eventually("the request to wait for the lock", async || {
        sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = $1 and wait_event_type = 'Lock')",
        )
        .bind(&name)
        .fetch_one(&mut observer)
        .await
        .unwrap()
    })
    .await;
    asked
}

pub fn terminate(app: &TestApp) {
    signal(app, "TERM");
}

fn signal(app: &TestApp, name: &str) {
    let process = app.process().to_string();
    let kill = std::process::Command::new("kill").args(["-s", name, &process]).status().unwrap();
    assert!(kill.success());
}

#[tokio::test]
async fn requests_in_work_end_before_the_server() {
    let mut app = TestApp::demo(Backend::Postgres).await;
    let mut lock = Stack::get().primary.connect(app.database.name()).await;
    let asked = stuck(&app, &mut lock).await;
    terminate(&app);
    let address = app.at("").replace("http://", "");
    eventually("no new connections", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    assert!(!asked.is_finished());
    lock.close().await.unwrap();
    let answer: Value = asked.await.unwrap().unwrap().json().await.unwrap();
    assert!(answer["data"]["users"]["nodes"][0]["name"].is_string(), "{answer}");
    assert_eq!(app.wait(), Some(0));
    assert!(!app.log().contains("cut off"), "{}", app.log());
}

#[tokio::test]
async fn requests_that_do_not_end_are_cut_off() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    // Nothing but the cut ends the request in time.
    let settings = [("SHOAL_HTTP__DRAIN_TIMEOUT_MS", "200"), ("SHOAL_DATABASE__POOL__STATEMENT_TIMEOUT_MS", "600000")];
    let mut app = TestApp::start(database, &settings).await;
    let mut lock = Stack::get().primary.connect(app.database.name()).await;
    let asked = stuck(&app, &mut lock).await;
    terminate(&app);
    eventually("the server to end", async || app.has_ended()).await;
    assert_eq!(app.wait(), Some(0));
    eventually("the cut to be in the log", async || app.log().contains("requests in work were cut off")).await;
    assert!(asked.await.unwrap().is_err());
    lock.close().await.unwrap();
}

#[tokio::test]
async fn ten_may_start_and_migrate_at_once() {
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    let down = command(&database).args(["migrate", "down", "--steps", "100"]).output().unwrap();
    assert!(down.status.success(), "{down:?}");
    let servers = join_all((0..10).map(|_| TestApp::start_with(database.clone(), &[], &["--migrate"]))).await;
    for server in &servers {
        let answer = server.ask_with(&json!({ "query": USERS }), &[("cache-control", "no-cache")]).await;
        assert_eq!(answer.json, json!({ "data": { "users": { "nodes": [] } } }));
    }
}

/// A mistake in routing fails loudly, and writes nothing.
async fn readers_cannot_write(backend: Backend) {
    let database = Database::empty(backend).await;
    let mut settings = database.settings();
    // The primary in the place of a replica: a replica would refuse anyway.
    settings.replicas.extend(settings.url.clone());
    let dialect = match backend {
        Backend::Postgres => DbBackend::Postgres,
        Backend::Sqlite => DbBackend::Sqlite,
    };
    let databases = Databases::open(&settings).await.unwrap();
    let insert = Statement::from_string(dialect, "insert into tags (name) values ('misrouted') returning id");
    let refused = databases.read(&Needs::default(), None, &About::default(), insert).await.1.unwrap_err();
    let cause = format!("{refused:?}");
    assert!(cause.contains("read-only transaction") || cause.contains("readonly database"), "{cause}");
    assert_eq!(database.text("select cast(count(*) as text) from tags").await.as_deref(), Some("0"));
    databases.close().await;
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_short_and_counted() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let app = TestApp::start(database.clone(), &[("REPLICA_URLS", ""), ("SHOAL_LOG__PER_SECOND", "3")]).await;
    database.execute("alter table tags rename to gone").await;
    let ask = || async { app.ask(&json!({ "query": "{ tags(first: 1) { nodes { name } } }" })).await.refusal().0 };
    let asked = async || {
        // No more than are let in at once.
        let codes = futures_util::future::join_all((0..8).map(|_| ask())).await;
        assert!(codes.iter().all(|code| code == "INTERNAL"), "{codes:?}");
        app.log().contains("lines of the log were left out")
    };
    eventually("it to be said", asked).await;
}

#[tokio::test]
async fn a_database_that_comes_back_is_used_again() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let server = Stack::get().primary.url(database.name());
    let gate = Gate::open(server.clone()).await;
    let url = gate.url().to_string();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("REPLICA_URLS", ""),
        ("SHOAL_DATABASE__POOL__ACQUIRE_TIMEOUT_MS", "5000"),
        // All there is to log.
        ("SHOAL_LOG__FILTER", "trace"),
    ];
    let app = TestApp::start(database, &settings).await;
    let query = "{ posts(first: 1) { nodes { author { posts(first: 1) { nodes { body } } } } } }";
    app.query(query).await;
    let port = gate.url().port().unwrap();
    gate.close().await;

    let answer = app.ask(&json!({ "query": query })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.refusal(), ("UNAVAILABLE".into(), "the data cannot be reached at the moment".into()));
    let error = &answer.json["errors"][0];
    assert_eq!(
        (&error["path"], &error["extensions"]["requestId"]),
        (&json!(["posts", "nodes"]), &json!(answer.request_id))
    );
    // What a client can tell is enough to find the cause.
    eventually("the cause to be in the log", async || {
        app.log().lines().any(|line| line.contains("a field failed") && line.contains(&answer.request_id))
    })
    .await;

    let gate = Gate::open_at(server.clone(), port).await;
    eventually("an answer", async || app.ask(&json!({ "query": query })).await.json.get("errors").is_none()).await;
    // A connection of before may be met first.
    eventually("a good bill of health", async || app.health().await["state"] == "all is well").await;
    gate.close().await;
    assert!(!app.log().contains(server.password().unwrap()), "a password in the log");
}

#[tokio::test]
async fn a_file_of_settings_is_checked_and_its_secrets_kept() {
    let nowhere = Database::Sqlite { dir: TempDir::new().unwrap() };
    let file = TempDir::new().unwrap();
    let file = file.path().join("settings.toml");
    let config = |content: &str| {
        std::fs::write(&file, content).unwrap();
        let output = command(&nowhere).arg("--config").arg(&file).arg("config").output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for (content, part) in [
        ("[graphql]\npage_siz = 3", "page_siz"),
        ("[nothing]\nx = 1", "nothing"),
        ("[graphql]\npage_size = -1", "page_size"),
        ("[http]\nlisten = \"hunter2\"", "http.listen"),
        ("[log]\nformat = 1", "log.format"),
        ("[database]\nurl = \"hunter2\"", "database.url"),
        ("[database]\nurl = [\"postgres://shoal:hunter2@host/shop\"]", "database.url"),
        ("[database]\nreplicas = \"postgres://shoal:hunter2@host/shop\"", "database.replicas"),
        ("[database]\nreplicas = [\"postgres://shoal:hunter2@host:port/shop\"]", "database.replicas"),
        ("[database]\nurl = \"postgres://shoal:hunter2@host/shop", "line 2"),
        ("[database]\nurl = postgres://shoal:hunter2@host/shop", "line 2"),
        ("[redis]\nurl = \"redis://:hunter2@host\"\nurl = \"\"", "line 3"),
    ] {
        let (code, said) = config(content);
        assert_eq!(code, Some(1), "{content}: {said}");
        assert!(
            said.contains(part) && said.contains("settings.toml") && !said.contains("hunter2"),
            "{content}: {said}"
        );
    }
    let (code, said) = config("[redis]\nurl = \"redis://:hunter2@host/\"\n[graphql]\npage_size = 7");
    assert!(code == Some(0) && said.contains("redis://:***@host/") && said.contains("page_size = 7"), "{said}");
    // What it prints it reads.
    let (_, defaults) = config("");
    assert_eq!(config(&defaults), (Some(0), defaults.clone()));

    let output =
        command(&nowhere).env("SHOAL_DATABASE__REPLICAS", "postgres://shoal:hunter2@host/shop").arg("config").output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("DATABASE.REPLICAS") && !said.contains("hunter2"), "{said}");
    let output = command(&nowhere).args(["--config", "/nothing/settings.toml", "config"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("nothing/settings.toml"), "{said}");
}
