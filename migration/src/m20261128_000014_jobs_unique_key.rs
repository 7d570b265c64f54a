//! The index of unique jobs has one name on both databases: SQLite tells who breaks it by table and column.

use crate::step::Dialect;

pub fn up(_: &Dialect) -> String {
    named("jobs_unique", "jobs_unique_key")
}

pub fn down(_: &Dialect) -> String {
    named("jobs_unique_key", "jobs_unique")
}

/// Made anew: SQLite cannot rename an index.
fn named(old: &str, new: &str) -> String {
    format!(
        "
        drop index {old};
        create unique index {new} on jobs (unique_key) where state in ('queued', 'running');
        "
    )
}
