//! A row that was inserted, changed or deleted, whoever tells of it: a transaction of ours, or the log of the primary.

use std::sync::Arc;

use super::scalar::Scalar;

/// A row as it was or is: all columns but the bulky ones, as far as whoever tells knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name and value of each column.
    columns: Arc<[(&'static str, Scalar)]>,
}

impl Image {
    /// The value of a column; none if the table has no such column, or it is not told.
    pub fn get(&self, column: &str) -> Option<&Scalar> {
        self.columns.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }
}

impl FromIterator<(&'static str, Scalar)> for Image {
    fn from_iter<I: IntoIterator<Item = (&'static str, Scalar)>>(columns: I) -> Self {
        Self { columns: columns.into_iter().collect() }
    }
}

/// A row that was inserted, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub table: &'static str,
    /// The values of the primary key, in the order of its columns; of a key that changed, the new ones.
    pub key: Vec<Scalar>,
    /// As it was; none if it was inserted.
    pub old: Option<Image>,
    /// As it is; none if it was deleted.
    pub new: Option<Image>,
}
