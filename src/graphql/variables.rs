//! The variables that an operation demands. <https://spec.graphql.org/October2021/#CoerceVariableValues()>

use async_graphql::parser::types::{BaseType, OperationDefinition};
use async_graphql::{ServerError, Value, Variables};

use super::error::{Code, request_error};

/// Refuses a request without one of them.
///
/// async-graphql 8.0.0-rc.5 takes a missing variable for an argument that was not given: a misspelt one would widen a
/// query unseen.
pub fn check(operation: &OperationDefinition, variables: &Variables) -> Result<(), ServerError> {
    for definition in &operation.variable_definitions {
        let variable = &definition.node;
        let missing = match variables.get(&variable.name.node) {
            None => variable.default_value.is_none(),
            Some(value) => *value == Value::Null,
        };
        if missing && !variable.var_type.node.nullable {
            let message = format!("variable ${} of type {} is required", variable.name.node, variable.var_type.node);
            let mut error = request_error(Code::BadUserInput, message);
            error.locations.push(definition.pos);
            return Err(error);
        }
    }
    Ok(())
}

/// Whether each variable that an operation knows has a value.
pub fn are_all_given(operation: &OperationDefinition, variables: &Variables) -> bool {
    operation.variable_definitions.iter().all(|definition| variables.contains_key(&definition.node.name.node))
}

/// Whether the values are scalars of the specification's, each of its variable's type: such a value is right wherever a
/// valid document uses the variable. Others, and null, must be looked at.
pub fn are_plain(operation: &OperationDefinition, variables: &Variables) -> bool {
    operation.variable_definitions.iter().all(|definition| {
        let BaseType::Named(name) = &definition.node.var_type.node.base else { return false };
        match (name.as_str(), variables.get(&definition.node.name.node)) {
            (_, None) | ("ID" | "String", Some(Value::String(_))) | ("Boolean", Some(Value::Boolean(_))) => true,
            ("Int", Some(Value::Number(number))) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            _ => false,
        }
    })
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
            super::check(&operation(&document, name).unwrap().node, &Variables::from_json(variables))
                .map_err(|error| error.message)
        };
        let required = Err("variable $a of type Int! is required".to_owned());
        assert_eq!(check("query($a: Int!) { x }", None, json!({})), required);
        assert_eq!(check("query($a: Int!) { x }", None, json!({ "a": null })), required);
        assert_eq!(check("query($a: Int! = 1) { x }", None, json!({ "a": null })), required);
        assert_eq!(check("query($a: Int! = 1) { x }", None, json!({})), Ok(()));
        assert_eq!(check("query($a: Int) { x }", None, json!({ "a": null })), Ok(()));
        assert_eq!(check("query($a: Int!) { x }", None, json!({ "a": 0 })), Ok(()));
        assert_eq!(check("query one($a: Int!) { x }", None, json!({})), required);
        let two = "query one($a: Int!) { x } query two { x }";
        assert_eq!(check(two, Some("one"), json!({})), required);
        assert_eq!(check(two, Some("two"), json!({})), Ok(()));
    }

    #[test]
    fn only_scalars_of_their_type_are_plain() {
        let are_plain = |query: &str, variables: serde_json::Value| {
            let document = parse_query(query).unwrap();
            super::are_plain(&operation(&document, None).unwrap().node, &Variables::from_json(variables))
        };
        let query = "query($i: ID!, $s: String, $n: Int = 1, $b: Boolean) { x }";
        assert!(are_plain(query, json!({ "i": "VXNlcjox", "s": "", "n": 2147483647, "b": true, "unknown": [] })));
        assert!(are_plain(query, json!({})));
        for wrong in [
            json!({ "i": 1 }),
            json!({ "i": null }),
            json!({ "s": true }),
            json!({ "n": 2147483648_i64 }),
            json!({ "n": 1.5 }),
            json!({ "n": "1" }),
            json!({ "b": 0 }),
            json!({ "s": ["a"] }),
        ] {
            assert!(!are_plain(query, wrong.clone()), "{wrong}");
        }
        assert!(!are_plain("query($l: [Int!]) { x }", json!({ "l": [1] })), "a list");
        assert!(!are_plain("query($t: DateTime) { x }", json!({ "t": "2026-11-22T08:30:00Z" })), "its scalar judges");
        assert!(!are_plain("query($f: Filter) { x }", json!({ "f": {} })));
    }
}
