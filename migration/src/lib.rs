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

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{MigrationTrait, async_trait::async_trait};
use step::step;

pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
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
        ]
    }
}
