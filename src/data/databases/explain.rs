//! Asks servers how they run statements: in the background, without running them, and for an operator, who runs them.
//!
//! A statement is prepared with the types of what is bound, and its plan is that for all values, as for requests. Nothing
//! is ever written: the sessions are read-only.

use std::sync::Weak;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, DbErr, Statement};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::sync::mpsc;

use super::node::{Source, State};
use super::survey::farewell;
use super::{Databases, Error, Settings, Shared, connect, session};
use crate::data::catalogue::{Catalogue, Index};
use crate::data::plan::{Plan, advise};

/// How long a plan may take in the background, in milliseconds.
const PATIENCE_MS: u64 = 2000;
/// How long a look at a server may take, in milliseconds.
const EXAMINED_MS: u64 = 30_000;
/// The same of a plan with its connection, and how long a session may take to be opened.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session with a server.
pub(in crate::data) struct Session {
    pub node: String,
    pub connection: PgConnection,
}

impl Databases {
    /// The indexes that the migrations declare, by which plans are judged.
    pub fn declare(&self, indexes: Vec<Index>) {
        let _ = self.shared.declared.set(indexes);
    }

    /// What explains slow statements, as long as the servers are there.
    pub(super) fn explains(&self) -> Option<BoxFuture<'static, ()>> {
        let asked = self.shared.slow.questions()?;
        let shared = std::sync::Arc::downgrade(&self.shared);
        Some(run(shared, asked).boxed())
    }

    /// Runs a statement that was sent to a node before, there, and tells how. Outside of any request.
    ///
    /// # Errors
    /// When the node is not there, or refuses.
    pub async fn explain(&self, node: &str, statement: &Statement) -> Result<Plan, Error> {
        let node = self.nodes().find(|known| known.name() == node);
        let node = node.ok_or_else(|| Error::unavailable("there is no such node"))?;
        match node.source() {
            Source::Sqlite(readers) => plan_of_sqlite(readers, statement).await,
            Source::Postgres(pool) => {
                let mut pooled = pool.get().await?;
                // What was prepared may be left behind: it is given back only if all went well.
                pooled.begin();
                let plan = plan_of_postgres(&mut pooled, statement, true).await?;
                pooled.finish();
                Ok(plan)
            }
        }
    }

    /// A session with each server, the primary first, that can only read: for whoever looks at the server, not at its data.
    pub(in crate::data) async fn sessions(&self) -> Vec<(String, Result<PgConnection, Error>)> {
        let shared = &*self.shared;
        let urls = shared.settings.url.iter().chain(&shared.settings.replicas);
        let nodes = std::iter::once(&shared.primary).chain(&shared.replicas);
        let mut sessions = Vec::new();
        for (node, url) in nodes.zip(urls) {
            let session = async {
                // Catalogues have no index for everything.
                let pool = &shared.settings.unhurried().pool;
                let options = connect::options(url, pool, connect::Access::Read)?
                    .application_name("shoal doctor")
                    .options([("statement_timeout", EXAMINED_MS.to_string())]);
                let session = tokio::time::timeout(PATIENCE, options.connect()).await;
                Ok(session.unwrap_or(Err(sqlx::Error::PoolTimedOut))?)
            };
            sessions.push((node.name().to_owned(), session.await));
        }
        sessions
    }

    pub(in crate::data) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What the primary, or the embedded database, has.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn catalogue(&self) -> Result<Catalogue, Error> {
        let declared = self.shared.declared();
        match self.shared.primary.source() {
            Source::Sqlite(readers) => catalogue_of_sqlite(readers, declared).await,
            Source::Postgres(pool) => Ok(Catalogue::read(&mut *pool.get().await?, declared).await?),
        }
    }

    /// How a slow statement is run: on a replica, if there is one that answers.
    async fn plan_in_background(&self, statement: &Statement) -> Result<(String, Plan, Catalogue), Error> {
        let shared = &*self.shared;
        let Some(url) = &shared.settings.url else {
            let Source::Sqlite(readers) = shared.primary.source() else { unreachable!("there is no other database") };
            let plan = plan_of_sqlite(readers, statement).await?;
            let catalogue = catalogue_of_sqlite(readers, shared.declared()).await?;
            return Ok((shared.primary.name().to_owned(), plan, catalogue));
        };
        let replicas = shared.replicas.iter().zip(&shared.settings.replicas);
        let mut up = replicas.filter(|(node, _)| matches!(node.state(), State::Up(_)) && node.is_rested());
        let (node, url) = up.next().map_or((&shared.primary, url), |(node, url)| (node, url));
        let options = connect::options(url, &shared.settings.pool, connect::Access::Read)?
            .application_name("shoal plans")
            .options([("statement_timeout", PATIENCE_MS.to_string())]);
        let mut connection = options.connect().await?;
        let plan = plan_of_postgres(&mut connection, statement, false).await?;
        let catalogue = Catalogue::read(&mut connection, shared.declared()).await?;
        farewell(connection).await;
        Ok((node.name().to_owned(), plan, catalogue))
    }
}

