//! What PostgreSQL's refusal of a row means for the file the row came from.
//!
//! Relies on codes, names and numbers only: the words around them are in the server's language.

use sqlx::postgres::{PgDatabaseError, PgPool};

use super::super::File;
use super::super::error::{Breach, Error, Rule};
use super::super::second_pass::{find, key, mentioned, orphan};
use super::super::shape::{Shape, quote};
use super::Step;

pub(super) async fn explain(pool: &PgPool, files: &[File], step: &Step, cause: sqlx::Error) -> Error {
    let refusal = match &cause {
        sqlx::Error::Database(refusal) => refusal.try_downcast_ref::<PgDatabaseError>(),
        _ => None,
    };
    // A deferred constraint is checked at the end, and then the refusal alone names the table.
    let table = refusal.and_then(PgDatabaseError::table);
    let index = step.current.or_else(|| files.iter().position(|file| Some(file.table.name) == table));
    match (refusal, index.and_then(|index| Some((files.get(index)?, step.shapes.get(index)?)))) {
        (Some(refusal), Some((file, shape))) => match place(pool, file, shape, refusal).await {
            Some(error) => error,
            None => Error::Database(cause),
        },
        _ => Error::Database(cause),
    }
}

async fn place(pool: &PgPool, file: &File, shape: &Shape, refusal: &PgDatabaseError) -> Option<Error> {
    let at = refusal.r#where().and_then(|context| position(context, file.table.name));
    let copy_line = at.as_ref().map(|at| at.line);
    // https://www.postgresql.org/docs/current/errcodes-appendix.html, class 23
    let rule = match refusal.code() {
        "23503" => {
            let sql = definition(pool, file, refusal.constraint()?).await?;
            let (children, parent) = sql.split_once("REFERENCES ")?;
            let columns = mentioned(children, &shape.columns);
            let values = refusal.detail().and_then(|detail| values(detail, columns.len())).unwrap_or_default();
            let key: Vec<_> = columns.into_iter().zip(values).collect();
            let parent = parent.split('(').next().unwrap_or(parent).trim().replace('"', "");
            return Some(orphan(file, shape, parent, &key, refusal.constraint().map(str::to_owned)).await);
        }
        "23505" | "23P01" => Rule::Unique,
        "23514" => Rule::Check,
        "23502" => Rule::NotNull,
        _ => {
            let at = at?;
            let line = find(file, shape, |row| (row.copy_line == at.line).then_some(row.line)).await;
            let message = refusal.message().to_owned();
            return Some(Error::Refused { file: file.name.clone(), line, column: at.column, message });
        }
    };
    let columns = match (refusal.constraint(), refusal.column()) {
        (Some(constraint), _) => {
            let sql = definition(pool, file, constraint).await.unwrap_or_default();
            mentioned(sql.split_once('(').map_or("", |(_, columns)| columns), &shape.columns)
        }
        (None, column) => column.into_iter().map(str::to_owned).collect(),
    };
    let found =
        find(file, shape, |row| (Some(row.copy_line) == copy_line).then(|| (row.line, key(row, &columns)))).await;
    let (line, key) = found.map_or((None, None), |(line, key)| (Some(line), key));
    let key = if rule == Rule::NotNull { columns.into_iter().next() } else { key };
    let breach = Breach { rule, key, constraint: refusal.constraint().map(str::to_owned) };
    Some(Error::Broken { file: file.name.clone(), line, breach })
}

/// The SQL of a table's constraint or unique index.
async fn definition(pool: &PgPool, file: &File, constraint: &str) -> Option<String> {
    sqlx::query_scalar(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = to_regclass($1) and conname = $2
         union all
         select pg_get_indexdef(oid) from pg_class join pg_index on indexrelid = oid
         where indrelid = to_regclass($1) and relname = $2
         limit 1",
    )
    .bind(quote(file.table.name))
    .bind(constraint)
    .fetch_optional(pool)
    .await
    .ok()
    .flatten()
}

#[derive(Debug, PartialEq, Eq)]
struct Position {
    line: u64,
    column: Option<String>,
}

/// Reads `COPY posts, line 5, column status: "x"`; the innermost function comes first where there are several lines.
fn position(context: &str, table: &str) -> Option<Position> {
    let (_, place) = context.lines().filter(|line| line.contains("COPY")).find_map(|line| line.split_once(table))?;
    let start = place.find(|character: char| character.is_ascii_digit())?;
    let digits = place[start..].split(|character: char| !character.is_ascii_digit()).next()?;
    let column = place[start + digits.len()..]
        .strip_prefix(", ")
        .and_then(|rest| rest.split_once(' '))
        .map(|(_, name)| name.split(':').next().unwrap_or(name).to_owned());
    Some(Position { line: digits.parse().ok()?, column })
}

/// Reads the values of `Key (post_id, tag_id)=(1, 2) is not present in table "posts".`
fn values(detail: &str, count: usize) -> Option<Vec<String>> {
    let (_, values) = detail.split_once(")=(")?;
    let (values, _) = values.rsplit_once(')')?;
    let values: Vec<_> = match count {
        1 => vec![values.to_owned()],
        _ => values.split(", ").map(str::to_owned).collect(),
    };
    (values.len() == count).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_in_any_language() {
        let position = |context| position(context, "posts").map(|at| (at.line, at.column));
        assert_eq!(position("COPY posts, line 5"), Some((5, None)));
        assert_eq!(position("COPY posts, line 5: \"1,2,column 7\""), Some((5, None)));
        assert_eq!(position("COPY posts, line 15, column meta: \"{\""), Some((15, Some("meta".to_owned()))));
        assert_eq!(position("COPY posts, Zeile 5, Spalte meta: »{«"), Some((5, Some("meta".to_owned()))));
        assert_eq!(position("PL/pgSQL function f() line 3 at RAISE\nCOPY posts, line 9: \"x\""), Some((9, None)));
        assert_eq!(position("SQL statement \"SELECT 1 FROM ONLY posts x\""), None);
    }

    #[test]
    fn values_may_hold_parentheses() {
        let values = |detail| values(detail, 1);
        assert_eq!(values("Key (a)=(999) is not present in table \"users\"."), Some(vec!["999".to_owned()]));
        assert_eq!(values("Key (a)=((x)) is not present in table \"users\"."), Some(vec!["(x)".to_owned()]));
        assert_eq!(super::values("Key (a, b)=(1, 2) is …", 2), Some(vec!["1".to_owned(), "2".to_owned()]));
    }
}
