//! What a filter asks of a row, and how that reads in SQL.

use sea_orm::{ActiveEnum, ColumnTrait};
use serde::Serialize;

use super::error::Error;
use super::record;
use super::scalar::{Kind, Scalar};
use super::sql::{Dialect, Quoted, Sql};

/// The shortest text a trigram index can look for.
const TRIGRAM: usize = 3;
/// The longest text looked for: the time to plan such a search grows with the square of its length.
const MAX_SEARCH: usize = 200;

/// A test of one column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Condition {
    pub(super) column: &'static str,
    #[serde(skip)]
    pub(super) kind: Kind,
    pub(super) test: Test,
    /// Tested on the rows that a walk of another index meets, and hidden from the planner.
    walked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) enum Test {
    /// Written into the text, not bound: only then does a planner match it with a partial index.
    True(bool),
    Word(String),
    Equals(Scalar),
    AtLeast(Scalar),
    Below(Scalar),
    AtMost(Scalar),
    Prefix {
        prefix: String,
        lower: bool,
    },
    Contains(String),
}

impl Condition {
    /// The column is true, or false.
    pub fn flag(column: impl ColumnTrait, value: bool) -> Self {
        Self::new(column, Test::True(value))
    }

    /// The column has this value of an enumeration.
    pub fn is<E>(column: impl ColumnTrait, value: E) -> Self
    where
        E: ActiveEnum<Value = String>,
    {
        Self::new(column, Test::Word(value.to_value()))
    }

    /// The column has this value, one of few that have names here: each may have a plan of its own.
    pub fn word(column: impl ColumnTrait, value: &'static str) -> Self {
        Self::new(column, Test::Word(value.to_owned()))
    }

    pub fn equals(column: impl ColumnTrait, value: impl Into<Scalar>) -> Self {
        Self::new(column, Test::Equals(value.into()))
    }

    pub fn at_least(column: impl ColumnTrait, value: impl Into<Scalar>) -> Self {
        Self::new(column, Test::AtLeast(value.into()))
    }

    pub fn at_most(column: impl ColumnTrait, value: impl Into<Scalar>) -> Self {
        Self::new(column, Test::AtMost(value.into()))
    }

    pub fn below(column: impl ColumnTrait, value: impl Into<Scalar>) -> Self {
        Self::new(column, Test::Below(value.into()))
    }

    /// The text starts with `prefix`, byte by byte.
    pub fn prefix(column: impl ColumnTrait, prefix: &str) -> Result<Self, Error> {
        let prefix = text(prefix)?.to_owned();
        Ok(Self::new(column, Test::Prefix { prefix, lower: false }))
    }

    /// The text starts with `prefix`, whatever the case of A to Z in either.
    pub fn lower_prefix(column: impl ColumnTrait, prefix: &str) -> Result<Self, Error> {
        let prefix = text(prefix)?.to_ascii_lowercase();
        Ok(Self::new(column, Test::Prefix { prefix, lower: true }))
    }

    /// The text contains `part`, whatever its case. Needs a trigram index.
    ///
    /// # Errors
    /// `BadInput` below three characters: no index could answer that; and above [`MAX_SEARCH`].
    pub fn contains(column: impl ColumnTrait, part: &str) -> Result<Self, Error> {
        let part = text(part)?.trim();
        match part.chars().count() {
            ..TRIGRAM => Err(Error::bad_input(format!("a search needs at least {TRIGRAM} characters"))),
            TRIGRAM..=MAX_SEARCH => Ok(Self::new(column, Test::Contains(part.to_owned()))),
            _ => Err(Error::bad_input(format!("a search takes at most {MAX_SEARCH} characters"))),
        }
    }

    fn new(column: impl ColumnTrait, test: Test) -> Self {
        Self { column: column.as_str(), kind: record::kind(column), test, walked: false }
    }

    /// Whether the test fixes the column to one value.
    pub(super) fn is_equality(&self) -> bool {
        matches!(self.test, Test::True(_) | Test::Word(_) | Test::Equals(_))
    }

    /// Whether the test asks an index for a part of a text.
    pub(super) fn is_search(&self) -> bool {
        matches!(self.test, Test::Contains(_)) && !self.walked
    }

    /// The same condition, for the rows that a walk of another index meets.
    pub(super) fn walked(mut self) -> Self {
        self.walked = true;
        self
    }

    /// Writes the test of table `t` as `table`, with `key` its primary key column.
    pub(super) fn write(&self, sql: &mut Sql, table: &str, key: &str) {
        if self.walked {
            // No index serves this form, and the planner takes it that half the rows pass: it walks the path.
            sql.push("coalesce(");
            self.write_test(sql, table, key);
            sql.push(", false)");
        } else {
            self.write_test(sql, table, key);
        }
    }

    fn write_test(&self, sql: &mut Sql, table: &str, key: &str) {
        let column = Quoted(self.column);
        match &self.test {
            Test::True(true) => {
                sql.push(format_args!("t.{column}"));
            }
            Test::True(false) => {
                sql.push(format_args!("not t.{column}"));
            }
            Test::Word(word) => {
                sql.push(format_args!("t.{column} = '{}'", word.replace('\'', "''")));
            }
            Test::Equals(value) => {
                sql.push(format_args!("t.{column} = ")).bind(value.clone());
            }
            Test::AtLeast(value) => {
                sql.push(format_args!("t.{column} >= ")).bind(value.clone());
            }
            Test::AtMost(value) => {
                sql.push(format_args!("t.{column} <= ")).bind(value.clone());
            }
            Test::Below(value) => {
                sql.push(format_args!("t.{column} < ")).bind(value.clone());
            }
            Test::Prefix { prefix, lower } => {
                let write_text = |sql: &mut Sql| {
                    if *lower {
                        sql.lower(format_args!("t.{column}"));
                    } else {
                        sql.push(format_args!("t.{column}")).bytewise();
                    }
                };
                write_text(sql);
                sql.push(" >= ").bind(Scalar::Text(prefix.clone()));
                if let Some(end) = after_prefix(prefix) {
                    sql.push(" and ");
                    write_text(sql);
                    sql.push(" < ").bind(Scalar::Text(end));
                }
            }
            Test::Contains(part) => match sql.dialect {
                Dialect::Postgres => {
                    sql.push(format_args!("t.{column} ilike ")).bind(Scalar::Text(like(part)));
                }
                Dialect::Sqlite => {
                    // The trigram index is a table of its own, named after table and column.
                    let index = format!("{table}_{}", self.column);
                    sql.push(format_args!(
                        "t.{} in (select rowid from {} where {1} match ",
                        Quoted(key),
                        Quoted(&index)
                    ));
                    sql.bind(Scalar::Text(format!("\"{}\"", part.replace('"', "\"\"")))).push(")");
                }
            },
        }
    }
}

fn text(input: &str) -> Result<&str, Error> {
    if input.contains('\0') {
        return Err(Error::bad_input("a text cannot contain NUL"));
    }
    Ok(input)
}

/// The pattern that matches any text containing `part` literally.
fn like(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// The smallest text above every text that starts with `prefix`, by bytes of UTF-8, which order as code points do.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_lies_above_all_that_start_with_it() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }

    #[test]
    fn a_search_is_literal() {
        assert_eq!(like(r"50%_\"), r"%50\%\_\\%");
    }
}
