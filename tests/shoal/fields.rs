//! Every field of every type shows what SQL returns.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::graph::Graph;
use crate::model::{MORE, Model, global, same, seen_of};
use crate::support::{Backend, Stack, TestApp};

crate::on_both!(every_field, every_lookup, any_object_by_its_id, facts_of_the_demo);

const USERS: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User {
    email name role active createdAt updatedAt
    orderSummary { count lastOrderAt total { amount currencyCode } totals { amount currencyCode } }
    posts { edges { cursor node { __typename id title } } nodes { id } totalCount totalCountExact
        pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }
    comments { edges { cursor node { __typename id body } } nodes { id createdAt } totalCount totalCountExact
        pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }
    orders { edges { cursor node { __typename id } } nodes { id total { amount currencyCode } }
        totalCount totalCountExact pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } } }";

const POSTS: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ...Post } }
    fragment Post on Post { id title body status publishedAt createdAt updatedAt commentCount author { id name email }
        comments(last: 3) { edges { cursor node { id } } nodes { id body createdAt author { name } post { title body } }
            totalCount totalCountExact pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }
        tags { __typename edges { __typename cursor node { id name } } nodes { id name posts(first: 2) {
                edges { cursor node { id } } nodes { title tags { nodes { name } } } totalCount totalCountExact
                pageInfo { __typename startCursor endCursor hasNextPage hasPreviousPage } } }
            totalCount totalCountExact pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }";

const PRODUCTS: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Product {
    id sku name description price { __typename amount currencyCode } stock active createdAt updatedAt unitsSold
    orderItems { edges { cursor node { id } } totalCount totalCountExact
        nodes { id quantity unitPrice { amount currencyCode } order { id status createdAt } product { name } }
        pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }
    buyers { edges { cursor node { id } } nodes { id name } totalCount totalCountExact
        pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } } }";

const ORDERS: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Order {
    id status total { amount currencyCode } createdAt updatedAt user { id orderSummary { __typename count } }
    items { edges { cursor node { id } } nodes { id quantity unitPrice { amount currencyCode } product { id sku } }
        totalCount totalCountExact pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } } }";

const ROOT: &str = "{ viewer { __typename role user { id } }
    users { nodes { name } totalCount } posts { nodes { title } totalCount } comments { nodes { body } totalCount }
    tags { nodes { name } totalCount } orders { nodes { id } totalCount }
    products { edges { cursor node { __typename name } } nodes { name } totalCount totalCountExact
        pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }";

const ITEMS: &str = "query($ids: [ID!]!) { items: nodes(ids: $ids) { __typename ... on Node { id } ... on OrderItem {
    quantity unitPrice { amount currencyCode } order { total { currencyCode } } product { price { currencyCode } } } } }";

const JOBS: &str =
    "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Job { id kind task state priority dueAt attempt
    maxAttempts worker cancelRequested progress progressTotal report error createdAt finishedAt } }
    jobs { edges { cursor node { id } } nodes { id } totalCount totalCountExact
        pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } job(id: \"Sm9iOjE\") { id } }";

const LOOKUPS: &str = "query($user: ID!, $post: ID!, $comment: ID!, $tag: ID!, $product: ID!, $order: ID!) {
    node(id: $user) { __typename id ... on User { name } } user(id: $user) { email } post(id: $post) { title }
    comment(id: $comment) { id body createdAt author { id } post { id } } tag(id: $tag) { name }
    product(id: $product) { sku } order(id: $order) { id } }";

const NATURAL_KEYS: &str = "query($email: String!, $name: String!, $sku: String!) {
    user(email: $email) { id email } tag(name: $name) { id name } productBySku(sku: $sku) { id sku } }";

/// The demo data and more, and what should be seen of it.
pub async fn stocked(backend: Backend) -> (TestApp, Model) {
    let app = TestApp::demo(backend).await;
    app.database.execute(MORE).await;
    if backend == Backend::Postgres {
        Stack::get().wait_for_replicas().await;
    }
    let model = Model::of(&app.database).await;
    (app, model)
}

