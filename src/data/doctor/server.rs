//! What a server is set to, and what holds it up.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{Finding, Severity, found};
use crate::data::feed;

/// Of a server whose tables are larger than its memory, so many of a hundred blocks should be found there.
const HIT_RATE: f64 = 0.95;
/// Fewer reads say nothing.
const READS: i64 = 100_000;
/// A replica should wait for so many milliseconds before it gives up a query.
const PATIENCE: i64 = 60_000;

const SLOTS: &str = "
    select case when wal_status in ('unreserved', 'lost') or pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > 1 << 30
            then 'error' else 'warning' end as severity, slot_name::text as subject,
        format('nobody reads from it, and it keeps %s of WAL (%s)',
            pg_size_pretty(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)),
            coalesce(wal_status, 'reserved')) as evidence,
        format('select pg_drop_replication_slot(%L); -- unless its reader comes back', slot_name) as mend
    from pg_replication_slots where not active and not temporary";

const PREPARED: &str = "
    select case when prepared < clock_timestamp() - interval '5 minutes' then 'error' else 'warning' end as severity,
        gid as subject,
        format('prepared %s s ago in %s by %s: it keeps its locks, rows from being vacuumed, and the feed from beginning',
            extract(epoch from clock_timestamp() - prepared)::bigint, database, owner) as evidence,
        format('rollback prepared %L; -- in %s', gid, database) as mend
    from pg_prepared_xacts where prepared < clock_timestamp() - interval '10 seconds'";

const OPEN: &str = "
    select 'warning' as severity, format('process %s', pid) as subject,
        format('its transaction began %s s ago, and is %s: it keeps rows from being vacuumed, and the feed from beginning',
            extract(epoch from clock_timestamp() - xact_start)::bigint, state) as evidence,
        format('select pg_terminate_backend(%s);', pid) as mend
    from pg_stat_activity
    where backend_type = 'client backend' and xact_start < clock_timestamp() - interval '5 minutes'
        and pid <> pg_backend_pid()";

const VACUUM: &str = "
    select 'error' as severity, 'autovacuum' as subject, 'it is off: tables grow, and plans grow old' as evidence,
        'alter system set autovacuum = on; select pg_reload_conf();' as mend
    from pg_settings where name = 'autovacuum' and setting = 'off'";

const CONFLICTS: &str = "
    select confl_snapshot + confl_lock + confl_bufferpin + confl_deadlock as conflicts,
        current_setting('hot_standby_feedback')::bool as feedback,
        (select setting::bigint from pg_settings where name = 'max_standby_streaming_delay') as delay
    from pg_stat_database_conflicts where datname = current_database()";

const MEMORY: &str = "
    select pg_size_bytes(current_setting('shared_buffers')) as buffers, pg_database_size(current_database()) as size,
        blks_hit as hit, blks_read as read
    from pg_stat_database where datname = current_database()";

/// What is asked of a primary and of replicas.
pub(super) async fn of_any(node: &str, connection: &mut PgConnection) -> Result<Option<Finding>, sqlx::Error> {
    let row = sqlx::query(MEMORY).fetch_one(connection).await?;
    let memory = ["buffers", "size", "hit", "read"].map(|column| row.try_get::<i64, _>(column).unwrap_or_default());
    Ok(judge_memory(node, memory))
}

pub(super) async fn of_primary(connection: &mut PgConnection, published: &[&str]) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = found(connection, "slot", SLOTS).await?;
    findings.extend(found(connection, "prepared transaction", PREPARED).await?);
    findings.extend(found(connection, "open transaction", OPEN).await?);
    findings.extend(found(connection, "settings", VACUUM).await?);
    for feed::NotKept { table, why } in feed::not_told(connection, published).await? {
        let mend = match why.as_str() {
            "wal_level is not logical" => "alter system set wal_level = logical; -- then restart it".to_owned(),
            "there is no such table" => "shoal migrate up".to_owned(),
            "its replica identity is not full" => format!("alter table {table} replica identity full;"),
            "it is not logged" => format!("alter table {table} set logged;"),
            why if why.starts_with("there is no publication") => {
                format!("create publication {} for table {};", feed::PUBLICATION, published.join(", "))
            }
            why if why.starts_with("it is not in the publication") => {
                format!("alter publication {} add table {table};", feed::PUBLICATION)
            }
            _ => {
                let all = published.join(", ");
                format!("drop publication {0}; create publication {0} for table {all};", feed::PUBLICATION)
            }
        };
        let evidence = format!("nothing of it is cached, since not all its changes are told: {why}");
        findings.push(Finding::new(Severity::Error, "replica identity", table, evidence, mend));
    }
    Ok(findings)
}

