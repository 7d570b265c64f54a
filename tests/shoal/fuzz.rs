//! What cargo-fuzz looks for in long runs, here on what proptest makes up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};
use shoal::data::position::{Keys, Position, Token, Universe};

#[path = "../../fuzz/src/lib.rs"]
mod bodies;

/// Pieces of documents, and of attacks on whoever reads them.
fn document() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "...",
        "...A",
        "fragment A on Query {",
        "... on User {",
        "@skip(if: $v)",
        "query(",
        "$v: Int = 1",
        "mutation",
        "posts",
        "nodes",
        "first: 100",
        "a:",
        "comments(first: $v) {",
        "__schema",
        "fields {",
        "\"",
        "\"\"\"",
        "\\\"\"\"",
        "\"\\\\\"",
        "#",
        "\n",
        "\u{feff}",
        "é",
        "\0",
        "-1.5e9",
        "99999999999999999999",
        "null",
        "{ posts { nodes { id } } }",
        "{ ...A ...A }",
        "fragment A on Query { ...B ...B }",
        "fragment B on Query { ...A }",
    ]);
    prop_oneof![
        prop::collection::vec(pieces.clone(), 0..60).prop_map(|pieces| pieces.join(" ")),
        (pieces.clone(), pieces, 0..2000_usize).prop_map(|(one, other, times)| (one.to_owned() + other).repeat(times)),
        any::<String>(),
    ]
}

/// JSON of any shape.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<i64>().prop_map(|n| json!(n)), ".{0,9}".prop_map(|s| json!(s)), Just(Value::Null)];
    let name = prop::sample::select(vec!["ids", "n", "x"]).prop_map(str::to_owned);
    leaf.prop_recursive(20, 400, 40, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Value::Array),
            prop::collection::hash_map(name.clone(), inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn documents(text in document()) {
        bodies::guard(&text);
    }

    #[test]
    fn variables(values in values()) {
        bodies::variables(&json!({ "ids": values, "n": 3 }).to_string());
        bodies::variables(&values.to_string());
    }

    #[test]
    fn cursors(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        bodies::cursor(&bytes);
    }

    #[test]
    fn ids(name in "[A-Za-z:+0-9]{0,12}", key in any::<i64>(), zeros in "[+0]{0,2}", anything in any::<String>()) {
        bodies::id(&anything);
        bodies::id(&format!("{name}:{zeros}{key}"));
    }

    #[test]
    fn tokens(position: u64, previous: bool, place in 0..100_usize, with in "[A-Za-z0-9_-]", anything in any::<String>()) {
        let key = if previous { "previous" } else { "key" };
        let token = Token { universe: Universe::of(1, 2, 3), position: Position(position) };
        let mut signed = Keys::new(vec![key.into()]).sign(token);
        bodies::token(&signed);
        let place = place % signed.len();
        signed.replace_range(place..=place, &with);
        bodies::token(&signed);
        bodies::token(&anything);
        bodies::token(&URL_SAFE_NO_PAD.encode(anything));
    }
}
