//! The questions Shoal asks a database: each kind of batch is one statement.
//!
//! *find* asks the database; nothing here knows a cache, a client or a request.

mod aggregates;
mod bulky;
mod pages;
mod rows;
mod scope;

use std::collections::HashMap;
use std::hash::Hash;

use sea_orm::{DbErr, QueryResult, Statement};

use super::sql::Dialect;
use super::table::Tables;

pub use aggregates::{Aggregate, Aggregates};
pub use bulky::Bulky;
pub use pages::{Count, Counts, Pages};
pub use rows::{Found, Rows, Unique};

/// The most keys of one statement.
pub const MAX_BATCH: usize = 1000;

/// A question that can be asked for many keys at once, in one statement.
///
/// Equal sources are the same question: their keys share a batch.
pub trait Source: Clone + Eq + Hash + Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    type Value: Clone + Send + Sync + 'static;

    /// The table, list or aggregate: what metrics and logs call it.
    fn name(&self) -> &'static str;

    /// What is asked of it: `rows`, `column`, `page`, `count` or `aggregate`.
    fn kind(&self) -> &'static str;

    /// The one statement for `keys`; its text is the same whatever their number.
    fn statement(&self, dialect: Dialect, keys: &[Self::Key]) -> Statement;

    /// The values in the rows of that statement. A key without a value was not found.
    fn values(
        &self,
        keys: &[Self::Key],
        rows: Vec<QueryResult>,
        tables: &Tables,
    ) -> Result<HashMap<Self::Key, Self::Value>, DbErr>;
}
