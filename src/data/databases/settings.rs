//! Where the servers are, and how they are used.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pool::Limits;
use super::route::Policy;
use crate::data::secret::SecretUrl;

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
    /// How a replica is chosen among those that may answer.
    pub policy: Policy,
    /// How old what is shown may be, in milliseconds; less for what its client has done.
    pub max_staleness_ms: u64,
    /// Most reads at once that the primary takes in the place of replicas.
    pub primary_reads: u32,
    /// How long a statement may take before it is told of, in milliseconds; 0: none is.
    pub slow_ms: u64,
    pub pool: PoolSettings,
}

/// The pools: each replica has one, the primary one for reads and one for writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSettings {
    /// Most connections of a pool; the primary's for reads has `primary_reads` more.
    pub size: u32,
    /// Idle connections that are kept at hand.
    pub min_idle: u32,
    /// Longest wait for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// After how long an idle connection above `min_idle` is closed, in milliseconds.
    pub idle_timeout_ms: u64,
    /// After how long any connection is closed, in milliseconds.
    pub max_lifetime_ms: u64,
    /// After how long of silence a server asks whether its client is still there (TCP keepalive), in milliseconds.
    pub keepalive_ms: u64,
    /// Longest run of one statement, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Prepared statements kept by each connection.
    pub statement_cache: usize,
    /// For work on whole tables, not for requests: no limit on a statement, and the planner may scan.
    #[serde(skip)]
    pub unhurried: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let pool = PoolSettings::default();
        Self {
            url: None,
            replicas: Vec::new(),
            data_dir: "./data".into(),
            policy: Policy::default(),
            max_staleness_ms: 2_000,
            primary_reads: pool.size,
            slow_ms: 200,
            pool,
        }
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        Self {
            // https://wiki.postgresql.org/wiki/Number_Of_Database_Connections
            size: 2 * cores + 1,
            min_idle: 1,
            acquire_timeout_ms: 3_000,
            idle_timeout_ms: 600_000,
            max_lifetime_ms: 1_800_000,
            keepalive_ms: 60_000,
            statement_timeout_ms: 30_000,
            statement_cache: 500,
            unhurried: false,
        }
    }
}

impl Settings {
    /// How many connections one process may have to a server at once, with those that watch over it.
    pub(in crate::data) fn connections(&self, node: &str) -> u32 {
        // The watch, and a plan of what was slow; to the primary the feed, too, and what it asks beside the log.
        let own = 2;
        let stand_in = if self.replicas.is_empty() { 0 } else { self.primary_reads };
        if node == "primary" { 2 * self.pool.size + stand_in + own + 1 } else { self.pool.size + own }
    }

    /// The same servers for work on whole tables that takes its time.
    pub fn unhurried(&self) -> Self {
        let pool = PoolSettings { unhurried: true, ..self.pool.clone() };
        Self { pool, ..self.clone() }
    }
}

impl PoolSettings {
    pub(super) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            size: self.size,
            min_idle: self.min_idle.min(self.size),
            acquire_timeout: self.acquire_timeout(),
            idle_timeout: Duration::from_millis(self.idle_timeout_ms),
            max_lifetime: Duration::from_millis(self.max_lifetime_ms),
        }
    }
}
