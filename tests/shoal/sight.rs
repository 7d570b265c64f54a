//! What operators see of SQL: a statement that became slow is found by the log, by `shoal explain` and by `shoal doctor`,
//! each of which names what mends it, and none of which says anything once it is mended.

mod budgets;
mod doctor;
mod health;
mod metrics;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Backend, CACHES_OFF, Database, Stack, TestApp, command, eventually};

crate::on_both!(a_lost_index_is_named_until_it_is_back, queries_are_explained_and_nothing_else);

/// The index that the lists of comments under posts walk.
const LOST: &str = "comments_post";
const RESTORED: &str = "create index comments_post on comments (post_id, created_at desc, id desc)";
const FRONT: &str =
    "query Front { posts(first: 20) { nodes { title author { name } comments(first: 3) { nodes { body } } } } }";

/// What `shoal explain` and the like print, and how they end.
fn run(database: &Database, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = command(database).args(arguments).envs(environment.iter().copied()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

fn explained(database: &Database, query: &str) -> Value {
    let (code, out, err) = run(database, &["explain", query, "--json"], &[]);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// All advice of a report.
fn advice(report: &Value) -> Vec<&Value> {
    let statements = report["statements"].as_array().unwrap();
    statements.iter().flat_map(|statement| statement["advice"].as_array().unwrap()).collect()
}

fn missing(database: &Database) -> (Option<i32>, Vec<Value>) {
    let (code, out, err) = run(database, &["doctor", "--json"], &[]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {err}"));
    let of_indexes = |finding: &&Value| finding["check"].as_str().unwrap().ends_with("index");
    (code, report["findings"].as_array().unwrap().iter().filter(of_indexes).cloned().collect())
}

/// What the log says of plans once the slow statement of a list of comments was told of.
async fn plan_in_log(database: &Arc<Database>) -> (Value, Value, String) {
    // Slow is what takes a millisecond, so that a machine can hardly be too fast for it.
    let settings = [("SHOAL_DATABASE__SLOW_MS", "1"), ("SHOAL_LOG__FORMAT", "json"), CACHES_OFF];
    let app = TestApp::start(database.clone(), &settings).await;
    let (mut told, mut plan) = (Value::Null, Value::Null);
    let mut request_ids = Vec::new();
    eventually("a slow statement and its plan", async || {
        let answer = app.ask(&json!({ "query": FRONT })).await;
        request_ids.push(answer.request_id);
        let log = app.log();
        let find = |message: &str| {
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let said = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
            lines.map(|line| line["fields"].clone()).find(|fields| {
                let said = said(&json!({ "fields": fields }));
                said.starts_with(message) && said.contains("source='post.comments'")
            })
        };
        let found = (find("a slow statement: "), find("the plan of a slow statement: "));
        (told, plan) = (found.0.unwrap_or_default(), found.1.unwrap_or_default());
        told != Value::Null && plan != Value::Null
    })
    .await;
    assert!(request_ids.iter().any(|id| told["request_id"] == id.as_str()), "{told}");
    assert!(app.metric("shoal_sql_slow_total", "operation=\"Front\"").await >= 1.0);
    (told, plan, app.log())
}

async fn a_lost_index_is_named_until_it_is_back(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let is_postgres = backend == Backend::Postgres;
    database.execute(&format!("drop index {LOST}")).await;
    if is_postgres {
        Stack::get().wait_for_replicas().await;
    }
    let command = "create index concurrently comments_post on comments (post_id, created_at desc, id desc);";

    let report = explained(&database, FRONT);
    let [found] = advice(&report)[..] else { panic!("{report}") };
    assert_eq!(
        (&found["index"], &found["is_declared"], &found["command"]),
        (&json!(LOST), &json!(true), &json!(command))
    );
    let (code, findings) = missing(&database);
    assert_eq!((code, findings.len()), (Some(1), 1), "{findings:?}");
    assert_eq!(findings[0]["subject"], LOST);
    assert_eq!(findings[0]["mend"], command);
    let (told, plan, log) = plan_in_log(&database).await;
    assert_eq!(told["operation"], "Front", "{told}");
    assert_eq!(
        (&told["path"], &told["kind"], &told["keys"]),
        (&json!("posts.nodes.comments.nodes"), &json!("page"), &json!(20))
    );
    assert_eq!(told["types"], if is_postgres { "bigint[], bigint" } else { "text, bigint" }, "{told}");
    assert!(told["node"].is_string() && told["milliseconds"].is_u64(), "{told}");
    assert!(plan["mend"].as_str().unwrap_or_default().contains(command), "{plan}");
    assert!(!log.contains("UG9zd") && !log.contains("ANALYZE"), "{log}");

    database.execute(RESTORED).await;
    if is_postgres {
        Stack::get().wait_for_replicas().await;
    }
    let report = explained(&database, FRONT);
    assert_eq!(advice(&report), [&Value::Null; 0], "{report}");
    assert_eq!(missing(&database).1, Vec::<Value>::new());
    let (_, plan, log) = plan_in_log(&database).await;
    assert_eq!(plan.get("mend"), None, "{plan}");
    assert!(!log.contains("\"mend\""), "{log}");
}

async fn queries_are_explained_and_nothing_else(backend: Backend) {
    let database = Database::demo(backend).await;
    if backend == Backend::Postgres {
        Stack::get().wait_for_replicas().await;
    }
    let report = explained(&database, FRONT);
    let statements = report["statements"].as_array().unwrap();
    let of = |statement: &Value| {
        let text = |key: &str| statement[key].as_str().unwrap_or_default().to_owned();
        (statement["level"].as_u64().unwrap(), text("path"), format!("{} {}", text("source"), text("kind")))
    };
    let mut found: Vec<_> = statements.iter().map(of).collect();
    found.sort();
    let expected = [
        (1, "posts.nodes", "posts page"),
        (2, "posts.nodes.author", "users rows"),
        (2, "posts.nodes.comments.nodes", "post.comments page"),
    ];
    // A connection asks when one of its fields is read.
    let found: Vec<_> = found.iter().map(|(level, path, what)| (*level, path.as_str(), what.as_str())).collect();
    assert_eq!(found, expected);
    for statement in statements {
        assert!(statement["rows"].as_u64().unwrap() > 0 && statement["keys"].as_u64().unwrap() > 0, "{statement}");
        assert_ne!(statement["tree"], Value::Null);
        let text = |key: &str| statement[key].as_str().unwrap();
        let comment = format!(" /*kind='{}',source='{}'*/", text("kind"), text("source"));
        assert!(text("statement").ends_with(&comment), "{statement}");
        if backend == Backend::Postgres {
            assert!(statement["planning"].is_f64() && statement["execution"].is_f64(), "{statement}");
            assert!(statement["tree"]["Actual Rows"].is_number() && statement["tree"]["Shared Hit Blocks"].is_number());
        }
    }
    let time = |key: &str| report[key].as_f64().unwrap();
    assert!(time("total") >= time("databases") && time("databases") > 0.0 && time("rest") > 0.0, "{report}");

    let (code, out, err) = run(
        &database,
        &["explain", "--variables", "{\"id\": \"VXNlcjo3MQ\"}", "query A($id: ID!) { user(id: $id) { name } }"],
        &[],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("A: ") && out.contains("level 1, user: users rows, 1 keys, 1 rows"), "{out}");
    let mutation = "mutation { deleteComment(input: { id: \"Q29tbWVudDox\" }) { userErrors { code } } }";
    for (query, why) in [
        (mutation, "only queries are explained"),
        ("{ nothing }", "nothing"),
        ("{", "expected"),
        ("query A { __typename } query B { __typename }", "several operations"),
    ] {
        let (code, out, err) = run(&database, &["explain", query], &[]);
        assert_eq!(code, Some(1), "{query}");
        assert!((out + &err).contains(why), "{query}: {err}");
    }
    assert_eq!(database.text("select cast(count(*) as text) from comments where id = 1").await.as_deref(), Some("1"));
}
