//! Statements that take too long: told in the log, counted by operation, and explained once in a while.
//!
//! Never tells a value: texts have none, and of what is bound only types are told. A database that is slow as a whole does not
//! have a log that is its next problem: that is bounded for each place in the code, and so is what is remembered and explained here.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use sea_orm::{DbBackend, Statement};
use tokio::sync::mpsc;

use super::node::State;
use super::{Databases, Node, session};
use crate::data::ledger::{About, Origin, Sent};
use crate::data::trace::{self, Span};

/// Operations that are counted by their names; all others are one.
const NAMED: usize = 100;
/// A text is explained once in so long.
const EXPLAINED_FOR: Duration = Duration::from_secs(3600);
/// Texts of which it is known when they were explained.
const TEXTS: usize = 1000;
/// Statements that wait to be explained.
const WAITING: usize = 16;

/// What was slow so far.
pub(super) struct Slow {
    /// None: nothing is.
    threshold: Option<Duration>,
    hasher: RandomState,
    state: Mutex<Told>,
    /// Takes what is to be explained, once somebody does.
    questions: OnceLock<mpsc::Sender<Statement>>,
}

#[derive(Default)]
struct Told {
    operations: HashSet<String>,
    /// When texts were explained.
    explained: HashMap<u64, Instant>,
}

/// A statement that is under way. Whatever becomes of it, it is looked at when this ends: those that are given up may be
/// the slowest.
pub(super) struct UnderWay<'a> {
    databases: &'a Databases,
    node: &'a Node,
    pub statement: &'a Statement,
    about: &'a About,
    origin: &'a Origin,
    asked: Instant,
    /// When there was a connection for it.
    pub begun: Option<Instant>,
    pub rows: Option<usize>,
    span: Span,
}

impl Slow {
    pub fn new(slow_ms: u64) -> Self {
        let threshold = (slow_ms > 0).then(|| Duration::from_millis(slow_ms));
        Self { threshold, hasher: RandomState::new(), state: Mutex::default(), questions: OnceLock::new() }
    }

    /// What is to be explained from now on; none if nothing is, or somebody does already.
    pub fn questions(&self) -> Option<mpsc::Receiver<Statement>> {
        self.threshold?;
        let (asks, asked) = mpsc::channel(WAITING);
        self.questions.set(asks).is_ok().then_some(asked)
    }

