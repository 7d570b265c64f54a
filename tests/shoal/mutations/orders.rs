//! Orders: placed, paid, shipped, delivered, called off.

use serde_json::{Value, json};

use super::shop::{Shop, object};

const ORDER: &str = "order { id status total { amount currencyCode } createdAt updatedAt user { id }
    items { nodes { quantity unitPrice { amount currencyCode } product { id stock } } } }";

/// What an order of these products, so many of each, is asked for with.
fn order(user: &Value, items: &[(&str, i64)], key: &str) -> Value {
    let items = items.iter().map(|(product, quantity)| json!({ "productId": product, "quantity": quantity }));
    json!({ "userId": user, "items": items.collect::<Vec<_>>(), "idempotencyKey": key })
}

pub async fn change(shop: &mut Shop) {
    let ann = object("User", 1);
    let product = async |shop: &mut Shop, sku: &str, amount: &str, currency: &str, stock: i32| {
        let price = json!({ "amount": amount, "currencyCode": currency });
        let input = json!({ "sku": sku, "name": sku, "price": price, "stock": stock });
        shop.made("createProduct", "product", input).await
    };
    let rose = product(shop, "rose", "1.99", "EUR", 10).await;
    let lily = product(shop, "lily", "4", "EUR", 1).await;
    let cactus = product(shop, "cactus", "7", "USD", 5).await;
    let fern = product(shop, "fern", "3", "EUR", 5).await;
    shop.done("updateProduct", json!({ "id": fern, "active": false }), "product { id }").await;

    let input = order(&ann, &[(&rose, 2), (&lily, 1), (&rose, 1)], "first");
    let placed = shop.done("placeOrder", input, ORDER).await["order"].take();
    assert_eq!((&placed["status"], &placed["user"]["id"]), (&json!("PENDING"), &ann));
    assert_eq!(placed["total"], json!({ "amount": "9.97", "currencyCode": "EUR" }));
    let item = |quantity: i64, amount: &str, product: &str, stock: i64| {
        json!({ "quantity": quantity, "unitPrice": { "amount": amount, "currencyCode": "EUR" },
                "product": { "id": product, "stock": stock } })
    };
    // In the order in which they were given.
    let items = json!([item(2, "1.99", &rose, 7), item(1, "4.00", &lily, 0), item(1, "1.99", &rose, 7)]);
    assert_eq!(placed["items"]["nodes"], items);
    // The price of the order stays when that of the product changes.
    let dearer = json!({ "id": rose, "price": { "amount": "5", "currencyCode": "EUR" } });
    shop.done("updateProduct", dearer, "product { id }").await;
    let query = "query($id: ID!) { order(id: $id) { total { amount } } }";
    assert_eq!(shop.app.query_with(query, json!({ "id": placed["id"] })).await["order"]["total"]["amount"], "9.97");

    refused(shop, &ann, [&rose, &lily, &cactus, &fern]).await;
    moves(shop, &ann, &placed["id"], [&rose, &lily]).await;
}

async fn refused(shop: &mut Shop, ann: &Value, [rose, lily, cactus, fern]: [&str; 4]) {
    let key = "refused";
    let unknown = object("Product", 99);
    let input = order(ann, &[(rose, 8), (cactus, 1), (fern, 1), (unknown.as_str().unwrap(), 1), (lily, 1)], key);
    let wrong = shop.refused("placeOrder", input).await;
    let expected = [
        "items.0.quantity OUT_OF_STOCK",
        "items.1.productId MIXED_CURRENCIES",
        "items.2.productId INACTIVE",
        "items.3.productId NOT_FOUND",
        "items.4.quantity OUT_OF_STOCK",
    ];
    assert_eq!(wrong, expected);
    // Lines of one product count together.
    let wrong = shop.refused("placeOrder", order(ann, &[(rose, 4), (rose, 4)], key)).await;
    assert_eq!(wrong, ["items.0.quantity OUT_OF_STOCK", "items.1.quantity OUT_OF_STOCK"]);
    let wrong = shop.refused("placeOrder", order(ann, &[(rose, 0), (rose, 1), (rose, 100_001)], key)).await;
    assert_eq!(wrong, ["items.0.quantity OUT_OF_RANGE", "items.2.quantity OUT_OF_RANGE"]);
    let wrong = shop.refused("placeOrder", order(&Value::Null, &[], "")).await;
    assert_eq!(wrong, ["idempotencyKey BLANK", "userId BLANK", "items BLANK"]);
    assert_eq!(shop.refused("placeOrder", order(ann, &[(rose, 1); 101], key)).await, ["items TOO_MANY"]);
    assert_eq!(shop.refused("placeOrder", order(&object("User", 99), &[(rose, 1)], key)).await, ["userId NOT_FOUND"]);
    let closed = json!({ "email": "gone@example.com", "name": "Gone" });
    let closed = json!(shop.made("createUser", "user", closed).await);
    shop.done("updateUser", json!({ "id": closed, "active": false }), "user { id }").await;
    assert_eq!(shop.refused("placeOrder", order(&closed, &[(rose, 1)], key)).await, ["userId INACTIVE"]);
    // What was refused has used up neither the stock nor the key.
    let placed = shop.done("placeOrder", order(ann, &[(rose, 7)], key), ORDER).await;
    assert_eq!(placed["order"]["items"]["nodes"][0]["product"]["stock"], 0);
    let input = json!({ "id": placed["order"]["id"], "idempotencyKey": "back" });
    let back = shop.done("cancelOrder", input, ORDER).await["order"].take();
    assert_eq!((&back["status"], &back["items"]["nodes"][0]["product"]["stock"]), (&json!("CANCELLED"), &json!(7)));
}

