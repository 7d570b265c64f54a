//! The tiers: why they do not serve what they are asked for, what they hold, how they are.

use serde_json::{Value, json};

use super::{grows, is, moves};
use crate::support::cluster::Cluster;
use crate::support::{Backend, Database, Gate, TestApp, eventually};

const USER: &str = "{ user(id: \"VXNlcjox\") { name } }";

/// Asks as whoever has this token, for what it costs, so that no whole answer is kept.
async fn see(app: &TestApp, token: Option<&str>) -> Value {
    let answer = app.ask_as(token, &json!({ "query": USER }), &[("shoal-trace", "1")]).await;
    assert_eq!(answer.json.get("errors"), None, "{}", answer.json);
    answer.json
}

/// Asks until the near tier has it.
async fn warm(app: &TestApp) {
    eventually("it to be near", async || see(app, None).await["extensions"]["shoal"]["batches"][0]["near"] == 1).await;
}

async fn renamed(app: &TestApp, name: &str) -> String {
    let query = "mutation ($name: String!) { updateUser(input: { id: \"VXNlcjox\", name: $name }) { user { name } } }";
    let answer = app.ask_as(None, &json!({ "query": query, "variables": { "name": name } }), &[]).await;
    answer.token.unwrap()
}

/// A namespace of a test's own.
fn namespace(of: &str) -> String {
    format!("{of} {}", std::process::id())
}

#[tokio::test]
async fn the_near_tier_says_why_it_does_not_serve() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let namespace = namespace("misses");
    let settings = [
        ("SHOAL_CACHE__REFRESH", "false"),
        ("SHOAL_CACHE__AUDIT_PER_MILLE", "0"),
        ("SHOAL_DATABASE__MAX_STALENESS_MS", "1000"),
        ("SHOAL_CACHE__NAMESPACE", namespace.as_str()),
    ];
    // One whose way to the primary is its own.
    let gate = Gate::open(cluster.stack.primary.url(cluster.database.name())).await;
    let here = cluster.caching(&settings).await;
    let there = cluster.caching(&[&settings[..], &[("DATABASE_URL", gate.url().as_str())]].concat()).await;
    let near = "resource=\"users\",tier=\"near\"";
    let cold = [
        ("shoal_cache_misses_total", "resource=\"users\",tier=\"near\",reason=\"absent\""),
        ("shoal_cache_fills_total", "resource=\"users\",tier=\"near\""),
        ("shoal_cache_near_entries", ""),
        ("shoal_cache_near_bytes", ""),
    ];
    moves(&there, &cold, async || warm(&there).await).await;
    moves(&there, &[("shoal_cache_hits_total", near)], async || warm(&there).await).await;
    grows(&there, ("shoal_cache_hit_rate", ""), 0.0).await;
    let age = ("shoal_cache_age_seconds_count", "tier=\"near\"");
    moves(&there, &[age], async || {
        // Of some hits the age is told.
        let before = there.metric(age.0, age.1).await;
        eventually("an age", async || {
            see(&there, None).await;
            there.metric(age.0, age.1).await > before
        })
        .await;
    })
    .await;
    moves(
        &there,
        &[("shoal_cache_misses_total", "resource=\"users\",tier=\"near\",reason=\"behind_fence\"")],
        async || {
            cluster.database.execute("update users set name = 'fence' where id = 1").await;
            eventually("the new name", async || see(&there, None).await["data"]["user"]["name"] == "fence").await;
        },
    )
    .await;
    warm(&there).await;
    // What it is not told, its client knows.
    moves(
        &there,
        &[("shoal_cache_misses_total", "resource=\"users\",tier=\"near\",reason=\"behind_token\"")],
        async || {
            gate.freeze();
            let token = renamed(&here, "token").await;
            let seen = see(&there, Some(&token)).await;
            assert_eq!(seen["data"]["user"]["name"], "token");
            // It has waited for the log in vain (`TOKEN_WAIT`), and says how long.
            let took = &seen["extensions"]["shoal"]["batches"][0]["milliseconds"];
            assert!(took.as_f64().unwrap() >= 25.0, "{took}");
        },
    )
    .await;
    gate.close().await;
    is(&there, ("shoal_feed_follows", ""), 0.0).await;
}

