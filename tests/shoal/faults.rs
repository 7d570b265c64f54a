//! A server that is killed with −9 between any two steps of a write: both the change and its key are there, or neither,
//! and the same request again does what is left to do.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::global;
use crate::mutations::mutation;
use crate::support::{Backend, Database, TestApp};

crate::on_both!(place_order, cancel_order);

const SHOP: &str = "
    insert into users (email, name, role, active) values ('ann@example.com', 'Ann', 'customer', true);
    insert into products (sku, name, description, price_cents, currency, stock, active)
        values ('a', 'A', '', 100, 'EUR', 1000, true), ('b', 'B', '', 250, 'EUR', 1000, true);
";

/// Orders and their items, the stock, and the keys.
const STATE: &str =
    "select (select count(*) from orders) || ' ' || (select count(*) from orders where status = 'cancelled')
    || ' ' || (select count(*) from order_items) || ' ' || (select sum(stock) from products)
    || ' ' || (select count(*) from idempotency_keys)";

/// Runs a mutation that is stopped at a step, kills the server there, and tells whether there was such a step. One that
/// is not, is done.
async fn killed_at(database: &Arc<Database>, step: &str, body: &Value) -> bool {
    let app = TestApp::start(database.clone(), &[("SHOAL_FAULT_POINT", step)]).await;
    tokio::select! {
        answer = app.ask(body) => {
            assert_eq!(answer.json.get("errors"), None, "{step}: {}", answer.json);
            false
        }
        () = app.logs("stopped at a fault point") => true,
    }
    // Dropping it kills it.
}

async fn place_order(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    database.execute(SHOP).await;
    let steps = (1..).map(|step| step.to_string());
    let mut steps: Box<dyn Iterator<Item = String>> = Box::new(steps);
    let (mut orders, mut stopped) = (0, 0);
    while let Some(step) = steps.next() {
        let items = json!([{ "productId": global("Product", 2), "quantity": 2 },
                           { "productId": global("Product", 1), "quantity": 1 }]);
        let input = json!({ "userId": global("User", 1), "items": items, "idempotencyKey": format!("step {step}") });
        let shown = mutation("placeOrder", "order { id status total { amount } items { nodes { quantity } } }");
        let body = json!({ "query": shown, "variables": { "input": input } });
        let state = |orders: i64| format!("{orders} 0 {} {} {orders}", 2 * orders, 2000 - 3 * orders);
        let was_stopped = killed_at(&database, &format!("placeOrder {step}"), &body).await;
        let committed = !was_stopped || ["committed", "told"].contains(&step.as_str());
        assert_eq!(database.text(STATE).await, Some(state(orders + i64::from(committed))), "killed at {step}");
        orders += 1;
        // As if nothing had happened, and a second time.
        let app = TestApp::start(database.clone(), &[]).await;
        let first = app.ask(&body).await.json;
        let order = json!({ "id": global("Order", order_id(&first)), "status": "PENDING", "total": { "amount": "6.00" },
            "items": { "nodes": [{ "quantity": 2 }, { "quantity": 1 }] } });
        assert_eq!(first["data"]["placeOrder"], json!({ "order": order, "userErrors": [] }), "{step}: {first}");
        assert_eq!(app.ask(&body).await.json, first, "{step}");
        assert_eq!(database.text(STATE).await, Some(state(orders)), "after {step}");
        stopped += usize::from(was_stopped);
        if !was_stopped && step.parse::<u32>().is_ok() {
            // There are no more statements.
            steps = Box::new(["commit", "committed", "told"].map(str::to_owned).into_iter());
        }
    }
    // Claim, user, products, order, items, stock, the mail, answer; around the commit.
    assert_eq!(stopped, 8 + 3);
}

fn order_id(answer: &Value) -> i64 {
    // A sequence skips the number of an order that was undone.
    let id = answer["data"]["placeOrder"]["order"]["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    (1..1000).find(|key| global("Order", *key) == id).unwrap()
}

/// The stock comes back once.
async fn cancel_order(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    database.execute(SHOP).await;
    database
        .execute(
            "insert into orders (user_id, status, total_cents, currency) values (1, 'paid', 300, 'EUR'), (1, 'paid', 300, 'EUR'),
                 (1, 'paid', 300, 'EUR'); update products set stock = 997 where id = 1;
             insert into order_items (order_id, product_id, quantity, unit_price_cents) select id, 1, 1, 100 from orders;",
        )
        .await;
    for (index, step) in ["6", "commit", "committed"].into_iter().enumerate() {
        let input = json!({ "id": global("Order", 1 + index), "idempotencyKey": format!("step {step}") });
        let body = json!({ "query": mutation("cancelOrder", "order { status }"), "variables": { "input": input } });
        assert!(killed_at(&database, &format!("cancelOrder {step}"), &body).await, "{step}");
        let state = |cancelled: usize| format!("3 {cancelled} 3 {} {cancelled}", 1997 + cancelled);
        assert_eq!(
            database.text(STATE).await,
            Some(state(index + usize::from(step == "committed"))),
            "killed at {step}"
        );
        let app = TestApp::start(database.clone(), &[]).await;
        for _ in 0..2 {
            let payload = app.ask(&body).await.json["data"]["cancelOrder"].take();
            assert_eq!(payload, json!({ "order": { "status": "CANCELLED" }, "userErrors": [] }), "{step}");
        }
        assert_eq!(database.text(STATE).await, Some(state(index + 1)), "after {step}");
    }
}
