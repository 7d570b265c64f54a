//! Each name, attribute and error of a span, once: what there are is read from the sources.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{Collector, ask, attributes, children, named, stop, traceparent};
use crate::jobs::{OFTEN, added, locked, unlock};
use crate::support::{Backend, Database, Gate, Stack, command, eventually};

crate::on_both!(a_run_of_a_job_is_a_trace);

const ALWAYS: (&str, &str) = ("SHOAL_OTLP__TRACE_RATIO", "1");
const JOBS: (&str, &str) = ("SHOAL_JOBS__IN_SERVER", "always");
const USER: &str = "{ user(id: \"VXNlcjox\") { name } }";

/// What stands in quotes behind `start`, anywhere in the sources.
fn behind(start: &str, found: &mut BTreeSet<String>) {
    fn read(directory: &Path, start: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, start, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let quoted = text.split(start).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned));
                found.extend(quoted);
            }
        }
    }
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), start, found);
}

#[test]
fn each_attribute_and_error_is_looked_at() {
    let mut told = BTreeSet::new();
    for start in ["KeyValue::new(\"", "count(\"shoal.", "trace().fail(\"", "=> \"breaker_", "=> \"no_"] {
        let mut found = BTreeSet::new();
        behind(start, &mut found);
        assert!(!found.is_empty(), "{start}");
        let begin = start.rsplit('"').next().unwrap();
        told.extend(found.into_iter().map(|end| format!("{begin}{end}")));
    }
    assert!(told.len() > 30, "{told:?}");
    let tests = [include_str!("../otlp.rs"), include_str!("spans.rs")].concat();
    let forgotten: Vec<_> = told.iter().filter(|name| !tests.contains(&format!("\"{name}\""))).collect();
    assert!(forgotten.is_empty(), "no test looks at {forgotten:?}");
}

#[tokio::test]
async fn who_sends_says_which_service_it_is() {
    let collector = Collector::open().await;
    let app = collector.app(Database::demo(Backend::Sqlite).await, &[ALWAYS, ("SHOAL_OTLP__SERVICE", "shop")]).await;
    ask(&app, USER, None).await;
    collector.after("POST /graphql").await;
    let sent = collector.sent.lock().unwrap();
    let resource = format!("{:?}", sent[0].resource_spans[0].resource);
    for part in ["service.name", "shop", "service.version", env!("CARGO_PKG_VERSION")] {
        assert!(resource.contains(&format!("{part:?}")), "{part}: {resource}");
    }
}

