//! Whole CSV files into tables: all of them, or nothing.
//!
//! Promises one transaction, memory that does not grow with the files, and for everything that is wrong with a file an
//! error that names the file and the line: the same one on PostgreSQL as on SQLite, because one [`reader`] judges the
//! rows for both before a database sees them. What only a database can judge, its constraints, it judges; where it does
//! not say which row broke one, a second pass over the file finds it.
//!
//! Never guesses. The rules are those of COPY's CSV format, with the doubtful cases shut out:
//!
//! - UTF-8, with or without a byte order mark; all lines end alike. The first line names the columns, in any order.
//!   Columns that the database can fill, by a default, an identity or NULL, may be left out.
//! - An empty field without quotes is NULL where the column may be NULL, and the empty text where it may not.
//! - Instants are RFC 3339 with an offset, kept to the microsecond; booleans are `true`, `false`, `t`, `f`, `1` or `0`.
//! - The *line* in an error is the physical line on which the record starts; the header is line 1.

mod error;
mod postgres;
mod progress;
mod reader;
mod records;
mod second_pass;
mod shape;
mod sheet;
mod sqlite;
mod value;

use std::io::{self, Cursor};
use std::path::PathBuf;

use bytes::Bytes;
use sea_orm::{DatabaseConnection, DbBackend};
use tokio::io::AsyncRead;

pub use error::{Breach, Error, Flaw, HeaderFlaw, Rule};
pub use progress::Progress;
pub use reader::{Reader, Row};
pub use sheet::{Known, Sheet};
pub use value::Format;

/// A table and how the fields of its columns are read. Columns it does not list are left to the database to read.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<(&'static str, Format)>,
}

/// The rows for one table.
#[derive(Clone, Debug)]
pub struct File {
    pub table: Table,
    /// What errors call the file.
    pub name: String,
    pub content: Content,
}

/// Where the bytes of a file are. They are read more than once, and must not change meanwhile.
#[derive(Clone, Debug)]
pub enum Content {
    Path(PathBuf),
    Bytes(Bytes),
}

/// What went into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub table: &'static str,
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// Loads `files` in the order given, which must be one that foreign keys allow, on the primary's `connection`.
pub async fn load(
    connection: &DatabaseConnection,
    files: &[File],
    progress: &dyn Progress,
) -> Result<Vec<Loaded>, Error> {
    let mut bytes = 0;
    for file in files {
        bytes += file.size().await?;
    }
    progress.starts(bytes);
    match connection.get_database_backend() {
        DbBackend::Postgres => postgres::load(connection.get_postgres_connection_pool(), files, progress).await,
        _ => sqlite::load(connection.get_sqlite_connection_pool(), files, progress).await,
    }
}

impl File {
    async fn open(&self) -> Result<Box<dyn AsyncRead + Send + Unpin>, Error> {
        Ok(match &self.content {
            Content::Path(path) => Box::new(tokio::fs::File::open(path).await.map_err(self.unreadable())?),
            Content::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
        })
    }

    async fn size(&self) -> Result<u64, Error> {
        Ok(match &self.content {
            Content::Path(path) => tokio::fs::metadata(path).await.map_err(self.unreadable())?.len(),
            Content::Bytes(bytes) => bytes.len() as u64,
        })
    }

    fn unreadable(&self) -> impl Fn(io::Error) -> Error {
        |cause| Error::Unreadable { file: self.name.clone(), cause }
    }
}
