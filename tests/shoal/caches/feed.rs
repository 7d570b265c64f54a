//! The feed breaks in every way that it can: nothing wrong is served, an operator is told, and it comes back by itself.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sqlx::Connection;

use super::{BOUND, USER, rename, see, warm};
use crate::proof::faults::signal;
use crate::support::cluster::{Cluster, STOCK};
use crate::support::id::global;
use crate::support::{Backend, Database, TestApp, eventually};

fn stock_in(data: &Value) -> i64 {
    data["product"]["stock"].as_i64().unwrap()
}

/// Writes as another service does, and waits until it is seen; it stays seen.
async fn write_and_see(cluster: &Cluster, app: &TestApp, name: &str) {
    cluster.database.execute(&format!("update users set name = '{name}' where id = 1")).await;
    // Without caches any replica may answer, as long as it is within the bound.
    cluster.stack.wait_for_replicas().await;
    stays(app, name).await;
}

async fn stays(app: &TestApp, name: &str) {
    eventually(name, async || see(app, None, USER).await.name() == name).await;
    for _ in 0..10 {
        assert_eq!(see(app, None, USER).await.name(), name);
    }
}

/// Waits until the feed says this of itself.
async fn says(app: &TestApp, what: &str) {
    eventually(what, async || app.health().await["feed"].to_string().contains(what)).await;
}

/// Waits until a table is kept in the caches, or is not, for this reason.
async fn is_kept(app: &TestApp, table: &str, why_not: Option<&str>) {
    eventually(table, async || {
        let feed = app.health().await["feed"].take();
        let not_kept = feed["not_kept"].as_array().into_iter().flatten().find(|it| it["table"] == table).cloned();
        let why = not_kept.as_ref().map(|it| it["why"].as_str().unwrap());
        feed["follows"] == true
            && match why_not {
                None => why.is_none(),
                Some(part) => why.is_some_and(|why| why.contains(part)),
            }
    })
    .await;
}

/// Has the primary offer TLS, with a certificate that nobody has signed; where it lies.
async fn certify(cluster: &Cluster) -> PathBuf {
    let data = PathBuf::from(cluster.database.text("show data_directory").await.unwrap());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "server.key", "-out", "server.crt"])
        .current_dir(&data)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // The server takes a key from its own user only.
    let owner = std::fs::metadata(&data).unwrap();
    std::os::unix::fs::chown(data.join("server.key"), Some(owner.uid()), Some(owner.gid())).unwrap();
    cluster.database.execute("alter system set ssl = on").await;
    cluster.database.execute("select pg_reload_conf()").await;
    data.join("server.crt")
}

#[tokio::test]
async fn the_log_is_read_over_tls_where_the_url_says_so() {
    let cluster = Cluster::alone().await;
    let certificate = certify(&cluster).await;
    let mut url = cluster.primary.url().clone();
    url.query_pairs_mut()
        .append_pair("sslmode", "verify-full")
        .append_pair("sslrootcert", &certificate.to_string_lossy());
    eventually("the server to offer it", async || {
        cluster.database.text("select current_setting('ssl')").await.as_deref() == Some("on")
    })
    .await;
    let app = cluster.caching(&[("DATABASE_URL", url.as_str())]).await;
    let followed = "select string_agg(ssl::text, ',') from pg_stat_replication join pg_stat_ssl using (pid)
        where application_name = 'shoal feed'";
    assert_eq!(cluster.database.text(followed).await.as_deref(), Some("true"));
    write_and_see(&cluster, &app, "in secret").await;
    warm(&app, USER).await;
}

#[tokio::test]
async fn a_feed_that_is_cut_off_begins_anew() {
    let cluster = Cluster::alone().await;
    let app = cluster.caching(&BOUND).await;
    let mut primary = cluster.stack.primary.connect("shoal").await;
    for turn in 0..3 {
        warm(&app, USER).await;
        let cut: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'shoal feed'",
        )
        .fetch_all(&mut primary)
        .await
        .unwrap();
        assert_eq!(cut, [true]);
        // While nobody tells.
        write_and_see(&cluster, &app, &format!("cut {turn}")).await;
        app.caches().await;
        warm(&app, USER).await;
    }
    assert!(app.metric("shoal_feed_losses_total", "").await >= 3.0);
    primary.close().await.unwrap();
}

