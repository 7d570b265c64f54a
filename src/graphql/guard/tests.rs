use async_graphql::parser::parse_query;
use async_graphql::{ServerError, Variables};
use proptest::prelude::*;

use super::structure::measure;
use super::*;
use crate::graphql::error;

mod families;

fn code(error: &ServerError) -> String {
    error::code(error)
}

/// Judges a text as a request is judged; how many things were looked at after it was parsed.
fn judged(document: &str, limits: &Limits) -> Result<usize, ServerError> {
    text(document, limits)?;
    let parsed = parse_query(document).map_err(error::parse_error)?;
    let mut visits = 0;
    measure(&parsed, limits, true, &mut visits).map(|()| visits)
}

fn refused(document: &str) -> (String, String) {
    let error = judged(document, &Limits::default()).unwrap_err();
    (code(&error), error.message)
}

fn passes(document: &str) {
    if let Err(error) = judged(document, &Limits::default()) {
        panic!("{}: {document}", error.message);
    }
}

#[test]
fn only_brackets_of_the_document_nest() {
    let limits = Limits::default();
    let nested = |open: &str| text(&open.repeat(100), &limits).is_ok() && text(&open.repeat(101), &limits).is_err();
    assert!(nested("{") && nested("[") && nested("(") && nested("# {\n[ ") && nested("\"{\" ( "));
    for document in ["{a}", "\"{\"", "\"\\\"{\"", "\"\"\"{ \" { \\\"\"\" {{{\"\"\"", "# {\r", "}", "\"\\\\\""] {
        assert!(text(&document.repeat(1000), &limits).is_ok(), "{document}");
    }
}

/// Each of these hides brackets from whoever reads strings and comments in another way than the parser.
#[test]
fn nothing_hides_brackets() {
    for hidden in ["# \\\n", r#""""\\\""" " """ "#, "\"\" \"\"", "\u{feff}", "\"\\\\\""] {
        let document = format!("{hidden}{}", "{".repeat(101));
        assert!(text(&document, &Limits::default()).unwrap_err().message.contains("brackets"), "{hidden}");
    }
}

#[test]
fn what_is_no_token_is_refused_where_it_is() {
    for (document, line, column) in [
        ("{ a }\n\"", 2, 1),
        ("{ é }", 1, 3),
        ("{ a(b: \"é\" ; ) }", 1, 12),
        ("{ a(b: \"\"\"\n\\\"\"\"", 1, 8),
        ("{ a(b: \"x\n\") }", 1, 8),
        ("{ a(b: \"x\\\n\") }", 1, 8),
        ("{ a(b: \"x\\", 1, 8),
        ("{ a(b: 01) }", 1, 8),
        ("{ a(b: 1x) }", 1, 9),
        ("{ a(b: 1.) }", 1, 10),
        ("{ a(b: 1e) }", 1, 10),
        ("{ a(b: -) }", 1, 9),
        ("{ .. }", 1, 3),
        ("\0", 1, 1),
    ] {
        let error = text(document, &Limits::default()).unwrap_err();
        assert_eq!(code(&error), "GRAPHQL_PARSE_FAILED", "{document}");
        let at = error.locations[0];
        assert_eq!((at.line, at.column), (line, column), "{document}: {}", error.message);
    }
    for document in ["", "-0", "0.5e-10", "1E+2", "-1-2", "\"\" \"\"", "\"\"\"\"\"\"", "{a,,,b}#", "\u{feff}{a}"] {
        assert!(text(document, &Limits::default()).is_ok(), "{document}");
    }
}

/// At each limit a document passes, above it is refused, and told why.
#[test]
fn limits_are_where_they_are_said_to_be() {
    let limits = Limits::default();
    let aliases = |count: usize| (0..count).map(|n| format!("a{n}: __typename ")).collect::<String>();
    let spread_over = |count: usize, each: &dyn Fn(usize) -> String| {
        (0..count).map(|n| format!("o{} {{ {} }} ", n % 40, each(n))).collect::<String>()
    };
    let nest = |open: &str, depth: usize, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    type Family<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String);
    let families: [Family; 16] = [
        ("tokens", limits.tokens, &|n| format!("{{ {} }}", "# a b\n...A ".repeat((n - 2) / 2) + &"a".repeat(n % 2))),
        ("bytes in a name", limits.name_bytes, &|n| format!("{{ {} }}", "n".repeat(n))),
        ("selections in each other", limits.depth, &|n| nest("{ a ", n, "", "}")),
        ("fields of the root", limits.root_fields, &|n| {
            format!(
                "{{ ...A ... {{ {} }} }} fragment A on Q {{ b }}",
                (1..n).map(|n| format!("a{n} ")).collect::<String>()
            )
        }),
        ("aliases", limits.aliases, &|n| format!("{{ a {{ {} }} }}", aliases(n))),
        ("fields of one key", limits.duplicates, &|n| {
            format!("{{ a {{ ...A ...A {} }} }} fragment A on Q {{ k }}", "k ".repeat(n - 2))
        }),
        ("directives", limits.directives, &|n| format!("{{ a {{ {} }} }}", spread_over(n, &|_| "b @d".into()))),
        ("directives of one element", limits.directives_on_one, &|n| format!("{{ a {} }}", "@d ".repeat(n))),
        ("operations", limits.operations, &|n| (0..n).map(|n| format!("query q{n} {{ a }} ")).collect()),
        ("fragments", limits.fragments, &|n| {
            "{ a }".to_owned() + &(0..n).map(|n| format!("fragment f{n} on Q {{ a }} ")).collect::<String>()
        }),
        ("variables", limits.variables, &|n| {
            format!("query({}) {{ a }}", (0..n).map(|n| format!("$v{n}: Int ")).collect::<String>())
        }),
        ("values in lists and objects", limits.literals, &|n| format!("{{ a(b: [{}]) }}", "1 ".repeat(n))),
        ("values in lists and objects", limits.literals, &|n| {
            format!("query($a: A = {{ b: [{}] }}) {{ a }}", "1 ".repeat(n - 1))
        }),
        ("lists and objects in each other", limits.value_depth, &|n| format!("{{ a(b: {}) }}", nest("[", n, "", "]"))),
        ("lists and objects in each other", limits.value_depth, &|n| {
            format!("{{ a @d(b: {}) }}", nest("{ c: ", n, "1", "}"))
        }),
        ("lists of introspection in each other", limits.introspection_depth, &|n| {
            format!("{{ __schema {{ types {} }} }}", nest("{ ...F fields { type ", n, "{ name }", "} }") + "")
                + "fragment F on __Type { name }"
        }),
    ];
    for (what, limit, document) in families {
        passes(&document(limit));
        let (code, message) = refused(&document(limit + 1));
        assert_eq!(code, "QUERY_TOO_LARGE", "{what}");
        assert!(message.contains(what) && message.contains(&limit.to_string()), "{what}: {message}");
    }
}

