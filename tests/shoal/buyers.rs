//! The buyers of a product, which triggers keep, while several write at once.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{Backend, Database, Stack, eventually};

const ORDERS: &str = "
    insert into users (email, name, role, active) values ('ann@example.invalid', 'Ann', 'customer', true);
    insert into products (sku, name, description, price_cents, currency, stock, active)
        values ('1', 'Yellow tulip', '', 250, 'EUR', 3, true);
    insert into orders (user_id, status, total_cents, currency) values (1, 'paid', 250, 'EUR'), (1, 'paid', 250, 'EUR');
    insert into order_items (order_id, product_id, quantity, unit_price_cents) values (1, 1, 1, 250), (2, 1, 1, 250);
";

#[tokio::test]
async fn two_orders_called_off_at_once_leave_no_buyer() {
    let database = Database::empty(Backend::Postgres).await;
    database.execute(ORDERS).await;
    let node = Stack::get().primary;
    let mut first = node.connect(database.name()).await;
    let mut second = node.connect(database.name()).await;
    let mut onlooker = node.connect(database.name()).await;

    run(&mut first, "begin").await;
    run(&mut first, "update orders set status = 'cancelled' where id = 1").await;
    let waits = tokio::spawn(async move {
        run(&mut second, "update orders set status = 'cancelled' where id = 2").await;
    });
    eventually("the second to wait for the first", async || {
        let sql = "select exists (select from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock')";
        sqlx::query_scalar(sql).fetch_one(&mut onlooker).await.unwrap()
    })
    .await;
    run(&mut first, "commit").await;
    waits.await.unwrap();

    let buyers: i64 = sqlx::query_scalar("select count(*) from product_buyers").fetch_one(&mut onlooker).await.unwrap();
    assert_eq!(buyers, 0);
    onlooker.close().await.unwrap();
}

#[tokio::test]
async fn items_taken_away_or_moved_take_their_buyer_along() {
    let database = Database::empty(Backend::Postgres).await;
    database.execute(ORDERS).await;
    let mut connection = Stack::get().primary.connect(database.name()).await;
    let mut latest = async |sql: &str| {
        run(&mut connection, sql).await;
        let sql = "select array_agg(item_id order by product_id, user_id) from product_buyers";
        sqlx::query_scalar::<_, Option<Vec<i64>>>(sql).fetch_one(&mut connection).await.unwrap().unwrap_or_default()
    };
    assert_eq!(latest("select").await, [2]);
    assert_eq!(latest("delete from order_items where id = 2").await, [1]);
    let other = "insert into products (sku, name, description, price_cents, currency, stock, active)
                 values ('2', 'Red tulip', '', 250, 'EUR', 3, true); update order_items set product_id = 2";
    assert_eq!(latest(other).await, [1]);
    assert_eq!(latest("update orders set status = 'cancelled'").await, [0_i64; 0]);
    assert_eq!(latest("update orders set status = 'paid'").await, [1]);
    assert_eq!(latest("truncate order_items").await, [0_i64; 0]);
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}
