//! How large a document and its variables may be.

use serde::{Deserialize, Serialize};

/// The limits. What people and their tools write stays far below; what is made to harm does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most tokens of a document.
    pub tokens: usize,
    /// Longest name, in bytes. Names come back in paths and as keys.
    pub name_bytes: usize,
    /// Most selections in each other, through fragments.
    pub depth: usize,
    /// Most selections once all fragments are expanded, of all operations and fragments together.
    pub expanded: usize,
    /// Most fields of an operation's root, through fragments.
    pub root_fields: usize,
    /// Most aliases, as written.
    pub aliases: usize,
    /// Most times that one key is asked for in one selection, through fragments.
    pub duplicates: usize,
    /// Most directives, as written.
    pub directives: usize,
    /// Most directives of one element.
    pub directives_on_one: usize,
    /// Most operations.
    pub operations: usize,
    /// Most fragments. Validation takes time that grows with the square of their number.
    pub fragments: usize,
    /// Most variables of an operation.
    pub variables: usize,
    /// Most elements of lists and fields of objects, in the document.
    pub literals: usize,
    /// The same in the values of variables.
    pub values: usize,
    /// Most lists and objects in each other, in literals and in variables.
    pub value_depth: usize,
    /// Most lists of introspection in each other, such as the fields of the types of fields.
    pub introspection_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tokens: 5000,
            name_bytes: 200,
            depth: 20,
            expanded: 20_000,
            root_fields: 50,
            aliases: 100,
            duplicates: 100,
            directives: 50,
            directives_on_one: 5,
            operations: 50,
            fragments: 200,
            variables: 100,
            literals: 1000,
            values: 10_000,
            value_depth: 15,
            introspection_depth: 2,
        }
    }
}
