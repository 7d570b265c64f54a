//! One value of a column: what keys, filters and cursors are made of.

use std::fmt::Debug;
use std::hash::Hash;

use chrono::{DateTime, Datelike, Utc};
use sea_orm::sea_query::{ArrayType, ColumnType, Value};
use sea_orm::{DbErr, QueryResult, TryGetable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A value that can be a key, bound to a statement, compared, and written into a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scalar {
    /// The key of a list that has no parent.
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Microseconds since 1970-01-01 UTC: the resolution of PostgreSQL's timestamptz.
    Time(i64),
}

/// What a column holds, as far as keys and cursors care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Bool,
    Int,
    BigInt,
    Text,
    Time,
}

/// The type of a primary or unique key. Each look-up has its own, so batches cannot be mixed up.
pub trait Key: Clone + Eq + Hash + Debug + Into<Scalar> + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The key that a scalar stands for, if it can.
    fn of(scalar: &Scalar) -> Option<Self>;
}

impl Key for i64 {
    fn of(scalar: &Scalar) -> Option<Self> {
        if let Scalar::Int(value) = scalar { Some(*value) } else { None }
    }
}

impl Key for String {
    fn of(scalar: &Scalar) -> Option<Self> {
        if let Scalar::Text(value) = scalar { Some(value.clone()) } else { None }
    }
}

impl From<i64> for Scalar {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Scalar {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Scalar {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<String> for Scalar {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<DateTime<Utc>> for Scalar {
    fn from(value: DateTime<Utc>) -> Self {
        Self::Time(value.timestamp_micros())
    }
}

impl Kind {
    /// # Panics
    /// For a column type that can be neither key nor sort column: a mistake in a declaration, met at start.
    pub fn of(column: &ColumnType) -> Self {
        match column {
            ColumnType::Boolean => Self::Bool,
            ColumnType::SmallInteger | ColumnType::Integer => Self::Int,
            ColumnType::BigInteger => Self::BigInt,
            ColumnType::Char(_) | ColumnType::String(_) | ColumnType::Text => Self::Text,
            ColumnType::Timestamp | ColumnType::TimestampWithTimeZone | ColumnType::DateTime => Self::Time,
            other => panic!("a column of type {other:?} can be neither key nor sort column"),
        }
    }
}

impl Scalar {
    /// Reads `column` of a row.
    pub fn read(row: &QueryResult, column: &str, kind: Kind) -> Result<Self, DbErr> {
        Ok(match kind {
            Kind::Bool => Self::Bool(row.try_get_by(column)?),
            Kind::Int => Self::Int(i64::from(row.try_get_by::<i32, _>(column)?)),
            Kind::BigInt => Self::Int(row.try_get_by(column)?),
            Kind::Text => Self::Text(row.try_get_by(column)?),
            Kind::Time => row.try_get_by::<DateTime<Utc>, _>(column)?.into(),
        })
    }

    /// Reads `column` of a row; NULL is [`Scalar::Null`].
    pub fn read_nullable(row: &QueryResult, column: &str, kind: Kind) -> Result<Self, DbErr> {
        fn read<T: Into<Scalar> + TryGetable>(row: &QueryResult, column: &str) -> Result<Scalar, DbErr> {
            Ok(row.try_get_by::<Option<T>, _>(column)?.map_or(Scalar::Null, Into::into))
        }
        match kind {
            Kind::Bool => read::<bool>(row, column),
            Kind::Int => read::<i32>(row, column),
            Kind::BigInt => read::<i64>(row, column),
            Kind::Text => read::<String>(row, column),
            Kind::Time => read::<DateTime<Utc>>(row, column),
        }
    }

    /// Whether this can be compared with a column of `kind`: a cursor comes from outside.
    pub fn fits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Bool(_), Kind::Bool) | (Self::Int(_), Kind::BigInt) => true,
            (Self::Int(value), Kind::Int) => i32::try_from(*value).is_ok(),
            // NUL cannot be stored in a PostgreSQL text, nor be sent to it.
            (Self::Text(value), Kind::Text) => !value.contains('\0'),
            // PostgreSQL's timestamptz begins in 4714 BC, the year -4713.
            (Self::Time(value), Kind::Time) => {
                DateTime::from_timestamp_micros(*value).is_some_and(|time| time.year() > -4713)
            }
            _ => false,
        }
    }

    /// The value as SeaORM binds it.
    pub fn bind(self) -> Value {
        match self {
            Self::Null => Value::BigInt(None),
            Self::Bool(value) => Value::Bool(Some(value)),
            Self::Int(value) => Value::BigInt(Some(value)),
            Self::Text(value) => Value::String(Some(value)),
            Self::Time(value) => Value::ChronoDateTimeUtc(DateTime::from_timestamp_micros(value)),
        }
    }

    /// The value as a record is serialised with it, where that has the names and values of the database.
    pub fn json(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) | Self::Time(value) => value.into(),
            Self::Text(value) => value.into(),
        }
    }

    /// The element type of an array of such values.
    pub(super) fn array_type(&self) -> ArrayType {
        match self {
            Self::Null | Self::Int(_) => ArrayType::BigInt,
            Self::Bool(_) => ArrayType::Bool,
            Self::Text(_) => ArrayType::String,
            Self::Time(_) => ArrayType::ChronoDateTimeUtc,
        }
    }
}
