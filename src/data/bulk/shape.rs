//! A table's columns as the database has them, and a file's header checked against them.

use super::error::{Error, HeaderFlaw};
use super::{File, Format};

/// A column of a table, or of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    pub format: Format,
    pub nullable: bool,
    /// Whether the database has a value for it when there is none in the file.
    pub filled: bool,
}

/// The columns of a file's table. The database says which there are, the file's table how they are read.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub columns: Vec<Column>,
}

impl Shape {
    /// `found`: name, nullable, filled of each column in the database.
    pub fn new(file: &File, found: Vec<(String, bool, bool)>) -> Result<Self, Error> {
        if found.is_empty() {
            return Err(Error::NoTable { table: file.table.name });
        }
        let columns = found.into_iter().map(|(name, nullable, filled)| {
            let known = file.table.columns.iter().find(|(known, _)| *known == name);
            let format = known.map_or(Format::Other, |(_, format)| *format);
            Column { name, format, nullable, filled }
        });
        Ok(Self { columns: columns.collect() })
    }

    /// The columns that a header names, in its order.
    pub fn check<'a>(
        &self,
        table: &'static str,
        header: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Column>, HeaderFlaw> {
        let mut named: Vec<Column> = Vec::new();
        for name in header {
            let Some(column) = self.columns.iter().find(|column| column.name == name) else {
                let known = self.columns.iter().map(|column| column.name.clone()).collect();
                return Err(HeaderFlaw::Unknown { table, column: name.to_owned(), known });
            };
            if named.contains(column) {
                return Err(HeaderFlaw::Duplicate { column: name.to_owned() });
            }
            named.push(column.clone());
        }
        let missing =
            self.columns.iter().filter(|column| !column.nullable && !column.filled && !named.contains(column));
        let missing: Vec<_> = missing.map(|column| column.name.clone()).collect();
        if missing.is_empty() { Ok(named) } else { Err(HeaderFlaw::Missing { table, columns: missing }) }
    }
}

/// Names of columns as SQL lists them.
pub(super) fn list(columns: &[Column]) -> String {
    columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
}

/// A name as SQL quotes it.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        let column =
            |name: &str, nullable, filled| Column { name: name.to_owned(), format: Format::Text, nullable, filled };
        Shape {
            columns: vec![
                column("id", false, true),
                column("title", false, false),
                column("body", false, false),
                column("published_at", true, false),
            ],
        }
    }

    fn check(header: &[&str]) -> Result<Vec<String>, String> {
        let columns = shape().check("posts", header.iter().copied()).map_err(|flaw| flaw.to_string())?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    }

    #[test]
    fn the_order_is_the_headers() {
        assert_eq!(check(&["body", "id", "title"]), Ok(vec!["body".into(), "id".into(), "title".into()]));
    }

    #[test]
    fn what_the_database_cannot_fill_must_be_there() {
        assert_eq!(check(&["id"]), Err("posts cannot do without the columns title, body".into()));
        assert_eq!(check(&["id", "body"]), Err("posts cannot do without the column title".into()));
    }

    #[test]
    fn columns_are_known_and_named_once() {
        let known = "it has id, title, body, published_at";
        assert_eq!(check(&["title", "Body"]), Err(format!("posts has no column \"Body\"; {known}")));
        assert_eq!(check(&["title", "body", ""]), Err(format!("posts has no column \"\"; {known}")));
        assert_eq!(check(&["title", "body", "title"]), Err("the column title is named twice".into()));
    }
}
