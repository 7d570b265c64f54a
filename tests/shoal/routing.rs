//! Who answers a read: replicas that show what is needed, in turn; the primary where none does. What a client sees of it
//! when servers lag, hang, die, are promoted or come back as others.

mod tokens;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::Connection;

use crate::support::cluster::{
    Cluster, health_of, is_back, is_out, restock, restocked, restocked_at_last, stock, stock_in,
};
use crate::support::{Backend, Database, Gate, PATIENT, TestApp, eventually};

/// Longer than the bound, which these tests make shorter than it is by default.
const BOUND: [(&str, &str); 1] = [("SHOAL_DATABASE__MAX_STALENESS_MS", "1000")];

/// How often each node answers, of so many reads by so many strangers at once.
async fn shares(app: &TestApp, at_once: usize, each: usize) -> BTreeMap<String, usize> {
    let strangers = join_all((0..at_once).map(|_| async {
        let mut nodes = Vec::new();
        for _ in 0..each {
            nodes.push(stock(app, None).await.1);
        }
        nodes
    }));
    let mut shares = BTreeMap::new();
    for node in strangers.await.into_iter().flatten() {
        *shares.entry(node).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn replicas_share_the_reads_and_a_slow_one_gets_fewer() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    // The one with the fewest gets more while the other is slow, which on a busy machine is now this one and now that: less
    // so where both take longer.
    cluster.replicas.iter().for_each(|gate| gate.slow_down(Duration::from_millis(20)));
    for (policy, even) in [("round_robin", 180..=220), ("least_connections", 120..=280)] {
        let app = cluster.instance(&[("SHOAL_DATABASE__POLICY", policy), PATIENT]).await;
        let shares = shares(&app, 4, 100).await;
        assert_eq!(shares.keys().collect::<Vec<_>>(), ["replica-1", "replica-2"], "nothing is the primary's");
        assert!(shares.values().all(|share| even.contains(share)), "{policy}: {shares:?}");
    }
    // One client always meets the same.
    let app = cluster.instance(&[("SHOAL_DATABASE__POLICY", "client_hash"), PATIENT]).await;
    assert_eq!(shares(&app, 4, 20).await.len(), 1);

    let app = cluster.instance(&[PATIENT]).await;
    // Slower than the other is on any machine.
    cluster.replicas[0].slow_down(Duration::from_millis(200));
    let shares = shares(&app, 4, 30).await;
    assert!(shares["replica-1"] * 2 < shares["replica-2"] && !shares.contains_key("primary"), "{shares:?}");
}

#[tokio::test]
async fn own_writes_are_seen_everywhere_at_once_and_strangers_see_them_within_the_bound() {
    let cluster = Cluster::alone().await;
    let (here, there) = (cluster.instance(&BOUND).await, cluster.instance(&BOUND).await);
    // The number of those that have stopped.
    for paused in 0..=2 {
        if paused > 0 {
            cluster.on_replica(paused - 1, "select pg_wal_replay_pause()").await;
        }
        for turn in 0..10 {
            let (written, token) = restocked(&here, &format!("{paused}-{turn}")).await;
            for app in [&here, &there] {
                let (answer, node) = stock(app, Some(&token)).await;
                assert!(stock_in(&answer) >= written, "{paused} stand still: {node} has {}", answer.json);
                assert!(paused < 2 || node == "primary", "{node}");
            }
        }
        let (written, _) = restocked(&there, &format!("{paused}-last")).await;
        for app in [&here, &there] {
            eventually("a stranger to see it", async || stock_in(&stock(app, None).await.0) >= written).await;
        }
        if paused == 0 {
            cluster.stack.wait_for_replicas().await;
        }
        for place in 1..=paused {
            is_out(&there, &format!("replica-{place}"), "lags behind").await;
        }
        // From here on, whoever asks.
        for _ in 0..20 {
            let (answer, node) = stock(&there, None).await;
            assert!(stock_in(&answer) >= written, "{node}: {}", answer.json);
            assert_eq!(answer.json["extensions"]["shoal"]["stale"], json!(null));
        }
    }
    let report = there.health().await;
    assert_eq!((&report["state"], &report["status"]), (&json!("no replica"), &json!("degraded")));
    assert!(health_of(&there, "replica-1").await["lag_bytes"].as_u64().unwrap() > 0);
    for place in 0..2 {
        cluster.on_replica(place, "select pg_wal_replay_resume()").await;
        is_back(&there, &format!("replica-{}", place + 1)).await;
    }
    assert_eq!(shares(&there, 1, 20).await.get("primary"), None);
}

/// Such a replica takes reads again before it has replayed all that it had shown before.
#[tokio::test]
async fn a_replica_that_was_killed_shows_nothing_older_than_it_had() {
    let cluster = Cluster::alone().await;
    let app = cluster.instance(&BOUND).await;
    cluster
        .database
        .execute("create table filler as select repeat(md5(i::text), 32) from generate_series(1, 300000) i")
        .await;
    cluster.stack.wait_for_replicas().await;
    let before = health_of(&app, "replica-1").await;
    cluster.tell(&["kill", "replica1"]);
    let mut written = (0, None);
    let mut turn = 0;
    let mut write_and_read = async || {
        turn += 1;
        let (stock_now, token) = restocked_at_last(&app, &format!("turn-{turn}")).await;
        written = (stock_now, Some(token));
        for _ in 0..5 {
            let (answer, node) = stock(&app, written.1.as_deref()).await;
            assert!(stock_in(&answer) >= written.0, "{node}: {}", answer.json);
        }
    };
    for _ in 0..5 {
        write_and_read().await;
    }
    is_out(&app, "replica-1", "").await;
    cluster.tell(&["start", "replica1"]);
    eventually("the replica to be used again", async || {
        write_and_read().await;
        health_of(&app, "replica-1").await["usable"] == true
    })
    .await;
    for _ in 0..20 {
        write_and_read().await;
    }
    let after = health_of(&app, "replica-1").await;
    assert_ne!(after["incarnation"], before["incarnation"]);
    eventually("it to answer", async || stock(&app, None).await.1 == "replica-1").await;
}

#[tokio::test]
async fn a_replica_that_never_answers_is_left_alone() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.instance(&[]).await;
    cluster.replicas[0].freeze();
    // Some of these meet it; all are answered.
    let shares = shares(&app, 8, 10).await;
    assert_eq!(shares.values().sum::<usize>(), 80);
    assert!(!shares.contains_key(""), "{shares:?}");
    is_out(&app, "replica-1", "does not answer").await;
    let report = app.health().await;
    assert_eq!((&report["state"], &report["status"]), (&json!("a replica is lost"), &json!("degraded")));
    assert_eq!(self::shares(&app, 4, 10).await, BTreeMap::from([("replica-2".to_owned(), 40)]));
    cluster.replicas[0].thaw();
    is_back(&app, "replica-1").await;
    for change in ["a server cannot be used", "a server answers again"] {
        let said = || app.log().lines().filter(|line| line.contains(change) && line.contains("replica-1")).count();
        eventually(change, async || said() > 0).await;
        assert_eq!(said(), 1, "{change}: {}", app.log());
    }
}

