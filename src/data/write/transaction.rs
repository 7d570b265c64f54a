//! A transaction on the primary, as a work sees it: rows that are found, locked, inserted, changed and deleted.
//!
//! Promises that a row is changed only after it was locked, so that what was decided about it still holds, and that
//! every change is remembered for whoever hears of the commit.

mod many;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, EntityTrait, IdenStatic, QueryResult};

use super::change::AfterCommit;
use super::statements::{self, Assignments, Hold, IfTaken};
use crate::data::change::{Change, Image};
use crate::data::condition::Condition;
use crate::data::databases::{Databases, OpenTransaction};
use crate::data::error::Error;
use crate::data::ledger::{About, Origin};
use crate::data::position::Token;
use crate::data::record::{self, Column, Record};
use crate::data::scalar::Scalar;
use crate::data::sql::{self, Dialect, Sql};
use crate::data::trace::Trace;

/// The columns of a record's row that are to be written.
pub type Active<R> = <<R as Record>::Entity as EntityTrait>::ActiveModel;

/// A row that nobody else can change until the transaction ends.
#[derive(Clone, Debug)]
pub struct Locked<R> {
    row: R,
    image: Image,
}

impl<R> Deref for Locked<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.row
    }
}

impl<R> Locked<R> {
    /// The row by itself.
    pub fn into_row(self) -> R {
        self.row
    }
}

/// An open transaction. Ends with its owner: rolled back, unless it was committed.
pub struct Transaction {
    /// None once it has ended.
    open: Option<OpenTransaction>,
    databases: Databases,
    dialect: Dialect,
    origin: Arc<Origin>,
    trace: Trace,
    work: &'static str,
    changes: Vec<Change>,
    statements: u32,
    rows: usize,
}

impl Transaction {
    pub(super) fn new(
        open: OpenTransaction,
        databases: &Databases,
        work: &'static str,
        (origin, trace): (Arc<Origin>, Trace),
    ) -> Self {
        let (databases, dialect) = (databases.clone(), databases.dialect());
        Self { open: Some(open), databases, dialect, origin, trace, work, changes: Vec::new(), statements: 0, rows: 0 }
    }

    /// What time it is, by the clock of the database.
    pub async fn now(&mut self) -> Result<DateTime<Utc>, Error> {
        let mut sql = self.sql();
        sql.push("select ").push(self.dialect.now()).push(" as now");
        let row = self.query(sql).await?.pop().ok_or_else(nothing_returned)?;
        Ok(row.try_get_by("now")?)
    }

    /// Rows by primary key, as they are now; they may change before the transaction ends.
    pub async fn find<R: Record>(&mut self, keys: Vec<R::Key>) -> Result<HashMap<R::Key, R>, Error> {
        let sql = statements::select::<R>(self.dialect, keys, Hold::Nothing);
        let found = self.query(sql).await?;
        Ok(read::<R>(&found)?.into_iter().map(|found| (found.key(), found.row)).collect())
    }

    /// A row by primary key that may change, but not go away before the transaction ends: what a foreign key needs.
    pub async fn hold<R: Record>(&mut self, key: R::Key) -> Result<Option<R>, Error> {
        let sql = statements::select::<R>(self.dialect, vec![key], Hold::Existence);
        let found = self.query(sql).await?;
        Ok(read::<R>(&found)?.pop().map(Locked::into_row))
    }

    /// A row by primary key, locked until the transaction ends; others may still insert rows that refer to it.
    pub async fn lock<R: Record>(&mut self, key: R::Key) -> Result<Option<Locked<R>>, Error> {
        Ok(self.lock_all::<R>(vec![key]).await?.pop())
    }

    /// A row by primary key, locked until the transaction ends so that it can be deleted.
    pub async fn lock_to_delete<R: Record>(&mut self, key: R::Key) -> Result<Option<Locked<R>>, Error> {
        let sql = statements::select::<R>(self.dialect, vec![key], Hold::All);
        let found = self.query(sql).await?;
        Ok(read::<R>(&found)?.pop())
    }

    /// Rows by primary key, locked in the order of their keys: so that two works that lock the same wait for each other
    /// in the same order.
    pub async fn lock_all<R: Record>(&mut self, keys: Vec<R::Key>) -> Result<Vec<Locked<R>>, Error> {
        let sql = statements::select::<R>(self.dialect, keys, Hold::Row);
        let found = self.query(sql).await?;
        read::<R>(&found)
    }

