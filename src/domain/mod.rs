//! Rules that span rows, in the words of the storefront. Knows the tables and the data layer, never GraphQL or HTTP.
//!
//! A change is a value: a [`Work`](crate::data::write::Work) that says what is wanted in types that keep their own rules,
//! and does it in one transaction, or refuses it with all that is wrong.

pub mod import;
pub mod job;
pub mod order;
pub mod post;
pub mod product;
pub mod refusal;
pub mod text;
pub mod user;

use chrono::{DateTime, Utc};

use refusal::{Code, Problem, Refusal};

use crate::data::write::{Locked, Refused};

/// The state that a change is based on: when the row last changed. Whatever it is now, if none.
pub type BasedOn = Option<DateTime<Utc>>;

/// Refuses a change that is based on another state of the row than there is.
fn unchanged<R: Clone>(
    row: &Locked<R>,
    updated_at: DateTime<Utc>,
    based_on: BasedOn,
) -> Result<(), Refused<Refusal<R>>> {
    match based_on {
        Some(expected) if expected != updated_at => {
            let text = "it was changed meanwhile";
            Err(Refusal::of(R::clone(row), Problem::new(&["updatedAt"], Code::Conflict, text)))
        }
        _ => Ok(()),
    }
}