async fn moves(shop: &mut Shop, ann: &Value, first: &Value, [rose, lily]: [&str; 2]) {
    const MOVES: [(&str, &str); 4] =
        [("payOrder", "PAID"), ("shipOrder", "SHIPPED"), ("deliverOrder", "DELIVERED"), ("cancelOrder", "CANCELLED")];
    let mut key = 0;
    let mut input = |id: &Value| {
        key += 1;
        json!({ "id": id, "idempotencyKey": format!("move-{key}") })
    };
    // From each state only some moves are possible; the others say so, and show the order.
    for (state, possible) in [
        ("PENDING", &["payOrder", "cancelOrder"][..]),
        ("PAID", &["shipOrder", "cancelOrder"]),
        ("SHIPPED", &["deliverOrder"]),
        ("DELIVERED", &[]),
    ] {
        for (name, _) in MOVES.iter().filter(|(name, _)| !possible.contains(name)) {
            let (wrong, payload) = shop.refused_with(name, input(first), "order { id status }").await;
            assert_eq!(
                (wrong, &payload["order"]["status"]),
                (vec!["id INVALID_STATE".to_owned()], &json!(state)),
                "{name}"
            );
        }
        if let Some(next) = possible.first() {
            let became = MOVES.iter().find(|(name, _)| name == next).unwrap().1;
            let moved = shop.done(next, input(first), "order { status createdAt updatedAt }").await["order"].take();
            assert_eq!(moved["status"], became);
            assert!(moved["updatedAt"].as_str() > moved["createdAt"].as_str(), "{moved}");
        }
    }

    // Called off, whether it was paid or not, everything comes back; nothing follows.
    let stock = json!({ "id": lily, "delta": 1, "idempotencyKey": "lily" });
    shop.done("adjustStock", stock, "product { id }").await;
    let placed = shop.done("placeOrder", order(ann, &[(lily, 1), (rose, 3)], "second"), ORDER).await["order"].take();
    let stale = json!({ "id": placed["id"], "updatedAt": "2020-01-01T00:00:00Z", "idempotencyKey": "stale" });
    let (wrong, payload) = shop.refused_with("payOrder", stale, "order { updatedAt }").await;
    assert_eq!((wrong, &payload["order"]["updatedAt"]), (vec!["updatedAt CONFLICT".to_owned()], &placed["updatedAt"]));
    shop.done("payOrder", input(&placed["id"]), "order { id }").await;
    let shown = shop.done("cancelOrder", input(&placed["id"]), ORDER).await["order"].take();
    assert_eq!(shown["status"], "CANCELLED");
    let stocks: Vec<_> =
        shown["items"]["nodes"].as_array().unwrap().iter().map(|item| item["product"]["stock"].clone()).collect();
    assert_eq!(stocks, [1, 7]);
    for (name, _) in MOVES {
        assert_eq!(shop.refused(name, input(&placed["id"])).await, ["id INVALID_STATE"], "{name}");
        assert_eq!(shop.failed(name, input(&object("Order", 99))).await, "NOT_FOUND");
    }
}
