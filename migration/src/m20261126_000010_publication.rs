//! What tells the caches of changes: the log of the primary, as far as it is published.
//!
//! With full replica identity, so that an update tells in which lists a row was before. Columns that are stored out of
//! line are logged whole by it, old and new, where they change.

use crate::step::{Database, Dialect};

/// The tables that are read through caches, and so published.
const TABLES: [&str; 9] =
    ["users", "posts", "comments", "tags", "post_tags", "products", "orders", "order_items", "product_buyers"];

pub fn up(dialect: &Dialect) -> String {
    let identities = TABLES.map(|table| format!("alter table {table} replica identity full;")).join("\n");
    match dialect.database {
        Database::Postgres => format!("{identities} create publication shoal for table {};", TABLES.join(", ")),
        // One process writes, and tells itself.
        Database::Sqlite => "select 1".to_owned(),
    }
}

pub fn down(dialect: &Dialect) -> String {
    let identities = TABLES.map(|table| format!("alter table {table} replica identity default;")).join("\n");
    match dialect.database {
        Database::Postgres => format!("drop publication shoal; {identities}"),
        Database::Sqlite => "select 1".to_owned(),
    }
}
