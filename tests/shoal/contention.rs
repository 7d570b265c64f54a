//! Many at once: what there is one of is had by one, and nobody is told that the server failed.

mod deadlock;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::model::global;
use crate::mutations::mutation;
use crate::support::{Backend, Database, TestApp};

crate::on_both!(
    the_last_item,
    stock_is_neither_made_nor_lost,
    one_key_at_once,
    one_key_for_several_inputs,
    one_version,
    tags_that_are_new_to_all,
    comments_on_a_post_that_goes
);

/// How many clients there are.
const CLIENTS: usize = 32;
/// Users 1 to 32, products 1 to 4, post 1.
const SHOP: &str = "
    with recursive n(n) as (select 1 union all select n + 1 from n where n < 32)
    insert into users (email, name, role, active) select 'u' || n || '@example.com', 'User ' || n, 'customer', true from n;
    insert into products (sku, name, description, price_cents, currency, stock, active) values
        ('a', 'A', '', 100, 'EUR', 1, true), ('b', 'B', '', 250, 'EUR', 40, true),
        ('c', 'C', '', 300, 'EUR', 40, true), ('d', 'D', '', 100, 'EUR', 40, true);
    insert into posts (author_id, title, body, status, published_at)
        values (1, 'Tulips', '', 'published', current_timestamp);
";

async fn shop(backend: Backend) -> TestApp {
    let database = Database::empty(backend).await;
    database.execute(SHOP).await;
    // What they contend for is rows: how long one waits to be let in depends on how busy the machine is.
    TestApp::start(Arc::new(database), &[("SHOAL_ADMISSION__IN_WORK", "100")]).await
}

/// Sends mutations at once; of each, what it was answered.
async fn at_once(app: &TestApp, name: &str, selection: &str, inputs: Vec<Value>) -> Vec<Value> {
    let query = mutation(name, selection);
    let all = inputs.into_iter().map(|input| json!({ "query": query, "variables": { "input": input } }));
    let all: Vec<_> = all.collect();
    let answers = join_all(all.iter().map(|body| app.ask(body))).await;
    answers.into_iter().map(|answer| answer.json).collect()
}

/// How often each outcome was answered: `done`, the code of a user error, or the code of an error.
fn outcomes(name: &str, answers: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        let payload = &answer["data"][name];
        let code = match (answer.get("errors"), &payload["userErrors"][0]) {
            (Some(errors), _) => errors[0]["extensions"]["code"].as_str().unwrap(),
            (None, Value::Null) => "done",
            (None, error) => error["code"].as_str().unwrap(),
        };
        *counts.entry(code.to_owned()).or_default() += 1;
    }
    counts
}

fn count<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(code, count)| (code.to_owned(), count)).collect()
}

/// An order of a user: so many of each product.
fn order(user: usize, items: &[(i64, i64)], key: &str) -> Value {
    let items = items
        .iter()
        .map(|(product, quantity)| json!({ "productId": global("Product", product), "quantity": quantity }));
    json!({ "userId": global("User", user), "items": items.collect::<Vec<_>>(), "idempotencyKey": key })
}

async fn the_last_item(backend: Backend) {
    let app = shop(backend).await;
    let inputs = (1..=CLIENTS).map(|user| order(user, &[(1, 1)], "k")).map(|mut input| {
        // Without identity all are one viewer, so their keys must differ.
        input["idempotencyKey"] = input["userId"].clone();
        input
    });
    let answers = at_once(&app, "placeOrder", "order { id }", inputs.collect()).await;
    assert_eq!(outcomes("placeOrder", &answers), count([("OUT_OF_STOCK", CLIENTS - 1), ("done", 1)]));
    assert_eq!(app.database.text("select cast(stock as text) from products where id = 1").await.as_deref(), Some("0"));
    assert_eq!(app.database.text("select cast(count(*) as text) from orders").await.as_deref(), Some("1"));
}

/// Orders of the same products in opposite orders, of which some are called off, while the stock is adjusted.
async fn stock_is_neither_made_nor_lost(backend: Backend) {
    let app = shop(backend).await;
    let work = async |client: usize| {
        let mut products = [2, 3, 4];
        products.rotate_left(client % 3);
        if client.is_multiple_of(2) {
            products.reverse();
        }
        let items = products.map(|product| (product, 1 + (client % 3) as i64));
        let placed =
            at_once(&app, "placeOrder", "order { id }", vec![order(client, &items, &format!("place {client}"))]).await;
        let moved = json!({ "id": global("Product", products[0]), "delta": if client < 16 { 1 } else { -1 },
            "idempotencyKey": format!("adjust {client}") });
        let moved = at_once(&app, "adjustStock", "product { stock }", vec![moved]).await;
        let mut outcomes = vec![outcomes("placeOrder", &placed), outcomes("adjustStock", &moved)];
        if client.is_multiple_of(3) && placed[0]["data"]["placeOrder"]["order"]["id"].is_string() {
            let id = &placed[0]["data"]["placeOrder"]["order"]["id"];
            let cancel = json!({ "id": id, "idempotencyKey": format!("cancel {client}") });
            let cancelled = at_once(&app, "cancelOrder", "order { id }", vec![cancel]).await;
            assert_eq!(self::outcomes("cancelOrder", &cancelled), count([("done", 1)]));
        }
        let adjusted: i64 = match outcomes.pop() {
            Some(outcome) if outcome == count([("done", 1)]) => {
                if client < 16 {
                    1
                } else {
                    -1
                }
            }
            outcome => {
                assert_eq!(outcome, Some(count([("OUT_OF_STOCK", 1)])));
                0
            }
        };
        let placed = outcomes.pop().unwrap();
        assert!(placed == count([("done", 1)]) || placed == count([("OUT_OF_STOCK", 1)]), "{placed:?}");
        adjusted
    };
    let adjusted: i64 = join_all((1..=CLIENTS).map(work)).await.into_iter().sum();
    // What was there, and what came and went, is in stock or sold.
    let sum = "select cast((select sum(stock) from products where id > 1) + (select coalesce(sum(quantity), 0)
        from order_items join orders on orders.id = order_id where status <> 'cancelled') as text)";
    assert_eq!(app.database.text(sum).await, Some((120 + adjusted).to_string()));
    let wrong = "select cast(count(*) as text) from orders o where total_cents <>
        (select sum(quantity * unit_price_cents) from order_items where order_id = o.id)";
    assert_eq!(app.database.text(wrong).await.as_deref(), Some("0"));
}

