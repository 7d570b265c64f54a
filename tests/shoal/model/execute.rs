//! An interpreter of queries over the model.

use std::cell::RefCell;
use std::collections::BTreeSet;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Value as Input};
use serde_json::{Map, Value};

use super::objects::{CURSOR, Thing};
use super::rows::Model;

/// One execution.
struct Execution<'m> {
    model: &'m Model,
    document: &'m ExecutableDocument,
    variables: &'m Value,
    seen: RefCell<Seen>,
}

/// Fields that were shown, each with its type.
type Seen = BTreeSet<(String, String)>;

impl Model {
    /// The data that a query should get.
    pub fn answer(&self, query: &str, variables: &Value) -> Value {
        seen_of(self, query, variables).0
    }
}

/// The data that a query should get, and each type and field that was shown at least once.
pub fn seen_of(model: &Model, query: &str, variables: &Value) -> (Value, Seen) {
    let document = parse_query(query).unwrap();
    let execution = Execution { model, document: &document, variables, seen: RefCell::default() };
    let (_, operation) = document.operations.iter().next().unwrap();
    let data = execution.object(&Thing::Root, &operation.node.selection_set.node, "Query");
    (data, execution.seen.into_inner())
}

impl<'m> Execution<'m> {
    fn object(&self, thing: &Thing<'m>, selection: &SelectionSet, kind: &str) -> Value {
        let mut object = Map::new();
        self.select(thing, selection, kind, &mut object);
        object.into()
    }

    /// Shows a thing as its declared type `kind`.
    fn select(&self, thing: &Thing<'m>, selection: &SelectionSet, kind: &str, object: &mut Map<String, Value>) {
        for item in &selection.items {
            let (condition, selection) = match &item.node {
                Selection::Field(field) => {
                    let shown = self.field(thing, &field.node, kind);
                    let twin = object.insert(field.node.response_key().node.to_string(), shown);
                    assert_eq!(twin, None, "the interpreter does not merge fields");
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &self.document.fragments[&spread.node.fragment_name.node].node;
                    (Some(&fragment.type_condition), &fragment.selection_set)
                }
            };
            let wanted = condition.map_or(kind, |condition| condition.node.on.node.as_str());
            if wanted == "Node" || wanted == thing.kind() {
                self.select(thing, &selection.node, wanted, object);
            }
        }
    }

    fn field(&self, thing: &Thing<'m>, field: &Field, kind: &str) -> Value {
        let name = field.name.node.as_str();
        if name == "__typename" {
            return thing.kind().into();
        }
        self.seen.borrow_mut().insert((kind.to_owned(), name.to_owned()));
        let variable = |name: Name| Ok::<_, ()>(Input::from_json(self.variables[name.as_str()].clone()).unwrap());
        let arguments = field.arguments.iter().map(|(name, value)| {
            let value = value.node.clone().into_const_with(variable).unwrap();
            (name.node.to_string(), value.into_json().unwrap())
        });
        let arguments = arguments.collect();
        let declared = (name == "node" || name == "nodes") && kind == "Query";
        self.complete(self.model.field(thing, name, &arguments), &field.selection_set.node, declared.then_some("Node"))
    }

    fn complete(&self, thing: Thing<'m>, selection: &SelectionSet, declared: Option<&str>) -> Value {
        match thing {
            Thing::Leaf(value) => value,
            Thing::Many(things) => {
                things.into_iter().map(|thing| self.complete(thing, selection, declared)).collect::<Vec<_>>().into()
            }
            thing => {
                let kind = thing.kind();
                self.object(&thing, selection, declared.unwrap_or(&kind))
            }
        }
    }
}

/// Asserts that an answer is the expected one, with a cursor wherever the model has one.
pub fn same(expected: &Value, actual: &Value, asked: &str) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            assert_eq!(expected.keys().collect::<Vec<_>>(), actual.keys().collect::<Vec<_>>(), "{asked}");
            expected.iter().for_each(|(key, value)| same(value, &actual[key], &format!("{asked} / {key}")));
        }
        (Value::Array(expected), Value::Array(actual)) => {
            assert_eq!(expected.len(), actual.len(), "{asked}");
            for (place, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                same(expected, actual, &format!("{asked} / {place}"));
            }
        }
        (Value::String(expected), Value::String(cursor)) if expected == CURSOR => assert_ne!(cursor, "", "{asked}"),
        _ => assert_eq!(expected, actual, "{asked}"),
    }
}
