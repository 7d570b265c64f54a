//! The rows of a database, as SQL returns them.

use std::cell::RefCell;
use std::collections::HashMap;

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::support::Database;

/// The columns of each table.
const TABLES: [(&str, &str); 9] = [
    ("users", "id email name role active created_at updated_at"),
    ("posts", "id author_id title body status published_at created_at updated_at"),
    ("comments", "id post_id author_id body created_at"),
    ("tags", "id name"),
    ("post_tags", "post_id tag_id"),
    ("products", "id sku name description price_cents currency stock active created_at updated_at"),
    ("orders", "id user_id status total_cents currency created_at updated_at"),
    ("order_items", "id order_id product_id quantity unit_price_cents"),
    (
        "jobs",
        "id kind task state priority due_at attempt max_attempts worker cancel_requested progress progress_total report error \
         created_at finished_at",
    ),
];

/// A row: times as microseconds since 1970, the rest as JSON.
#[derive(Debug)]
pub struct Row(Map<String, Value>);

/// The type and the ids of what a list holds.
type Listed = (&'static str, Vec<i64>);

/// All rows of a database.
pub struct Model {
    tables: HashMap<&'static str, Vec<Row>>,
    /// Rows by table, column and number: primary and foreign keys.
    by_key: HashMap<(&'static str, &'static str, i64), Vec<usize>>,
    /// Where `totalCount` stops.
    pub count_cap: usize,
    /// The ids of the rows of a list that match a filter, by what was asked, once it was.
    pub(super) matching: RefCell<HashMap<String, Vec<i64>>>,
    /// The same of whole lists in order, with their types.
    pub(super) lists: RefCell<HashMap<String, Option<Listed>>>,
}

impl Row {
    pub fn int(&self, column: &str) -> i64 {
        self.get(column).as_i64().unwrap()
    }

    pub fn text(&self, column: &str) -> &str {
        self.get(column).as_str().unwrap()
    }

    pub fn get(&self, column: &str) -> &Value {
        self.0.get(column).unwrap_or_else(|| panic!("no column {column}"))
    }

    pub fn id(&self) -> i64 {
        self.int("id")
    }
}

impl Model {
    /// Reads all tables.
    pub async fn of(database: &Database) -> Self {
        let mut model = Self {
            tables: HashMap::new(),
            by_key: HashMap::new(),
            count_cap: 10_000,
            matching: RefCell::default(),
            lists: RefCell::default(),
        };
        let (object, array) = match database {
            Database::Postgres { .. } => ("json_build_object", "json_agg"),
            Database::Sqlite { .. } => ("json_object", "json_group_array"),
        };
        for (table, columns) in TABLES {
            let pairs: Vec<_> = columns.split(' ').map(|column| format!("'{column}', {column}")).collect();
            let sql = format!("select cast({array}({object}({})) as text) from {table}", pairs.join(", "));
            let text = database.text(&sql).await.unwrap_or("[]".to_owned());
            let rows: Vec<Map<_, _>> = serde_json::from_str(&text).unwrap();
            model.tables.insert(table, rows.into_iter().map(Row::read).collect());
            for (place, row) in model.tables[table].iter().enumerate() {
                for column in columns.split(' ').filter(|column| *column == "id" || column.ends_with("_id")) {
                    let key = (table, column, row.int(column));
                    model.by_key.entry(key).or_default().push(place);
                }
            }
        }
        model
    }

    pub fn all(&self, table: &str) -> Vec<&Row> {
        self.tables[table].iter().collect()
    }

    /// The rows of a table whose `column` is `key`.
    pub fn where_is(&self, table: &'static str, column: &'static str, key: i64) -> Vec<&Row> {
        let places = self.by_key.get(&(table, column, key)).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|place| &self.tables[table][*place]).collect()
    }

    pub fn find(&self, table: &'static str, id: i64) -> Option<&Row> {
        self.where_is(table, "id", id).first().copied()
    }

    /// The row that a foreign key names.
    pub fn get(&self, table: &'static str, id: i64) -> &Row {
        self.find(table, id).unwrap_or_else(|| panic!("no {id} in {table}"))
    }
}

impl Row {
    fn read(mut row: Map<String, Value>) -> Self {
        for (column, value) in &mut row {
            if column.ends_with("_at") && !value.is_null() {
                *value = DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp_micros().into();
            } else if ["active", "cancel_requested"].contains(&column.as_str()) {
                // SQLite has no booleans.
                *value = (*value == Value::Bool(true) || *value == 1).into();
            }
        }
        Self(row)
    }
}

