//! Posts: written, published, tagged, archived, deleted.

use serde_json::{Value, json};

use super::shop::{Shop, object};

const POST: &str =
    "post { id title body status publishedAt createdAt updatedAt author { id } tags { nodes { name } } }";

pub async fn change(shop: &mut Shop) {
    let (ann, nobody) = (object("User", 1), object("User", 99));
    let input = json!({ "authorId": ann, "title": " Tulips ", "body": "They are\r\nyellow.\n" });
    let draft = shop.done("createPost", input, POST).await["post"].take();
    assert_eq!((&draft["title"], &draft["body"]), (&json!("Tulips"), &json!("They are\nyellow.")));
    assert_eq!(
        (&draft["status"], &draft["publishedAt"], &draft["author"]["id"]),
        (&json!("DRAFT"), &Value::Null, &ann)
    );
    let id = draft["id"].clone();

    // Nobody is signed in, so an author must be named.
    let wrong = shop.refused("createPost", json!({ "title": "", "body": "a\u{7}" })).await;
    assert_eq!(wrong, ["authorId BLANK", "title BLANK", "body INVALID"]);
    let input = json!({ "authorId": nobody, "title": "a", "body": "b" });
    assert_eq!(shop.refused("createPost", input).await, ["authorId NOT_FOUND"]);
    let long = json!({ "authorId": ann, "title": "a".repeat(201), "body": "b".repeat(100_001) });
    assert_eq!(shop.refused("createPost", long).await, ["title TOO_LONG", "body TOO_LONG"]);

    let input = json!({ "id": id, "body": "They are red.", "updatedAt": draft["updatedAt"] });
    let red = shop.done("updatePost", input, POST).await["post"].take();
    assert_eq!((&red["title"], &red["body"]), (&json!("Tulips"), &json!("They are red.")));
    let stale = json!({ "id": id, "title": "Roses", "updatedAt": draft["updatedAt"] });
    let (wrong, payload) = shop.refused_with("updatePost", stale.clone(), POST).await;
    assert_eq!((wrong, &payload["post"]), (vec!["updatedAt CONFLICT".to_owned()], &red));
    assert_eq!(shop.refused("updatePost", json!({ "id": id, "title": "\t" })).await, ["title BLANK"]);
    assert_eq!(shop.failed("updatePost", json!({ "id": object("Post", 99), "title": "a" })).await, "NOT_FOUND");

    published(shop, &id).await;
    tagged(shop, &id).await;
    deleted(shop, &ann).await;
}

async fn published(shop: &mut Shop, id: &Value) {
    let shown = "{ posts { nodes { id } } }";
    assert_eq!(shop.app.query(shown).await["posts"]["nodes"], json!([]));
    let post = shop.done("publishPost", json!({ "id": id }), POST).await["post"].take();
    assert_eq!(post["status"], "PUBLISHED");
    assert!(post["publishedAt"].as_str() >= post["createdAt"].as_str(), "{post}");
    crate::support::eventually("the post to be shown by every server", async || {
        shop.app.query(shown).await["posts"]["nodes"] == json!([{ "id": id }])
    })
    .await;
    // It is published already.
    assert_eq!(shop.done("publishPost", json!({ "id": id }), POST).await["post"], post);

    let archived = shop.done("archivePost", json!({ "id": id }), POST).await["post"].take();
    assert_eq!((&archived["status"], &archived["publishedAt"]), (&json!("ARCHIVED"), &post["publishedAt"]));
    assert_eq!(shop.done("archivePost", json!({ "id": id }), POST).await["post"], archived);
    for name in ["publishPost", "archivePost", "deletePost"] {
        let stale = json!({ "id": id, "updatedAt": post["updatedAt"] });
        let (wrong, payload) = shop.refused_with(name, stale, POST).await;
        assert_eq!((wrong, &payload["post"]), (vec!["updatedAt CONFLICT".to_owned()], &archived), "{name}");
        assert_eq!(shop.failed(name, json!({ "id": object("Post", 99) })).await, "NOT_FOUND");
    }
    // The time of the first time stays.
    let again = shop.done("publishPost", json!({ "id": id }), POST).await["post"].take();
    assert_eq!((&again["status"], &again["publishedAt"]), (&json!("PUBLISHED"), &post["publishedAt"]));
}

async fn tagged(shop: &mut Shop, id: &Value) {
    let tags = async |shop: &mut Shop, tags: &[&str]| {
        let post = shop.done("setPostTags", json!({ "id": id, "tags": tags }), POST).await["post"].take();
        let names =
            post["tags"]["nodes"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap().to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        (names, post["updatedAt"].clone())
    };
    let (names, first) = tags(shop, &["tulips", "flowers", "tulips"]).await;
    assert_eq!(names, ["flowers", "tulips"]);
    let (names, second) = tags(shop, &["red", "flowers"]).await;
    assert_eq!(names, ["flowers", "red"]);
    assert!(second.as_str() > first.as_str(), "another set of tags is another state of the post");
    assert_eq!(tags(shop, &["flowers", "red"]).await, (vec!["flowers".to_owned(), "red".to_owned()], second.clone()));
    // A tag outlives its last post.
    assert_eq!(shop.app.query("{ tags { totalCount } }").await["tags"]["totalCount"], 3);

    let many: Vec<_> = (0..21).map(|index| format!("tag-{index}")).collect();
    assert_eq!(shop.refused("setPostTags", json!({ "id": id, "tags": many })).await, ["tags TOO_MANY"]);
    let wrong = json!({ "id": id, "tags": ["good", "Bad", "", "a".repeat(65)] });
    assert_eq!(shop.refused("setPostTags", wrong).await, ["tags.1 INVALID", "tags.2 BLANK", "tags.3 TOO_LONG"]);
    let stale = json!({ "id": id, "tags": [], "updatedAt": first });
    assert_eq!(shop.refused("setPostTags", stale).await, ["updatedAt CONFLICT"]);
    assert_eq!(shop.failed("setPostTags", json!({ "id": object("Post", 99), "tags": [] })).await, "NOT_FOUND");
    assert_eq!(tags(shop, &[]).await.0, [""; 0]);
    tags(shop, &["flowers"]).await;
}

async fn deleted(shop: &mut Shop, ann: &Value) {
    let input = json!({ "authorId": ann, "title": "Weeds", "body": "Out!" });
    let id = shop.made("createPost", "post", input).await;
    shop.done("publishPost", json!({ "id": id }), "post { id }").await;
    shop.done("setPostTags", json!({ "id": id, "tags": ["flowers"] }), "post { id }").await;
    for body in ["Why?", "Because."] {
        let input = json!({ "postId": id, "authorId": ann, "body": body });
        shop.done("addComment", input, "comment { id }").await;
    }
    let shown = "deletedPostId deletedCommentCount post { id }";
    let gone = shop.done("deletePost", json!({ "id": id }), shown).await;
    assert_eq!(gone, json!({ "deletedPostId": id, "deletedCommentCount": 2, "post": null, "userErrors": [] }));
    assert_eq!(shop.failed("deletePost", json!({ "id": id })).await, "NOT_FOUND");
    let rest = "{ comments { totalCount } tag(name: \"flowers\") { posts { totalCount } } }";
    crate::support::eventually("nothing of it to be left", async || {
        let rest = shop.app.query(rest).await;
        rest == json!({ "comments": { "totalCount": 0 }, "tag": { "posts": { "totalCount": 1 } } })
    })
    .await;
}
