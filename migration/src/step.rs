//! A step is two SQL scripts, written once for both databases; [`Dialect`] fills in the words in which they differ.
//!
//! Scripts rather than query builders: most of what a step says (checks, partial indexes, collations, triggers) has no
//! builder on both databases, and the rest reads better beside it.

use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

pub struct Step {
    /// The name it is recorded under, for ever.
    pub name: &'static str,
    pub up: fn(&Dialect) -> String,
    pub down: fn(&Dialect) -> String,
}

/// The step of the module of that name.
macro_rules! step {
    ($module:ident) => {
        $crate::step::Step { name: stringify!($module), up: $crate::$module::up, down: $crate::$module::down }
    };
}
pub(crate) use step;

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.up).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.down).await
    }

    /// Left to itself, SeaORM opens one on PostgreSQL only; SQLite's DDL is as transactional.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn run(manager: &SchemaManager<'_>, script: fn(&Dialect) -> String) -> Result<(), DbErr> {
    let dialect = Dialect::of(manager.get_database_backend())?;
    manager.get_connection().execute_unprepared(&script(dialect)).await?;
    Ok(())
}

/// How a database spells what both of them have.
pub struct Dialect {
    pub database: Database,
    /// Type of a primary key that the database gives out, never the client.
    pub id: &'static str,
    /// Type of an instant. Text on SQLite, in the form sqlx writes `DateTime<Utc>`: RFC 3339 with `+00:00`, as many
    /// digits as needed. Such texts sort like the instants.
    pub timestamp: &'static str,
    /// Default of a timestamp: now, in the form above.
    pub now: &'static str,
    /// Collation that compares bytes: keyset cursors need an order that no locale changes.
    pub bytes: &'static str,
    /// Type of bytes.
    pub binary: &'static str,
    /// Condition that the column `currency` is three upper-case letters.
    pub currency: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Postgres,
    Sqlite,
}

impl Dialect {
    pub const POSTGRES: Self = Self {
        database: Database::Postgres,
        id: "bigint generated always as identity primary key",
        timestamp: "timestamptz",
        now: "current_timestamp",
        bytes: r#""C""#,
        binary: "bytea",
        currency: "currency ~ '^[A-Z]{3}$'",
    };

    pub const SQLITE: Self = Self {
        database: Database::Sqlite,
        id: "integer primary key autoincrement",
        timestamp: "text",
        // %f always has three digits; sqlx would write none for a whole second.
        now: "(replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), '.000+', '+'))",
        bytes: "binary",
        binary: "blob",
        currency: "currency glob '[A-Z][A-Z][A-Z]'",
    };

    fn of(backend: DbBackend) -> Result<&'static Self, DbErr> {
        match backend {
            DbBackend::Postgres => Ok(&Self::POSTGRES),
            DbBackend::Sqlite => Ok(&Self::SQLITE),
            other => Err(DbErr::BackendNotSupported { db: other.as_str(), ctx: "migrations" }),
        }
    }
}
