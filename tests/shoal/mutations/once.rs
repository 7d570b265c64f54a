//! Idempotency keys: what was done is answered again, and not done again.

use serde_json::json;

use super::shop::{Shop, mutation};
use crate::model::global;
use crate::support::{Backend, TestApp};

crate::on_both!(the_same_again, keys_of_their_own, nothing_done_is_not_remembered);

const USERS: &str = "{ users { totalCount } }";

async fn the_same_again(backend: Backend) {
    let mut shop = Shop::open(backend).await;
    let input = json!({ "email": "ann@example.com", "name": "Ann", "idempotencyKey": "k" });
    let shown = "user { id name email updatedAt }";
    let ann = shop.done("createUser", input.clone(), shown).await;
    let renamed = json!({ "id": ann["user"]["id"], "name": "Anna" });
    shop.done("updateUser", renamed, "user { id }").await;
    // The answer of then, though she has another name by now.
    assert_eq!(shop.done("createUser", input.clone(), shown).await, ann);
    // What is normalised to the same is the same.
    let blanks = json!({ "email": "ann@example.com", "name": " Ann ", "idempotencyKey": " k " });
    assert_eq!(shop.done("createUser", blanks, shown).await, ann);
    for other in [
        json!({ "email": "ann@example.com", "name": "Anna", "idempotencyKey": "k" }),
        json!({ "email": "ann@example.com", "name": "Ann", "role": "ADMIN", "idempotencyKey": "k" }),
    ] {
        assert_eq!(shop.failed("createUser", other).await, "CONFLICT");
    }
    // What it refers to is read now.
    let input = json!({ "authorId": ann["user"]["id"], "title": "a", "body": "b", "idempotencyKey": "k" });
    let shown = "post { id author { name } }";
    let post = shop.done("createPost", input.clone(), shown).await;
    let renamed = json!({ "id": ann["user"]["id"], "name": "Annabel" });
    shop.done("updateUser", renamed, "user { id }").await;
    let again = shop.done("createPost", input, shown).await;
    assert_eq!((&again["post"]["id"], &again["post"]["author"]["name"]), (&post["post"]["id"], &json!("Annabel")));
    // A key outlives the object, and the process.
    let input = json!({ "id": post["post"]["id"], "idempotencyKey": "gone" });
    let gone = shop.done("deletePost", input.clone(), "deletedPostId").await;
    let database = shop.app.database.clone();
    drop(shop);
    let app = TestApp::start(database, &[]).await;
    let again = app.query_with(&mutation("deletePost", "deletedPostId"), json!({ "input": input })).await;
    assert_eq!(again["deletePost"], gone);
    assert_eq!(app.query(USERS).await["users"]["totalCount"], 1);
}

async fn keys_of_their_own(backend: Backend) {
    let mut shop = Shop::open(backend).await;
    let ann = shop.made("createUser", "user", json!({ "email": "ann@example.com", "name": "Ann" })).await;
    // One key for two mutations is two keys; none is none.
    let input = json!({ "authorId": ann, "title": "a", "body": "b", "idempotencyKey": "k" });
    let post = shop.made("createPost", "post", input.clone()).await;
    shop.done("publishPost", json!({ "id": post, "idempotencyKey": "k" }), "post { id }").await;
    assert_eq!(shop.made("createPost", "post", input).await, post);
    let comment = json!({ "postId": post, "authorId": ann, "body": "a" });
    for id in 1..=2 {
        assert_eq!(shop.made("addComment", "comment", comment.clone()).await, global("Comment", id));
    }
}

async fn nothing_done_is_not_remembered(backend: Backend) {
    let mut shop = Shop::open(backend).await;
    let input = json!({ "email": "ann@example.com", "name": "Ann", "idempotencyKey": "k" });
    let other = shop.made("createUser", "user", json!({ "email": "Ann@example.com", "name": "Other" })).await;
    assert_eq!(shop.refused("createUser", input.clone()).await, ["email TAKEN"]);
    shop.done("updateUser", json!({ "id": other, "email": "other@example.com" }), "user { id }").await;
    // It can be done now, and so it is.
    assert_eq!(shop.done("createUser", input, "user { name }").await["user"]["name"], "Ann");
}
