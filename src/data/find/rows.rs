//! Rows by primary key and by unique column.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use sea_orm::{DbErr, IdenStatic, QueryResult, Statement};
use serde::{Deserialize, Serialize};

use super::Source;
use crate::data::change::Image;
use crate::data::record::{self, Column, Record};
use crate::data::scalar::Scalar;
use crate::data::sql::{Dialect, Quoted, Sql};
use crate::data::table::{Named, Table, Tables};

/// A row, and what lists see of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "R: Record")]
pub struct Found<R> {
    pub row: Arc<R>,
    /// Equal for two states of a row that every list treats alike.
    pub listed: u64,
}

/// Rows by primary key.
pub struct Rows<R>(PhantomData<fn() -> R>);

/// Rows by a unique text column.
pub struct Unique<R> {
    column: &'static str,
    lower: bool,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Rows<R> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Record> Default for Rows<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Record> Unique<R> {
    /// By the exact text of `column`.
    pub fn by(column: Column<R>) -> Self {
        Self { column: column.as_str(), lower: false, record: PhantomData }
    }

    /// By the text of `column`, whatever the case of A to Z in it: keys are given in lower case.
    pub fn by_lower(column: Column<R>) -> Self {
        Self { lower: true, ..Self::by(column) }
    }
}

impl<R: Record> Source for Rows<R> {
    type Key = R::Key;
    type Value = Found<R>;

    fn name(&self) -> &'static str {
        record::table::<R>()
    }

    fn kind(&self) -> &'static str {
        "rows"
    }

    fn statement(&self, dialect: Dialect, keys: &[R::Key]) -> Statement {
        let mut sql = select::<R>(dialect);
        sql.push(format_args!(" where t.{}", Quoted(record::key_column::<R>())));
        sql.is_any_of(keys.iter().cloned().map(Into::into));
        sql.statement()
    }

    fn values(
        &self,
        _: &[R::Key],
        rows: Vec<QueryResult>,
        tables: &Tables,
    ) -> Result<HashMap<R::Key, Found<R>>, DbErr> {
        rows.iter()
            .map(|row| {
                let found = Found::<R>::read(row, tables)?;
                Ok((found.row.key(), found))
            })
            .collect()
    }
}

impl<R: Record> Source for Unique<R> {
    type Key = String;
    type Value = Found<R>;

    fn name(&self) -> &'static str {
        record::table::<R>()
    }

    fn kind(&self) -> &'static str {
        "rows"
    }

    fn statement(&self, dialect: Dialect, keys: &[String]) -> Statement {
        let mut sql = Sql::new(dialect);
        sql.push("select ");
        write_columns::<R>(&mut sql);
        sql.push(", ");
        self.write_column(&mut sql);
        sql.push(" as \"_key\"");
        write_from::<R>(&mut sql);
        sql.push(" where ");
        self.write_column(&mut sql);
        sql.is_any_of(keys.iter().cloned().map(Scalar::Text));
        sql.statement()
    }

    fn values(
        &self,
        _: &[String],
        rows: Vec<QueryResult>,
        tables: &Tables,
    ) -> Result<HashMap<String, Found<R>>, DbErr> {
        rows.iter().map(|row| Ok((row.try_get_by("_key")?, Found::read(row, tables)?))).collect()
    }
}

impl<R: Record> Found<R> {
    pub(super) fn read(row: &QueryResult, tables: &Tables) -> Result<Self, DbErr> {
        Ok(Self { row: Arc::new(R::from_query_result(row, "")?), listed: tables.listed_hash::<R>(row)? })
    }

    /// The row that the log tells; none where a record is not serialised with the names and the values of the database,
    /// or not all of it is told.
    pub(in crate::data) fn told(image: &Image, table: &Table) -> Option<Self> {
        let json = |(name, _): &Named| Some(((*name).to_owned(), image.get(name)?.clone().json()));
        let json: serde_json::Value = table.row.iter().map(json).collect::<Option<serde_json::Map<_, _>>>()?.into();
        let row = R::deserialize(&json).ok()?;
        // A field that has another name may be missing without being missed.
        let is_same = serde_json::to_value(&row).is_ok_and(|again| again == json);
        Some(Self { row: Arc::new(row), listed: table.listed_hash(image)? }).filter(|_| is_same)
    }
}

impl<R: Record> Unique<R> {
    /// The column, unless it is compared without regard to case: then nothing tells which values a change touches.
    pub(in crate::data) fn exact_column(&self) -> Option<&'static str> {
        (!self.lower).then_some(self.column)
    }

    fn write_column(&self, sql: &mut Sql) {
        let column = Quoted(self.column);
        if self.lower {
            sql.lower(format_args!("t.{column}"));
        } else {
            sql.push(format_args!("t.{column}")).bytewise();
        }
    }
}

fn select<R: Record>(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("select ");
    write_columns::<R>(&mut sql);
    write_from::<R>(&mut sql);
    sql
}

/// Writes the record's columns of table `t`.
pub(super) fn write_columns<R: Record>(sql: &mut Sql) {
    for (index, column) in record::columns::<R>().enumerate() {
        sql.push(if index == 0 { "" } else { ", " }).push(format_args!("t.{}", Quoted(column)));
    }
}

fn write_from<R: Record>(sql: &mut Sql) {
    sql.push(format_args!(" from {} t", Quoted(record::table::<R>())));
}

// By hand, because derives would ask the same of `R`.
impl<R> Clone for Found<R> {
    fn clone(&self) -> Self {
        Self { row: self.row.clone(), listed: self.listed }
    }
}

impl<R> Clone for Rows<R> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<R> PartialEq for Rows<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<R> Eq for Rows<R> {}

impl<R> Hash for Rows<R> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<R> Clone for Unique<R> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<R> PartialEq for Unique<R> {
    fn eq(&self, other: &Self) -> bool {
        (self.column, self.lower) == (other.column, other.lower)
    }
}

impl<R> Eq for Unique<R> {}

impl<R> Hash for Unique<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.column, self.lower).hash(state);
    }
}
