//! Products of files that were sent: what is written, what is reported, and what dies meanwhile.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::Connection;

use super::{HERE, LEASE, LONG_LEASE, OFTEN, SHORT_LEASE, Worker, is, jobs};
use crate::model::global;
use crate::mutations::mutation;
use crate::on_both;
use crate::support::{Backend, Database, Stack, TestApp, eventually};
use crate::uploads::{HEADER, sent};

on_both!(products_become_what_the_file_says, what_was_sent_is_removed_when_nobody_needs_it);

/// So many lines are several batches.
const MANY: usize = 1_000;
/// Lines of a batch.
const BATCH: i64 = 250;

/// Asks for an import; the id of its job in the database.
async fn begun(app: &TestApp, upload: &str) -> String {
    let input = json!({ "input": { "uploadId": upload } });
    let payload = app.query_with(&mutation("importProducts", "jobId"), input).await["importProducts"].take();
    assert_eq!(payload["userErrors"], json!([]));
    let id = app.database.text("select cast(max(id) as text) from jobs where kind = 'import'").await.unwrap();
    assert_eq!(payload["jobId"], json!(global("Job", &id)));
    id
}

/// Waits until a job has ended well; its report.
async fn report(database: &Database, id: &str) -> Value {
    let state = format!("select state from jobs where id = {id}");
    eventually("the import", async || database.text(&state).await.as_deref() == Some("done")).await;
    let report = database.text(&format!("select report from jobs where id = {id}")).await.unwrap();
    serde_json::from_str(&report).unwrap()
}

async fn count(database: &Database, sql: &str) -> i64 {
    database.text(&format!("select cast(count(*) as text) from {sql}")).await.unwrap().parse().unwrap()
}

fn many() -> String {
    let lines: String = (0..MANY).map(|number| format!("S{number:04},Vase,{number},EUR\n")).collect();
    format!("{HEADER}{lines}")
}

async fn products_become_what_the_file_says(backend: Backend) {
    let app = TestApp::start(Arc::new(Database::empty(backend).await), &[OFTEN, HERE]).await;
    app.caches().await;
    for sku in ["A", "B"] {
        let price = json!({ "amount": "1", "currencyCode": "EUR" });
        let input =
            json!({ "input": { "sku": sku, "name": "Vase", "description": "Blue.", "stock": 3, "price": price } });
        app.query_with(&mutation("createProduct", "product { id }"), input).await;
    }
    let shown = "{ productBySku(sku: \"A\") { name description stock active price { amount } updatedAt } }";
    let before = app.query(shown).await["productBySku"].take();
    assert_eq!(app.query(shown).await["productBySku"], before);
    let other = "{ productBySku(sku: \"B\") { updatedAt } }";
    let untouched = app.query(other).await;
    let new = "{ productBySku(sku: \"C\") { name description stock active price { amount } } }";
    assert_eq!(app.query(new).await["productBySku"], Value::Null);

    let file =
        format!("{HEADER}A,Vase,250,EUR\nB,Vase,100,EUR\nC, Jug ,5,EUR\nC,Jug,6,EUR\nD,Jug\nE,Jug,x,EUR\nF,,1,EUR\n");
    let id = begun(&app, &sent(&app, file).await).await;
    let report = report(&app.database, &id).await;
    let bad = |line: u64, column: Value, code: &str, reason: &str| json!({ "line": line, "column": column, "code": code, "reason": reason });
    let bad_lines = [
        bad(5, json!("sku"), "TAKEN", "sku: is on line 4 already"),
        bad(6, Value::Null, "INVALID", "2 fields where the header names 4"),
        bad(7, json!("price_cents"), "INVALID", "price_cents: \"x\" is not a whole number of 64 bits"),
        bad(8, json!("name"), "BLANK", "name: must not be blank"),
    ];
    assert_eq!(report, json!({ "created": 1, "updated": 1, "unchanged": 1, "bad": 4, "badLines": bad_lines }));
    // What was read before is not served any more.
    eventually("the caches to know", async || {
        let after = app.query(shown).await["productBySku"].take();
        after["price"]["amount"] == "2.50"
            && (&after["stock"], &after["description"]) == (&json!(3), &json!("Blue."))
            && after["updatedAt"] != before["updatedAt"]
            && app.query(new).await["productBySku"]["name"] == "Jug"
    })
    .await;
    assert_eq!(app.query(other).await, untouched);
    let row = format!("select progress || ' ' || progress_total || ' ' || attempt from jobs where id = {id}");
    assert_eq!(app.database.text(&row).await.as_deref(), Some("7 7 1"));

    // With all columns, in another order, some of them long.
    let text = "é".repeat(20_000);
    let rows: String = (0..60).map(|number| format!("{text},true,L{number},1,EUR,Vase,9\n")).collect();
    let file = format!("description,active,sku,price_cents,currency,name,stock\nRed.,false,A,250,EUR,Vase,4\n{rows}");
    let upload = sent(&app, file).await;
    let id = begun(&app, &upload).await;
    assert_eq!(
        self::report(&app.database, &id).await,
        json!({ "created": 60, "updated": 1, "unchanged": 0, "bad": 0, "badLines": [] })
    );
    eventually("the caches to know", async || {
        let after = app.query(shown).await["productBySku"].take();
        (&after["stock"], &after["description"], &after["active"]) == (&json!(4), &json!("Red."), &json!(false))
    })
    .await;
    // Once more, it says nothing new.
    let id = begun(&app, &upload).await;
    assert_eq!(self::report(&app.database, &id).await["unchanged"], 61);
}