impl Shared {
    fn declared(&self) -> Vec<Index> {
        self.declared.get().cloned().unwrap_or_default()
    }
}

/// Explains, one after the other, what is asked, until there is nobody to ask.
async fn run(shared: Weak<Shared>, mut asked: mpsc::Receiver<Statement>) {
    while let Some(statement) = asked.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        let databases = Databases { shared };
        match tokio::time::timeout(PATIENCE, databases.plan_in_background(&statement)).await {
            Ok(Ok((node, plan, catalogue))) => {
                let advice = advise(&plan, &statement.sql, &catalogue);
                let mends: Vec<_> = advice.iter().map(|advice| advice.command.as_str()).collect();
                let whys: Vec<_> = advice.iter().map(|advice| advice.why.as_str()).collect();
                tracing::warn!(
                    node,
                    why = (!whys.is_empty()).then(|| whys.join("; ")),
                    mend = (!mends.is_empty()).then(|| mends.join(" ")),
                    "the plan of a slow statement: {}\n{}",
                    statement.sql,
                    plan.outline()
                );
            }
            Ok(Err(error)) => tracing::info!(cause = ?error, "a slow statement could not be explained"),
            Err(_) => tracing::info!("a slow statement could not be explained in time"),
        }
    }
}

/// The plan for all values; with `run`, of a run with those that are bound.
async fn plan_of_postgres(connection: &mut PgConnection, statement: &Statement, run: bool) -> Result<Plan, Error> {
    let (types, values) = (session::types(statement), session::literals(statement, run));
    let parenthesised = |list: String| if list.is_empty() { list } else { format!("({list})") };
    let how = if run { "analyze, buffers, format json" } else { "format json" };
    let text = format!(
        "prepare shoal_explained{} as {}; explain ({how}) execute shoal_explained{}; deallocate shoal_explained",
        parenthesised(types),
        statement.sql,
        parenthesised(values),
    );
    let rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(connection).await?;
    let told = rows.first().map(|row: &PgRow| row.try_get_unchecked::<String, _>(0)).transpose()?;
    let plan = told.as_deref().and_then(Plan::of_postgres);
    plan.ok_or_else(|| DbErr::Custom("EXPLAIN told nothing".to_owned()).into())
}

async fn plan_of_sqlite(readers: &sea_orm::DatabaseConnection, statement: &Statement) -> Result<Plan, Error> {
    let mut explained = statement.clone();
    explained.sql.insert_str(0, "explain query plan ");
    let rows = readers.query_all_raw(explained).await?;
    let lines = rows.iter().map(|row| row.try_get_by::<String, _>("detail")).collect::<Result<_, _>>()?;
    Ok(Plan::of_lines(lines))
}

async fn catalogue_of_sqlite(readers: &sea_orm::DatabaseConnection, declared: Vec<Index>) -> Result<Catalogue, Error> {
    let text = "select sql from sqlite_master where type = 'index' and sql is not null";
    let rows = readers.query_all_raw(Statement::from_string(sea_orm::DbBackend::Sqlite, text)).await?;
    let texts = rows.iter().map(|row| row.try_get_by::<String, _>("sql")).collect::<Result<Vec<_>, _>>()?;
    let indexes = texts.iter().filter_map(|text| Index::parse(text)).collect();
    Ok(Catalogue { indexes, declared, ..Catalogue::default() })
}