#[tokio::test]
async fn without_a_free_slot_nothing_is_cached() {
    let cluster = Cluster::alone().await;
    let all = "select pg_create_physical_replication_slot('taken_' || i) from generate_series(1,
        current_setting('max_replication_slots')::int - (select count(*)::int from pg_replication_slots)) i";
    cluster.database.execute(all).await;
    let app = cluster.start(&BOUND).await;
    says(&app, "no free replication slot").await;
    let health = app.health().await;
    assert_eq!((&health["state"], &health["status"]), (&"no feed".into(), &"degraded".into()));
    for name in ["without", "a slot"] {
        write_and_see(&cluster, &app, name).await;
        assert!(!see(&app, None, USER).await.is_cached());
    }
    let free = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'taken_%'";
    cluster.database.execute(free).await;
    app.caches().await;
    warm(&app, USER).await;
    write_and_see(&cluster, &app, "with a slot").await;
}

#[tokio::test]
async fn what_is_not_told_is_not_kept() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&BOUND).await;
    let incidents = [
        ("drop publication shoal", "create publication shoal for all tables", "there is no publication"),
        ("alter table users replica identity default", "alter table users replica identity full", "replica identity"),
        (
            "alter publication shoal set (publish = 'insert')",
            "alter publication shoal set (publish = 'insert, update, delete, truncate')",
            "all operations",
        ),
    ];
    for (index, (breaks, mends, why)) in incidents.into_iter().enumerate() {
        warm(&app, USER).await;
        cluster.database.execute(breaks).await;
        is_kept(&app, "users", Some(why)).await;
        for turn in 0..3 {
            write_and_see(&cluster, &app, &format!("{index} {turn}")).await;
            let seen = see(&app, None, "{ user(id: \"VXNlcjox\") { name } }").await;
            assert_eq!((seen.near + seen.far, seen.statements), (0, 1), "{breaks}");
        }
        cluster.database.execute(mends).await;
        is_kept(&app, "users", None).await;
        warm(&app, USER).await;
        write_and_see(&cluster, &app, &format!("{index} mended")).await;
    }
    assert_eq!(app.metric("shoal_cache_audit_mismatch_total", "").await, 0.0);
}

/// Neither tells of its rows.
#[tokio::test]
async fn a_rewrite_and_a_truncation_are_noticed() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&BOUND).await;
    for _ in 0..3 {
        let before = stock_in(&warm(&app, STOCK).await);
        cluster.database.execute("alter table products alter column stock type int using stock + 1").await;
        eventually("the rewrite to be seen", async || stock_in(&see(&app, None, STOCK).await.data) == before + 1).await;
        assert_eq!(stock_in(&warm(&app, STOCK).await), before + 1);
    }
    let tags = "{ post(id: \"UG9zdDox\") { tags { totalCount } } }";
    cluster.database.execute("insert into post_tags select 1, id from tags on conflict do nothing").await;
    eventually("tags", async || see(&app, None, tags).await.data["post"]["tags"]["totalCount"] != 0).await;
    warm(&app, tags).await;
    cluster.database.execute("truncate post_tags").await;
    eventually("no tags", async || see(&app, None, tags).await.data["post"]["tags"]["totalCount"] == 0).await;
    assert_eq!(warm(&app, tags).await["post"]["tags"]["totalCount"], 0);
}

/// Found by `benches/proof`: of a rewrite nothing is told, and the log goes on past it, as far as a client's token.
#[tokio::test]
async fn a_token_covers_a_rewrite_that_came_before_it() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.caching(&BOUND).await;
    for turn in 0..5 {
        let before = stock_in(&warm(&app, STOCK).await);
        cluster.database.execute("alter table products alter column stock type int using stock + 1").await;
        let token = rename(&app, &format!("rewritten {turn}")).await;
        assert_eq!(stock_in(&see(&app, Some(&token), STOCK).await.data), before + 1, "turn {turn}");
    }
}

/// Processes that stand still until this is dropped.
struct Stopped(Vec<u32>);