    /// The first rows that meet all conditions and that nobody else has locked, locked until the transaction ends. In the
    /// order of the columns, then of their keys.
    pub async fn take<R: Record>(
        &mut self,
        conditions: &[Condition],
        order: &[Column<R>],
        limit: usize,
    ) -> Result<Vec<Locked<R>>, Error> {
        let found = self.query(statements::first::<R>(self.dialect, conditions, order, limit)).await?;
        read::<R>(&found)
    }

    /// The last rows by their keys that meet all conditions, the last first, as they are now.
    pub async fn latest<R: Record>(&mut self, conditions: &[Condition], limit: usize) -> Result<Vec<R>, Error> {
        let found = self.query(statements::latest::<R>(self.dialect, conditions, limit)).await?;
        Ok(read::<R>(&found)?.into_iter().rev().map(Locked::into_row).collect())
    }

    /// The rows of these keys that nobody else has locked, locked until the transaction ends.
    pub async fn lock_free<R: Record>(&mut self, keys: Vec<R::Key>) -> Result<Vec<Locked<R>>, Error> {
        let found = self.query(statements::select::<R>(self.dialect, keys, Hold::Free)).await?;
        read::<R>(&found)
    }

    /// The rows whose `column` has this value, in the order of their keys.
    pub async fn children<R: Record>(&mut self, column: Column<R>, parent: i64) -> Result<Vec<R>, Error> {
        let sql = statements::children::<R>(self.dialect, column, parent);
        let found = self.query(sql).await?;
        Ok(read::<R>(&found)?.into_iter().map(Locked::into_row).collect())
    }

    /// Inserts a row; columns that are not named get their defaults.
    ///
    /// # Errors
    /// [`Error::Taken`] if another row has a value that must be unique.
    pub async fn insert<R: Record>(&mut self, row: Active<R>) -> Result<R, Error> {
        self.insert_all::<R>(vec![row]).await?.pop().ok_or_else(nothing_returned)
    }

    /// Inserts rows that name the same columns, in one statement, and returns them in the order of their keys.
    pub async fn insert_all<R: Record>(&mut self, rows: Vec<Active<R>>) -> Result<Vec<R>, Error> {
        let rows = rows.into_iter().map(Assignments::of::<R>).collect();
        let inserted = self.query(statements::insert::<R>(self.dialect, rows, IfTaken::Fails)).await?;
        let inserted = read::<R>(&inserted)?;
        self.remember(&inserted, |image| (None, Some(image)));
        Ok(inserted.into_iter().map(Locked::into_row).collect())
    }

    /// Inserts a row, unless another has a value that must be unique.
    pub async fn insert_if_free<R: Record>(&mut self, row: Active<R>) -> Result<Option<R>, Error> {
        let sql = statements::insert::<R>(self.dialect, vec![Assignments::of::<R>(row)], IfTaken::Passed);
        let inserted = self.query(sql).await?;
        let inserted = read::<R>(&inserted)?;
        self.remember(&inserted, |image| (None, Some(image)));
        Ok(inserted.into_iter().map(Locked::into_row).next())
    }

    /// The rows with these values of a unique column, inserted where there was none; other columns get their defaults.
    pub async fn ensure<R: Record>(&mut self, column: Column<R>, values: &[String]) -> Result<Vec<R>, Error> {
        // In one order for all, so that two works that insert the same wait for each other.
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        let rows = values.iter().map(|value| Assignments::text(column.as_str(), value.clone())).collect();
        let inserted =
            self.query(statements::insert::<R>(self.dialect, rows, IfTaken::PassedFor(column.as_str()))).await?;
        let inserted = read::<R>(&inserted)?;
        self.remember(&inserted, |image| (None, Some(image)));
        if inserted.len() == values.len() {
            return Ok(inserted.into_iter().map(Locked::into_row).collect());
        }
        let found = self.query(statements::by_texts::<R>(self.dialect, column, values, Hold::Nothing)).await?;
        Ok(read::<R>(&found)?.into_iter().map(Locked::into_row).collect())
    }

