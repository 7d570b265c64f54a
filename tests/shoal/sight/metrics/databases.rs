//! Which server answers, and why; how servers are; what the log of the primary tells.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::{grows, is, moves};
use crate::support::cluster::{Cluster, is_back, is_out, restocked, stock};
use crate::support::{Backend, Database, Gate, PATIENT, TestApp, eventually};

const BOUND: (&str, &str) = ("SHOAL_DATABASE__MAX_STALENESS_MS", "1000");
const USER: &str = "{ user(id: \"VXNlcjox\") { name } }";

#[tokio::test]
async fn each_read_says_why_its_server_was_asked() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.instance(&[]).await;
    until(&app, ("shoal_reads_total", "reason=\"policy\""), async || {
        stock(&app, None).await;
    })
    .await;
    until(&app, ("shoal_reads_total", "reason=\"latest\""), async || {
        app.ask_as(None, &json!({ "query": USER }), &[("cache-control", "no-cache")]).await;
    })
    .await;
    until(&app, ("shoal_reads_total", "reason=\"after_write\""), async || {
        let query =
            "mutation { updateUser(input: { id: \"VXNlcjox\", name: \"A\" }) { user { posts { totalCount } } } }";
        app.ask(&json!({ "query": query })).await;
    })
    .await;
    assert_eq!(app.metric("shoal_reads_total", "reason=\"retried\"").await, 0.0);
    moves(&app, &[("shoal_reads_total", "reason=\"retried\"")], async || {
        cluster.replicas[0].freeze();
        is_out_in_use(&app, "replica-1").await;
    })
    .await;
    is(&app, ("shoal_node_up", "node=\"replica-1\""), 0.0).await;
    is(&app, ("shoal_replica_usable", "node=\"replica-1\""), 0.0).await;
    is(&app, ("shoal_node_up", "node=\"replica-2\""), 1.0).await;
    assert_eq!(app.metric("shoal_reads_total", "reason=\"lost\"").await, 0.0);
    moves(&app, &[("shoal_reads_total", "reason=\"lost\"")], async || {
        cluster.replicas[1].freeze();
        is_out_in_use(&app, "replica-2").await;
        stock(&app, None).await;
    })
    .await;
    cluster.replicas.iter().for_each(Gate::thaw);
    is_back(&app, "replica-1").await;
    is(&app, ("shoal_replica_usable", "node=\"replica-1\""), 1.0).await;

    let alone = cluster.instance(&[("REPLICA_URLS", "")]).await;
    until(&alone, ("shoal_reads_total", "reason=\"only\""), async || {
        stock(&alone, None).await;
    })
    .await;
}

/// Does something, again while a busy machine keeps it from happening, until this has grown.
async fn until(app: &TestApp, (name, label): super::Told, deed: impl AsyncFn()) {
    let before = app.metric(name, label).await;
    eventually(&format!("{name} {{{label}}}"), async || {
        deed().await;
        app.metric(name, label).await > before
    })
    .await;
}

/// Asks until a server is no longer asked.
async fn is_out_in_use(app: &TestApp, node: &str) {
    eventually("some to meet it", async || {
        join_all((0..4).map(|_| stock(app, None))).await;
        app.metric("shoal_node_up", &format!("node=\"{node}\"")).await == 0.0
    })
    .await;
}

#[tokio::test]
async fn replicas_that_lag_are_waited_for_or_passed_over() {
    let cluster = Cluster::alone().await;
    let app = cluster.instance(&[BOUND]).await;
    let mut turn = 0;
    let mut own_write = async || {
        turn += 1;
        let (_, token) = restocked(&app, &format!("turn {turn}")).await;
        stock(&app, Some(&token)).await;
    };
    // Right after a write no replica is known to have it; soon one has.
    eventually("a wait that was worth it", async || {
        own_write().await;
        app.metric("shoal_reads_total", "reason=\"waited\"").await > 0.0
    })
    .await;
    grows(&app, ("shoal_token_waits_total", "outcome=\"reached\""), 0.0).await;
    for place in 0..2 {
        cluster.on_replica(place, "select pg_wal_replay_pause()").await;
    }
    let told = [
        ("shoal_token_waits_total", "outcome=\"gave_up\""),
        ("shoal_reads_total", "reason=\"behind\""),
        ("shoal_replica_lag_bytes", "node=\"replica-1\""),
        ("shoal_replica_lag_seconds", "node=\"replica-2\""),
        ("shoal_node_position", "node=\"primary\""),
    ];
    moves(&app, &told, async || own_write().await).await;
    is_out(&app, "replica-1", "lags behind").await;
    is(&app, ("shoal_replica_usable", "node=\"replica-1\""), 0.0).await;
    is(&app, ("shoal_node_up", "node=\"replica-1\""), 1.0).await;
    for place in 0..2 {
        cluster.on_replica(place, "select pg_wal_replay_resume()").await;
    }
    is(&app, ("shoal_replica_lag_bytes", "node=\"replica-1\""), 0.0).await;
    is(&app, ("shoal_replica_lag_seconds", "node=\"replica-1\""), 0.0).await;
}

