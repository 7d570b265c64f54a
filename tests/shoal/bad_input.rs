//! What strangers send: every answer is a 4xx or a coded error, none tells anything internal, and the server goes on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, TestApp};

crate::on_both!(
    bodies_that_are_none,
    documents_that_are_wrong,
    arguments_that_are_wrong,
    hostile_cursors_and_ids,
    errors_keep_their_whole_path,
    a_document_that_was_valid_once_hides_no_wrong_variable,
);

/// What is the client's fault.
const CODES: [&str; 6] = [
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "OPERATION_RESOLUTION_FAILURE",
    "QUERY_TOO_LARGE",
];
/// Nothing of these may reach a client.
const INTERNAL: [&str; 9] =
    ["select ", "sqlx", "sea_orm", "DbErr", "panicked", "src/", "postgres", "sqlite", "INTERNAL"];

async fn bodies_that_are_none(backend: Backend) {
    let app = TestApp::demo(backend).await;
    for body in ["", "{", "[]", "null", "{}", r#"{"query":1}"#, r#"{"query":null}"#, r#"{"query":"\ud800"}"#, "\u{0}"] {
        let answer = app.send("application/json", body).await;
        assert_eq!(answer.status, 400, "{body}");
        check(&answer);
    }
    assert_eq!(app.send("application/json", &b"{\"query\":\"\xff\"}"[..]).await.status, 400);
    let deep =
        format!(r#"{{"query":"{{ viewer {{ role }} }}","variables":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(app.send("application/json", deep).await.status, 400);
    for content_type in ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""] {
        assert_eq!(app.send(content_type, r#"{"query":"{ viewer { role } }"}"#).await.status, 415, "{content_type}");
    }
    let large = json!({ "query": format!("# {}\n{{ viewer {{ role }} }}", "x".repeat(1 << 20)) }).to_string();
    assert_eq!(app.send("application/json", large).await.status, 413);
    assert_eq!(app.get("/graphql").await.status(), 400);
    still_answers(&app).await;
}

async fn documents_that_are_wrong(backend: Backend) {
    let app = TestApp::demo(backend).await;
    for query in [
        "",
        "{",
        "}",
        "{ nothing }",
        "{ viewer }",
        "{ viewer { role { x } } }",
        "query A { viewer { role } } query B { viewer { role } }",
        "mutation { nothing }",
        "subscription { nothing }",
        "{ ...Unknown }",
        "query ($x: Nothing) { viewer { role } }",
        "query ($x: Int!) { users(first: $x) { totalCount } }",
        "{ users(first: $undefined) { totalCount } }",
        "{ users(nothing: 1) { totalCount } }",
        "fragment A on User { ...A } { user(email: \"x\") { ...A } }",
        "\u{0}",
        "{ viewer { role } }\u{0}",
    ] {
        check(&app.ask(&json!({ "query": query })).await);
    }
    let nested = format!("{}{}", "{ a ".repeat(10_000), "}".repeat(10_000));
    check(&app.ask(&json!({ "query": nested })).await);
    still_answers(&app).await;
}

async fn arguments_that_are_wrong(backend: Backend) {
    let app = TestApp::demo(backend).await;
    for arguments in [
        "first: -1",
        "last: -1",
        "first: 101",
        "last: 2147483647",
        "first: 1, last: 1",
        "first: 9223372036854775808",
        "first: 1.5",
        "first: \"1\"",
        "first: true",
        "first: [1, 2]",
        "after: 1",
        "filter: { authorId: \"x\" }",
        "filter: { status: NOTHING }",
        "filter: { publishedAt: { from: \"yesterday\" } }",
        "filter: { publishedAt: { from: \"2026-02-30T00:00:00Z\" } }",
        "filter: { nothing: 1 }",
        "orderBy: NOTHING",
        "orderBy: CREATED_AT_ASC, filter: { tagId: \"VGFnOjE\" }",
    ] {
        let query = format!("{{ posts({arguments}) {{ nodes {{ id }} }} }}");
        check(&app.ask(&json!({ "query": query })).await);
    }
    for (query, hostile) in [
        ("query ($s: String!) { productBySku(sku: $s) { id } }", true),
        ("query ($s: String!) { tag(name: $s) { id } }", true),
        ("query ($s: String!) { user(email: $s) { id } }", true),
        ("query ($s: String!) { users(filter: { namePrefix: $s }) { nodes { id } totalCount } }", true),
        ("query ($s: String!) { users(filter: { emailPrefix: $s }) { nodes { id } totalCount } }", true),
        ("query ($s: String!) { tags(filter: { namePrefix: $s }) { nodes { id } totalCount } }", true),
        ("query ($s: String!) { products(filter: { search: $s }) { nodes { id } totalCount } }", true),
        ("query ($s: String!) { posts(after: $s) { nodes { id } } }", false),
        ("query ($s: ID!) { node(id: $s) { id } }", false),
        ("query ($s: ID!) { nodes(ids: [$s]) { id } }", false),
    ] {
        check(&app.ask(&json!({ "query": query, "variables": { "s": "a\u{0}b" } })).await);
        let texts = ["%_\\", "'; drop table users; --", "\"\"\"", "\u{10ffff}", "𝔸🐟é", &"ä".repeat(500_000), ""];
        for text in texts {
            let answer = app.ask(&json!({ "query": query, "variables": { "s": text } })).await;
            let refused = answer.json.get("errors").is_some();
            assert!(hostile || refused, "{query}: {}", answer.json);
            if refused {
                check(&answer);
            }
        }
        for value in [json!(null), json!(true), json!([1]), json!({}), json!(1.5)] {
            check(&app.ask(&json!({ "query": query, "variables": { "s": value } })).await);
        }
        check(&app.ask(&json!({ "query": query })).await);
    }
    let ids = vec!["VXNlcjox"; 101];
    let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    check(&app.ask(&json!({ "query": query, "variables": { "ids": ids } })).await);
    still_answers(&app).await;
}

async fn hostile_cursors_and_ids(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let cursor = async |list: &str| {
        let data = app.query(&format!("{{ list: {list} {{ pageInfo {{ endCursor }} }} }}")).await;
        data["list"]["pageInfo"]["endCursor"].as_str().unwrap().to_owned()
    };
    let good = cursor("posts(first: 1)").await;
    let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
    let longer = URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat());
    let shorter = URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() - 1]);
    let mut hostile = vec![
        cursor("comments(first: 1)").await,
        cursor("posts(first: 1, orderBy: PUBLISHED_AT_ASC)").await,
        cursor("posts(first: 1, orderBy: CREATED_AT_DESC)").await,
        format!("{good}="),
        longer,
        shorter,
        String::new(),
        "A".repeat(100_000),
    ];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..200 {
        // The right list, then anything.
        let tail = prop::collection::vec(any::<u8>(), 0..24).new_tree(&mut runner).unwrap().current();
        hostile.push(URL_SAFE_NO_PAD.encode([&bytes[..5], &tail].concat()));
    }
    let query = "query ($c: String!) { posts(after: $c) { nodes { id } } }";
    for cursor in &hostile {
        let answer = app.ask(&json!({ "query": query, "variables": { "c": cursor } })).await;
        // Chance may make a cursor; what it may not make is a failure.
        if answer.json.get("errors").is_some() {
            check(&answer);
        }
    }
    for cursor in &hostile[..8] {
        let (code, message) = app.refusal(query, json!({ "c": cursor })).await;
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("BAD_USER_INPUT", "after is not a cursor of this list and order")
        );
    }
    for id in ["Post:1", "User:", "User:+7", "User:07", "User:-0", "User:9223372036854775808", ":1", "User", "user:1"] {
        let id = URL_SAFE_NO_PAD.encode(id);
        let (code, _) = app.refusal("query ($id: ID!) { user(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(code, "BAD_USER_INPUT", "{id}");
    }
    still_answers(&app).await;
}