    /// Changes columns of a row; without any, nothing happens. Its `updated_at`, if it has one, moves on, and never stays the same.
    ///
    /// # Errors
    /// [`Error::Taken`] if another row has a value that must be unique.
    pub async fn update<R: Record>(&mut self, old: Locked<R>, columns: Active<R>) -> Result<Locked<R>, Error> {
        let columns = Assignments::of::<R>(columns);
        if columns.is_empty() { Ok(old) } else { self.change(old, columns).await }
    }

    /// Moves the `updated_at` of a row on: what belongs to it has changed.
    pub async fn touch<R: Record>(&mut self, old: Locked<R>) -> Result<Locked<R>, Error> {
        self.change(old, Assignments::default()).await
    }

    async fn change<R: Record>(&mut self, old: Locked<R>, columns: Assignments) -> Result<Locked<R>, Error> {
        let updated = self.query(statements::update::<R>(self.dialect, old.key(), &old.image, columns)).await?;
        let new = read::<R>(&updated)?.pop().ok_or_else(nothing_returned)?;
        self.replace(old.image, &new);
        Ok(new)
    }

    /// Gives columns of several rows the same values, in one statement. Of rows that have no `updated_at`.
    pub async fn update_all<R: Record<Key = i64>>(
        &mut self,
        olds: Vec<Locked<R>>,
        columns: Active<R>,
    ) -> Result<Vec<Locked<R>>, Error> {
        if olds.is_empty() {
            return Ok(olds);
        }
        let keys = olds.iter().map(|old| old.key()).collect();
        let sql = statements::update_all::<R>(self.dialect, keys, Assignments::of::<R>(columns));
        let updated = self.query(sql).await?;
        let updated = read::<R>(&updated)?;
        self.replace_all(olds, &updated)?;
        Ok(updated)
    }

    /// Adds to a number of each row, in one statement: `updated_at` moves on as with [`update`](Self::update).
    pub async fn add<R: Record<Key = i64>>(
        &mut self,
        column: Column<R>,
        amounts: Vec<(Locked<R>, i64)>,
    ) -> Result<Vec<Locked<R>>, Error> {
        if amounts.is_empty() {
            return Ok(Vec::new());
        }
        let by_key: Vec<_> = amounts.iter().map(|(old, amount)| (old.key(), &old.image, *amount)).collect();
        let updated = self.query(statements::add::<R>(self.dialect, column, &by_key)).await?;
        let updated = read::<R>(&updated)?;
        self.replace_all(amounts.into_iter().map(|(old, _)| old).collect(), &updated)?;
        Ok(updated)
    }

    /// Deletes a row.
    pub async fn delete<R: Record>(&mut self, old: Locked<R>) -> Result<(), Error> {
        self.query(statements::delete::<R>(self.dialect, record::key::<R>(), old.key().into())).await?;
        self.remember(&[old], |image| (Some(image), None));
        Ok(())
    }

    /// Deletes several rows, in one statement.
    pub async fn delete_all<R: Record>(&mut self, olds: Vec<Locked<R>>) -> Result<(), Error> {
        if olds.is_empty() {
            return Ok(());
        }
        let keys = olds.iter().map(|old| old.key()).collect();
        self.query(statements::delete_all::<R>(self.dialect, keys)).await?;
        self.remember(&olds, |image| (Some(image), None));
        Ok(())
    }

    /// Deletes the rows whose `column` has this value, and tells how many there were.
    pub async fn delete_children<R: Record>(&mut self, column: Column<R>, parent: i64) -> Result<usize, Error> {
        let deleted = self.query(statements::delete::<R>(self.dialect, column, parent.into())).await?;
        let deleted = read::<R>(&deleted)?;
        self.remember(&deleted, |image| (Some(image), None));
        Ok(deleted.len())
    }

    /// Makes `targets` all that the link table `E` joins with a parent, and tells whether that changed anything. The
    /// parent is to be locked.
    pub async fn link<E: EntityTrait>(
        &mut self,
        (parent_column, parent): (E::Column, i64),
        (target_column, targets): (E::Column, Vec<i64>),
    ) -> Result<bool, Error> {
        let columns = [parent_column.as_str(), target_column.as_str()];
        let table = E::default();
        let table = table.table_name();
        let removed = self.query(statements::unlink(self.dialect, table, columns, parent, targets.clone())).await?;
        let added = self.query(statements::link(self.dialect, table, columns, parent, targets)).await?;
        for (rows, is_added) in [(&removed, false), (&added, true)] {
            for row in rows {
                let target: i64 = row.try_get_by(columns[1])?;
                let image: Option<Image> =
                    Some([(columns[0], Scalar::Int(parent)), (columns[1], Scalar::Int(target))].into_iter().collect());
                let key = vec![Scalar::Int(parent), Scalar::Int(target)];
                let (old, new) = if is_added { (None, image) } else { (image, None) };
                self.changes.push(Change { table, key, old, new });
            }
        }
        Ok(!removed.is_empty() || !added.is_empty())
    }

