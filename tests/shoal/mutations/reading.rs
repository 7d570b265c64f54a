//! What a payload shows: the state that the mutation made, whatever replicas and earlier fields have seen.

use serde_json::json;

use super::shop::{Shop, mutation};
use crate::model::global;
use crate::support::{Backend, Database, TestApp};

crate::on_both!(each_field_reads_anew, a_field_that_fails_takes_no_other_along);

async fn each_field_reads_anew(backend: Backend) {
    let mut shop = Shop::open(backend).await;
    let ann = shop.made("createUser", "user", json!({ "email": "ann@example.com", "name": "Ann" })).await;
    let post = shop.made("createPost", "post", json!({ "authorId": ann, "title": "a", "body": "b" })).await;
    shop.done("publishPost", json!({ "id": post }), "post { id }").await;
    let query = "mutation($add: AddCommentInput!, $name: UpdateUserInput!) {
        first: addComment(input: $add) { comment { ...Seen } }
        second: addComment(input: $add) { comment { ...Seen } }
        updateUser(input: $name) { user { name } }
        third: addComment(input: $add) { comment { ...Seen } }
    }
    fragment Seen on Comment { author { name } post { commentCount comments { totalCount nodes { id } } } }";
    let variables =
        json!({ "add": { "postId": post, "authorId": ann, "body": "a" }, "name": { "id": ann, "name": "Anna" } });
    let data = shop.app.query_with(query, variables).await;
    for (field, count, name) in [("first", 1, "Ann"), ("second", 2, "Ann"), ("third", 3, "Anna")] {
        let comment = &data[field]["comment"];
        assert_eq!(comment["author"]["name"], name, "{field}");
        assert_eq!(comment["post"]["commentCount"], count, "{field}");
        assert_eq!(comment["post"]["comments"]["totalCount"], count, "{field}");
        assert_eq!(comment["post"]["comments"]["nodes"].as_array().map(Vec::len), Some(count), "{field}");
    }
}

#[tokio::test]
async fn a_payload_never_comes_from_a_replica() {
    let app = TestApp::with_replicas(Database::empty(Backend::Postgres).await).await;
    let shown = "user { name orders { totalCount } posts { nodes { id } } }";
    let input = json!({ "input": { "email": "ann@example.com", "name": "Ann" } });
    let mut answer = app
        .ask_with(&json!({ "query": mutation("createUser", shown), "variables": input }), &[("shoal-trace", "1")])
        .await;
    assert_eq!(answer.json["data"]["createUser"]["user"]["name"], "Ann");
    let batches = answer.json["extensions"]["shoal"]["batches"].take();
    assert_eq!(batches.as_array().map(Vec::len), Some(3), "{batches}");
    assert!(batches.as_array().unwrap().iter().all(|batch| batch["node"] == "primary"), "{batches}");
    let add = json!({ "input": { "authorId": global("User", 1), "title": "a", "body": "b" } });
    let seen = app.query_with(&mutation("createPost", "post { body author { name } }"), add).await;
    assert_eq!(seen["createPost"]["post"], json!({ "body": "b", "author": { "name": "Ann" } }));
    // Not because there were none.
    let read = json!({ "query": "{ users { nodes { name } } }" });
    let answer = app.ask_as(None, &read, &[("shoal-trace", "1")]).await;
    let node = &answer.json["extensions"]["shoal"]["batches"][0]["node"];
    assert!(node.as_str().unwrap().starts_with("replica-"), "{node}");
}

async fn a_field_that_fails_takes_no_other_along(backend: Backend) {
    let app = TestApp::empty(backend).await;
    let query = "mutation($gone: ID!) {
        a: createUser(input: { email: \"a@example.com\", name: \"A\" }) { user { name } }
        deletePost(input: { id: $gone }) { deletedPostId }
        b: createUser(input: { email: \"b@example.com\", name: \"B\" }) { user { name } }
    }";
    let answer = app.ask(&json!({ "query": query, "variables": { "gone": global("Post", 1) } })).await;
    let name = |name: &str| json!({ "user": { "name": name } });
    assert_eq!(answer.json["data"], json!({ "a": name("A"), "deletePost": null, "b": name("B") }));
    assert_eq!(answer.refusal(), ("NOT_FOUND".into(), "there is no such Post".into()));

    // So do the fields of a query, and the elements of a list.
    let answer = app.ask(&json!({ "query": "{ user(id: \"?\") { id } viewer { role } }" })).await;
    assert_eq!(answer.json["data"], json!({ "user": null, "viewer": { "role": "ADMIN" } }));
    let query = format!("{{ nodes(ids: [\"?\", {:?}]) {{ __typename }} }}", global("User", 1));
    let answer = app.ask(&json!({ "query": query })).await;
    assert_eq!(answer.json["errors"][0]["path"], json!(["nodes", 0]), "{}", answer.json);
}
