//! Pages and counts of a listing, for any number of parents in one statement.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sea_orm::{DbErr, QueryResult, Statement};
use serde::{Deserialize, Serialize};

use super::Source;
use super::rows::{Found, write_columns};
use super::scope::{self, Joins};
use crate::data::list::{Listing, Scope};
use crate::data::page::{Cursor, Page, PageSpec};
use crate::data::record::{self, Record};
use crate::data::scalar::{Kind, Scalar};
use crate::data::sql::{Dialect, Quoted, Sql};
use crate::data::table::Tables;

/// How many rows of a search are sorted; if there are more, the order is walked.
const FEW: u32 = 1000;

/// One page of a listing, by the parent's key; [`Scalar::Null`] where the list has no parent.
pub struct Pages<R: Record> {
    pub listing: Listing<R>,
    pub page: PageSpec,
}

/// How many rows a listing has, by the parent's key, counted up to `cap`.
pub struct Counts<R: Record> {
    pub listing: Listing<R>,
    pub cap: u32,
}

/// A number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub rows: u32,
    /// False where there are more than the cap, at which counting stopped.
    pub exact: bool,
}

impl<R: Record> Source for Pages<R> {
    type Key = Scalar;
    type Value = Arc<Page<R>>;

    fn name(&self) -> &'static str {
        self.listing.list.name
    }

    fn kind(&self) -> &'static str {
        "page"
    }

    fn statement(&self, dialect: Dialect, parents: &[Scalar]) -> Statement {
        let mut sql = Sql::new(dialect);
        match (&self.listing.list.scope, dialect) {
            (Scope::Root, Dialect::Postgres) if self.listing.is_search() => self.write_search(&mut sql),
            (Scope::Root, _) => self.write_slice(&mut sql),
            (_, Dialect::Postgres) => self.write_lateral(&mut sql, parents),
            (_, Dialect::Sqlite) => self.write_window(&mut sql, parents),
        }
        sql.statement()
    }

    fn values(
        &self,
        parents: &[Scalar],
        rows: Vec<QueryResult>,
        tables: &Tables,
    ) -> Result<HashMap<Scalar, Arc<Page<R>>>, DbErr> {
        let kind = parent_kind(parents);
        let names: Vec<_> =
            self.listing.sort().iter().enumerate().map(|(i, key)| (scope::sort_name(i, key), key.kind)).collect();
        let mut found: HashMap<Scalar, Vec<(Found<R>, Cursor)>> =
            parents.iter().map(|parent| (parent.clone(), Vec::new())).collect();
        for row in &rows {
            let parent = kind.map_or(Ok(Scalar::Null), |kind| Scalar::read(row, "_parent", kind))?;
            let cursor = names.iter().map(|(name, kind)| Scalar::read(row, name, *kind)).collect::<Result<_, _>>()?;
            found.entry(parent).or_default().push((Found::read(row, tables)?, Cursor(cursor)));
        }
        Ok(found.into_iter().map(|(parent, rows)| (parent, Arc::new(self.page_of(rows)))).collect())
    }
}

impl<R: Record> Pages<R> {
    /// One more row than asked for tells whether another page follows.
    fn probe(&self) -> Scalar {
        Scalar::Int(i64::from(self.page.limit) + 1)
    }

    fn page_of(&self, mut rows: Vec<(Found<R>, Cursor)>) -> Page<R> {
        let limit = self.page.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        if self.page.backward {
            rows.reverse();
        }
        let (rows, cursors) = rows.into_iter().unzip();
        // Behind a cursor there was a row when the cursor was made: the specification asks for no more than that.
        let (has_next, has_previous) =
            if self.page.backward { (self.page.before.is_some(), more) } else { (more, self.page.after.is_some()) };
        Page { rows, cursors, has_next, has_previous }
    }

    /// The page of one parent, `k.key`, or of the whole table.
    fn write_slice(&self, sql: &mut Sql) {
        sql.push("select ");
        self.write_selected(sql);
        self.write_walk(sql, None);
        self.write_end(sql);
    }

    /// The page of a search. A trigram index knows no order: what it finds must be sorted, and a common word is found so
    /// often that to walk the order and look at each row is quicker by far. Which it is only the index can tell, so it is
    /// asked in the same statement; the planner would guess, and guesses wrong both ways.
    ///
    /// One of the two is empty, so together they are in the order of the other.
    fn write_search(&self, sql: &mut Sql) {
        let key = Quoted(record::key_column::<R>());
        sql.push(format_args!("with found as materialized (select t.{key} as key"));
        self.write_walk(sql, None);
        sql.push(format_args!(" limit {}) (select ", FEW + 1));
        self.write_selected(sql);
        sql.push(format_args!(
            " from {} t where t.{key} = any(array(select key from found))",
            Quoted(record::table::<R>())
        ));
        sql.push(format_args!(" and (select count(*) from found) <= {FEW}"));
        self.write_end(sql);
        sql.push(") union all (select ");
        let walk = Self { listing: self.listing.walked(), page: self.page.clone() };
        walk.write_selected(sql);
        walk.write_walk(sql, None);
        sql.push(format_args!(" and (select count(*) from found) > {FEW}"));
        walk.write_end(sql);
        sql.push(")");
    }