    pub(super) fn sql(&self) -> Sql {
        Sql::new(self.dialect)
    }

    pub(super) async fn query(&mut self, sql: Sql) -> Result<Vec<QueryResult>, Error> {
        self.statements += 1;
        self.pass(self.statements).await;
        let open = self.open.as_mut().expect("a transaction is used before it ends");
        let about = About { source: self.work, kind: "write", field: None, keys: 1, trace: self.trace.clone() };
        let mut statement = sql.statement();
        sql::sign(&mut statement, about.source, about.kind);
        let rows = self.databases.write(open, &statement, (&self.origin, &about)).await?;
        self.rows += rows.len();
        Ok(rows)
    }

    /// Commits, and tells whoever must know; what shows the commit.
    pub(super) async fn commit(&mut self, after_commit: &dyn AfterCommit) -> Result<Token, Error> {
        self.pass("commit").await;
        let committed = self.open.take().expect("a transaction is committed once").commit().await;
        self.pass("committed").await;
        let token = committed.tell(|token| {
            if !self.changes.is_empty() {
                after_commit.committed(token, &self.changes);
            }
        })?;
        self.pass("told").await;
        Ok(token)
    }

    /// Undoes everything. A connection that cannot even do that is closed, which has the same effect.
    pub(super) async fn rollback(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.rollback().await
        {
            tracing::debug!(%error, work = self.work, "a transaction could not be rolled back");
        }
    }

    /// Statements sent, not counting BEGIN and COMMIT.
    pub(super) fn statements(&self) -> u32 {
        self.statements
    }

    /// Rows that the statements returned.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Where a test can stop the process: before each statement, around COMMIT.
    #[cfg(feature = "fault-points")]
    async fn pass(&self, step: impl std::fmt::Display) {
        super::fault::pass(self.work, step).await;
    }

    #[cfg(not(feature = "fault-points"))]
    async fn pass(&self, _step: impl std::fmt::Display) {}

    fn replace_all<R: Record<Key = i64>>(&mut self, olds: Vec<Locked<R>>, news: &[Locked<R>]) -> Result<(), Error> {
        let mut olds: HashMap<i64, Image> = olds.into_iter().map(|old| (old.key(), old.image)).collect();
        for new in news {
            self.replace(olds.remove(&new.key()).ok_or_else(nothing_returned)?, new);
        }
        Ok(())
    }

    fn replace<R: Record>(&mut self, old: Image, new: &Locked<R>) {
        let key = vec![new.key().into()];
        let new = Some(new.image.clone());
        self.changes.push(Change { table: record::table::<R>(), key, old: Some(old), new });
    }

    fn remember<R: Record>(&mut self, rows: &[Locked<R>], sides: impl Fn(Image) -> (Option<Image>, Option<Image>)) {
        self.changes.extend(rows.iter().map(|row| {
            let (old, new) = sides(row.image.clone());
            Change { table: record::table::<R>(), key: vec![row.key().into()], old, new }
        }));
    }
}

/// The rows that a statement returned, in the order of their keys.
fn read<R: Record>(rows: &[QueryResult]) -> Result<Vec<Locked<R>>, Error> {
    let mut found = rows
        .iter()
        .map(|row| Ok(Locked { row: R::from_query_result(row, "")?, image: image::<R>(row)? }))
        .collect::<Result<Vec<_>, Error>>()?;
    // RETURNING promises no order.
    found.sort_by_cached_key(|row: &Locked<R>| -> Scalar { row.key().into() });
    Ok(found)
}

/// All columns of a record's row.
fn image<R: Record>(row: &QueryResult) -> Result<Image, DbErr> {
    let read = |(name, kind): (&'static str, _)| Ok((name, Scalar::read_nullable(row, name, kind)?));
    record::columns_and_kinds::<R>().map(read).collect()
}

fn nothing_returned() -> Error {
    DbErr::RecordNotFound("a statement did not return what it wrote".to_owned()).into()
}
