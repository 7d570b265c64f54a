//! Comments on published posts.

use serde_json::{Value, json};

use super::shop::{Shop, object};

pub async fn change(shop: &mut Shop) {
    let (ann, post) = (object("User", 1), object("Post", 1));
    let shown = "comment { id body createdAt author { id name } post { id commentCount } }";
    let input = json!({ "postId": post, "authorId": ann, "body": " Lovely!\n " });
    let comment = shop.done("addComment", input, shown).await["comment"].take();
    assert_eq!((&comment["body"], &comment["author"]["id"]), (&json!("Lovely!"), &ann));
    assert_eq!(comment["post"], json!({ "id": post, "commentCount": 1 }));

    let input = |post: &Value, author: &Value, body: &str| json!({ "postId": post, "authorId": author, "body": body });
    let nobody = object("User", 99);
    assert_eq!(shop.refused("addComment", input(&post, &nobody, "a")).await, ["authorId NOT_FOUND"]);
    assert_eq!(shop.refused("addComment", input(&object("Post", 99), &ann, "a")).await, ["postId NOT_FOUND"]);
    assert_eq!(
        shop.refused("addComment", json!({ "postId": post, "body": "" })).await,
        ["authorId BLANK", "body BLANK"]
    );
    let long = "a".repeat(10_001);
    assert_eq!(shop.refused("addComment", input(&post, &ann, &long)).await, ["body TOO_LONG"]);

    // Only what is published can be talked about, and only by those who still have an account.
    let draft = json!({ "authorId": ann, "title": "Draft", "body": "a" });
    let draft = json!(shop.made("createPost", "post", draft).await);
    assert_eq!(shop.refused("addComment", input(&draft, &ann, "a")).await, ["postId INVALID_STATE"]);
    let closed = json!({ "email": "closed@example.com", "name": "Closed" });
    let closed = json!(shop.made("createUser", "user", closed).await);
    shop.done("updateUser", json!({ "id": closed, "active": false }), "user { id }").await;
    assert_eq!(shop.refused("addComment", input(&post, &closed, "a")).await, ["authorId INACTIVE"]);
    let input = json!({ "authorId": closed, "title": "a", "body": "b" });
    assert_eq!(shop.refused("createPost", input).await, ["authorId INACTIVE"]);

    let shown = "deletedCommentId post { id commentCount }";
    let gone = shop.done("deleteComment", json!({ "id": comment["id"] }), shown).await;
    assert_eq!(gone["deletedCommentId"], comment["id"]);
    assert_eq!(gone["post"], json!({ "id": post, "commentCount": 0 }));
    assert_eq!(shop.failed("deleteComment", json!({ "id": comment["id"] })).await, "NOT_FOUND");
}
