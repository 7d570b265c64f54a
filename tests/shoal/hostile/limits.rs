//! What a document may ask for by its shape and by its price: up to each limit it is answered, above it is refused.

use std::sync::Arc;

use serde_json::{Value, json};

use super::unharmed;
use crate::support::{Backend, Database, TestApp};

/// Limits that small documents reach, each by itself.
const LIMITS: [(&str, &str, usize); 14] = [
    ("TOKENS", "tokens", 300),
    ("NAME_BYTES", "bytes in a name", 60),
    ("DEPTH", "selections in each other", 10),
    ("EXPANDED", "selections, with fragments expanded", 11 + 9 * 44),
    ("ROOT_FIELDS", "fields of the root", 12),
    ("ALIASES", "aliases", 15),
    ("DUPLICATES", "fields of one key in one selection", 30),
    ("DIRECTIVES", "directives", 12),
    ("DIRECTIVES_ON_ONE", "directives of one element", 2),
    ("OPERATIONS", "operations", 7),
    ("FRAGMENTS", "fragments", 9),
    ("VARIABLES", "variables", 8),
    ("LITERALS", "values in lists and objects", 25),
    ("VALUE_DEPTH", "lists and objects in each other", 2),
];

/// A request that reaches a limit with a number. Each is valid.
fn reaching(limit: &str, number: usize) -> Value {
    let times = |text: &str, count: usize| text.repeat(count);
    let each = |make: &dyn Fn(usize) -> String| (0..number).map(make).collect::<String>();
    let query = match limit {
        "TOKENS" => {
            let rest = number - 5;
            format!("{{ viewer {{ {} {} }} }}", times("... { role } ", rest / 4), times("role ", rest % 4))
        }
        "NAME_BYTES" => format!("{{ {}: __typename }}", times("n", number)),
        "DEPTH" => {
            // One level for each field of this, and one for the root.
            let path = ["posts(first: 1)", "nodes", "author"];
            let open: String = (0..number - 1).map(|level| format!("{} {{ ", path[level % 3])).collect();
            format!("{{ {open}__typename {}", times("} ", number))
        }
        "EXPANDED" => {
            // In the fragment once, and ten times where it is spread, in the selection of the viewer.
            let each = (number - 11).div_ceil(11 * 4);
            let fragment = times("... { ... { ... { role } } } ", each);
            format!("{{ viewer {{ {} }} }} fragment F on Viewer {{ {fragment} }}", times("...F ", 10))
        }
        "ROOT_FIELDS" => format!("{{ ...R ...R }} fragment R on Query {{ {} }}", "viewer { role } ".repeat(number / 2))
            .replacen("...R }", &format!("...R {} }}", times("__typename", number % 2)), 1),
        "ALIASES" => format!("{{ viewer {{ {} }} }}", each(&|n| format!("a{n}: role "))),
        "DUPLICATES" => {
            format!("{{ viewer {{ ...V ...V {} }} }} fragment V on Viewer {{ role }}", times("role ", number - 2))
        }
        "DIRECTIVES" => format!("{{ viewer {{ {} }} }}", times("role @include(if: true) ", number)),
        "DIRECTIVES_ON_ONE" => {
            let all = ["@include(if: true)", "@skip(if: false)", "@include(if: true)"];
            format!("{{ __typename {} }}", all[..number].join(" "))
        }
        "OPERATIONS" => each(&|n| format!("query q{n} {{ __typename }} ")),
        "FRAGMENTS" => {
            let spreads = each(&|n| format!("...f{n} "));
            format!("{{ {spreads} }} {}", each(&|n| format!("fragment f{n} on Query {{ __typename }} ")))
        }
        "VARIABLES" => {
            let used = each(&|n| format!("... @include(if: $v{n}) {{ __typename }} "));
            format!("query({}) {{ {used} }}", each(&|n| format!("$v{n}: Boolean = true ")))
        }
        "LITERALS" => format!("{{ nodes(ids: [{}]) {{ id }} }}", times("\"VXNlcjox\" ", number)),
        "VALUE_DEPTH" => {
            let deep = format!("{}1{}", times("{ from: ", number - 1), times("}", number - 1));
            format!("{{ posts(filter: {{ publishedAt: {deep} }}) {{ totalCount }} }}")
        }
        other => panic!("no document for {other}"),
    };
    let name = (limit == "OPERATIONS").then_some("q0");
    json!({ "query": query, "operationName": name })
}