#[tokio::test]
async fn what_is_old_has_expired() {
    let database = std::sync::Arc::new(Database::demo(Backend::Sqlite).await);
    let app = TestApp::start(database, &[("SHOAL_CACHE__TTL_S", "1")]).await;
    eventually("it to expire", async || {
        warm(&app).await;
        app.metric("shoal_cache_misses_total", "reason=\"expired\"").await > 0.0
    })
    .await;
}

#[tokio::test]
async fn the_far_tier_is_seen_to_serve_to_fail_and_to_be_left_alone() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let gate = Gate::open(cluster.stack.redis.clone()).await;
    let namespace = namespace("far");
    let settings = [
        ("REDIS_URL", gate.url().as_str()),
        ("SHOAL_CACHE__NAMESPACE", namespace.as_str()),
        ("SHOAL_CACHE__AUDIT_PER_MILLE", "0"),
        ("SHOAL_RATE__PER_SECOND", "50000"),
        ("SHOAL_REDIS__FILL_QUEUE", "1"),
    ];
    // All that is asked for is asked of the far tier.
    let app = cluster.caching(&[&settings[..], &[("SHOAL_CACHE__NEAR_BYTES", "0")]].concat()).await;
    let served = [
        ("shoal_cache_misses_total", "tier=\"far\",reason=\"absent\""),
        ("shoal_cache_fills_total", "tier=\"far\""),
        ("shoal_cache_hits_total", "tier=\"far\""),
        ("shoal_far_requests_total", "outcome=\"ok\""),
        ("shoal_far_requests_total", "command=\"fill\",outcome=\"ok\""),
        ("shoal_far_requests_total", "command=\"script\",outcome=\"ok\""),
        ("shoal_far_seconds_count", "command=\"get\""),
        ("shoal_far_bytes_total", "direction=\"read\""),
        ("shoal_far_bytes_total", "direction=\"written\""),
    ];
    moves(&app, &served, async || {
        eventually("it to be far", async || see(&app, None).await["extensions"]["shoal"]["batches"][0]["far"] == 1)
            .await;
    })
    .await;
    assert_eq!(app.metric("shoal_far_breaker_open", "").await, 0.0);
    let lost = [
        ("shoal_far_requests_total", "outcome=\"failed\""),
        ("shoal_far_requests_total", "outcome=\"breaker\""),
        ("shoal_cache_misses_total", "tier=\"far\",reason=\"failed\""),
        ("shoal_cache_misses_total", "tier=\"far\",reason=\"breaker\""),
        ("shoal_far_fills_dropped_total", ""),
        ("shoal_far_breaker_open", ""),
    ];
    moves(&app, &lost, async || {
        gate.freeze();
        eventually("it to be left alone", async || {
            see(&app, None).await;
            let (failed, breaker) = ("tier=\"far\",reason=\"failed\"", "tier=\"far\",reason=\"breaker\"");
            app.metric("shoal_cache_misses_total", failed).await > 0.0
                && app.metric("shoal_cache_misses_total", breaker).await > 0.0
                && app.metric("shoal_far_fills_dropped_total", "").await > 0.0
        })
        .await;
    })
    .await;
    gate.thaw();
    eventually("it to be asked again", async || {
        see(&app, None).await;
        app.metric("shoal_far_breaker_open", "").await == 0.0
    })
    .await;

    // Where it never has what is asked for, most do without it.
    let app = cluster.caching(&settings).await;
    let mut first = 1_000_000;
    eventually("it to be passed over", async || {
        let ids: Vec<_> = (first..first + 100).map(|key| crate::model::global("User", key)).collect();
        first += 100;
        app.query_with("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": ids })).await;
        app.metric("shoal_cache_misses_total", "tier=\"far\",reason=\"skipped\"").await > 0.0
    })
    .await;
    grows(&app, ("shoal_cache_misses_total", "tier=\"far\",reason=\"absent\""), 0.0).await;
}
