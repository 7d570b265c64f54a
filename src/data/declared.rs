//! What is declared of the tables: all that may be kept in the tiers, because whatever changes it is watched.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::table::Tables;

/// Everything that is declared.
#[derive(Debug, Default)]
pub struct Declared {
    pub(super) tables: Tables,
    /// Names of lists and aggregates.
    pub(super) named: HashSet<&'static str>,
}

impl Declared {
    /// Whether a list or aggregate of this name is declared, so that what it looks at is watched.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.named.contains(name)
    }

    /// The tables of which something is declared.
    pub fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.tables.iter().map(|table| table.name)
    }

    /// Rows, lists and aggregates: whatever can have settings of its own.
    pub(super) fn resources(&self) -> impl Iterator<Item = &'static str> {
        self.tables().chain(self.named.iter().copied())
    }

    /// Tells two layouts of the same tables apart, and two namespaces: what is kept of rows is read only by whoever keeps
    /// it alike.
    pub(super) fn salt(&self, namespace: &str) -> u64 {
        let hash = Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update(format!("{:?}", self.tables));
        let hash = hash.chain_update([0]).chain_update(namespace);
        u64::from_be_bytes(hash.finalize()[..8].try_into().expect("a hash has more than eight bytes"))
    }
}
