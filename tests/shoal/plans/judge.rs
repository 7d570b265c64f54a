//! What a plan shows of how a statement was run.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::Value;

use super::values::TOO_SHORT;

/// A table of more rows is never scanned, and more rows are never sorted.
pub const BIG: f64 = 1000.0;

/// Where `totalCount` stops, and the row that tells that there are more.
const COUNT_CAP: f64 = 10_001.0;

const FEW_TIMES: f64 = 4.0;

/// What was asked, and how much of it.
pub struct Request {
    pub about: String,
    pub query: String,
    pub variables: Value,
    /// Of how many objects, or how many objects.
    pub parents: f64,
    /// Rows of a page; nothing where there is none.
    pub page: f64,
}

/// A statement and how it was run, as auto_explain tells.
#[derive(Clone, Debug)]
pub struct Plan {
    pub statement: String,
    pub milliseconds: f64,
    root: Value,
}

/// The plans in a log of JSON lines.
pub fn plans(log: &str) -> Vec<Plan> {
    let told = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let (duration, plan) = line["fields"]["message"].as_str()?.split_once(" plan:\n")?;
        let milliseconds = duration.strip_prefix("duration: ")?.trim().strip_suffix("ms")?.trim().parse().ok()?;
        let mut plan: Value = serde_json::from_str(plan).expect("auto_explain.log_format is json");
        let statement = plan["Query Text"].as_str()?.to_owned();
        Some(Plan { statement, milliseconds, root: plan["Plan"].take() })
    });
    // What is read at start, how far a server is, and what a new connection is told, are no request's.
    let others = ["seaql_migrations", "signing_keys", "pg_control_system", "set_config"];
    told.filter(|plan| !others.iter().any(|other| plan.statement.contains(other))).collect()
}

impl Plan {
    /// What is wrong with it.
    pub fn faults(&self, request: &Request, tables: &HashMap<String, f64>) -> Vec<String> {
        let mut faults = Vec::new();
        self.visit(&mut |node| {
            let kind = text(node, "Node Type");
            let table = text(node, "Relation Name");
            if kind == "Seq Scan" && tables.get(table).is_some_and(|rows| *rows > BIG) {
                faults.push(format!("it scans {table}"));
            }
            if kind == "Sort" || kind == "Incremental Sort" {
                let sorted: f64 = children(node).map(rows).sum();
                if sorted > BIG && !self.is_aggregate() {
                    faults.push(format!("it sorts {sorted} rows"));
                }
            }
        });
        let (read, most) = (self.read(), self.most_read(request));
        if read > most {
            faults.push(format!("it reads {read} rows, and need not read {most}"));
        }
        faults
    }

    /// How many rows it may read, which an index that is walked from end to end would exceed.
    ///
    /// - A page: a few times those it shows and one more, for each parent; a link is read beside each, and where half of
    ///   all rows match, the planner may take an index that knows nothing of the condition.
    /// - One with a condition that no index has, tested along the walk: at worst a parent's whole list.
    /// - A count: up to where counting stops.
    /// - A sum: all there are. A search: as many as its trigrams find, and what is walked to fill a page; that is a lot
    ///   only for texts whose letters are not three together, of which every name has some.
    fn most_read(&self, request: &Request) -> f64 {
        let has = |part: &str| self.statement.contains(part);
        if self.is_aggregate() || request.about.contains(TOO_SHORT) {
            f64::INFINITY
        } else if has(" ilike ") {
            40_000.0
        } else if has(" as \"_count\"") || has("coalesce(") {
            2.0 * COUNT_CAP * request.parents
        } else {
            FEW_TIMES * (request.page + 1.0) * request.parents
        }
    }

    /// Whether it is run by an index.
    pub fn uses(&self, index: &str) -> bool {
        let mut uses = false;
        self.visit(&mut |node| uses |= text(node, "Index Name") == index);
        uses
    }

    /// Whether it sums up all that a parent has; it may sort what it must read anyway.
    fn is_aggregate(&self) -> bool {
        self.statement.contains(" group by ")
    }

    /// Rows that were read from tables and found in bitmaps of their indexes, in vain or not.
    pub fn read(&self) -> f64 {
        let mut read = 0.0;
        self.visit(&mut |node| {
            // What a bitmap found is then read: it counts once.
            let kind = text(node, "Node Type");
            let is_scan = !text(node, "Relation Name").is_empty() && kind != "Bitmap Heap Scan";
            if is_scan || kind == "Bitmap Index Scan" {
                let in_vain = number(node, "Rows Removed by Filter") + number(node, "Rows Removed by Index Recheck");
                read += rows(node) + in_vain * number(node, "Actual Loops");
            }
        });
        read
    }

    /// The plan in a few lines.
    pub fn outline(&self) -> String {
        fn write(out: &mut String, node: &Value, depth: usize) {
            let _ = write!(out, "\n{:depth$}{}", "", text(node, "Node Type"));
            for key in ["Index Name", "Relation Name", "Index Cond", "Filter"] {
                if !text(node, key).is_empty() {
                    let _ = write!(out, ", {key} {}", text(node, key));
                }
            }
            let _ = write!(out, ": {} rows in {} loops", number(node, "Actual Rows"), number(node, "Actual Loops"));
            children(node).for_each(|child| write(out, child, depth + 2));
        }
        let mut out = format!("{:.1} ms, {} rows read: {}", self.milliseconds, self.read(), self.statement);
        write(&mut out, &self.root, 2);
        out
    }

    fn visit(&self, see: &mut impl FnMut(&Value)) {
        fn visit(node: &Value, see: &mut impl FnMut(&Value)) {
            see(node);
            children(node).for_each(|child| visit(child, see));
        }
        visit(&self.root, see);
    }
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

/// Rows that a node gave, over all its loops.
fn rows(node: &Value) -> f64 {
    number(node, "Actual Rows") * number(node, "Actual Loops")
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

fn number(node: &Value, key: &str) -> f64 {
    node[key].as_f64().unwrap_or_default()
}
