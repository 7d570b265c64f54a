//! More than can be answered, or than one client may ask for.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Answer, NAME, Raw};
use crate::support::{Backend, CACHES_OFF, Database, Stack, TestApp, eventually};

crate::on_both!(a_burst_of_ordinary_requests_passes, a_client_that_asks_for_too_much_has_to_wait);

const USERS: &str = "{ users(first: 10) { nodes { name } } }";

async fn post(app: &TestApp, body: &Value) -> Answer {
    post_from(app, "192.0.2.1", body).await
}

async fn post_from(app: &TestApp, address: &str, body: &Value) -> Answer {
    let request = Client::new().post(app.at("/graphql")).header("x-forwarded-for", address);
    Answer::of(request.json(body)).await
}

/// A table that nobody reads until this is closed.
async fn locked(app: &TestApp, table: &str) -> PgConnection {
    let mut lock = Stack::get().primary.connect(app.database.name()).await;
    let sql = format!("begin; lock table {table} in access exclusive mode");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut lock).await.unwrap();
    lock
}

/// How many statements of a database wait for a lock.
async fn waiting(app: &TestApp, observer: &mut PgConnection) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).bind(app.database.name()).fetch_one(observer).await.unwrap()
}

async fn a_burst_of_ordinary_requests_passes(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let namespace = format!("burst {}", std::process::id());
    let limits = [
        // Six times what they cost: an instance takes more than it needs, but not for each of them.
        ("SHOAL_RATE__PER_SECOND", "1"),
        ("SHOAL_RATE__BURST", "20000"),
        // However slow the machine is, which others use, too.
        ("SHOAL_ADMISSION__BURST_MS", "60000"),
        ("SHOAL_DATABASE__POOL__ACQUIRE_TIMEOUT_MS", "60000"),
        ("SHOAL_GRAPHQL__TIMEOUT_MS", "60000"),
        ("SHOAL_CACHE__NAMESPACE", &namespace),
        CACHES_OFF,
    ];
    let app = TestApp::start(database, &limits).await;
    let client = Client::new();
    let body = json!({ "query": USERS });
    let answers = join_all((0..300).map(|_| Answer::of(client.post(app.at("/graphql")).json(&body)))).await;
    for answer in answers {
        let users = answer.json()["data"]["users"]["nodes"].as_array().map(Vec::len);
        assert_eq!(users, Some(10), "{}", answer.json());
    }
}

async fn a_client_that_asks_for_too_much_has_to_wait(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let namespace = format!("wait {}", std::process::id());
    let limits = [
        ("SHOAL_RATE__PER_SECOND", "1"),
        ("SHOAL_RATE__BURST", "100"),
        ("SHOAL_HTTP__TRUSTED_PROXIES", "[\"127.0.0.1\"]"),
        ("SHOAL_CACHE__NAMESPACE", &namespace),
        // An instance that has no answer in time goes by a bucket of its own.
        ("SHOAL_REDIS__TIMEOUT_MS", "5000"),
        CACHES_OFF,
    ];
    let app = TestApp::start(database.clone(), &limits).await;
    // The embedded database has but one.
    let other = match backend {
        Backend::Postgres => Some(TestApp::start(database, &limits).await),
        Backend::Sqlite => None,
    };
    // It costs 11.
    let body = json!({ "query": USERS });
    let mut passed = 0;
    let refused = loop {
        let answer = post(&app, &body).await;
        if answer.status != 200 {
            break answer;
        }
        passed += 1;
        assert!(passed < 20, "nothing is refused");
    };
    assert!(passed >= 5, "{passed}");
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=11).contains(&seconds), "{seconds}");
    assert_eq!(refused.json()["errors"][0]["extensions"]["retryAfter"], seconds);
    assert_eq!(app.metric("shoal_rate_limited_total", "").await, 1.0);
    // Others are not concerned, and nobody's health is.
    assert_eq!(post_from(&app, "192.0.2.2", &body).await.status, 200);
    assert_eq!(app.get("/livez").await.status(), 200);
    if let Some(other) = other {
        // The bucket is one for all instances.
        assert_eq!(post(&other, &body).await.status, 429);
    }
}

#[tokio::test]
async fn without_redis_each_instance_has_buckets_of_its_own() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let limits = [
        ("SHOAL_RATE__PER_SECOND", "1"),
        ("SHOAL_RATE__BURST", "100"),
        // Nobody listens there.
        ("REDIS_URL", "redis://127.0.0.1:1"),
        CACHES_OFF,
    ];
    let body = json!({ "query": USERS });
    for app in [TestApp::start(database.clone(), &limits).await, TestApp::start(database, &limits).await] {
        let mut statuses = Vec::new();
        while statuses.last() != Some(&429) && statuses.len() < 20 {
            statuses.push(post(&app, &body).await.status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 9, "{statuses:?}");
    }
}

