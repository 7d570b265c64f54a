//! Loading into PostgreSQL: COPY.

mod refusal;

use sqlx::postgres::{PgConnection, PgCopyIn, PgPool};
use sqlx::{AssertSqlSafe, Connection};

use super::error::Error;
use super::reader::Reader;
use super::shape::{Shape, list, quote};
use super::{File, Loaded, Progress};

pub(super) async fn load(pool: &PgPool, files: &[File], progress: &dyn Progress) -> Result<Vec<Loaded>, Error> {
    // No connection of the pool: in whatever state an error or a dropped future leaves it, that it closes undoes all.
    let mut connection = pool.acquire().await?.detach();
    let mut step = Step::default();
    let loaded = import(&mut connection, files, progress, &mut step).await;
    if loaded.is_ok() {
        analyze(&mut connection, files).await;
    }
    // Its transaction ends with it, at the latest when the server finds the socket closed.
    let _ = connection.close().await;
    match loaded {
        Err(Error::Database(cause)) => Err(refusal::explain(pool, files, &step, cause).await),
        loaded => loaded,
    }
}

/// How far an import came: what an explanation of its failure needs.
#[derive(Default)]
struct Step {
    shapes: Vec<Shape>,
    /// The file that is being copied.
    current: Option<usize>,
}

async fn import(
    connection: &mut PgConnection,
    files: &[File],
    progress: &dyn Progress,
    step: &mut Step,
) -> Result<Vec<Loaded>, Error> {
    // A big file takes longer than any query may.
    sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
    sqlx::query("begin").execute(&mut *connection).await?;
    // All headers first: a mistake in the last one is not found after minutes.
    for file in files {
        let shape = shape(connection, file).await?;
        Reader::open(file, &shape).await?;
        step.shapes.push(shape);
    }
    let mut loaded = Vec::new();
    for (index, file) in files.iter().enumerate() {
        step.current = Some(index);
        progress.table(file.table.name);
        loaded.push(copy(connection, file, &step.shapes[index], progress).await?);
    }
    step.current = None;
    progress.settles();
    for file in files {
        set_sequences(connection, file.table.name).await?;
    }
    sqlx::query("commit").execute(&mut *connection).await?;
    Ok(loaded)
}

async fn shape(connection: &mut PgConnection, file: &File) -> Result<Shape, Error> {
    let found = sqlx::query_as(
        "select attname::text, not attnotnull, atthasdef or attidentity <> '' from pg_attribute
         where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attgenerated = ''
         order by attnum",
    )
    .bind(quote(file.table.name))
    .fetch_all(connection)
    .await?;
    Shape::new(file, found)
}

async fn copy(
    connection: &mut PgConnection,
    file: &File,
    shape: &Shape,
    progress: &dyn Progress,
) -> Result<Loaded, Error> {
    let mut reader = Reader::open(file, shape).await?;
    let mut copy = connection.copy_in_raw(&statement(file.table.name, &reader)).await?;
    let bytes = feed(&mut copy, &mut reader, progress).await?;
    let rows = copy.finish().await?;
    Ok(Loaded { table: file.table.name, rows, bytes })
}

/// Sends what has been checked, in chunks. The server works on one while the next is checked.
async fn feed(
    copy: &mut PgCopyIn<&mut PgConnection>,
    reader: &mut Reader<'_>,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let mut bytes = 0;
    let mut rows = 0;
    loop {
        let passed = reader.passed();
        copy.send(passed).await?;
        bytes += passed.len() as u64;
        progress.advanced(rows, passed.len() as u64);
        if !reader.fill().await? {
            return Ok(bytes);
        }
        rows = 0;
        while reader.next_row()?.is_some() {
            rows += 1;
        }
    }
}

fn statement(table: &str, reader: &Reader<'_>) -> String {
    let columns = reader.columns();
    let filled_in: Vec<_> = columns.iter().filter(|column| !column.nullable).cloned().collect();
    // Without this, an empty field is NULL in any column.
    let not_null = match filled_in.is_empty() {
        true => String::new(),
        false => format!(", force_not_null ({})", list(&filled_in)),
    };
    format!("copy {} ({}) from stdin (format csv, header{not_null})", quote(table), list(columns))
}

/// Lets the sequences of a table go on after its highest values. They are never set back.
async fn set_sequences(connection: &mut PgConnection, table: &str) -> Result<(), Error> {
    let table = quote(table);
    let sequences: Vec<(String, String)> = sqlx::query_as(
        "select column_name, sequence from (
            select attname::text as column_name, pg_get_serial_sequence($1, attname::text) as sequence
            from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
         ) columns where sequence is not null",
    )
    .bind(&table)
    .fetch_all(&mut *connection)
    .await?;
    for (column, sequence) in sequences {
        let column = quote(&column);
        let set = format!(
            "select setval($1::regclass, greatest(max({column}), pg_sequence_last_value($1::regclass)))
             from {table} having max({column}) > 0"
        );
        sqlx::query(AssertSqlSafe(set)).bind(sequence).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Without statistics the first queries would be planned for empty tables. All tables beside those of the files, too:
/// triggers fill some.
async fn analyze(connection: &mut PgConnection, files: &[File]) {
    if let Err(error) = try_analyze(connection, files).await {
        tracing::warn!(%error, "the import succeeded, but the tables could not be analyzed");
    }
}

async fn try_analyze(connection: &mut PgConnection, files: &[File]) -> Result<(), sqlx::Error> {
    let tables: Vec<_> = files.iter().map(|file| quote(file.table.name)).collect();
    let beside: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class
         where relkind in ('r', 'p') and pg_has_role(relowner, 'usage') and relnamespace in (
            select relnamespace from pg_class where oid in (select to_regclass(name) from unnest($1) tables(name))
         )",
    )
    .bind(tables)
    .fetch_all(&mut *connection)
    .await?;
    if !beside.is_empty() {
        sqlx::query(AssertSqlSafe(format!("analyze {}", beside.join(", ")))).execute(connection).await?;
    }
    Ok(())
}
