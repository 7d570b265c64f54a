//! Accounts: opened, changed, closed.

use serde_json::json;

use super::shop::{Shop, object};

const USER: &str = "user { id email name role active createdAt updatedAt }";

pub async fn change(shop: &mut Shop) {
    let input = json!({ "email": " Ann@Example.com ", "name": "Ann Cafe\u{301}" });
    let ann = shop.done("createUser", input, USER).await["user"].take();
    assert_eq!(ann["id"], object("User", 1));
    assert_eq!((&ann["email"], &ann["name"]), (&json!("Ann@Example.com"), &json!("Ann Café")));
    assert_eq!((&ann["role"], &ann["active"]), (&json!("CUSTOMER"), &json!(true)));
    assert_eq!(ann["createdAt"], ann["updatedAt"]);
    let input = json!({ "email": "bob@example.com", "name": "Bob", "role": "AUTHOR" });
    let bob = shop.done("createUser", input, USER).await["user"].take();
    assert_eq!(bob["role"], "AUTHOR");

    // All that is wrong, at once.
    let both = shop.refused("createUser", json!({ "email": "ann", "name": " \u{a0} " })).await;
    assert_eq!(both, ["email INVALID", "name BLANK"]);
    let long = json!({ "email": format!("{}@example.com", "a".repeat(250)), "name": "é".repeat(101) });
    assert_eq!(shop.refused("createUser", long).await, ["email TOO_LONG", "name TOO_LONG"]);
    let nul = json!({ "email": "c@example.com", "name": "C\0" });
    assert_eq!(shop.refused("createUser", nul).await, ["name INVALID"]);
    // Whatever its case; nothing of it stays.
    let taken = json!({ "email": "ANN@EXAMPLE.COM", "name": "Another" });
    assert_eq!(shop.refused("createUser", taken).await, ["email TAKEN"]);
    assert_eq!(shop.app.query("{ users { totalCount } }").await["users"]["totalCount"], 2);

    // What is not given, or null, stays.
    let input = json!({ "id": bob["id"], "name": "Robert", "email": null });
    let robert = shop.done("updateUser", input, USER).await["user"].take();
    assert_eq!((&robert["name"], &robert["email"], &robert["role"]), (&json!("Robert"), &bob["email"], &bob["role"]));
    assert!(robert["updatedAt"].as_str() > bob["updatedAt"].as_str(), "{robert}");
    // Nothing to change is no change.
    let same = shop.done("updateUser", json!({ "id": bob["id"] }), USER).await["user"].take();
    assert_eq!(same, robert);
    // One's own address, in another case.
    let input = json!({ "id": bob["id"], "email": "Bob@example.com", "role": "MODERATOR", "active": false });
    let closed = shop.done("updateUser", input, USER).await["user"].take();
    assert_eq!((&closed["email"], &closed["active"]), (&json!("Bob@example.com"), &json!(false)));

    let taken = json!({ "id": bob["id"], "email": "ann@example.com" });
    assert_eq!(shop.refused("updateUser", taken).await, ["email TAKEN"]);
    let both = json!({ "id": bob["id"], "email": "", "name": "a\nb" });
    assert_eq!(shop.refused("updateUser", both).await, ["email BLANK", "name INVALID"]);
    assert_eq!(shop.failed("updateUser", json!({ "id": object("User", 99), "name": "Nobody" })).await, "NOT_FOUND");
    assert_eq!(shop.failed("updateUser", json!({ "id": object("Post", 1), "name": "Nobody" })).await, "BAD_USER_INPUT");

    // What the change is based on is gone: what there is now is shown, and stays.
    let stale = json!({ "id": bob["id"], "name": "Bobby", "updatedAt": robert["updatedAt"] });
    let (wrong, payload) = shop.refused_with("updateUser", stale, USER).await;
    assert_eq!((wrong, &payload["user"]), (vec!["updatedAt CONFLICT".to_owned()], &closed));
    let fresh = json!({ "id": bob["id"], "name": "Bobby", "active": true, "updatedAt": closed["updatedAt"] });
    assert_eq!(shop.done("updateUser", fresh, USER).await["user"]["name"], "Bobby");
}
