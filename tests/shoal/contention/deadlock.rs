//! A transaction that PostgreSQL sacrifices is run again.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{order, shop};
use crate::mutations::mutation;
use crate::support::{Backend, Stack, eventually};

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(|_| ())
}

/// Somebody else has locked the second product, and wants the first, which the order has locked.
#[tokio::test]
async fn the_victim_of_a_deadlock_tries_again() {
    let app = shop(Backend::Postgres).await;
    let name = app.database.name();
    let mut other = Stack::get().primary.connect(name).await;
    let mut onlooker = Stack::get().primary.connect(name).await;
    // Whoever waits for so long looks for a deadlock, and dies of it: not the other.
    run(&mut other, "set deadlock_timeout = '1min'").await.unwrap();
    run(&mut other, "begin").await.unwrap();
    run(&mut other, "select from products where id = 3 for update").await.unwrap();
    let body = json!({ "query": mutation("placeOrder", "order { id }"),
        "variables": { "input": order(1, &[(2, 1), (3, 1)], "k") } });
    let request = reqwest::Client::new().post(app.at("/graphql")).json(&body).send();
    let request = tokio::spawn(request);
    eventually("the order to wait for the second product", async || {
        let waiting = "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and application_name = 'shoal')";
        sqlx::query_scalar(waiting).fetch_one(&mut onlooker).await.unwrap()
    })
    .await;
    run(&mut other, "select from products where id = 2 for update").await.unwrap();
    run(&mut other, "commit").await.unwrap();
    let answer: serde_json::Value = request.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["placeOrder"]["userErrors"], json!([]), "{answer}");
    assert_eq!(app.database.text("select count(*)::text from orders").await.as_deref(), Some("1"));
    let metrics = app.get("/metrics").await.text().await.unwrap();
    let retries = metrics.lines().find(|line| line.starts_with("shoal_write_retries_total{work=\"placeOrder\"}"));
    assert!(retries.is_some(), "{metrics}");
}
