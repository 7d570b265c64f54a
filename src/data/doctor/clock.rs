//! Clocks: ours, and those of the servers. Times of rows are of the primary, ages in the caches of ours.

use std::time::{Duration, SystemTime};

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{Finding, Severity};

/// More than this is not right; and what nothing can be relied upon with.
const SOME: Duration = Duration::from_secs(1);
const MUCH: Duration = Duration::from_secs(60);

pub(super) async fn examine(node: &str, connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let before = now();
    let row = sqlx::query("select extract(epoch from clock_timestamp())::float8 as now").fetch_one(connection).await?;
    let after = now();
    let theirs = Duration::try_from_secs_f64(row.try_get("now")?).unwrap_or_default();
    Ok(judge(node, before, theirs, after).into_iter().collect())
}

/// By our clock, since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Another's time, which was read between two of ours.
pub(super) fn judge(whose: &str, before: Duration, theirs: Duration, after: Duration) -> Option<Finding> {
    let (skew, word) = match theirs.checked_sub(after) {
        Some(ahead) => (ahead, "ahead of"),
        None => (before.saturating_sub(theirs), "behind"),
    };
    let severity = if skew >= MUCH { Severity::Error } else { Severity::Warning };
    let evidence = format!("its clock is {:.1} s {word} the clock here, at least", skew.as_secs_f64());
    let mend = "run chrony or systemd-timesyncd on both machines: timedatectl set-ntp true";
    (skew >= SOME).then(|| Finding::new(severity, "clock", whose, evidence, mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_cannot_be_the_way_to_it() {
        let seen = |before, theirs, after| {
            let at = Duration::from_millis;
            let found = judge("primary", at(before), at(theirs), at(after));
            found.map(|found| (found.severity, found.evidence.replace(" the clock here, at least", "")))
        };
        assert_eq!(seen(100_000, 100_005, 100_010), None);
        assert_eq!(seen(100_000, 104_000, 105_000), None, "the way took long");
        assert_eq!(seen(100_000, 100_900, 100_001), None);
        let (warning, error) = (Severity::Warning, Severity::Error);
        assert_eq!(seen(100_000, 102_500, 100_000), Some((warning, "its clock is 2.5 s ahead of".to_owned())));
        assert_eq!(seen(100_000, 98_000, 100_900), Some((warning, "its clock is 2.0 s behind".to_owned())));
        assert_eq!(seen(100_000, 0, 100_000), Some((error, "its clock is 100.0 s behind".to_owned())));
    }
}
