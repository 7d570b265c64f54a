//! What docs/runbook.md says is to be done, by its very commands: a replica that is added and taken away, secrets that are rotated.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::support::cluster::Cluster;
use crate::support::{Backend, CACHES_OFF, Database, TestApp, eventually, free_port};

const RUNBOOK: &str = include_str!("../../../docs/runbook.md");
const WRITE: &str = "mutation { updateUser(input: { id: \"VXNlcjox\", name: \"A\" }) { user { name } } }";
const READ: &str = "{ user(id: \"VXNlcjox\") { name } }";

/// A server beside those of the stack; killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The commands below a line that contains this, up to the next heading, which begin with one of these programs.
fn commands(below: &str, programs: &[&str]) -> Vec<String> {
    let part = RUNBOOK.split(below).nth(1).unwrap_or_else(|| panic!("the runbook has no {below}"));
    let part = part.split("\n## ").next().unwrap().split("\n**").next().unwrap();
    let mut found: Vec<String> = Vec::new();
    for line in part.lines().filter(|line| line.starts_with("    ")) {
        let is_next = programs.iter().any(|program| line.trim().starts_with(&format!("{program} ")));
        match found.last_mut() {
            // A quote that is still open goes on.
            Some(last) if !is_next && last.matches('"').count() % 2 == 1 => *last = format!("{last}\n{line}"),
            _ if is_next => found.push(line.trim().to_owned()),
            _ => {}
        }
    }
    found
}

/// Runs a command as somebody types it; what it says.
fn run(command: &str, environment: &[(&str, &str)], of: Option<&Path>) -> String {
    // Not every system has all programs of PostgreSQL in its path.
    let command = format!("PATH=${{BIN:+$BIN:}}$PATH\n{command}");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &command]).envs(environment.iter().copied());
    if let Some(place) = of {
        let owner = std::fs::metadata(place).unwrap();
        shell.uid(owner.uid()).gid(owner.gid()).current_dir(place);
    }
    let output = shell.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command}: {said}");
    said
}

/// Where the programs of its PostgreSQL are.
async fn binaries(database: &Database) -> String {
    database.text("select setting from pg_config where name = 'BINDIR'").await.unwrap()
}

