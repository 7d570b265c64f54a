//! Mutations with one value that is wrong among others that are right.

use super::arguments::Place;
use crate::graph::{Graph, Input};
use crate::model::global;

/// Each field of a mutation's input, at any depth, with right values in the fields that must be given besides.
pub fn places(graph: &Graph, mutation: &str, argument: &Input) -> Vec<Place> {
    let whole = Place { written: format!("{}: $x", argument.name), of: argument.clone() };
    let fields = within(graph, mutation, &argument.kind).into_iter();
    let deeper = fields.map(|place| Place { written: format!("{}: {}", argument.name, place.written), of: place.of });
    std::iter::once(whole).chain(deeper).collect()
}

fn within(graph: &Graph, mutation: &str, kind: &str) -> Vec<Place> {
    let fields = graph.input_fields(kind);
    let mut found = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let others = fields.iter().enumerate().filter(|(other, field)| *other != index && field.written.ends_with('!'));
        let others: Vec<_> =
            others.map(|(_, field)| format!("{}: {}", field.name, right(graph, mutation, field))).collect();
        let others = others.join(", ");
        let mut add = |value: String, of: Input| {
            found.push(Place { written: format!("{{ {others} {}: {value} }}", field.name), of });
        };
        add("$x".to_owned(), field.clone());
        let is_list = field.written.starts_with('[');
        for place in within(graph, mutation, &field.kind) {
            let value = if is_list { format!("[{}]", place.written) } else { place.written };
            add(value, place.of);
        }
    }
    found
}

/// A value that a field may have.
fn right(graph: &Graph, mutation: &str, field: &Input) -> String {
    let value = match (field.kind.as_str(), field.name.as_str()) {
        ("ID", name) => {
            let named = [("user", "User"), ("author", "User"), ("post", "Post"), ("comment", "Comment")];
            let named = named.into_iter().chain([
                ("product", "Product"),
                ("stock", "Product"),
                ("order", "Order"),
                ("job", "Job"),
                ("upload", "Upload"),
            ]);
            let words = format!("{name} {mutation}").to_lowercase();
            let kinds: Vec<_> = named.filter(|(word, _)| words.contains(word)).collect();
            // The field's own name says it, else the mutation's.
            let own = kinds.iter().find(|(word, _)| name.to_lowercase().contains(word)).or(kinds.first());
            format!("\"{}\"", global(own.unwrap_or_else(|| panic!("{mutation} {name}")).1, 7))
        }
        ("String", "email") => "\"seven@example.invalid\"".to_owned(),
        ("String", "amount") => "\"7.50\"".to_owned(),
        ("String", "currencyCode") => "\"USD\"".to_owned(),
        ("String", _) => "\"seven\"".to_owned(),
        ("Int", _) => "1".to_owned(),
        ("Boolean", _) => "true".to_owned(),
        ("UserRole", _) => "CUSTOMER".to_owned(),
        (input, _) => {
            let fields = graph.input_fields(input).into_iter().filter(|field| field.written.ends_with('!'));
            let fields: Vec<_> =
                fields.map(|field| format!("{}: {}", field.name, right(graph, mutation, &field))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    };
    if field.written.starts_with('[') { format!("[{value}]") } else { value }
}
