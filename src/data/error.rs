//! Why a read or a write failed, sorted by whose fault it is.
//!
//! A client gets the kind and nothing else; an operator finds the cause in the log, once, at the boundary.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::DatabaseError;

/// A failure that every waiter of a shared load can be handed: cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The client's: the text is written for them.
    #[error("{0}")]
    BadInput(String),
    /// The client's: what they want to change does not exist; the name is that of its type.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The client's: what they ask for contradicts what was done before. The text is written for them.
    #[error("{0}")]
    Conflict(String),
    /// Another row has a value that must be unique: the name of the index that says so, `table_column` by convention.
    #[error("a value is taken: {0}")]
    Taken(String),
    /// A transaction lost against others, and was undone: it may be run again.
    #[error("a transaction lost against others")]
    Contention(#[source] Arc<DbErr>),
    /// No server could be asked. Trying again later may help.
    #[error("no database can be reached")]
    Unavailable(#[source] Arc<DbErr>),
    /// A server was asked and refused: ours to mend.
    #[error("a statement failed")]
    Database(#[source] Arc<DbErr>),
    /// What a foreign key names, or a page that was just read, was gone when it was asked for.
    #[error("a {0} vanished while it was read")]
    Vanished(&'static str),
    /// A load panicked; its message is in the log.
    #[error("a load panicked")]
    Panicked,
}

impl Error {
    pub fn bad_input(text: impl Into<String>) -> Self {
        Self::BadInput(text.into())
    }

    /// Whether the client is to blame, and nobody else need know.
    pub fn is_clients(&self) -> bool {
        matches!(self, Self::BadInput(_) | Self::NotFound(_) | Self::Conflict(_))
    }

    /// What a transaction found changed under it, although no database said so.
    pub fn contention() -> Self {
        Self::Contention(Arc::new(DbErr::Custom("a row went away meanwhile".to_owned())))
    }

    /// A value that has no JSON.
    pub fn unwritable(error: &serde_json::Error) -> Self {
        Self::Database(Arc::new(DbErr::Json(error.to_string())))
    }

    /// No server can be asked, for a reason that no server gave.
    pub fn unavailable(why: &str) -> Self {
        Self::Unavailable(Arc::new(DbErr::Conn(RuntimeErr::Internal(why.to_owned()))))
    }

    /// The same, where it means that a server takes no writes: 25006 read_only_sql_transaction. For whoever asked for one
    /// that does, it is as good as none.
    pub fn of_writer(self) -> Self {
        match self {
            Self::Database(cause) if refused_with(&cause, &["25006"]) => Self::Unavailable(cause),
            other => other,
        }
    }

    /// Whether a replica gave a read up for what it had to replay, or for the end of its session. PostgreSQL: 40001
    /// serialization_failure, 40P01 deadlock_detected, 57P01 admin_shutdown.
    /// <https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT>
    pub fn is_conflict(&self) -> bool {
        let (Self::Contention(cause) | Self::Unavailable(cause)) = self else { return false };
        refused_with(cause, &["40001", "40P01", "57P01"])
    }

    /// Whether the same transaction may succeed when it is run again.
    pub fn is_contention(&self) -> bool {
        matches!(self, Self::Contention(_))
    }

    /// Whether another server might answer where this one did not.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<DbErr> for Error {
    fn from(cause: DbErr) -> Self {
        if let Some(index) = taken(&cause) {
            return Self::Taken(index);
        }
        let kind = match () {
            () if unreachable_server(&cause) => Self::Unavailable,
            () if lost(&cause) => Self::Contention,
            () => Self::Database,
        };
        kind(Arc::new(cause))
    }
}

impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(cause))).into()
    }
}

/// What a database said, if it was a database.
fn refusal(cause: &DbErr) -> Option<&dyn DatabaseError> {
    match cause {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => cause.as_database_error(),
        _ => None,
    }
}

fn refused_with(cause: &DbErr, codes: &[&str]) -> bool {
    refusal(cause).and_then(DatabaseError::code).is_some_and(|code| codes.contains(&&*code))
}

/// The unique index that a row violates.
fn taken(cause: &DbErr) -> Option<String> {
    let refusal = refusal(cause).filter(|refusal| refusal.is_unique_violation())?;
    // SQLite tells the index of an expression, and the table and column of others.
    let name = refusal.constraint().map(str::to_owned).or_else(|| {
        let (_, what) = refusal.message().rsplit_once(": ")?;
        Some(what.trim_start_matches("index ").trim_matches('\'').replace('.', "_"))
    });
    Some(name.unwrap_or_default())
}

/// Whether a transaction was undone for another's sake. PostgreSQL: 40001 serialization_failure, 40P01
/// deadlock_detected. SQLite: 5 SQLITE_BUSY and its kinds, whose lowest byte is 5.
fn lost(cause: &DbErr) -> bool {
    let code = refusal(cause).and_then(DatabaseError::code);
    code.is_some_and(|code| match code.parse::<u32>() {
        Ok(code) if code < 4096 => code & 0xff == 5,
        _ => code == "40001" || code == "40P01",
    })
}

fn unreachable_server(cause: &DbErr) -> bool {
    match cause {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => match &**cause {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // Class 08: connection exception; 53: out of connections or memory; 57P: the server goes down or starts; 25006: it
            // takes no writes. https://www.postgresql.org/docs/current/errcodes-appendix.html
            sqlx::Error::Database(refusal) => refusal
                .code()
                .is_some_and(|code| ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) || code == "25006"),
            _ => false,
        },
        DbErr::Conn(_) => true,
        _ => false,
    }
}