async fn what_was_sent_is_removed_when_nobody_needs_it(backend: Backend) {
    // Nobody runs imports here, as long as there is another server.
    let database = Arc::new(Database::empty(backend).await);
    let never = ("SHOAL_JOBS__IN_SERVER", "never");
    let app = TestApp::start(database.clone(), &[never]).await;
    let uploads = [sent(&app, many()).await, sent(&app, many()).await, sent(&app, many()).await];
    begun(&app, &uploads[0]).await;
    drop(app);
    database.execute("update uploads set created_at = '2020-01-01T00:00:00+00:00' where id < 3").await;
    // It waits for long.
    database.execute("update jobs set due_at = '2999-01-01T00:00:00+00:00'").await;
    let app = TestApp::start(database.clone(), &[OFTEN, HERE, ("SHOAL_JOBS__RETENTION", "* * * * * *")]).await;
    eventually("what is old to be gone", async || count(&database, "uploads where id = 2").await == 0).await;
    assert_eq!(count(&database, "uploads").await, 2);
    let input = json!({ "input": { "uploadId": uploads[1] } });
    assert_eq!(app.refusal(&mutation("importProducts", "jobId"), input).await.0, "NOT_FOUND");
}

#[tokio::test]
async fn an_import_is_asked_for_once() {
    let app = TestApp::empty(Backend::Postgres).await;
    let upload = sent(&app, many()).await;
    let ask = async |input: Value| {
        let shown = mutation("importProducts", "job { id state progress createdAt } jobId");
        let answer = app.query_with(&shown, json!({ "input": input })).await;
        answer["importProducts"].clone()
    };
    let once = json!({ "uploadId": upload, "idempotencyKey": "k" });
    let first = ask(once.clone()).await;
    assert_eq!((&first["job"]["id"], &first["job"]["state"]), (&first["jobId"], &json!("QUEUED")), "{first}");
    assert_eq!(ask(once).await, first);
    let again = ask(json!({ "uploadId": upload })).await;
    assert_eq!((&again["job"], &again["jobId"]), (&Value::Null, &Value::Null));
    assert_eq!(again["userErrors"][0]["code"], "INVALID_STATE");
    assert_eq!(count(&app.database, "jobs").await, 1);
    for (id, code) in [(global("Upload", 99), "NOT_FOUND"), (global("Product", 1), "BAD_USER_INPUT")] {
        let input = json!({ "input": { "uploadId": id } });
        assert_eq!(app.refusal(&mutation("importProducts", "jobId"), input).await.0, code);
    }
}

/// An import that has come to its third batch, and waits there for a product that somebody else holds.
struct Halfway {
    app: TestApp,
    id: String,
    held: sqlx::PgConnection,
}

impl Halfway {
    async fn come(start: impl Fn(&Database) -> Worker) -> (Self, Worker) {
        let database = Arc::new(Database::empty(Backend::Postgres).await);
        let app = TestApp::start(database.clone(), &[]).await;
        let columns = "sku, name, description, price_cents, currency, stock, active";
        let product = format!("insert into products ({columns}) values ('S0600', 'Vase', '', 1, 'EUR', 0, true)");
        database.execute(&product).await;
        let mut held = Stack::get().primary.connect(database.name()).await;
        sqlx::raw_sql("begin; select from products where sku = 'S0600' for update").execute(&mut held).await.unwrap();
        let id = begun(&app, &sent(&app, many()).await).await;
        let worker = start(&database);
        let progress = format!("select progress::text from jobs where id = {id}");
        eventually("two batches", async || database.text(&progress).await.unwrap() == (2 * BATCH).to_string()).await;
        eventually("the third to wait", async || {
            count(&database, "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").await
                > 0
        })
        .await;
        (Self { app, id, held }, worker)
    }