/// A directory of the user that the servers of a stack run as.
async fn of_the_servers(cluster: &Cluster) -> TempDir {
    let data = PathBuf::from(cluster.database.text("show data_directory").await.unwrap());
    let owner = std::fs::metadata(&data).unwrap();
    let place = TempDir::new_in("/var/tmp").unwrap();
    std::os::unix::fs::chown(place.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
    place
}

fn with_port(url: &Url, port: u16) -> String {
    let mut url = url.clone();
    url.set_port(Some(port)).unwrap();
    url.to_string()
}

#[tokio::test]
async fn a_replica_is_added_and_taken_away() {
    let cluster = Cluster::alone().await;
    let (place, port) = (of_the_servers(&cluster).await, free_port());
    let primary = cluster.stack.primary.url("shoal").to_string();
    let data = place.path().join("data").display().to_string();
    let bin = binaries(&cluster.database).await;
    let environment = [
        ("PRIMARY", primary.as_str()),
        ("PRIMARY_FOR_REPLICATION", primary.as_str()),
        ("PGDATA", data.as_str()),
        ("BIN", bin.as_str()),
    ];
    let commands = commands("## A replica is added", &["psql", "pg_basebackup"]);
    let [slot, copy, drop_slot] = &commands[..] else { panic!("{commands:?}") };
    run(slot, &environment, None);
    run(copy, &environment, Some(place.path()));
    let owner = std::fs::metadata(place.path()).unwrap();
    let started = Command::new(Path::new(&bin).join("postgres"))
        .args(["-D", &data, "-p", &port.to_string(), "-k", &place.path().display().to_string()])
        .uid(owner.uid())
        .gid(owner.gid())
        .current_dir(place.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server(started);
    let streams = "select count(*)::text from pg_stat_replication
        where state = 'streaming' and replay_lsn >= pg_current_wal_flush_lsn()";
    eventually("three that stream", async || cluster.database.text(streams).await.as_deref() == Some("3")).await;

    let urls = cluster.stack.replicas.iter().map(|replica| replica.url("shoal").to_string());
    let urls: Vec<_> = urls.chain([with_port(&cluster.stack.primary.url("shoal"), port)]).collect();
    let app = TestApp::start(cluster.database.clone(), &[("REPLICA_URLS", &urls.join(",")), CACHES_OFF]).await;
    app.all_usable().await;
    assert_eq!(app.metric("shoal_replica_usable", "node=\"replica-3\"").await, 1.0);
    eventually("it to answer", async || {
        app.query(READ).await;
        app.metric("shoal_reads_total", "node=\"replica-3\"").await > 0.0
    })
    .await;
    drop(app);
    drop(server);
    run(drop_slot, &environment, None);
    let left = "select count(*)::text from pg_replication_slots where slot_name = 'replica_3'";
    assert_eq!(cluster.database.text(left).await.as_deref(), Some("0"));
}

/// A token of one is good at the other, in both directions, and nobody has to be given another.
async fn understand_each_other(one: &TestApp, other: &TestApp) {
    for (from, to) in [(one, other), (other, one)] {
        let token = from.ask_as(None, &json!({ "query": WRITE }), &[]).await.token.unwrap();
        let answer = to.ask_as(Some(&token), &json!({ "query": READ }), &[]).await;
        assert_eq!((answer.json.get("errors"), answer.token), (None, None), "it is still good");
    }
    for app in [one, other] {
        let honoured = app.metric("shoal_tokens_total", "outcome=\"honoured\"").await;
        assert_eq!(app.metric("shoal_tokens_total", "").await, honoured);
    }
}

#[tokio::test]
async fn the_key_of_tokens_is_rotated_step_by_step() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    for step in [r#"`token.previous_key = "new"`"#, r#"`token.key = "new"`, `token.previous_key = "old"`"#] {
        assert!(RUNBOOK.contains(step), "{step}");
    }
    let (key, previous) = ("SHOAL_TOKEN__KEY", "SHOAL_TOKEN__PREVIOUS_KEY");
    let steps = [
        vec![(key, "old")],
        vec![(key, "old"), (previous, "new")],
        vec![(key, "new"), (previous, "old")],
        vec![(key, "new")],
    ];
    let mut before: Option<TestApp> = None;
    for (number, settings) in steps.iter().enumerate() {
        // While some have the settings of this step, and others still those of the last.
        let app = TestApp::start(database.clone(), settings).await;
        // The last is a day later.
        if let Some(before) = before.filter(|_| number < 3) {
            understand_each_other(&before, &app).await;
        }
        before = Some(app);
    }

    let kept = TestApp::start(database.clone(), &[]).await;
    let token = kept.ask_as(None, &json!({ "query": WRITE }), &[]).await.token.unwrap();
    let commands = commands("Without `token.key`", &["psql"]);
    let [insert] = &commands[..] else { panic!("{commands:?}") };
    let url = database.environment().remove(0).1;
    run(insert, &[("PRIMARY", &url), ("BIN", &binaries(&database).await)], None);
    let next = TestApp::start(database, &[]).await;
    assert_eq!(next.ask_as(Some(&token), &json!({ "query": READ }), &[]).await.token, None, "that of before is taken");
    let signed = next.ask_as(None, &json!({ "query": WRITE }), &[]).await.token.unwrap();
    let answer = kept.ask_as(Some(&signed), &json!({ "query": READ }), &[]).await;
    assert!(answer.json.get("errors").is_none() && answer.token.is_some(), "who does not know it gives another");
}

#[tokio::test]
async fn the_password_of_the_database_is_changed() {
    let cluster = Cluster::alone().await;
    let primary = cluster.stack.primary.url("shoal").to_string();
    let commands = commands("**The password of the database.**", &["psql"]);
    let [create] = &commands[..] else { panic!("{commands:?}") };
    let environment = [("PRIMARY", primary.as_str()), ("BIN", &binaries(&cluster.database).await)];
    run(&create.replace('…', "second"), &environment, None);
    cluster.stack.wait_for_replicas().await;
    let second = |url: &Url| {
        let mut url = url.clone();
        url.set_username("shoal_b").unwrap();
        url.set_password(Some("second")).unwrap();
        url.to_string()
    };
    let replicas: Vec<_> = cluster.stack.replicas.iter().map(|replica| second(&replica.url("shoal"))).collect();
    let settings =
        [("DATABASE_URL", second(&cluster.stack.primary.url("shoal"))), ("REPLICA_URLS", replicas.join(","))];
    let app =
        TestApp::start(cluster.database.clone(), &settings.each_ref().map(|(name, url)| (*name, url.as_str()))).await;
    app.all_usable().await;
    app.caches().await;
    eventually("all to be well", async || app.health().await["state"] == "all is well").await;
    app.query(WRITE).await;
    let others = "select count(*)::text from pg_stat_activity where usename = 'shoal' and pid <> pg_backend_pid()
        and application_name like 'shoal%'";
    assert_eq!(cluster.database.text(others).await.as_deref(), Some("0"), "nobody has the old one any more");
    run("psql $PRIMARY -c \"alter role shoal password 'third'\"", &environment, None);
    app.query(WRITE).await;
}

#[tokio::test]
async fn the_password_of_redis_is_changed() {
    let (place, port) = (TempDir::new().unwrap(), free_port());
    let file = place.path().join("redis.conf");
    std::fs::write(
        &file,
        format!("bind 127.0.0.1\nport {port}\nrequirepass old\nsave \"\"\ndir {}\n", place.path().display()),
    )
    .unwrap();
    let start = || Server(Command::new("redis-server").arg(&file).stdout(Stdio::null()).spawn().unwrap());
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let instance = async |password: &str| {
        let url = format!("redis://:{password}@127.0.0.1:{port}/");
        TestApp::start(database.clone(), &[("REDIS_URL", &url)]).await
    };
    let answers = async |app: &TestApp, does: bool| {
        eventually("Redis to answer, or not", async || app.health().await["redis"] == Value::Bool(does)).await;
    };
    let commands = commands("**The password of Redis**", &["redis-cli"]);
    let [add, keep, remove, keep_again] = &commands[..] else { panic!("{commands:?}") };
    let mut server = start();
    let (old, early) = (instance("old").await, instance("new").await);
    answers(&old, true).await;
    answers(&early, false).await;
    let port = port.to_string();
    let here = |command: &str, password: &str| {
        let said =
            run(&command.replace("redis-cli ", &format!("redis-cli -p {port} ")), &[("REDISCLI_AUTH", password)], None);
        assert_eq!(said, "OK\n");
    };
    here(add, "old");
    here(keep, "old");
    answers(&early, true).await;
    // A restart forgets nothing, and both go on.
    drop(server);
    answers(&old, false).await;
    server = start();
    answers(&old, true).await;
    answers(&early, true).await;
    here(remove, "new");
    here(keep_again, "new");
    assert!(!old.log().contains(":old@") && !early.log().contains(":new@"));
    drop(server);
    let _server = start();
    answers(&early, true).await;
    answers(&old, false).await;
}
