//! A small world in which every list has rows with equal sort keys, and room between any two.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::global;
use crate::support::{Backend, Database};

/// Rows of each list before anything is added.
const ROWS: usize = 12;
/// One object of each type has long lists.
pub const HUB: i64 = 10;
/// In the order of their bytes, which no locale has; some twice.
const NAMES: [&str; 14] = [" x", "-1", "-10", "10", "9", "A", "A", "Zoe", "a", "zoe", "Ä", "é", "\u{fffd}", "😀"];

/// The row that is in place `10 * number + between` by id, and some place by time, name or price.
struct Place {
    id: i64,
    /// Microseconds: three rows share each.
    time: String,
    name: String,
    price: usize,
}

impl Place {
    fn new(number: usize, between: usize, spread: usize) -> Self {
        Self {
            id: i64::try_from(1000 + 10 * number + between).unwrap(),
            time: format!("2020-01-01T00:00:00.{:06}+00:00", 100 + spread / 3),
            name: NAMES[spread % NAMES.len()].to_owned(),
            price: 100 * (spread / 3),
        }
    }
}

/// Fills an empty database.
pub async fn make(database: &Database) {
    let now = "2020-01-01T00:00:00+00:00";
    let hub = [
        format!("insert into users (id, email, name, role, active) values ({HUB}, 'hub', 'Hub', 'admin', true);"),
        format!(
            "insert into posts (id, author_id, title, body, status, published_at, created_at)
             values ({HUB}, {HUB}, 'Hub', '', 'published', '{now}', '{now}');"
        ),
        format!("insert into tags (id, name) values ({HUB}, 'hub');"),
        format!(
            "insert into products (id, sku, name, description, price_cents, currency, stock, active) values
             ({HUB}, 'hub', 'Hub', '', 5, 'USD', 1, true), ({HUB}0, 'lines', 'Of the lines', '', 5, 'USD', 1, true);"
        ),
        format!(
            "insert into orders (id, user_id, status, total_cents, currency) values ({HUB}, {HUB}, 'paid', 5, 'USD');"
        ),
    ];
    let rows = (0..ROWS).map(|number| rows(&Place::new(number, 0, number)));
    execute(database, &hub.into_iter().chain(rows).collect::<String>()).await;
}

/// Adds a row to every list: before, among or behind those that were there.
pub async fn add(database: &Database, round: usize) {
    // Neither number has a factor in common with the number of places: rounds jump about.
    let place = Place::new(round * 3 % (ROWS + 2), 1 + round / (ROWS + 2), round * 5 % (ROWS + 6));
    let place = Place { id: place.id - 10, ..place };
    execute(database, &rows(&place)).await;
}

/// A row of each table, which together are a row of every list.
fn rows(place: &Place) -> String {
    let Place { id, time, name, price } = place;
    let mut sql = String::new();
    for (table, columns, values) in [
        ("users", "email, name, role, active", format!("'{name}{id}@Example.invalid', '{name}', 'customer', true")),
        (
            "posts",
            "author_id, title, body, status, published_at, created_at",
            format!("{HUB}, 'Title', 'Body', 'published', '{time}', '{time}'"),
        ),
        ("comments", "post_id, author_id, body, created_at", format!("{HUB}, {HUB}, 'Body', '{time}'")),
        ("tags", "name", format!("'{name}{id}'")),
        (
            "products",
            "sku, name, description, price_cents, currency, stock, active",
            format!("'{id}', '{name}', '', {price}, 'USD', 1, true"),
        ),
        ("orders", "user_id, status, total_cents, currency, created_at", format!("{HUB}, 'paid', 1, 'USD', '{time}'")),
        ("order_items", "order_id, product_id, quantity, unit_price_cents", format!("{HUB}, {HUB}0, 1, 1")),
        ("jobs", "kind, task, max_attempts", "'nobody''s', '{}', 1".to_owned()),
    ] {
        writeln!(sql, "insert into {table} (id, {columns}) values ({id}, {values});").unwrap();
    }
    // The user buys the hub; ids of such orders and items lie far from the others.
    let bought = 100_000 + id;
    writeln!(
        sql,
        "insert into orders (id, user_id, status, total_cents, currency, created_at)
             values ({bought}, {id}, 'paid', 1, 'USD', '{time}');
         insert into order_items (id, order_id, product_id, quantity, unit_price_cents)
             values ({bought}, {bought}, {HUB}, 1, 1);
         insert into post_tags (post_id, tag_id) values ({HUB}, {id}), ({id}, {HUB});"
    )
    .unwrap();
    sql
}

async fn execute(database: &Database, sql: &str) {
    let sql = match database.backend() {
        // The ids are ours to choose, and post_tags has none.
        Backend::Postgres => sql.replace(" values", " overriding system value values"),
        Backend::Sqlite => sql.to_owned(),
    };
    database.execute(&format!("begin; {sql} commit;")).await;
}

/// A filter with which an index serves the order.
pub fn filter(owner: &str, name: &str, order: Option<&str>) -> Value {
    match (owner, name, order) {
        ("Query", "posts", Some("ID_ASC" | "ID_DESC")) => json!({ "tagId": global("Tag", HUB) }),
        _ => Value::Null,
    }
}
