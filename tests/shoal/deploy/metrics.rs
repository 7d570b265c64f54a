//! Dashboards and alerts ask for metrics, and labels, that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{text, yaml};

/// Each metric that is described, and whether it is a histogram.
pub fn described() -> BTreeMap<String, bool> {
    let source = include_str!("../../../src/telemetry.rs");
    let described = source.split("describe_").skip(1).filter_map(|rest| {
        let (kind, rest) = rest.split_once("!(")?;
        let name = rest.split('"').nth(1)?;
        name.starts_with("shoal_").then(|| (name.to_owned(), kind == "histogram"))
    });
    described.collect()
}

/// All sources of the server.
fn sources(directory: &Path, found: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

fn source() -> String {
    let mut found = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

/// The words of an expression.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

/// All expressions that are shipped, with where they are.
fn expressions() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("grafana/shoal.json")).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((panel["title"].to_string(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        found.push((variable["name"].to_string(), variable["definition"].as_str().unwrap().to_owned()));
    }
    assert!(found.len() > 50, "{} expressions", found.len());
    let alerts = &yaml("prometheus/alerts.yml")[0]["groups"][0]["rules"];
    for rule in alerts.as_sequence().unwrap() {
        found.push((rule["alert"].as_str().unwrap().to_owned(), rule["expr"].as_str().unwrap().to_owned()));
    }
    found
}

#[test]
fn every_metric_is_described() {
    let (source, described) = (source(), described());
    let mut measured = BTreeSet::new();
    for kind in ["counter!(", "gauge!(", "histogram!("] {
        let uses = source.split(kind).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        measured.extend(uses.filter(|name| name.starts_with("shoal_")).map(str::to_owned));
    }
    assert!(measured.len() > 50, "{measured:?}");
    assert_eq!(measured, described.into_keys().collect());
}

#[test]
fn expressions_name_metrics_and_labels_that_there_are() {
    let (described, source) = (described(), source());
    let has_label =
        |label: &str| ["instance", "job", "le"].contains(&label) || source.contains(&format!("\"{label}\" =>"));
    for (place, expression) in expressions() {
        let metrics: Vec<_> = words(&expression).filter(|word| word.starts_with("shoal_")).collect();
        assert!(!metrics.is_empty() || expression.starts_with("up{"), "{place}: {expression}");
        for metric in metrics {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part));
            let is_known = match of_histogram {
                Some(name) => described.get(name) == Some(&true),
                None => described.get(metric) == Some(&false),
            };
            assert!(is_known, "{place}: there is no {metric}");
            // Counters only grow: what they are says nothing. But one that is to stay 0 may be looked at.
            let is_counter = metric.ends_with("_total") || of_histogram.is_some();
            let is_rate = ["rate", "increase"].iter().any(|change| {
                expression.contains(&format!("{change}({metric}{{"))
                    || expression.contains(&format!("{change}({metric}["))
            });
            assert!(!is_counter || is_rate || metric == "shoal_cache_audit_mismatch_total", "{place}: {expression}");
        }
        let selectors = expression.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let labels =
            selectors.flat_map(|selector| selector.split(',')).map(|pair| pair.split(['=', '!']).next().unwrap());
        let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
        for label in labels.chain(grouped.flat_map(|list| list.split(','))) {
            assert!(has_label(label.trim()), "{place}: there is no label {label}");
        }
        let depth = expression.chars().try_fold(0_i32, |depth, letter| {
            let depth = depth + i32::from(letter == '(') - i32::from(letter == ')');
            (depth >= 0).then_some(depth)
        });
        assert_eq!(depth, Some(0), "{place}: {expression}");
    }
}

#[test]
fn alerts_are_complete() {
    let rules = yaml("prometheus/alerts.yml")[0]["groups"][0]["rules"].as_sequence().unwrap().clone();
    let name = |rule: &serde_yaml_ng::Value| rule["alert"].as_str().unwrap().to_owned();
    let names: BTreeSet<_> = rules.iter().map(name).collect();
    assert_eq!(names.len(), rules.len(), "a name twice");
    for wanted in
        ["ShoalCacheHitRate", "ShoalReplicaLag", "ShoalQueueAge", "ShoalPoolWaits", "ShoalErrors", "ShoalSlow"]
    {
        assert!(names.contains(wanted), "{wanted}");
    }
    let runbook = std::fs::read_to_string(super::path("../docs/runbook.md")).unwrap();
    for rule in &rules {
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule:?}");
        assert!(
            rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(),
            "{rule:?}"
        );
        assert!(
            runbook.contains(&format!("`{}`", name(rule))),
            "the runbook does not say what to do about {}",
            name(rule)
        );
    }
}
