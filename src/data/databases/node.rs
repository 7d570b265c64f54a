//! One server: its pool, whether it answers, what it was asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use serde::Serialize;

use super::sessions::Sessions;
use super::{Dialect, Error};

/// For how long a server that could not be reached is left alone.
const REST: Duration = Duration::from_secs(2);
/// How long a health check may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server that answers reads.
pub struct Node {
    name: String,
    source: Source,
    started: Instant,
    /// Milliseconds after `started` until which it is left alone; 0 while it answers.
    down_until: AtomicU64,
    statements: Counter,
    failures: Counter,
    seconds: Histogram,
    connections: Gauge,
    idle: Gauge,
}

/// Where a node's connections come from.
pub(super) enum Source {
    Postgres(Sessions),
    Sqlite(DatabaseConnection),
}

/// What a health check found.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// `primary`, `replica-1`, …; `embedded` for SQLite.
    pub node: String,
    pub reachable: bool,
    /// PostgreSQL: whether the server only replays another's WAL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_recovery: Option<bool>,
    /// Connections open, and how many of them are idle.
    pub connections: u32,
    pub idle: usize,
}

impl Source {
    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, Error> {
        match self {
            Self::Postgres(sessions) => Ok(sessions.query(statement).await?),
            Self::Sqlite(connection) => Ok(connection.query_all_raw(statement).await?),
        }
    }
}

impl Node {
    pub(super) fn new(name: String, source: Source) -> Self {
        let label = name.clone();
        Self {
            statements: counter!("shoal_sql_statements_total", "node" => label.clone()),
            failures: counter!("shoal_sql_failures_total", "node" => label.clone()),
            seconds: histogram!("shoal_sql_seconds", "node" => label.clone()),
            connections: gauge!("shoal_pool_connections", "node" => label.clone()),
            idle: gauge!("shoal_pool_idle", "node" => label),
            name,
            source,
            started: Instant::now(),
            down_until: AtomicU64::new(0),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_up(&self) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        until == 0 || self.now() >= until
    }

    pub(super) async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, Error> {
        let start = Instant::now();
        let found = self.source.query(statement).await;
        self.statements.increment(1);
        self.seconds.record(start.elapsed());
        match &found {
            Err(error) => {
                self.failures.increment(1);
                if error.is_unavailable() {
                    self.went_down(error);
                }
            }
            Ok(_) => self.came_up(),
        }
        found
    }

    pub(super) async fn health(&self, dialect: Dialect) -> Health {
        let (backend, question) = match dialect {
            Dialect::Postgres => (DbBackend::Postgres, "select pg_is_in_recovery() as answer"),
            Dialect::Sqlite => (DbBackend::Sqlite, "select false as answer"),
        };
        let asked = self.source.query(Statement::from_string(backend, question));
        let answer =
            tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok).and_then(|mut rows| rows.pop());
        let (connections, idle) = self.pool();
        Health {
            node: self.name.clone(),
            reachable: answer.is_some(),
            in_recovery: answer.filter(|_| dialect == Dialect::Postgres).and_then(|row| row.try_get_by("answer").ok()),
            connections,
            idle,
        }
    }

    pub(super) fn observe(&self) {
        let (connections, idle) = self.pool();
        self.connections.set(f64::from(connections));
        self.idle.set(idle as f64);
    }

    pub(super) async fn close(&self) {
        match &self.source {
            Source::Postgres(sessions) => sessions.close().await,
            Source::Sqlite(connection) => {
                if let Err(error) = connection.clone().close().await {
                    tracing::warn!(%error, node = self.name, "a pool did not close cleanly");
                }
            }
        }
    }

    fn pool(&self) -> (u32, usize) {
        match &self.source {
            Source::Postgres(sessions) => (sessions.pool().size(), sessions.idle()),
            Source::Sqlite(connection) => {
                let pool = connection.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        }
    }

    /// Changes of state are logged once.
    fn went_down(&self, error: &Error) {
        let rest = u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        if self.down_until.swap(self.now().saturating_add(rest), Ordering::Relaxed) == 0 {
            tracing::warn!(node = self.name, cause = ?error, "a server cannot be reached");
        }
    }

    fn came_up(&self) {
        if self.down_until.load(Ordering::Relaxed) != 0 && self.down_until.swap(0, Ordering::Relaxed) != 0 {
            tracing::info!(node = self.name, "a server answers again");
        }
    }

    /// Milliseconds since `started`.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
