//! The first thing a newcomer asks.

use serde_json::json;

use crate::support::{Backend, TestApp};

crate::on_both!(front_page_of_the_demo);

async fn front_page_of_the_demo(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let data = app
        .query(
            "{ posts(first: 3) { nodes { title author { name } comments(first: 2) { totalCount nodes { body author { \
             name } } } tags { nodes { name } } } } }",
        )
        .await;
    let post = &data["posts"]["nodes"][1];
    assert_eq!(post["title"], "How would the world be different if pets could talk?");
    assert_eq!(post["author"], json!({ "name": "member 842e34da" }));
    assert_eq!(post["comments"]["totalCount"], 8);
    assert_eq!(post["comments"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(post["tags"]["nodes"][0]["name"], "how-would-the-world-be-different-if-pets-could");
}
