//! What a transaction changed, row by row.

use std::sync::Arc;

use metrics::counter;
use sea_orm::{DbErr, QueryResult};

use crate::data::record::{self, Record};
use crate::data::scalar::Scalar;

/// A row as it was or is: all columns but the bulky ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name and value of each column, in the order of the entity.
    columns: Arc<[(&'static str, Scalar)]>,
}

impl Image {
    /// The row that a statement returned, whose columns are the record's.
    pub(super) fn of<R: Record>(row: &QueryResult) -> Result<Self, DbErr> {
        let read = |(name, kind): (&'static str, _)| Ok((name, Scalar::read_nullable(row, name, kind)?));
        Ok(Self { columns: record::columns_and_kinds::<R>().map(read).collect::<Result<_, DbErr>>()? })
    }

    /// A row that consists of what links it.
    pub(super) fn of_link(columns: [(&'static str, i64); 2]) -> Self {
        Self { columns: columns.map(|(name, value)| (name, Scalar::Int(value))).into() }
    }

    /// The value of a column; none if the table has no such column, or a bulky one.
    pub fn get(&self, column: &str) -> Option<&Scalar> {
        self.columns.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }
}

/// A row that was inserted, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub table: &'static str,
    /// The values of the primary key, in the order of its columns.
    pub key: Vec<Scalar>,
    /// As it was; none if it was inserted.
    pub old: Option<Image>,
    /// As it is; none if it was deleted.
    pub new: Option<Image>,
}

/// Hears of what was committed.
///
/// Called once for each transaction that changed something, after its COMMIT and before its answer, in the order in which
/// a transaction made the changes; not in the order of the commits of several. What triggers and cascades of the database
/// change is not among them.
pub trait AfterCommit: Send + Sync + 'static {
    fn committed(&self, changes: &[Change]);
}

/// Counts the changed rows for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountChanges;

impl AfterCommit for CountChanges {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            let operation = match (&change.old, &change.new) {
                (None, _) => "insert",
                (Some(_), Some(_)) => "update",
                (Some(_), None) => "delete",
            };
            counter!("shoal_rows_written_total", "table" => change.table, "operation" => operation).increment(1);
        }
    }
}