async fn a_run_of_a_job_is_a_trace(backend: Backend) {
    let collector = Collector::open().await;
    let app = collector.app(Database::demo(backend).await, &[ALWAYS, OFTEN, JOBS]).await;
    let create = r#"mutation { createUser(input: { name: "Ada", email: "ada@shoal.example" }) { user { id } } }"#;
    assert_eq!(ask(&app, create, None).await.status(), 200);
    let spans = collector.after("process mail").await;
    let [run] = named(&spans, "process mail")[..] else { panic!("{spans:?}") };
    assert_eq!((run.kind, run.parent_span_id.len()), (5, 0), "a consumer's, and the first of its trace");
    let told = attributes(run);
    for (name, value) in [
        ("messaging.system", json!("shoal")),
        ("messaging.operation.name", json!("process")),
        ("messaging.operation.type", json!("process")),
        ("messaging.destination.name", json!("mail")),
        ("shoal.attempt", json!(1)),
        ("shoal.outcome", json!("done")),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    let row = app.database.text("select cast(max(id) as text) from jobs").await;
    assert_eq!(told["messaging.message.id"].as_str().map(str::to_owned), row);
    // Down to its statements, of which none is anybody else's.
    let [write] = children(&spans, run)[..] else { panic!("{spans:?}") };
    assert_eq!((write.name.as_str(), &attributes(write)["shoal.kind"]), ("write recallUser", &json!("write")));
    assert!(!children(&spans, write).is_empty());
    assert!(children(&spans, write).iter().all(|statement| statement.trace_id == run.trace_id));

    let poison =
        r#"insert into jobs (kind, task, max_attempts) values ('retention', '{"task":"of_another_version"}', 1)"#;
    app.database.execute(poison).await;
    let spans = collector.after("process retention").await;
    let [run] = named(&spans, "process retention")[..] else { panic!("{spans:?}") };
    assert_eq!(
        (&attributes(run)["error.type"], &attributes(run)["shoal.outcome"]),
        (&json!("failed"), &json!("failed"))
    );
}

#[tokio::test]
async fn a_worker_sends_its_traces_and_its_metrics() {
    let collector = Collector::open().await;
    let database = Database::empty(Backend::Postgres).await;
    let own = [
        ALWAYS,
        OFTEN,
        ("SHOAL_OTLP__ENDPOINT", collector.url.as_str()),
        ("SHOAL_OTLP__METRICS_S", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("SHOAL_JOBS__LEASE_MS", "1000"),
    ];
    let mut worker = command(&database).arg("worker").envs(own).spawn().unwrap();
    added(&database);
    collector.after("process retention").await;
    eventually("its metrics", async || {
        format!("{:?}", collector.metrics.lock().unwrap()).contains("shoal_job_seconds")
    })
    .await;
    // One that another has by now.
    let lock = locked(&database).await;
    let id = added(&database);
    eventually("the job to run", async || {
        database.text(&format!("select state from jobs where id = {id}")).await.as_deref() == Some("running")
    })
    .await;
    database.execute(&format!("update jobs set attempt = attempt + 1, worker = 'another' where id = {id}")).await;
    eventually("a run that was lost", async || {
        collector.spans().iter().any(|span| attributes(span).get("error.type") == Some(&json!("lost")))
    })
    .await;
    unlock(lock).await;
    let kill = std::process::Command::new("kill").arg(worker.id().to_string()).status().unwrap();
    assert!(kill.success() && tokio::task::spawn_blocking(move || worker.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn what_is_kept_and_what_is_refused_is_said() {
    let collector = Collector::open().await;
    let mut app = collector.app(Database::demo(Backend::Sqlite).await, &[ALWAYS]).await;
    eventually("an answer that was kept", async || {
        ask(&app, USER, None).await;
        collector.spans().iter().any(|span| attributes(span).get("shoal.answer.kept") == Some(&json!(true)))
    })
    .await;
    let refused = r#"mutation {
        adjustStock(input: { id: "UHJvZHVjdDox", delta: -1000000, idempotencyKey: "k" }) { userErrors { code } } }"#;
    ask(&app, refused, None).await;
    // The table is gone, for those that read and for those that write.
    app.database.execute("alter table tags rename to gone").await;
    ask(&app, "{ tags(first: 1) { nodes { name } } }", None).await;
    let write = r#"mutation { setPostTags(input: { id: "UG9zdDox", tags: ["new"] }) { userErrors { code } } }"#;
    ask(&app, write, None).await;
    stop(&mut app).await;
    let spans = collector.spans();
    // It may have been tried more than once.
    let writes = named(&spans, "write adjustStock");
    assert_eq!(attributes(writes.last().unwrap())["shoal.refused"], true);
    let errors: BTreeSet<_> = spans
        .iter()
        .filter_map(|span| Some((span.name.split(' ').next()?, attributes(span).remove("error.type")?.to_string())))
        .collect();
    for (name, error) in [("load", "load_failed"), ("write", "write_failed"), ("page", "statement_failed")] {
        let is_told = errors.iter().any(|(of, told)| *of == name && told.trim_matches('"') == error);
        assert!(is_told, "{name} {error}: {errors:?}");
    }
}

#[tokio::test]
async fn what_becomes_of_the_far_tier_is_said() {
    let collector = Collector::open().await;
    let gate = Gate::open(Stack::get().redis.clone()).await;
    let namespace = format!("spans {}", std::process::id());
    let far = [
        ("REDIS_URL", gate.url().as_str()),
        ("SHOAL_CACHE__NEAR_BYTES", "0"),
        ("SHOAL_CACHE__NAMESPACE", namespace.as_str()),
    ];
    let app = collector.app(Database::demo(Backend::Postgres).await, &far).await;
    app.caches().await;
    let asked = async |error: Option<&str>| {
        eventually(error.unwrap_or("an answer"), async || {
            ask(&app, USER, Some(&traceparent(true))).await;
            let spans = collector.spans();
            named(&spans, "MGET").iter().any(|span| {
                let told = attributes(span);
                told["db.operation.name"] == "MGET" && told.get("error.type").and_then(Value::as_str) == error
            })
        })
        .await;
    };
    asked(None).await;
    gate.freeze();
    asked(Some("no_answer")).await;
    asked(Some("breaker_open")).await;
}
