//! Statements on a connection, with SeaORM's values in and its rows out.

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