impl Stopped {
    fn new(processes: Vec<u32>) -> Self {
        signal("STOP", &processes);
        Self(processes)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

/// Found by `benches/proof`: of rows that were told late, together with what was committed after a rewrite.
#[tokio::test]
async fn rows_of_before_a_rewrite_that_are_told_after_it_are_not_kept() {
    const PRODUCTS: usize = 20;
    const COMMITS: usize = 400;
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    // Longer than the log stands still.
    let app = cluster.caching(&[("SHOAL_DATABASE__MAX_STALENESS_MS", "60000")]).await;
    let fields: Vec<_> =
        (1..=PRODUCTS).map(|key| format!("p{key}: product(id: \"{}\") {{ stock }}", global("Product", key))).collect();
    let query = format!("{{ {} }}", fields.join(" "));
    for _ in 0..5 {
        // Rows that are often served are kept as the log tells them.
        warm(&app, &query).await;
    }
    let sender = "select active_pid::text from pg_replication_slots where database = current_database()";
    let stopped = Stopped::new(vec![cluster.database.text(sender).await.unwrap().parse().unwrap()]);
    let raised = app.metric("shoal_feed_floor_raises_total", "fingerprint").await;
    let told = app.metric("shoal_feed_commits_total", "").await;
    let many =
        |statement: &str| format!("do $$ begin for i in 1..{COMMITS} loop {statement}; commit; end loop; end $$");
    cluster.database.execute(&many(&format!("update products set stock = i where id = 1 + i % {PRODUCTS}"))).await;
    cluster.database.execute("alter table products alter column stock type int using stock + 1000").await;
    eventually("the rewrite to be noticed", async || {
        app.metric("shoal_feed_floor_raises_total", "fingerprint").await > raised
    })
    .await;
    cluster.database.execute(&many("update users set name = 'user ' || i where id = 2")).await;
    // Then much is heard at a time.
    cluster.primary.slow_down(Duration::from_millis(10));
    drop(stopped);
    eventually("all of it to be told", async || {
        app.metric("shoal_feed_commits_total", "").await >= told + 2.0 * COMMITS as f64
    })
    .await;
    let stocks = "select string_agg(stock::text, ' ' order by id) from products where id <= ";
    let stocks = cluster.database.text(&format!("{stocks}{PRODUCTS}")).await.unwrap();
    let data = warm(&app, &query).await;
    let shown: Vec<_> = (1..=PRODUCTS).map(|key| data[format!("p{key}")]["stock"].to_string()).collect();
    assert_eq!(shown.join(" "), stocks);
}

#[tokio::test]
async fn a_transaction_that_changes_very_many_rows_is_seen() {
    let cluster = Cluster::alone().await;
    cluster.database.execute("insert into tags (name) select 'tag ' || i from generate_series(1, 1000000) i").await;
    let app = cluster.caching(&BOUND).await;
    let query = "{ tag(name: \"tag 7\") { id } tags(first: 2, filter: { namePrefix: \"tag 77\" }) { nodes { name } } }";
    let other = "{ user(id: \"VXNlcjox\") { name } }";
    warm(&app, query).await;
    warm(&app, other).await;
    let raised = app.metric("shoal_feed_floor_raises_total", "").await;
    cluster.database.execute("update tags set name = 'new ' || name where name like 'tag %'").await;
    eventually("the new names", async || {
        let data = see(&app, None, query).await.data;
        data["tag"].is_null() && data["tags"]["nodes"] == serde_json::json!([])
    })
    .await;
    assert!(warm(&app, query).await["tag"].is_null());
    eventually("the floor to be raised", async || {
        // By the transaction, or by a new slot where the old one fell silent over it.
        app.metric("shoal_feed_floor_raises_total", "").await > raised
    })
    .await;
    // Others follow at once again.
    app.caches().await;
    warm(&app, other).await;
    write_and_see(&cluster, &app, "after it").await;
}

#[tokio::test]
async fn a_forgotten_transaction_is_named_while_it_keeps_the_feed_waiting() {
    let cluster = Cluster::alone().await;
    cluster.database.execute("begin; update users set name = name where id = 2; prepare transaction 'forgotten'").await;
    let app = cluster.start(&BOUND).await;
    says(&app, "the prepared transaction forgotten").await;
    for name in ["not", "cached"] {
        write_and_see(&cluster, &app, name).await;
        assert!(!see(&app, None, USER).await.is_cached());
    }
    cluster.database.execute("rollback prepared 'forgotten'").await;
    app.caches().await;
    warm(&app, USER).await;
    write_and_see(&cluster, &app, "cached").await;
}

/// It leaves the end of the log in the middle of a record, for as long as it idles.
#[tokio::test]
async fn an_open_transaction_that_idles_does_not_stop_the_feed() {
    let cluster = Cluster::alone().await;
    let app = cluster.caching(&BOUND).await;
    let mut idle = cluster.stack.primary.connect("shoal").await;
    sqlx::raw_sql("begin; update users set name = 'uncommitted' where id = 2").execute(&mut idle).await.unwrap();
    for turn in 0..3 {
        write_and_see(&cluster, &app, &format!("idle {turn}")).await;
        warm(&app, USER).await;
    }
    eventually("the feed to be past what the primary was seen at", async || {
        app.health().await["feed"]["lag_ms"].as_u64().is_some_and(|lag| lag < 1000)
    })
    .await;
    idle.close().await.unwrap();
}
