//! Jobs: what is to be done outside of requests, born in the transaction of whatever causes it.
//!
//! A job exists exactly if that was committed, and stays until it has been done. It is done at least once: whoever runs it
//! may be thought dead, so what a [`Task`] does is to be the same when it is done again. Only who holds the job by its number
//! of attempts may say how that went.

pub mod operate;
pub mod recall;
pub mod works;

use std::fmt;

use entity::job;
use serde::{Deserialize, Serialize};

use crate::data::write::{Set, Transaction};
use crate::data::{Error, Record};

/// What a job does. Names rows, and never repeats them: they may change before it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Writes to somebody who is new.
    Welcome { user: i64 },
    /// Writes to a customer what became of an order.
    TellOfOrder { order: i64, event: OrderEvent },
    /// Makes products what a file says of them.
    ImportProducts { upload: i64 },
    /// Removes what nobody needs any more: jobs that ended long ago, keys of writes, and files.
    Retention,
}

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderEvent {
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

/// Kinds of work. Each has workers of its own, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Mail,
    Retention,
    Import,
}

impl Record for job::Model {
    type Entity = job::Entity;
    type Key = i64;

    fn key(&self) -> i64 {
        self.id
    }
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Mail, Self::Retention, Self::Import];

    /// As it is stored and measured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Retention => "retention",
            Self::Import => "import",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How often such a job is begun at most.
    fn max_attempts(self) -> i32 {
        match self {
            // With the pauses of the defaults some four days, after which senders of mail may give up: RFC 5321, 4.5.4.1.
            Self::Mail => 140,
            Self::Retention | Self::Import => 5,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Task {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Welcome { .. } | Self::TellOfOrder { .. } => Kind::Mail,
            Self::ImportProducts { .. } => Kind::Import,
            Self::Retention => Kind::Retention,
        }
    }

    /// Of those with the same, one at a time waits or runs.
    fn unique_key(&self) -> Option<String> {
        match self {
            Self::Welcome { .. } | Self::TellOfOrder { .. } => None,
            Self::ImportProducts { upload } => Some(format!("import:{upload}")),
            Self::Retention => Some("retention".to_owned()),
        }
    }

    /// The lower, the sooner, among those of its kind.
    fn priority(&self) -> i32 {
        match self {
            // Somebody sits and waits for them.
            Self::Welcome { .. } | Self::TellOfOrder { event: OrderEvent::Placed, .. } => 0,
            Self::TellOfOrder { .. } => 10,
            Self::ImportProducts { .. } | Self::Retention => 0,
        }
    }

    /// What a row says is to be done.
    ///
    /// # Errors
    /// For a row that another version wrote.
    pub fn of(row: &job::Model) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&row.task)
    }

    fn row(&self) -> Result<job::ActiveModel, Error> {
        let task = serde_json::to_string(self).map_err(|error| Error::unwritable(&error))?;
        Ok(job::ActiveModel {
            kind: Set(self.kind().name().to_owned()),
            task: Set(task),
            unique_key: Set(self.unique_key()),
            priority: Set(self.priority()),
            max_attempts: Set(self.kind().max_attempts()),
            ..Default::default()
        })
    }
}

/// How often a job was begun since it was added or revived. What was given back does not count.
pub fn tries(row: &job::Model) -> i32 {
    let left = row.max_attempts.saturating_sub(row.attempt);
    Kind::named(&row.kind).map_or(row.attempt, |kind| kind.max_attempts().saturating_sub(left)).max(1)
}

/// Makes it part of a transaction that a task will be done. One that is unique and waits or runs already is not added.
///
/// # Errors
/// Only those of the transaction.
pub async fn enqueue(transaction: &mut Transaction, task: &Task) -> Result<Option<job::Model>, Error> {
    let row = task.row()?;
    match task.unique_key() {
        Some(_) => transaction.insert_if_free::<job::Model>(row).await,
        None => transaction.insert::<job::Model>(row).await.map(Some),
    }
}

/// A job that waits, for tests.
#[cfg(test)]
pub fn sample(kind: Kind) -> job::Model {
    let epoch = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
    job::Model {
        id: 1,
        kind: kind.name().to_owned(),
        task: String::new(),
        unique_key: None,
        slot: None,
        priority: 0,
        state: entity::job::State::Queued,
        due_at: epoch,
        attempt: 0,
        max_attempts: 5,
        leased_until: None,
        worker: None,
        cancel_requested: false,
        progress: 0,
        progress_total: None,
        report: None,
        error: None,
        created_at: epoch,
        finished_at: None,
    }
}

#[cfg(test)]
mod tests {
    use entity::job::State;

    use super::*;

    fn begun(attempt: i32, max_attempts: i32) -> job::Model {
        job::Model { state: State::Running, attempt, max_attempts, ..sample(Kind::Retention) }
    }

    #[test]
    fn tries_count_anew_once_a_job_is_revived_and_not_what_was_given_back() {
        let most = Kind::Retention.max_attempts();
        assert_eq!(tries(&begun(1, most)), 1);
        assert_eq!(tries(&begun(most, most)), most);
        assert_eq!(tries(&begun(most + 1, 2 * most)), 1, "revived after the last");
        assert_eq!(tries(&begun(3, most + 2)), 1, "given back twice");
    }
}
