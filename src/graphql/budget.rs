//! How many SQL statements operations may cost, as a file says that tests and servers hold them against.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, counter};
use serde::Deserialize;

use crate::data::ledger::Ledger;

/// How often it is said that one operation costs too much.
const SAID: Duration = Duration::from_secs(60);

/// What operations may cost, by their names. All others may cost whatever they do.
#[derive(Default)]
pub struct Budgets(HashMap<String, Budget>);

struct Budget {
    statements: u32,
    exceeded: Counter,
    said: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    statements: HashMap<String, u32>,
}

impl Budgets {
    /// Those in a file: a table `statements`, in which each operation has a number.
    ///
    /// # Errors
    /// When it cannot be read; the text names it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot read the budgets in {}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let File { statements } = toml::from_str(&text).map_err(|error| failed(&error))?;
        let budget = |(operation, statements): (String, u32)| {
            let exceeded = counter!("shoal_sql_budget_exceeded_total", "operation" => operation.clone());
            (operation, Budget { statements, exceeded, said: Mutex::default() })
        };
        Ok(Self(statements.into_iter().map(budget).collect()))
    }

    /// Counts and says it where a request has cost more than it may; the latter once in a while.
    pub fn check(&self, ledger: &Ledger) {
        if self.0.is_empty() {
            return;
        }
        let Some(operation) = ledger.origin.operation.as_deref() else { return };
        let Some(Budget { statements: most, exceeded, said }) = self.0.get(operation) else { return };
        let statements = ledger.statements();
        if statements <= *most {
            return;
        }
        exceeded.increment(1);
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID) {
            *said = Some(Instant::now());
            let request_id = ledger.origin.request_id.as_deref();
            tracing::warn!(operation, statements, most, request_id, "an operation costs more statements than it may");
        }
    }
}
