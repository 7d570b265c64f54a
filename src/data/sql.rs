//! The text of a statement and what is bound to it, for PostgreSQL and SQLite.
//!
//! Promises that the text depends only on the shape of a request, never on its values or on the number of keys: keys
//! travel as one array. So the prepared-statement caches hold. Names come from entities, never from a client.

use std::fmt::Write;

use chrono::SecondsFormat;
use sea_orm::sea_query::{ArrayType, Value, sea_value_to_json_value};
use sea_orm::{DbBackend, Statement};

use super::scalar::Scalar;

/// The two databases Shoal speaks to, where their SQL differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// What time it is, as an expression: not when the transaction began. SQLite's in the form in which sqlx writes and
    /// the migrations' defaults do.
    pub fn now(self) -> &'static str {
        match self {
            Self::Postgres => "clock_timestamp()",
            Self::Sqlite => "replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), '.000+', '+')",
        }
    }

    /// The function that chooses the greatest of its arguments.
    pub fn latest(self) -> &'static str {
        match self {
            Self::Postgres => "greatest",
            Self::Sqlite => "max",
        }
    }
}

/// A statement under construction.
pub struct Sql {
    pub dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

/// A name, quoted. Entities name no table or column with a quote in it.
pub struct Quoted<'a>(pub &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl Sql {
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::with_capacity(512), values: Vec::new() }
    }

    pub fn push(&mut self, text: impl std::fmt::Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{text}");
        self
    }

    /// Binds one value and writes its placeholder.
    pub fn bind(&mut self, value: Scalar) -> &mut Self {
        self.bind_value(value.bind())
    }

    /// Writes a subquery or function that yields one row, column `key`, for each of the keys, as `k`.
    pub fn keys_table(&mut self, keys: impl Iterator<Item = Scalar>) -> &mut Self {
        match self.dialect {
            Dialect::Postgres => {
                self.push("unnest(");
                self.bind_array(keys).push(") k(key)")
            }
            Dialect::Sqlite => {
                self.push("(select key as position, value as key from json_each(");
                self.bind_array(keys).push(")) k")
            }
        }
    }

    /// Writes a subquery or function that yields `rows`, as `v`, with columns `c1`, `c2`, … All rows have `width` values,
    /// those of a column of one type.
    pub fn rows_table(&mut self, rows: Vec<Vec<Value>>, width: usize) -> &mut Self {
        match self.dialect {
            Dialect::Postgres => {
                let mut columns = vec![Vec::with_capacity(rows.len()); width];
                for (column, value) in rows.into_iter().flat_map(|row| row.into_iter().enumerate()) {
                    columns[column].push(value);
                }
                self.push("unnest(");
                for (index, column) in columns.into_iter().enumerate() {
                    let kind = column.first().map_or(ArrayType::BigInt, element);
                    self.push(if index == 0 { "" } else { ", " });
                    self.bind_value(Value::Array(kind, Some(Box::new(column))));
                }
                self.push(") v(");
            }
            Dialect::Sqlite => {
                let rows: Vec<_> = rows.iter().map(|row| row.iter().map(json_of).collect::<Vec<_>>()).collect();
                self.push("(select ");
                for index in 0..width {
                    let comma = if index == 0 { "" } else { ", " };
                    self.push(format_args!("{comma}json_extract(value, '$[{index}]') as c{}", index + 1));
                }
                self.push(" from json_each(").bind_value(serde_json::json!(rows).to_string().into());
                return self.push(")) v");
            }
        }
        for index in 0..width {
            self.push(if index == 0 { "" } else { ", " }).push(format_args!("c{}", index + 1));
        }
        self.push(")")
    }

    /// Writes the test that what was written before it is one of the keys.
    pub fn is_any_of(&mut self, keys: impl Iterator<Item = Scalar>) -> &mut Self {
        match self.dialect {
            Dialect::Postgres => {
                self.push(" = any(");
                self.bind_array(keys).push(")")
            }
            Dialect::Sqlite => {
                self.push(" in (select value from json_each(");
                self.bind_array(keys).push("))")
            }
        }
    }

    /// Text compares by bytes everywhere: the order of PostgreSQL's "C" collation and of SQLite's default.
    pub fn bytewise(&mut self) -> &mut Self {
        if self.dialect == Dialect::Postgres {
            self.push(" collate \"C\"");
        }
        self
    }

    /// Writes a text in lower case, bytewise. Only A to Z fold: what else does depends on the locale of a PostgreSQL,
    /// and nothing else does on SQLite.
    pub fn lower(&mut self, text: impl std::fmt::Display) -> &mut Self {
        match self.dialect {
            Dialect::Postgres => self.push(format_args!("lower({text} collate \"C\")")),
            Dialect::Sqlite => self.push(format_args!("lower({text})")),
        }
    }

    pub fn statement(self) -> Statement {
        let backend = match self.dialect {
            Dialect::Postgres => DbBackend::Postgres,
            Dialect::Sqlite => DbBackend::Sqlite,
        };
        Statement::from_sql_and_values(backend, self.text, self.values)
    }

    /// An array parameter; SQLite has none, so there it is a JSON text.
    fn bind_array(&mut self, keys: impl Iterator<Item = Scalar>) -> &mut Self {
        match self.dialect {
            Dialect::Postgres => {
                let mut keys = keys.peekable();
                let kind = keys.peek().unwrap_or(&Scalar::Null).array_type();
                let values = keys.map(Scalar::bind).collect();
                self.bind_value(Value::Array(kind, Some(Box::new(values))))
            }
            Dialect::Sqlite => {
                let values = keys.map(json).collect::<Vec<_>>();
                self.bind_value(Value::String(Some(serde_json::Value::Array(values).to_string())))
            }
        }
    }

    /// Binds one value of any type and writes its placeholder.
    pub fn bind_value(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        let number = self.values.len();
        match self.dialect {
            Dialect::Postgres => self.push(format_args!("${number}")),
            Dialect::Sqlite => self.push(format_args!("?{number}")),
        }
    }
}

/// Says at the end of a statement what it is for, where whoever looks at the database sees it. The same for equal texts,
/// so that there are no more of them: never whose it is. <https://google.github.io/sqlcommenter/spec/>
pub fn sign(statement: &mut Statement, source: &str, kind: &str) {
    // Names in our own sources, without a quote.
    let _ = write!(statement.sql, " /*kind='{kind}',source='{source}'*/");
}

/// The type of an array of such values.
///
/// # Panics
/// For a type that no column here has.
fn element(value: &Value) -> ArrayType {
    match value {
        Value::Bool(_) => ArrayType::Bool,
        Value::Int(_) => ArrayType::Int,
        Value::BigInt(_) => ArrayType::BigInt,
        Value::String(_) => ArrayType::String,
        Value::ChronoDateTimeUtc(_) => ArrayType::ChronoDateTimeUtc,
        other => panic!("rows of {other:?} are written one by one"),
    }
}

/// A value as SQLite's JSON functions give it back: what `Sql::bind_value` would have bound.
fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::ChronoDateTimeUtc(Some(time)) => time.to_rfc3339_opts(SecondsFormat::AutoSi, false).into(),
        other => sea_value_to_json_value(other),
    }
}

fn json(key: Scalar) -> serde_json::Value {
    match key {
        Scalar::Null => serde_json::Value::Null,
        Scalar::Bool(value) => value.into(),
        Scalar::Int(value) | Scalar::Time(value) => value.into(),
        Scalar::Text(value) => value.into(),
    }
}
