//! Which index a plan lacks: one that the migrations declare, if it is that, else one of the columns by which rows were
//! looked for and ordered.
//!
//! A table of up to [`FEW`] rows may be read whole. Of larger ones a plan should read what an index leads to, and little
//! that it then throws away. Sessions for requests are told not to scan, so they often walk another index from its end
//! instead: that is no better.

use serde::Serialize;
use serde_json::Value;

use super::{Plan, children, number, text};
use crate::data::catalogue::{Catalogue, Index};

/// So many rows may be read, or thrown away, whatever for.
const FEW: f64 = 1000.0;
/// So many of those that are read may be thrown away.
const MOST_WASTED: f64 = 0.9;

/// What would mend a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub table: String,
    /// What is wrong.
    pub why: String,
    pub index: String,
    /// Whether the migrations declare it, and somebody has removed it.
    pub is_declared: bool,
    /// What makes it, while others write.
    pub command: String,
}

/// What would mend a plan of this statement; nothing if there is nothing to be mended by an index.
pub fn advise(plan: &Plan, statement: &str, catalogue: &Catalogue) -> Vec<Advice> {
    let mut found = Vec::new();
    match &plan.tree {
        Value::Array(lines) => {
            for line in lines.iter().filter_map(Value::as_str) {
                found.extend(of_sqlite(line, statement, catalogue));
            }
        }
        root => visit(root, &mut Vec::new(), &mut |node, above| found.extend(of_postgres(node, above, catalogue))),
    }
    found.dedup();
    found
}

fn visit<'a>(node: &'a Value, above: &mut Vec<&'a Value>, see: &mut impl FnMut(&Value, &[&Value])) {
    see(node, above);
    above.push(node);
    children(node).for_each(|child| visit(child, above, see));
    above.pop();
}

fn of_postgres(node: &Value, above: &[&Value], catalogue: &Catalogue) -> Option<Advice> {
    let (table, kind) = (text(node, "Relation Name"), text(node, "Node Type"));
    if table.is_empty() || catalogue.rows(table) <= FEW {
        return None;
    }
    let loops = number(node, "Actual Loops");
    let removed = (number(node, "Rows Removed by Filter") + number(node, "Rows Removed by Index Recheck")) * loops;
    let read = number(node, "Actual Rows") * loops + removed;
    let was_run = node.get("Actual Rows").is_some();
    let (scans, walks) = (kind.ends_with("Seq Scan"), kind.starts_with("Index") && node.get("Index Cond").is_none());
    let is_wasteful = match was_run {
        true => read > FEW && (scans || removed > MOST_WASTED * read),
        false => scans || walks,
    };
    if !is_wasteful {
        return None;
    }
    let alias = text(node, "Alias");
    let joins = above.iter().flat_map(|node| ["Hash Cond", "Merge Cond", "Join Filter"].map(|key| text(node, key)));
    let conditions: Vec<_> = std::iter::once(text(node, "Filter")).chain(joins).collect();
    let equal: Vec<_> = conditions.iter().flat_map(|condition| compared(condition, alias)).collect();
    let order = match walks.then(|| catalogue.index(text(node, "Index Name"))).flatten() {
        Some(walked) => walked.keys(),
        None => sorted(above, alias),
    };
    let why = match (scans, was_run) {
        (true, true) => format!("{read} rows of {table} were read one by one"),
        (true, false) => format!("{table} is read row by row"),
        (false, true) => {
            format!("{removed} of {read} rows of {table} were read by {} in vain", text(node, "Index Name"))
        }
        (false, false) => format!("{} is walked from its end for rows of {table}", text(node, "Index Name")),
    };
    if let Some(missing) = declared(catalogue, table, &equal, &order, &conditions) {
        return Some(Advice::of(missing, true, why));
    }
    // A walk in the right order with nothing to look for is what lists are.
    if equal.is_empty() && (!scans || order.is_empty()) {
        return None;
    }
    let mut keys = equal;
    for key in order {
        if !keys.iter().any(|known| words(&key).next() == Some(known.as_str())) {
            keys.push(key);
        }
    }
    let made = Index::on(table, &keys);
    // It is there, and was not of use.
    let is_there = catalogue.indexes.iter().any(|index| index.table == table && index.keys() == keys);
    (!is_there).then(|| Advice::of(&made, false, why))
}