pub(super) async fn of_replica(node: &str, connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let Some(row) = sqlx::query(CONFLICTS).fetch_optional(connection).await? else { return Ok(Vec::new()) };
    let conflicts: i64 = row.try_get("conflicts")?;
    Ok(judge_conflicts(node, conflicts, row.try_get("feedback")?, row.try_get("delay")?).into_iter().collect())
}

fn judge_memory(node: &str, [buffers, size, hit, read]: [i64; 4]) -> Option<Finding> {
    let (all, rate) = (hit + read, hit as f64 / (hit + read).max(1) as f64);
    let mebibytes = |bytes: i64| bytes / (1 << 20);
    let evidence = format!(
        "{:.1} % of {all} blocks were found in its {} MiB, and the database has {} MiB",
        rate * 100.0,
        mebibytes(buffers),
        mebibytes(size)
    );
    let mend = format!(
        "alter system set shared_buffers = '{}MB'; -- a quarter of the memory, if it has that; then restart it",
        mebibytes(buffers * 4)
    );
    let is_small = size > buffers && all >= READS && rate < HIT_RATE;
    is_small.then(|| Finding::new(Severity::Warning, "shared_buffers", node, evidence, mend))
}

/// Of so many milliseconds; less than 0 is for ever. Where both are as they should be nothing is left to be set: the metrics tell.
fn judge_conflicts(node: &str, conflicts: i64, has_feedback: bool, delay: i64) -> Option<Finding> {
    let mend = match has_feedback {
        false => "alter system set hot_standby_feedback = on; select pg_reload_conf(); -- on the replica",
        true if (0..PATIENCE).contains(&delay) => {
            "alter system set max_standby_streaming_delay = '60s'; select pg_reload_conf(); -- on the replica"
        }
        true => return None,
    };
    let feedback = if has_feedback { "on" } else { "off" };
    let evidence = format!(
        "{conflicts} queries were given up for what it had to replay (hot_standby_feedback {feedback}, \
         max_standby_streaming_delay {delay} ms)"
    );
    (conflicts > 0).then(|| Finding::new(Severity::Warning, "conflicts", node, evidence, mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_judged_by_what_they_are_asked_for() {
        const MIB: i64 = 1 << 20;
        let severity = |found: Option<Finding>| found.map(|found| found.severity);
        let memory =
            |buffers, size, hit, read| severity(judge_memory("primary", [buffers * MIB, size * MIB, hit, read]));
        assert_eq!(memory(128, 1000, 900_000, 100_000), Some(Severity::Warning));
        assert_eq!(memory(128, 100, 900_000, 100_000), None, "all of it is in memory, once it was read");
        assert_eq!(memory(128, 1000, 990_000, 10_000), None);
        assert_eq!(memory(128, 1000, 9, 90), None, "too early to tell");
        assert_eq!(memory(128, 1000, 0, 0), None);

        let mend = |conflicts, has_feedback, delay| {
            judge_conflicts("replica-1", conflicts, has_feedback, delay).map(|found| found.mend)
        };
        assert_eq!(mend(0, false, 30_000), None);
        assert!(mend(3, false, 30_000).unwrap().contains("hot_standby_feedback = on"));
        assert!(mend(3, true, 30_000).unwrap().contains("max_standby_streaming_delay = '60s'"));
        assert_eq!([mend(3, true, 60_000), mend(3, true, -1)], [None, None], "nothing is left to be set");
    }
}
