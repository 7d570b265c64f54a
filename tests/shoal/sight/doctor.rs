//! `shoal doctor` on servers of its own: silent while all is well, then one thing after the other is planted, found, and
//! mended by the very command that the finding names.

mod replicas;
mod restarts;
mod usage;

use std::time::Duration;

use serde_json::{Value, json};

use super::run;
use crate::support::cluster::Cluster;
use crate::support::{Backend, Database, eventually};

/// A finding: how bad, of what, which.
type Seen = (String, String, String);

fn findings(cluster: &Cluster, environment: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
    let (code, out, err) = run(&cluster.database, &["doctor", "--json"], environment);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {err}"));
    (code, report["findings"].as_array().unwrap().clone())
}

fn seen(finding: &Value) -> Seen {
    let text = |key: &str| finding[key].as_str().unwrap().to_owned();
    (text("severity"), text("check"), text("subject"))
}

/// Waits until these, and nothing else, are found.
async fn only(cluster: &Cluster, expected: &[(&str, &str, &str)]) -> Vec<Value> {
    let mut last = Vec::new();
    let expected: Vec<Seen> = expected.iter().map(|it| (it.0.to_owned(), it.1.to_owned(), it.2.to_owned())).collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let (code, found) = findings(cluster, &[]);
        let has_errors = found.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(code, Some(i32::from(has_errors)));
        if found.iter().map(seen).eq(expected.iter().cloned()) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{expected:?}, not {last:#?}");
        last = found;
    }
}

/// Does what findings say, a statement after the other, as in psql.
async fn mend(cluster: &Cluster, findings: &[Value]) {
    for statement in findings.iter().flat_map(statements) {
        cluster.database.execute(&statement).await;
    }
}

