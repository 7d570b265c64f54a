//! What a request asks: its operation, with the fragments and variables that it uses.

use async_graphql::parser::types::{Directive, ExecutableDocument, OperationDefinition, SelectionSet};
use async_graphql::{Positioned, Variables};
use async_graphql_value::{ConstValue, Value};

use super::table::Table;
use crate::data::page::PageLimits;

/// A request of which something is found out before it is executed.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub document: &'a ExecutableDocument,
    pub operation: &'a OperationDefinition,
    pub variables: &'a Variables,
    pub pages: PageLimits,
}

impl<'a> Asked<'a> {
    /// What a fragment selects of an object.
    pub fn fragment(&self, table: &Table, name: &str, object: usize) -> Option<&'a SelectionSet> {
        let fragment = &self.document.fragments.get(name)?.node;
        let applies = table.applies(&fragment.type_condition.node.on.node, object);
        applies.then_some(&fragment.selection_set.node)
    }

    /// The value of a variable, or its default.
    pub fn variable(&self, name: &str) -> Option<&'a ConstValue> {
        let given = self.variables.iter().find(|(given, _)| *given == name).map(|(_, value)| value);
        given.or_else(|| {
            let mut definitions = self.operation.variable_definitions.iter();
            let definition = definitions.find(|definition| definition.node.name.node == name)?;
            definition.node.default_value.as_ref().map(|value| &value.node)
        })
    }

    /// Whether a selection is skipped, or not included.
    pub fn is_left_out(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let leaves_out = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            match directive.node.get_argument("if").map(|value| &value.node) {
                Some(Value::Boolean(condition)) => *condition == leaves_out,
                Some(Value::Variable(name)) => {
                    matches!(self.variable(name), Some(ConstValue::Boolean(condition)) if *condition == leaves_out)
                }
                _ => false,
            }
        })
    }
}
