//! Runs jobs: takes them from the table, does what they say, and writes down how that went.
//!
//! Promises that each job is run until it has succeeded, or failed so often that it becomes a dead letter, whatever dies
//! meanwhile: a worker holds a job by a lease that it has to extend, and what it says of a job it no longer holds is passed
//! over. A worker that cannot reach the database ends what it runs before its leases do, so that nobody runs the same
//! at the same time. Redis makes it fast and is needed for nothing.

mod command;
mod handler;
mod held;
mod import;
mod schedule;
pub mod settings;
mod settle;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use entity::job::State;
use metrics::gauge;

use crate::data::hints::Hinted;
use crate::data::ledger::{Ledger, Origin};
use crate::data::trace::Trace;
use crate::data::write::{Refused, Work, Writes};
use crate::domain::job::Kind;
use crate::domain::job::operate::{Depth, PurgeJobs, Waiting};
use crate::domain::refusal::Refusal;
pub use command::Order;
pub use schedule::Schedules;
pub use settings::Settings;
pub use worker::Worker;

/// How long whoever asks how many jobs wait waits for that.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most rows that are removed in one transaction.
const AT_ONCE: usize = 1_000;

/// Which changes mean that there is something to do.
pub const HINTED: Hinted = Hinted { table: "jobs", state: ("state", "queued"), lane: "kind", due: "due_at" };

/// The names of all kinds.
pub fn lanes() -> Vec<&'static str> {
    Kind::ALL.map(Kind::name).to_vec()
}

/// What runs works, and what they are a part of.
#[derive(Clone, Copy)]
struct By<'a>(&'a Writes, Option<&'a Trace>);

impl<'a> From<&'a Writes> for By<'a> {
    fn from(writes: &'a Writes) -> Self {
        Self(writes, None)
    }
}

/// Runs a work.
async fn write<'a, W: Work<Refusal: Reason>>(by: impl Into<By<'a>>, work: W) -> Result<W::Output, String> {
    let By(writes, trace) = by.into();
    let ledger = Ledger::of(Arc::new(Origin::default()), trace.cloned().unwrap_or_default());
    match writes.run(work, None, &Arc::new(ledger)).await {
        Ok(done) => Ok(done.output),
        Err(Refused::Data(error)) => Err(error.to_string()),
        Err(Refused::Rule(refusal)) => Err(refusal.reason()),
    }
}

/// Runs a work that removes up to so many rows until there are no more; how many there were.
async fn exhaust<W: Work<Output = usize, Refusal: Reason>>(
    by: By<'_>,
    work: impl Fn(usize) -> W,
) -> Result<usize, String> {
    let mut removed = 0;
    loop {
        let some = write(by, work(AT_ONCE)).await?;
        removed += some;
        if some < AT_ONCE {
            return Ok(removed);
        }
    }
}

/// Removes jobs that ended in one of these ways so long ago; how many there were.
async fn purge(by: By<'_>, states: &[State], older_than_ms: u64) -> Result<usize, String> {
    let mut removed = 0;
    for &state in states {
        removed += exhaust(by, |limit| PurgeJobs { state, older_than_ms, limit }).await?;
    }
    Ok(removed)
}

/// Why a rule forbids something, in a line.
trait Reason {
    fn reason(self) -> String;
}

impl Reason for std::convert::Infallible {
    fn reason(self) -> String {
        match self {}
    }
}

impl<T> Reason for Refusal<T> {
    fn reason(self) -> String {
        match self {
            Self::Missing(name) => format!("there is no such {name}"),
            Self::Problems { problems, .. } => {
                problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// Tells how many jobs wait. Cheap to clone.
#[derive(Clone)]
pub struct Monitor(Writes);

impl Monitor {
    pub fn new(writes: Writes) -> Self {
        Self(writes)
    }

    /// The jobs that are queued, by kind; none while the primary does not answer.
    pub async fn waiting(&self) -> Option<BTreeMap<String, Waiting>> {
        tokio::time::timeout(PATIENCE, write(&self.0, Depth)).await.ok()?.ok()
    }

    /// Reports them to the metrics recorder.
    pub async fn observe(&self) {
        let Some(waiting) = self.waiting().await else { return };
        for kind in lanes() {
            let (jobs, oldest) = waiting.get(kind).map_or((0, 0), |waiting| (waiting.jobs, waiting.oldest_ms));
            gauge!("shoal_jobs_waiting", "kind" => kind).set(jobs as f64);
            gauge!("shoal_jobs_oldest_seconds", "kind" => kind).set(oldest as f64 / 1000.0);
        }
    }
}
