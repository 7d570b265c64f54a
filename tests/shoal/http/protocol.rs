//! GraphQL over HTTP, sentence by sentence. <https://graphql.github.io/graphql-over-http/draft/>

use serde_json::{Value, json};

use super::{Answer, JSON, NAME, RESPONSE};
use crate::support::{Backend, TestApp};

async fn post(app: &TestApp, accept: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
    Answer::of(request.header("accept", accept).body(body)).await
}

async fn get(app: &TestApp, accept: &str, params: &[(&str, &str)]) -> Answer {
    let mut url = reqwest::Url::parse(&app.at("/graphql")).unwrap();
    url.query_pairs_mut().extend_pairs(params);
    Answer::of(reqwest::Client::new().get(url).header("accept", accept)).await
}

#[tokio::test]
async fn the_accept_header_decides_what_is_sent() {
    let app = TestApp::empty(Backend::Sqlite).await;
    for (accept, sent) in [
        ("application/json", JSON),
        ("application/graphql-response+json", RESPONSE),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE),
        ("*/*", JSON),
        ("text/html, */*;q=0.1", JSON),
    ] {
        for answer in [post(&app, accept, NAME).await, get(&app, accept, &[("query", "{ __typename }")]).await] {
            assert_eq!((answer.status, answer.header("content-type")), (200, sent), "{accept}");
            assert_eq!(answer.json(), json!({ "data": { "__typename": "Query" } }));
            let vary = answer.header("vary");
            for header in ["accept", "accept-encoding", "authorization", "shoal-token"] {
                assert!(vary.split(", ").any(|found| found == header), "{header} in {vary}");
            }
        }
    }
    let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
    assert_eq!(Answer::of(request.body(NAME)).await.header("content-type"), JSON);
    for answer in [post(&app, "text/html", NAME).await, get(&app, "image/png", &[("query", "{ __typename }")]).await] {
        assert_eq!((answer.status, answer.code().as_str()), (406, "NOT_ACCEPTABLE"));
    }
}

/// A request that is not executed has no data, and its status says so where clients look at it.
#[tokio::test]
async fn a_request_that_is_not_executed() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let required = "query($a: ID!) { node(id: $a) { id } }";
    let listed = json!({ "query": "query($a: Int) { users(first: $a) { totalCount } }", "variables": { "a": "x" } });
    for body in [
        json!({ "query": "{" }),
        json!({ "query": "{ nothing }" }),
        json!({ "query": "" }),
        json!({ "query": required }),
        json!({ "query": "query a { __typename }", "operationName": "b" }),
        json!({ "query": "query a { __typename } query b { __typename }" }),
        listed,
    ] {
        for (accept, status) in [("application/graphql-response+json", 400), ("application/json", 200)] {
            let answer = post(&app, accept, body.to_string()).await;
            assert_eq!(answer.status, status, "{body}");
            assert!(!answer.code().is_empty(), "{body}");
        }
    }
    // One that is executed, and fails, has.
    for accept in ["application/graphql-response+json", "application/json"] {
        let answer = post(&app, accept, json!({ "query": "{ node(id: \"x\") { id } }" }).to_string()).await;
        assert_eq!((answer.status, &answer.json()["data"]), (200, &json!({ "node": null })));
        let all = post(&app, accept, json!({ "query": "{ posts(first: -1) { totalCount } }" }).to_string()).await;
        assert_eq!((all.status, all.json().get("data")), (200, Some(&Value::Null)), "{}", all.json());
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_in_json() {
    let app = TestApp::empty(Backend::Sqlite).await;
    for accept in ["application/graphql-response+json", "application/json"] {
        for body in [
            &b"{"[..],
            b"",
            b"{}",
            b"{\"query\": \"\xff\"}",
            b"{\"query\": 1}",
            b"{\"query\": \"{__typename}\", \"variables\": \"{}\"}",
            b"{\"query\": \"{__typename}\", \"operationName\": 1}",
            b"{\"query\": \"{__typename}\", \"extensions\": []}",
            b"[]",
        ] {
            let answer = post(&app, accept, body).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{body:?}");
        }
        for params in [
            &[][..],
            &[("query", "{ __typename }"), ("variables", "[]")],
            &[("query", "{ __typename }"), ("variables", "{")],
            &[("query", "{ __typename }"), ("extensions", "7")],
            &[("query", "{ __typename }"), ("query", "{ __typename }")],
        ] {
            let answer = get(&app, accept, params).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{params:?}");
        }
    }
    let client = reqwest::Client::new();
    for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = client.post(app.at("/graphql")).header("content-type", content_type).body(NAME);
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{content_type}");
    }
    let utf_16 = client.post(app.at("/graphql")).header("content-type", "application/json; charset=utf-16").body(NAME);
    assert_eq!(Answer::of(utf_16).await.status, 415);
}

#[tokio::test]
async fn a_get_only_reads() {
    let app = TestApp::demo(Backend::Sqlite).await;
    let named = [
        ("query", "query a { __typename } query b($first: Int) { tags(first: $first) { nodes { id } } }"),
        ("operationName", "b"),
        ("variables", "{\"first\":1}"),
        ("extensions", "{\"unknown\":1}"),
    ];
    let answer = get(&app, "application/json", &named).await;
    assert_eq!(answer.json()["data"]["tags"]["nodes"].as_array().map(Vec::len), Some(1), "{}", answer.json());

    let delete = "mutation { deletePost(input: { id: \"UG9zdDox\" }) { post { id } } }";
    for accept in ["application/graphql-response+json", "application/json"] {
        let answer = get(&app, accept, &[("query", delete)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
        assert!(answer.header("allow").contains("POST"));
    }
    assert_eq!(app.query("{ post(id: \"UG9zdDox\") { id } }").await["post"]["id"], "UG9zdDox");

    let client = reqwest::Client::new();
    let head = Answer::of(client.head(app.at("/graphql?query=%7B__typename%7D"))).await;
    assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, JSON, 0));
    let options = Answer::of(client.request(reqwest::Method::OPTIONS, app.at("/graphql"))).await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, POST, OPTIONS"));
    let put = Answer::of(client.put(app.at("/graphql")).body(NAME)).await;
    assert_eq!((put.status, put.header("allow")), (405, "GET, HEAD, POST, OPTIONS"));
    assert_eq!(put.code(), "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let create = |email: &str| {
        json!({ "query": "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } userErrors { code } } }",
                "variables": { "input": { "email": email, "name": "Ann" } } })
    };
    let count = json!({ "query": "{ users { totalCount } }" });
    let wrong = json!({ "query": "{ nothing }" });
    let body = json!([count, create("a@example.org"), count, wrong, create("b@example.org"), count]).to_string();
    let answer = post(&app, "application/json", body).await;
    let all = answer.json();
    assert_eq!(answer.status, 200, "{all}");
    let counts: Vec<_> = [0, 2, 5].iter().map(|at| all[at]["data"]["users"]["totalCount"].as_u64()).collect();
    assert_eq!(counts, [Some(0), Some(1), Some(2)], "{all}");
    assert!(all[3].get("data").is_none() && all[3]["errors"].is_array(), "{all}");
    assert!(!answer.header("shoal-token").is_empty());

    let many = |count: usize| Value::from(vec![json!({ "query": "{ __typename }" }); count]).to_string();
    assert_eq!(post(&app, "application/json", many(10)).await.json().as_array().map(Vec::len), Some(10));
    let refused = post(&app, "application/json", many(11)).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "BATCH_TOO_LARGE"));
}
