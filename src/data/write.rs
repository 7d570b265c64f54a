//! The one way to write: a transaction on the primary, then whoever must know of it.
//!
//! Promises that a work is done once and whole, or not at all: everything it writes, and its answer under an idempotency
//! key, commit together. A work that lost against another (a serialization failure, a deadlock) is run again from its
//! beginning. It runs in a task of its own, so that a request that is dropped between COMMIT and what follows from it
//! cannot keep others from hearing of the change.
//!
//! Never tells anybody of a change that was not committed. The only table it knows is its own, of idempotency keys.

mod change;
#[cfg(feature = "fault-points")]
pub mod fault;
mod once;
mod statements;
mod transaction;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use metrics::{counter, histogram};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::databases::Databases;
use super::error::Error;
use super::ledger::{Batch, Ledger};
use super::position::Token;
use super::trace;
pub use change::{AfterCommit, CountChanges};
pub use once::Once;
/// How the columns to be written are named.
pub use sea_orm::ActiveValue::Set;
pub use transaction::{Locked, Transaction};

/// How often a work is run at most, while it loses against others.
const MAX_RUNS: usize = 10;
/// The first pause before it is run again; doubled each time, with jitter of as much again.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Something to be written, whole or not at all: a value that says what, so that it can be run again, and told from
/// another.
pub trait Work: Serialize + Send + Sync + 'static {
    /// What it did. Kept under an idempotency key, to be answered again.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Why a rule forbids it.
    type Refusal: Send + 'static;

    /// What metrics, logs and idempotency keys call it.
    const NAME: &'static str;

    /// Does it. May be called several times, each time in a new transaction. What it returns as an error is undone.
    fn run(
        &self,
        transaction: &mut Transaction,
    ) -> impl Future<Output = Result<Self::Output, Refused<Self::Refusal>>> + Send;
}

/// What was done, and what shows it.
#[derive(Debug)]
pub struct Done<T> {
    pub output: T,
    /// The state that shows it, and so does any later one.
    pub token: Token,
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused<R, E = Error> {
    /// A rule forbids it.
    Rule(R),
    /// The database failed, or forbids it.
    Data(E),
}

impl<R> From<Error> for Refused<R> {
    fn from(error: Error) -> Self {
        Self::Data(error)
    }
}

/// Runs works. Cheap to clone.
#[derive(Clone)]
pub struct Writes {
    databases: Databases,
    after_commit: Arc<dyn AfterCommit>,
}

impl Writes {
    /// `after_commit` hears of everything that is committed here, before whoever wrote it does.
    pub fn new(databases: Databases, after_commit: Arc<dyn AfterCommit>) -> Self {
        Self { databases, after_commit }
    }

    /// Runs a work to its end, even if the caller goes away meanwhile.
    ///
    /// With `once`, a work that was done before under the same key is not done again: its answer of then is answered.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the key was used for another work.
    pub async fn run<W: Work>(
        &self,
        work: W,
        once: Option<Once>,
        ledger: &Arc<Ledger>,
    ) -> Result<Done<W::Output>, Refused<W::Refusal>> {
        let (writes, ledger) = (self.clone(), ledger.clone());
        let task = tokio::spawn(async move { writes.insist(&work, once.as_ref(), &ledger).await });
        // The panic hook has logged it.
        task.await.unwrap_or(Err(Refused::Data(Error::Panicked)))
    }

    async fn insist<W: Work>(
        &self,
        work: &W,
        once: Option<&Once>,
        ledger: &Ledger,
    ) -> Result<Done<W::Output>, Refused<W::Refusal>> {
        let start = Instant::now();
        let pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(MAX_RUNS - 1)
            .with_jitter();
        let done = (|| self.attempt(work, once, ledger))
            .retry(pauses)
            .when(|refused| matches!(refused, Refused::Data(error) if error.is_contention()))
            .notify(|_, _| counter!("shoal_write_retries_total", "work" => W::NAME).increment(1))
            .await;
        let outcome = match &done {
            Ok(_) => "done",
            Err(Refused::Rule(_)) => "refused",
            Err(Refused::Data(_)) => "failed",
        };
        counter!("shoal_writes_total", "work" => W::NAME, "outcome" => outcome).increment(1);
        histogram!("shoal_write_seconds", "work" => W::NAME).record(start.elapsed());
        done
    }

    async fn attempt<W: Work>(
        &self,
        work: &W,
        once: Option<&Once>,
        ledger: &Ledger,
    ) -> Result<Done<W::Output>, Refused<W::Refusal>> {
        let start = Instant::now();
        let span = ledger.trace.span(|| trace::About {
            name: format!("write {}", W::NAME).into(),
            kind: SpanKind::Internal,
            attributes: vec![KeyValue::new("shoal.source", W::NAME), KeyValue::new("shoal.kind", "write")],
        });
        let by = (ledger.origin.clone(), span.trace().clone());
        let mut transaction = Transaction::new(self.databases.begin().await?, &self.databases, W::NAME, by);
        let done = match transaction.do_once(work, once).await {
            Ok(output) => {
                let committed = transaction.commit(&*self.after_commit).await;
                committed.map(|token| Done { output, token }).map_err(Refused::Data)
            }
            Err(refused) => {
                transaction.rollback().await;
                Err(refused)
            }
        };
        match &done {
            Ok(_) => {}
            Err(Refused::Rule(_)) => span.trace().note(|| vec![KeyValue::new("shoal.refused", true)]),
            Err(Refused::Data(_)) => span.trace().fail("write_failed"),
        }
        ledger.record(Batch {
            source: W::NAME,
            kind: "write",
            keys: 1,
            near: 0,
            far: 0,
            rows: transaction.rows(),
            node: Some(self.databases.writer_name().to_owned()),
            position: done.as_ref().ok().map(|done| done.token.position),
            statements: transaction.statements(),
            duration: start.elapsed(),
        });
        done
    }
}
