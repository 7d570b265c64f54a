//! How a database runs a statement, as it tells, and what of that an index would mend.

mod advice;

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

pub(super) use advice::words;
pub use advice::{Advice, advise};

/// A plan, and what running it took, if it was run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planning: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<f64>,
    /// As EXPLAIN tells it in JSON; of SQLite its lines.
    pub tree: Value,
}

impl Plan {
    /// What EXPLAIN (FORMAT JSON) told; none if that is none.
    pub fn of_postgres(told: &str) -> Option<Self> {
        let mut told: Value = serde_json::from_str(told).ok()?;
        let told = told.get_mut(0)?;
        let time = |key: &str| told[key].as_f64();
        Some(Self { planning: time("Planning Time"), execution: time("Execution Time"), tree: told["Plan"].take() })
    }

    /// What SQLite told, or why nothing was told.
    pub fn of_lines(lines: Vec<String>) -> Self {
        Self { planning: None, execution: None, tree: lines.into() }
    }

    /// The plan in a few lines, a line for each node.
    pub fn outline(&self) -> String {
        let mut out = String::new();
        match &self.tree {
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).for_each(|line| {
                let _ = writeln!(out, "{line}");
            }),
            node => outline(&mut out, node, 0),
        }
        out
    }
}

fn outline(out: &mut String, node: &Value, depth: usize) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{:depth$}{}", "", text(node, "Node Type"));
    for (word, key) in [(" using ", "Index Name"), (" on ", "Relation Name"), (" ", "Alias")] {
        if !text(node, key).is_empty() && text(node, key) != text(node, "Relation Name") || key == "Relation Name" {
            let _ = write!(out, "{}{}", if text(node, key).is_empty() { "" } else { word }, text(node, key));
        }
    }
    if node.get("Actual Rows").is_some() {
        let (rows, loops, time) =
            (number(node, "Actual Rows"), number(node, "Actual Loops"), number(node, "Actual Total Time"));
        let _ = write!(out, ": {rows} rows × {loops}, {time:.3} ms");
        let (hit, read) = (number(node, "Shared Hit Blocks"), number(node, "Shared Read Blocks"));
        let _ = write!(out, ", {hit} blocks hit, {read} read");
    } else if node.get("Plan Rows").is_some() {
        let _ = write!(out, ": {} rows expected, cost {}", number(node, "Plan Rows"), number(node, "Total Cost"));
    }
    out.push('\n');
    for key in ["Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "Sort Key"] {
        let said = match &node[key] {
            Value::String(said) => said.clone(),
            Value::Array(keys) => keys.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            _ => continue,
        };
        let _ = write!(out, "{:depth$}    {key}: {said}", "");
        let removed = number(node, "Rows Removed by Filter");
        if key == "Filter" && removed > 0.0 {
            let _ = write!(out, ", {removed} rows removed");
        }
        out.push('\n');
    }
    children(node).for_each(|child| outline(out, child, depth + 2));
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

fn number(node: &Value, key: &str) -> f64 {
    node[key].as_f64().unwrap_or_default()
}