/// The first ids of a table, and those of the rows that were added.
fn ids(model: &Model, kind: &str, table: &str) -> Value {
    let rows = model.all(table);
    let first = rows.iter().take(20).chain(&rows[rows.len() - 12..]);
    json!({ "ids": first.map(|row| global(kind, row.id())).collect::<Vec<_>>() })
}

async fn every_field(backend: Backend) {
    let (app, model) = stocked(backend).await;
    let mut seen = BTreeSet::new();
    let lookups = json!({ "user": global("User", 1), "post": global("Post", 306), "comment": global("Comment", 4852),
        "tag": global("Tag", 38), "product": global("Product", 4542), "order": global("Order", 845) });
    let keys = json!({ "email": "u1@example.invalid", "name": "Zebra", "sku": "A-1" });
    for (query, variables) in [
        (USERS, ids(&model, "User", "users")),
        (POSTS, ids(&model, "Post", "posts")),
        (PRODUCTS, ids(&model, "Product", "products")),
        (ORDERS, ids(&model, "Order", "orders")),
        (ITEMS, ids(&model, "OrderItem", "order_items")),
        (JOBS, ids(&model, "Job", "jobs")),
        (ROOT, json!({})),
        (LOOKUPS, lookups),
        (NATURAL_KEYS, keys),
    ] {
        let (expected, shown) = seen_of(&model, query, &variables);
        same(&expected, &app.query_with(query, variables).await, query);
        seen.extend(shown);
    }

    let graph = Graph::of(&app).await;
    // What is written, what is heard of, and what gateways ask have tests of their own.
    let elsewhere = ["Mutation", "Subscription", "UserError", "_Service"];
    let is_read = |of: &str| !elsewhere.contains(&of) && !of.ends_with("Payload");
    let all = graph
        .fields()
        .filter(|(of, _)| is_read(of))
        .map(|(of, field)| (of.to_owned(), field["name"].as_str().unwrap().to_owned()))
        .filter(|(_, name)| !name.starts_with('_'));
    let missing: Vec<(String, String)> = all.filter(|field| !seen.contains(field)).collect();
    assert!(missing.is_empty(), "no query of this test shows these fields: {missing:?}");
}

async fn every_lookup(backend: Backend) {
    let (app, model) = stocked(backend).await;
    let none = |kind| global(kind, 999_999);
    for (email, name, sku) in [
        ("U1@EXAMPLE.invalid", "z", "a-1"),
        ("zOE@eXAMPLE.INVALID", "Z", "A-1"),
        ("École@example.invalid", "can't \"stop\" 100%_", "a-1 "),
        ("ÉCOLE@EXAMPLE.INVALID", "😀", ""),
        ("q\"O't%_E@example.invalid", "", "%"),
        (" u1@example.invalid", "ZEBRA", "A_1"),
    ] {
        let variables = json!({ "email": email, "name": name, "sku": sku });
        same(&model.answer(NATURAL_KEYS, &variables), &app.query_with(NATURAL_KEYS, variables).await, email);
    }
    let variables = json!({ "user": none("User"), "post": none("Post"), "comment": none("Comment"), "tag": none("Tag"),
        "product": none("Product"), "order": global("Order", -1) });
    let nothing = app.query_with(LOOKUPS, variables).await;
    assert!(nothing.as_object().unwrap().values().all(Value::is_null), "{nothing}");

    for (query, message) in [
        ("{ user { id } }", "give either id or email"),
        ("{ user(id: \"VXNlcjox\", email: \"u1@example.invalid\") { id } }", "give either id or email"),
        ("{ tag { id } }", "give either id or name"),
        ("{ tag(id: null, name: null) { id } }", "give either id or name"),
        ("{ post(id: \"VXNlcjox\") { id } }", "not an id of a Post"),
    ] {
        assert_eq!(app.refusal(query, json!({})).await, ("BAD_USER_INPUT".into(), message.into()), "{query}");
    }
}

