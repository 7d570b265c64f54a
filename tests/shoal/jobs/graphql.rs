//! Jobs in the graph: seen, tried again and called off by who runs the shop.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{HERE, OFTEN, SHORT_LEASE, Worker, added, empty, is, locked, unlock};
use crate::model::global;
use crate::on_both;
use crate::support::{Backend, Database, TestApp, eventually};

on_both!(
    they_are_listed_newest_first_by_kind_and_state,
    one_is_found_by_its_id_in_every_way,
    what_is_dead_is_tried_again_and_done,
    they_are_read_past_the_caches
);

const PAGE: &str = "nodes { id kind state } totalCount pageInfo { hasNextPage endCursor }";

/// Jobs that have ended, with ids from 1: three dead and two done of one kind, one dead of another.
async fn with_jobs(backend: Backend) -> TestApp {
    let database = Arc::new(Database::empty(backend).await);
    let ended = |kind: &str, state: &str| format!("('{kind}', '{{}}', '{state}', 3, '2999-01-01T00:00:00+00:00')");
    let rows = [
        ("mail", "dead"),
        ("mail", "done"),
        ("retention", "dead"),
        ("mail", "dead"),
        ("mail", "done"),
        ("mail", "dead"),
    ];
    let rows = rows.map(|(kind, state)| ended(kind, state)).join(", ");
    database.execute(&format!("insert into jobs (kind, task, state, max_attempts, finished_at) values {rows}")).await;
    let app = TestApp::start(database, &[]).await;
    if backend == Backend::Postgres {
        crate::support::Stack::get().wait_for_replicas().await;
    }
    app
}

fn keys(page: &Value) -> Vec<String> {
    page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

fn ids<const N: usize>(keys: [i64; N]) -> Vec<String> {
    keys.map(|key| global("Job", key)).to_vec()
}

async fn they_are_listed_newest_first_by_kind_and_state(backend: Backend) {
    let app = with_jobs(backend).await;
    let page = async |arguments: &str| app.query(&format!("{{ jobs{arguments} {{ {PAGE} }} }}")).await["jobs"].take();
    let all = page("").await;
    assert_eq!((keys(&all), &all["totalCount"]), (ids([6, 5, 4, 3, 2, 1]), &json!(6)));
    assert_eq!(keys(&page("(orderBy: ID_ASC, first: 2)").await), ids([1, 2]));
    assert_eq!(keys(&page("(filter: { state: DEAD })").await), ids([6, 4, 3, 1]));
    assert_eq!(keys(&page("(filter: { kind: \"retention\" })").await), ids([3]));
    assert_eq!(keys(&page("(filter: { state: RUNNING })").await), ids([]));
    let unknown = app.refusal("{ jobs(filter: { kind: \"Mail\" }) { totalCount } }", json!({})).await;
    assert_eq!(unknown, ("BAD_USER_INPUT".into(), "there is no such kind: there are mail, retention, import".into()));

    let first = page("(first: 2, filter: { kind: \"mail\", state: DEAD })").await;
    assert_eq!((keys(&first), &first["totalCount"]), (ids([6, 4]), &json!(3)));
    assert_eq!(first["nodes"][0], json!({ "id": global("Job", 6), "kind": "mail", "state": "DEAD" }));
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    let after = first["pageInfo"]["endCursor"].as_str().unwrap();
    let rest = page(&format!("(first: 2, after: \"{after}\", filter: {{ kind: \"mail\", state: DEAD }})")).await;
    assert_eq!((keys(&rest), &rest["pageInfo"]["hasNextPage"]), (ids([1]), &json!(false)));
}

async fn one_is_found_by_its_id_in_every_way(backend: Backend) {
    let app = with_jobs(backend).await;
    let query = "query($id: ID!, $ids: [ID!]!, $any: [_Any!]!) { job(id: $id) { ...J } node(id: $id) { ...J } nodes(ids: $ids) { ...J }
        _entities(representations: $any) { ...J } } fragment J on Job { id kind state worker report error finishedAt }";
    let (id, none) = (global("Job", 3), global("Job", 99));
    let entity = |id: &str| json!({ "__typename": "Job", "id": id });
    let variables = json!({ "id": id, "ids": [none, id], "any": [entity(&id), entity(&none)] });
    let job = json!({ "id": id, "kind": "retention", "state": "DEAD", "worker": null, "report": null, "error": null,
        "finishedAt": "2999-01-01T00:00:00Z" });
    let expected = json!({ "job": job, "node": job, "nodes": [null, job], "_entities": [job, null] });
    assert_eq!(app.query_with(query, variables).await, expected);
    let nothing = app.query(&format!("{{ job(id: \"{none}\") {{ id }} }}")).await;
    assert_eq!(nothing["job"], Value::Null);
    let wrong = app.refusal(&format!("{{ job(id: \"{}\") {{ id }} }}", global("User", 3)), json!({})).await;
    assert_eq!(wrong, ("BAD_USER_INPUT".into(), "not an id of a Job".into()));
}

