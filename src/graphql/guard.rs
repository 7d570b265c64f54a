//! What a document may ask of the server by its mere shape, judged before that costs anything.
//!
//! [`text`] looks at the text before it is parsed, in one pass: the parser descends with brackets and goes back where a
//! string does not end. [`structure`] looks at what was parsed before it is validated, and never follows a fragment twice:
//! validation and execution do, so fragments that double each other are exponential there. [`values`] looks at variables.
//! Promises work that grows with the text, and with nothing else but [`Limits`]. Knows no schema, and never says whether a
//! document is right: that is found out afterwards.

pub mod limits;
mod spreads;
mod structure;
mod text;
mod values;

#[cfg(test)]
mod tests;

use std::fmt::Display;

use async_graphql::{Pos, ServerError};

pub use limits::Limits;
pub use structure::{MAX_LEVELS, structure};
pub use text::text;
pub use values::values;

use super::error::{Code, request_error};

/// A limit, and what it is a limit of.
fn within(what: &str, found: u64, limit: usize) -> Result<(), ServerError> {
    if found <= limit as u64 { Ok(()) } else { Err(above(what, limit, Some(found))) }
}

/// More than a limit; how many, where that is known.
fn above(what: &str, limit: usize, found: Option<u64>) -> ServerError {
    let message = match found {
        // What doubles is not counted to its end.
        Some(found) if found < u64::from(u32::MAX) => format!("{found} {what}, of at most {limit}"),
        _ => format!("more than {limit} {what}"),
    };
    request_error(Code::QueryTooLarge, message)
}

/// What is no GraphQL.
fn unreadable(message: impl Display, at: Pos) -> ServerError {
    let mut error = request_error(Code::ParseFailed, format!("syntax error: {message}"));
    error.locations.push(at);
    error
}
