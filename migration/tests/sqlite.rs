//! The steps on SQLite: that they apply and undo themselves, and that bad rows are refused.

use sea_orm_migration::sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement,
};
use shoal_migration::{Migrator, MigratorTrait};

/// A good row in every table, with id 1, and a second user.
const ROWS: &str = "
    insert into users (email, name, role, active) values ('Ann@example.invalid', 'Ann', 'admin', true);
    insert into users (email, name, role, active) values ('ben@example.invalid', 'Ben', 'customer', true);
    insert into posts (author_id, title, body, status) values (1, 'Cats', '', 'draft');
    insert into comments (post_id, author_id, body) values (1, 2, 'Dogs');
    insert into tags (name) values ('pets');
    insert into post_tags (post_id, tag_id) values (1, 1);
    insert into products (sku, name, description, price_cents, currency, stock, active)
        values ('1', 'Yellow tulip', '', 250, 'EUR', 3, true);
    insert into orders (user_id, status, total_cents, currency) values (1, 'pending', 250, 'EUR');
    insert into order_items (order_id, product_id, quantity, unit_price_cents) values (1, 1, 1, 250);
";

/// A statement and a word from the refusal it must meet.
const REFUSED: &[(&str, &str)] = &[
    ("update users set email = ''", "users_email_not_empty"),
    ("update users set email = 'ANN@example.invalid' where id = 2", "users_email"),
    ("update users set name = ''", "users_name_not_empty"),
    ("update users set role = 'Admin'", "users_role_known"),
    ("update users set created_at = null", "NOT NULL"),
    ("delete from users where id = 2", "FOREIGN KEY"),
    ("update posts set author_id = 9", "FOREIGN KEY"),
    ("update posts set title = ''", "posts_title_not_empty"),
    ("update posts set status = 'deleted'", "posts_status_known"),
    ("update posts set status = 'published'", "posts_published_has_time"),
    ("delete from posts", "FOREIGN KEY"),
    ("insert into comments (post_id, author_id, body) values (9, 1, '')", "FOREIGN KEY"),
    ("update comments set author_id = 9", "FOREIGN KEY"),
    ("insert into tags (name) values ('pets')", "UNIQUE"),
    ("insert into tags (name) values ('')", "tags_name_not_empty"),
    ("insert into post_tags (post_id, tag_id) values (1, 1)", "UNIQUE"),
    ("insert into post_tags (post_id, tag_id) values (1, 9)", "FOREIGN KEY"),
    ("update products set sku = ''", "products_sku_not_empty"),
    ("update products set name = ''", "products_name_not_empty"),
    ("update products set price_cents = -1", "products_price_not_negative"),
    ("update products set currency = 'eur'", "products_currency_is_code"),
    ("update products set currency = 'EURO'", "products_currency_is_code"),
    ("update products set stock = stock - 4", "products_stock_not_negative"),
    (
        "insert into products (sku, name, description, price_cents, currency, stock, active)
            values ('1', 'Red tulip', '', 250, 'EUR', 3, true)",
        "UNIQUE",
    ),
    ("delete from products", "FOREIGN KEY"),
    ("update orders set user_id = 9", "FOREIGN KEY"),
    ("update orders set status = 'lost'", "orders_status_known"),
    ("update orders set total_cents = -1", "orders_total_not_negative"),
    ("update orders set currency = ''", "orders_currency_is_code"),
    ("delete from orders", "FOREIGN KEY"),
    ("update order_items set product_id = 9", "FOREIGN KEY"),
    ("update order_items set quantity = 0", "order_items_quantity_positive"),
    ("update order_items set unit_price_cents = -1", "order_items_unit_price_not_negative"),
];

#[tokio::test]
async fn up_down_up() -> Result<(), DbErr> {
    let db = empty().await?;
    Migrator::up(&db, None).await?;
    db.execute_unprepared(ROWS).await?;
    let first = schema(&db).await?;

    Migrator::down(&db, None).await?;
    assert_eq!(schema(&db).await?, ["seaql_migrations"]);

    Migrator::up(&db, None).await?;
    db.execute_unprepared(ROWS).await?;
    assert_eq!(schema(&db).await?, first);
    Ok(())
}

