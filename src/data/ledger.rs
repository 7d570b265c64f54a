//! What one request cost: every batch and the statements it ran, in the order they were sent.

use std::sync::Mutex;
use std::time::Duration;

use super::position::Position;

/// The account of one request. Shared by all its loads.
#[derive(Debug, Default)]
pub struct Ledger {
    batches: Mutex<Vec<Batch>>,
}

/// One batch: one statement at most for all the keys that were asked for at once; or the transaction of a write.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The list, table or aggregate; the mutation.
    pub source: &'static str,
    /// What was asked of it.
    pub kind: &'static str,
    pub keys: usize,
    /// Keys that the near and the far tier served.
    pub near: usize,
    pub far: usize,
    pub rows: usize,
    /// The server that answered; none if none was asked, or none could.
    pub node: Option<String>,
    /// What was read shows every commit up to here, what was written is shown from here on; none where that is not known.
    pub position: Option<Position>,
    /// Statements sent, but for BEGIN and COMMIT. For a read more than one when a server failed and another was asked.
    pub statements: u32,
    pub duration: Duration,
}

impl Ledger {
    pub fn record(&self, batch: Batch) {
        self.lock().push(batch);
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Batch>> {
        self.batches.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
