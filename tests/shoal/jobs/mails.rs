//! Mails are jobs: whoever is written to, and who is not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{HERE, OFTEN};
use crate::on_both;
use crate::support::sink::{Manner, Sink};
use crate::support::{Backend, Database, TestApp, eventually};

on_both!(whoever_is_new_is_written_to, a_customer_hears_what_becomes_of_an_order, what_is_refused_is_not_written_of);

const CREATE: &str = "mutation($email: String!) { createUser(input: { email: $email, name: \"Ada\" }) {
    user { id } userErrors { code } } }";

async fn app(database: Arc<Database>, sink: &Sink, more: &[(&str, &str)]) -> TestApp {
    let url = sink.url();
    TestApp::start(database, &[&[OFTEN, HERE, ("SHOAL_MAIL__SMTP_URL", url.as_str())], more].concat()).await
}

async fn created(app: &TestApp, email: &str) -> Value {
    app.query_with(CREATE, json!({ "email": email })).await["createUser"].take()
}

/// Waits until so many different mails have come; they must not be more.
async fn come(sink: &Sink, count: usize) {
    eventually("the mails", async || sink.counts().1 >= count).await;
    assert_eq!(sink.counts().1, count);
}

async fn whoever_is_new_is_written_to(backend: Backend) {
    let sink = Sink::open().await;
    let app = app(Arc::new(Database::empty(backend).await), &sink, &[]).await;
    created(&app, "ada@example.org").await;
    come(&sink, 1).await;
    let mail = sink.mails("job-1@localhost").remove(0);
    assert_eq!(mail.to, ["ada@example.org"]);
    assert!(mail.content.contains("Ada"), "{}", mail.content);
}

async fn a_customer_hears_what_becomes_of_an_order(backend: Backend) {
    let sink = Sink::open().await;
    let app = app(Arc::new(Database::empty(backend).await), &sink, &[]).await;
    let user = created(&app, "ada@example.org").await["user"]["id"].take();
    let product = r#"mutation { createProduct(input: { sku: "a", name: "Brass gear", stock: 9,
        price: { amount: "2.50", currencyCode: "EUR" } }) { product { id } } }"#;
    let product = app.query(product).await["createProduct"]["product"]["id"].take();
    let place = "mutation($user: ID!, $product: ID!, $key: String!) { placeOrder(input: { userId: $user,
        idempotencyKey: $key, items: [{ productId: $product, quantity: 2 }] }) { order { id } userErrors { code } } }";
    let mut orders = Vec::new();
    for key in ["one", "other"] {
        let variables = json!({ "user": user, "product": product, "key": key });
        orders.push(app.query_with(place, variables).await["placeOrder"]["order"]["id"].take());
    }
    for (order, input) in [
        (0, "payOrder(input: { id: $id, idempotencyKey: \"a\" })"),
        (0, "shipOrder(input: { id: $id })"),
        (0, "deliverOrder(input: { id: $id })"),
        (1, "cancelOrder(input: { id: $id, idempotencyKey: \"b\" })"),
    ] {
        let mutation = format!("mutation($id: ID!) {{ {input} {{ userErrors {{ code }} }} }}");
        let answer = app.query_with(&mutation, json!({ "id": orders[order] })).await;
        assert!(answer.to_string().contains("\"userErrors\":[]"), "{answer}");
    }
    // The welcome; placed twice, paid, shipped, cancelled; of what is delivered nobody needs to be told.
    come(&sink, 6).await;
    let placed = sink.mails("job-2@localhost").remove(0);
    assert_eq!(placed.to, ["ada@example.org"]);
    assert!(placed.content.contains("Brass gear") && placed.content.contains("5.00"), "{}", placed.content);
}

/// Neither by what a rule forbids nor by what is done once under its key and asked for twice.
async fn what_is_refused_is_not_written_of(backend: Backend) {
    let sink = Sink::open().await;
    let database = Arc::new(Database::empty(backend).await);
    let app = app(database.clone(), &sink, &[]).await;
    created(&app, "ada@example.org").await;
    assert_eq!(created(&app, "ADA@example.org").await["userErrors"][0]["code"], "TAKEN");
    let once = r#"mutation { createUser(input: { email: "bob@example.org", name: "Bob", idempotencyKey: "k" }) {
        user { id } } }"#;
    for _ in 0..2 {
        app.query(once).await;
    }
    eventually("all to be done", async || {
        let done = "select cast(count(*) as text) from jobs where kind = 'mail' and state = 'done'";
        database.text(done).await.as_deref() == Some("2")
    })
    .await;
    assert_eq!(sink.counts(), (2, 2));
}

