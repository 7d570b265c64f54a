//! What is known of each table: its key, the columns that lists look at, and so what a change touches.
//!
//! A column is *listed* if some list, look-up or aggregate looks at it: then a change of it may move a row in or out of a
//! list, or change a sum. All other columns change nothing but their row.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use sea_orm::{DbErr, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, QueryResult};

use super::change::{Change, Image};
use super::coherence::{Dependency, Slot};
use super::mutant::{self, Mutant};
use super::record::{self, Record};
use super::scalar::{Kind, Scalar};

/// A column, and what it holds.
pub type Named = (&'static str, Kind);

/// A table, as caches know it.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// The columns of its primary key.
    pub key: Vec<&'static str>,
    /// The columns of its rows, in their order, if rows are read of it.
    pub row: Vec<Named>,
    /// What the columns hold that are keys or listed.
    columns: BTreeMap<&'static str, Kind>,
    listed: BTreeSet<&'static str>,
    /// The columns by which lists and look-ups find rows: each value is a dependency.
    found_by: BTreeSet<&'static str>,
    /// Whether the database changes another table when this one changes.
    is_source: bool,
}

/// Which table, before anything is known of it.
#[derive(Clone, Copy, Debug)]
pub struct TableOf {
    pub name: &'static str,
    make: fn() -> Table,
}

impl TableOf {
    pub fn entity<E: EntityTrait>() -> Self {
        Self { name: E::default().table_name(), make: Table::of::<E> }
    }
}

impl Table {
    /// A table of which nothing is declared yet.
    fn of<E: EntityTrait>() -> Self {
        let key: Vec<_> = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
        Self {
            name: E::default().table_name(),
            columns: key.iter().map(|column| (column.as_str(), record::kind(*column))).collect(),
            key: key.iter().map(IdenStatic::as_str).collect(),
            row: Vec::new(),
            listed: BTreeSet::new(),
            found_by: BTreeSet::new(),
            is_source: false,
        }
    }

    /// Some list looks at these columns.
    pub fn list(&mut self, columns: impl IntoIterator<Item = Named>) {
        for (column, kind) in columns {
            self.columns.insert(column, kind);
            self.listed.insert(column);
        }
    }

    /// Changes are to tell this column, which no list looks at.
    pub fn tell(&mut self, (column, kind): Named) {
        self.columns.insert(column, kind);
    }

    /// Rows are found by this column.
    pub fn find_by(&mut self, (column, kind): Named) {
        self.list([(column, kind)]);
        self.found_by.insert(column);
    }

    pub fn is_found_by(&self, column: &str) -> bool {
        self.found_by.contains(column)
    }

    /// The database changes another table when this one changes.
    pub fn is_source(&mut self) {
        self.is_source = true;
    }

    /// Tells `touch` what a change touches; `derives` if nothing tells what the database derives from it.
    pub fn touched(&self, change: &Change, derives: bool, touch: &mut impl FnMut(Slot)) {
        let table = self.name;
        if let [key] = &change.key[..] {
            touch(Dependency::Row { table, key }.slot());
            let old = change.old.as_ref().and_then(|old| old.get(self.key[0]));
            if let Some(old) = old.filter(|old| *old != key) {
                touch(Dependency::Row { table, key: old }.slot());
            }
        }
        if derives && self.is_source {
            touch(Dependency::Sources(table).slot());
        }
        let same = |(old, new): (&Image, &Image)| {
            self.listed.iter().all(|column| old.get(column).is_some_and(|value| new.get(column) == Some(value)))
        };
        if change.old.as_ref().zip(change.new.as_ref()).is_some_and(same) {
            return;
        }
        touch(Dependency::Table(table).slot());
        let has_moved = change.old.as_ref().filter(|_| !(change.new.is_some() && mutant::is(Mutant::OldKeyForgotten)));
        for image in has_moved.into_iter().chain(&change.new) {
            for (column, value) in self.found_by.iter().filter_map(|column| Some((*column, image.get(column)?))) {
                touch(Dependency::Column { table, column, value }.slot());
            }
        }
    }

    /// What lists see of a row; none if not all of that is told. See [`Tables::listed_hash`].
    pub fn listed_hash(&self, image: &Image) -> Option<u64> {
        let listed = self.listed.iter().map(|column| image.get(column).cloned());
        Some(hash(&listed.collect::<Option<Vec<_>>>()?))
    }

    /// Tells what a column holds, if it is a key or listed, and under which name it is known here.
    pub fn column(&self, name: &str) -> Option<Named> {
        self.columns.get_key_value(name).map(|(name, kind)| (*name, *kind))
    }
}

/// All tables of which something is declared, by name.
#[derive(Debug, Default)]
pub struct Tables(BTreeMap<&'static str, Table>);

impl Tables {
    pub fn find(&self, name: &str) -> Option<&Table> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.0.values()
    }

    pub fn entry(&mut self, of: TableOf) -> &mut Table {
        self.0.entry(of.name).or_insert_with(of.make)
    }

    /// What lists see of a row: equal for two rows that every list treats alike.
    pub fn listed_hash<R: Record>(&self, row: &QueryResult) -> Result<u64, DbErr> {
        let Some(table) = self.find(record::table::<R>()) else { return Ok(0) };
        let listed = table.listed.iter().map(|column| Scalar::read_nullable(row, column, table.columns[column]));
        Ok(hash(&listed.collect::<Result<Vec<_>, _>>()?))
    }
}

fn hash(listed: &[Scalar]) -> u64 {
    FixedState::default().hash_one(listed)
}

#[cfg(test)]
mod tests;
