//! What operations may cost: those that GraphiQL shows first, as PostgreSQL counts, and whatever a server is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::statements::Counted;
use crate::support::{Backend, CACHES_OFF, Database, TestApp, eventually};

const EXAMPLES: &str = include_str!("../../../web/src/examples.js");
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets.toml");

fn budgets() -> BTreeMap<String, usize> {
    let file: toml::Table = std::fs::read_to_string(MANIFEST).unwrap().parse().unwrap();
    let number = |value: &toml::Value| usize::try_from(value.as_integer().unwrap()).unwrap();
    file["statements"].as_table().unwrap().iter().map(|(name, value)| (name.clone(), number(value))).collect()
}

/// Name and document of each operation that GraphiQL shows, but for those that subscribe.
fn examples() -> Vec<(&'static str, &'static str)> {
    let documents = EXAMPLES.split("= `").skip(1).map(|rest| rest.split('`').next().unwrap());
    let named = documents.filter_map(|document| {
        let words = document.lines().find(|line| line.starts_with("query ") || line.starts_with("mutation "))?;
        let name = words.split(' ').nth(1).unwrap().split('(').next().unwrap();
        Some((name, document))
    });
    named.collect()
}

fn variables(operation: &str) -> Value {
    let (user, post) = ("VXNlcjo3MQ", "UG9zdDox");
    match operation {
        "Customer" => json!({ "id": user }),
        "AddComment" => json!({ "input": { "postId": post, "authorId": user, "body": "Well said." } }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn what_graphiql_shows_costs_what_it_may_and_no_more() {
    let budgets = budgets();
    let examples = examples();
    let names: BTreeSet<_> = examples.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, budgets.keys().cloned().collect(), "each example has a budget, and nothing else has");
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let app = TestApp::start(database, &[CACHES_OFF, ("SHOAL_GRAPHQL__BUDGETS", MANIFEST)]).await;
    let mut counted = Counted::of(app).await;
    for (name, document) in examples {
        let body = json!({ "query": document, "variables": variables(name) });
        let cost = counted.statements_of(&body).await;
        // What may be less is to be less.
        assert_eq!(cost, budgets[name], "{name}");
    }
    assert_eq!(counted.app.metric("shoal_sql_budget_exceeded_total", "").await, 0.0);
    assert!(!counted.app.log().contains("more statements than it may"));
}

#[tokio::test]
async fn who_costs_more_is_counted_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("budgets.toml");
    std::fs::write(&file, "[statements]\nFront = 2\nCheap = 2").unwrap();
    let database = Arc::new(Database::demo(Backend::Sqlite).await);
    let settings = [("SHOAL_GRAPHQL__BUDGETS", file.to_str().unwrap()), ("SHOAL_LOG__FORMAT", "json"), CACHES_OFF];
    let app = TestApp::start(database, &settings).await;
    let exceeded = async |operation: &str| {
        app.metric("shoal_sql_budget_exceeded_total", &format!("operation=\"{operation}\"")).await
    };
    app.query("query Cheap { posts(first: 2) { nodes { title author { name } } } }").await;
    assert_eq!((exceeded("Cheap").await, exceeded("Front").await), (0.0, 0.0));
    let answer = app.ask(&json!({ "query": super::FRONT })).await;
    app.query(super::FRONT).await;
    assert_eq!((exceeded("Cheap").await, exceeded("Front").await), (0.0, 2.0));
    eventually("a warning", async || {
        let log = app.log();
        let said: Vec<_> = log.lines().filter(|line| line.contains("more statements than it may")).collect();
        said.len() == 1 && said[0].contains(&answer.request_id) && said[0].contains("\"statements\":3,\"most\":2")
    })
    .await;
}

#[test]
fn a_file_that_cannot_be_read_ends_the_start() {
    let nowhere = Database::Sqlite { dir: tempfile::tempdir().unwrap() };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[statements]\nFront = -1").unwrap();
    let path = file.path().to_str().unwrap();
    let (code, _, err) =
        super::run(&nowhere, &["serve", "--listen", "127.0.0.1:0"], &[("SHOAL_GRAPHQL__BUDGETS", path)]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot read the budgets") && err.contains(path), "{err}");
}
