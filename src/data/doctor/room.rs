//! Whether a server takes as many connections, and readers of its log, as the instances may want.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{Finding, Severity};

const CONNECTIONS: &str = "
    select (sum(setting::bigint) filter (where name = 'max_connections'))::bigint as most,
        (sum(setting::bigint) filter (where name ~ '^(superuser_)?reserved_connections$'))::bigint as kept
    from pg_settings";

// What instances have now they would not want once more.
const READERS: &str = r"
    select current_setting('max_replication_slots')::bigint as most_slots,
        (select count(*) from pg_replication_slots where not (temporary and slot_name like 'shoal\_%')) as slots,
        current_setting('max_wal_senders')::bigint as most_senders,
        (select count(*) from pg_stat_replication where application_name <> 'shoal feed') as senders";

/// Whether so many instances find as many connections as each may open.
pub(super) async fn for_connections(
    node: &str,
    connection: &mut PgConnection,
    (needed, instances): (u32, u32),
) -> Result<Option<Finding>, sqlx::Error> {
    let row = sqlx::query(CONNECTIONS).fetch_one(connection).await?;
    let allowed = row.try_get::<Option<i64>, _>("most")?.unwrap_or_default()
        - row.try_get::<Option<i64>, _>("kept")?.unwrap_or_default();
    Ok(judge_connections(node, i64::from(needed), i64::from(instances.max(1)), allowed))
}

/// Whether so many find a slot, and a process that reads the log for them.
pub(super) async fn for_readers(connection: &mut PgConnection, feeds: u32) -> Result<Vec<Finding>, sqlx::Error> {
    let row = sqlx::query(READERS).fetch_one(connection).await?;
    let number = |column: &str| row.try_get::<i64, _>(column);
    let slots = judge_readers("max_replication_slots", feeds.into(), number("slots")?, number("most_slots")?);
    let senders = judge_readers("max_wal_senders", feeds.into(), number("senders")?, number("most_senders")?);
    Ok(slots.into_iter().chain(senders).collect())
}

fn judge_connections(node: &str, needed: i64, instances: i64, allowed: i64) -> Option<Finding> {
    let all = needed * instances;
    let evidence = format!("{instances} × {needed} connections may be opened to it, and it takes {allowed}");
    let mend = format!(
        "alter system set max_connections = {}; -- on replicas first, then restart it; or set database.pool.size to less",
        (all + all / 4 + 10).max(100)
    );
    let severity = if all > allowed { Severity::Error } else { Severity::Warning };
    (all * 10 > allowed * 9).then(|| Finding::new(severity, "max_connections", node, evidence, mend))
}

fn judge_readers(setting: &str, feeds: i64, others: i64, most: i64) -> Option<Finding> {
    let evidence = format!(
        "each of {feeds} instances needs one, and others have {others} of {most}: who finds none serves without caches"
    );
    let mend = format!(
        "alter system set {setting} = {}; -- on replicas first, then restart it",
        (others + feeds + feeds / 4 + 4).max(10)
    );
    (others + feeds > most).then(|| Finding::new(Severity::Error, "readers of the log", setting, evidence, mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_judged_by_how_many_may_come() {
        let severity = |found: Option<Finding>| found.map(|found| found.severity);
        assert_eq!(severity(judge_connections("primary", 20, 4, 97)), None);
        assert_eq!(severity(judge_connections("primary", 23, 4, 97)), Some(Severity::Warning));
        let found = judge_connections("primary", 50, 2, 97).unwrap();
        assert_eq!(found.severity, Severity::Error);
        assert!(found.mend.starts_with("alter system set max_connections = 135;"), "{}", found.mend);

        assert_eq!(judge_readers("max_wal_senders", 8, 2, 10), None);
        let found = judge_readers("max_wal_senders", 9, 2, 10).unwrap();
        assert_eq!((found.severity, found.subject.as_str()), (Severity::Error, "max_wal_senders"));
        assert!(found.mend.starts_with("alter system set max_wal_senders = 17;"), "{}", found.mend);
    }
}
