//! Brings a database to the version of this binary, and checks that it is there.

use std::fmt::Write;

use migration::{Migrator, MigratorTrait};

use super::{Failure, embedded};
use crate::config::Config;
use crate::data::Databases;
use crate::data::databases::Settings;
use crate::data::sql::Dialect;

/// The advisory lock that one migrating process holds, so that ten may start at once: "shoal" in ASCII.
const LOCK: i64 = 0x73_68_6f_61_6c;

/// Applies what is pending; the names of what was applied.
///
/// # Errors
/// When another process uses the embedded database.
pub async fn up(config: &Config) -> Result<Vec<String>, Failure> {
    let _lock = embedded::Lock::of(config)?;
    apply(config).await
}

/// The same for one who has locked the embedded database.
pub(super) async fn apply(config: &Config) -> Result<Vec<String>, Failure> {
    locked(config, async |databases| {
        let pending = Migrator::get_pending_migrations(databases.writer()).await?;
        Migrator::up(databases.writer(), None).await?;
        Ok(pending.iter().map(|migration| migration.name().to_owned()).collect())
    })
    .await
}

/// Reverts the last `steps` migrations; their names.
///
/// # Errors
/// When another process uses the embedded database.
pub async fn down(config: &Config, steps: u32) -> Result<Vec<String>, Failure> {
    let _lock = embedded::Lock::of(config)?;
    locked(config, async |databases| {
        let applied = Migrator::get_applied_migrations(databases.writer()).await?;
        Migrator::down(databases.writer(), Some(steps)).await?;
        Ok(applied.iter().rev().take(steps as usize).map(|migration| migration.name().to_owned()).collect())
    })
    .await
}

/// Each migration and whether it is applied.
pub async fn status(config: &Config) -> Result<String, Failure> {
    let databases = reach(config, &config.database).await?;
    let mut text = String::new();
    for migration in Migrator::get_migration_with_status(databases.writer()).await? {
        writeln!(text, "{:<8} {}", migration.status().to_string().to_lowercase(), migration.name())?;
    }
    databases.close().await;
    Ok(text)
}

/// Refuses a database that is behind, unless it may be brought up.
pub async fn ensure(config: &Config, migrate: bool) -> Result<(), Failure> {
    let databases = reach(config, &config.database).await?;
    let pending = Migrator::get_pending_migrations(databases.writer()).await;
    databases.close().await;
    match pending?.len() {
        0 => Ok(()),
        _ if migrate => {
            let applied = apply(config).await?.join(", ");
            tracing::info!(applied, "brought the database up to date");
            Ok(())
        }
        count => Err(format!(
            "the database is {count} migrations behind this version: run `shoal migrate up`, or `shoal serve --migrate`"
        )
        .into()),
    }
}

/// Runs `change` while no other process changes the same database; an embedded one is locked already.
async fn locked<T>(config: &Config, change: impl AsyncFnOnce(&Databases) -> Result<T, Failure>) -> Result<T, Failure> {
    let databases = reach(config, &config.database.unhurried()).await?;
    let result = match databases.dialect() {
        Dialect::Sqlite => change(&databases).await,
        Dialect::Postgres => {
            let mut holder = databases.writer().get_postgres_connection_pool().acquire().await?;
            sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *holder).await?;
            let result = change(&databases).await;
            // The lock ends with its connection.
            holder.close().await?;
            result
        }
    };
    databases.close().await;
    result
}

/// Opens the databases, and says plainly why the primary cannot be reached: a pool would only say that it waited.
async fn reach(config: &Config, settings: &Settings) -> Result<Databases, Failure> {
    if let Some(url) = &config.database.url {
        Databases::probe(settings).await.map_err(|error| {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            format!("cannot reach the database {url}: {cause}")
        })?;
    }
    Ok(Databases::open(settings).await?)
}
