//! Products and their stock.

use serde_json::{Value, json};

use super::shop::{Shop, object};

const PRODUCT: &str =
    "product { id sku name description price { amount currencyCode } stock active createdAt updatedAt }";

pub async fn change(shop: &mut Shop) {
    let euros = |amount: &str| json!({ "amount": amount, "currencyCode": "EUR" });
    let input = json!({ "sku": "T-1", "name": "Yellow tulip", "price": euros("2.5") });
    let tulip = shop.done("createProduct", input, PRODUCT).await["product"].take();
    assert_eq!((&tulip["price"], &tulip["description"]), (&euros("2.50"), &json!("")));
    assert_eq!((&tulip["stock"], &tulip["active"]), (&json!(0), &json!(true)));
    let input = json!({ "sku": "V-1", "name": "Vase", "description": "Blue.\nTall.", "stock": 7, "active": false,
        "price": { "amount": "1200", "currencyCode": "JPY" } });
    let vase = shop.done("createProduct", input, PRODUCT).await["product"].take();
    assert_eq!(vase["price"], json!({ "amount": "1200", "currencyCode": "JPY" }));
    assert_eq!((&vase["stock"], &vase["description"]), (&json!(7), &json!("Blue.\nTall.")));

    let wrong = json!({ "sku": "T 1", "name": "", "description": "a".repeat(20_001), "stock": -1,
        "price": { "amount": "2.505", "currencyCode": "euro" } });
    let found = shop.refused("createProduct", wrong).await;
    let expected = [
        "sku INVALID",
        "name BLANK",
        "description TOO_LONG",
        "price.currencyCode TOO_LONG",
        "price.amount INVALID",
        "stock OUT_OF_RANGE",
    ];
    assert_eq!(found, expected);
    let input = json!({ "sku": "T-1", "name": "Another", "price": euros("1") });
    assert_eq!(shop.refused("createProduct", input).await, ["sku TAKEN"]);
    for (amount, code) in [("-0.01", "OUT_OF_RANGE"), ("1000000000.01", "OUT_OF_RANGE"), ("1e3", "INVALID")] {
        let input = json!({ "sku": "X", "name": "X", "price": euros(amount) });
        assert_eq!(shop.refused("createProduct", input).await, [format!("price.amount {code}")], "{amount}");
    }

    let input = json!({ "id": tulip["id"], "name": "Red tulip", "price": euros("3"), "updatedAt": tulip["updatedAt"] });
    let red = shop.done("updateProduct", input, PRODUCT).await["product"].take();
    assert_eq!((&red["name"], &red["price"], &red["sku"]), (&json!("Red tulip"), &euros("3.00"), &json!("T-1")));
    let stale = json!({ "id": tulip["id"], "active": false, "updatedAt": tulip["updatedAt"] });
    let (wrong, payload) = shop.refused_with("updateProduct", stale, PRODUCT).await;
    assert_eq!((wrong, &payload["product"]), (vec!["updatedAt CONFLICT".to_owned()], &red));
    let input = json!({ "id": tulip["id"], "sku": "V-1" });
    assert_eq!(shop.refused("updateProduct", input).await, ["sku TAKEN"]);
    let input = json!({ "id": tulip["id"], "sku": "-", "description": "\0", "price": euros("") });
    let wrong = shop.refused("updateProduct", input).await;
    assert_eq!(wrong, ["sku INVALID", "description INVALID", "price.amount INVALID"]);
    assert_eq!(shop.failed("updateProduct", json!({ "id": object("Product", 99) })).await, "NOT_FOUND");

    stock(shop, &tulip["id"]).await;
    let file = crate::uploads::sent(&shop.app, "sku,name,price_cents,currency\nF-1,Fern,1,EUR\n").await;
    let payload = shop.done("importProducts", json!({ "uploadId": file }), "job { id state } jobId").await;
    assert_eq!(payload["job"], json!({ "id": payload["jobId"], "state": "QUEUED" }));
    assert!(payload["jobId"].is_string());
}

async fn stock(shop: &mut Shop, id: &Value) {
    let input = |delta: i64, key: &str| json!({ "id": id, "delta": delta, "idempotencyKey": key });
    let stock = async |shop: &mut Shop, delta, key: &str| {
        shop.done("adjustStock", input(delta, key), PRODUCT).await["product"]["stock"].as_i64().unwrap()
    };
    assert_eq!(stock(shop, 5, "in").await, 5);
    assert_eq!(stock(shop, -3, "out").await, 2);
    let (wrong, payload) = shop.refused_with("adjustStock", input(-3, "more"), PRODUCT).await;
    assert_eq!((wrong, &payload["product"]["stock"]), (vec!["delta OUT_OF_STOCK".to_owned()], &json!(2)));
    assert_eq!(shop.refused("adjustStock", input(i64::from(i32::MAX), "all")).await, ["delta OUT_OF_RANGE"]);
    assert_eq!(shop.refused("adjustStock", input(1, " ")).await, ["idempotencyKey BLANK"]);
    assert_eq!(shop.refused("adjustStock", input(1, &"k".repeat(256))).await, ["idempotencyKey TOO_LONG"]);
    let nothing = json!({ "id": object("Product", 99), "delta": 1, "idempotencyKey": "k" });
    assert_eq!(shop.failed("adjustStock", nothing).await, "NOT_FOUND");
    // The name is found by the search, the old one is not.
    let found = |name: &str| format!("{{ products(filter: {{ search: \"{name}\" }}) {{ nodes {{ id }} }} }}");
    crate::support::eventually("the search to know", async || {
        shop.app.query(&found("red tul")).await["products"]["nodes"] == json!([{ "id": id }])
            && shop.app.query(&found("yellow")).await["products"]["nodes"] == json!([])
    })
    .await;
}