    /// For each parent the page as a walk of its own, which stops at the limit. The nested loop that LATERAL means
    /// keeps each parent's rows together and in order.
    fn write_lateral(&self, sql: &mut Sql, parents: &[Scalar]) {
        sql.push("select k.key as \"_parent\"");
        self.write_outer(sql);
        sql.push(" from ").keys_table(parents.iter().cloned()).push(" cross join lateral (");
        self.write_slice(sql);
        sql.push(") r");
    }

    /// SQLite has no LATERAL: it numbers each parent's rows and keeps the first.
    fn write_window(&self, sql: &mut Sql, parents: &[Scalar]) {
        sql.push("select r.\"_parent\"");
        self.write_outer(sql);
        sql.push(" from (select k.position as \"_position\", k.key as \"_parent\", ");
        self.write_selected(sql);
        sql.push(", row_number() over (partition by k.position");
        scope::write_order(sql, &self.listing, &self.page);
        sql.push(") as \"_number\"");
        self.write_walk(sql, Some(parents));
        sql.push(") r where r.\"_number\" <= ").bind(self.probe());
        sql.push(" order by r.\"_position\", r.\"_number\"");
    }

    fn write_selected(&self, sql: &mut Sql) {
        write_columns::<R>(sql);
        scope::write_sort_columns(sql, &self.listing);
    }

    /// The columns of [`Self::write_selected`], seen from outside the subquery `r`.
    fn write_outer(&self, sql: &mut Sql) {
        for column in record::columns::<R>() {
            sql.push(format_args!(", r.{}", Quoted(column)));
        }
        for (index, key) in self.listing.sort().iter().enumerate() {
            let name = scope::sort_name(index, key);
            if name != key.column {
                sql.push(format_args!(", r.{}", Quoted(&name)));
            }
        }
    }

    fn write_end(&self, sql: &mut Sql) {
        scope::write_order(sql, &self.listing, &self.page);
        sql.push(" limit ").bind(self.probe());
    }

    fn write_walk(&self, sql: &mut Sql, parents: Option<&[Scalar]>) {
        let next = scope::write_rows(sql, &self.listing, parents, Joins::All);
        scope::write_bounds(sql, &self.listing, &self.page, next);
    }
}

impl<R: Record> Source for Counts<R> {
    type Key = Scalar;
    type Value = Count;

    fn name(&self) -> &'static str {
        self.listing.list.name
    }

    fn kind(&self) -> &'static str {
        "count"
    }

    fn statement(&self, dialect: Dialect, parents: &[Scalar]) -> Statement {
        let mut sql = Sql::new(dialect);
        let root = matches!(self.listing.list.scope, Scope::Root);
        sql.push(if root { "select " } else { "select k.key as \"_parent\", " });
        // A scalar subquery per parent: it stops at the cap, however many rows the parent has.
        sql.push("(select count(*) from (select 1");
        scope::write_rows(&mut sql, &self.listing, None, Joins::Fewest);
        sql.push(" limit ").bind(Scalar::Int(i64::from(self.cap) + 1)).push(") counted) as \"_count\"");
        if !root {
            sql.push(" from ").keys_table(parents.iter().cloned());
        }
        sql.statement()
    }

    fn values(&self, parents: &[Scalar], rows: Vec<QueryResult>, _: &Tables) -> Result<HashMap<Scalar, Count>, DbErr> {
        let kind = parent_kind(parents);
        rows.iter()
            .map(|row| {
                let parent = kind.map_or(Ok(Scalar::Null), |kind| Scalar::read(row, "_parent", kind))?;
                let rows = u32::try_from(row.try_get_by::<i64, _>("_count")?).unwrap_or(u32::MAX);
                Ok((parent, Count { rows: rows.min(self.cap), exact: rows <= self.cap }))
            })
            .collect()
    }
}

/// What the parents' keys are; none where the list has no parent.
fn parent_kind(parents: &[Scalar]) -> Option<Kind> {
    match parents.first() {
        Some(Scalar::Text(_)) => Some(Kind::Text),
        Some(Scalar::Int(_)) => Some(Kind::BigInt),
        _ => None,
    }
}

// By hand, because derives would ask the same of `R`.
impl<R: Record> Clone for Pages<R> {
    fn clone(&self) -> Self {
        Self { listing: self.listing.clone(), page: self.page.clone() }
    }
}

impl<R: Record> PartialEq for Pages<R> {
    fn eq(&self, other: &Self) -> bool {
        self.listing == other.listing && self.page == other.page
    }
}

impl<R: Record> Eq for Pages<R> {}

impl<R: Record> Hash for Pages<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.listing, &self.page).hash(state);
    }
}

impl<R: Record> Clone for Counts<R> {
    fn clone(&self) -> Self {
        Self { listing: self.listing.clone(), cap: self.cap }
    }
}

impl<R: Record> PartialEq for Counts<R> {
    fn eq(&self, other: &Self) -> bool {
        self.listing == other.listing && self.cap == other.cap
    }
}

impl<R: Record> Eq for Counts<R> {}

impl<R: Record> Hash for Counts<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.listing, self.cap).hash(state);
    }
}