async fn start(environment: &[(&str, &str)]) -> TestApp {
    TestApp::start(Arc::new(Database::demo(Backend::Sqlite).await), environment).await
}

#[tokio::test]
async fn each_limit_is_where_it_is_set() {
    for (name, what, limit) in LIMITS {
        let (setting, value) = (format!("SHOAL_GRAPHQL__LIMITS__{name}"), limit.to_string());
        let app = start(&[(setting.as_str(), value.as_str())]).await;
        let answer = app.ask(&reaching(name, limit)).await;
        let code = answer.json.pointer("/errors/0/extensions/code").and_then(Value::as_str);
        match name {
            // The filter takes no such value, which is found out only below the limit.
            "VALUE_DEPTH" => assert_eq!(code, Some("BAD_USER_INPUT"), "{name}: {}", answer.json),
            _ => assert_eq!(code, None, "{name}: {}", answer.json),
        }
        for _ in 0..2 {
            let (code, message) = app.ask(&reaching(name, limit + 1)).await.refusal();
            assert_eq!(code, "QUERY_TOO_LARGE", "{name}: {message}");
            assert!(message.contains(what) && message.contains(&value), "{name}: {message}");
        }
        unharmed(&app, name).await;
    }
}

#[tokio::test]
async fn variables_and_introspection_have_limits() {
    let values = ("SHOAL_GRAPHQL__LIMITS__VALUES", "6");
    let app = start(&[values, ("SHOAL_GRAPHQL__LIMITS__VALUE_DEPTH", "3")]).await;
    let nodes = async |ids: usize| {
        let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        app.ask(&json!({ "query": query, "variables": { "ids": vec!["VXNlcjox"; ids] } })).await
    };
    assert_eq!(nodes(5).await.json.get("errors"), None);
    assert_eq!(nodes(6).await.refusal().0, "QUERY_TOO_LARGE");
    let (code, message) = app.refusal("{ __typename }", json!({ "unused": [[[[]]]] })).await;
    assert_eq!((code.as_str(), message.contains("in variables")), ("QUERY_TOO_LARGE", true), "{message}");
    let cycle = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    let (code, message) = app.refusal(cycle, json!({})).await;
    assert_eq!((code.as_str(), message.contains("introspection")), ("QUERY_TOO_LARGE", true), "{message}");
    app.query("{ __schema { types { fields { type { fields { name } } } } } }").await;
    // What graphql-js asks of a directive only when it is told to; the executor does not have it.
    let (full, experimental) = (include_str!("../../../src/graphql/guard/tests/introspection.graphql"), "isRepeatable");
    let experimental = format!("{experimental}\n      isDeprecated\n      deprecationReason\n");
    assert!(full.contains(&experimental));
    app.query(&full.replace(&experimental, "isRepeatable\n")).await;

    let app = start(&[("SHOAL_GRAPHQL__INTROSPECTION", "false")]).await;
    for query in ["{ __schema { queryType { name } } }", "{ x: __type(name: \"User\") { name } }"] {
        assert_eq!(app.refusal(query, json!({})).await.0, "INTROSPECTION_DISABLED");
    }
    assert_eq!(app.query("{ __typename viewer { __typename } }").await["__typename"], "Query");
}

