//! Statements on a connection, with SeaORM's values in and its rows out.

use chrono::SecondsFormat;
use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{QueryResult, Statement};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe};

use super::pool::Pooled;

impl Pooled {
    /// Runs one statement, outside a transaction.
    pub async fn query(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        self.begin();
        let rows = self.run(statement).await?;
        self.finish();
        Ok(rows)
    }

    /// Runs one statement of a transaction.
    pub async fn run(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
        let arguments = arguments(values).map_err(sqlx::Error::Encode)?;
        let query = sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), arguments);
        let rows = query.fetch_all(&mut **self).await?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

/// The types of what a statement binds, separated by commas.
pub(super) fn types(statement: &Statement) -> String {
    let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
    values.iter().map(type_of).collect::<Vec<_>>().join(", ")
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::BigInt(_) => "bigint",
        Value::Bytes(_) => "bytea",
        Value::ChronoDateTimeUtc(_) => "timestamptz",
        Value::Array(ArrayType::Bool, _) => "boolean[]",
        Value::Array(ArrayType::Int, _) => "integer[]",
        Value::Array(ArrayType::BigInt, _) => "bigint[]",
        Value::Array(ArrayType::ChronoDateTimeUtc, _) => "timestamptz[]",
        Value::Array(..) => "text[]",
        _ => "text",
    }
}

/// What a statement binds as literals, separated by commas; or nothing but nulls.
pub(super) fn literals(statement: &Statement, with_values: bool) -> String {
    let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
    let literal = |value| if with_values { literal(value) } else { "null".to_owned() };
    values.iter().map(literal).collect::<Vec<_>>().join(", ")
}

fn literal(value: &Value) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        Value::Bool(Some(value)) => value.to_string(),
        Value::Int(Some(value)) => value.to_string(),
        Value::BigInt(Some(value)) => value.to_string(),
        Value::String(Some(value)) => quoted(value),
        Value::Bytes(Some(bytes)) => {
            quoted(&bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")))
        }
        Value::ChronoDateTimeUtc(Some(time)) => quoted(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
        Value::Array(_, Some(values)) => {
            let values: Vec<_> = values.iter().map(literal).collect();
            format!("array[{}]::{}", values.join(", "), type_of(value))
        }
        _ => "null".to_owned(),
    }
}

/// The values of a statement, as sqlx takes them.
fn arguments(values: &[Value]) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Bool(value) => arguments.add(value)?,
            Value::Int(value) => arguments.add(value)?,
            Value::BigInt(value) => arguments.add(value)?,
            Value::String(value) => arguments.add(value)?,
            Value::Bytes(value) => arguments.add(value)?,
            Value::ChronoDateTimeUtc(value) => arguments.add(value)?,
            Value::Array(kind, Some(values)) => array(&mut arguments, kind, values)?,
            other => return Err(format!("no statement has a parameter like {other:?}").into()),
        }
    }
    Ok(arguments)
}

fn array(arguments: &mut PgArguments, kind: &ArrayType, values: &[Value]) -> Result<(), sqlx::error::BoxDynError> {
    macro_rules! add {
        ($variant:ident) => {{
            let values = values.iter().map(|value| match value {
                Value::$variant(value) => Ok(value),
                other => Err(format!("{other:?} in an array of another type")),
            });
            arguments.add(values.collect::<Result<Vec<_>, _>>()?)
        }};
    }
    match kind {
        ArrayType::Bool => add!(Bool),
        ArrayType::Int => add!(Int),
        ArrayType::BigInt => add!(BigInt),
        ArrayType::String => add!(String),
        ArrayType::ChronoDateTimeUtc => add!(ChronoDateTimeUtc),
        other => Err(format!("no statement has an array of {other:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    #[test]
    fn what_is_bound_is_told_by_type_or_as_literals() {
        let time = chrono::DateTime::from_timestamp_micros(1_000_001).unwrap();
        let array = |kind, values: Vec<Value>| Value::Array(kind, Some(Box::new(values)));
        let values = [
            Value::from("it's \\ $1"),
            7_i64.into(),
            Value::BigInt(None),
            true.into(),
            time.into(),
            Value::Bytes(Some(vec![0, 255])),
            array(ArrayType::BigInt, vec![1_i64.into(), Value::BigInt(None)]),
            array(ArrayType::String, vec!["a'b".into()]),
            array(ArrayType::BigInt, vec![]),
        ];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, "", values);
        let types = "text, bigint, bigint, boolean, timestamptz, bytea, bigint[], text[], bigint[]";
        assert_eq!(super::types(&statement), types);
        let literals = "'it''s \\ $1', 7, null, true, '1970-01-01T00:00:01.000001Z', '\\x00ff', array[1, null]::bigint[], \
                        array['a''b']::text[], array[]::bigint[]";
        assert_eq!(super::literals(&statement, true), literals);
        assert_eq!(super::literals(&statement, false), ["null"; 9].join(", "));
    }
}
