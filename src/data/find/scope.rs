//! The rows a listing can hold, and the slice of them that a page is, as SQL.
//!
//! Everywhere `t` is the record's table, `j` the table that links it, `k` the parents' keys.

use super::rows::write_columns;
use crate::data::list::{Listing, On, Scope, SortKey};
use crate::data::page::{Cursor, PageSpec};
use crate::data::record::{self, Record};
use crate::data::scalar::{Kind, Scalar};
use crate::data::sql::{Dialect, Quoted, Sql};

/// Which of a listing's tables a statement joins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joins {
    All,
    /// The record's own table only if a condition reads it: a count needs no more.
    Fewest,
}

/// Writes `from …` and `where …` for the rows of a listing, and tells the word with which to go on.
///
/// `k` comes from an enclosing statement, or from `parents` where the dialect does not let a subquery see it.
pub(super) fn write_rows<R: Record>(
    sql: &mut Sql,
    listing: &Listing<R>,
    parents: Option<&[Scalar]>,
    joins: Joins,
) -> &'static str {
    let (table, key) = (record::table::<R>(), record::key_column::<R>());
    let fenced = sql.dialect == Dialect::Postgres && matches!(listing.list.scope, Scope::Root) && listing.is_search();
    let mut next = " where ";
    sql.push(" from ");
    if let Some(parents) = parents {
        sql.keys_table(parents.iter().cloned()).push(" cross join ");
    }
    match &listing.list.scope {
        Scope::Root if fenced => {
            // `offset 0` keeps all other indexes out of what the trigram index is asked.
            sql.push("(select ");
            write_columns::<R>(sql);
            sql.push(format_args!(" from {} t", Quoted(table)));
            for condition in listing.conditions.iter().filter(|condition| condition.is_search()) {
                sql.push(next);
                condition.write(sql, table, key);
                next = " and ";
            }
            sql.push(" offset 0) t");
            next = " where ";
        }
        Scope::Root => {
            sql.push(format_args!("{} t", Quoted(table)));
        }
        Scope::Children { column, .. } => {
            sql.push(format_args!("{} t where t.{} = k.key", Quoted(table), Quoted(column)));
            next = " and ";
        }
        Scope::Through { table: link, parent, target, .. } if sql.dialect == Dialect::Postgres => {
            sql.push(format_args!("{} j", Quoted(link.name)));
            if joins == Joins::All || !listing.conditions.is_empty() {
                // `offset 0` keeps the planner to a walk of the link that looks each row up by its key, and stops in
                // time. Left to itself it joins what other indexes find by the conditions, and sorts it.
                sql.push(" cross join lateral (select ");
                write_columns::<R>(sql);
                sql.push(format_args!(" from {} t where t.{} = j.{}", Quoted(table), Quoted(key), Quoted(target)));
                sql.push(" offset 0) t");
            }
            sql.push(format_args!(" where j.{} = k.key", Quoted(parent)));
            next = " and ";
        }
        Scope::Through { table: link, parent, target, .. } => {
            sql.push(format_args!("{} j", Quoted(link.name)));
            if joins == Joins::All || !listing.conditions.is_empty() {
                sql.push(format_args!(" join {} t on t.{} = j.{}", Quoted(table), Quoted(key), Quoted(target)));
            }
            sql.push(format_args!(" where j.{} = k.key", Quoted(parent)));
            next = " and ";
        }
    }
    for condition in listing.conditions.iter().filter(|condition| !(fenced && condition.is_search())) {
        sql.push(next);
        condition.write(sql, table, key);
        next = " and ";
    }
    next
}

/// Writes the bounds that a page's cursors set.
///
/// As row values: the same index range in either direction, where the OR form reads all rows before the cursor.
pub(super) fn write_bounds<R: Record>(sql: &mut Sql, listing: &Listing<R>, page: &PageSpec, mut next: &'static str) {
    let (onward, backward) = if listing.descending { (" < ", " > ") } else { (" > ", " < ") };
    for (cursor, comparison) in [(&page.after, onward), (&page.before, backward)] {
        let Some(Cursor(values)) = cursor else { continue };
        sql.push(next).push("(");
        for (index, key) in listing.sort().iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " });
            write_sort_key(sql, key);
        }
        sql.push(")").push(comparison).push("(");
        for (index, value) in values.iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " }).bind(value.clone());
        }
        sql.push(")");
        next = " and ";
    }
}

/// Writes ` order by …` in the direction in which a page is read.
pub(super) fn write_order<R: Record>(sql: &mut Sql, listing: &Listing<R>, page: &PageSpec) {
    let direction = if listing.descending == page.backward { " asc" } else { " desc" };
    for (index, key) in listing.sort().iter().enumerate() {
        sql.push(if index == 0 { " order by " } else { ", " });
        write_sort_key(sql, key);
        sql.push(direction);
    }
}

/// Writes the sort columns that are not among the record's own, under the names of [`sort_name`].
pub(super) fn write_sort_columns<R: Record>(sql: &mut Sql, listing: &Listing<R>) {
    for (index, key) in listing.sort().iter().enumerate().filter(|(_, key)| key.on != On::Record) {
        sql.push(", ");
        write_sort_key(sql, key);
        sql.push(format_args!(" as {}", Quoted(&sort_name(index, key))));
    }
}

/// Under which name a row shows the value of a sort column.
pub(super) fn sort_name(index: usize, key: &SortKey) -> String {
    match key.on {
        On::Record => key.column.to_owned(),
        On::Lower | On::Link => format!("_sort{index}"),
    }
}

fn write_sort_key(sql: &mut Sql, key: &SortKey) {
    let column = Quoted(key.column);
    match key.on {
        On::Record => sql.push(format_args!("t.{column}")),
        On::Lower => sql.lower(format_args!("t.{column}")),
        On::Link => sql.push(format_args!("j.{column}")),
    };
    if key.kind == Kind::Text && key.on != On::Lower {
        sql.bytewise();
    }
}
