//! Redis: whether it answers, and whether it forgets what is old before it refuses what is new.

use std::collections::HashMap;
use std::time::Duration;

use super::{Finding, Severity, clock};
use crate::data::cache::Far;

pub(super) async fn examine(far: &Far) -> Vec<Finding> {
    let before = clock::now();
    let Some((told, theirs)) = far.tells().await else {
        let evidence = "it does not answer";
        return vec![Finding::new(Severity::Error, "redis", "redis", evidence, "redis-cli -u $REDIS_URL ping")];
    };
    let after = clock::now();
    let mut findings: Vec<_> = told.iter().flat_map(|(node, told)| judge(node, told)).collect();
    findings.extend(theirs.and_then(|theirs: Duration| clock::judge("redis", before, theirs, after)));
    findings
}

/// What INFO tells of one server.
fn judge(node: &str, told: &str) -> Vec<Finding> {
    let values: HashMap<_, _> = told.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let number = |key: &str| values.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
    let (most, used, policy) = (number("maxmemory"), number("used_memory"), values.get("maxmemory_policy").copied());
    let mut findings = Vec::new();
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    if !values.contains_key("maxmemory") {
        let evidence = "INFO does not tell its memory";
        findings.push(Finding::new(
            Severity::Note,
            "redis",
            node,
            evidence,
            "allow the user INFO: ACL SETUSER … +info",
        ));
        return findings;
    }
    if most == 0 {
        let evidence =
            format!("maxmemory is not set, and it uses {} MiB: it grows until the system ends it", mebibytes(used));
        let mend = format!("redis-cli config set maxmemory {}mb", (2 * mebibytes(used)).max(256));
        findings.push(Finding::new(Severity::Warning, "redis", node, evidence, mend));
    }
    if policy == Some("noeviction") {
        let used = if most == 0 {
            String::new()
        } else {
            format!(" ({} of {} MiB are used)", mebibytes(used), mebibytes(most))
        };
        let evidence = format!("maxmemory-policy is noeviction: a full one refuses whatever is new{used}");
        // Without a limit it does not matter yet.
        let severity = if most == 0 { Severity::Warning } else { Severity::Error };
        findings.push(Finding::new(
            severity,
            "redis",
            node,
            evidence,
            "redis-cli config set maxmemory-policy allkeys-lfu",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_would_grow_or_refuse_is_found() {
        let seen = |told: &str| -> Vec<_> {
            judge("redis", told).into_iter().map(|found| (found.severity, found.mend)).collect()
        };
        let sound = "# Memory\r\nused_memory:1048576\r\nmaxmemory:268435456\r\nmaxmemory_policy:allkeys-lfu\r\n";
        assert_eq!(seen(sound), []);
        assert_eq!(seen(&sound.replace("allkeys-lfu", "volatile-lru")), [], "all that is kept has a time to live");
        let policy = "redis-cli config set maxmemory-policy allkeys-lfu".to_owned();
        assert_eq!(seen(&sound.replace("allkeys-lfu", "noeviction")), [(Severity::Error, policy.clone())]);
        let endless = sound.replace("268435456", "0").replace("allkeys-lfu", "noeviction");
        let limit = "redis-cli config set maxmemory 256mb".to_owned();
        assert_eq!(seen(&endless), [(Severity::Warning, limit), (Severity::Warning, policy)]);
        assert_eq!(seen("")[0].0, Severity::Note);
    }
}
