//! The primary and its replicas, and the one place that chooses among them.
//!
//! Callers ask for intent, [`Databases::begin`] or [`Databases::read`], never for a pool. A read is answered by a server
//! that is known to show what it needs: its client's own writes, and whatever is older than the bound. Replicas are opened
//! read-only, so that a routing mistake fails loudly. Without `DATABASE_URL` there is an embedded SQLite, with one writer
//! and several readers behind the same interface.

mod connect;
mod explain;
mod freshness;
mod health;
mod node;
mod pool;
mod reader;
mod route;
mod session;
mod settings;
mod slow;
mod survey;
mod tokens;
mod transaction;
mod watch;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use sea_orm::{DatabaseConnection, TransactionTrait};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::catalogue::Index;
use super::error::Error;
use super::mutant::{self, Mutant};
use super::position::{Keys, Position, Universe};
use super::sql::Dialect;
use super::thread::Thread;
pub(in crate::data) use connect::Primary;
pub(in crate::data) use explain::Session;
use freshness::Freshness;
pub use health::Health;
use node::{Node, Source};
use pool::{Limits, Pool};
pub(in crate::data) use reader::TOKEN_WAIT;
pub use reader::{Needs, Read};
pub use route::Policy;
pub use settings::{PoolSettings, Settings};
use slow::Slow;
pub(in crate::data) use survey::Survey;
pub use tokens::{Seen, TokenSettings};
pub use transaction::OpenTransaction;
use transaction::{Commits, On};

/// How long a start waits for the servers to be asked once.
const FIRST_LOOK: Duration = Duration::from_secs(4);

/// All servers. Cheap to clone.
#[derive(Clone)]
pub struct Databases {
    shared: Arc<Shared>,
}

struct Shared {
    dialect: Dialect,
    /// For work on whole tables; of the embedded database the one writer.
    writer: DatabaseConnection,
    /// Writes, and whatever must not be behind them.
    writes: Option<Arc<Node>>,
    /// Reads that must see the latest state, and all reads when no replica is to be had.
    primary: Arc<Node>,
    replicas: Vec<Arc<Node>>,
    policy: Policy,
    max_staleness: Duration,
    /// One for each read that the primary takes in the place of replicas.
    stand_in: Semaphore,
    turn: AtomicUsize,
    slow: Slow,
    /// The indexes that the migrations declare.
    declared: OnceLock<Vec<Index>>,
    freshness: Arc<Mutex<Freshness>>,
    /// The embedded database: its history, and its commits so far.
    embedded: (Universe, Arc<Commits>),
    keys: OnceLock<Keys>,
    /// What watches over the servers, and what keeps their pools in order. Ends with them.
    watches: Mutex<(Option<Thread>, JoinSet<()>)>,
    settings: Settings,
}

