//! Each field hears of its events, and of no others.

use serde_json::{Value, json};

use super::{Socket, USER, mutate, named, rename};
use crate::model::global;
use crate::on_both;
use crate::support::{Backend, TestApp};

on_both!(
    each_field_hears_of_its_own_events,
    what_is_asked_of_an_event_is_like_a_query,
    an_operation_is_about_one_thing
);

/// The id of the object that a mutation made.
async fn made(app: &TestApp, mutation: &str, object: &str) -> String {
    let data = mutate(app, &format!("{mutation} {{ {object} {{ id }} userErrors {{ message }} }}")).await;
    let payload = data.as_object().unwrap().values().next().unwrap();
    payload[object]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

async fn each_field_hears_of_its_own_events(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let (user, post) = (
        global("User", 1),
        made(&app, r#"createPost(input: { authorId: "VXNlcjox", title: "A", body: "B" })"#, "post").await,
    );
    let product = made(
        &app,
        r#"createProduct(input: { sku: "SUB-1", name: "N", description: "", price: { amount: "1.00", currencyCode: "EUR" }, stock: 9 })"#,
        "product",
    )
    .await;
    let order = made(
        &app,
        &format!(r#"placeOrder(input: {{ userId: "{user}", idempotencyKey: "a", items: [{{ productId: "{product}", quantity: 1 }}] }})"#),
        "order",
    )
    .await;
    let mut socket = Socket::open(&app).await;
    for (name, query) in [
        ("comment", format!(r#"subscription {{ commentAdded(postId: "{post}") {{ body author {{ id }} }} }}"#)),
        ("other comment", format!(r#"subscription {{ commentAdded(postId: "{}") {{ body }} }}"#, global("Post", 2))),
        ("post", "subscription { postPublished { id status } }".to_owned()),
        ("order", format!(r#"subscription {{ orderStatusChanged(orderId: "{order}") {{ status }} }}"#)),
        ("product", format!(r#"subscription {{ productChanged(id: "{product}") {{ stock }} }}"#)),
        ("user", format!(r#"subscription {{ userUpdated(id: "{user}") {{ name }} }}"#)),
        ("other user", format!(r#"subscription {{ userUpdated(id: "{}") {{ name }} }}"#, global("User", 2))),
    ] {
        socket.subscribe(name, &query, json!({})).await;
    }
    socket.settle().await;
    made(&app, &format!(r#"publishPost(input: {{ id: "{post}" }})"#), "post").await;
    assert_eq!(socket.event("post").await, json!({ "postPublished": { "id": post, "status": "PUBLISHED" } }));
    made(&app, &format!(r#"addComment(input: {{ postId: "{post}", authorId: "{user}", body: "hello" }})"#), "comment")
        .await;
    assert_eq!(socket.event("comment").await, json!({ "commentAdded": { "body": "hello", "author": { "id": user } } }));
    // Another title is no publication.
    made(&app, &format!(r#"updatePost(input: {{ id: "{post}", title: "C" }})"#), "post").await;
    made(&app, &format!(r#"payOrder(input: {{ id: "{order}", idempotencyKey: "b" }})"#), "order").await;
    assert_eq!(socket.event("order").await, json!({ "orderStatusChanged": { "status": "PAID" } }));
    made(&app, &format!(r#"adjustStock(input: {{ id: "{product}", delta: 5, idempotencyKey: "c" }})"#), "product")
        .await;
    assert_eq!(socket.event("product").await, json!({ "productChanged": { "stock": 13 } }));
    made(&app, &format!(r#"updateUser(input: {{ id: "{user}", name: "Nobody Else" }})"#), "user").await;
    assert_eq!(socket.event("user").await, json!({ "userUpdated": { "name": "Nobody Else" } }));
    socket.settle().await;
    assert!(socket.aside.is_empty(), "{:?}", socket.aside);
}

async fn what_is_asked_of_an_event_is_like_a_query(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let mut socket = Socket::open(&app).await;
    let query = "subscription Changed($id: ID!, $first: Int) { ...F } fragment F on Subscription { changed: userUpdated(id: $id)
        { __typename id name posts(first: $first) { totalCount nodes { title author { id } } } } }";
    socket.subscribe("1", query, json!({ "id": global("User", 1), "first": 2 })).await;
    socket.settle().await;
    rename(&app, "Like a Query").await;
    let event = socket.event("1").await;
    let same = "query($id: ID!, $first: Int) { changed: user(id: $id)
        { __typename id name posts(first: $first) { totalCount nodes { title author { id } } } } }";
    assert_eq!(event, app.query_with(same, json!({ "id": global("User", 1), "first": 2 })).await);
    assert_eq!(event["changed"]["name"], "Like a Query");
}

const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";

async fn an_operation_is_about_one_thing(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let mut socket = Socket::open(&app).await;
    for (query, variables, code) in [
        (r#"subscription { postPublished { id } userUpdated(id: "VXNlcjox") { id } }"#, json!({}), INVALID),
        ("subscription { __typename }", json!({}), INVALID),
        ("subscription { postPublished @skip(if: false) { id } }", json!({}), INVALID),
        ("subscription { nothing { id } }", json!({}), INVALID),
        ("subscription { postPublished { nothing } }", json!({}), INVALID),
        ("subscription { postPublished }", json!({}), INVALID),
        ("subscription { ...F }", json!({}), INVALID),
        ("subscription { userUpdated { id } }", json!({}), INVALID),
        ("subscription { userUpdated(id: \"nonsense\") { id } }", json!({}), "BAD_USER_INPUT"),
        ("subscription { userUpdated(id: \"UG9zdDox\") { id } }", json!({}), "BAD_USER_INPUT"),
        ("subscription($id: ID!) { userUpdated(id: $id) { id } }", json!({}), "BAD_USER_INPUT"),
        ("subscription($id: ID!) { userUpdated(id: $id) { id } }", json!({ "id": {} }), "BAD_USER_INPUT"),
        ("subscription {", json!({}), "GRAPHQL_PARSE_FAILED"),
    ] {
        socket.subscribe("bad", query, variables).await;
        assert_eq!(socket.error("bad").await, code, "{query}");
    }
    // Without a stream, there is nothing to be had.
    let refused = app.ask(&json!({ "query": USER })).await.json;
    assert!(refused["errors"].is_array() && refused["data"] == Value::Null, "{refused}");
    // None of it has harmed anybody.
    socket.subscribe("good", USER, json!({})).await;
    socket.settle().await;
    rename(&app, "About One Thing").await;
    assert_eq!(socket.event("good").await, named("About One Thing"));
}
