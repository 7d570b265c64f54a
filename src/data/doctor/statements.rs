//! What pg_stat_statements tells, and what tables are read without an index.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{Finding, Severity, found};
use crate::data::catalogue::Catalogue;
use crate::data::plan::words;

/// Statements that were run less often say little.
const CALLS: i64 = 5;
/// What is slow where nothing is told of, in milliseconds.
const SLOW: u64 = 200;
/// Statements that are told of.
const MOST: usize = 10;

const SLOWEST: &str = "
    select queryid, query, calls, mean_exec_time as mean, max_exec_time as max from pg_stat_statements(true)
    where dbid = (select oid from pg_database where datname = current_database())
        and calls >= $1 and mean_exec_time >= $2
        and query not ilike 'copy%' and query !~* '\\mpg_(catalog|class|constraint|control|current|get|index|is|last|stat)'
    order by total_exec_time desc limit $3";

const SCANNED: &str = "
    select 'warning' as severity, relname::text as subject,
        format('it was scanned %s times, for %s rows each, of %s that it has', seq_scan, seq_tup_read / seq_scan, n_live_tup)
            as evidence,
        format('shoal explain, with the operations that the log of slow statements names; and then, to look anew:%s'
            'select pg_stat_reset_single_table_counters(%L::regclass);', chr(10), relid::regclass) as mend
    from pg_stat_user_tables
    where n_live_tup > 10000 and seq_scan > 100 and seq_tup_read / seq_scan > n_live_tup / 2";

pub(super) async fn examine(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    slow_ms: u64,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = found(connection, "scans", SCANNED).await?;
    let slow = if slow_ms == 0 { SLOW } else { slow_ms };
    let asked = sqlx::query(SLOWEST).bind(CALLS).bind(slow as f64).bind(MOST as i64).fetch_all(connection).await;
    let rows = match asked {
        Ok(rows) => rows,
        // It is not installed, or not loaded, or this role may not look.
        Err(error) if error.as_database_error().is_some() => {
            let mend = "alter system set shared_preload_libraries = 'pg_stat_statements'; -- restart it\n\
                        create extension pg_stat_statements; -- in this database";
            let evidence = format!("it cannot be read: {error}");
            findings.push(Finding::new(Severity::Note, "statements", "pg_stat_statements", evidence, mend));
            return Ok(findings);
        }
        Err(error) => return Err(error),
    };
    for row in rows {
        let (query, calls): (String, i64) = (row.try_get("query")?, row.try_get("calls")?);
        let (mean, max): (f64, f64) = (row.try_get("mean")?, row.try_get("max")?);
        let evidence = format!("{mean:.1} ms on average of {calls} calls, {max:.1} at most");
        // The index whose table it reads, and whose first column it names.
        let lacks = catalogue.missing().find(|index| {
            let first = index.keys().into_iter().next().unwrap_or_default();
            let names = |wanted: &str| words(&query).any(|word| word == wanted);
            names(&index.table) && words(&first).any(names)
        });
        let mend = match lacks {
            Some(index) => index.command(),
            None => "shoal explain, with an operation that the log of slow statements names".to_owned(),
        };
        // Of others' statements some roles are not told even that.
        let forget = row.try_get::<Option<i64>, _>("queryid")?;
        let forget = forget.map(|id| format!("\nselect pg_stat_statements_reset(0, 0, {id}); -- to look anew"));
        let mend = mend + &forget.unwrap_or_default();
        let subject: String = query.split_whitespace().collect::<Vec<_>>().join(" ");
        findings.push(Finding::new(Severity::Warning, "statements", subject, evidence, mend));
    }
    Ok(findings)
}
