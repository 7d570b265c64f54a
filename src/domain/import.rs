//! A directory of CSV files, one per table, or the demo data inside the binary, into an empty or a filled database.
//!
//! Promises that either all files are imported or none is changed, and that no file is passed over in silence: one
//! that belongs to no table is an error, a table without a file is in the report. Existing rows are never changed.

pub mod products;
pub mod upload;
pub mod upsert;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rust_embed::Embed;

use crate::data::Databases;
use crate::data::bulk::{self, Content, File, Format, Loaded, Progress, Table};

/// Where the files are.
#[derive(Clone, Debug)]
pub enum From {
    Directory(PathBuf),
    /// The data that comes with the binary.
    Demo,
}

/// What was imported.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order in which the tables were filled.
    pub loaded: Vec<Loaded>,
    /// Tables that the directory has no file for.
    pub missing: Vec<&'static str>,
    pub duration: Duration,
}

/// Why nothing was imported. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: cannot be read: {cause}", .directory.display())]
    Directory { directory: PathBuf, cause: std::io::Error },
    #[error("{}: no file of a table here; they are called {}", .directory.display(), .expected.join(", "))]
    NoFiles { directory: PathBuf, expected: Vec<String> },
    #[error(
        "{}: {} belong{} to no table; files are called {}",
        .directory.display(), .files.join(", "), if .files.len() == 1 { "s" } else { "" }, .expected.join(", ")
    )]
    UnknownFiles { directory: PathBuf, files: Vec<String>, expected: Vec<String> },
    #[error(transparent)]
    Data(#[from] bulk::Error),
}

#[derive(Embed)]
#[folder = "demo"]
struct Demo;

/// Whose the demo data are, and on what terms: to be had wherever they are.
pub fn demo_notice() -> String {
    let notice = Demo::get("NOTICE").map(|file| String::from_utf8_lossy(&file.data).into_owned());
    notice.unwrap_or_default()
}

/// Imports into the primary, in one transaction.
pub async fn run(databases: &Databases, from: From, progress: &dyn Progress) -> Result<Report, Error> {
    let start = Instant::now();
    let (files, missing) = match from {
        From::Directory(directory) => directory_files(&directory)?,
        From::Demo => demo_files(),
    };
    let loaded = bulk::load(databases.writer(), &files, progress).await?;
    Ok(Report { loaded, missing, duration: start.elapsed() })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: u64 = self.loaded.iter().map(|table| table.rows).sum();
        let seconds = self.duration.as_secs_f64();
        write!(f, "imported {rows} rows into {} tables in {seconds:.1} s", self.loaded.len())?;
        if !self.missing.is_empty() {
            write!(f, "; no file for {}", self.missing.join(", "))?;
        }
        Ok(())
    }
}

/// The tables in the order that foreign keys ask for.
fn tables() -> impl Iterator<Item = Table> {
    entity::tables().into_iter().map(|table| {
        let columns = table.columns.iter().map(|(name, column_type)| (*name, Format::of(column_type)));
        Table { name: table.name, columns: columns.collect() }
    })
}

fn directory_files(directory: &Path) -> Result<(Vec<File>, Vec<&'static str>), Error> {
    let mut found = csv_files(directory).map_err(|cause| Error::Directory { directory: directory.into(), cause })?;
    let (mut files, mut missing, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables() {
        let name = file_name(&table);
        match found.iter().position(|file| *file == name) {
            Some(index) => {
                let path = directory.join(found.swap_remove(index));
                files.push(File { table, name: path.display().to_string(), content: Content::Path(path) });
            }
            None => missing.push(table.name),
        }
        expected.push(name);
    }
    let directory = directory.to_owned();
    if !found.is_empty() {
        found.sort();
        Err(Error::UnknownFiles { directory, files: found, expected })
    } else if files.is_empty() {
        Err(Error::NoFiles { directory, expected })
    } else {
        Ok((files, missing))
    }
}

/// Names of the CSV files in a directory; those that the system hides do not count.
fn csv_files(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in directory.read_dir()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_csv = Path::new(&name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_csv && !name.starts_with('.') {
            found.push(name);
        }
    }
    Ok(found)
}

fn demo_files() -> (Vec<File>, Vec<&'static str>) {
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for table in tables() {
        let name = file_name(&table);
        match Demo::get(&name) {
            Some(file) => files.push(File { table, name, content: Content::Bytes(bytes(file.data)) }),
            None => missing.push(table.name),
        }
    }
    (files, missing)
}

fn bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    }
}

fn file_name(table: &Table) -> String {
    format!("{}.csv", table.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_demo_data() {
        let (files, missing) = demo_files();
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        let expected = ["users", "posts", "comments", "tags", "post_tags", "products", "orders", "order_items"];
        assert_eq!(names, expected.map(|table| format!("{table}.csv")));
        assert_eq!(missing, [] as [&str; 0]);
        assert!(demo_notice().contains("MIT License"));
    }

    #[test]
    fn the_formats_of_all_columns_are_known() {
        for table in tables() {
            for (column, format) in table.columns {
                assert_ne!(format, Format::Other, "{}.{column}", table.name);
            }
        }
    }
}