/// What scanners send, and what once kept a server busy for ever.
#[tokio::test]
async fn scanners_get_nowhere() {
    let app = start(&[]).await;
    for levels in [22, 30, 60] {
        let fragments: String =
            (0..levels).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1)).collect();
        let query = format!("{{ ...f0 }} {fragments} fragment f{levels} on Query {{ __typename }}");
        assert_eq!(app.refusal(&query, json!({})).await.0, "QUERY_TOO_LARGE", "{levels}");
    }
    let aliases: String = (0..101).map(|n| format!("a{n}: __typename ")).collect();
    for query in [
        format!("{{ {aliases} }}"),
        format!("{{ {} }}", "__typename ".repeat(500)),
        format!("{{ viewer {{ {} }} }}", "role ".repeat(500)),
        format!("{{ __typename {} }}", "@aa".repeat(10)),
        format!("{{ __typename {} }}", "@skip(if: false)".repeat(50)),
        "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
            .to_owned(),
        format!("{{ posts {{ nodes {} }} }}", "{ author { posts { nodes ".repeat(8) + "{ id }" + &"} } }".repeat(8)),
        // Each of these begins a block string that never ends.
        format!("{{ nodes(ids: [{}", "\"\\\\\"\"\"\"\" ".repeat(40_000)),
    ] {
        let asked = query[..query.len().min(60)].to_owned();
        let (code, message) = app.refusal(&query, json!({})).await;
        assert!(["QUERY_TOO_LARGE", "GRAPHQL_PARSE_FAILED"].contains(&code.as_str()), "{asked}: {code} {message}");
        assert!(message.len() < 100, "{asked}: {message}");
    }
    // As deep as it may be, through fragments, is answered: no stack overflows.
    let deep = "... on Query { ".repeat(46) + "viewer { role } " + &"} ".repeat(46);
    app.query(&format!("{{ {deep} }}")).await;
    let through: String = (0..44).map(|n| format!("fragment f{n} on Query {{ ...f{} }} ", n + 1)).collect();
    app.query(&format!("{{ ...f0 }} {through} fragment f44 on Query {{ viewer {{ role }} }}")).await;
    let path = "posts(first: 1) { nodes { author { ".repeat(6);
    app.query(&format!("{{ {path} id {} }}", "} ".repeat(18))).await;
    unharmed(&app, "what scanners send").await;
}

#[tokio::test]
async fn errors_suggest_nothing_and_repeat_little() {
    let app = start(&[]).await;
    let name = "n".repeat(150);
    let answers = [
        app.ask(&json!({ "query": "{ postz { id } }" })).await,
        app.ask(&json!({ "query": format!("{{ {name} }}") })).await,
        app.ask(&json!({ "query": format!("{{ posts({name}: 1) {{ totalCount }} }}") })).await,
        app.ask(&json!({ "query": format!("{{ ...{name} }}") })).await,
        app.ask(&json!({ "query": format!("query(${name}: Int) {{ __typename }}") })).await,
        app.ask(&json!({ "query": format!("{{ posts(orderBy: {name}) {{ totalCount }} }}") })).await,
        app.ask(&json!({ "query": "{ __typename }", "operationName": "n".repeat(100_000) })).await,
        app.ask(&json!({ "query": format!("{{ tag(name: \"{}\" }}", "n".repeat(100_000)) })).await,
        app.ask(&json!({ "query": format!("{{ {} }}", "nothing ".repeat(90)) })).await,
    ];
    for answer in answers {
        let errors = answer.json["errors"].as_array().unwrap();
        assert!((1..=50).contains(&errors.len()), "{}", answer.json);
        for error in errors {
            let message = error["message"].as_str().unwrap();
            assert!(!message.contains("Did you mean") && !message.contains(&"n".repeat(41)), "{message}");
            assert!(message.chars().count() <= 501, "{message}");
        }
    }
    let app = start(&[("SHOAL_GRAPHQL__SUGGESTIONS", "true")]).await;
    let (code, message) = app.refusal("{ postz { id } }", json!({})).await;
    assert_eq!((code.as_str(), message.contains("Did you mean")), ("GRAPHQL_VALIDATION_FAILED", true), "{message}");
}

