//! Each metric moves for its own reason, and for no other that the same label tells of.
//!
//! What there is to be told is read from the sources and from a server; that some test waits for each of it, from the tests.

mod caches;
mod databases;
mod requests;
pub mod told;

use std::collections::BTreeSet;

use crate::deploy::metrics::described;
use crate::support::{Backend, Database, TestApp, eventually};

/// A metric, and a part of its labels.
type Told = (&'static str, &'static str);

/// What is told for reasons that cannot be planted from outside, and what holds it instead.
const NOT_PLANTED: [(&str, &str, &str); 3] = [
    (
        "shoal_feed_floor_raises_total",
        "gap",
        "PostgreSQL leaves no commit out; data/history tests what is done about one",
    ),
    ("shoal_jobs_total", "given back", "told when nobody can ask any more; tests/jobs looks at the row"),
    ("shoal_cache_audits_total", "unknown", "needs a hit and a primary that is lost, at once"),
];

/// Does something, and waits until all of these have grown.
async fn moves(app: &TestApp, told: &[Told], deed: impl AsyncFnOnce()) {
    let mut before = Vec::new();
    for (name, label) in told {
        before.push(app.metric(name, label).await);
    }
    deed().await;
    for ((name, label), before) in told.iter().zip(before) {
        grows(app, (name, label), before).await;
    }
}

/// Waits until it is more than that.
async fn grows(app: &TestApp, (name, label): Told, before: f64) {
    let what = format!("{name} {{{label}}} to be more than {before}");
    eventually(&what, async || app.metric(name, label).await > before).await;
}

/// Waits until it is that.
async fn is(app: &TestApp, (name, label): Told, value: f64) {
    eventually(&format!("{name} {{{label}}} to be {value}"), async || app.metric(name, label).await == value).await;
}

#[test]
fn each_metric_is_looked_at_by_a_test() {
    let tests = told::tests();
    let names: BTreeSet<_> = described().into_keys().collect();
    assert!(names.len() > 60, "{names:?}");
    let is_looked_at = |name: &str| {
        ["\"", "{", "_count", "_sum", "_bucket"].iter().any(|end| tests.contains(&format!("\"{name}{end}")))
    };
    let forgotten: Vec<_> = names.iter().filter(|name| !is_looked_at(name)).collect();
    assert!(forgotten.is_empty(), "no test looks at {forgotten:?}");
}

#[tokio::test]
async fn each_reason_is_looked_at_by_a_test() {
    let app = TestApp::start(Database::demo(Backend::Postgres).await.into(), &[]).await;
    app.query("{ user(id: \"VXNlcjox\") { name } }").await;
    let metrics = app.get("/metrics").await.text().await.unwrap();
    let reasons: BTreeSet<_> = told::in_sources().into_iter().chain(told::at_start(&metrics)).collect();
    assert!(reasons.len() > 45, "{reasons:?}");
    let tests = told::files();
    let is_looked_at = |(name, label, value): &(String, String, String)| {
        let forms = [format!("{label}=\\\"{value}\\\""), format!("{label}=\"{value}\"")];
        tests.iter().any(|test| test.contains(&format!("\"{name}")) && forms.iter().any(|form| test.contains(form)))
    };
    let mut forgotten: Vec<_> = reasons.iter().filter(|reason| !is_looked_at(reason)).collect();
    for (name, value, why) in NOT_PLANTED {
        let place = forgotten.iter().position(|reason| reason.0 == name && reason.2 == value);
        assert!(place.is_some(), "{name} {value} is told and looked at, or not told at all ({why})");
        place.map(|place| forgotten.remove(place));
    }
    assert!(forgotten.is_empty(), "no test looks at {forgotten:#?}");
}
