//! The log tells of jobs, for those who watch one; and lists of jobs have their indexes.
//!
//! They are not read through caches. Full replica identity all the same: an update tells what it has changed.

use crate::step::{Database, Dialect};

pub fn up(dialect: &Dialect) -> String {
    let told = match dialect.database {
        Database::Postgres => "alter table jobs replica identity full; alter publication shoal add table jobs;",
        // One process writes, and tells itself.
        Database::Sqlite => "",
    };
    format!(
        "
        {told}
        -- Those of a kind in a state, newest first.
        create index jobs_kind_state on jobs (kind, state, id desc);
        "
    )
}

pub fn down(dialect: &Dialect) -> String {
    let told = match dialect.database {
        Database::Postgres => "alter publication shoal drop table jobs; alter table jobs replica identity default;",
        Database::Sqlite => "",
    };
    format!("drop index jobs_kind_state; {told}")
}
