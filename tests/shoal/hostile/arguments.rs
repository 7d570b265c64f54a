//! Every argument of every field, and every field of every input, with values that it does not mean.

use serde_json::Value;

use super::{mutations, refused, send, tame, unharmed};
use crate::graph::{Graph, Input};
use crate::model::global;
use crate::support::{Backend, TestApp};

crate::on_both!(every_argument);

const JUNK: [&str; 8] = ["null", "true", "[]", "[[]]", "{}", "{\"nothing\": 1}", "[null]", "1.5"];
const INTS: [&str; 6] = ["2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "1e300", "\"1\""];
const GOOD_INTS: [&str; 4] = ["-1", "0", "2147483647", "-2147483648"];
const TIMES: [&str; 12] = [
    "\"\"",
    "\"now\"",
    "\"2020-01-01\"",
    "\"2020-13-01T00:00:00Z\"",
    "\"2020-02-30T00:00:00Z\"",
    "\"2020-01-01T00:00:00\"",
    "\"-0001-01-01T00:00:00Z\"",
    "\"+10000-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59-23:59\"",
    "\"0000-01-01T00:00:00+23:59\"",
    "\"2020-01-01T00:00:00Z\\u0000\"",
    "1577836800",
];
/// Right, if unusual.
const GOOD_TIMES: [&str; 3] =
    ["\"2016-12-31T23:59:60Z\"", "\"2020-01-01t00:00:00.123456789z\"", "\"0000-01-01T00:00:00.000001-00:00\""];
/// Texts that a database or a pattern could take for something else. Each is right where any text is.
const TEXTS: [&str; 9] = [
    "\"\"",
    "\"'; drop table users; --\"",
    "\"%_\\\\%_\\\\\"",
    "\"\\\" or \\\"\"",
    "\"* NEAR(a b)\"",
    "\"\\ufeff\\u202e\\uffff\"",
    "\"\\udbff\\udfff\\udbff\\udfff\\udbff\\udfff\"",
    "\"\\r\\n\\t\\u0001\\u007f\"",
    "\"${x} {{x}} :1 ?1 $1\"",
];

/// An argument, or a field within one: where it is, and what it takes.
pub struct Place {
    /// The argument with `$x` where the value goes.
    pub written: String,
    pub of: Input,
}

async fn every_argument(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let graph = Graph::of(&app).await;
    let large = format!("\"{}\"", "a".repeat(900_000));
    let mut tried = 0;
    for (owner, field) in graph.fields() {
        let places_of = |argument: &Input| match owner {
            "Mutation" => mutations::places(&graph, field["name"].as_str().unwrap(), argument),
            _ => places(&graph, argument, 0),
        };
        for place in Graph::arguments(field).iter().flat_map(places_of) {
            let query = query(owner, field, &place);
            let try_all = async |values: &[&str], must_fail: bool| {
                for value in values {
                    let asked = format!("{query} with {}", &value[..value.floor_char_boundary(100)]);
                    let answer = send(&app, &query, &[("x", value)]).await;
                    if must_fail {
                        refused(&answer, &asked)
                    } else {
                        tame(&answer, &asked)
                    }
                    if owner == "Mutation" && place.of.kind == "String" && TEXTS.contains(value) {
                        // What was deleted is not deleted twice.
                        let code = answer.json.pointer("/errors/0/extensions/code").and_then(Value::as_str);
                        assert!(matches!(code, None | Some("NOT_FOUND")), "{asked}: {}", answer.json);
                    }
                }
            };
            // What is of the wrong form gets no further than the executor, whatever the database.
            let (wrong, right): (&[&str], &[&str]) = match place.of.kind.as_str() {
                "Int" => (&INTS, &GOOD_INTS),
                "DateTime" => (&TIMES, &GOOD_TIMES),
                "String" | "ID" => (&["\"\\ud800\"", "\"a\\udfff\""], &TEXTS),
                "Boolean" => (&["\"true\"", "1", "0"], &["false"]),
                // Whatever it is, it is no entity.
                "_Any" => (&["\"NOTHING\"", "1", "{ \"__typename\": \"User\" }", "[{}, { \"id\": [] }]"], &[]),
                // An enumeration or an input.
                _ => (&["\"NOTHING\"", "\"\"", "1", "\"\\u0000\""], &[]),
            };
            if backend == Backend::Sqlite {
                try_all(wrong, true).await;
                try_all(&JUNK, false).await;
            }
            try_all(right, false).await;
            if matches!(place.of.kind.as_str(), "String" | "ID") {
                // A mutation says it to a person.
                let must_fail = owner != "Mutation" || place.of.kind == "ID";
                try_all(&["\"a\\u0000b\"", "\"\\u0000\""], must_fail).await;
                try_all(&[&large], false).await;
            }
            unharmed(&app, &query).await;
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} arguments were found");
}

/// The argument itself and, of an input, each of its fields.
fn places(graph: &Graph, input: &Input, depth: usize) -> Vec<Place> {
    let mut found = vec![Place { written: format!("{}: $x", input.name), of: input.clone() }];
    if depth < 3 {
        for place in graph.input_fields(&input.kind).iter().flat_map(|field| places(graph, field, depth + 1)) {
            found.push(Place { written: format!("{}: {{ {} }}", input.name, place.written), of: place.of });
        }
    }
    found
}

/// A query that gives the argument and reads what it leads to.
fn query(owner: &str, field: &Value, place: &Place) -> String {
    let name = field["name"].as_str().unwrap();
    let is_list = Graph::arguments(field).iter().any(|argument| argument.name == "first");
    let shown = match name {
        _ if is_list => "{ nodes { id } totalCount }",
        "_entities" => "{ __typename }",
        _ => "{ id }",
    };
    let asked = format!("{name}({}) {shown}", place.written);
    let of = &place.of.written;
    match owner {
        "Query" => format!("query($x: {of}) {{ {asked} }}"),
        "Mutation" => {
            format!("mutation($x: {of}) {{ {name}({}) {{ userErrors {{ field code message }} }} }}", place.written)
        }
        _ => format!("query($x: {of}) {{ node(id: \"{}\") {{ ... on {owner} {{ {asked} }} }} }}", global(owner, 1)),
    }
}
