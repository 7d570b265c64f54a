//! Why a read or a write failed, sorted by whose fault it is.
//!
//! A client gets the kind and nothing else; an operator finds the cause in the log, once, at the boundary.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};

/// A failure that every waiter of a shared load can be handed: cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The client's: the text is written for them.
    #[error("{0}")]
    BadInput(String),
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

    /// Whether another server might answer where this one did not.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<DbErr> for Error {
    fn from(cause: DbErr) -> Self {
        if unreachable_server(&cause) { Self::Unavailable(Arc::new(cause)) } else { Self::Database(Arc::new(cause)) }
    }
}

impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(cause))).into()
    }
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
            // Class 08: connection exception; 53: out of connections or memory; 57P: the server goes down or starts.
            // https://www.postgresql.org/docs/current/errcodes-appendix.html
            sqlx::Error::Database(refusal) => refusal
                .code()
                .is_some_and(|code| code.starts_with("08") || code.starts_with("53") || code.starts_with("57P")),
            _ => false,
        },
        DbErr::Conn(_) => true,
        _ => false,
    }
}
