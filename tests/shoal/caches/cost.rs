//! What the caches save, and that they cost nothing: statements, as the servers count them.

use std::sync::Arc;

use serde_json::json;

use super::{see, warm};
use crate::statements::Counted;
use crate::support::{Backend, CACHES_OFF, Database, TestApp, eventually};

const QUERIES: [&str; 5] = [
    "{ user(id: \"VXNlcjox\") { name email } }",
    "{ posts(first: 20) { totalCount nodes { title commentCount author { name } tags { nodes { name } } } } }",
    "{ user(id: \"VXNlcjo3MQ\") { orders(first: 10) { nodes { status items { nodes { quantity product { name } } } } } } }",
    "{ products(first: 20, filter: { search: \"shoe\" }) { nodes { name description unitsSold buyers(first: 2) { nodes { name } } } } }",
    "{ nodes(ids: [\"VXNlcjox\", \"UG9zdDox\", \"VXNlcjo5OTk5OTk\"]) { id } tag(name: \"nothing\") { id } }",
];

/// The primary and the replicas count: nobody is asked anything.
#[tokio::test]
async fn what_the_tiers_serve_runs_no_sql_and_what_they_do_not_no_more_than_without() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let mut without = Counted::of(TestApp::start(database.clone(), &[CACHES_OFF]).await).await;
    let audits_off = ("SHOAL_CACHE__AUDIT_PER_MILLE", "0");
    for query in QUERIES {
        // New each time: nothing is warm, near or far.
        let namespace = format!("{:p}", query);
        let app = TestApp::start(database.clone(), &[audits_off, ("SHOAL_CACHE__NAMESPACE", &namespace)]).await;
        app.all_usable().await;
        app.caches().await;
        let mut with = Counted::of(app).await;
        assert_eq!(with.statements(query).await, without.statements(query).await, "cold: {query}");
        let data = warm(&with.app, query).await;
        let before = with.counted().await;
        let again = see(&with.app, None, query).await;
        assert_eq!((again.statements, &again.data), (0, &data), "{query}");
        assert_eq!(with.counted().await, before, "warm: {query}");
    }
}

/// A list does not change with a column that it does not look at.
#[tokio::test]
async fn a_row_that_has_changed_is_read_again_and_its_lists_are_not() {
    let cluster = crate::support::cluster::Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let settings = [("SHOAL_CACHE__AUDIT_PER_MILLE", "0"), ("SHOAL_CACHE__REFRESH", "false")];
    let app = cluster.caching(&settings).await;
    let query = "{ products(first: 20) { nodes { id stock } } }";
    let mut data = warm(&app, query).await;
    let product = data["products"]["nodes"][7].take();
    let input = json!({ "id": product["id"], "delta": 3, "idempotencyKey": "three more" });
    let mutation = "mutation ($input: AdjustStockInput!) { adjustStock(input: $input) { userErrors { message } } }";
    let adjusted = app.query_with(mutation, json!({ "input": input })).await;
    assert_eq!(adjusted["adjustStock"]["userErrors"], json!([]));
    let seen = see(&app, None, query).await;
    assert_eq!(seen.statements, 1, "the row");
    data["products"]["nodes"][7] = json!({ "id": product["id"], "stock": product["stock"].as_i64().unwrap() + 3 });
    assert_eq!(seen.data, data);
    assert_eq!(warm(&app, query).await, data);
}

/// Equal loads of requests that come together are one.
#[tokio::test]
async fn equal_loads_share_one_flight() {
    let cluster = crate::support::cluster::Cluster::shared(Database::demo(Backend::Postgres).await).await;
    let settings = [("SHOAL_CACHE__AUDIT_PER_MILLE", "0"), ("SHOAL_ADMISSION__IN_WORK", "100")];
    let app = cluster.caching(&settings).await;
    let mut first = 0;
    eventually("a replica that shows enough", async || {
        first += 1;
        see(&app, None, &format!("{{ products(first: {first}) {{ nodes {{ name }} }} }}")).await;
        app.metric("shoal_reads_total", "node=\"replica").await > 0.0
    })
    .await;
    // All of them are under way before the first has its answer.
    cluster.replicas.iter().for_each(|gate| gate.slow_down(std::time::Duration::from_millis(300)));
    let query = "{ users(first: 50) { nodes { name } } }";
    let many = futures_util::future::join_all((0..50).map(|_| see(&app, None, query))).await;
    let statements: u64 = many.iter().map(|seen| seen.statements).sum();
    assert!(statements <= 2, "{statements} statements for 50 equal requests");
    assert!(many.iter().all(|seen| seen.data == many[0].data));
    assert!(app.metric("shoal_loads_joined_total", "users").await >= 40.0);
}
