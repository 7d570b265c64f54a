//! What workers write of jobs.

use std::collections::BTreeMap;
use std::convert::Infallible;

use chrono::{DateTime, TimeDelta, Utc};
use entity::job::{self, Column, State};
use serde::{Deserialize, Serialize};

use super::{Kind, Task};
use crate::data::condition::Condition;
use crate::data::write::{Locked, Refused, Set, Transaction, Work};

/// Most jobs whose workers are gone that are looked at in one go.
const RESCUED_AT_ONCE: usize = 100;

/// Takes jobs of a kind that are due, to run them.
#[derive(Debug, Serialize)]
pub struct Claim {
    pub kind: Kind,
    /// Among these; among all, if none.
    pub ids: Option<Vec<i64>>,
    pub limit: usize,
    pub worker: String,
    /// Until when the worker has to say that it still runs them, in milliseconds from now.
    pub lease_ms: u64,
}

impl Work for Claim {
    type Output = Vec<job::Model>;
    type Refusal = Infallible;
    const NAME: &'static str = "claimJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        let now = transaction.now().await?;
        let (kind, due) = (self.kind.name(), |job: &job::Model| job.state == State::Queued && job.due_at <= now);
        let taken = match &self.ids {
            Some(ids) => {
                let mut free = transaction.lock_free::<job::Model>(ids.clone()).await?;
                free.retain(|job| due(job) && job.kind == kind);
                free
            }
            None => {
                let conditions = [
                    Condition::is(Column::State, State::Queued),
                    Condition::equals(Column::Kind, kind.to_owned()),
                    Condition::at_most(Column::DueAt, now),
                ];
                transaction.take::<job::Model>(&conditions, &[Column::Priority, Column::DueAt], self.limit).await?
            }
        };
        // Most are at their first attempt, and are written in one statement.
        let mut attempts = BTreeMap::<_, Vec<_>>::new();
        for job in taken {
            attempts.entry(job.attempt + 1).or_default().push(job);
        }
        let mut running = Vec::new();
        for (attempt, jobs) in attempts {
            let columns = job::ActiveModel {
                state: Set(State::Running),
                attempt: Set(attempt),
                leased_until: Set(Some(later(now, self.lease_ms))),
                worker: Set(Some(self.worker.clone())),
                ..Default::default()
            };
            running.extend(transaction.update_all(jobs, columns).await?);
        }
        Ok(running.into_iter().map(Locked::into_row).collect())
    }
}

/// An attempt at a job: what fences off a worker that was thought dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    pub job: i64,
    pub number: i32,
}

impl Attempt {
    pub fn of(row: &job::Model) -> Self {
        Self { job: row.id, number: row.attempt }
    }

    /// Whether this attempt is still what runs.
    pub(in crate::domain) fn holds(self, row: &job::Model) -> bool {
        row.state == State::Running && row.attempt == self.number
    }
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// With a report, as JSON.
    Done(Option<String>),
    /// To be tried again after so many milliseconds; a dead letter, if it was tried often enough.
    Failed {
        error: String,
        again_after_ms: u64,
    },
    /// Trying again would be in vain.
    Hopeless(String),
    Cancelled,
    /// It was not begun, or ended by a worker that stops: that is not its fault.
    GivenBack,
}

/// Writes down how attempts went. Those that are no longer whose attempt runs are passed over: somebody else runs the job.
#[derive(Debug, Serialize)]
pub struct Settle {
    pub attempts: Vec<(Attempt, Outcome)>,
}

impl Work for Settle {
    /// The jobs that were settled.
    type Output = Vec<i64>;
    type Refusal = Infallible;
    const NAME: &'static str = "settleJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<Self::Output, Refused<Infallible>> {
        let now = transaction.now().await?;
        let locked = transaction.lock_all::<job::Model>(self.attempts.iter().map(|(a, _)| a.job).collect()).await?;
        let mut settled = Vec::new();
        // Most have the same outcome, and are written in one statement.
        let mut groups: Vec<(&Outcome, bool, Vec<Locked<job::Model>>)> = Vec::new();
        for row in locked {
            let Some((_, outcome)) =
                self.attempts.iter().find(|(attempt, _)| attempt.job == row.id && attempt.holds(&row))
            else {
                continue;
            };
            settled.push(row.id);
            let is_last = row.attempt >= row.max_attempts;
            match groups.iter_mut().find(|(other, last, _)| *other == outcome && *last == is_last) {
                Some((_, _, rows)) => rows.push(row),
                None => groups.push((outcome, is_last, vec![row])),
            }
        }
        for (outcome, is_last, rows) in groups {
            if *outcome == Outcome::GivenBack {
                let one_more = rows.into_iter().map(|row| (row, 1)).collect();
                let back = transaction.add(Column::MaxAttempts, one_more).await?;
                transaction.update_all(back, queued(now)).await?;
            } else {
                transaction.update_all(rows, columns(outcome, is_last, now)).await?;
            }
        }
        Ok(settled)
    }
}

