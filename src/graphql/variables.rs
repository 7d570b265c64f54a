//! The variables that an operation demands. <https://spec.graphql.org/October2021/#CoerceVariableValues()>

use async_graphql::parser::types::OperationDefinition;
use async_graphql::{ServerError, Value, Variables};

/// Refuses a request without one of them.
///
/// async-graphql 8.0.0-rc.5 takes a missing variable for an argument that was not given: a misspelt one would widen a
/// query unseen.
pub fn check(operation: Option<&OperationDefinition>, variables: &Variables) -> Result<(), ServerError> {
    // Without an operation there is nothing to execute, which the executor says.
    for definition in operation.into_iter().flat_map(|operation| &operation.variable_definitions) {
        let variable = &definition.node;
        let missing = match variables.get(&variable.name.node) {
            None => variable.default_value.is_none(),
            Some(value) => *value == Value::Null,
        };
        if missing && !variable.var_type.node.nullable {
            let message = format!("variable ${} of type {} is required", variable.name.node, variable.var_type.node);
            return Err(ServerError::new(message, Some(definition.pos)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;
    use crate::graphql::documents::operation;

    #[test]
    fn what_is_demanded_must_be_given() {
        let check = |query: &str, name: Option<&str>, variables: serde_json::Value| {
            let document = parse_query(query).unwrap();
            super::check(operation(&document, name), &Variables::from_json(variables)).map_err(|error| error.message)
        };
        let required = Err("variable $a of type Int! is required".to_owned());
        assert_eq!(check("query($a: Int!) { x }", None, json!({})), required);
        assert_eq!(check("query($a: Int!) { x }", None, json!({ "a": null })), required);
        assert_eq!(check("query($a: Int! = 1) { x }", None, json!({ "a": null })), required);
        assert_eq!(check("query($a: Int! = 1) { x }", None, json!({})), Ok(()));
        assert_eq!(check("query($a: Int) { x }", None, json!({ "a": null })), Ok(()));
        assert_eq!(check("query($a: Int!) { x }", None, json!({ "a": 0 })), Ok(()));
        let two = "query one($a: Int!) { x } query two { x }";
        assert_eq!(check(two, Some("one"), json!({})), required);
        assert_eq!(check(two, Some("two"), json!({})), Ok(()));
        assert_eq!(check(two, None, json!({})), Ok(()));
    }
}
