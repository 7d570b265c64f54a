//! Connections to one PostgreSQL server that are kept at hand for reads.
//!
//! sqlx asks a server for a sign of life each time a connection goes back to its pool: a round trip for every statement.
//! Here a connection whose statement has ended well stays outside the pool, and the next read takes it as it is. One
//! whose statement did not end, because its request was dropped or the statement failed, goes back, and sqlx sees to it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{QueryResult, Statement};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool, Postgres};
use sqlx::{Arguments, AssertSqlSafe, Connection};
use tokio::sync::Semaphore;

/// A connection that lay idle for longer is tried before it is used: its server may be gone.
pub(super) const TRY_AFTER_IDLE: Duration = Duration::from_secs(1);

/// Connections for as many statements at once as the pool has.
pub(super) struct Sessions {
    pool: PgPool,
    /// As many as the pool may hold: who has one never waits for what lies here.
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    patience: Duration,
}

struct Idle {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Sessions {
    pub fn new(pool: PgPool) -> Self {
        let options = pool.options();
        let permits = Semaphore::new(options.get_max_connections() as usize);
        let patience = options.get_acquire_timeout();
        Self { permits, idle: Mutex::default(), patience, pool }
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Connections that no statement uses.
    pub fn idle(&self) -> usize {
        self.lock().len() + self.pool.num_idle()
    }

    /// Runs one statement.
    pub async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let _permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(self.patience, self.permits.acquire())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)?
                .map_err(|_| sqlx::Error::PoolClosed)?,
        };
        let mut connection = self.connection().await?;
        let values = statement.values.map_or_else(Vec::new, |values| values.0);
        let arguments = arguments(values).map_err(sqlx::Error::Encode)?;
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), arguments);
        let rows = query.fetch_all(&mut *connection).await?;
        self.lock().push(Idle { connection, since: Instant::now() });
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    /// Lets go of all connections, and closes the pool once they are back.
    pub async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
        self.pool.close().await;
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        // The one used last: its caches are warm, and the others may rest.
        while let Some(Idle { mut connection, since }) = self.pop() {
            if since.elapsed() < TRY_AFTER_IDLE || connection.ping().await.is_ok() {
                return Ok(connection);
            }
            // It is broken, and its place in the pool is free.
            drop(connection.detach());
        }
        self.pool.acquire().await
    }

    fn pop(&self) -> Option<Idle> {
        self.lock().pop()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of a statement, as sqlx takes them.
fn arguments(values: Vec<Value>) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Bool(value) => arguments.add(value)?,
            Value::Int(value) => arguments.add(value)?,
            Value::BigInt(value) => arguments.add(value)?,
            Value::String(value) => arguments.add(value)?,
            Value::ChronoDateTimeUtc(value) => arguments.add(value)?,
            Value::Array(kind, Some(values)) => array(&mut arguments, &kind, *values)?,
            other => return Err(format!("no statement has a parameter like {other:?}").into()),
        }
    }
    Ok(arguments)
}

fn array(arguments: &mut PgArguments, kind: &ArrayType, values: Vec<Value>) -> Result<(), sqlx::error::BoxDynError> {
    macro_rules! add {
        ($variant:ident) => {{
            let values = values.into_iter().map(|value| match value {
                Value::$variant(value) => Ok(value),
                other => Err(format!("{other:?} in an array of another type")),
            });
            arguments.add(values.collect::<Result<Vec<_>, _>>()?)
        }};
    }
    match kind {
        ArrayType::Bool => add!(Bool),
        ArrayType::Int => add!(Int),
        ArrayType::BigInt => add!(BigInt),
        ArrayType::String => add!(String),
        ArrayType::ChronoDateTimeUtc => add!(ChronoDateTimeUtc),
        other => Err(format!("no statement has an array of {other:?}").into()),
    }
}
