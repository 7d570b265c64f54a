//! Runs jobs: takes them from the table, does what they say, and writes down how that went.
//!
//! Promises that each job is run until it has succeeded, or failed so often that it becomes a dead letter, whatever dies
//! meanwhile: a worker holds a job by a lease that it has to extend, and what it says of a job it no longer holds is passed
//! over. A worker that cannot reach the database ends what it runs before its leases do, so that nobody runs the same
//! at the same time. Redis makes it fast and is needed for nothing.

mod command;
mod handler;
mod held;
mod schedule;
pub mod settings;
mod settle;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;

use crate::data::hints::Hinted;
use crate::data::ledger::Ledger;
use crate::data::write::{Refused, Work, Writes};
use crate::domain::job::Kind;
use crate::domain::job::operate::{Depth, Waiting};
pub use command::Order;
pub use schedule::Schedules;
pub use settings::Settings;
pub use worker::Worker;

/// How long whoever asks how many jobs wait waits for that.
const PATIENCE: Duration = Duration::from_millis(500);

/// Which changes mean that there is something to do.
pub const HINTED: Hinted = Hinted { table: "jobs", state: ("state", "queued"), lane: "kind", due: "due_at" };

/// The names of all kinds.
pub fn lanes() -> Vec<&'static str> {
    Kind::ALL.map(Kind::name).to_vec()
}

/// Runs a work that no rule forbids.
async fn write<W: Work>(writes: &Writes, work: W) -> Result<W::Output, String> {
    match writes.run(work, None, &Arc::new(Ledger::default())).await {
        Ok(done) => Ok(done.output),
        Err(Refused::Data(error)) => Err(error.to_string()),
        Err(Refused::Rule(_)) => Err("a rule forbids it".to_owned()),
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