/// The statements that mend it. Lines that begin with the name of a program are not for psql.
fn statements(finding: &Value) -> Vec<String> {
    let lines = finding["mend"].as_str().unwrap().lines().filter(|line| !line.starts_with("shoal "));
    let statements = lines.flat_map(|line| line.split("--").next().unwrap().split(';'));
    statements.map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

/// Runs the command of redis-cli that mends it.
fn mend_redis(cluster: &Cluster, finding: &Value) {
    let words: Vec<_> = finding["mend"].as_str().unwrap().split(' ').collect();
    assert_eq!(words[0], "redis-cli");
    let port = cluster.stack.redis.port().unwrap().to_string();
    let output = std::process::Command::new(words[0]).args(["-p", &port]).args(&words[1..]).output().unwrap();
    assert_eq!(output.stdout, b"OK\n", "{output:?}");
}

#[tokio::test]
async fn what_is_planted_is_found_and_mended_by_what_is_said() {
    let cluster = Cluster::alone().await;
    let database = &cluster.database;
    database.execute("vacuum analyze").await;
    only(&cluster, &[]).await;
    let (code, out, _) = run(database, &["doctor"], &[]);
    assert_eq!((code, out.as_str()), (Some(0), "nothing is wrong\n"));

    // The schema.
    for (plant, expected) in [
        ("drop index comments_post", ("error", "missing index", "comments_post")),
        ("drop index products_name_trgm", ("error", "missing index", "products_name_trgm")),
        ("create index twin on comments (post_id, created_at desc, id desc)", ("warning", "duplicate index", "twin")),
        ("create index shorter on comments (post_id)", ("warning", "duplicate index", "shorter")),
        ("create index few on products (active)", ("warning", "index on few values", "few")),
        ("alter table posts replica identity default", ("error", "replica identity", "posts")),
        ("alter publication shoal drop table tags", ("error", "replica identity", "tags")),
        ("select pg_create_physical_replication_slot('forgotten', true)", ("warning", "slot", "forgotten")),
        (
            "begin; update tags set name = name where id = 1; prepare transaction 'forgotten'",
            ("warning", "prepared transaction", "forgotten"),
        ),
        ("drop extension pg_stat_statements", ("note", "statements", "pg_stat_statements")),
    ] {
        database.execute(plant).await;
        let found = only(&cluster, &[expected]).await;
        if expected.2 == "pg_stat_statements" {
            database.execute("create extension pg_stat_statements").await;
        } else {
            mend(&cluster, &found).await;
        }
        only(&cluster, &[]).await;
    }
    database.execute("alter system set autovacuum = off").await;
    database.execute("select pg_reload_conf()").await;
    let found = only(&cluster, &[("error", "settings", "autovacuum")]).await;
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;

    // A foreign key, then its table's use.
    database
        .execute(
            "create table notes (id bigint primary key, post_id bigint references posts (id), text text);
             insert into notes select n, 1 + n % 100, repeat(md5(n::text), 4) from generate_series(1, 20000) n; analyze notes",
        )
        .await;
    let found = only(&cluster, &[("warning", "foreign key", "notes (post_id)")]).await;
    mend(&cluster, &found).await;
    database.execute("create index unread on notes (text, id)").await;
    let reads =
        "do $$ begin for n in 1..1100 loop perform from notes where id = n; perform from notes where post_id = n;
                 end loop; end $$";
    database.execute(reads).await;
    let found = only(&cluster, &[("warning", "unused index", "unread")]).await;
    mend(&cluster, &found).await;
    database.execute("drop table notes").await;
    only(&cluster, &[]).await;

    // What statements take.
    for _ in 0..5 {
        database.execute("select pg_sleep(0.3)").await;
    }
    let found = only(&cluster, &[("warning", "statements", "select pg_sleep($1)")]).await;
    mend(&cluster, &found).await;
    only(&cluster, &[]).await;
}

#[tokio::test]
async fn what_settings_ask_of_servers_is_held_against_what_they_are() {
    let cluster = Cluster::alone().await;
    cluster.database.execute("vacuum analyze").await;
    eventually("replicas to be there", async || findings(&cluster, &[]).1.is_empty()).await;

    let (code, found) = findings(&cluster, &[("SHOAL_DATABASE__POOL__SIZE", "200")]);
    let found: Vec<_> = found.iter().map(seen).collect();
    assert_eq!((code, found.len()), (Some(1), 1), "{found:?}");
    assert_eq!((found[0].1.as_str(), found[0].2.as_str()), ("max_connections", "primary"));
    let (code, out, err) = run(&cluster.database, &["doctor", "--instances", "30"], &[]);
    assert!(code == Some(1) && out.contains("max_connections: primary"), "{out} {err}");

    let mut redis = redis::Client::open(cluster.stack.redis.clone()).unwrap().get_connection().unwrap();
    let mut set = |name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query::<()>(&mut redis).unwrap();
    };
    set("maxmemory-policy", "noeviction");
    let found = only(&cluster, &[("error", "redis", "redis")]).await;
    mend_redis(&cluster, &found[0]);
    only(&cluster, &[]).await;
    set("maxmemory", "0");
    let found = only(&cluster, &[("warning", "redis", "redis")]).await;
    mend_redis(&cluster, &found[0]);
    only(&cluster, &[]).await;

    // What does not answer.
    for (name, url, check) in [
        ("REDIS_URL", "redis://127.0.0.1:1/", "redis"),
        ("REPLICA_URLS", "postgres://shoal:x@127.0.0.1:1/shoal", "database"),
    ] {
        let (code, found) = findings(&cluster, &[(name, url)]);
        assert_eq!(code, Some(1));
        assert!(found.len() == 1 && found[0]["check"] == check && found[0]["severity"] == "error", "{found:?}");
    }
    let (code, out, err) =
        run(&cluster.database, &["doctor"], &[("DATABASE_URL", "postgres://shoal:hunter2@127.0.0.1:1/x")]);
    assert!(code == Some(1) && err.contains("cannot reach the database") && !(out + &err).contains("hunter2"), "{err}");
}

#[tokio::test]
async fn the_embedded_database_is_looked_at_too() {
    let database = Database::demo(Backend::Sqlite).await;
    let doctor = || run(&database, &["doctor", "--json"], &[]);
    assert_eq!((doctor().0, doctor().1.as_str()), (Some(0), "{\n  \"findings\": []\n}\n"));
    database.execute("drop index orders_user").await;
    let (code, out, _) = doctor();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["findings"][0]["subject"]), (Some(1), &json!("orders_user")));
}
