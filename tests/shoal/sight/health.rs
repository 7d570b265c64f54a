//! `/health` and `/readyz`: each part and each state once. What there is is read from the sources.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::metrics::told;
use crate::support::cluster::{Cluster, health_of};
use crate::support::{Backend, Database, Gate, TestApp, eventually};

/// What `/health` is made of.
const PARTS: [(&str, &str, &str); 6] = [
    ("Report", "", include_str!("../../../src/http/probes.rs")),
    ("Health", "databases", include_str!("../../../src/data/databases/health.rs")),
    ("Health", "feed", include_str!("../../../src/data/feed.rs")),
    ("NotKept", "feed", include_str!("../../../src/data/feed.rs")),
    ("Usage", "cache", include_str!("../../../src/data/cache.rs")),
    ("Waiting", "queue", include_str!("../../../src/domain/job/operate.rs")),
];

/// The fields of a structure.
fn fields(name: &str, source: &str) -> Vec<String> {
    let file = syn::parse_file(source).unwrap();
    let structure = file.items.iter().find_map(|item| match item {
        syn::Item::Struct(found) if found.ident == name => Some(found),
        _ => None,
    });
    let fields = &structure.unwrap_or_else(|| panic!("no {name}")).fields;
    fields.iter().map(|field| field.ident.as_ref().unwrap().to_string()).collect()
}

/// What stands in quotes in a function.
fn quoted(function: &str, source: &str) -> Vec<String> {
    let body = source.split(&format!("fn {function}(")).nth(1).unwrap().split("\n}\n").next().unwrap();
    body.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn each_part_and_each_state_is_looked_at_by_a_test() {
    let tests = told::tests();
    for (name, part, source) in PARTS {
        for field in fields(name, source) {
            let is_looked_at = tests.contains(&format!("[\"{field}\"]")) || tests.contains(&format!("(\"{field}\", "));
            assert!(is_looked_at, "{part} {field}");
        }
    }
    let probes = PARTS[0].2;
    let states = quoted("judge", probes);
    assert!(states.len() >= 8, "{states:?}");
    for state in states.iter().chain(&quoted("readyz", probes)) {
        assert!(tests.contains(&format!("\"{state}\"")), "no test looks at {state}");
    }
}

/// The keys of an object.
fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn each_part_says_how_it_is() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let app = cluster.start(&[("SHOAL_DATABASE__POOL__SIZE", "2"), ("SHOAL_JOBS__IN_SERVER", "never")]).await;
    app.caches().await;
    let query = "{ user(id: \"VXNlcjox\") { name } }";
    eventually("hits", async || {
        app.query(query).await;
        app.health().await["cache"]["near_hits"].as_u64() > Some(0)
    })
    .await;
    eventually("all to be well", async || app.health().await["state"] == "all is well").await;
    let health = app.health().await;
    assert_eq!(
        (&health["status"], &health["redis"], &health["redis_breaker"]),
        (&json!("ok"), &json!(true), &json!("closed"))
    );
    assert_eq!(app.get("/readyz").await.text().await.unwrap(), "ok");

    let mut incarnations = BTreeMap::new();
    for node in health["databases"].as_array().unwrap() {
        let role = if node["node"] == "primary" { "primary" } else { "replica" };
        assert_eq!((&node["role"], &node["usable"]), (&json!(role), &json!(true)), "{node}");
        assert!(node["timeline"].as_u64() > Some(0) && node.get("why").is_none(), "{node}");
        assert!(node["position"].as_str().unwrap().contains('/'), "{node}");
        assert!(
            node["connections"].as_u64() >= node["idle"].as_u64() && node["connections"].as_u64() > Some(0),
            "{node}"
        );
        incarnations.insert(node["incarnation"].as_str().unwrap().to_owned(), node["node"].clone());
        if role == "replica" {
            assert!(node["lag_ms"].is_u64() && node["lag_bytes"].is_u64(), "{node}");
        }
    }
    assert_eq!(incarnations.len(), 3, "{incarnations:?}");
    assert_eq!(keys(&health["feed"]), BTreeSet::from(["applied", "follows", "lag_ms"]), "{health}");
    let cache = &health["cache"];
    assert!(cache["near_bytes"].as_u64() > Some(0) && cache["near_entries"].as_u64() > Some(0), "{cache}");
    assert!(cache["misses"].as_u64() > Some(0) && cache["far_hits"].is_u64(), "{cache}");
    assert!((0.0..=1.0).contains(&cache["hit_rate"].as_f64().unwrap()), "{cache}");

    assert_eq!(health["queue"], json!({}));
    let row = r#"('mail', '{"task":"welcome","user":1}', 1, current_timestamp - interval '1 hour')"#;
    app.database.execute(&format!("insert into jobs (kind, task, max_attempts, due_at) values {row}")).await;
    eventually("the job", async || app.health().await["queue"]["mail"]["jobs"] == 1).await;
    assert!(app.health().await["queue"]["mail"]["oldest_ms"].as_u64() >= Some(3_600_000));

    // Each waits for a connection, some in vain.
    cluster.replicas.iter().for_each(|gate| gate.slow_down(std::time::Duration::from_millis(100)));
    let users = |first: usize| format!("{{ users(first: {first}) {{ nodes {{ name }} }} }}");
    let asked = async {
        let all: Vec<_> = (1..16).map(|first| json!({ "query": users(first) })).collect();
        join_all(all.iter().map(|body| app.ask_as(None, body, &[]))).await;
    };
    let seen = eventually("statements at work", async || health_of(&app, "replica-1").await["busy"].as_u64() > Some(0));
    tokio::join!(asked, seen);
    eventually("waits", async || {
        let health = app.health().await;
        health["databases"].as_array().unwrap().iter().any(|node| node["waits"].as_u64() > Some(0))
    })
    .await;
    assert!(health_of(&app, "replica-1").await["timeouts"].is_u64());
}