/// What a client is told with 57P01, and what it is not told.
#[tokio::test]
async fn sessions_that_a_replica_ends_are_begun_anew() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.instance(&[]).await;
    let mut replica = cluster.replica(0).await;
    for _ in 0..20 {
        let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()";
        sqlx::query(ended).execute(&mut replica).await.unwrap();
        let shares = shares(&app, 4, 4).await;
        assert!(!shares.contains_key(""), "{shares:?}");
    }
    replica.close().await.unwrap();
    is_back(&app, "replica-1").await;
}

#[tokio::test]
async fn with_all_replicas_gone_writes_go_on_and_reads_are_bounded() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    // What is refused is to be refused by the primary's limit, not at the door.
    let app = cluster.instance(&[("SHOAL_DATABASE__PRIMARY_READS", "2"), ("SHOAL_ADMISSION__IN_WORK", "100")]).await;
    cluster.replicas.iter().for_each(Gate::freeze);
    for node in ["replica-1", "replica-2"] {
        is_out(&app, node, "does not answer").await;
    }
    let report = app.get("/health").await;
    assert_eq!((report.status().as_u16(), app.get("/readyz").await.status().as_u16()), (200, 200));
    let writes = async {
        for turn in 0..20 {
            restocked(&app, &format!("turn-{turn}")).await;
        }
    };
    let reads = join_all((0..32).map(|_| async {
        for _ in 0..10 {
            let (answer, node) = stock(&app, None).await;
            match answer.json.get("errors") {
                None => assert_eq!(node, "primary"),
                Some(errors) => assert_eq!(errors[0]["extensions"]["code"], "UNAVAILABLE"),
            }
        }
    }));
    tokio::join!(writes, reads);
    // A slow primary shows that there is a limit, and what a client is told then.
    cluster.primary.slow_down(Duration::from_millis(200));
    let refused = join_all((0..16).map(|_| async {
        let body = json!({ "query": "{ products(first: 1) { nodes { stock } } }" });
        let response = reqwest::Client::new().post(app.at("/graphql")).json(&body).send().await.unwrap();
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let answer: serde_json::Value = response.json().await.unwrap();
        assert_eq!(retry_after.is_some(), answer.get("errors").is_some(), "{answer}");
        retry_after
    }))
    .await;
    assert!(refused.iter().flatten().all(|seconds| seconds == "1"));
    assert!((1..16).contains(&refused.iter().flatten().count()), "{refused:?}");
    assert!(app.metric("shoal_reads_refused_total", "").await > 0.0);
}

