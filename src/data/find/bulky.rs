//! A bulky column: a value of its own, read only where asked for.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use sea_orm::{DbErr, IdenStatic, QueryResult, Statement};

use super::Source;
use crate::data::record::{self, Column, Record};
use crate::data::sql::{Dialect, Quoted, Sql};
use crate::data::table::Tables;

/// One bulky text column of a record, by primary key.
pub struct Bulky<R> {
    column: &'static str,
    record: PhantomData<fn() -> R>,
}

impl<R: Record<Key = i64>> Bulky<R> {
    pub fn column(column: Column<R>) -> Self {
        Self { column: column.as_str(), record: PhantomData }
    }

    pub(in crate::data) fn table(&self) -> &'static str {
        record::table::<R>()
    }
}

impl<R: Record<Key = i64>> Source for Bulky<R> {
    type Key = i64;
    type Value = Arc<str>;

    fn name(&self) -> &'static str {
        self.column
    }

    fn kind(&self) -> &'static str {
        "column"
    }

    fn statement(&self, dialect: Dialect, keys: &[i64]) -> Statement {
        let (table, key, column) =
            (Quoted(record::table::<R>()), Quoted(record::key_column::<R>()), Quoted(self.column));
        let mut sql = Sql::new(dialect);
        sql.push(format_args!("select t.{key} as \"_key\", t.{column} as \"_text\" from {table} t where t.{key}"));
        sql.is_any_of(keys.iter().copied().map(Into::into));
        sql.statement()
    }

    fn values(&self, _: &[i64], rows: Vec<QueryResult>, _: &Tables) -> Result<HashMap<i64, Arc<str>>, DbErr> {
        rows.iter().map(|row| Ok((row.try_get_by("_key")?, row.try_get_by::<String, _>("_text")?.into()))).collect()
    }
}

// By hand, because derives would ask the same of `R`.
impl<R> Clone for Bulky<R> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<R> PartialEq for Bulky<R> {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column
    }
}

impl<R> Eq for Bulky<R> {}

impl<R> Hash for Bulky<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
    }
}
