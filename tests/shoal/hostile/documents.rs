//! Documents that are no GraphQL, or not of this graph, or made to harm.

use super::{refused, send, tame, unharmed};
use crate::support::{Backend, TestApp};

#[tokio::test]
async fn a_document_that_is_wrong() {
    let app = TestApp::demo(Backend::Sqlite).await;
    for document in [
        "",
        " ",
        "{",
        "}",
        "{}",
        "{ }",
        "nonsense",
        "query",
        "\u{0}",
        "{ \u{0} }",
        "{ __typename ",
        "{ tag(name: \"unclosed) { id } }",
        "{ tag(name: \"\"\"unclosed) { id } }",
        "{ tag(name: \"\\ud800\") { id } }",
        "{ tag(name: \"\\u{110000}\") { id } }",
        "{ tag(name: \"\\u12\") { id } }",
        "{ tag(name: \"\\x\") { id } }",
        "{ tag(name: 'a') { id } }",
        "type Query { x: Int }",
        "query a { __typename } query b { __typename }",
        "query a { __typename } query a { __typename }",
        "mutation { createUser { id } }",
        "subscription { users { id } }",
        "{ nothing }",
        "{ users }",
        "{ users { nothing } }",
        "{ users { nodes } }",
        "{ users { nodes { id { x } } } }",
        "{ users(nothing: 1) { totalCount } }",
        "{ users(first: 1, first: 2) { totalCount } }",
        "{ users(first: \"1\") { totalCount } }",
        "{ users(first: 1.5) { totalCount } }",
        "{ users(first: 99999999999999999999) { totalCount } }",
        "{ users(first: -99999999999999999999) { totalCount } }",
        "{ users(first: 1e999) { totalCount } }",
        "{ users(orderBy: NOTHING) { totalCount } }",
        "{ users(filter: { nothing: 1 }) { totalCount } }",
        "{ users(filter: 1) { totalCount } }",
        "{ posts(filter: { status: null }) { totalCount } }",
        "{ user(id: { x: 1 }) { id } }",
        "{ nodes { id } }",
        "{ nodes(ids: null) { id } }",
        "{ nodes(ids: [null]) { id } }",
        "{ productBySku { id } }",
        "{ a: __typename a: users { totalCount } }",
        "{ ...Missing }",
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ __typename } fragment A on Query { __typename }",
        "{ ... on User { id } }",
        "{ ... on Nothing { id } }",
        "{ tags { totalCount @nothing } }",
        "query($a: Int, $a: Int) { users(first: $a) { totalCount } }",
        "query($a: Nothing) { users(first: $a) { totalCount } }",
        "query($a: User) { users(first: $a) { totalCount } }",
        "query($a: Int) { __typename }",
        "{ users(first: $a) { totalCount } }",
        "query($a: Int!) { users(first: $a) { totalCount } }",
        "query($a: ID!) { user(id: $a) { id } }",
    ] {
        refused(&send(&app, document, &[]).await, document);
    }
    let answer = send(&app, "query a { __typename }", &[]).await;
    tame(&answer, "a named operation");
    let unknown = app.ask(&serde_json::json!({ "query": "query a { __typename }", "operationName": "b" })).await;
    refused(&unknown, "an operation that is not there");
    unharmed(&app, "wrong documents").await;
}

/// Each of these once ended the process, or would have kept it busy for long.
#[tokio::test]
async fn a_document_made_to_harm() {
    let app = TestApp::demo(Backend::Sqlite).await;
    for levels in [90, 101, 500, 5_000, 100_000] {
        for (head, open, inner, close, tail) in [
            ("", "{", "", "", ""),
            ("", "{a", "", "}", ""),
            ("{ nodes(ids: ", "[", "", "]", ") { id } }"),
            ("{ nodes(ids: ", "[", "", "", ""),
            ("{ tags(filter: ", "{a:", "1", "}", ") { totalCount } }"),
            ("query($a: ", "[", "ID", "]", ") { nodes(ids: $a) { id } }"),
            ("query($a: ID = ", "[", "1", "]", ") { node(id: $a) { id } }"),
            ("{ __typename @skip(if: ", "[", "1", "]", ") }"),
            // Strings and comments that seem to hide what nests.
            ("{ nodes(ids: [\"\"\"\"", "[", "", "]", "]) { id } }"),
            ("# \\\n", "{a", "", "}", ""),
            ("{ nodes(ids: [\"\"\"\\\\\"\"\" \" \"\"\"", "[", "", "]", "]) { id } }"),
        ] {
            let document = format!("{head}{}{inner}{}{tail}", open.repeat(levels), close.repeat(levels));
            let asked = format!("{levels} levels of {open} behind {head}");
            let answer = send(&app, &document, &[]).await;
            if levels > 100 {
                refused(&answer, &asked)
            } else {
                tame(&answer, &asked)
            }
            unharmed(&app, &asked).await;
        }
    }
    for (name, last) in [("chain", "__typename"), ("ring", "...f0")] {
        for count in [200, 10_000] {
            let chain: String =
                (0..count).map(|number| format!("fragment f{number} on Query {{ ...f{} }} ", number + 1)).collect();
            let chain = format!("{chain} fragment f{count} on Query {{ {last} }}");
            let asked = format!("a {name} of {count} fragments");
            refused(&send(&app, &format!("{{ ...f0 }} {chain}"), &[]).await, &asked);
            refused(&send(&app, &format!("{{ __typename }} {chain}"), &[]).await, &asked);
            unharmed(&app, &asked).await;
        }
    }
    // Long, but not deep: each of these is answered.
    let many = 3_000;
    for document in [
        format!("{{ {} }}", "__typename ".repeat(many)),
        format!("{{ {} }}", (0..many).map(|number| format!("a{number}: __typename ")).collect::<String>()),
        format!("{{ {} }}", "... { __typename } ".repeat(many)),
        format!("{{ __typename {} }}", "@skip(if: false) ".repeat(many)),
        format!("{{ {} }} {}", "nothing ".repeat(many), "#\n".repeat(many)),
        format!("query({}) {{ __typename }}", (0..many).map(|number| format!("$a{number}: Int ")).collect::<String>()),
        (0..many).map(|number| format!("query a{number} {{ __typename }} ")).collect(),
        format!("{{ nodes(ids: [{}]) {{ id }} }}", "\"x\" ".repeat(many)),
        format!("{{ tag(name: \"{}\") {{ id }} }}", "{[(".repeat(many)),
    ] {
        let asked = document[..60].to_owned();
        tame(&send(&app, &document, &[]).await, &asked);
        unharmed(&app, &asked).await;
    }
}
