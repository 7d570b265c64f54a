//! What a query asks the databases, and how they answer: for operators and developers.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::{Failure, embedded, means, migrate};
use crate::config::Config;
use crate::data::databases::Settings;
use crate::data::ledger::{Sent, busy};
use crate::data::plan::{Advice, Plan, advise};
use crate::data::{Databases, cache};
use crate::graphql;
use crate::graphql::execute::{Executor, Explained};
use crate::graphql::persisted;

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct Question {
    pub query: String,
    /// Which of several operations.
    pub operation: Option<String>,
    pub variables: serde_json::Value,
}

/// Where the time of a query goes, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    operation: Option<String>,
    errors: Vec<String>,
    total: f64,
    /// While at least one statement was under way.
    databases: f64,
    /// Of all statements, some of which may be at the same time: waiting for a connection, and what the servers say that
    /// planning and execution took when each was run once more.
    waited: f64,
    planning: f64,
    execution: f64,
    /// Everything else: parsing, resolving, batching.
    rest: f64,
    statements: Vec<Explanation>,
}

/// A statement, and how it is run.
#[derive(Clone, Debug, Serialize)]
struct Explanation {
    /// Statements of one level were sent together; the next depends on what they found.
    level: u32,
    path: Option<String>,
    source: &'static str,
    kind: &'static str,
    keys: usize,
    rows: Option<usize>,
    node: String,
    waited: f64,
    took: f64,
    statement: String,
    #[serde(flatten)]
    plan: Plan,
    advice: Vec<Advice>,
}

/// Executes a query without caches, and runs each of its statements once more to learn how.
///
/// # Errors
/// When it is none, or changes something, or no database can be asked.
pub async fn explain(config: Config, question: Question) -> Result<Report, Failure> {
    let _lock = embedded::Lock::of(&config)?;
    migrate::ensure(&config, false).await?;
    // What is slow here is told by the report.
    let databases = Databases::open(&Settings { slow_ms: 0, ..config.database.clone() }).await?;
    databases.declare(migrate::indexes(&config));
    databases.watch(&config.token).await?;
    // As for requests, but for what would answer in the place of databases, or could refuse.
    let config = Config {
        cache: cache::Settings { off: true, ..config.cache },
        documents: persisted::Settings::default(),
        graphql: graphql::context::Settings { budgets: None, ..config.graphql },
        ..config
    };
    let means = means::join(&config, &databases, None)?.means;
    let executor = Executor::new(means, config.graphql.clone(), &config.subscriptions);
    let explained = executor.explain(&question.query, question.operation, question.variables).await;
    let report = match explained {
        Ok(explained) => report(&databases, explained).await,
        Err(why) => Err(why.into()),
    };
    databases.close().await;
    report
}

async fn report(databases: &Databases, explained: Explained) -> Result<Report, Failure> {
    let Explained { operation, errors, took, sent } = explained;
    let catalogue = databases.catalogue().await?;
    let (total, busy) = (milliseconds(took), milliseconds(busy(&sent)));
    let mut statements = Vec::with_capacity(sent.len());
    for Sent { about, statement, node, waited, took, rows, .. } in sent {
        // What failed in the query may fail again.
        let plan = databases.explain(&node, &statement).await;
        let plan = plan.unwrap_or_else(|error| Plan::of_lines(vec![format!("it could not be explained: {error:?}")]));
        let advice = advise(&plan, &statement.sql, &catalogue);
        let (waited, took) = (milliseconds(waited), milliseconds(took));
        let (source, kind, keys) = (about.source, about.kind, about.keys);
        let (path, level) = about.field.map(|field| (field.path.clone(), field.level)).unzip();
        let level = level.unwrap_or_default();
        let statement = statement.sql;
        statements.push(Explanation {
            level,
            path,
            source,
            kind,
            keys,
            rows,
            node,
            waited,
            took,
            statement,
            plan,
            advice,
        });
    }
    let sum = |of: &dyn Fn(&Explanation) -> f64| statements.iter().map(of).sum::<f64>();
    Ok(Report {
        operation,
        errors,
        total,
        databases: busy,
        waited: sum(&|it| it.waited),
        planning: sum(&|it| it.plan.planning.unwrap_or_default()),
        execution: sum(&|it| it.plan.execution.unwrap_or_default()),
        rest: (total - busy).max(0.0),
        statements,
    })
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as much as anybody wants to read.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl Report {
    /// Whether the query was answered without errors.
    pub fn is_whole(&self) -> bool {
        self.errors.is_empty()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let name = self.operation.as_deref().unwrap_or("the query");
        let count = self.statements.len();
        let plural = if count == 1 { "" } else { "s" };
        writeln!(text, "{name}: {:.3} ms, {count} statement{plural}", self.total)?;
        writeln!(text, "  {:9.3} ms while a database was asked", self.databases)?;
        writeln!(text, "  {:9.3} ms for everything else", self.rest)?;
        writeln!(text, "of the statements, which may overlap:")?;
        writeln!(text, "  {:9.3} ms waiting for a connection", self.waited)?;
        writeln!(
            text,
            "  {:9.3} ms planning, {:.3} ms execution, as each was run once more",
            self.planning, self.execution
        )?;
        for error in &self.errors {
            writeln!(text, "error: {error}")?;
        }
        for (number, it) in self.statements.iter().enumerate() {
            let path = it.path.as_deref().unwrap_or("-");
            let rows = it.rows.map_or("failed".to_owned(), |rows| format!("{rows} rows"));
            writeln!(
                text,
                "\n{}. level {}, {path}: {} {}, {} keys, {rows}",
                number + 1,
                it.level,
                it.source,
                it.kind,
                it.keys
            )?;
            writeln!(text, "   {}: {:.3} ms, {:.3} ms waiting before that", it.node, it.took, it.waited)?;
            if let (Some(planning), Some(execution)) = (it.plan.planning, it.plan.execution) {
                writeln!(text, "   planning {planning:.3} ms, execution {execution:.3} ms")?;
            }
            writeln!(text, "   {}", it.statement)?;
            it.plan.outline().lines().try_for_each(|line| writeln!(text, "     {line}"))?;
            for Advice { why, index, is_declared, command, .. } in &it.advice {
                let lost = if *is_declared { ", which the migrations declare" } else { "" };
                writeln!(text, "   {why}: there is no index {index}{lost}\n     {command}")?;
            }
        }
        Ok(())
    }
}
