//! The values of variables: how many there are, and how deep they nest.

use async_graphql::{ServerError, Value, Variables};

use super::{Limits, above};

/// Judges the values of variables.
///
/// # Errors
/// For more than the limits of values and of their depth.
pub fn values(variables: &Variables, limits: &Limits) -> Result<(), ServerError> {
    let mut count = 0;
    for value in variables.values() {
        tally(value, 0, &mut count, limits)?;
    }
    Ok(())
}

/// Counts a value and those in it, up to the limit. JSON is read to a bounded depth, so this is not too deep either.
fn tally(value: &Value, depth: usize, count: &mut usize, limits: &Limits) -> Result<(), ServerError> {
    *count += 1;
    if *count > limits.values {
        return Err(above("values in variables", limits.values, None));
    }
    if matches!(value, Value::List(_) | Value::Object(_)) && depth >= limits.value_depth {
        return Err(above("lists and objects in each other in variables", limits.value_depth, None));
    }
    match value {
        Value::List(elements) => elements.iter().try_for_each(|element| tally(element, depth + 1, count, limits)),
        Value::Object(fields) => fields.values().try_for_each(|field| tally(field, depth + 1, count, limits)),
        _ => Ok(()),
    }
}
