//! The primary and its replicas, and the one place that chooses among them.
//!
//! Callers ask for intent, [`Databases::writer`] or [`Databases::reader`], never for a pool. Replicas are opened
//! read-only, so that a routing mistake fails loudly. Without `DATABASE_URL` there is an embedded SQLite, with one
//! writer and several readers behind the same interface.

mod connect;
mod node;
mod sessions;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::{DatabaseConnection, QueryResult, Statement};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::secret::SecretUrl;
use super::sql::Dialect;
use node::Source;
pub use node::{Health, Node};
use sessions::Sessions;

/// Where the databases are and how many connections each gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The primary, `postgres://…`; without it an embedded SQLite in `data_dir`.
    pub url: Option<SecretUrl>,
    /// Replicas of the primary, each URL one server.
    pub replicas: Vec<SecretUrl>,
    /// Directory of the embedded database.
    pub data_dir: PathBuf,
    pub pool: PoolSettings,
}

/// One pool for each server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSettings {
    /// Most connections of a pool: each replica has one, the primary one for reads and one for writes.
    pub size: u32,
    /// Longest wait for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest run of one statement, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Prepared statements kept by each connection.
    pub statement_cache: usize,
    /// For work on whole tables, not for requests: no limit on a statement, and the planner may scan.
    #[serde(skip)]
    pub unhurried: bool,
}

impl Settings {
    /// The same servers for work on whole tables that takes its time.
    pub fn unhurried(&self) -> Self {
        let pool = PoolSettings { unhurried: true, ..self.pool.clone() };
        Self { pool, ..self.clone() }
    }
}

/// What a request's reads need of the server that answers.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Only the primary knows the latest state.
    pub primary: bool,
}

/// All servers. Cheap to clone.
#[derive(Clone)]
pub struct Databases {
    shared: Arc<Shared>,
}

struct Shared {
    dialect: Dialect,
    writer: DatabaseConnection,
    /// Reads that must see the latest state, and all reads when no replica is to be had.
    primary: Node,
    replicas: Vec<Node>,
    turn: AtomicUsize,
}

impl Databases {
    /// Opens pools; connections are made when they are first needed.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let (dialect, writer, primary, replicas) = match &settings.url {
            Some(url) => {
                // Reads of the primary have connections of their own: they cannot take those of the writes.
                let reads = |name: String, url, access| {
                    let pool = connect::postgres(url, &settings.pool, access)?;
                    Ok::<_, Error>(Node::new(name, Source::Postgres(Sessions::new(pool))))
                };
                let writer = connect::postgres(url, &settings.pool, connect::Access::Write)?;
                let primary = reads("primary".to_owned(), url, connect::Access::Read)?;
                let replicas = settings.replicas.iter().enumerate();
                let replicas = replicas
                    .map(|(index, url)| reads(format!("replica-{}", index + 1), url, connect::Access::Read))
                    .collect::<Result<_, Error>>()?;
                (Dialect::Postgres, writer.into(), primary, replicas)
            }
            None => {
                let (writer, readers) = connect::sqlite(&settings.data_dir, &settings.pool).await?;
                (Dialect::Sqlite, writer, Node::new("embedded".to_owned(), Source::Sqlite(readers)), Vec::new())
            }
        };
        let shared = Shared { dialect, writer, primary, replicas, turn: AtomicUsize::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Connects to the primary once, to learn why where that fails.
    pub async fn probe(settings: &Settings) -> Result<(), Error> {
        match &settings.url {
            Some(url) => connect::probe(url, &settings.pool).await,
            None => Ok(()),
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    /// The primary, for writes and for what must not be behind them.
    pub fn writer(&self) -> &DatabaseConnection {
        &self.shared.writer
    }

    /// The server that takes writes.
    pub fn writer_name(&self) -> &str {
        self.shared.primary.name()
    }

    /// A reader that goes from server to server until one answers: a replica in turn, the others, the primary.
    pub fn reader(&self, needs: &Needs) -> Reader<'_> {
        let replicas = if needs.primary { &[] } else { &self.shared.replicas[..] };
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..replicas.len()).map(|step| &replicas[turn.wrapping_add(step) % replicas.len()]);
        let mut candidates: Vec<&Node> = in_turn.filter(|node| node.is_up()).collect();
        candidates.push(&self.shared.primary);
        Reader { candidates, answered_by: None, statements: 0 }
    }

    /// Asks each server whether it answers.
    pub async fn health(&self) -> Vec<Health> {
        let nodes = std::iter::once(&self.shared.primary).chain(&self.shared.replicas);
        futures_util::future::join_all(nodes.map(|node| node.health(self.shared.dialect))).await
    }

    /// Reports the pools to the metrics recorder.
    pub fn observe(&self) {
        std::iter::once(&self.shared.primary).chain(&self.shared.replicas).for_each(Node::observe);
    }

    /// Closes all connections once their statements are done.
    pub async fn close(&self) {
        let nodes = std::iter::once(&self.shared.primary).chain(&self.shared.replicas);
        futures_util::future::join_all(nodes.map(Node::close)).await;
        if let Err(error) = self.shared.writer.clone().close().await {
            tracing::warn!(%error, "the writer did not close cleanly");
        }
    }
}

/// One read and the servers that may answer it.
pub struct Reader<'a> {
    candidates: Vec<&'a Node>,
    answered_by: Option<&'a str>,
    statements: u32,
}

impl Reader<'_> {
    /// Runs a statement on the first candidate that answers.
    ///
    /// A read may be sent again, so an unreachable server costs its caller nothing but time.
    pub async fn query(&mut self, statement: Statement) -> Result<Vec<QueryResult>, Error> {
        let mut last = None;
        for node in &self.candidates {
            self.statements += 1;
            match node.query(statement.clone()).await {
                Ok(rows) => {
                    self.answered_by = Some(node.name());
                    return Ok(rows);
                }
                Err(error) if error.is_unavailable() => last = Some(error),
                Err(error) => {
                    self.answered_by = Some(node.name());
                    return Err(error);
                }
            }
        }
        Err(last.expect("the primary is always a candidate"))
    }

    /// The server that answered.
    pub fn answered_by(&self) -> Option<&str> {
        self.answered_by
    }

    /// Statements sent so far.
    pub fn statements(&self) -> u32 {
        self.statements
    }
}

impl PoolSettings {
    fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }
}
