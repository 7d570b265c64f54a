//! What operators do with jobs.

use std::collections::BTreeMap;
use std::convert::Infallible;

use entity::job::{self, Column, State};
use serde::{Deserialize, Serialize};

use super::works::{queued, span};
use super::{Kind, Task, enqueue};
use crate::data::condition::Condition;
use crate::data::write::{Refused, Set, Transaction, Work};
use crate::domain::refusal::{Code, Problem, Refusal};

/// The index of jobs of which one at a time waits or runs.
const UNIQUE: &str = "jobs_unique_key";

/// Adds a job by hand.
#[derive(Debug, Serialize)]
pub struct AddJob {
    pub task: Task,
}

impl Work for AddJob {
    /// The job; none if it is unique and waits or runs already.
    type Output = Option<job::Model>;
    type Refusal = Infallible;
    const NAME: &'static str = "addJob";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        Ok(enqueue(transaction, &self.task).await?)
    }
}

/// Lets a job that has ended otherwise than well be tried again, as often as at first; one that waits is tried at once.
#[derive(Debug, Serialize)]
pub struct RetryJob {
    pub id: i64,
}

impl Work for RetryJob {
    type Output = job::Model;
    type Refusal = Refusal<job::Model>;
    const NAME: &'static str = "retryJob";

    async fn run(&self, transaction: &mut Transaction) -> Result<job::Model, Refused<Self::Refusal>> {
        let job = transaction.lock::<job::Model>(self.id).await?.ok_or_else(|| Refusal::missing("Job"))?;
        let now = transaction.now().await?;
        let columns = match job.state {
            State::Dead | State::Cancelled => {
                // Numbers of attempts are never used again: they tell who holds the job.
                let more = Kind::named(&job.kind).map_or(1, Kind::max_attempts);
                job::ActiveModel {
                    max_attempts: Set(job.attempt.saturating_add(more)),
                    cancel_requested: Set(false),
                    ..queued(now)
                }
            }
            State::Queued => queued(now),
            State::Running | State::Done => return Err(invalid(job.into_row(), "retried")),
        };
        let current = (*job).clone();
        match transaction.update(job, columns).await {
            Err(crate::data::Error::Taken(index)) if index == UNIQUE => {
                let text = "another that does the same waits or runs";
                Err(Refusal::of(current, Problem::new(&["id"], Code::Taken, text)))
            }
            updated => Ok(updated?.into_row()),
        }
    }
}

/// Ends a job that waits; asks one that runs to end.
#[derive(Debug, Serialize)]
pub struct CancelJob {
    pub id: i64,
}

impl Work for CancelJob {
    type Output = job::Model;
    type Refusal = Refusal<job::Model>;
    const NAME: &'static str = "cancelJob";

    async fn run(&self, transaction: &mut Transaction) -> Result<job::Model, Refused<Self::Refusal>> {
        let job = transaction.lock::<job::Model>(self.id).await?.ok_or_else(|| Refusal::missing("Job"))?;
        let columns = match job.state {
            State::Queued => job::ActiveModel {
                state: Set(State::Cancelled),
                finished_at: Set(Some(transaction.now().await?)),
                ..Default::default()
            },
            State::Running => job::ActiveModel { cancel_requested: Set(true), ..Default::default() },
            State::Cancelled => return Ok(job.into_row()),
            State::Done | State::Dead => return Err(invalid(job.into_row(), "cancelled")),
        };
        Ok(transaction.update(job, columns).await?.into_row())
    }
}

fn invalid(job: job::Model, what: &str) -> Refused<Refusal<job::Model>> {
    let text = format!("the job is {}, it cannot be {what}", word(job.state));
    Refusal::of(job, Problem::new(&["id"], Code::InvalidState, text))
}

/// A state in words.
pub fn word(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Done => "done",
        State::Dead => "dead",
        State::Cancelled => "cancelled",
    }
}

/// Removes jobs that ended so long ago, the longest first.
#[derive(Debug, Serialize)]
pub struct PurgeJobs {
    /// How they ended.
    pub state: State,
    pub older_than_ms: u64,
    pub limit: usize,
}

impl Work for PurgeJobs {
    /// How many there were.
    type Output = usize;
    type Refusal = Infallible;
    const NAME: &'static str = "purgeJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<usize, Refused<Infallible>> {
        let before = transaction.now().await? - span(self.older_than_ms);
        let conditions = [Condition::is(Column::State, self.state), Condition::below(Column::FinishedAt, before)];
        let old = transaction.take::<job::Model>(&conditions, &[Column::FinishedAt], self.limit).await?;
        let count = old.len();
        transaction.delete_all(old).await?;
        Ok(count)
    }
}

/// Forgets keys of writes that were used long ago.
#[derive(Debug, Serialize)]
pub struct ForgetKeys {
    pub older_than_ms: u64,
    pub limit: usize,
}

impl Work for ForgetKeys {
    /// How many there were.
    type Output = usize;
    type Refusal = Infallible;
    const NAME: &'static str = "forgetKeys";

    async fn run(&self, transaction: &mut Transaction) -> Result<usize, Refused<Infallible>> {
        let before = transaction.now().await? - span(self.older_than_ms);
        Ok(transaction.forget_keys(before, self.limit).await?)
    }
}

/// The latest jobs.
#[derive(Debug, Serialize)]
pub struct ListJobs {
    pub kind: Option<Kind>,
    pub state: Option<State>,
    pub limit: usize,
}

impl Work for ListJobs {
    type Output = Vec<job::Model>;
    type Refusal = Infallible;
    const NAME: &'static str = "listJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        let mut conditions = Vec::new();
        conditions.extend(self.state.map(|state| Condition::is(Column::State, state)));
        conditions.extend(self.kind.map(|kind| Condition::equals(Column::Kind, kind.name().to_owned())));
        Ok(transaction.latest::<job::Model>(&conditions, self.limit).await?)
    }
}

/// One job.
#[derive(Debug, Serialize)]
pub struct ShowJob {
    pub id: i64,
}

impl Work for ShowJob {
    type Output = Option<job::Model>;
    type Refusal = Infallible;
    const NAME: &'static str = "showJob";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        Ok(transaction.find::<job::Model>(vec![self.id]).await?.remove(&self.id))
    }
}

/// How many jobs there are of a kind in a state, and how long the one that should have been run first has waited.
#[derive(Debug, Serialize)]
pub struct Depth;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub jobs: i64,
    /// In milliseconds, of one that is due.
    pub oldest_ms: i64,
}

impl Work for Depth {
    /// By kind: those that are queued.
    type Output = BTreeMap<String, Waiting>;
    type Refusal = Infallible;
    const NAME: &'static str = "measureJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        let now = transaction.now().await?;
        let queued = [Condition::is(Column::State, State::Queued)];
        let groups = transaction.groups::<job::Model>(&queued, Column::Kind, Column::DueAt).await?;
        let waiting = |(kind, jobs, due): (String, i64, chrono::DateTime<chrono::Utc>)| {
            (kind, Waiting { jobs, oldest_ms: (now - due).num_milliseconds().max(0) })
        };
        Ok(groups.into_iter().map(waiting).collect())
    }
}
