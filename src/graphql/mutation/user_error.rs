//! What a person can mend.

use async_graphql::{Enum, SimpleObject};

use crate::domain::refusal::{Code, Problem};

/// Something that is to be mended before a mutation can be done.
#[derive(SimpleObject)]
pub struct UserError {
    /// Where in the input: names of its fields, and indices of lists. Empty if it is about no field.
    field: Vec<String>,
    /// A sentence for a person.
    message: String,
    /// What is wrong, for programs.
    code: UserErrorCode,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Code")]
pub enum UserErrorCode {
    /// There is nothing where something must be.
    Blank,
    /// The text is too long.
    TooLong,
    /// It has not the form that it must have.
    Invalid,
    /// The number is too small or too large.
    OutOfRange,
    /// There are too many of them.
    TooMany,
    /// Another object has it already.
    Taken,
    /// What it names does not exist.
    NotFound,
    /// What it names is no longer in use.
    Inactive,
    /// What it names is in a state that does not allow it.
    InvalidState,
    /// There is not that much in stock.
    OutOfStock,
    /// The products of an order have several currencies.
    MixedCurrencies,
    /// The object was changed since the state that updatedAt names; the payload shows it as it is.
    Conflict,
}

impl From<Problem> for UserError {
    fn from(problem: Problem) -> Self {
        Self { field: problem.field, message: problem.message, code: problem.code.into() }
    }
}
