//! What one request cost: every batch and the statements it ran, in the order they were sent; and whose it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::Statement;

use super::position::Position;
use super::trace::Trace;

/// Whose statements they are.
#[derive(Debug, Default)]
pub struct Origin {
    /// The name of the operation, as its client calls it.
    pub operation: Option<String>,
    /// The id under which the log knows the request; none of what nobody asked for.
    pub request_id: Option<Arc<str>>,
    /// Keeps what is sent, where somebody wants to see it.
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    statements: Mutex<Vec<Sent>>,
}

/// A field that asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Without the indexes of lists: `posts.nodes.author`.
    pub path: String,
    /// All that is asked for on one level is asked for together, and depends on what the level before it found.
    pub level: u32,
}

/// What a statement is for.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The list, table or aggregate; the mutation.
    pub source: &'static str,
    /// What is asked of it.
    pub kind: &'static str,
    /// The field that was the first to ask.
    pub field: Option<Arc<Field>>,
    pub keys: usize,
    /// Of what it is a part.
    pub trace: Trace,
}

/// A statement that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub about: About,
    pub statement: Statement,
    pub node: String,
    /// When a connection was asked for, since its request began.
    pub at: Duration,
    /// How long it waited for a connection, and what it took after that.
    pub waited: Duration,
    pub took: Duration,
    /// Rows that it returned; none if it failed.
    pub rows: Option<usize>,
}

impl Origin {
    /// Of a request of this id.
    pub fn new(operation: Option<String>, request_id: Option<Arc<str>>) -> Self {
        Self { operation, request_id, kept: None }
    }

    /// One that keeps what it sends.
    pub fn watched(operation: Option<String>) -> Self {
        let kept = Kept { since: Instant::now(), statements: Mutex::default() };
        Self { operation, request_id: None, kept: Some(kept) }
    }

    /// What was sent so far, if it is kept.
    pub fn sent(&self) -> Vec<Sent> {
        self.kept.as_ref().map(|kept| kept.lock().clone()).unwrap_or_default()
    }

    /// Keeps a statement, which is made only where that is wanted.
    pub(super) fn keep(&self, sent: impl FnOnce(Instant) -> Sent) {
        if let Some(kept) = &self.kept {
            let sent = sent(kept.since);
            kept.lock().push(sent);
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account of one request. Shared by all its loads.
#[derive(Debug, Default)]
pub struct Ledger {
    batches: Mutex<Vec<Batch>>,
    /// Whose account it is.
    pub origin: Arc<Origin>,
    /// What its writes are a part of.
    pub trace: Trace,
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
    /// From when it was dispatched, with what it waited for.
    pub duration: Duration,
}

impl Ledger {
    pub fn of(origin: Arc<Origin>, trace: Trace) -> Self {
        Self { batches: Mutex::default(), origin, trace }
    }

    pub fn record(&self, batch: Batch) {
        self.lock().push(batch);
    }

    pub fn batches(&self) -> Vec<Batch> {
        self.lock().clone()
    }

    /// How many statements were sent.
    pub fn statements(&self) -> u32 {
        self.lock().iter().map(|batch| batch.statements).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Batch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long at least one statement was under way. They come in the order in which they were sent.
pub fn busy(sent: &[Sent]) -> Duration {
    let (mut busy, mut end) = (Duration::ZERO, Duration::ZERO);
    for sent in sent {
        let ends = sent.at + sent.waited + sent.took;
        busy += ends.saturating_sub(end.max(sent.at));
        end = end.max(ends);
    }
    busy
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    #[test]
    fn the_time_of_statements_that_overlap_counts_once() {
        let sent = |at: u64, waited: u64, took: u64| {
            let [at, waited, took] = [at, waited, took].map(Duration::from_millis);
            let statement = Statement::from_string(DbBackend::Sqlite, "");
            Sent { about: About::default(), statement, node: String::new(), at, waited, took, rows: None }
        };
        let all = [sent(1, 1, 5), sent(2, 0, 9), sent(3, 0, 1), sent(11, 0, 4), sent(20, 0, 1)];
        assert_eq!(busy(&all), Duration::from_millis(10 + 4 + 1));
        assert_eq!(busy(&[]), Duration::ZERO);
    }
}
