//! Loading into SQLite: inserts of many rows each.

mod refusal;

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool};
use sqlx::{Arguments, AssertSqlSafe, Connection};

use super::error::Error;
use super::reader::{Reader, Row};
use super::shape::{Column, Shape, list, quote};
use super::value::Value;
use super::{File, Loaded, Progress};

/// Memory for pages, in KiB, negative as SQLite has it. With its usual 2 MB, rows that are scattered over an index move
/// pages to disk and back: the 1.9 million rows of the full data set take three times as long.
const CACHE: i64 = -128 * 1024;
/// Rows of one insert.
const ROWS: usize = 250;
/// SQLite's default limit of one statement.
const PARAMETERS: usize = 32_766;
/// An insert goes off when its rows come to so many bytes.
const BYTES: usize = 4 << 20;

pub(super) async fn load(pool: &SqlitePool, files: &[File], progress: &dyn Progress) -> Result<Vec<Loaded>, Error> {
    let mut connection = pool.acquire().await?;
    let usual: i64 = sqlx::query_scalar("pragma cache_size").fetch_one(&mut *connection).await?;
    set_cache(&mut connection, CACHE).await?;
    let loaded = import(&mut connection, files, progress).await;
    set_cache(&mut connection, usual).await?;
    loaded
}

async fn set_cache(connection: &mut SqliteConnection, size: i64) -> Result<(), Error> {
    sqlx::query(AssertSqlSafe(format!("pragma cache_size = {size}"))).execute(connection).await?;
    Ok(())
}

async fn import(
    connection: &mut SqliteConnection,
    files: &[File],
    progress: &dyn Progress,
) -> Result<Vec<Loaded>, Error> {
    // Undone when dropped. Immediate, so that it waits for another writer now and is not refused later.
    let mut transaction = connection.begin_with("begin immediate").await?;
    // Within a table rows may come in any order, as with COPY; its foreign keys are checked when all are in.
    sqlx::query("pragma defer_foreign_keys = on").execute(&mut *transaction).await?;
    // All headers first: a mistake in the last one is not found after minutes.
    let mut shapes = Vec::new();
    for file in files {
        let shape = shape(&mut transaction, file).await?;
        Reader::open(file, &shape).await?;
        shapes.push(shape);
    }
    let mut loaded = Vec::new();
    for (file, shape) in files.iter().zip(&shapes) {
        progress.table(file.table.name);
        loaded.push(insert(&mut transaction, file, shape, progress).await?);
        refusal::check_foreign_keys(&mut transaction, file, shape).await?;
    }
    progress.settles();
    transaction.commit().await?;
    analyze(connection).await;
    Ok(loaded)
}

async fn shape(connection: &mut SqliteConnection, file: &File) -> Result<Shape, Error> {
    // The one primary key column of type integer is the row's number, which SQLite gives out.
    let found = sqlx::query_as(
        r#"select name, "notnull" = 0 and pk = 0, dflt_value is not null
                or (pk = 1 and lower(type) = 'integer' and max(pk) over () = 1)
           from pragma_table_xinfo(?) where hidden = 0 order by cid"#,
    )
    .bind(file.table.name)
    .fetch_all(connection)
    .await?;
    Shape::new(file, found)
}

async fn insert(
    connection: &mut SqliteConnection,
    file: &File,
    shape: &Shape,
    progress: &dyn Progress,
) -> Result<Loaded, Error> {
    let mut reader = Reader::open(file, shape).await?;
    let columns = reader.columns().to_vec();
    let most = ROWS.min(PARAMETERS / columns.len());
    let full = statement(file, &columns, most);
    let mut target = Target { connection, file, shape, progress, columns, most, full, rows: 0 };
    let mut batch = Batch::default();
    let mut bytes = 0;
    loop {
        bytes += reader.passed().len() as u64;
        progress.advanced(0, reader.passed().len() as u64);
        if !reader.fill().await? {
            break;
        }
        while let Some(row) = reader.next_row()? {
            batch.add(&row)?;
            if batch.rows == most || batch.bytes > BYTES {
                target.insert(std::mem::take(&mut batch)).await?;
            }
        }
    }
    target.insert(batch).await?;
    Ok(Loaded { table: file.table.name, rows: target.rows, bytes })
}

/// Rows on their way into the table.
#[derive(Default)]
struct Batch {
    arguments: SqliteArguments,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.rows += 1;
        row.values().flatten().try_for_each(|value| {
            self.bytes += if let Value::Text(text) = value { text.len() } else { 8 };
            bind(&mut self.arguments, value)
        })
    }
}

/// Instants become texts in the form that sqlx writes, so that they compare with those written later.
fn bind(arguments: &mut SqliteArguments, value: Value<'_>) -> Result<(), Error> {
    let bound = match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Bool(value) => arguments.add(value),
        Value::Int(value) => arguments.add(value),
        Value::Time(value) => arguments.add(value),
        Value::Text(value) => arguments.add(value),
    };
    bound.map_err(|cause| sqlx::Error::Encode(cause).into())
}

/// A table as it is being filled from a file.
struct Target<'a> {
    connection: &'a mut SqliteConnection,
    file: &'a File,
    shape: &'a Shape,
    progress: &'a dyn Progress,
    columns: Vec<Column>,
    most: usize,
    /// The insert of `most` rows.
    full: String,
    /// Rows that are in.
    rows: u64,
}

impl Target<'_> {
    async fn insert(&mut self, batch: Batch) -> Result<(), Error> {
        let Batch { arguments, rows, .. } = batch;
        if rows == 0 {
            return Ok(());
        }
        let fewer = (rows < self.most).then(|| statement(self.file, &self.columns, rows));
        let insert = AssertSqlSafe(fewer.as_deref().unwrap_or(&self.full));
        match sqlx::query_with(insert, arguments).execute(&mut *self.connection).await {
            Ok(_) => {
                self.rows += rows as u64;
                self.progress.advanced(rows as u64, 0);
                Ok(())
            }
            // The insert left nothing behind, so its rows can be tried one by one.
            Err(cause @ sqlx::Error::Database(_)) => {
                Err(refusal::find_row(self.connection, self.file, self.shape, self.rows, cause).await)
            }
            Err(cause) => Err(cause.into()),
        }
    }
}

fn statement(file: &File, columns: &[Column], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    let rows = vec![row; rows].join(",");
    format!("insert into {} ({}) values {rows}", quote(file.table.name), list(columns))
}

/// Without statistics the first queries would be planned for empty tables. All of them: triggers fill some.
async fn analyze(connection: &mut SqliteConnection) {
    if let Err(error) = sqlx::query("analyze").execute(connection).await {
        tracing::warn!(%error, "the import succeeded, but the tables could not be analyzed");
    }
}
