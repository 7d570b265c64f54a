//! The fields of each type.

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::lists::Page;
use super::rows::{Model, Row};
use super::{global, parts};

/// Stands for a cursor, which only the product can make.
pub const CURSOR: &str = "<a cursor>";

/// What a field shows.
pub enum Thing<'m> {
    Leaf(Value),
    Many(Vec<Thing<'m>>),
    Root,
    Viewer,
    /// An object with a global id: its type and its row.
    Object(&'static str, &'m Row),
    Page(Page<'m>),
    Edge(&'static str, &'m Row),
    PageInfo(Page<'m>),
    Money(i64, &'m str),
    Summary(&'m Row),
}

pub const TABLES: [(&str, &str); 8] = [
    ("User", "users"),
    ("Post", "posts"),
    ("Comment", "comments"),
    ("Tag", "tags"),
    ("Product", "products"),
    ("Order", "orders"),
    ("OrderItem", "order_items"),
    ("Job", "jobs"),
];

impl<'m> Thing<'m> {
    pub const NULL: Self = Thing::Leaf(Value::Null);

    /// The type's name in the graph.
    pub fn kind(&self) -> String {
        match self {
            Self::Leaf(_) | Self::Many(_) => panic!("not an object"),
            Self::Root => "Query".to_owned(),
            Self::Viewer => "Viewer".to_owned(),
            Self::Object(kind, _) => (*kind).to_owned(),
            Self::Page(page) => format!("{}Connection", page.kind),
            Self::Edge(kind, _) => format!("{kind}Edge"),
            Self::PageInfo(_) => "PageInfo".to_owned(),
            Self::Money(..) => "Money".to_owned(),
            Self::Summary(_) => "OrderSummary".to_owned(),
        }
    }
}

impl Model {
    /// What a field of a thing shows.
    pub fn field<'m>(&'m self, thing: &Thing<'m>, name: &str, arguments: &Map<String, Value>) -> Thing<'m> {
        match thing {
            Thing::Root => self.root(name, arguments),
            Thing::Viewer => Thing::Leaf(match name {
                "role" => json!("ADMIN"),
                "user" => Value::Null,
                _ => unknown(thing, name),
            }),
            Thing::Object(kind, row) => self.object(kind, row, name, arguments),
            Thing::Page(page) => match name {
                "nodes" => Thing::Many(page.rows.iter().map(|row| Thing::Object(page.kind, row)).collect()),
                "edges" => Thing::Many(page.rows.iter().map(|row| Thing::Edge(page.kind, row)).collect()),
                "pageInfo" => Thing::PageInfo(page.clone()),
                "totalCount" => Thing::Leaf(page.total.min(self.count_cap).into()),
                "totalCountExact" => Thing::Leaf((page.total <= self.count_cap).into()),
                _ => Thing::Leaf(unknown(thing, name)),
            },
            Thing::Edge(kind, row) => match name {
                "node" => Thing::Object(kind, row),
                "cursor" => Thing::Leaf(CURSOR.into()),
                _ => Thing::Leaf(unknown(thing, name)),
            },
            Thing::PageInfo(page) => Thing::Leaf(match name {
                "hasNextPage" => page.has_next.into(),
                "hasPreviousPage" => page.has_previous.into(),
                "startCursor" | "endCursor" if page.rows.is_empty() => Value::Null,
                "startCursor" | "endCursor" => CURSOR.into(),
                _ => unknown(thing, name),
            }),
            Thing::Money(minor, currency) => Thing::Leaf(match name {
                "amount" => amount(*minor, currency).into(),
                "currencyCode" => (*currency).into(),
                _ => unknown(thing, name),
            }),
            Thing::Summary(user) => self.summary(user, name),
            Thing::Leaf(_) | Thing::Many(_) => panic!("{name} of no object"),
        }
    }

    fn root<'m>(&'m self, name: &str, arguments: &Map<String, Value>) -> Thing<'m> {
        let argument = |name: &str| arguments.get(name).and_then(Value::as_str);
        let first = |kind, found: Vec<&'m Row>| found.first().map_or(Thing::NULL, |row| Thing::Object(kind, row));
        let by = |kind, table: &str, column: &str, text: &str| {
            first(kind, self.all(table).into_iter().filter(|row| row.text(column) == text).collect())
        };
        match name {
            "viewer" => Thing::Viewer,
            "node" => self.node(argument("id").unwrap()),
            "nodes" => {
                let ids = arguments["ids"].as_array().unwrap();
                Thing::Many(ids.iter().map(|id| self.node(id.as_str().unwrap())).collect())
            }
            "user" if argument("email").is_some() => {
                let email = argument("email").unwrap().to_ascii_lowercase();
                let matches = |row: &&Row| row.text("email").to_ascii_lowercase() == email;
                first("User", self.all("users").into_iter().filter(matches).collect())
            }
            "tag" if argument("name").is_some() => by("Tag", "tags", "name", argument("name").unwrap()),
            "productBySku" => by("Product", "products", "sku", argument("sku").unwrap()),
            "user" | "post" | "comment" | "tag" | "product" | "order" | "job" => self.node(argument("id").unwrap()),
            _ => self.connection("Query", None, name, arguments),
        }
    }

    fn node(&self, id: &str) -> Thing<'_> {
        let (kind, key) = parts(id);
        let (kind, table) = TABLES.into_iter().find(|(name, _)| *name == kind).unwrap();
        self.find(table, key).map_or(Thing::NULL, |row| Thing::Object(kind, row))
    }

    fn object<'m>(&'m self, kind: &'static str, row: &'m Row, name: &str, arguments: &Map<String, Value>) -> Thing<'m> {
        let parent = |kind, table, column| Thing::Object(kind, self.get(table, row.int(column)));
        match (kind, name) {
            (_, "id") => Thing::Leaf(global(kind, row.id()).into()),
            ("Comment", "post") => parent("Post", "posts", "post_id"),
            ("Comment" | "Post", "author") => parent("User", "users", "author_id"),
            ("Order", "user") => parent("User", "users", "user_id"),
            ("OrderItem", "order") => parent("Order", "orders", "order_id"),
            ("OrderItem", "product") => parent("Product", "products", "product_id"),
            ("OrderItem", "unitPrice") => {
                Thing::Money(row.int("unit_price_cents"), self.get("orders", row.int("order_id")).text("currency"))
            }
            ("Order", "total") => Thing::Money(row.int("total_cents"), row.text("currency")),
            ("Product", "price") => Thing::Money(row.int("price_cents"), row.text("currency")),
            ("Post", "commentCount") => Thing::Leaf(self.where_is("comments", "post_id", row.id()).len().into()),
            ("User", "orderSummary") => Thing::Summary(row),
            ("Product", "unitsSold") => {
                let sold = self.where_is("order_items", "product_id", row.id()).into_iter();
                let sold = sold.filter(|item| self.get("orders", item.int("order_id")).text("status") != "cancelled");
                Thing::Leaf(sold.map(|item| item.int("quantity")).sum::<i64>().into())
            }
            (_, "role" | "status" | "state") => Thing::Leaf(row.text(name).to_uppercase().into()),
            (_, "createdAt") => time(row.get("created_at")),
            (_, "updatedAt") => time(row.get("updated_at")),
            (_, "publishedAt") => time(row.get("published_at")),
            (_, "dueAt") => time(row.get("due_at")),
            (_, "finishedAt") => time(row.get("finished_at")),
            (_, "maxAttempts") => Thing::Leaf(row.get("max_attempts").clone()),
            (_, "cancelRequested") => Thing::Leaf(row.get("cancel_requested").clone()),
            (_, "progressTotal") => Thing::Leaf(row.get("progress_total").clone()),
            ("Job", "kind" | "task" | "priority" | "attempt" | "worker" | "progress" | "report" | "error") => {
                Thing::Leaf(row.get(name).clone())
            }
            (_, "active" | "body" | "description" | "email" | "name" | "quantity" | "sku" | "stock" | "title") => {
                Thing::Leaf(row.get(name).clone())
            }
            _ => self.connection(kind, Some(row), name, arguments),
        }
    }

    fn summary<'m>(&'m self, user: &'m Row, name: &str) -> Thing<'m> {
        let orders: Vec<_> = self
            .where_is("orders", "user_id", user.id())
            .into_iter()
            .filter(|o| o.text("status") != "cancelled")
            .collect();
        let mut currencies: Vec<_> = orders.iter().map(|order| order.text("currency")).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let total = |currency: &'m str| {
            let orders = orders.iter().filter(|order| order.text("currency") == currency);
            Thing::Money(orders.map(|order| order.int("total_cents")).sum(), currency)
        };
        match name {
            "count" => Thing::Leaf(orders.len().into()),
            "lastOrderAt" => {
                time(&orders.iter().map(|order| order.int("created_at")).max().map_or(Value::Null, Value::from))
            }
            "totals" => Thing::Many(currencies.into_iter().map(total).collect()),
            "total" => match currencies[..] {
                [currency] => total(currency),
                _ => Thing::NULL,
            },
            _ => Thing::Leaf(unknown(&Thing::Summary(user), name)),
        }
    }
}

fn unknown(thing: &Thing<'_>, name: &str) -> Value {
    panic!("the model does not know {}.{name}: teach it", thing.kind())
}

/// Microseconds as RFC 3339 with three or six digits, or none for a whole second.
fn time(micros: &Value) -> Thing<'static> {
    let Some(micros) = micros.as_i64() else { return Thing::NULL };
    let second = DateTime::from_timestamp(micros.div_euclid(1_000_000), 0).unwrap().format("%Y-%m-%dT%H:%M:%S");
    let fraction = match micros.rem_euclid(1_000_000) {
        0 => String::new(),
        micros if micros % 1000 == 0 => format!(".{:03}", micros / 1000),
        micros => format!(".{micros:06}"),
    };
    Thing::Leaf(format!("{second}{fraction}Z").into())
}

fn amount(minor: i64, currency: &str) -> String {
    match currency {
        "JPY" => minor.to_string(),
        "KWD" => format!("{}.{:03}", minor / 1000, minor % 1000),
        "EUR" | "USD" => format!("{}.{:02}", minor / 100, minor % 100),
        _ => panic!("the model does not know {currency}"),
    }
}
