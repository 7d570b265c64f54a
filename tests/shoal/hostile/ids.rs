//! Ids that are none, or of something else.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{quoted, refused, send, unharmed};
use crate::model::global;
use crate::support::{Backend, TestApp};

crate::on_both!(ids_of_nothing);

/// Where ids are taken, and of what type; of any, where none is named.
const PLACES: [(&str, &str); 15] = [
    ("", "node(id: $x) { id }"),
    ("", "nodes(ids: [$x]) { id }"),
    ("User", "_entities(representations: [{ __typename: \"User\", id: $x }]) { __typename }"),
    ("User", "user(id: $x) { id }"),
    ("Post", "post(id: $x) { id }"),
    ("Comment", "comment(id: $x) { id }"),
    ("Tag", "tag(id: $x) { id }"),
    ("Product", "product(id: $x) { id }"),
    ("Order", "order(id: $x) { id }"),
    ("Job", "job(id: $x) { id }"),
    ("User", "posts(filter: { authorId: $x }) { totalCount }"),
    ("Tag", "posts(filter: { tagId: $x }) { totalCount }"),
    ("Post", "comments(filter: { postId: $x }) { totalCount }"),
    ("User", "comments(filter: { authorId: $x }) { totalCount }"),
    ("User", "orders(filter: { userId: $x }) { totalCount }"),
];

async fn ids_of_nothing(backend: Backend) {
    let app = TestApp::demo(backend).await;
    for (kind, place) in PLACES {
        let query = format!("query($x: ID!) {{ {place} }}");
        let right = if kind.is_empty() { "User" } else { kind };
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let mut wrong: Vec<_> = ["+7", "07", "-0", " 7", "7 ", "", "x", "7.0", "7e0", "0x7", "7:7", "٧", "7\0", "\0"]
            .map(|key| encode(&format!("{right}:{key}")))
            .into();
        wrong.extend(["9223372036854775808", "-9223372036854775809", &"9".repeat(50)].map(|key| global(right, key)));
        wrong.extend([":7", "7", "", ":", "Nothing:7", "Query:1", "PageInfo:1", "UserConnection:1"].map(encode));
        wrong.extend([right.to_lowercase(), format!("{right}s"), format!(" {right}")].map(|kind| global(&kind, 7)));
        wrong.push(URL_SAFE_NO_PAD.encode(b"User\xff:7"));
        wrong.push(format!("{}=", global(right, 7)));
        wrong.push(format!(" {}", global(right, 7)));
        wrong.push(format!("{}\n", global(right, 7)));
        // The last character has bits to spare, which only one spelling leaves at zero.
        wrong.push("VXNlcjo3N1".to_owned());
        wrong.extend(["User:7", "7", "é", "\0", "====", "----", "\u{1f600}"].map(str::to_owned));
        wrong.extend([STANDARD.encode("User:7???>>>"), "A".repeat(900_000), "=".repeat(1000)]);
        if !kind.is_empty() {
            let others = ["User", "Post", "Comment", "Tag", "Product", "Order", "OrderItem", "Job"];
            wrong.extend(others.into_iter().filter(|other| *other != kind).map(|other| global(other, 7)));
        }
        for id in &wrong {
            let asked = format!("{place} with {}", id.chars().take(80).collect::<String>());
            let answer = send(&app, &query, &[("x", &quoted(id))]).await;
            refused(&answer, &asked);
            let message = answer.json["errors"][0]["message"].as_str().unwrap();
            assert!(message == "not a valid id" || message == format!("not an id of a {kind}"), "{asked}: {message}");
        }
        // A number can be written as an id, but is none of ours.
        refused(&send(&app, &query, &[("x", "7")]).await, place);
        refused(&send(&app, &query, &[("x", "9223372036854775808")]).await, place);
        unharmed(&app, place).await;
    }
}
