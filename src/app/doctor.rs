//! What is wrong with the databases and with Redis, for operators.

use std::fmt::Write;

use serde::Serialize;

use super::{Failure, embedded, migrate};
use crate::config::Config;
use crate::data::Databases;
use crate::data::cache::Far;
use crate::data::doctor::{self, Expected, Finding, Severity};
use crate::graphql;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    findings: Vec<Finding>,
}

/// Looks at everything that the settings name, as `instances` processes use it. Changes nothing.
///
/// # Errors
/// When there is nothing to be looked at: the primary cannot be reached, or the embedded database is in use.
pub async fn examine(config: Config, instances: u32) -> Result<Report, Failure> {
    let _lock = embedded::Lock::of(&config)?;
    let pending = migrate::pending(&config).await?;
    let databases = Databases::open(&config.database).await?;
    let far = Far::open(&config.redis)?;
    let declared = graphql::declarations();
    // Whoever caches nothing follows no log.
    let feeds = if config.cache.off { 0 } else { instances };
    let expected = Expected { indexes: migrate::indexes(&config), published: declared.tables(), instances, feeds };
    let mut findings = doctor::examine(&databases, far.as_ref(), &expected).await;
    databases.close().await;
    if pending > 0 {
        let finding = Finding {
            severity: Severity::Error,
            check: "migrations",
            subject: "database".to_owned(),
            evidence: format!("it is {pending} migrations behind this version"),
            mend: "shoal migrate up".to_owned(),
        };
        findings.insert(0, finding);
    }
    Ok(Report { findings })
}

impl Report {
    /// Whether nothing is an error.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for Finding { severity, check, subject, evidence, mend } in &self.findings {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<8} {check}: {subject}\n         {evidence}", severity.name());
            for line in mend.lines() {
                let _ = writeln!(text, "         > {line}");
            }
        }
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
        if self.findings.is_empty() {
            text.push_str("nothing is wrong\n");
        } else {
            let _ = writeln!(text, "errors: {errors}, warnings: {warnings}, notes: {notes}");
        }
        text
    }
}
