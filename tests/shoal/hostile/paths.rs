//! Where an error says it happened.

use serde_json::{Value, json};

use crate::model::global;
use crate::support::{Backend, TestApp};

crate::on_both!(the_path_of_an_error_is_complete);

/// The keys and places on the way to where `path` says, as they show in an answer that has them.
fn leads_to(path: &Value, ends: &[&str]) {
    let names: Vec<_> = path.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names, ends, "{path}");
    for pair in path.as_array().unwrap().windows(2) {
        let is_list = matches!(pair[0].as_str(), Some("nodes" | "edges" | "all"));
        assert_eq!(pair[1].is_u64(), is_list, "{path}");
    }
}

async fn the_path_of_an_error_is_complete(backend: Backend) {
    let app = TestApp::demo(backend).await;
    for (query, names) in [
        ("{ users(first: -1) { totalCount } }", &["users"][..]),
        ("{ all: users(first: -1) { totalCount } }", &["all"]),
        ("{ users { nodes { orders(first: -1) { totalCount } } } }", &["users", "nodes", "orders"]),
        ("{ users { edges { node { o: orders(first: -1) { totalCount } } } } }", &["users", "edges", "node", "o"]),
        (
            "{ posts { nodes { author { posts { nodes { comments(after: \"x\") { totalCount } } } } } } }",
            &["posts", "nodes", "author", "posts", "nodes", "comments"],
        ),
        (
            "{ orders { nodes { items { edges { node { product { buyers(first: 101) { nodes { id } } } } } } } } }",
            &["orders", "nodes", "items", "edges", "node", "product", "buyers"],
        ),
    ] {
        let answer = app.ask(&json!({ "query": query })).await;
        let error = &answer.json["errors"][0];
        leads_to(&error["path"], names);
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{query}");
        assert!(error["locations"][0]["line"] == 1 && answer.json["data"].is_null(), "{}", answer.json);
    }

    // What can be null is, and only that; each error tells which.
    let query = "query($ids: [ID!]!) { all: nodes(ids: $ids) { ... on User { posts { nodes { tags(last: -1) { totalCount } } } }
                 ... on Tag { name } } }";
    let ids = [global("User", 71), global("Tag", 7), global("User", 169)];
    let answer = app.ask(&json!({ "query": query, "variables": { "ids": ids } })).await;
    let name = "if-you-could-relive-one-day-of-your-life";
    assert!(answer.json["data"]["all"][1]["name"].as_str().unwrap().starts_with(&name[..2]), "{}", answer.json);
    assert_eq!((&answer.json["data"]["all"][0], &answer.json["data"]["all"][2]), (&Value::Null, &Value::Null));
    let errors = answer.json["errors"].as_array().unwrap();
    let mut places: Vec<_> = errors.iter().map(|error| error["path"][1].as_u64().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, [0, 2]);
    errors.iter().for_each(|error| leads_to(&error["path"], &["all", "posts", "nodes", "tags"]));
}
