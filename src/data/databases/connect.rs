//! Pools, as they are opened.

use std::path::Path;

use sea_orm::DatabaseConnection;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::{Error, PoolSettings};
use crate::data::secret::SecretUrl;

/// What the planner is told for requests. Lists offer only what an index serves and stop at a page's limit, so walking
/// the index is right whatever statistics say of an average parent. Left to itself the planner reads a parent's whole
/// list to sort it, because it takes random reads for dearer than others (equal, a walk never costs more than a bitmap
/// and a sort); scans a table because a count will stop early; compiles, for longer than the statement then runs; and
/// plans each statement anew, for longer than it runs, though all values have the same plan.
const WALK_INDEXES: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("random_page_cost", "1"), ("jit", "off"), ("plan_cache_mode", "force_generic_plan")];

/// The primary, for whoever follows its log.
pub(in crate::data) struct Primary {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    /// For a connection beside it.
    pub options: PgConnectOptions,
}

impl Primary {
    pub(super) fn of(url: &SecretUrl, pool: &PoolSettings) -> Result<Self, Error> {
        let options = options(url, pool, Access::Write)?.application_name("shoal feed");
        let password = url.expose().password().unwrap_or_default();
        let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned();
        let socket = options.get_socket().map(|directory| directory.to_string_lossy().into_owned());
        Ok(Self {
            host: socket.unwrap_or_else(|| options.get_host().to_owned()),
            port: options.get_port(),
            user: options.get_username().to_owned(),
            password,
            database: options.get_database().unwrap_or_else(|| options.get_username()).to_owned(),
            options,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The pool for work on whole tables. Connects when first used.
pub(super) fn writer(url: &SecretUrl, pool: &PoolSettings) -> Result<PgPool, Error> {
    let options = options(url, pool, Access::Write)?;
    let pool = PoolOptions::<Postgres>::new()
        .max_connections(pool.size)
        .acquire_timeout(pool.acquire_timeout())
        .connect_lazy_with(options);
    Ok(pool)
}

/// Connects once, without a pool.
pub(super) async fn probe(url: &SecretUrl, pool: &PoolSettings) -> Result<(), Error> {
    let options = options(url, pool, Access::Read)?;
    match tokio::time::timeout(pool.acquire_timeout(), options.connect()).await {
        Ok(connection) => Ok(connection?.close().await?),
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}

/// What a connection for requests is told.
pub(super) fn options(url: &SecretUrl, pool: &PoolSettings, access: Access) -> Result<PgConnectOptions, Error> {
    let read_only = if access == Access::Read { "on" } else { "off" };
    let timeout = if pool.unhurried { 0 } else { pool.statement_timeout_ms };
    let planner = if pool.unhurried { &[][..] } else { &WALK_INDEXES };
    let options = url
        .expose()
        .as_str()
        .parse::<PgConnectOptions>()?
        .application_name("shoal")
        .statement_cache_capacity(pool.statement_cache)
        .options([("statement_timeout", timeout.to_string().as_str()), ("default_transaction_read_only", read_only)])
        // Both ends would wait for ever for one that went away without a word; ours asks for positions instead.
        .options([("tcp_keepalives_idle", pool.keepalive_ms.div_ceil(1000).to_string())])
        .options(planner.iter().copied())
        .disable_statement_logging();
    Ok(options)
}

/// What a new connection is told. The position that a commit returns must cover it: it has to be flushed by then.
pub(super) fn greeting(access: Access) -> Option<&'static str> {
    let flushed =
        "select set_config('synchronous_commit', 'local', false) where current_setting('synchronous_commit') = 'off'";
    (access == Access::Write).then_some(flushed)
}

/// The embedded database in `data_dir`, made if it is not there: a pool with the one writer, and a pool of readers.
pub(super) async fn sqlite(
    data_dir: &Path,
    pool: &PoolSettings,
) -> Result<(DatabaseConnection, DatabaseConnection), Error> {
    std::fs::create_dir_all(data_dir).map_err(sqlx::Error::Io)?;
    let options = SqliteConnectOptions::new()
        .filename(data_dir.join("shoal.db"))
        .create_if_missing(true)
        // Readers see the last commit while the writer works.
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(pool.acquire_timeout())
        .statement_cache_capacity(pool.statement_cache)
        .disable_statement_logging();
    let writer = PoolOptions::<Sqlite>::new()
        .max_connections(1)
        .acquire_timeout(pool.acquire_timeout())
        // Opening it makes the file, which readers cannot.
        .connect_with(options.clone())
        .await?;
    let readers = PoolOptions::<Sqlite>::new()
        .max_connections(pool.size)
        .acquire_timeout(pool.acquire_timeout())
        .test_before_acquire(false)
        .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "on"));
    Ok((writer.into(), readers.into()))
}