fn columns(outcome: &Outcome, is_last: bool, now: DateTime<Utc>) -> job::ActiveModel {
    let ended = |state, error: Option<&String>| job::ActiveModel {
        state: Set(state),
        leased_until: Set(None),
        finished_at: Set(Some(now)),
        error: Set(error.cloned()),
        ..Default::default()
    };
    match outcome {
        Outcome::Done(report) => job::ActiveModel { report: Set(report.clone()), ..ended(State::Done, None) },
        Outcome::Failed { error, .. } if is_last => ended(State::Dead, Some(error)),
        Outcome::Failed { error, again_after_ms } => {
            job::ActiveModel { error: Set(Some(error.clone())), ..queued(later(now, *again_after_ms)) }
        }
        Outcome::Hopeless(error) => ended(State::Dead, Some(error)),
        Outcome::Cancelled => ended(State::Cancelled, None),
        Outcome::GivenBack => queued(now),
    }
}

/// What makes a job wait for a worker.
pub(super) fn queued(due_at: DateTime<Utc>) -> job::ActiveModel {
    job::ActiveModel {
        state: Set(State::Queued),
        due_at: Set(due_at),
        leased_until: Set(None),
        finished_at: Set(None),
        ..Default::default()
    }
}

/// Says that a worker still runs its attempts.
#[derive(Debug, Serialize)]
pub struct Extend {
    pub attempts: Vec<Attempt>,
    pub lease_ms: u64,
}

/// What a worker is told of the attempts that it runs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// They are still its own.
    pub kept: Vec<Attempt>,
    /// Of those, they are to end.
    pub cancelled: Vec<Attempt>,
}

impl Work for Extend {
    type Output = Told;
    type Refusal = Infallible;
    const NAME: &'static str = "extendJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<Told, Refused<Infallible>> {
        let now = transaction.now().await?;
        let mut rows = transaction.lock_all::<job::Model>(self.attempts.iter().map(|a| a.job).collect()).await?;
        rows.retain(|row| self.attempts.contains(&Attempt::of(row)) && row.state == State::Running);
        let kept: Vec<_> = rows.iter().map(|row| Attempt::of(row)).collect();
        let cancelled = rows.iter().filter(|row| row.cancel_requested).map(|row| Attempt::of(row)).collect();
        let columns = job::ActiveModel { leased_until: Set(Some(later(now, self.lease_ms))), ..Default::default() };
        transaction.update_all(rows, columns).await?;
        Ok(Told { kept, cancelled })
    }
}

/// Takes jobs back from workers that have not said for too long that they still run them.
#[derive(Debug, Serialize)]
pub struct Rescue;

/// What was taken back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rescued {
    pub jobs: usize,
    /// What time it is, by the clock of the database.
    pub now: DateTime<Utc>,
}

impl Work for Rescue {
    type Output = Rescued;
    type Refusal = Infallible;
    const NAME: &'static str = "rescueJobs";

    async fn run(&self, transaction: &mut Transaction) -> Result<Rescued, Refused<Infallible>> {
        let now = transaction.now().await?;
        let conditions = [Condition::is(Column::State, State::Running), Condition::below(Column::LeasedUntil, now)];
        let lost = transaction.take::<job::Model>(&conditions, &[Column::LeasedUntil], RESCUED_AT_ONCE).await?;
        let jobs = lost.len();
        let (last, others): (Vec<_>, Vec<_>) = lost.into_iter().partition(|row| row.attempt >= row.max_attempts);
        let (cancelled, again): (Vec<_>, Vec<_>) = others.into_iter().partition(|row| row.cancel_requested);
        let lost = "its worker was lost".to_owned();
        transaction.update_all(last, columns(&Outcome::Hopeless(lost.clone()), true, now)).await?;
        transaction.update_all(cancelled, columns(&Outcome::Cancelled, false, now)).await?;
        let outcome = Outcome::Failed { error: lost, again_after_ms: 0 };
        transaction.update_all(again, columns(&outcome, false, now)).await?;
        Ok(Rescued { jobs, now })
    }
}

/// Adds a job at a time of a schedule, unless somebody has.
#[derive(Debug, Serialize)]
pub struct Fire {
    pub task: Task,
    pub at: DateTime<Utc>,
}

impl Work for Fire {
    /// Whether it was this one that did.
    type Output = bool;
    type Refusal = Infallible;
    const NAME: &'static str = "fireSchedule";

    async fn run(&self, transaction: &mut Transaction) -> Result<bool, Refused<Infallible>> {
        let slot = format!("{}@{}", self.task.kind(), self.at.to_rfc3339());
        let row = job::ActiveModel { slot: Set(Some(slot)), ..self.task.row()? };
        Ok(transaction.insert_if_free::<job::Model>(row).await?.is_some())
    }
}

fn later(now: DateTime<Utc>, millis: u64) -> DateTime<Utc> {
    now + span(millis)
}

/// So many milliseconds, or as many as a time can be added.
pub(in crate::domain) fn span(millis: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX / 1_000_000))
}