#[tokio::test]
async fn a_failing_step_leaves_nothing() -> Result<(), DbErr> {
    let db = empty().await?;
    // The step makes its table before it comes to an index of this name.
    db.execute_unprepared("create table elsewhere (id integer); create index posts_status on elsewhere (id)").await?;
    let error = Migrator::up(&db, None).await.expect_err("the name is taken");
    assert!(error.to_string().contains("posts_status"), "{error}");

    let left = schema(&db).await?;
    assert!(left.iter().any(|name| name == "users"), "the step before it stays: {left:?}");
    assert!(!left.iter().any(|name| name == "posts"), "{left:?}");
    assert_eq!(Migrator::get_applied_migrations(&db).await?.len(), 1);

    db.execute_unprepared("drop index posts_status").await?;
    Migrator::up(&db, None).await
}

#[tokio::test]
async fn bad_rows_are_refused() -> Result<(), DbErr> {
    let db = filled().await?;
    for (statement, word) in REFUSED {
        match db.execute_unprepared(statement).await {
            Ok(_) => panic!("accepted: {statement}"),
            Err(error) => assert!(error.to_string().contains(word), "{statement}: {error}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn tags_go_with_their_post() -> Result<(), DbErr> {
    let db = filled().await?;
    db.execute_unprepared("delete from comments; delete from posts").await?;
    assert_eq!(texts(&db, "select tag_id || '' from post_tags").await?, [""; 0]);
    Ok(())
}

/// Keyset pages compare timestamps as text: a default must look like what sqlx writes.
#[tokio::test]
async fn default_times_look_like_written_ones() -> Result<(), DbErr> {
    let db = filled().await?;
    for written in texts(&db, "select created_at from users union all select updated_at from products").await? {
        let (instant, zone) = written.split_at(written.len() - "+00:00".len());
        assert_eq!(zone, "+00:00", "{written}");
        let (seconds, fraction) = instant.split_once('.').unwrap_or((instant, "001"));
        assert_eq!(seconds.len(), "2018-04-13T02:51:31".len(), "{written}");
        assert_eq!(seconds.as_bytes()[10], b'T', "{written}");
        assert!(fraction.len() == 3 && fraction != "000", "{written}");
    }
    Ok(())
}

#[tokio::test]
async fn product_search_follows_the_names() -> Result<(), DbErr> {
    let db = filled().await?;
    let search = "select p.name from products_name n join products p on p.id = n.rowid where n.name like '%TULIP%'";
    assert_eq!(texts(&db, search).await?, ["Yellow tulip"]);

    db.execute_unprepared("update products set name = 'Rose'").await?;
    assert_eq!(texts(&db, search).await?, [""; 0]);

    db.execute_unprepared("update products set name = 'Blue tulip'").await?;
    assert_eq!(texts(&db, search).await?, ["Blue tulip"]);

    db.execute_unprepared(
        "delete from order_items; delete from products;
        insert into products_name (products_name, rank) values ('integrity-check', 1)",
    )
    .await?;
    assert_eq!(texts(&db, search).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_buyer_stands_once_at_the_latest_order_that_counts() -> Result<(), DbErr> {
    let db = filled().await?;
    let buyers = "select product_id || ' ' || user_id || ' ' || item_id from product_buyers order by item_id";
    assert_eq!(texts(&db, buyers).await?, ["1 1 1"]);

    // Ben orders (item 2), Ann again (3), and again in two lines (4, 5).
    db.execute_unprepared(
        "insert into orders (user_id, status, total_cents, currency)
            values (2, 'paid', 250, 'EUR'), (1, 'shipped', 250, 'EUR'), (1, 'pending', 500, 'EUR');
        insert into order_items (order_id, product_id, quantity, unit_price_cents)
            values (2, 1, 1, 250), (3, 1, 1, 250), (4, 1, 1, 250), (4, 1, 1, 250)",
    )
    .await?;
    assert_eq!(texts(&db, buyers).await?, ["1 2 2", "1 1 5"]);

    db.execute_unprepared("update orders set status = 'cancelled' where id = 4").await?;
    assert_eq!(texts(&db, buyers).await?, ["1 2 2", "1 1 3"]);

    db.execute_unprepared("update orders set status = 'cancelled' where user_id = 1").await?;
    assert_eq!(texts(&db, buyers).await?, ["1 2 2"]);
    Ok(())
}

/// An empty database in memory: of one connection, because each would have its own.
async fn empty() -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await
}

async fn filled() -> Result<DatabaseConnection, DbErr> {
    let db = empty().await?;
    Migrator::up(&db, None).await?;
    db.execute_unprepared(ROWS).await?;
    Ok(db)
}

/// Names of all that has been created, but for SQLite's own.
async fn schema(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    texts(db, "select name from sqlite_master where name not like 'sqlite_%' order by name").await
}

async fn texts(db: &DatabaseConnection, query: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(DbBackend::Sqlite, query);
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