#[tokio::test]
async fn what_takes_too_long_is_given_up_and_its_statement_cancelled() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let limits = [
        ("SHOAL_GRAPHQL__TIMEOUT_MS", "300"),
        ("SHOAL_DATABASE__POOL__STATEMENT_TIMEOUT_MS", "600000"),
        ("REPLICA_URLS", ""),
        CACHES_OFF,
    ];
    let app = TestApp::start(database, &limits).await;
    let mut observer = Stack::get().primary.connect("shoal").await;
    let lock = locked(&app, "users").await;
    let answer = post(&app, &json!({ "query": USERS })).await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "TIMEOUT"));
    // Before the lock is released, or the statement's own limit.
    eventually("the statement to be cancelled", async || waiting(&app, &mut observer).await == 0).await;
    lock.close().await.unwrap();
    assert_eq!(post(&app, &json!({ "query": USERS })).await.status, 200);
    assert_eq!(app.metric("shoal_requests_timed_out_total", "").await, 1.0);
}

#[tokio::test]
async fn a_mutation_that_takes_too_long_may_still_be_done() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let app = TestApp::start(database, &[("SHOAL_GRAPHQL__TIMEOUT_MS", "300"), ("REPLICA_URLS", "")]).await;
    let lock = locked(&app, "users").await;
    let update = r#"mutation { updateUser(input: { id: "VXNlcjox", name: "Late" }) { userErrors { code } } }"#;
    assert_eq!(post(&app, &json!({ "query": update })).await.code(), "TIMEOUT");
    lock.close().await.unwrap();
    let name = async || post(&app, &json!({ "query": "{ user(id: \"VXNlcjox\") { name } }" })).await.json();
    eventually("it to be done", async || name().await["data"]["user"]["name"] == "Late").await;
}

#[tokio::test]
async fn more_than_can_be_in_work_are_turned_away() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let limits = [
        ("SHOAL_ADMISSION__IN_WORK", "2"),
        ("SHOAL_ADMISSION__WAITING", "1"),
        ("SHOAL_ADMISSION__BURST_MS", "600000"),
        ("REPLICA_URLS", ""),
        CACHES_OFF,
    ];
    let app = TestApp::start(database, &limits).await;
    let mut observer = Stack::get().primary.connect("shoal").await;
    let lock = locked(&app, "users").await;
    // Different ones: equal loads go together.
    let ask = |first: i32| {
        let body = json!({ "query": format!("{{ users(first: {first}) {{ nodes {{ name }} }} }}") });
        let request = Client::new().post(app.at("/graphql")).json(&body);
        tokio::spawn(Answer::of(request))
    };
    let in_work = [ask(1), ask(2)];
    eventually("two to be in work", async || waiting(&app, &mut observer).await == 2).await;
    let waits = ask(3);
    let start = Instant::now();
    // Of those that come now one may wait, whichever that is.
    let refused = loop {
        let (answer, _, _) = futures_util::future::select_all([ask(4), ask(5)]).await;
        let answer = answer.unwrap();
        if answer.status == 503 {
            break answer;
        }
        assert!(start.elapsed().as_secs() < 30);
    };
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("UNAVAILABLE", "1"));
    // Some are refused at the door, and a query by GET further in: it makes no difference.
    let by_get = Answer::of(Client::new().get(app.at("/graphql?query={__typename}"))).await;
    assert_eq!((by_get.status, by_get.code()), (503, refused.code()));
    for name in ["retry-after", "content-type", "cache-control", "vary", "x-content-type-options"] {
        assert_eq!(refused.header(name), by_get.header(name), "{name}");
    }
    // Its connection can be used again, and what is no request at all is still told so.
    let mut raw = Raw::to(&app).await;
    for (length, says) in [(NAME.len(), "UNAVAILABLE"), (1 << 30, "PAYLOAD_TOO_LARGE")] {
        raw.send(&format!(
            "POST /graphql HTTP/1.1\r\nhost: shoal\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        raw.send(NAME).await;
        raw.until(says).await;
    }
    // What is no work is answered.
    assert_eq!(app.get("/livez").await.status(), 200);
    assert!(app.metric("shoal_requests_turned_away_total", "").await >= 1.0);
    lock.close().await.unwrap();
    for asked in in_work {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    drop(waits);
    assert_eq!(post(&app, &json!({ "query": USERS })).await.status, 200);
}
