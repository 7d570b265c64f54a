//! The statements of a transaction. Each returns the rows that it touched, without their bulky columns.

use sea_orm::sea_query::Value;
use sea_orm::{ActiveModelTrait, ActiveValue, IdenStatic, Iterable};

use super::transaction::Active;
use crate::data::change::Image;
use crate::data::condition::Condition;
use crate::data::record::{self, Column, Record};
use crate::data::scalar::Scalar;
use crate::data::sql::{Dialect, Quoted, Sql};

/// The column that tells when a row last changed.
const UPDATED_AT: &str = "updated_at";

/// Values for columns.
#[derive(Default)]
pub(super) struct Assignments(Vec<(&'static str, Value)>);

impl Assignments {
    pub fn of<R: Record>(row: Active<R>) -> Self {
        let set = Column::<R>::iter().filter_map(|column| match row.get(column) {
            ActiveValue::Set(value) => Some((column.as_str(), value)),
            ActiveValue::Unchanged(_) | ActiveValue::NotSet => None,
        });
        Self(set.collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn text(column: &'static str, value: String) -> Self {
        Self(vec![(column, value.into())])
    }
}

/// What a transaction keeps others from doing with the rows it finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Nothing,
    /// To delete them.
    Existence,
    /// To change them; others may still come to refer to them.
    Row,
    /// To change them or to come to refer to them.
    All,
    /// To change them; those that others hold are passed over.
    Free,
}

pub(super) fn select<R: Record>(dialect: Dialect, keys: Vec<R::Key>, hold: Hold) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("select ");
    write_columns::<R>(&mut sql, "");
    sql.push(format_args!(" from {} where ", Quoted(record::table::<R>())));
    let key = Quoted(record::key_column::<R>());
    sql.push(format_args!("{key}")).is_any_of(keys.into_iter().map(Into::into));
    sql.push(format_args!(" order by {key}"));
    sql.hold(hold);
    sql
}

impl Sql {
    fn hold(&mut self, hold: Hold) {
        // SQLite has one writer at a time.
        if self.dialect == Dialect::Postgres {
            self.push(match hold {
                Hold::Nothing => "",
                Hold::Existence => " for key share",
                Hold::Row => " for no key update",
                Hold::All => " for update",
                Hold::Free => " for no key update skip locked",
            });
        }
    }
}

/// The first rows that meet all conditions and that nobody holds.
pub(super) fn first<R: Record>(dialect: Dialect, conditions: &[Condition], order: &[Column<R>], limit: usize) -> Sql {
    let mut sql = Sql::new(dialect);
    let key = record::key_column::<R>();
    sql.push("select ");
    write_columns::<R>(&mut sql, "t.");
    write_where::<R>(&mut sql, conditions);
    sql.push(" order by ");
    for column in order {
        sql.push(format_args!("t.{}, ", Quoted(column.as_str())));
    }
    sql.push(format_args!("t.{} limit ", Quoted(key))).bind(Scalar::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    if dialect == Dialect::Postgres {
        sql.push(" for no key update skip locked");
    }
    sql
}

/// The last rows by their keys that meet all conditions.
pub(super) fn latest<R: Record>(dialect: Dialect, conditions: &[Condition], limit: usize) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("select ");
    write_columns::<R>(&mut sql, "t.");
    write_where::<R>(&mut sql, conditions);
    sql.push(format_args!(" order by t.{} desc limit ", Quoted(record::key_column::<R>())));
    sql.bind(Scalar::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
    sql
}

pub(super) fn groups<R: Record>(dialect: Dialect, conditions: &[Condition], by: Column<R>, earliest: Column<R>) -> Sql {
    let mut sql = Sql::new(dialect);
    let (by, earliest) = (Quoted(by.as_str()), Quoted(earliest.as_str()));
    sql.push(format_args!("select t.{by} as value, count(*) as count, min(t.{earliest}) as earliest"));
    write_where::<R>(&mut sql, conditions);
    sql.push(format_args!(" group by t.{by}"));
    sql
}

/// ` from` the table as `t`, and the conditions.
fn write_where<R: Record>(sql: &mut Sql, conditions: &[Condition]) {
    let (table, key) = (record::table::<R>(), record::key_column::<R>());
    sql.push(format_args!(" from {} t", Quoted(table)));
    for (index, condition) in conditions.iter().enumerate() {
        sql.push(if index == 0 { " where " } else { " and " });
        condition.write(sql, table, key);
    }
}

pub(super) fn children<R: Record>(dialect: Dialect, column: Column<R>, parent: i64) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("select ");
    write_columns::<R>(&mut sql, "");
    sql.push(format_args!(" from {} where {} = ", Quoted(record::table::<R>()), Quoted(column.as_str())));
    sql.bind(parent.into());
    sql
}

pub(super) fn by_texts<R: Record>(dialect: Dialect, column: Column<R>, values: Vec<String>, hold: Hold) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("select ");
    write_columns::<R>(&mut sql, "");
    sql.push(format_args!(" from {} where {}", Quoted(record::table::<R>()), Quoted(column.as_str())));
    sql.bytewise().is_any_of(values.into_iter().map(Scalar::Text));
    sql.push(format_args!(" order by {}", Quoted(record::key_column::<R>())));
    sql.hold(hold);
    sql
}

/// One column of rows, as `value`, with their keys as `key`.
pub(super) fn column<R: Record>(dialect: Dialect, column: Column<R>, keys: Vec<R::Key>) -> Sql {
    let mut sql = Sql::new(dialect);
    let key = Quoted(record::key_column::<R>());
    sql.push(format_args!("select {key} as key, {} as value", Quoted(column.as_str())));
    sql.push(format_args!(" from {} where {key}", Quoted(record::table::<R>())));
    sql.is_any_of(keys.into_iter().map(Into::into));
    sql
}

/// What becomes of a row if another has a value that must be unique.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfTaken<'a> {
    Fails,
    /// It is not inserted.
    Passed,
    /// It is not inserted if the value is of this text column, of rows as arrays.
    PassedFor(&'a str),
}

/// Rows that name the same columns: one as values, several as arrays of them.
pub(super) fn insert<R: Record>(dialect: Dialect, rows: Vec<Assignments>, if_taken: IfTaken) -> Sql {
    let mut sql = Sql::new(dialect);
    let names: Vec<_> = rows.first().map_or(&[][..], |row| &row.0).iter().map(|(name, _)| *name).collect();
    sql.push(format_args!("insert into {} (", Quoted(record::table::<R>())));
    for (index, name) in names.iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " }).push(Quoted(name));
    }
    sql.push(") ");
    let mut rows: Vec<Vec<Value>> =
        rows.into_iter().map(|row| row.0.into_iter().map(|(_, value)| value).collect()).collect();
    if rows.len() == 1 && !matches!(if_taken, IfTaken::PassedFor(_)) {
        sql.push("values (");
        for (index, value) in rows.remove(0).into_iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " }).bind_value(value);
        }
        sql.push(")");
    } else {
        sql.push("select * from ").rows_table(rows, names.len());
    }
    match if_taken {
        IfTaken::Fails => {}
        IfTaken::Passed => {
            sql.push(" on conflict do nothing");
        }
        // SQLite takes `on` for the join's without a `where`.
        IfTaken::PassedFor(unique) => {
            sql.push(" where true on conflict (").push(Quoted(unique)).bytewise().push(") do nothing");
        }
    }
    returning::<R>(&mut sql);
    sql
}

