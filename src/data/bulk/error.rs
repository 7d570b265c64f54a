//! What is wrong with a file, in words for the operator who has to mend it.

use std::fmt::{self, Display, Formatter};
use std::io;

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: cannot be read: {cause}")]
    Unreadable { file: String, cause: io::Error },
    #[error("the database has no table {table}: is it migrated?")]
    NoTable { table: &'static str },
    /// The header does not fit the table.
    #[error("{file}, line 1: {flaw}")]
    Header { file: String, flaw: HeaderFlaw },
    /// A record is not what the CSV format asks for.
    #[error("{file}, line {line}: {flaw}")]
    Malformed { file: String, line: u64, flaw: Flaw },
    /// A field is not a value of its column's type.
    #[error("{file}, line {line}, column {column}: {} is not {expected}", Quoted(.value))]
    BadValue { file: String, line: u64, column: String, value: String, expected: &'static str },
    /// A row breaks a constraint.
    #[error("{file}{}: {breach}", Place(.line, &None))]
    Broken { file: String, line: Option<u64>, breach: Breach },
    /// The database refused a row for a reason of its own, such as a trigger's.
    #[error("{file}{}: {message}", Place(.line, .column))]
    Refused { file: String, line: Option<u64>, column: Option<String>, message: String },
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// The line of the one row that cannot be read, and in which column, if that is what is wrong.
    pub fn of_a_row(&self) -> Option<(u64, Option<&str>)> {
        match self {
            Self::Malformed { line, flaw: Flaw::Ragged { .. }, .. } => Some((*line, None)),
            Self::BadValue { line, column, .. } => Some((*line, Some(column))),
            _ => None,
        }
    }

    /// What is wrong, without saying where.
    pub fn reason(&self) -> String {
        match self {
            Self::Malformed { flaw, .. } => flaw.to_string(),
            Self::BadValue { value, expected, .. } => format!("{} is not {expected}", Quoted(value)),
            other => other.to_string(),
        }
    }
}

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFlaw {
    #[error("the file is empty: its first line must name the columns")]
    Empty,
    #[error("{table} has no column {}; it has {}", Quoted(.column), .known.join(", "))]
    Unknown { table: &'static str, column: String, known: Vec<String> },
    /// A column of the table that a file must not have.
    #[error("the column {column} is not for files to fill: leave it out")]
    Kept { column: String },
    #[error("the column {column} is named twice")]
    Duplicate { column: String },
    #[error("{table} cannot do without the column{} {}", plural(.columns), .columns.join(", "))]
    Missing { table: &'static str, columns: Vec<String> },
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("there is a NUL byte, which no text can hold")]
    Nul,
    #[error("{found} field{} where the header names {expected}", if *.found == 1 { "" } else { "s" })]
    Ragged { found: usize, expected: usize },
    #[error("a quote is opened and never closed")]
    OpenQuote,
    #[error("the record is longer than {} MiB; perhaps a quote is never closed", .limit >> 20)]
    TooLong { limit: usize },
    #[error("the line does not end like the first one, in {expected}")]
    LineEnd { expected: &'static str },
    /// Before PostgreSQL 18, COPY takes such a line for the end of the file and ignores the rest.
    #[error(r#"a line of \. alone stands for the end of the data; as a value write "\." in quotes"#)]
    EndMarker,
}

/// A row that breaks a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: Rule,
    /// `column=value` of the columns concerned, as far as they are known.
    pub key: Option<String>,
    /// The constraint's name. SQLite names few of them.
    pub constraint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// There is such a row already, in the table or further up in the file.
    Unique,
    ForeignKey {
        parent: String,
    },
    Check,
    NotNull,
}

impl Display for Breach {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("a row");
        match &self.rule {
            Rule::Unique => write!(f, "{key} already exists")?,
            Rule::ForeignKey { parent } => write!(f, "{key} is not in {parent}")?,
            Rule::Check => write!(f, "{key} breaks a check")?,
            Rule::NotNull => write!(f, "{key} must not be null")?,
        }
        match &self.constraint {
            Some(name) => write!(f, " (constraint {name})"),
            None => Ok(()),
        }
    }
}

/// `, line 5, column status`, as far as known.
struct Place<'a>(&'a Option<u64>, &'a Option<String>);

impl Display for Place<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.0 {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = self.1 {
            write!(f, ", column {column}")?;
        }
        Ok(())
    }
}

/// A value as an error shows it: control characters escaped, long ones cut.
pub(super) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        match self.0.char_indices().nth(MOST) {
            Some((cut, _)) => write!(f, "{:?}…", &self.0[..cut]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

fn plural(items: &[String]) -> &'static str {
    if items.len() == 1 { "" } else { "s" }
}
