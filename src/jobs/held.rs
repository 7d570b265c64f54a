//! What a worker runs, and until when it may.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::domain::job::works::{Attempt, Told};

/// Why an attempt was ended by somebody else than itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Somebody wants that.
    Cancelled,
    /// Somebody else may run the job by now.
    Lost,
    /// The worker stops.
    Stopped,
}

struct Running {
    /// Until when nobody else runs it.
    until: Instant,
    task: AbortHandle,
    ended: Option<Ended>,
}

/// The attempts that a worker runs.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<Attempt, Running>>);

impl Held {
    pub fn add(&self, attempt: Attempt, until: Instant, task: AbortHandle) {
        self.lock().insert(attempt, Running { until, task, ended: None });
    }

    /// It has been settled.
    pub fn remove(&self, attempt: Attempt) {
        self.lock().remove(&attempt);
    }

    /// Why it was ended, if somebody has.
    pub fn ended(&self, attempt: Attempt) -> Option<Ended> {
        self.lock().get(&attempt).and_then(|running| running.ended)
    }

    /// Those that still run, or wait to be settled.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.lock().keys().copied().collect()
    }

    /// How many those are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Goes by what the table says of those that were asked for: `until` is how long they are kept now.
    pub fn told(&self, asked: &[Attempt], told: &Told, until: Instant) {
        let mut running = self.lock();
        for attempt in asked {
            let Some(running) = running.get_mut(attempt) else { continue };
            if !told.kept.contains(attempt) {
                running.end(Ended::Lost);
            } else if told.cancelled.contains(attempt) {
                running.end(Ended::Cancelled);
            } else {
                running.until = until;
            }
        }
    }

    /// Ends those that are not sure to be kept until then.
    pub fn let_go(&self, until: Instant) {
        self.lock().values_mut().filter(|running| running.until < until).for_each(|running| running.end(Ended::Lost));
    }

    /// Ends all.
    pub fn stop(&self) {
        self.lock().values_mut().for_each(|running| running.end(Ended::Stopped));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Attempt, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn end(&mut self, why: Ended) {
        self.ended.get_or_insert(why);
        self.task.abort();
    }
}
