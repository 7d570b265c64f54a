//! Jobs: what is done outside of requests. For those who run the shop.
//!
//! Read past the tiers: nothing of them is declared but their events. A job changes several times within moments and is
//! looked at by few, so what was kept of it would be void before it is asked for again.

use std::sync::{Arc, LazyLock};

use async_graphql::{Context, Enum, ID, InputObject, MergedObject, Object, Result};
use entity::job::{self, Column, State};
use entity::user::Role;

use super::connection::{Filter, Selection, list_fields, orders};
use super::context::Viewer;
use super::id;
use super::resource::{Load, Resource};
use super::rows::Row;
use super::scalars::DateTime;
use crate::data::condition::Condition;
use crate::data::events::Topic;
use crate::data::list::{List, Path};
use crate::data::{Declarations, Error};
use crate::domain::job::Kind;

/// All jobs.
static ALL: LazyLock<List<job::Model>> = LazyLock::new(|| {
    List::root("jobs")
        .path(Path::by(Column::Id))
        .path(Path::by(Column::Id).given(Column::State))
        .path(Path::by(Column::Id).given(Column::Kind))
        .path(Path::by(Column::Id).given(Column::Kind).given(Column::State))
});

/// A job got on, or somebody wants it to end. That its lease was extended is no event.
pub static PROGRESS: LazyLock<Topic> = LazyLock::new(|| {
    Topic::changed::<job::Model>("job_progress", Column::State)
        .or::<job::Model>(Column::Progress)
        .or::<job::Model>(Column::ProgressTotal)
        .or::<job::Model>(Column::CancelRequested)
});

/// What is heard of jobs.
pub fn declare(to: &mut Declarations) {
    to.topic::<job::Model>(&PROGRESS);
}

/// Something that is done outside of requests. Only admins see any.
pub struct Job(Arc<job::Model>);

impl Job {
    /// Whether it will not change by itself any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.0.state, State::Done | State::Dead | State::Cancelled)
    }
}

impl From<Arc<job::Model>> for Job {
    fn from(job: Arc<job::Model>) -> Self {
        Self(job)
    }
}

impl Resource for Job {
    type Record = job::Model;
    const TYPE: &'static str = "Job";

    fn key(&self) -> i64 {
        self.0.id
    }

    fn is_for(viewer: &Viewer) -> bool {
        viewer.role == Role::Admin
    }
}

/// Something that is done outside of requests. Only admins see any.
#[Object]
impl Job {
    /// The global id.
    async fn id(&self) -> ID {
        id::encode::<Self>(self.0.id)
    }

    /// What kind of work it is: mail, import, retention. Each kind has workers of its own.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What is to be done, as JSON. It names rows of the database, and repeats nothing of them.
    async fn task(&self) -> &str {
        &self.0.task
    }

    /// How far it has come.
    async fn state(&self) -> JobState {
        self.0.state.into()
    }

    /// The lower, the sooner it is begun.
    async fn priority(&self) -> i32 {
        self.0.priority
    }

    /// It is not begun before this time.
    async fn due_at(&self) -> DateTime {
        self.0.due_at.into()
    }

    /// How often it was begun.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// How often it is begun at most.
    async fn max_attempts(&self) -> i32 {
        self.0.max_attempts
    }

    /// Who runs it, or ran it last; null if nobody has.
    async fn worker(&self) -> Option<&str> {
        self.0.worker.as_deref()
    }

    /// Whether it is to end although it runs.
    async fn cancel_requested(&self) -> bool {
        self.0.cancel_requested
    }

    /// How far it has come, of progressTotal.
    async fn progress(&self) -> i64 {
        self.0.progress
    }

    /// What progress is measured by; null where that is not known.
    async fn progress_total(&self) -> Option<i64> {
        self.0.progress_total
    }

    /// What came of it, as JSON; null if there is nothing to be said, or it is not done.
    async fn report(&self) -> Option<&str> {
        self.0.report.as_deref()
    }

    /// Why the last attempt failed; null if it did not.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it came to be.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it ended; null if it has not.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(Into::into)
    }
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::job::State")]
pub enum JobState {
    /// It waits to be begun, for the first time or again.
    Queued,
    /// Somebody is at it.
    Running,
    /// It succeeded.
    Done,
    /// It failed too often, or for good: a dead letter.
    Dead,
    /// It was called off.
    Cancelled,
}

/// Which jobs.
#[derive(Debug, Default, InputObject)]
pub struct JobFilter {
    /// Only jobs of this kind: mail, import, retention.
    kind: Option<String>,
    /// Only jobs in this state.
    state: Option<JobState>,
}

impl Filter<job::Model> for JobFilter {
    fn apply(self, selection: &mut Selection<job::Model>) -> Result<(), Error> {
        if let Some(kind) = self.kind {
            let kind = Kind::named(&kind).ok_or_else(|| {
                let known = Kind::ALL.map(Kind::name).join(", ");
                Error::bad_input(format!("there is no such kind: there are {known}"))
            })?;
            selection.only(Condition::word(Column::Kind, kind.name()));
        }
        if let Some(state) = self.state {
            selection.only(Condition::is(Column::State, State::from(state)));
        }
        Ok(())
    }
}

orders! {
    /// The order of jobs.
    JobOrder {
        /// Newest first.
        IdDesc = desc(Column::Id),
        /// Oldest first.
        IdAsc = asc(Column::Id),
    }
}

/// The jobs of the root.
#[derive(Default, MergedObject)]
pub struct JobRoot(JobRootLists, JobLookups);

list_fields!(JobRootLists {
    /// All jobs, newest first. Only for admins.
    jobs: Job = ALL, filter: JobFilter, order: JobOrder;
});

#[derive(Default)]
struct JobLookups;

#[Object]
impl JobLookups {
    /// A job by global id. Only for admins.
    async fn job(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Row<Job>>> {
        ctx.load_id(&id).await
    }
}

#[cfg(test)]
pub(super) mod tests;
