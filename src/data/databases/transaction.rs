//! A transaction on the primary, as it goes over its connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Statement};
use sqlx::Row;

use super::node::Node;
use super::pool::Pooled;
use super::{Databases, Error};
use crate::data::ledger::{About, Origin};
use crate::data::position::{Position, Token, Universe};

/// An open transaction. Rolled back when dropped.
pub struct OpenTransaction(pub(super) On);

pub(super) enum On {
    /// A connection that is dropped in a transaction is closed, which rolls it back.
    Postgres {
        connection: Pooled,
        primary: Arc<Node>,
    },
    Sqlite {
        transaction: DatabaseTransaction,
        commits: Arc<Commits>,
        universe: Universe,
    },
}

/// The commits of an embedded database so far.
#[derive(Debug, Default)]
pub struct Commits {
    count: AtomicU64,
    turn: Mutex<()>,
}

impl Commits {
    pub fn count(&self) -> Position {
        Position(self.count.load(Ordering::Acquire))
    }

    /// Counts one more, once it was told: whoever reads a count knows that all of them were told of.
    fn next(&self, told: impl FnOnce(Position)) -> Position {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let position = Position(self.count().0 + 1);
        told(position);
        self.count.store(position.0, Ordering::Release);
        position
    }
}

/// Both in one round trip. The position is read after the commit, so it covers it.
const COMMIT: &str = "commit; select pg_current_wal_flush_lsn()::text as position";

impl Databases {
    /// Runs a statement of a transaction.
    pub(in crate::data) async fn write(
        &self,
        transaction: &mut OpenTransaction,
        statement: &Statement,
        by: (&Origin, &About),
    ) -> Result<Vec<QueryResult>, Error> {
        let node = self.shared.writes.as_ref().unwrap_or(&self.shared.primary);
        let mut way = self.under_way(node, statement, by);
        way.begun = Some(Instant::now());
        let rows = transaction.query(statement).await?;
        way.rows = Some(rows.len());
        Ok(rows)
    }
}

impl OpenTransaction {
    pub(super) async fn begin(mut connection: Pooled, primary: Arc<Node>) -> Result<Self, Error> {
        connection.begin();
        on(&primary, async { Ok(sqlx::raw_sql("begin").execute(&mut *connection).await?) }).await?;
        Ok(Self(On::Postgres { connection, primary }))
    }

    async fn query(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, Error> {
        match &mut self.0 {
            On::Postgres { connection, primary } => on(primary, async { Ok(connection.run(statement).await?) }).await,
            On::Sqlite { transaction, .. } => Ok(transaction.query_all_raw(statement.clone()).await?),
        }
    }

    /// Commits. Who must hear of it is told before anybody learns of the outcome, by [`Committed::tell`].
    pub async fn commit(self) -> Committed {
        match self.0 {
            On::Postgres { connection, primary } => Committed::Postgres(commit(connection, &primary).await),
            On::Sqlite { transaction, commits, universe } => {
                Committed::Sqlite { outcome: transaction.commit().await.map_err(Error::from), commits, universe }
            }
        }
    }

    /// Undoes everything. A connection that cannot even do that is closed, which has the same effect.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.0 {
            On::Postgres { mut connection, primary } => {
                on(&primary, async { Ok(sqlx::raw_sql("rollback").execute(&mut *connection).await?) }).await?;
                connection.finish();
                Ok(())
            }
            On::Sqlite { transaction, .. } => Ok(transaction.rollback().await?),
        }
    }
}

async fn commit(mut connection: Pooled, primary: &Node) -> Result<Token, Error> {
    let rows = async { Ok(sqlx::raw_sql(COMMIT).fetch_all(&mut *connection).await?) };
    let rows = on(primary, rows).await?;
    connection.finish();
    let position = rows.last().map(|row| row.try_get::<String, _>("position")).transpose()?;
    let position = position.and_then(|text| text.parse::<Position>().ok());
    let universe = connection.survey().universe();
    let (Some(universe), Some(position)) = (universe, position) else {
        return Err(Error::unavailable("a primary did not tell its position"));
    };
    Ok(Token { universe, position })
}

/// A transaction that was committed, unless that failed.
#[must_use = "whoever must hear of it has not been told"]
pub enum Committed {
    Postgres(Result<Token, Error>),
    Sqlite { outcome: Result<(), Error>, commits: Arc<Commits>, universe: Universe },
}

impl Committed {
    /// Tells `told` the token of a state that shows the commit.
    ///
    /// # Errors
    /// Also when it is not known whether the server has committed: it was lost meanwhile.
    pub fn tell(self, told: impl FnOnce(Token)) -> Result<Token, Error> {
        match self {
            Self::Postgres(token) => token.inspect(|token| told(*token)),
            Self::Sqlite { outcome, commits, universe } => {
                // Whatever came of it: an error may follow on a commit.
                let position = commits.next(|position| told(Token { universe, position }));
                outcome.map(|()| Token { universe, position })
            }
        }
    }
}

/// What is asked of the primary, as long as it is there: it may never answer.
async fn on<T>(primary: &Node, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        biased;
        answer = asked => answer.inspect(|_| primary.heard()).map_err(Error::of_writer),
        () = primary.lost() => Err(Error::unavailable("the primary was lost while it was asked")),
    }
}
