//! The schema, one step per file, on PostgreSQL 14 or later and SQLite 3.38 or later.
//!
//! A step is applied or undone in one transaction together with its record, on both databases: one that fails leaves
//! nothing behind. Nothing here keeps two processes from migrating at the same time; the caller sees to that.

mod step;

mod m20261122_000001_users;
mod m20261122_000002_posts;
mod m20261122_000003_comments;
mod m20261122_000004_tags;
mod m20261122_000005_products;
mod m20261122_000006_orders;
mod m20261122_000007_product_buyers;
mod m20261123_000008_idempotency_keys;
mod m20261125_000009_signing_keys;
mod m20261126_000010_publication;
mod m20261127_000011_jobs;
mod m20261127_000012_jobs_told;
mod m20261127_000013_uploads;
mod m20261128_000014_jobs_unique_key;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait::async_trait};
pub use step::Database;
use step::{Dialect, Step, step};

pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        steps().into_iter().map(|step| Box::new(step) as Box<dyn MigrationTrait>).collect()
    }
}

fn steps() -> Vec<Step> {
    vec![
        step!(m20261122_000001_users),
        step!(m20261122_000002_posts),
        step!(m20261122_000003_comments),
        step!(m20261122_000004_tags),
        step!(m20261122_000005_products),
        step!(m20261122_000006_orders),
        step!(m20261122_000007_product_buyers),
        step!(m20261123_000008_idempotency_keys),
        step!(m20261125_000009_signing_keys),
        step!(m20261126_000010_publication),
        step!(m20261127_000011_jobs),
        step!(m20261127_000012_jobs_told),
        step!(m20261127_000013_uploads),
        step!(m20261128_000014_jobs_unique_key),
    ]
}

/// The statements that create the indexes which are there once all steps are applied. Those that come with a constraint
/// are not among them: they cannot go without it.
pub fn indexes(database: Database) -> Vec<String> {
    let dialect = match database {
        Database::Postgres => Dialect::POSTGRES,
        Database::Sqlite => Dialect::SQLITE,
    };
    let mut indexes: Vec<String> = Vec::new();
    for step in steps() {
        let script: String = (step.up)(&dialect)
            .lines()
            .map(|line| line.split("--").next().unwrap_or(line))
            .fold(String::new(), |script, line| script + line + " ");
        for statement in script.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>()) {
            match &statement[..] {
                ["create", "index", ..] | ["create", "unique", "index", ..] => indexes.push(statement.join(" ")),
                ["drop", "index", "if", "exists", name, ..] | ["drop", "index", name, ..] => {
                    indexes.retain(|index| !index.contains(&format!("index {name} on ")));
                }
                _ => {}
            }
        }
    }
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_those_of_all_steps() {
        let postgres = indexes(Database::Postgres);
        let sqlite = indexes(Database::Sqlite);
        let has = |indexes: &[String], text: &str| indexes.iter().any(|index| index.starts_with(text));
        for indexes in [&postgres, &sqlite] {
            assert!(has(indexes, "create index comments_post on comments (post_id, created_at desc, id desc)"));
            assert!(has(indexes, "create unique index users_email on users"));
            assert!(indexes.iter().all(|index| !index.contains("--")), "{indexes:?}");
        }
        assert!(has(&postgres, "create index products_name_trgm on products using gin"));
        assert!(!has(&sqlite, "create index products_name_trgm"));
    }
}
