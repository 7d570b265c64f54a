//! What can be heard of: which changes of which table, and whom they concern. Pure.

use sea_orm::{ActiveEnum, IdenStatic};

use crate::data::change::Change;
use crate::data::record::{self, Column, Record};
use crate::data::scalar::Scalar;
use crate::data::table::Named;

/// A kind of event.
#[derive(Debug)]
pub struct Topic {
    /// Settings, metrics and logs call it so.
    pub name: &'static str,
    pub table: &'static str,
    when: When,
    to: To,
}

/// Which changes are events.
#[derive(Debug)]
enum When {
    Inserted,
    Updated,
    /// One of these columns has another value than before.
    Changed(Vec<Named>),
    /// A column has this value, and had it not before, or the row was not there.
    Became(Named, Scalar),
}

/// Whom an event concerns.
#[derive(Debug)]
enum To {
    Everybody,
    /// Who listens to this row.
    Row,
    /// Who listens to this value of a column.
    Column(Named),
}

impl Topic {
    /// A row was inserted.
    pub fn inserted<R: Record>(name: &'static str) -> Self {
        Self::new::<R>(name, When::Inserted, To::Everybody)
    }

    /// A row was updated, in whatever way; for those who listen to it.
    pub fn updated<R: Record>(name: &'static str) -> Self {
        Self::new::<R>(name, When::Updated, To::Row)
    }

    /// A column of a row has another value; for those who listen to that row.
    pub fn changed<R: Record>(name: &'static str, column: Column<R>) -> Self {
        Self::new::<R>(name, When::Changed(vec![record::named(column)]), To::Row)
    }

    /// The same, and another column counts, too.
    pub fn or<R: Record>(mut self, column: Column<R>) -> Self {
        match &mut self.when {
            When::Changed(columns) => columns.push(record::named(column)),
            _ => panic!("{} is not about what has changed", self.name),
        }
        self
    }

    /// A column has come to have this value of an enumeration.
    pub fn became<R: Record>(name: &'static str, column: Column<R>, value: impl ActiveEnum<Value = String>) -> Self {
        let value = Scalar::Text(value.to_value());
        Self::new::<R>(name, When::Became(record::named(column), value), To::Everybody)
    }

    /// Only for those who listen to the value of this column.
    pub fn by<R: Record>(self, column: Column<R>) -> Self {
        assert_eq!(self.table, record::table::<R>(), "{} is of another table than its {}", self.name, column.as_str());
        Self { to: To::Column(record::named(column)), ..self }
    }

    fn new<R: Record>(name: &'static str, when: When, to: To) -> Self {
        Self { name, table: record::table::<R>(), when, to }
    }

    /// The columns that changes must tell.
    pub fn columns(&self) -> impl Iterator<Item = Named> {
        let seen = match &self.when {
            When::Inserted | When::Updated => &[],
            When::Changed(columns) => &columns[..],
            When::Became(column, _) => std::slice::from_ref(column),
        };
        let by = match self.to {
            To::Everybody | To::Row => None,
            To::Column(column) => Some(column),
        };
        seen.iter().copied().chain(by)
    }

    /// Whom a change concerns, if it is an event: the key by which they listen.
    ///
    /// A value that is not told counts as another: an event too many is seen by whoever gets it, one too few by nobody.
    pub fn concerns(&self, change: &Change) -> Option<Scalar> {
        let Change { table, key, old, new } = change;
        let new = new.as_ref().filter(|_| *table == self.table)?;
        let is_event = match (&self.when, old) {
            (When::Inserted, None) | (When::Updated, Some(_)) => true,
            (When::Inserted, Some(_)) | (When::Updated | When::Changed(_), None) => false,
            (When::Changed(columns), Some(old)) => {
                columns.iter().any(|(column, _)| old.get(column).is_none_or(|value| new.get(column) != Some(value)))
            }
            (When::Became((column, _), value), old) => {
                let was = old.as_ref().is_some_and(|old| old.get(column) == Some(value));
                !was && new.get(column) == Some(value)
            }
        };
        match self.to {
            _ if !is_event => None,
            To::Everybody => Some(Scalar::Null),
            To::Row => key.first().cloned(),
            To::Column((column, _)) => new.get(column).cloned(),
        }
    }
}
