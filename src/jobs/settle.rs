//! Writes down how attempts went, many at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::held::Held;
use super::write;
use crate::data::pause::pause;
use crate::data::write::Writes;
use crate::domain::job::works::{Attempt, Outcome, Settle};

/// Most attempts that are settled in one transaction.
const AT_ONCE: usize = 100;
/// How long what has ended waits for what else is at work, to be written down with it: a transaction for each job costs more
/// than the job.
const GATHER: Duration = Duration::from_millis(10);
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
        let all_at_work = async {
            while batch.len() < held.count().min(AT_ONCE) {
                let room = AT_ONCE - batch.len();
                if queue.recv_many(&mut batch, room).await == 0 {
                    break;
                }
            }
        };
        let _ = timeout(GATHER, all_at_work).await;
        let attempts: Vec<_> = batch.iter().map(|settled| (settled.attempt, settled.outcome.clone())).collect();
        while let Err(error) = write(&writes, Settle { attempts: attempts.clone() }).await {
            tracing::warn!(error, jobs = attempts.len(), "what became of jobs cannot be written down");
            pause(PAUSE).await;
        }
        batch.drain(..).for_each(|Settled { attempt, place, .. }| {
            held.remove(attempt);
            drop(place);
        });
    }
}
