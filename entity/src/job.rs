//! What is to be done outside of requests. Its row is the truth: whatever else knows of a job may be lost.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// What kind of work it is; each has its own workers.
    pub kind: String,
    /// What is to be done, as JSON.
    pub task: String,
    /// Of those with the same, one at a time waits or runs.
    pub unique_key: Option<String>,
    /// Which time of a schedule it is: each is met once.
    pub slot: Option<String>,
    /// The lower, the sooner.
    pub priority: i32,
    pub state: State,
    /// Not to be run before.
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub due_at: DateTimeUtc,
    /// How often it was begun.
    pub attempt: i32,
    /// How often it is begun at most.
    pub max_attempts: i32,
    /// Whoever runs it has to say until then that it still does.
    #[serde(with = "chrono::serde::ts_microseconds_option")]
    pub leased_until: Option<DateTimeUtc>,
    /// Who runs it, or ran it last.
    pub worker: Option<String>,
    /// Whether it is to end although it runs.
    pub cancel_requested: bool,
    /// How far it has come, of `progress_total` where that is known.
    pub progress: i64,
    pub progress_total: Option<i64>,
    /// What came of it, as JSON.
    pub report: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    #[serde(with = "chrono::serde::ts_microseconds")]
    pub created_at: DateTimeUtc,
    #[serde(with = "chrono::serde::ts_microseconds_option")]
    pub finished_at: Option<DateTimeUtc>,
}

/// `Queued` and `Running` may alternate; the others end a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    Queued,
    Running,
    Done,
    /// Failed too often, or for good: a dead letter.
    Dead,
    Cancelled,
}

impl ActiveModelBehavior for ActiveModel {}