/// A promoted replica is none; a primary that is lost is not waited for; another in its place is found by itself.
#[tokio::test]
async fn a_failover() {
    let cluster = Cluster::alone().await;
    let app = cluster.instance(&BOUND).await;
    let (before, old_token) = restocked(&app, "before").await;
    cluster.stack.wait_for_replicas().await;

    cluster.tell(&["kill", "primary"]);
    is_out(&app, "primary", "").await;
    let answer = restock(&app, "lost").await;
    assert_eq!(answer.refusal().0, "UNAVAILABLE");
    // One that was behind when it happened is taken again once nobody knows how far.
    eventually("replicas to be enough", async || app.get("/readyz").await.status() == 200).await;
    let report = app.get("/health").await;
    assert_eq!(report.status().as_u16(), 503);
    assert_eq!(report.json::<serde_json::Value>().await.unwrap()["state"], "no primary");
    // Replicas answer, and say that they do not know how old it is.
    eventually("answers that are marked", async || {
        let (answer, _) = stock(&app, Some(&old_token)).await;
        assert_eq!(stock_in(&answer), before);
        answer.json["extensions"]["shoal"]["stale"] == true
    })
    .await;

    cluster.on_replica(0, "select pg_promote()").await;
    is_out(&app, "replica-1", "not a replica").await;
    cluster.primary.lead_to(&cluster.stack.replicas[0].url(cluster.database.name()));
    is_back(&app, "primary").await;
    // Its writes work again; the other replica still follows who is gone.
    let (after, token) = restocked_at_last(&app, "after").await;
    assert_eq!(after, before + 1);
    is_out(&app, "replica-2", "another timeline").await;
    for _ in 0..10 {
        let (answer, node) = stock(&app, Some(&token)).await;
        assert_eq!((stock_in(&answer), node.as_str()), (after, "primary"));
        assert_eq!(answer.token, None, "what it has is still good");
    }
    // Positions of before say nothing now.
    let (answer, _) = stock(&app, Some(&old_token)).await;
    assert_eq!(stock_in(&answer), after);
    assert!(answer.token.is_some_and(|new| new != old_token));
    assert!(app.metric("shoal_tokens_total", "outcome=\"of_another_universe\"").await > 0.0);
    // The same key, which was refused when there was nobody to take it.
    assert_eq!(restocked(&app, "lost").await.0, after + 1);
}

#[tokio::test]
async fn a_primary_that_takes_no_writes_is_none() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.instance(&BOUND).await;
    // A replica in its place.
    cluster.primary.lead_to(&cluster.stack.replicas[0].url(cluster.database.name()));
    is_out(&app, "primary", "it is a replica").await;
    assert_eq!(restock(&app, "a").await.refusal().0, "UNAVAILABLE");
    assert!(stock_in(&stock(&app, None).await.0) >= 0);
    cluster.primary.lead_to(&cluster.stack.primary.url(cluster.database.name()));
    is_back(&app, "primary").await;
    restocked_at_last(&app, "a").await;

    cluster
        .database
        .execute(&format!("alter database {} set default_transaction_read_only = on", cluster.database.name()))
        .await;
    cluster.primary.lead_to(&cluster.stack.primary.url(cluster.database.name()));
    // Our sessions say otherwise for themselves, and so are not kept from writing.
    is_back(&app, "primary").await;
    restocked_at_last(&app, "b").await;
}

#[tokio::test]
async fn with_nobody_left_all_is_refused_at_once() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.instance(&BOUND).await;
    let Cluster { primary, replicas, .. } = &cluster;
    replicas.iter().chain([primary]).for_each(Gate::freeze);
    for node in ["primary", "replica-1", "replica-2"] {
        is_out(&app, node, "does not answer").await;
    }
    assert_eq!(stock(&app, None).await.0.refusal().0, "UNAVAILABLE");
    assert_eq!(restock(&app, "a").await.refusal().0, "UNAVAILABLE");
    let report = app.get("/health").await;
    assert_eq!((report.status().as_u16(), app.get("/readyz").await.status().as_u16()), (503, 503));
    assert_eq!(report.json::<serde_json::Value>().await.unwrap()["state"], "no database");
    replicas.iter().chain([primary]).for_each(Gate::thaw);
    for node in ["primary", "replica-1", "replica-2"] {
        is_back(&app, node).await;
    }
    restocked(&app, "b").await;
}
