//! Documents that were made to harm.

use proptest::prelude::*;

/// Texts of the pieces that documents, and attacks on their parsers, are made of.
pub fn any_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "{a",
        "a:",
        "...",
        "...A",
        "... on A",
        "@d",
        "$v",
        ":",
        "=",
        "!",
        "&",
        "|",
        "\"",
        "\"\"",
        "\"\"\"",
        "\\\"\"\"",
        "\\\\",
        "\\\"",
        "\\u0041",
        "\\u{41}",
        "\"a\"",
        "\"\\\\\"",
        "#",
        "# {\n",
        "\n",
        "\r",
        "\r\n",
        ",",
        "\u{feff}",
        "é",
        "\0",
        "1",
        "-1",
        "01",
        "1.5",
        "1e9",
        "1.",
        "true",
        "null",
        "query",
        "mutation",
        "fragment A on B",
        "__typename",
        "a(b: 1)",
        "query Q($v: Int = 1)",
        "query($v: [I!]!)",
        "{a}",
        "{ a b c }",
        "{a:b(c:[1 {d:$v}]) @e{f}}",
    ]);
    prop_oneof![
        prop::collection::vec(pieces.clone(), 0..40).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(pieces.clone(), 0..40).prop_map(|pieces| pieces.join(" ")),
        (pieces, 0..3000_usize).prop_map(|(piece, times)| piece.repeat(times)),
        any::<String>(),
    ]
}

/// Fragments that spread each other in any way, in fields or not; spaces between all tokens.
pub fn fragments() -> impl Strategy<Value = String> {
    let bodies = prop::collection::vec(prop::collection::vec((0..12_usize, 0..4_u8), 1..12), 1..12);
    bodies.prop_map(|bodies| {
        let body = |spreads: &[(usize, u8)]| {
            let one = |(to, how): &(usize, u8)| match how {
                0 => format!("...f{to} "),
                1 => format!("a {{ ...f{to} }} "),
                2 => format!("... on Q {{ b ...f{to} ...f{to} }} "),
                _ => "c: c ".to_owned(),
            };
            spreads.iter().map(one).collect::<String>()
        };
        let define =
            |(number, spreads): (usize, &Vec<(usize, u8)>)| format!("fragment f{number} on Q {{ {} }} ", body(spreads));
        format!("{{ ...f0 }} {}", bodies.iter().enumerate().map(define).collect::<String>())
    })
}
