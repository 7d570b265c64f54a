//! A file that is read for its own sake: what becomes of its rows is for others to say.
//!
//! Holds it against columns that are named beside it, where the rest of this module asks the database for those.

use bytes::Bytes;

use super::error::{Error, HeaderFlaw};
use super::reader::Reader;
use super::shape::{Column, Shape};
use super::{Content, File, Format, Table};

/// A file in memory, and the columns that it may have. None of them may be NULL.
pub struct Sheet {
    file: File,
    shape: Shape,
    kept: &'static [&'static str],
}

/// A column that a file may have.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub name: &'static str,
    pub format: Format,
    pub is_required: bool,
}

impl Sheet {
    /// `kept` are columns of the table that the file must not have.
    pub fn new(table: &'static str, known: &[Known], kept: &'static [&'static str], content: Bytes) -> Self {
        let column = |known: &Known| Column {
            name: known.name.to_owned(),
            format: known.format,
            nullable: false,
            filled: !known.is_required,
        };
        let columns = known.iter().map(|known| (known.name, known.format)).collect();
        Self {
            file: File {
                table: Table { name: table, columns },
                name: "the file".to_owned(),
                content: Content::Bytes(content),
            },
            shape: Shape { columns: known.iter().map(column).collect() },
            kept,
        }
    }

    /// Its rows, if the header can be used.
    pub async fn open(&self) -> Result<Reader<'_>, Error> {
        Reader::open(&self.file, &self.shape).await.map_err(|error| match error {
            Error::Header { file, flaw: HeaderFlaw::Unknown { column, .. } } if self.kept.contains(&&*column) => {
                Error::Header { file, flaw: HeaderFlaw::Kept { column } }
            }
            error => error,
        })
    }

    /// Reads it once; how many rows it has, whether they are good or not.
    ///
    /// # Errors
    /// For a header that cannot be used, and for what leaves the rest unread, such as bytes that are no text.
    pub async fn rows(&self) -> Result<u64, Error> {
        let mut reader = self.open().await?;
        let mut rows = 0;
        while reader.fill().await? {
            loop {
                match reader.next_row() {
                    Ok(Some(_)) => rows += 1,
                    Ok(None) => break,
                    Err(error) if error.of_a_row().is_some() => rows += 1,
                    Err(error) => return Err(error),
                }
            }
            // Others may have waited.
            tokio::task::yield_now().await;
        }
        Ok(rows)
    }
}
