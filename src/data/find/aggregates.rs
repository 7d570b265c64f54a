//! Sums, counts and extremes over the rows of a parent.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use sea_orm::{ActiveEnum, ColumnTrait, DbErr, EntityTrait, FromQueryResult, QueryResult, Statement};

use super::Source;
use crate::data::coherence::{Dependency, Slots};
use crate::data::record;
use crate::data::sql::{Dialect, Quoted, Sql};
use crate::data::table::{Named, TableOf, Tables};

/// An aggregate as it is declared once; each result row is a `T`, whose fields carry the names of the measures.
pub struct Aggregate<T> {
    /// Unique among all lists and aggregates.
    pub name: &'static str,
    table: TableOf,
    key: Named,
    /// The columns of the table that are looked at.
    looked_at: Vec<Named>,
    joined: Option<Joined>,
    /// Rows that do not count: a condition's text.
    unless: Option<String>,
    by: Vec<&'static str>,
    measures: Vec<String>,
    result: PhantomData<fn() -> T>,
}

struct Joined {
    table: TableOf,
    here: &'static str,
    there: Named,
    looked_at: Vec<Named>,
}

impl<T> Aggregate<T> {
    /// Over the rows of `E` whose column `key` is the parent's key.
    pub fn over<E: EntityTrait>(name: &'static str, key: E::Column) -> Self {
        Self {
            name,
            table: TableOf::entity::<E>(),
            key: record::named(key),
            looked_at: Vec::new(),
            joined: None,
            unless: None,
            by: Vec::new(),
            measures: Vec::new(),
            result: PhantomData,
        }
    }

    /// Each row with the row of `J` whose column `there` its column `here` names.
    pub fn joined<J: EntityTrait>(mut self, here: impl ColumnTrait, there: J::Column) -> Self {
        self.looked_at.push(record::named(here));
        let (here, there) = (here.as_str(), record::named(there));
        self.joined = Some(Joined { table: TableOf::entity::<J>(), here, there, looked_at: Vec::new() });
        self
    }

    /// Leaves out rows whose `column`, of the joined table if there is one, has this value.
    pub fn unless<E: ActiveEnum<Value = String>>(mut self, column: impl ColumnTrait, value: E) -> Self {
        let (alias, looked_at) = match &mut self.joined {
            Some(joined) => ('j', &mut joined.looked_at),
            None => ('t', &mut self.looked_at),
        };
        looked_at.push(record::named(column));
        let word = value.to_value().replace('\'', "''");
        self.unless = Some(format!("{alias}.{} <> '{word}'", Quoted(column.as_str())));
        self
    }

    /// One result row for each value of `column`, which it shows, and in its order.
    pub fn by(mut self, column: impl ColumnTrait) -> Self {
        self.looked_at.push(record::named(column));
        self.by.push(column.as_str());
        self
    }

    pub fn count(self, name: &str) -> Self {
        self.measure("count(*)".to_owned(), name)
    }

    pub fn sum(mut self, column: impl ColumnTrait, name: &str) -> Self {
        self.looked_at.push(record::named(column));
        // PostgreSQL's sum of bigint is numeric.
        self.measure(format!("cast(sum(t.{}) as bigint)", Quoted(column.as_str())), name)
    }

    pub fn max(mut self, column: impl ColumnTrait, name: &str) -> Self {
        self.looked_at.push(record::named(column));
        self.measure(format!("max(t.{})", Quoted(column.as_str())), name)
    }

    /// Declares the columns that the aggregate looks at.
    pub(in crate::data) fn declare(&self, tables: &mut Tables) {
        let table = tables.entry(self.table);
        table.find_by(self.key);
        table.list(self.looked_at.iter().copied());
        if let Some(Joined { table, there, looked_at, .. }) = &self.joined {
            tables.entry(*table).list(looked_at.iter().chain([there]).copied());
        }
    }

    /// What the result for a parent depends on.
    pub(in crate::data) fn dependencies(&self, parent: i64) -> Slots {
        let (table, column) = (self.table.name, self.key.0);
        let rows = Slots::one(Dependency::Column { table, column, value: &parent.into() });
        match &self.joined {
            Some(joined) => rows.and(Dependency::Table(joined.table.name)),
            None => rows,
        }
    }

    /// The tables that are read of.
    pub(in crate::data) fn tables(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.table).chain(self.joined.as_ref().map(|joined| joined.table)).map(|table| table.name)
    }

    fn measure(mut self, expression: String, name: &str) -> Self {
        self.measures.push(format!("{expression} as {}", Quoted(name)));
        self
    }
}

/// The results of an aggregate, by the parent's key. A parent without rows has none.
pub struct Aggregates<T: 'static>(pub &'static Aggregate<T>);

impl<T: FromQueryResult + Send + Sync + 'static> Source for Aggregates<T> {
    type Key = i64;
    type Value = Arc<[T]>;

    fn name(&self) -> &'static str {
        self.0.name
    }

    fn kind(&self) -> &'static str {
        "aggregate"
    }

    fn statement(&self, dialect: Dialect, keys: &[i64]) -> Statement {
        let aggregate = self.0;
        let key = Quoted(aggregate.key.0);
        let mut sql = Sql::new(dialect);
        sql.push(format_args!("select t.{key} as \"_key\""));
        for column in &aggregate.by {
            sql.push(format_args!(", t.{}", Quoted(column)));
        }
        for measure in &aggregate.measures {
            sql.push(", ").push(measure);
        }
        sql.push(format_args!(" from {} t", Quoted(aggregate.table.name)));
        if let Some(Joined { table, here, there, .. }) = &aggregate.joined {
            sql.push(format_args!(" join {} j on j.{} = t.{}", Quoted(table.name), Quoted(there.0), Quoted(here)));
        }
        sql.push(format_args!(" where t.{key}")).is_any_of(keys.iter().copied().map(Into::into));
        if let Some(condition) = &aggregate.unless {
            sql.push(" and ").push(condition);
        }
        sql.push(format_args!(" group by t.{key}"));
        for column in &aggregate.by {
            sql.push(format_args!(", t.{}", Quoted(column)));
        }
        for (index, column) in aggregate.by.iter().enumerate() {
            sql.push(if index == 0 { " order by " } else { ", " }).push(format_args!("t.{}", Quoted(column)));
        }
        sql.statement()
    }

    fn values(&self, _: &[i64], rows: Vec<QueryResult>, _: &Tables) -> Result<HashMap<i64, Arc<[T]>>, DbErr> {
        let mut found: HashMap<i64, Vec<T>> = HashMap::new();
        for row in &rows {
            found.entry(row.try_get_by("_key")?).or_default().push(T::from_query_result(row, "")?);
        }
        Ok(found.into_iter().map(|(key, results)| (key, results.into())).collect())
    }
}

impl<T> Clone for Aggregates<T> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<T> PartialEq for Aggregates<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl<T> Eq for Aggregates<T> {}

impl<T> Hash for Aggregates<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}