/// Gives columns of several rows the same values.
pub(super) fn update_all<R: Record>(dialect: Dialect, keys: Vec<R::Key>, columns: Assignments) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push(format_args!("update {} set ", Quoted(record::table::<R>())));
    for (index, (name, value)) in columns.0.into_iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " }).push(Quoted(name)).push(" = ").bind_value(value);
    }
    sql.push(format_args!(" where {}", Quoted(record::key_column::<R>())));
    sql.is_any_of(keys.into_iter().map(Into::into));
    returning::<R>(&mut sql);
    sql
}

pub(super) fn delete_all<R: Record>(dialect: Dialect, keys: Vec<R::Key>) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push(format_args!("delete from {} where {}", Quoted(record::table::<R>()), Quoted(record::key_column::<R>())));
    sql.is_any_of(keys.into_iter().map(Into::into));
    sql
}

/// `updated_at` becomes now, or a microsecond later than it was, if the clock has not come that far: two versions of a row
/// never have the same.
pub(super) fn update<R: Record>(dialect: Dialect, key: R::Key, old: &Image, columns: Assignments) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push(format_args!("update {} set ", Quoted(record::table::<R>())));
    let mut comma = "";
    for (name, value) in columns.0 {
        sql.push(comma).push(Quoted(name)).push(" = ").bind_value(value);
        comma = ", ";
    }
    if let Some(Scalar::Time(updated)) = old.get(UPDATED_AT) {
        let (now, latest) = (dialect.now(), dialect.latest());
        sql.push(comma).push(format_args!("{} = {latest}({now}, ", Quoted(UPDATED_AT)));
        sql.bind(Scalar::Time(updated + 1)).push(")");
    }
    sql.push(format_args!(" where {} = ", Quoted(record::key_column::<R>()))).bind(key.into());
    returning::<R>(&mut sql);
    sql
}