impl Databases {
    /// Opens pools; connections are made when they are first needed.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let (dialect, writer, writes, primary, replicas) = match &settings.url {
            Some(url) => {
                let limits = settings.pool.limits();
                let node = |name: String, url, access, limits| {
                    let options = connect::options(url, &settings.pool, access)?;
                    let pool = Pool::new(options, connect::greeting(access), limits);
                    Ok::<_, Error>(Arc::new(Node::new(name, Source::Postgres(pool))))
                };
                let writes = node("writer".to_owned(), url, connect::Access::Write, limits)?;
                // Reads of the primary have connections of their own: they cannot take those of the writes. Nor can those
                // that come in the place of replicas take those of what a mutation shows.
                let stand_in = if settings.replicas.is_empty() { 0 } else { settings.primary_reads };
                let reads = Limits { size: limits.size + stand_in, ..limits };
                let primary = node("primary".to_owned(), url, connect::Access::Read, reads)?;
                let replicas = settings.replicas.iter().enumerate();
                let replicas = replicas
                    .map(|(index, url)| node(format!("replica-{}", index + 1), url, connect::Access::Read, limits))
                    .collect::<Result<_, Error>>()?;
                (Dialect::Postgres, connect::writer(url, &settings.pool)?.into(), Some(writes), primary, replicas)
            }
            None => {
                let (writer, readers) = connect::sqlite(&settings.data_dir, &settings.pool).await?;
                let readers = Arc::new(Node::new("embedded".to_owned(), Source::Sqlite(readers)));
                (Dialect::Sqlite, writer, None, readers, Vec::new())
            }
        };
        let shared = Shared {
            dialect,
            writer,
            writes,
            primary,
            replicas,
            policy: settings.policy,
            max_staleness: Duration::from_millis(settings.max_staleness_ms),
            stand_in: Semaphore::new(settings.primary_reads as usize),
            turn: AtomicUsize::new(0),
            slow: Slow::new(settings.slow_ms),
            declared: OnceLock::new(),
            freshness: Arc::default(),
            embedded: (Universe::random(), Arc::default()),
            keys: OnceLock::new(),
            watches: Mutex::default(),
            settings: settings.clone(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins to watch over the servers, and to sign tokens. Without this all reads are the primary's.
    ///
    /// # Errors
    /// When there is no key to be had.
    pub async fn watch(&self, tokens: &TokenSettings) -> Result<(), Error> {
        self.prepare_keys(tokens).await?;
        let shared = &*self.shared;
        if let Some(explains) = self.explains() {
            shared.watches.lock().unwrap_or_else(PoisonError::into_inner).1.spawn(explains);
        }
        let (Some(writes), Some(url)) = (&shared.writes, &shared.settings.url) else { return Ok(()) };
        let settings = &shared.settings;
        let nodes: Vec<_> = [&shared.primary, writes].into_iter().chain(&shared.replicas).cloned().collect();
        let options = connect::options(url, &settings.pool, connect::Access::Write)?;
        let both = [shared.primary.clone(), writes.clone()];
        let mut watched = vec![watch::primary(both, options, shared.freshness.clone(), shared.max_staleness).boxed()];
        for (node, url) in shared.replicas.iter().zip(&settings.replicas) {
            let options = connect::options(url, &settings.pool, connect::Access::Read)?;
            watched.push(watch::replica(node.clone(), options).boxed());
        }
        {
            let mut watches = shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
            watches.0 = Some(Thread::start("watch", join_all(watched).map(drop)).map_err(sqlx::Error::Io)?);
            // Connections belong to the threads that use them.
            watches.1.spawn(watch::tend(nodes.clone()));
        }
        let asked = join_all(nodes.iter().map(|node| node.asked()));
        // Those that take longer are asked again and again.
        let _ = tokio::time::timeout(FIRST_LOOK, asked).await;
        Ok(())
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

    /// The primary for work on whole tables, such as imports and migrations.
    pub fn writer(&self) -> &DatabaseConnection {
        &self.shared.writer
    }

    /// Begins a transaction on the primary.
    ///
    /// # Errors
    /// `Unavailable` at once where the primary is known to be lost, or takes no writes.
    pub async fn begin(&self) -> Result<OpenTransaction, Error> {
        match &self.shared.writes {
            Some(writes) => {
                let start = Instant::now();
                loop {
                    let connection = writes.connect().await?;
                    let is_new = connection.is_since(start);
                    match OpenTransaction::begin(connection, writes.clone()).await {
                        // The connection was broken while it lay idle, and nothing was begun on it.
                        Err(error) if error.is_unavailable() && !is_new && writes.survey().is_some() => {}
                        begun => return begun,
                    }
                }
            }
            None => {
                let transaction = self.shared.writer.begin().await?;
                let (universe, commits) = self.shared.embedded.clone();
                Ok(OpenTransaction(On::Sqlite { transaction, commits, universe }))
            }
        }
    }

    /// The server that takes writes.
    pub fn writer_name(&self) -> &str {
        self.shared.primary.name()
    }

    /// Reports the pools to the metrics recorder.
    pub fn observe(&self) {
        self.nodes().for_each(Node::observe);
        self.observe_lag();
    }

    /// Closes all connections once their statements are done.
    pub async fn close(&self) {
        let watches = std::mem::take(&mut *self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner));
        drop(watches);
        join_all(self.nodes().map(Node::close)).await;
        if let Err(error) = self.shared.writer.clone().close().await {
            tracing::warn!(%error, "the writer did not close cleanly");
        }
    }

    /// The history that positions are of now, as far as it is known.
    fn universe(&self) -> Option<Universe> {
        match self.shared.dialect {
            Dialect::Postgres => self.freshness().universe(),
            Dialect::Sqlite => Some(self.shared.embedded.0),
        }
    }

    /// The latest position that is known.
    pub(super) fn latest(&self) -> Option<Position> {
        match self.shared.dialect {
            Dialect::Postgres => self.freshness().latest(),
            Dialect::Sqlite => Some(self.shared.embedded.1.count()),
        }
    }

    /// The history that values in the tiers must be of, and the smallest position that they may show; none while the
    /// primary is lost.
    pub(super) fn bound_of_tiers(&self) -> Option<(Universe, Position)> {
        match self.shared.dialect {
            Dialect::Postgres => {
                let freshness = self.freshness();
                let bound = freshness.bound(Instant::now(), self.shared.max_staleness);
                Some((freshness.universe()?, self.unless_forgotten(bound)?))
            }
            Dialect::Sqlite => Some((self.shared.embedded.0, Position::default())),
        }
    }

    fn unless_forgotten(&self, bound: Option<Position>) -> Option<Position> {
        if mutant::is(Mutant::NoBound) { Some(Position::default()) } else { bound }
    }

    /// The primary, for whoever follows its log; none for the embedded database.
    pub(super) fn feed_of_primary(&self) -> Result<Option<Primary>, Error> {
        let Settings { url, pool, .. } = &self.shared.settings;
        url.as_ref().map(|url| Primary::of(url, pool)).transpose()
    }

    /// Whether positions are of this history now.
    pub(super) fn is_now(&self, universe: Universe) -> bool {
        self.universe() == Some(universe)
    }

    /// For how long the primary has been past a position, at least; none if that is of another history than now.
    pub(super) fn lag(&self, universe: Universe, position: Position) -> Option<Duration> {
        let freshness = self.freshness();
        (freshness.universe() == Some(universe)).then(|| freshness.lag(Instant::now(), position))
    }

    /// How old what is shown may be.
    pub(super) fn max_staleness(&self) -> Duration {
        self.shared.max_staleness
    }

    /// How many commits there were, on the embedded database.
    pub(super) fn embedded(&self) -> Option<Position> {
        (self.shared.dialect == Dialect::Sqlite).then(|| self.shared.embedded.1.count())
    }

    fn last_seen_primary(&self) -> Option<Survey> {
        self.freshness().primary
    }

    fn freshness(&self) -> MutexGuard<'_, Freshness> {
        self.shared.freshness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let shared = &*self.shared;
        [Some(&shared.primary), shared.writes.as_ref()]
            .into_iter()
            .flatten()
            .chain(&shared.replicas)
            .map(|node| &**node)
    }
}