#[test]
fn fragments_count_where_they_are_spread() {
    let doubling = |levels: usize| {
        let fragments: String =
            (0..levels).map(|n| format!("fragment f{n} on Q {{ ...f{0} ...f{0} }} ", n + 1)).collect();
        format!("{{ ...f0 }} {fragments} fragment f{levels} on Q {{ a {{ b }} }}")
    };
    passes(&doubling(3));
    for levels in [15, 22, 30, 40] {
        let (code, _) = refused(&doubling(levels));
        assert_eq!(code, "QUERY_TOO_LARGE", "{levels}");
    }
    // Also where nobody spreads them.
    assert_eq!(refused(&doubling(30).replace("{ ...f0 }", "{ a }")).0, "QUERY_TOO_LARGE");
    // Depth adds up through fragments: 8 + 8 + 8.
    let deep = |inner: &str| format!("{}{inner}{}", "a { ".repeat(8), "} ".repeat(8));
    let document = format!(
        "{{ ...A }} fragment A on Q {{ {} }} fragment B on Q {{ {} }} fragment C on Q {{ {} }}",
        deep("...B "),
        deep("...C "),
        deep("b ")
    );
    assert!(refused(&document).1.contains("selections in each other"), "{}", refused(&document).1);
    passes(&document.replace("...C", "b ...D").replace("...D", ""));
    let through = "{ __type { ...A } } fragment A on T { fields { type { ...B } } } \
                   fragment B on T { interfaces { ...C } } fragment C on T { possibleTypes { name } }";
    assert!(refused(through).1.contains("introspection"));
    for ring in ["...A", "a { ...A }", "... on Q { ...B } } fragment B on Q { a { ...A }"] {
        let (code, message) = refused(&format!("{{ ...A }} fragment A on Q {{ {ring} }}"));
        assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{ring}");
        assert!(message.ends_with("spreads itself"), "{message}");
    }
}

#[test]
fn introspection_can_be_turned_off() {
    let judge = |document: &str| structure(&parse_query(document).unwrap(), &Limits::default(), false);
    for document in [
        "{ __schema { types { name } } }",
        "{ ...A } fragment A on Q { ... { x: __type(name: \"A\") { name } } }",
        "{ _service { sdl } }",
    ] {
        assert_eq!(code(&judge(document).unwrap_err()), "INTROSPECTION_DISABLED", "{document}");
    }
    assert!(judge("{ __typename a { __typename } }").is_ok());
}

#[test]
fn variables_are_counted_to_the_limit() {
    let limits = Limits { values: 6, value_depth: 2, ..Limits::default() };
    let judge = |variables: serde_json::Value| values(&Variables::from_json(variables), &limits);
    assert!(judge(serde_json::json!({ "a": [1, 2, 3], "b": { "c": 1 } })).is_ok());
    assert!(judge(serde_json::json!({ "a": [1, 2, 3], "b": { "c": 1 }, "d": null })).is_err());
    assert!(judge(serde_json::json!({ "a": [[1]] })).is_ok());
    assert_eq!(code(&judge(serde_json::json!({ "a": [{ "b": [] }] })).unwrap_err()), "QUERY_TOO_LARGE");
}

/// What clients send by themselves.
#[test]
fn documents_of_tools_pass() {
    for document in [include_str!("tests/introspection.graphql"), include_str!("tests/relay.graphql")] {
        passes(document);
    }
    // Many components on one page, each with a fragment for its own fields.
    let fragments: String = (0..60)
        .map(|n| format!("fragment Component{n}_post on Post {{ id __typename author {{ id name }} title }} "))
        .collect();
    let spreads: String = (0..60).map(|n| format!("...Component{n}_post ")).collect();
    passes(&format!("query Page {{ posts(first: 20) {{ nodes {{ {spreads} }} }} }} {fragments}"));
}

proptest! {
    /// Whatever the text, it is judged; and what is in order to the guard never overflows the parser.
    #[test]
    fn any_text_is_judged(document in families::any_text()) {
        let _ = judged(&document, &Limits::default());
    }

    /// Work grows with the text, however its fragments refer to each other, and beyond that is bounded.
    #[test]
    fn work_is_linear(document in families::fragments()) {
        let limits = Limits { expanded: 500, aliases: 9999, duplicates: 9999, root_fields: 9999, ..Limits::default() };
        let parsed = parse_query(&document).unwrap();
        let mut visits = 0;
        let _ = measure(&parsed, &limits, true, &mut visits);
        let tokens = document.split_whitespace().count();
        prop_assert!(visits <= 3 * tokens + limits.expanded, "{} visits for {} tokens", visits, tokens);
    }
}
