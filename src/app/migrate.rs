//! Brings a database to the version of this binary, and checks that it is there.
//!
//! It may be further: later versions only add what earlier ones do not look at, until none of those runs any more.

use std::fmt::Write;

use migration::{Database, Migrator, MigratorTrait};

use super::{Failure, embedded};
use crate::config::Config;
use crate::data::Databases;
use crate::data::catalogue::Index;
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
        let pending = Standing::of(databases).await?.pending();
        if !pending.is_empty() {
            Migrator::up(databases.writer(), None).await?;
        }
        Ok(pending)
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
    let Standing { known, later } = Standing::of(&databases).await?;
    databases.close().await;
    let mut text = String::new();
    for (name, is_applied) in known {
        writeln!(text, "{:<8} {name}", if is_applied { "applied" } else { "pending" })?;
    }
    for name in later {
        writeln!(text, "{:<8} {name}", "later")?;
    }
    Ok(text)
}

/// The indexes that the migrations declare.
pub fn indexes(config: &Config) -> Vec<Index> {
    let database = if config.database.url.is_some() { Database::Postgres } else { Database::Sqlite };
    migration::indexes(database).iter().filter_map(|statement| Index::parse(statement)).collect()
}

/// How many migrations are not applied. Tells of those of later versions, which are none of this one's concern.
pub(super) async fn pending(config: &Config) -> Result<usize, Failure> {
    let databases = reach(config, &config.database).await?;
    let standing = Standing::of(&databases).await;
    databases.close().await;
    let standing = standing?;
    if !standing.later.is_empty() {
        tracing::warn!(later = standing.later.join(", "), "the database is of a later version");
    }
    Ok(standing.pending().len())
}

/// Refuses a database that is behind, unless it may be brought up.
pub async fn ensure(config: &Config, migrate: bool) -> Result<(), Failure> {
    match pending(config).await? {
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

/// Where a database stands, by the names of migrations.
struct Standing {
    /// Those of this version, and whether each is applied.
    known: Vec<(String, bool)>,
    /// Those that were applied, and only later versions know.
    later: Vec<String>,
}

impl Standing {
    async fn of(databases: &Databases) -> Result<Self, Failure> {
        let models = Migrator::get_migration_models(databases.writer()).await?;
        let applied: Vec<_> = models.into_iter().map(|model| model.version).collect();
        let names = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
        let known: Vec<_> = names.map(|name| (name.clone(), applied.contains(&name))).collect();
        let later = applied.into_iter().filter(|name| known.iter().all(|(known, _)| known != name)).collect();
        Ok(Self { known, later })
    }

    fn pending(&self) -> Vec<String> {
        self.known.iter().filter(|(_, is_applied)| !is_applied).map(|(name, _)| name.clone()).collect()
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
