//! Why a rule forbids a change, in words that a person can act on.

use serde::{Deserialize, Serialize};

use crate::data::Error;
use crate::data::write::Refused;

/// What a work answers where a rule forbids it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal<T> {
    /// What is to be changed does not exist; the name is that of its type.
    Missing(&'static str),
    /// Something is wrong with the input, or with what it is about.
    Problems {
        problems: Vec<Problem>,
        /// What was to be changed, as it is: whoever mends the input may have to see it.
        current: Option<T>,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the input: names of fields and indices of lists; empty if it is not about a field.
    pub field: Vec<String>,
    pub code: Code,
    /// A sentence for a person, without its full stop.
    pub message: String,
}

/// What is wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    Blank,
    TooLong,
    Invalid,
    OutOfRange,
    TooMany,
    Taken,
    NotFound,
    Inactive,
    InvalidState,
    OutOfStock,
    MixedCurrencies,
    Conflict,
}

impl Problem {
    pub fn new(field: &[&str], code: Code, message: impl Into<String>) -> Self {
        Self { field: field.iter().map(|&name| name.to_owned()).collect(), code, message: message.into() }
    }
}

impl<T> From<Problem> for Refusal<T> {
    fn from(problem: Problem) -> Self {
        Self::Problems { problems: vec![problem], current: None }
    }
}

impl<T> Refusal<T> {
    /// Something is wrong with what is to be changed, which is shown as it is.
    pub fn of(current: T, problem: Problem) -> Refused<Self> {
        Refused::Rule(Self::Problems { problems: vec![problem], current: Some(current) })
    }

    /// Several things are wrong.
    pub fn all(problems: Vec<Problem>) -> Refused<Self> {
        Refused::Rule(Self::Problems { problems, current: None })
    }

    /// What is to be changed does not exist.
    pub fn missing(name: &'static str) -> Refused<Self> {
        Refused::Rule(Self::Missing(name))
    }
}

/// One thing is wrong with the input.
pub fn wrong<T>(field: &[&str], code: Code, message: impl Into<String>) -> Refused<Refusal<T>> {
    Refused::Rule(Problem::new(field, code, message).into())
}

/// Says of a unique index by which field of the input it is violated.
pub trait Taken<V> {
    /// `index` violated means that `field` has a value that another has already.
    fn taken(self, index: &str, field: &'static str) -> Self;
}

impl<V, T> Taken<V> for Result<V, Refused<Refusal<T>>> {
    fn taken(self, index: &str, field: &'static str) -> Self {
        self.map_err(|refused| match refused {
            Refused::Data(Error::Taken(name)) if name == index => {
                wrong(&[field], Code::Taken, format!("{field} is taken"))
            }
            other => other,
        })
    }
}