    /// The name under which an operation is counted.
    fn counted<'a>(&self, operation: Option<&'a str>) -> &'a str {
        let Some(name) = operation else { return "none" };
        let mut state = self.lock();
        if state.operations.contains(name) {
            return name;
        }
        if state.operations.len() >= NAMED {
            return "other";
        }
        state.operations.insert(name.to_owned());
        name
    }

    /// Has a statement explained, unless it was lately, or too many wait.
    fn explain(&self, statement: &Statement) {
        let Some(questions) = self.questions.get() else { return };
        let (text, now) = (self.hasher.hash_one(&statement.sql), Instant::now());
        let mut state = self.lock();
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= EXPLAINED_FOR;
        if state.explained.len() >= TEXTS {
            state.explained.retain(|_, at| !is_old(at));
        }
        let is_due = state.explained.get(&text).map_or(state.explained.len() < TEXTS, is_old);
        if is_due && questions.try_send(statement.clone()).is_ok() {
            state.explained.insert(text, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Databases {
    /// A statement is about to be sent to a node.
    pub(super) fn under_way<'a>(
        &'a self,
        node: &'a Node,
        statement: &'a Statement,
        (origin, about): (&'a Origin, &'a About),
    ) -> UnderWay<'a> {
        let (databases, asked) = (self, Instant::now());
        let span = about.trace.span(|| described(node, statement, about));
        UnderWay { databases, node, statement, about, origin, asked, begun: None, rows: None, span }
    }

    /// For how long the primary has been past what a node shows, at least, in milliseconds.
    fn lag_of(&self, node: &Node) -> Option<u64> {
        let State::Up(survey) = node.state() else { return None };
        if survey.universe().is_some() {
            return None;
        }
        u64::try_from(self.freshness().lag(Instant::now(), survey.position).as_millis()).ok()
    }

    fn is_slow(&self, took: Duration) -> bool {
        self.shared.slow.threshold.is_some_and(|threshold| took >= threshold)
    }
}

/// What a trace tells of a statement, by the conventions for databases.
fn described(node: &Node, statement: &Statement, about: &About) -> trace::About {
    let summary = format!("{} {}", about.kind, about.source);
    let system = if statement.db_backend == DbBackend::Postgres { "postgresql" } else { "sqlite" };
    let attributes = vec![
        KeyValue::new("db.system.name", system),
        KeyValue::new("db.query.summary", summary.clone()),
        KeyValue::new("db.query.text", statement.sql.clone()),
        KeyValue::new("shoal.node", node.name().to_owned()),
    ];
    trace::About { name: summary.into(), kind: SpanKind::Client, attributes }
}

impl UnderWay<'_> {
    fn tell(&self, waited: Duration, took: Duration) {
        let Self { databases, node, statement, about, origin, .. } = *self;
        let slow = &databases.shared.slow;
        counter!("shoal_sql_slow_total", "operation" => slow.counted(origin.operation.as_deref()).to_owned())
            .increment(1);
        tracing::warn!(
            operation = origin.operation,
            path = about.field.as_deref().map(|field| field.path.as_str()),
            request_id = origin.request_id.as_deref(),
            trace_id = about.trace.id(),
            source = about.source,
            kind = about.kind,
            keys = about.keys,
            node = node.name(),
            lag_ms = databases.lag_of(node),
            milliseconds = took.as_millis() as u64,
            waited_ms = waited.as_millis() as u64,
            rows = self.rows,
            types = session::types(statement),
            "a slow statement: {}",
            statement.sql
        );
        slow.explain(statement);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Some(begun) = self.begun else { return };
        let (waited, took) = (begun.saturating_duration_since(self.asked), begun.elapsed());
        self.span.trace().note(|| {
            let rows = self.rows.map(|rows| KeyValue::new("db.response.returned_rows", rows as i64));
            let waited = KeyValue::new("shoal.db.waited_ms", waited.as_secs_f64() * 1000.0);
            rows.into_iter().chain([waited]).collect()
        });
        if self.rows.is_none() {
            self.span.trace().fail("statement_failed");
        }
        self.origin.keep(|since| Sent {
            about: self.about.clone(),
            statement: self.statement.clone(),
            node: self.node.name().to_owned(),
            at: self.asked.saturating_duration_since(since),
            waited,
            took,
            rows: self.rows,
        });
        if self.databases.is_slow(took) {
            self.tell(waited, took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_explanations_are_bounded() {
        let slow = Slow::new(200);
        let names: Vec<_> = (0..NAMED + 5).map(|number| format!("Operation{number}")).collect();
        let counted: HashSet<_> = names.iter().map(|name| slow.counted(Some(name))).collect();
        assert_eq!(counted.len(), NAMED + 1);
        assert_eq!(
            [slow.counted(Some("Operation7")), slow.counted(Some("new")), slow.counted(None)],
            ["Operation7", "other", "none"]
        );

        let statement =
            |number: usize| Statement::from_string(sea_orm::DbBackend::Postgres, format!("select {number}"));
        slow.explain(&statement(0));
        let mut asked = slow.questions().unwrap();
        slow.explain(&statement(1));
        slow.explain(&statement(1));
        assert_eq!(asked.try_recv().unwrap().sql, "select 1");
        assert!(asked.try_recv().is_err(), "once");
        (0..2 * WAITING).for_each(|number| slow.explain(&statement(number)));
        assert_eq!(std::iter::from_fn(|| asked.try_recv().ok()).count(), WAITING);
        (0..2 * TEXTS).for_each(|number| {
            slow.explain(&statement(number));
            while asked.try_recv().is_ok() {}
        });
        assert_eq!(slow.lock().explained.len(), TEXTS);
        assert!(Slow::new(0).questions().is_none());
    }
}