/// A row has just changed, replicas do not show that, and the primary has no room: what they have is not too old to be shown.
#[tokio::test]
async fn a_crowd_is_shown_what_replicas_have() {
    let cluster = Cluster::alone().await;
    let settings = [
        PATIENT,
        ("SHOAL_DATABASE__PRIMARY_READS", "1"),
        ("SHOAL_CACHE__REFRESH", "false"),
        ("SHOAL_ADMISSION__IN_WORK", "100"),
    ];
    let app = cluster.caching(&settings).await;
    for place in 0..2 {
        cluster.on_replica(place, "select pg_wal_replay_pause()").await;
    }
    moves(&app, &[("shoal_feed_commits_total", ""), ("shoal_feed_position", "")], async || {
        cluster.database.execute("update users set name = 'new'").await;
    })
    .await;
    cluster.primary.slow_down(Duration::from_millis(200));
    eventually("a crowd", async || {
        let query = |id: usize| json!({ "query": format!("{{ user(id: \"{}\") {{ name }} }}", crate::model::global("User", id)) });
        let all: Vec<_> = (1..10).map(query).collect();
        let answers = join_all(all.iter().map(|body| app.ask_as(None, body, &[]))).await;
        assert!(answers.iter().all(|answer| answer.json.get("errors").is_none()));
        app.metric("shoal_reads_total", "reason=\"crowded\"").await > 0.0
    })
    .await;
}

/// What a replica has to replay does not wait for its readers: they are sent to the next.
#[tokio::test]
async fn reads_that_a_replica_gives_up_are_counted() {
    let cluster = Cluster::alone().await;
    // The other waits for its readers, and so can be asked instead.
    cluster.on_replica(0, "alter system set max_standby_streaming_delay = 0").await;
    cluster.on_replica(0, "select pg_reload_conf()").await;
    // Whoever reads of it takes a while.
    let slow = "alter table tags rename to tags_kept;
        create view tags as select * from tags_kept where pg_sleep(0.01) is not null";
    cluster.database.execute(slow).await;
    cluster.stack.wait_for_replicas().await;
    let app = cluster.instance(&[]).await;
    let mut connection = cluster.stack.primary.connect(cluster.database.name()).await;
    let way = tokio::spawn(async move {
        let lock = "begin; lock table tags_kept in access exclusive mode; commit";
        while sqlx::raw_sql(lock).execute(&mut connection).await.is_ok() {}
    });
    eventually("a read that was in the way", async || {
        let answer = app.query("{ tags(first: 3) { nodes { name } } }").await;
        assert!(answer["tags"]["nodes"].is_array());
        app.metric("shoal_sql_conflicts_total", "node=\"replica-1\"").await > 0.0
    })
    .await;
    way.abort();
    grows(&app, ("shoal_reads_total", "reason=\"retried\""), 0.0).await;
}

#[tokio::test]
async fn the_feed_says_how_far_it_is_and_what_held_it_up() {
    let cluster = Cluster::alone().await;
    let app = cluster.caching(&[BOUND]).await;
    is(&app, ("shoal_feed_follows", ""), 1.0).await;
    grows(&app, ("shoal_feed_floor_raises_total", "reason=\"new_slot\""), 0.0).await;
    let changed =
        [("shoal_feed_fingerprint_changes_total", ""), ("shoal_feed_floor_raises_total", "reason=\"fingerprint\"")];
    moves(&app, &changed, async || {
        cluster.database.execute("alter table tags replica identity default").await;
        cluster.database.execute("alter table tags replica identity full").await;
    })
    .await;
    moves(&app, &[("shoal_feed_floor_raises_total", "reason=\"large_or_truncated\"")], async || {
        cluster.database.execute("truncate post_tags").await;
    })
    .await;
    eventually("something to be kept", async || {
        app.query("{ user(id: \"VXNlcjoy\") { name } }").await;
        app.metric("shoal_cache_hits_total", "tier=\"near\"").await > 0.0
    })
    .await;
    assert_eq!(app.metric("shoal_cache_misses_total", "reason=\"behind_bound\"").await, 0.0);
    // A commit that is in the log, and that nobody sees yet: it waits for a replica that there is not.
    moves(&app, &[("shoal_feed_barrier_waits_total", "")], async || {
        cluster.database.execute("alter system set synchronous_standby_names = 'nobody'").await;
        cluster.database.execute("select pg_reload_conf()").await;
        let database = cluster.database.clone();
        let write = tokio::spawn(async move { database.execute("update users set name = 'late' where id = 1").await });
        grows(&app, ("shoal_feed_barrier_waits_total", ""), 0.0).await;
        // The feed stands meanwhile, and so what is kept grows too old.
        grows(&app, ("shoal_feed_lag_seconds", ""), 0.2).await;
        eventually("what is kept to be too old", async || {
            app.query("{ user(id: \"VXNlcjoy\") { name } }").await;
            app.metric("shoal_cache_misses_total", "reason=\"behind_bound\"").await > 0.0
        })
        .await;
        let mut primary = cluster.stack.primary.connect("shoal").await;
        sqlx::raw_sql("alter system reset synchronous_standby_names").execute(&mut primary).await.unwrap();
        sqlx::raw_sql("select pg_reload_conf()").execute(&mut primary).await.unwrap();
        write.await.unwrap();
    })
    .await;
    is(&app, ("shoal_feed_follows", ""), 1.0).await;
    until(&app, ("shoal_feed_losses_total", ""), async || {
        let cut = "select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'shoal feed'";
        cluster.database.execute(cut).await;
    })
    .await;
    is(&app, ("shoal_feed_follows", ""), 1.0).await;
}
