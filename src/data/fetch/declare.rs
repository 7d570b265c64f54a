//! How resources are declared. One is cached, paged, counted, invalidated and refreshed by being named here; what is not
//! named is read from the database each time.

use std::collections::HashMap;

use super::refresh::{self, Refill};
use crate::data::declared::Declared;
use crate::data::events::Topic;
use crate::data::find::Aggregate;
use crate::data::list::List;
use crate::data::record::{self, Column, Record};
use crate::data::table::TableOf;

/// What is declared, and how rows are kept anew.
#[derive(Default)]
pub struct Declarations {
    pub(super) declared: Declared,
    /// By table.
    pub(super) refills: HashMap<&'static str, Refill>,
}

impl Declarations {
    /// The tables of which something is declared.
    pub fn tables(&self) -> Vec<&'static str> {
        self.declared.tables().collect()
    }

    /// Rows of a record, by primary key.
    pub fn rows<R: Record>(&mut self) -> &mut Self {
        let table = self.declared.tables.entry(TableOf::entity::<R::Entity>());
        table.row = record::columns_and_kinds::<R>().collect();
        self.refills.insert(table.name, refresh::refill::<R>);
        self
    }

    /// Rows of a record, by a unique column.
    pub fn unique<R: Record>(&mut self, column: Column<R>) -> &mut Self {
        self.declared.tables.entry(TableOf::entity::<R::Entity>()).find_by(record::named(column));
        self
    }

    /// A list, with its pages and counts.
    pub fn list<R: Record>(&mut self, list: &'static List<R>) -> &mut Self {
        self.declared.named.insert(list.name);
        list.declare(&mut self.declared.tables);
        self
    }

    /// Events of a record's rows.
    pub fn topic<R: Record>(&mut self, topic: &'static Topic) -> &mut Self {
        let table = self.declared.tables.entry(TableOf::entity::<R::Entity>());
        topic.columns().for_each(|column| table.tell(column));
        self
    }

    /// Sums over the rows of a parent.
    pub fn aggregate<T>(&mut self, of: &'static Aggregate<T>) -> &mut Self {
        self.declared.named.insert(of.name);
        of.declare(&mut self.declared.tables);
        self
    }
}