/// `SCAN t` is of a whole table, under its name in the statement, perhaps along an index; and it may be to make an index
/// for this one statement.
fn of_sqlite(line: &str, statement: &str, catalogue: &Catalogue) -> Option<Advice> {
    let line = line.trim();
    let made = line.strip_prefix("SEARCH ").filter(|rest| rest.contains(" USING AUTOMATIC "));
    let alias = line.strip_prefix("SCAN ").or(made)?.split(' ').next()?;
    let named = |index: &&Index| {
        let table = &index.table;
        table == alias || statement.contains(&format!("\"{table}\" {alias}"))
    };
    let missing = catalogue.missing().filter(named).find(|index| {
        let first = index.keys().into_iter().next().unwrap_or_default();
        words(&first).any(|word| statement.contains(&format!("\"{word}\"")))
    })?;
    Some(Advice::of(missing, true, format!("{} is read row by row", missing.table)))
}

/// The index that is declared, not there, and begins with what was looked for.
fn declared<'a>(
    catalogue: &'a Catalogue,
    table: &str,
    equal: &[String],
    order: &[String],
    conditions: &[&str],
) -> Option<&'a Index> {
    let missing: Vec<_> = catalogue.missing().filter(|index| index.table == table).collect();
    let begins =
        |index: &Index, wanted: &dyn Fn(&str) -> bool| index.keys().first().is_some_and(|key| words(key).any(wanted));
    let by_equal = |word: &str| equal.iter().any(|column| column == word);
    let by_condition = |word: &str| conditions.iter().any(|condition| words(condition).any(|other| other == word));
    let by_order = |word: &str| order.first().is_some_and(|key| words(key).next() == Some(word));
    let looked = |wanted: &dyn Fn(&str) -> bool| missing.iter().find(|index| begins(index, wanted)).copied();
    looked(&by_equal).or_else(|| looked(&by_condition)).or_else(|| looked(&by_order))
}

/// The columns of `alias` that a condition compares with one value, or with one of several.
fn compared(condition: &str, alias: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in condition.match_indices(" = ") {
        let sides = [before(&condition[..at]), after(&condition[at + 3..])];
        for column in sides.into_iter().filter_map(|side| column(side, alias)) {
            if !found.contains(&column) {
                found.push(column);
            }
        }
    }
    found
}

/// The operand at the end of a text.
fn before(text: &str) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' if depth == 0 => return &text[at + 1..],
            '(' => depth -= 1,
            ' ' if depth == 0 && [" AND", " OR"].iter().any(|word| text[..at].ends_with(word)) => {
                return &text[at + 1..];
            }
            _ => {}
        }
    }
    text
}

/// The operand at the beginning of a text.
fn after(text: &str) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => return &text[..at],
            ')' => depth -= 1,
            ' ' if depth == 0 => return &text[..at],
            _ => {}
        }
    }
    text
}

/// The column that an operand is; none if it is something else, or of another table.
fn column(operand: &str, alias: &str) -> Option<String> {
    let mut rest = operand.trim();
    loop {
        let cast = rest.rsplit_once("::").filter(|(_, kind)| !kind.contains([')', '\'']));
        let bare = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        rest = match (cast, bare) {
            (Some((value, _)), _) => value,
            (None, Some(bare)) => bare,
            (None, None) => break,
        };
    }
    let name = match rest.split_once('.') {
        Some((owner, name)) => (owner == alias).then_some(name)?,
        None => rest,
    };
    let name = name.trim_matches('"');
    let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    // As it stands there a literal is quoted, and a parameter has its sign.
    (is_name && !["true", "false", "null"].contains(&name)).then(|| name.to_owned())
}

/// By what the nearest sort above orders rows of `alias`.
fn sorted(above: &[&Value], alias: &str) -> Vec<String> {
    let Some(sort) = above.iter().rev().find(|node| text(node, "Node Type").ends_with("Sort")) else {
        return Vec::new();
    };
    let keys = sort["Sort Key"].as_array().into_iter().flatten().filter_map(Value::as_str);
    keys.map_while(|key| {
        let (name, direction) = key.split_once(' ').unwrap_or((key, ""));
        let name = column(name, alias)?;
        Some(if direction.starts_with("DESC") { format!("{name} DESC") } else { name })
    })
    .collect()
}

/// The names in a text.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

impl Advice {
    fn of(index: &Index, is_declared: bool, why: String) -> Self {
        let (table, name) = (index.table.clone(), index.name.clone());
        Self { table, why, index: name, is_declared, command: index.command() }
    }
}

#[cfg(test)]
mod tests;