    async fn let_go(self) -> (TestApp, String) {
        let mut held = self.held;
        sqlx::raw_sql("rollback").execute(&mut held).await.unwrap();
        held.close().await.unwrap();
        (self.app, self.id)
    }
}

fn worker(database: &Database) -> Worker {
    Worker::start(database, &[OFTEN, SHORT_LEASE])
}

#[tokio::test]
async fn what_a_killed_worker_left_is_imported_by_another() {
    let (halfway, first) = Halfway::come(worker).await;
    drop(first);
    let database = halfway.app.database.clone();
    let _second = worker(&database);
    let (_app, id) = halfway.let_go().await;
    let expected = json!({ "created": MANY - 1, "updated": 1, "unchanged": 0, "bad": 0, "badLines": [] });
    assert_eq!(report(&database, &id).await, expected);
    assert_eq!(count(&database, "products").await, MANY as i64);
    assert_eq!(count(&database, "jobs where attempt > 1").await, 1);
}

#[tokio::test]
async fn an_import_that_is_cancelled_keeps_what_was_written() {
    let (halfway, _worker) = Halfway::come(worker).await;
    let (database, id) = (halfway.app.database.clone(), halfway.id.clone());
    // Although its third batch waits: that is given up.
    assert!(jobs(&database, &["cancel", &id]).0);
    let job = is(&database, &id, "cancelled").await;
    let (_app, id) = halfway.let_go().await;
    let report: Value = serde_json::from_str(job["report"].as_str().unwrap()).unwrap();
    assert_eq!((&report["created"], &report["updated"]), (&json!(2 * BATCH), &json!(0)), "{job}");
    assert_eq!((&job["progress"], &job["progress_total"]), (&json!(2 * BATCH), &json!(MANY)), "{job}");
    // With the one that was there.
    assert_eq!(count(&database, "products").await, 2 * BATCH + 1);
    // Who tries it again goes on.
    assert!(jobs(&database, &["retry", &id]).0);
    assert_eq!(self::report(&database, &id).await["created"], MANY - 1);
}

/// A batch may have to wait for longer than a lease: whoever runs it says meanwhile that it still does.
#[tokio::test]
async fn an_import_that_waits_for_long_stays_with_its_worker() {
    let keeping = |database: &Database| Worker::start(database, &[OFTEN, LONG_LEASE]);
    let (halfway, _worker) = Halfway::come(keeping).await;
    let database = halfway.app.database.clone();
    let _other = keeping(&database);
    let lease =
        format!("select (extract(epoch from leased_until) * 1000)::bigint::text from jobs where id = {}", halfway.id);
    let lease = async || database.text(&lease).await.unwrap().parse::<i64>().unwrap();
    let first = lease().await;
    // After the first would have ended.
    eventually("leases to be extended", async || lease().await > first + LEASE + 1_000).await;
    let (_app, id) = halfway.let_go().await;
    let expected = json!({ "created": MANY - 1, "updated": 1, "unchanged": 0, "bad": 0, "badLines": [] });
    assert_eq!(report(&database, &id).await, expected);
    assert_eq!(count(&database, "jobs where attempt = 1").await, 1);
}

/// Somebody else holds the job before the third batch is written: nothing of it stays, even if its worker has not heard
/// of that.
#[tokio::test]
async fn a_worker_that_lost_an_import_writes_nothing() {
    let (halfway, _worker) = Halfway::come(|database| Worker::start(database, &[OFTEN])).await;
    let database = halfway.app.database.clone();
    let theft = "attempt = attempt + 1, worker = 'other', leased_until = now() + interval '1 hour'";
    database.execute(&format!("update jobs set {theft} where id = {}", halfway.id)).await;
    let (app, id) = halfway.let_go().await;
    // The worker is free for another import by then.
    let next = begun(&app, &sent(&app, format!("{HEADER}Z,Vase,1,EUR\n")).await).await;
    report(&database, &next).await;
    let row = format!("select progress || ' ' || state || ' ' || worker from jobs where id = {id}");
    assert_eq!(database.text(&row).await, Some(format!("{} running other", 2 * BATCH)));
    // With the one that was there, and the next.
    assert_eq!(count(&database, "products").await, 2 * BATCH + 2);
}