async fn errors_keep_their_whole_path(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let path = async |query: &str, variables: Value| {
        let answer = app.ask(&json!({ "query": query, "variables": variables })).await;
        check(&answer);
        answer.json["errors"][0]["path"].clone()
    };
    let query = "{ a: users(first: 2) { nodes { b: posts(first: -1) { nodes { id } } } } }";
    assert_eq!(path(query, json!({})).await, json!(["a", "nodes", 0, "b"]));
    // Also where the argument cannot be coerced, and where fragments are between.
    for nodes in ["b: posts(first: $n) { nodes { id } }", "... on User { b: posts(first: $n) { nodes { id } } }"] {
        let query = format!("query ($n: Int!) {{ a: users(first: 2) {{ nodes {{ {nodes} }} }} }}");
        assert_eq!(path(&query, json!({ "n": 3_000_000_000_u64 })).await, json!(["a", "nodes", 0, "b"]));
    }
}

async fn a_document_that_was_valid_once_hides_no_wrong_variable(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let cases = [
        ("query ($n: Int) { posts(first: $n) { totalCount } }", json!({ "n": 1 }), json!({ "n": 1.5 })),
        ("query ($n: Int) { posts(first: $n) { totalCount } }", json!({ "n": 1 }), json!({ "n": 3_000_000_000_u64 })),
        ("query ($i: ID!) { user(id: $i) { name } }", json!({ "i": "VXNlcjox" }), json!({ "i": null })),
        ("query ($i: ID!) { user(id: $i) { name } }", json!({ "i": "VXNlcjox" }), json!({ "i": ["VXNlcjox"] })),
        (
            "query ($t: DateTime) { posts(filter: { publishedAt: { from: $t } }) { totalCount } }",
            json!({ "t": "2026-11-22T08:30:00Z" }),
            json!({ "t": "yesterday" }),
        ),
        (
            "query ($f: PostFilter) { posts(filter: $f) { totalCount } }",
            json!({ "f": { "status": "ARCHIVED" } }),
            json!({ "f": { "status": "NOTHING" } }),
        ),
        // With a variable missing, the value around it is not looked at.
        (
            "query ($i: ID) { posts(filter: { authorId: $i, publishedAt: { from: \"yesterday\" } }) { totalCount } }",
            json!({}),
            json!({ "i": "VXNlcjox" }),
        ),
        // Nor what an operation says that was not asked for.
        (
            "query a { posts { totalCount } } query b($n: Int) { posts(first: $n) { totalCount } }",
            json!({ "a": 1 }),
            json!({ "b": 1, "n": "x" }),
        ),
    ];
    for (query, right, wrong) in cases {
        let ask = |variables: &Value| {
            let name = ["a", "b"].into_iter().find(|name| variables.get(name).is_some());
            let body = json!({ "query": query, "variables": variables, "operationName": name });
            let app = &app;
            async move { app.ask(&body).await }
        };
        let first = ask(&wrong).await;
        check(&first);
        for _ in 0..2 {
            ask(&right).await;
        }
        let again = ask(&wrong).await;
        check(&again);
        assert_eq!(again.json["errors"][0]["message"], first.json["errors"][0]["message"], "{query}");
    }
    still_answers(&app).await;
}

/// One or more errors, each coded, named, and silent about what is inside.
fn check(answer: &Answer) {
    assert!(answer.status < 500, "{answer:?}");
    let errors = answer.json["errors"].as_array().unwrap_or_else(|| panic!("no error in {}", answer.json));
    assert!(!errors.is_empty());
    for error in errors {
        assert!(CODES.iter().any(|code| error["extensions"]["code"] == *code), "{error}");
        assert_eq!(error["extensions"]["requestId"], *answer.request_id, "{error}");
        assert_eq!(answer.request_id.len(), 16);
        let text = error.to_string();
        for word in INTERNAL {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

async fn still_answers(app: &TestApp) {
    assert_eq!(app.query("{ viewer { role } }").await, json!({ "viewer": { "role": "ADMIN" } }));
    assert!(!app.log().contains("panicked"), "{}", app.log());
    assert!(!app.log().contains("a field failed"), "{}", app.log());
}