async fn any_object_by_its_id(backend: Backend) {
    let (app, model) = stocked(backend).await;
    let query =
        "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Product { name } ... on Tag { name } } }";
    let kinds = ["User", "Post", "Comment", "Tag", "Product", "Order", "OrderItem", "Job"];
    // Some twice, some of nothing, and not in any order.
    let mixed = kinds.iter().cycle().zip([3, 999_999, 1, 3, 2]).map(|(kind, key)| global(kind, key));
    let all = kinds.iter().map(|kind| global(kind, 7)).chain(mixed.clone()).chain(mixed);
    let variables = json!({ "ids": all.collect::<Vec<_>>() });
    same(&model.answer(query, &variables), &app.query_with(query, variables).await, query);

    assert_eq!(app.query_with(query, json!({ "ids": [] })).await, json!({ "nodes": [] }));
    let one = app.query_with(query, json!({ "ids": global("User", 1) })).await;
    assert_eq!(one["nodes"], json!([{ "__typename": "User", "id": global("User", 1) }]));

    let many = |count: i64| json!({ "ids": (1..=count).map(|key| global("User", key)).collect::<Vec<_>>() });
    let full = app.query_with(query, many(100)).await;
    assert_eq!(full["nodes"].as_array().unwrap().len(), 100);
    let (code, message) = app.refusal(query, many(101)).await;
    assert_eq!((code.as_str(), message.as_str()), ("BAD_USER_INPUT", "ids must not be more than 100"));
}

/// What stands in the CSV files, so that the model and the product cannot be wrong in the same way.
async fn facts_of_the_demo(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let data = app
        .query(
            "{ product: productBySku(sku: \"259120\") { id name price { amount currencyCode } stock active createdAt }
               user(email: \"u100@example.invalid\") { id name role createdAt orderSummary { count } }
               post(id: \"UG9zdDox\") { title body status publishedAt updatedAt author { id } tags { nodes { id } } }
               order(id: \"T3JkZXI6Mg\") { status total { amount } user { id } items { nodes { quantity
                   unitPrice { amount currencyCode } product { id } } } }
               comment(id: \"Q29tbWVudDox\") { body post { id } author { id } createdAt }
               users { totalCount } posts { totalCount } comments { totalCount totalCountExact } tags { totalCount }
               products { totalCount } orders { totalCount } }",
        )
        .await;
    let usd = |amount: &str| json!({ "amount": amount, "currencyCode": "USD" });
    assert_eq!(
        data["product"],
        json!({ "id": global("Product", 1), "name": "GASOLINE-REG UNLEADED", "price": usd("23.50"), "stock": 2,
                "active": true, "createdAt": "2017-01-15T20:38:53Z" })
    );
    assert_eq!(data["user"]["id"], global("User", 100));
    assert_eq!(
        data["post"],
        json!({ "title": "If you could relive one day of your life, which would it be and why?",
                "body": "Let's talk about cats.", "status": "PUBLISHED", "publishedAt": "2018-04-13T02:51:31Z",
                "updatedAt": "2018-04-13T03:06:55Z", "author": { "id": global("User", 71) },
                "tags": { "nodes": [{ "id": global("Tag", 7) }] } })
    );
    assert_eq!(data["order"]["status"], "DELIVERED");
    assert_eq!(data["order"]["total"]["amount"], "12.56");
    assert_eq!(data["order"]["user"]["id"], global("User", 69));
    let item = json!({ "quantity": 1, "unitPrice": usd("10.99"), "product": { "id": global("Product", 2433) } });
    assert_eq!(data["order"]["items"]["nodes"][0], item);
    assert_eq!(
        data["comment"],
        json!({ "body": "What kind is your favorite?", "post": { "id": global("Post", 1) },
                "author": { "id": global("User", 71) }, "createdAt": "2018-04-13T02:51:38Z" })
    );
    let counts = ["users", "posts", "comments", "tags", "products", "orders"].map(|list| &data[list]["totalCount"]);
    assert_eq!(counts, [234, 300, 4851, 37, 4540, 841]);
    assert_eq!(data["comments"]["totalCountExact"], true);
}