/// Adds an amount to a column of each row, which is given by its key and as it is.
pub(super) fn add<R: Record>(dialect: Dialect, column: Column<R>, amounts: &[(i64, &Image, i64)]) -> Sql {
    let mut sql = Sql::new(dialect);
    let (table, column) = (Quoted(record::table::<R>()), Quoted(column.as_str()));
    sql.push(format_args!("update {table} set {column} = {table}.{column} + v.c2"));
    let is_dated = record::columns::<R>().any(|name| name == UPDATED_AT);
    if is_dated {
        let (now, latest) = (dialect.now(), dialect.latest());
        sql.push(format_args!(", {} = {latest}({now}, v.c3)", Quoted(UPDATED_AT)));
    }
    let row = |(key, old, amount): &(i64, &Image, i64)| {
        let mut row = vec![Scalar::Int(*key).bind(), Scalar::Int(*amount).bind()];
        if let Some(Scalar::Time(updated)) = old.get(UPDATED_AT) {
            row.push(Scalar::Time(updated + 1).bind());
        }
        row
    };
    sql.push(" from ").rows_table(amounts.iter().map(row).collect(), if is_dated { 3 } else { 2 });
    sql.push(format_args!(" where {table}.{} = v.c1", Quoted(record::key_column::<R>())));
    returning::<R>(&mut sql);
    sql
}

/// Gives each row columns of its own: all name the same ones. `updated_at` moves on as with [`update`].
pub(super) fn update_each<R: Record<Key = i64>>(dialect: Dialect, rows: Vec<(i64, &Image, Assignments)>) -> Sql {
    let mut sql = Sql::new(dialect);
    let table = Quoted(record::table::<R>());
    sql.push(format_args!("update {table} set "));
    let names = rows.first().map_or(&[][..], |(_, _, columns)| &columns.0).iter().map(|(name, _)| *name);
    let mut width = 1;
    for name in names {
        let comma = if width == 1 { "" } else { ", " };
        width += 1;
        sql.push(format_args!("{comma}{} = v.c{width}", Quoted(name)));
    }
    let is_dated = record::columns::<R>().any(|name| name == UPDATED_AT);
    if is_dated {
        let (now, latest) = (dialect.now(), dialect.latest());
        width += 1;
        sql.push(format_args!(", {} = {latest}({now}, v.c{width})", Quoted(UPDATED_AT)));
    }
    let row = |(key, old, columns): (i64, &Image, Assignments)| {
        let updated = match old.get(UPDATED_AT) {
            Some(Scalar::Time(updated)) => Some(Scalar::Time(updated + 1).bind()),
            _ => None,
        };
        let columns = columns.0.into_iter().map(|(_, value)| value);
        std::iter::once(Scalar::Int(key).bind()).chain(columns).chain(updated).collect()
    };
    sql.push(" from ").rows_table(rows.into_iter().map(row).collect(), width);
    sql.push(format_args!(" where {table}.{} = v.c1", Quoted(record::key_column::<R>())));
    returning::<R>(&mut sql);
    sql
}

pub(super) fn delete<R: Record>(dialect: Dialect, column: Column<R>, value: Scalar) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push(format_args!("delete from {} where {} = ", Quoted(record::table::<R>()), Quoted(column.as_str())));
    sql.bind(value);
    returning::<R>(&mut sql);
    sql
}

/// Removes the links of a parent with all but `targets`.
pub(super) fn unlink(dialect: Dialect, table: &str, columns: [&str; 2], parent: i64, targets: Vec<i64>) -> Sql {
    let [parent_column, target_column] = columns.map(Quoted);
    let mut sql = Sql::new(dialect);
    sql.push(format_args!("delete from {} where {parent_column} = ", Quoted(table))).bind(parent.into());
    sql.push(format_args!(" and not ({target_column}")).is_any_of(targets.into_iter().map(Scalar::Int));
    sql.push(format_args!(") returning {target_column}"));
    sql
}

/// Adds the links of a parent with those of `targets` that it has not.
pub(super) fn link(dialect: Dialect, table: &str, columns: [&str; 2], parent: i64, targets: Vec<i64>) -> Sql {
    let [parent_column, target_column] = columns.map(Quoted);
    let mut sql = Sql::new(dialect);
    sql.push(format_args!("insert into {} ({parent_column}, {target_column}) select ", Quoted(table)));
    sql.bind(parent.into()).push(", k.key from ").keys_table(targets.into_iter().map(Scalar::Int));
    sql.push(format_args!(" where true on conflict do nothing returning {target_column}"));
    sql
}

fn returning<R: Record>(sql: &mut Sql) {
    sql.push(" returning ");
    // SQLite knows the columns of the table that is written by their bare names only.
    let table = match sql.dialect {
        Dialect::Postgres => format!("{}.", Quoted(record::table::<R>())),
        Dialect::Sqlite => String::new(),
    };
    write_columns::<R>(sql, &table);
}

fn write_columns<R: Record>(sql: &mut Sql, table: &str) {
    for (index, column) in record::columns::<R>().enumerate() {
        sql.push(if index == 0 { "" } else { ", " }).push(format_args!("{table}{}", Quoted(column)));
    }
}