#[tokio::test]
async fn each_way_to_be_wrong_has_its_code() {
    let app = start(&[]).await;
    for (query, variables, name, code) in [
        ("{", json!({}), None, "GRAPHQL_PARSE_FAILED"),
        ("{ ; }", json!({}), None, "GRAPHQL_PARSE_FAILED"),
        ("", json!({}), None, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", json!({}), None, "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...A } fragment A on Query { ...A }", json!({}), None, "GRAPHQL_VALIDATION_FAILED"),
        ("query a { __typename } query b { __typename }", json!({}), None, "OPERATION_RESOLUTION_FAILURE"),
        ("query a { __typename }", json!({}), Some("b"), "OPERATION_RESOLUTION_FAILURE"),
        ("{ __typename }", json!({}), Some("b"), "OPERATION_RESOLUTION_FAILURE"),
        ("query($n: Int!) { posts(first: $n) { totalCount } }", json!({}), None, "BAD_USER_INPUT"),
        ("query($n: Int!) { posts(first: $n) { totalCount } }", json!({ "n": "x" }), None, "BAD_USER_INPUT"),
        ("query($n: Int!) { posts(first: $n) { totalCount } }", json!({ "n": -1 }), None, "BAD_USER_INPUT"),
    ] {
        let answer = app.ask(&json!({ "query": query, "variables": variables, "operationName": name })).await;
        assert_eq!(answer.json["errors"][0]["extensions"]["code"], code, "{query}: {}", answer.json);
    }
}

#[tokio::test]
async fn what_costs_too_much_is_refused_with_its_price() {
    let app = start(&[("SHOAL_GRAPHQL__MAX_PRICE", "421")]).await;
    let nested = |first: usize| {
        format!("{{ posts(first: {first}) {{ nodes {{ comments(first: $n) {{ nodes {{ author {{ name }} }} }} }} }} }}")
            .replacen('{', "query($n: Int = 10) {", 1)
    };
    app.query_with(&nested(19), json!({})).await;
    let (code, message) = app.refusal(&nested(20), json!({})).await;
    assert_eq!(code, "QUERY_TOO_COMPLEX");
    let told =
        "the request would cost 441, of at most 421; most of it is posts.nodes.comments.nodes.author, which costs 200";
    assert_eq!(message, told);
    app.query_with(&nested(20), json!({ "n": 9 })).await;
    // The default price allows two levels of a hundred, and not three.
    let app = start(&[]).await;
    let inner = "nodes { comments(first: 100) { nodes { author { name } } } }";
    app.query(&format!("{{ posts(first: 100) {{ {inner} }} }}")).await;
    let (code, _) = app
        .refusal(&format!("{{ tags(first: 100) {{ nodes {{ posts(first: 100) {{ {inner} }} }} }} }}"), json!({}))
        .await;
    assert_eq!(code, "QUERY_TOO_COMPLEX");
}

#[tokio::test]
async fn the_price_is_told_to_whoever_asks() {
    let app = start(&[]).await;
    let body = json!({ "query": "{ posts(first: 2) { nodes { author { name } } } }" });
    let priced = json!({
        "cost": { "price": 5, "limit": 100_000, "dearest": { "path": "posts.nodes.author", "price": 2 } }
    });
    for _ in 0..2 {
        assert_eq!(app.ask(&body).await.json.get("extensions"), None);
        assert_eq!(app.ask_with(&body, &[("shoal-cost", "1")]).await.json["extensions"], priced);
    }
}

/// A mutation with a name is one without an `operationName`, too: what it shows is no older than what it did.
#[tokio::test]
async fn an_operation_need_not_be_named_twice() {
    let app = start(&[]).await;
    let shown = "posts(first: 1) { nodes { title } }";
    for _ in 0..3 {
        app.query(&format!("{{ user(id: \"VXNlcjox\") {{ {shown} }} }}")).await;
    }
    let query = format!(
        "mutation Rename {{ updateUser(input: {{ id: \"VXNlcjox\", name: \"Renamed\" }}) {{ user {{ name {shown} }} }} }}"
    );
    let answer = app.ask_with(&json!({ "query": query }), &[("shoal-trace", "1")]).await;
    assert_eq!(answer.json["data"]["updateUser"]["user"]["name"], "Renamed", "{}", answer.json);
    let batches = answer.json["extensions"]["shoal"]["batches"].as_array().unwrap();
    assert!(batches.iter().any(|batch| batch["kind"] == "page"), "{}", answer.json);
    assert!(batches.iter().all(|batch| batch["near"] == 0), "{}", answer.json);
}
