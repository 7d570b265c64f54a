//! What a watcher hears of an import while it runs.

/// Is told of an import's steps, in order. Called between chunks of some hundred kilobytes, so it must be quick.
pub trait Progress: Sync {
    /// So many bytes are to be read.
    fn starts(&self, _bytes: u64) {}

    /// The rows of this table come next.
    fn table(&self, _name: &str) {}

    /// So many more rows and bytes are with the database.
    fn advanced(&self, _rows: u64, _bytes: u64) {}

    /// All rows are in; what remains is to commit and to gather statistics.
    fn settles(&self) {}
}

/// Nobody watches.
impl Progress for () {}
