//! What SQLite's refusal of some rows means for the file they came from.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::File;
use super::super::error::{Breach, Error, Rule};
use super::super::reader::{Reader, Row};
use super::super::second_pass::{key, mentioned, orphan};
use super::super::shape::{Shape, quote};
use super::{bind, statement};

/// Tries the rows after the first `done` one by one until one is refused again.
pub(super) async fn find_row(
    connection: &mut SqliteConnection,
    file: &File,
    shape: &Shape,
    done: u64,
    cause: sqlx::Error,
) -> Error {
    match retry(connection, file, shape, done).await {
        Ok(()) => Error::Database(cause),
        Err(error) => error,
    }
}

async fn retry(connection: &mut SqliteConnection, file: &File, shape: &Shape, done: u64) -> Result<(), Error> {
    let mut reader = Reader::open(file, shape).await?;
    let single = statement(file, reader.columns(), 1);
    let mut seen = 0;
    while reader.fill().await? {
        while let Some(row) = reader.next_row()? {
            seen += 1;
            if seen <= done {
                continue;
            }
            let mut arguments = SqliteArguments::default();
            row.values().flatten().try_for_each(|value| bind(&mut arguments, value))?;
            match sqlx::query_with(AssertSqlSafe(&*single), arguments).execute(&mut *connection).await {
                Ok(_) => {}
                Err(sqlx::Error::Database(refusal)) => {
                    return Err(explain(connection, file, shape, &row, &*refusal).await);
                }
                Err(cause) => return Err(cause.into()),
            }
        }
    }
    Ok(())
}

/// The message is `UNIQUE constraint failed: ` and then, by the kind of constraint, what [`concerned`] takes apart.
async fn explain(
    connection: &mut SqliteConnection,
    file: &File,
    shape: &Shape,
    row: &Row<'_>,
    refusal: &dyn DatabaseError,
) -> Error {
    let rule = match refusal.kind() {
        ErrorKind::UniqueViolation => Rule::Unique,
        ErrorKind::CheckViolation => Rule::Check,
        ErrorKind::NotNullViolation => Rule::NotNull,
        _ => {
            let message = refusal.message().to_owned();
            return Error::Refused { file: file.name.clone(), line: Some(row.line), column: None, message };
        }
    };
    let subject = refusal.message().split_once(": ").map_or("", |(_, subject)| subject);
    let (columns, constraint) = concerned(connection, file, shape, &rule, subject).await;
    let key = if rule == Rule::NotNull { columns.into_iter().next() } else { key(row, &columns) };
    Error::Broken { file: file.name.clone(), line: Some(row.line), breach: Breach { rule, key, constraint } }
}

/// The columns of a constraint, and its name if it has one: from `users.id`, `index 'users_email'` or `users_role_known`.
async fn concerned(
    connection: &mut SqliteConnection,
    file: &File,
    shape: &Shape,
    rule: &Rule,
    subject: &str,
) -> (Vec<String>, Option<String>) {
    let index = subject.strip_prefix("index '").and_then(|name| name.strip_suffix('\''));
    let name = match (rule, index) {
        (Rule::Check, _) => file.table.name,
        (_, Some(index)) => index,
        _ => {
            let columns = subject.split(", ").filter_map(|column| column.split_once('.'));
            return (columns.map(|(_, column)| column.to_owned()).collect(), None);
        }
    };
    let sql: Option<String> = sqlx::query_scalar("select sql from sqlite_schema where name = ?")
        .bind(name)
        .fetch_optional(connection)
        .await
        .ok()
        .flatten();
    let sql = sql.unwrap_or_default();
    match index {
        Some(index) => {
            let columns = sql.split_once('(').map_or("", |(_, columns)| columns);
            (mentioned(columns, &shape.columns), Some(index.to_owned()))
        }
        None => match condition(&sql, subject) {
            Some(condition) => (mentioned(condition, &shape.columns), Some(subject.to_owned())),
            // A check without a name is called by its condition.
            None => (mentioned(subject, &shape.columns), Some(subject.to_owned())),
        },
    }
}

/// The condition of a table's named check.
fn condition<'a>(sql: &'a str, name: &str) -> Option<&'a str> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let (place, _) = sql
        .match_indices(name)
        .find(|(place, _)| !sql[..*place].ends_with(is_word) && !sql[place + name.len()..].starts_with(is_word))?;
    let rest = &sql[place + name.len()..];
    let start = rest.find('(')?;
    let mut depth = 0_usize;
    for (end, character) in rest[start..].char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&rest[start..=start + end]);
        }
    }
    None
}

/// SQLite says only that some foreign key is broken, and of a deferred one only at commit.
pub(super) async fn check_foreign_keys(
    connection: &mut SqliteConnection,
    file: &File,
    shape: &Shape,
) -> Result<(), Error> {
    let orphaned: Option<(Option<i64>, String, i64)> =
        sqlx::query_as("select rowid, parent, fkid from pragma_foreign_key_check(?) limit 1")
            .bind(file.table.name)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((rowid, parent, foreign_key)) = orphaned else {
        return Ok(());
    };
    // A table that is declared WITHOUT ROWID does not tell which row.
    let Some(rowid) = rowid else {
        return Err(orphan(file, shape, parent, &[], None).await);
    };
    let columns: Vec<String> =
        sqlx::query_scalar(r#"select "from" from pragma_foreign_key_list(?) where id = ? order by seq"#)
            .bind(file.table.name)
            .bind(foreign_key)
            .fetch_all(&mut *connection)
            .await?;
    let texts: Vec<_> = columns.iter().map(|name| format!("cast({} as text)", quote(name))).collect();
    let select = format!("select {} from {} where rowid = ?", texts.join(", "), quote(file.table.name));
    let row = sqlx::query(AssertSqlSafe(select)).bind(rowid).fetch_one(connection).await?;
    let values = (0..columns.len()).map(|index| row.try_get::<String, _>(index)).collect::<Result<Vec<_>, _>>()?;
    let key: Vec<_> = columns.into_iter().zip(values).collect();
    Err(orphan(file, shape, parent, &key, None).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_condition_is_found_whole() {
        let sql = "create table posts (
            status text constraint posts_status_known_too check (a), title text
                constraint posts_status_known check (status in ('draft', 'published')),
            body text)";
        assert_eq!(condition(sql, "posts_status_known"), Some("(status in ('draft', 'published'))"));
        assert_eq!(condition(sql, "posts_status"), None);
    }
}