#[tokio::test]
async fn a_table_that_is_not_kept_and_a_wait_in_vain_are_told() {
    let cluster = Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let settings = [("SHOAL_DATABASE__POOL__SIZE", "1"), ("SHOAL_DATABASE__POOL__ACQUIRE_TIMEOUT_MS", "200")];
    let app = cluster.caching(&settings).await;
    cluster.database.execute("alter table tags replica identity default").await;
    eventually("a table that is not kept", async || app.health().await["state"] == "a table is not cached").await;
    let health = app.health().await;
    let not_kept = &health["feed"]["not_kept"][0];
    assert_eq!((&health["status"], &not_kept["table"]), (&json!("degraded"), &json!("tags")), "{health}");
    assert!(not_kept["why"].as_str().unwrap().contains("replica identity"));
    cluster.database.execute("alter table tags replica identity full").await;
    eventually("all to be well", async || app.health().await["state"] == "all is well").await;

    let mut lock = cluster.stack.primary.connect(cluster.database.name()).await;
    sqlx::raw_sql("begin; lock table users in access exclusive mode").execute(&mut lock).await.unwrap();
    let write = |name: &str| {
        let query =
            format!("mutation {{ updateUser(input: {{ id: \"VXNlcjox\", name: \"{name}\" }}) {{ user {{ id }} }} }}");
        let request = reqwest::Client::new().post(app.at("/graphql")).json(&json!({ "query": query }));
        tokio::spawn(request.send())
    };
    let writes = [write("one"), write("two")];
    eventually("a wait in vain", async || health_of(&app, "primary").await["timeouts"].as_u64() > Some(0)).await;
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    for write in writes {
        assert!(write.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn readiness_says_why_not() {
    let database = std::sync::Arc::new(Database::demo(Backend::Postgres).await);
    let gate = Gate::open(crate::support::Stack::get().primary.url(database.name())).await;
    let settings =
        [("DATABASE_URL", gate.url().as_str()), ("REPLICA_URLS", ""), ("SHOAL_HTTP__SHUTDOWN_DELAY_MS", "60000")];
    let app = TestApp::start(database, &settings).await;
    let says = async |what: &str| {
        eventually(what, async || app.get("/readyz").await.text().await.unwrap() == what).await;
    };
    says("ok").await;
    gate.freeze();
    says("no database can be reached").await;
    assert_eq!(app.get("/readyz").await.status(), 503);
    assert_eq!(app.get("/livez").await.text().await.unwrap(), "ok");
    gate.thaw();
    says("ok").await;
    crate::operator::terminate(&app);
    says("stopping").await;
    assert_eq!((app.get("/readyz").await.status().as_u16(), app.get("/livez").await.status().as_u16()), (503, 200));
}
