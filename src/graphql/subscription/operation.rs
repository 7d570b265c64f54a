//! What a subscription must be, and how it reads as a query.

use std::collections::HashSet;

use async_graphql::Name;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationType, Selection, SelectionSet,
};
use async_graphql::{Positioned, ServerError};

use crate::graphql::documents::operation;
use crate::graphql::error::{Code, request_error};

/// The fields at the root of an operation.
#[derive(Default)]
struct Roots<'a> {
    keys: HashSet<&'a str>,
    fragments: HashSet<&'a Name>,
    /// Whether one tells of the graph instead of its data.
    is_introspection: bool,
    /// Whether it depends on variables which fields there are.
    is_conditional: bool,
}

/// The subscription that a request means, alone, as a query.
///
/// # Errors
/// If it is not about one thing: <https://spec.graphql.org/draft/#sec-Single-Root-Field>
pub fn as_query(document: &ExecutableDocument, name: Option<&str>) -> Result<ExecutableDocument, ServerError> {
    let operation = operation(document, name)?;
    let mut roots = Roots::default();
    roots.collect(document, &operation.node.selection_set.node);
    let fault = match roots.keys.len() {
        _ if roots.is_introspection => "a subscription must not have an introspection field at its root",
        _ if roots.is_conditional => "a subscription must not have @skip or @include at its root",
        // Without any, it has a fragment that is not there, or not of this type.
        0 | 1 => {
            let mut query = operation.clone();
            query.node.ty = OperationType::Query;
            return Ok(ExecutableDocument {
                operations: DocumentOperations::Single(query),
                fragments: document.fragments.clone(),
            });
        }
        _ => "a subscription must have one field at its root",
    };
    Err(ServerError { locations: vec![operation.pos], ..request_error(Code::ValidationFailed, fault) })
}

impl<'a> Roots<'a> {
    fn collect(&mut self, document: &'a ExecutableDocument, selections: &'a SelectionSet) {
        for selection in &selections.items {
            self.is_conditional |= is_conditional(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => {
                    self.is_introspection |= field.node.name.node.starts_with("__");
                    self.keys.insert(field.node.response_key().node.as_str());
                }
                Selection::InlineFragment(fragment) => self.collect(document, &fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = document.fragments.get(name)
                        && self.fragments.insert(name)
                    {
                        self.collect(document, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
}

fn is_conditional(directives: &[Positioned<Directive>]) -> bool {
    directives.iter().any(|directive| matches!(directive.node.name.node.as_str(), "skip" | "include"))
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    fn as_query(document: &str, name: Option<&str>) -> Result<(), String> {
        super::as_query(&parse_query(document).unwrap(), name).map(drop).map_err(|error| error.message)
    }

    #[test]
    fn a_subscription_has_one_field() {
        for document in [
            "subscription { a }",
            "subscription S { a }",
            "subscription { a(b: 1) { c d } }",
            "subscription { x: a { b } x: a { c } }",
            "subscription S { ...F } fragment F on Subscription { a { b } }",
            "subscription { ... on Subscription { a } ...F } fragment F on Subscription { a ...F }",
            "subscription { a { b @skip(if: true) __typename } }",
        ] {
            assert_eq!(as_query(document, None), Ok(()), "{document}");
        }
        for (document, fault) in [
            ("subscription { a b }", "one field"),
            ("subscription { a x: a }", "one field"),
            ("subscription { a ...F } fragment F on Subscription { b }", "one field"),
            ("subscription { __typename }", "introspection"),
            ("subscription { ...F } fragment F on Subscription { __schema { a } }", "introspection"),
            ("subscription { a @skip(if: false) }", "@skip"),
            ("subscription($b: Boolean!) { ... @include(if: $b) { a } }", "@skip"),
        ] {
            assert!(as_query(document, None).unwrap_err().contains(fault), "{document}");
        }
    }

    #[test]
    fn the_operation_that_is_meant_counts() {
        let document = "query Q { a } subscription S { a } subscription T { a b }";
        assert_eq!(as_query(document, Some("S")), Ok(()));
        assert!(as_query(document, Some("T")).unwrap_err().contains("one field"));
        assert!(as_query(document, Some("U")).unwrap_err().contains("no operation"));
    }
}