/// A mailbox that does not exist is a dead letter at once; a server that asks for patience is asked again.
#[tokio::test]
async fn what_a_server_refuses_for_good_is_a_dead_letter() {
    let sink = Sink::open().await;
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    let app = app(database.clone(), &sink, &[("SHOAL_JOBS__BACKOFF_MS", "10")]).await;
    let state = async |id: u32| {
        database.text(&format!("select state || attempt from jobs where id = {id}")).await.unwrap_or_default()
    };
    sink.behave(Manner::Refuse(550));
    created(&app, "nobody@example.org").await;
    eventually("a dead letter", async || state(1).await == "dead1").await;
    sink.behave(Manner::Refuse(451));
    created(&app, "ada@example.org").await;
    eventually("another attempt", async || !["queued0", "running1", "queued1"].contains(&state(2).await.as_str()))
        .await;
    sink.behave(Manner::Take(Duration::ZERO));
    come(&sink, 1).await;
    eventually("it to be done", async || state(2).await.starts_with("done")).await;
    assert_eq!(sink.mails("job-2@localhost").len(), 1);
}

/// Three mails to Ada, with these priorities, that nobody has given a hint of.
async fn waiting(priorities: [i32; 3]) -> Arc<Database> {
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    let user = "insert into users (email, name, role, active) values ('ada@example.org', 'Ada', 'customer', true)";
    database.execute(user).await;
    for priority in priorities {
        let row = format!(r#"('mail', '{{"task":"welcome","user":1}}', 5, {priority})"#);
        database.execute(&format!("insert into jobs (kind, task, max_attempts, priority) values {row}")).await;
    }
    database
}

#[tokio::test]
async fn what_somebody_waits_for_comes_first() {
    let (sink, database) = (Sink::open().await, waiting([10, 10, 0]).await);
    let _app = app(database.clone(), &sink, &[("SHOAL_JOBS__CONCURRENCY__MAIL", "1")]).await;
    let order =
        "select case count(finished_at) when 3 then string_agg(id::text, ' ' order by finished_at) end from jobs";
    eventually("all to be sent", async || database.text(order).await.is_some()).await;
    assert_eq!(database.text(order).await.as_deref(), Some("3 1 2"));
}

#[tokio::test]
async fn no_more_are_sent_at_once_than_is_said() {
    let (sink, database) = (Sink::open().await, waiting([0; 3]).await);
    sink.behave(Manner::Silent);
    let _app = app(database.clone(), &sink, &[("SHOAL_JOBS__CONCURRENCY__MAIL", "2")]).await;
    eventually("two to be begun", async || sink.connections() == 2).await;
    let states = "select string_agg(state, ' ' order by state) from jobs";
    assert_eq!(database.text(states).await.as_deref(), Some("queued running running"));
    sink.behave(Manner::Take(Duration::ZERO));
    eventually("all to be sent", async || database.text(states).await.as_deref() == Some("done done done")).await;
}

/// However fast they are queued, they go at the pace of the server that takes them, and nobody keeps them in memory.
#[tokio::test]
async fn ten_thousand_mails_drain_with_flat_memory() {
    let sink = Sink::open().await;
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    database
        .execute("insert into users (email, name, role, active) values ('ada@example.org', 'Ada', 'customer', true)")
        .await;
    database
        .execute(
            r#"insert into jobs (kind, task, max_attempts)
            select 'mail', '{"task":"welcome","user":1}', 5 from generate_series(1, 10000)"#,
        )
        .await;
    let app = app(database.clone(), &sink, &[("SHOAL_JOBS__CONCURRENCY__MAIL", "4")]).await;
    eventually("the first to come", async || sink.counts().1 > 500).await;
    let memory = resident(app.process());
    while sink.counts().1 < 10_000 {
        let so_far = sink.counts().1;
        eventually("more to come", async || sink.counts().1 >= (so_far + 100).min(10_000)).await;
    }
    let after = resident(app.process());
    assert!(after < memory + 20_000, "{memory} kB, then {after} kB");
    assert_eq!(sink.counts(), (10_000, 10_000));
}

/// The memory that a process has in use, in kB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
