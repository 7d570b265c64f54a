//! Rows of a whole batch, each with values of its own: a statement for all of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{QueryResult, TryGetable};

use super::{Active, Locked, Transaction, read};
use crate::data::condition::Condition;
use crate::data::error::Error;
use crate::data::record::{Column, Record};
use crate::data::write::statements::{self, Assignments, Hold};

impl Transaction {
    /// The rows with these values of a unique text, locked in the order of their keys.
    pub async fn lock_by<R: Record>(
        &mut self,
        column: Column<R>,
        values: Vec<String>,
    ) -> Result<Vec<Locked<R>>, Error> {
        let found = self.query(statements::by_texts::<R>(self.dialect, column, values, Hold::Row)).await?;
        read::<R>(&found)
    }

    /// One column of rows, by their keys; it may be a bulky one.
    pub async fn column<R, T>(&mut self, column: Column<R>, keys: Vec<R::Key>) -> Result<HashMap<R::Key, T>, Error>
    where
        R: Record<Key: TryGetable>,
        T: TryGetable,
    {
        let found = self.query(statements::column::<R>(self.dialect, column, keys)).await?;
        found.iter().map(|row| Ok((row.try_get_by("key")?, row.try_get_by("value")?))).collect()
    }

    /// Changes several rows, in one statement: all name the same columns, at least one. `updated_at` moves on as with
    /// [`update`](Self::update).
    ///
    /// # Errors
    /// [`Error::Taken`] if another row has a value that must be unique.
    pub async fn update_each<R: Record<Key = i64>>(&mut self, rows: Vec<(Locked<R>, Active<R>)>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let (olds, columns): (Vec<_>, Vec<_>) =
            rows.into_iter().map(|(old, columns)| (old, Assignments::of::<R>(columns))).unzip();
        let by_key = olds.iter().zip(columns).map(|(old, columns)| (old.key(), &old.image, columns)).collect();
        let updated = self.query(statements::update_each::<R>(self.dialect, by_key)).await?;
        self.replace_all(olds, &read::<R>(&updated)?)
    }

    /// Of the rows that meet all conditions, by the value of a text: how many, and the earliest of a time.
    pub async fn groups<R: Record>(
        &mut self,
        conditions: &[Condition],
        by: Column<R>,
        earliest: Column<R>,
    ) -> Result<Vec<(String, i64, DateTime<Utc>)>, Error> {
        let found = self.query(statements::groups::<R>(self.dialect, conditions, by, earliest)).await?;
        let group =
            |row: &QueryResult| Ok((row.try_get_by("value")?, row.try_get_by("count")?, row.try_get_by("earliest")?));
        found.iter().map(group).collect()
    }
}