const RETRY: &str = "mutation($id: ID!) { retryJob(input: { id: $id }) { job { state maxAttempts finishedAt }
    userErrors { field code } } }";
const CANCEL: &str =
    "mutation($id: ID!) { cancelJob(input: { id: $id }) { job { state cancelRequested } userErrors { field code } } }";
const JOB: &str = "query($id: ID!) { job(id: $id) { state attempt report error cancelRequested worker } }";

/// Waits until a job is seen in a state.
async fn seen(app: &TestApp, id: &str, state: &str) -> Value {
    let mut job = Value::Null;
    eventually(state, async || {
        job = app.query_with(JOB, json!({ "id": id })).await["job"].take();
        job["state"] == state
    })
    .await;
    job
}

async fn what_is_dead_is_tried_again_and_done(backend: Backend) {
    let database = Arc::new(Database::empty(backend).await);
    let job = r#"('retention', '{"task":"retention"}', 'dead', 5, 5, 'it failed', '2999-01-01T00:00:00+00:00')"#;
    let columns = "kind, task, state, attempt, max_attempts, error, finished_at";
    database.execute(&format!("insert into jobs ({columns}) values {job}")).await;
    let app = TestApp::start(database, &[OFTEN, HERE]).await;
    let id = global("Job", 1);
    let retried = app.query_with(RETRY, json!({ "id": id })).await["retryJob"].take();
    assert_eq!(
        retried,
        json!({ "job": { "state": "QUEUED", "maxAttempts": 10, "finishedAt": null }, "userErrors": [] })
    );
    let job = seen(&app, &id, "DONE").await;
    assert_eq!((&job["attempt"], &job["error"]), (&json!(6), &Value::Null));
    let report: Value = serde_json::from_str(job["report"].as_str().unwrap()).unwrap();
    assert_eq!(report["idempotencyKeys"], 0);
    let refused = app.query_with(RETRY, json!({ "id": id })).await["retryJob"].take();
    assert_eq!(refused["userErrors"], json!([{ "field": ["id"], "code": "INVALID_STATE" }]));
    assert_eq!(refused["job"]["state"], "DONE");
}

async fn they_are_read_past_the_caches(backend: Backend) {
    let app = with_jobs(backend).await;
    app.caches().await;
    let id = global("Job", 1);
    for query in [
        format!("{{ job(id: \"{id}\") {{ state }} }}"),
        format!("{{ node(id: \"{id}\") {{ id }} }}"),
        "{ jobs { totalCount nodes { state } } }".to_owned(),
    ] {
        for _ in 0..3 {
            let answer = app.ask_with(&json!({ "query": query }), &[("shoal-trace", "1")]).await;
            assert!(answer.json["extensions"]["shoal"]["statements"].as_u64().unwrap() > 0, "{query}");
        }
    }
}

#[tokio::test]
async fn what_waits_is_called_off_and_what_runs_is_asked_to_end() {
    let database = empty().await;
    let app = TestApp::start(database.clone(), &[]).await;
    let key = added(&database);
    let id = global("Job", &key);
    let cancel = async || app.query_with(CANCEL, json!({ "id": id })).await["cancelJob"].take();
    let cancelled = json!({ "job": { "state": "CANCELLED", "cancelRequested": false }, "userErrors": [] });
    assert_eq!(cancel().await, cancelled);
    // Twice is as good as once.
    assert_eq!(cancel().await, cancelled);

    let lock = locked(&database).await;
    app.query_with(RETRY, json!({ "id": id })).await;
    let _worker = Worker::start(&database, &[OFTEN, SHORT_LEASE]);
    let job = seen(&app, &id, "RUNNING").await;
    assert!(job["worker"].is_string(), "{job}");
    let asked = cancel().await;
    assert_eq!(asked["job"], json!({ "state": "RUNNING", "cancelRequested": true }));
    seen(&app, &id, "CANCELLED").await;
    unlock(lock).await;
    app.query_with(RETRY, json!({ "id": id })).await;
    is(&database, &key, "done").await;
    assert_eq!(cancel().await["userErrors"], json!([{ "field": ["id"], "code": "INVALID_STATE" }]));
}
