//! What is declared: the rows, lists, look-ups and aggregates that are read. A resource is watched, and so may be cached,
//! by being named here; what is not named is read from the database each time.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::find::Aggregate;
use super::list::List;
use super::record::{self, Column, Record};
use super::table::{TableOf, Tables};

/// Everything that is declared.
#[derive(Debug, Default)]
pub struct Declarations {
    pub(super) tables: Tables,
    /// Names of lists and aggregates.
    named: HashSet<&'static str>,
}

impl Declarations {
    /// Rows of a record, by primary key.
    pub fn rows<R: Record>(&mut self) -> &mut Self {
        self.tables.entry(TableOf::entity::<R::Entity>()).row = record::columns_and_kinds::<R>().collect();
        self
    }

    /// Rows of a record, by a unique column.
    pub fn unique<R: Record>(&mut self, column: Column<R>) -> &mut Self {
        self.tables.entry(TableOf::entity::<R::Entity>()).find_by(record::named(column));
        self
    }

    /// A list, with its pages and counts.
    pub fn list<R: Record>(&mut self, list: &'static List<R>) -> &mut Self {
        self.named.insert(list.name);
        list.declare(&mut self.tables);
        self
    }

    /// Sums over the rows of a parent.
    pub fn aggregate<T>(&mut self, of: &'static Aggregate<T>) -> &mut Self {
        self.named.insert(of.name);
        of.declare(&mut self.tables);
        self
    }

    /// Whether a list or aggregate of this name is declared, so that what it looks at is watched.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.named.contains(name)
    }

    /// Rows, lists and aggregates: whatever can have settings of its own.
    pub(super) fn resources(&self) -> impl Iterator<Item = &'static str> {
        self.tables.iter().map(|table| table.name).chain(self.named.iter().copied())
    }

    /// Tells two layouts of the same tables apart, and two namespaces: what is kept of rows is read only by whoever keeps
    /// it alike.
    pub(super) fn salt(&self, namespace: &str) -> u64 {
        let hash = Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update(format!("{:?}", self.tables));
        let hash = hash.chain_update([0]).chain_update(namespace);
        u64::from_be_bytes(hash.finalize()[..8].try_into().expect("a hash has more than eight bytes"))
    }
}
