//! The text of a statement and what is bound to it, for PostgreSQL and SQLite.
//!
//! Promises that the text depends only on the shape of a request, never on its values or on the number of keys: keys
//! travel as one array. So the prepared-statement caches hold. Names come from entities, never from a client.

use std::fmt::Write;

use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, Statement};

use super::scalar::Scalar;

/// The two databases Shoal speaks to, where their SQL differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
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

    fn bind_value(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        let number = self.values.len();
        match self.dialect {
            Dialect::Postgres => self.push(format_args!("${number}")),
            Dialect::Sqlite => self.push(format_args!("?{number}")),
        }
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
