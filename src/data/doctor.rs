//! Looks at databases and Redis as an operator would who knows them well: what is wrong, how that shows, what mends it.
//!
//! Only reads: its sessions are read-only. Names no table: which indexes and published tables there should be it is told.
//! What cannot be found out is a finding, too.

mod clock;
mod indexes;
mod redis;
mod room;
mod server;
mod statements;

use serde::Serialize;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::cache::Far;
use super::catalogue::{Catalogue, Index};
use super::databases::{Databases, Session};
use super::error::Error;
use super::sql::Dialect;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or will soon not.
    Error,
    /// It costs time, memory or safety.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// What was looked at.
    pub check: &'static str,
    /// Which one it is.
    pub subject: String,
    /// How it shows.
    pub evidence: String,
    /// The command that mends it, or what to do.
    pub mend: String,
}

/// What there should be.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The indexes that the migrations declare.
    pub indexes: Vec<Index>,
    /// Tables of whose changes the log is to tell.
    pub published: Vec<&'static str>,
    /// How many instances and workers share the databases, and how many of them follow the log.
    pub instances: u32,
    pub feeds: u32,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Finding {
    fn new(
        severity: Severity,
        check: &'static str,
        subject: impl Into<String>,
        evidence: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { severity, check, subject: subject.into(), evidence: evidence.into(), mend: mend.into() }
    }

    /// What could not be found out.
    fn unknown(check: &'static str, subject: &str, error: &Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Self::new(
            Severity::Error,
            check,
            subject,
            format!("it cannot be asked: {cause}"),
            "make it answer, then look again",
        )
    }
}

/// Looks at everything; the worst first.
pub async fn examine(databases: &Databases, far: Option<&Far>, expected: &Expected) -> Vec<Finding> {
    let mut findings = match databases.dialect() {
        Dialect::Postgres => of_postgres(databases, expected).await,
        Dialect::Sqlite => match databases.catalogue().await {
            Ok(found) => indexes::missing(&Catalogue { declared: expected.indexes.clone(), ..found }),
            Err(error) => vec![Finding::unknown("database", "embedded", &error)],
        },
    };
    if let Some(far) = far {
        findings.extend(redis::examine(far).await);
    }
    findings.sort_by(|one, other| {
        (one.severity, one.check, &one.subject).cmp(&(other.severity, other.check, &other.subject))
    });
    findings
}

async fn of_postgres(databases: &Databases, expected: &Expected) -> Vec<Finding> {
    let (mut findings, mut sessions) = (Vec::new(), Vec::new());
    for (node, session) in databases.sessions().await {
        match session {
            Ok(session) => sessions.push(Session { node, connection: session }),
            Err(error) => findings.push(Finding::unknown("database", &node, &error)),
        }
    }
    let are_all = findings.is_empty();
    for session in &mut sessions {
        let found = of_server(session, databases, expected).await;
        findings.extend(found.unwrap_or_else(|error| vec![Finding::unknown("database", &session.node, &error)]));
    }
    // What nobody uses is known only if all were asked.
    if are_all {
        let found = indexes::used(&mut sessions, &expected.indexes).await;
        findings.extend(found.unwrap_or_else(|error| vec![Finding::unknown("indexes", "all nodes", &error)]));
    }
    findings
}

async fn of_server(session: &mut Session, databases: &Databases, expected: &Expected) -> Result<Vec<Finding>, Error> {
    let Session { node, connection } = session;
    let settings = databases.settings();
    let mut findings = clock::examine(node, connection).await?;
    let wanted = (settings.connections(node), expected.instances);
    findings.extend(room::for_connections(node, connection, wanted).await?);
    findings.extend(server::of_any(node, connection).await?);
    if node != databases.writer_name() {
        findings.extend(server::of_replica(node, connection).await?);
        return Ok(findings);
    }
    let catalogue = Catalogue::read(connection, expected.indexes.clone()).await?;
    findings.extend(room::for_readers(connection, expected.feeds).await?);
    findings.extend(server::of_primary(connection, &expected.published).await?);
    findings.extend(indexes::of_schema(connection, &catalogue).await?);
    findings.extend(statements::examine(connection, &catalogue, settings.slow_ms).await?);
    Ok(findings)
}

/// What a statement finds: columns `severity`, `subject`, `evidence` and `mend`, all of them texts.
async fn found(
    connection: &mut PgConnection,
    check: &'static str,
    statement: &str,
) -> Result<Vec<Finding>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(connection).await?;
    let finding = |row: &PgRow| {
        let severity = match row.try_get::<&str, _>("severity")? {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Note,
        };
        let text = |column: &str| row.try_get::<String, _>(column);
        Ok(Finding::new(severity, check, text("subject")?, text("evidence")?, text("mend")?))
    };
    rows.iter().map(finding).collect()
}