/// What the demo data has none of, with jobs that are not due: every role and status, several currencies, ties, microseconds, names beyond ASCII.
/// Ids follow those of the demo data: 234 users, 300 posts, 37 tags, 4540 products, 841 orders.
pub const MORE: &str = r#"
insert into users (email, name, role, active, created_at, updated_at) values
    ('Zoe@Example.invalid', '-5', 'admin', true, '2020-01-01T00:00:00.000001+00:00', '2020-01-01T00:00:00.5+00:00'),
    ('ÉCOLE@example.invalid', 'Ünal', 'moderator', false, '2020-01-01T00:00:00.00001+00:00', '2020-01-02T00:00:00+00:00'),
    ('zoë@example.invalid', 'Ünal', 'customer', true, '2020-01-01T00:00:00.1+00:00', '2020-01-01T00:00:00.1+00:00'),
    ('q"o''t%_e@example.invalid', '😀 100%_"o''', 'customer', true, '0001-01-01T00:00:00+00:00', '9999-12-31T23:59:59.999999+00:00'),
    ('100%@example.invalid', '�', 'customer', true, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    ('Z@example.invalid', 'Zoe', 'author', true, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    ('z_@example.invalid', 'zoe', 'author', true, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00');
insert into posts (author_id, title, body, status, published_at, created_at, updated_at) values
    (1, 'Draft', '', 'draft', null, '2020-01-01T00:00:00.000002+00:00', '2020-01-01T00:00:00+00:00'),
    (1, 'Draft', 'b', 'draft', null, '2020-01-01T00:00:00.000002+00:00', '2020-01-01T00:00:00+00:00'),
    (1, 'Was out', 'c', 'draft', '2019-01-01T00:00:00+00:00', '2020-01-01T00:00:00.000001+00:00', '2020-01-01T00:00:00+00:00'),
    (240, 'Old', 'd', 'archived', '2018-05-01T00:00:00+00:00', '2018-05-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    (240, 'Older', 'e', 'archived', null, '2018-05-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    (240, 'Tie', 'f', 'published', '2020-02-02T02:02:02.000002+00:00', '2020-02-02T00:00:00+00:00', '2020-02-02T00:00:00+00:00'),
    (1, 'Tie', 'g', 'published', '2020-02-02T02:02:02.000002+00:00', '2020-02-02T00:00:00+00:00', '2020-02-02T00:00:00+00:00'),
    (1, 'Tie', 'h', 'published', '2020-02-02T02:02:02.000001+00:00', '2020-02-02T00:00:00+00:00', '2020-02-02T00:00:00+00:00'),
    (1, 'Tie', 'i', 'published', '2020-02-02T02:02:02+00:00', '2020-02-02T00:00:00+00:00', '2020-02-02T00:00:00+00:00');
insert into comments (post_id, author_id, body, created_at) values
    (306, 237, 'One', '2020-03-03T00:00:00.000001+00:00'),
    (306, 238, 'Two', '2020-03-03T00:00:00.000001+00:00'),
    (306, 237, 'Three', '2020-03-03T00:00:00+00:00'),
    (301, 237, '', '2020-03-03T00:00:00.000002+00:00'),
    (1, 237, 'Line
break "quoted" \ 😀', '2020-03-03T00:00:01+00:00');
insert into tags (name) values ('Zebra'), ('-1'), ('10'), ('9'), ('Äpfel'), ('😀'), ('�'), ('can''t "stop" 100%_'), ('z');
insert into post_tags (post_id, tag_id) values
    (301, 38), (303, 38), (304, 38), (306, 38), (307, 38), (308, 38), (306, 46), (306, 39), (306, 1), (301, 1);
insert into products (sku, name, description, price_cents, currency, stock, active, created_at, updated_at) values
    ('a-1', 'Free Café', '', 0, 'USD', 0, true, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    ('A-1', 'Yen 100%_', 'It says "yes".', 1500, 'JPY', 2147483647, true, '2020-01-01T00:00:00.123+00:00', '2020-01-01T00:00:00.123456+00:00'),
    ('kw', 'Dinar "Größe"', 'd', 5, 'KWD', 1, true, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    ('off', 'Café off', 'd', 9007199254740993, 'EUR', 1, false, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00'),
    ('off2', 'Gone', 'd', 119, 'EUR', 1, false, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:00+00:00');
insert into orders (user_id, status, total_cents, currency, created_at, updated_at) values
    (237, 'pending', 100, 'USD', '2021-01-01T00:00:00.000001+00:00', '2021-01-01T00:00:00+00:00'),
    (237, 'paid', 250, 'USD', '2021-01-01T00:00:00.000001+00:00', '2021-01-01T00:00:00+00:00'),
    (237, 'cancelled', 99999, 'EUR', '2021-06-01T00:00:00+00:00', '2021-01-01T00:00:00+00:00'),
    (238, 'shipped', 1500, 'JPY', '2021-01-01T00:00:00.000002+00:00', '2021-01-01T00:00:00+00:00'),
    (238, 'delivered', 5, 'KWD', '2021-01-01T00:00:00+00:00', '2021-01-01T00:00:00+00:00'),
    (238, 'delivered', 5, 'EUR', '2021-01-01T00:00:00+00:00', '2021-01-01T00:00:00+00:00'),
    (239, 'cancelled', 7, 'USD', '2021-01-01T00:00:00+00:00', '2021-01-01T00:00:00+00:00'),
    (1, 'paid', 9007199254740993, 'USD', '2021-01-01T00:00:00+00:00', '2021-01-01T00:00:00+00:00');
insert into order_items (order_id, product_id, quantity, unit_price_cents) values
    (842, 4542, 2, 50), (843, 4542, 5, 50), (844, 4542, 100, 1), (845, 4542, 1, 1500), (846, 4543, 1, 5),
    (847, 4542, 1, 5), (848, 4542, 7, 1), (848, 4543, 7, 1), (849, 4544, 2147483647, 9007199254740993),
    (842, 4541, 1, 0), (842, 4541, 3, 0);
insert into jobs (kind, task, state, priority, due_at, attempt, max_attempts, leased_until, worker, cancel_requested,
    progress, progress_total, report, error, created_at, finished_at) values
    ('retention', '{}', 'queued', 0, '9999-01-01T00:00:00+00:00', 0, 1, null, null, false, 0, null, null, null, '2020-01-01T00:00:00+00:00', null),
    ('retention', '{"of":"😀"}', 'queued', -7, '9999-12-31T23:59:59.999999+00:00', 1, 5, null, 'w', false, 3, 4, null, 'it failed', '2020-01-01T00:00:00.000001+00:00', null),
    ('retention', '{}', 'running', 7, '2020-01-01T00:00:00+00:00', 2, 5, '9999-01-01T00:00:00+00:00', 'w', true, 3, 9007199254740993, null, 'again', '2020-01-01T00:00:00+00:00', null),
    ('retention', '{}', 'running', 0, '2020-01-01T00:00:00+00:00', 1, 5, '9999-01-01T00:00:00+00:00', 'v', false, 0, null, null, null, '2020-01-01T00:00:00+00:00', null),
    ('retention', '{}', 'done', 0, '2020-01-01T00:00:00+00:00', 1, 5, null, 'v', false, 4, 4, '{"rows":4}', null, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01.5+00:00'),
    ('mail', '{}', 'done', 0, '2020-01-01T00:00:00+00:00', 1, 5, null, 'v', false, 0, null, null, null, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01+00:00'),
    ('mail', '{}', 'dead', 0, '2020-01-01T00:00:00+00:00', 5, 5, null, 'v', false, 0, null, null, 'nobody "there"', '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01+00:00'),
    ('mail', '{}', 'dead', 0, '2020-01-01T00:00:00+00:00', 5, 5, null, 'v', false, 0, null, null, '', '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01+00:00'),
    ('mail', '{}', 'cancelled', 0, '2020-01-01T00:00:00+00:00', 0, 5, null, null, false, 0, null, null, null, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01+00:00'),
    ('Mail', '{}', 'queued', 0, '2020-01-01T00:00:00+00:00', 0, 5, null, null, false, 0, null, null, null, '2020-01-01T00:00:00+00:00', null),
    ('', '{}', 'queued', 0, '2020-01-01T00:00:00+00:00', 0, 5, null, null, false, 0, null, null, null, '2020-01-01T00:00:00+00:00', null),
    ('retention', '{}', 'cancelled', 0, '2020-01-01T00:00:00+00:00', 1, 5, null, 'v', true, 1, 2, null, null, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01+00:00'),
    ('retention', '{}', 'done', 0, '2020-01-01T00:00:00+00:00', 1, 5, null, 'v', false, 0, 0, 'null', null, '2020-01-01T00:00:00+00:00', '2020-01-01T00:00:01+00:00');
"#;