async fn one_key_at_once(backend: Backend) {
    let app = shop(backend).await;
    let inputs = vec![order(1, &[(2, 3), (3, 1)], "once"); CLIENTS];
    let answers = at_once(&app, "placeOrder", "order { id createdAt total { amount } }", inputs).await;
    assert_eq!(outcomes("placeOrder", &answers), count([("done", CLIENTS)]));
    assert!(answers.iter().all(|answer| answer["data"] == answers[0]["data"]), "{answers:?}");
    for (sql, expected) in [
        ("select cast(count(*) as text) from orders", "1"),
        ("select cast(count(*) as text) from order_items", "2"),
        ("select cast(stock as text) from products where id = 2", "37"),
    ] {
        assert_eq!(app.database.text(sql).await.as_deref(), Some(expected), "{sql}");
    }
}

async fn one_key_for_several_inputs(backend: Backend) {
    let app = shop(backend).await;
    let inputs = (1..=CLIENTS).map(|user| order(user, &[(2, 1)], "once")).collect();
    let answers = at_once(&app, "placeOrder", "order { id }", inputs).await;
    assert_eq!(outcomes("placeOrder", &answers), count([("CONFLICT", CLIENTS - 1), ("done", 1)]));
    assert_eq!(app.database.text("select cast(stock as text) from products where id = 2").await.as_deref(), Some("39"));
}

async fn one_version(backend: Backend) {
    let app = shop(backend).await;
    let query = "query($id: ID!) { user(id: $id) { updatedAt } }";
    let id = global("User", 1);
    let version = app.query_with(query, json!({ "id": id })).await["user"]["updatedAt"].take();
    let inputs = (0..CLIENTS).map(|client| json!({ "id": id, "name": format!("Name {client}"), "updatedAt": version }));
    let answers = at_once(&app, "updateUser", "user { name updatedAt }", inputs.collect()).await;
    assert_eq!(outcomes("updateUser", &answers), count([("CONFLICT", CLIENTS - 1), ("done", 1)]));
    // Those who lost are shown what won.
    let users: Vec<_> = answers.iter().map(|answer| &answer["data"]["updateUser"]["user"]).collect();
    assert!(users.iter().all(|user| user == &users[0]), "{users:?}");
}

async fn tags_that_are_new_to_all(backend: Backend) {
    let app = shop(backend).await;
    app.database
        .execute(
            "insert into posts (author_id, title, body, status) select id, name, '', 'draft' from users where id > 1",
        )
        .await;
    let inputs = (0..CLIENTS).map(|client| {
        let mut tags: Vec<_> = (0..8).map(|tag| format!("tag-{}", (client + 3 * tag) % 16)).collect();
        tags.rotate_left(client % 8);
        json!({ "id": global("Post", 1 + client), "tags": tags })
    });
    let answers = at_once(&app, "setPostTags", "post { tags { totalCount } }", inputs.collect()).await;
    assert_eq!(outcomes("setPostTags", &answers), count([("done", CLIENTS)]));
    assert_eq!(app.database.text("select cast(count(*) as text) from tags").await.as_deref(), Some("16"));
    assert_eq!(app.database.text("select cast(count(*) as text) from post_tags").await.as_deref(), Some("256"));
}

async fn comments_on_a_post_that_goes(backend: Backend) {
    let app = shop(backend).await;
    let comment = |user| json!({ "postId": global("Post", 1), "authorId": global("User", user), "body": "Lovely!" });
    let comments = at_once(&app, "addComment", "comment { id }", (1..=CLIENTS).map(comment).collect());
    let gone = at_once(&app, "deletePost", "deletedCommentCount", vec![json!({ "id": global("Post", 1) })]);
    let (comments, gone) = futures_util::join!(comments, gone);
    // Each was there before the post went, and went with it, or came too late.
    let added = outcomes("addComment", &comments);
    let deleted = gone[0]["data"]["deletePost"]["deletedCommentCount"].as_u64().unwrap() as usize;
    assert_eq!(added.get("done").copied().unwrap_or_default(), deleted, "{added:?}");
    assert_eq!(added.get("NOT_FOUND").copied().unwrap_or_default(), CLIENTS - deleted, "{added:?}");
    assert_eq!(app.database.text("select cast(count(*) as text) from comments").await.as_deref(), Some("0"));
}
