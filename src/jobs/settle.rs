//! Writes down how attempts went, many at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::held::Held;
use super::write;
use crate::data::write::Writes;
use crate::domain::job::works::{Attempt, Outcome, Settle};

/// Most attempts that are settled in one transaction.
const AT_ONCE: usize = 100;
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// How an attempt went. It counts as one that runs until that is written down.
pub(super) struct Settled {
    pub attempt: Attempt,
    pub outcome: Outcome,
    pub place: OwnedSemaphorePermit,
}

/// Settles attempts until nobody is left who sends some. While the table cannot be written it goes on trying: what is not
/// written down is run again.
pub(super) async fn run(writes: Writes, held: Arc<Held>, mut queue: mpsc::Receiver<Settled>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, AT_ONCE).await > 0 {
        let attempts: Vec<_> = batch.iter().map(|settled| (settled.attempt, settled.outcome.clone())).collect();
        while let Err(error) = write(&writes, Settle { attempts: attempts.clone() }).await {
            tracing::warn!(error, jobs = attempts.len(), "what became of jobs cannot be written down");
            let _ = tokio::time::timeout(PAUSE, std::future::pending::<()>()).await;
        }
        batch.drain(..).for_each(|Settled { attempt, place, .. }| {
            held.remove(attempt);
            drop(place);
        });
    }
}
