//! Who hears of what a transaction changed.

use metrics::counter;

use crate::data::change::Change;
use crate::data::position::Token;

/// Hears of what was committed.
///
/// Called once for each transaction that changed something, after its COMMIT and before its answer, in the order in which
/// a transaction made the changes; not in the order of the commits of several. On the embedded database also where COMMIT
/// failed: who forgets what did not change loses nothing. What triggers and cascades of the database
/// change is not among them.
pub trait AfterCommit: Send + Sync + 'static {
    /// `token` stands for a state that shows the commit.
    fn committed(&self, token: Token, changes: &[Change]);
}

/// Counts the changed rows for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountChanges;

/// Both hear of it, the first first.
impl<A: AfterCommit, B: AfterCommit> AfterCommit for (A, B) {
    fn committed(&self, token: Token, changes: &[Change]) {
        self.0.committed(token, changes);
        self.1.committed(token, changes);
    }
}

impl AfterCommit for CountChanges {
    fn committed(&self, _: Token, changes: &[Change]) {
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
