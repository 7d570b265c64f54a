//! The lists: whose rows, which filters and orders, which page.

use serde_json::{Map, Value};

use super::objects::{TABLES, Thing};
use super::rows::{Model, Row};
use super::{global, parts};

/// A page of a list.
#[derive(Clone)]
pub struct Page<'m> {
    /// The type of the rows.
    pub kind: &'static str,
    pub rows: Vec<&'m Row>,
    /// Of the whole list.
    pub total: usize,
    pub has_next: bool,
    pub has_previous: bool,
}

/// The value of a sort column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

/// The table of a type.
pub fn table(kind: &str) -> &'static str {
    TABLES.into_iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("the model does not know {kind}")).1
}

/// Whether an argument or a field of an input is given.
fn given(input: &Map<String, Value>, name: &str) -> bool {
    input.get(name).is_some_and(|value| !value.is_null())
}

fn text<'a>(input: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// Whether a span or range says anything.
fn bounded(input: &Map<String, Value>, name: &str) -> bool {
    input.get(name).and_then(Value::as_object).is_some_and(|range| range.values().any(|bound| !bound.is_null()))
}

/// The orders that an index serves, the one that is meant without an order first, in its direction; none if no index
/// serves the filter.
fn served(owner: &str, name: &str, filter: &Map<String, Value>) -> &'static [&'static str] {
    match (owner, name) {
        ("Query", "users") => match ["role", "namePrefix", "emailPrefix"].map(|name| given(filter, name)) {
            [false, false, false] => &["ID_DESC", "NAME", "EMAIL"],
            [true, false, false] => &["ID_DESC"],
            [false, true, false] => &["NAME_ASC"],
            [false, false, true] => &["EMAIL_ASC"],
            _ => &[],
        },
        ("Query", "posts" | "comments")
            if given(filter, "authorId") && (given(filter, "tagId") || given(filter, "postId")) =>
        {
            &[]
        }
        ("Query", "posts") if given(filter, "tagId") => &["ID_DESC"],
        ("Query", "posts") if given(filter, "authorId") => &["CREATED_AT_DESC"],
        ("Query", "posts") => match (text(filter, "status") == Some("PUBLISHED"), bounded(filter, "publishedAt")) {
            (true, false) => &["PUBLISHED_AT_DESC", "CREATED_AT"],
            (true, true) => &["PUBLISHED_AT_DESC"],
            (false, false) => &["CREATED_AT_DESC"],
            (false, true) => &[],
        },
        ("Query", "products") => match (filter["active"] == true, bounded(filter, "price")) {
            (true, false) => &["ID_DESC", "PRICE"],
            (true, true) => &["PRICE_ASC"],
            (false, false) => &["ID_DESC"],
            (false, true) => &[],
        },
        ("Tag", "posts") | ("Query", "jobs") => &["ID_DESC"],
        ("Query", "tags") => &["NAME_ASC"],
        ("Post", "tags") | ("Order", "items") | ("Product", "orderItems") => &["ID_ASC"],
        ("Product", "buyers") => &["LATEST_DESC"],
        _ => &["CREATED_AT_DESC"],
    }
}

impl Model {
    /// All rows of a list in order, and their type; none if no index serves this filter with this order.
    pub fn list(
        &self,
        owner: &str,
        parent: Option<&Row>,
        name: &str,
        filter: &Value,
        order: Option<&str>,
    ) -> Option<(&'static str, Vec<&Row>)> {
        let asked = format!("{owner} {:?} {name} {filter} {order:?}", parent.map(Row::id));
        if let Some(known) = self.lists.borrow().get(&asked) {
            return known
                .as_ref()
                .map(|(kind, ids)| (*kind, ids.iter().map(|id| self.get(table(kind), *id)).collect()));
        }
        let found = self.find_list(owner, parent, name, filter, order);
        let ids = found.as_ref().map(|(kind, rows)| (*kind, rows.iter().map(|row| row.id()).collect()));
        self.lists.borrow_mut().insert(asked, ids);
        found
    }

    fn find_list(
        &self,
        owner: &str,
        parent: Option<&Row>,
        name: &str,
        filter: &Value,
        order: Option<&str>,
    ) -> Option<(&'static str, Vec<&Row>)> {
        let key = parent.map(Row::id);
        let kind = match name {
            "users" | "buyers" => "User",
            "posts" => "Post",
            "comments" => "Comment",
            "tags" => "Tag",
            "products" => "Product",
            "orders" => "Order",
            "items" | "orderItems" => "OrderItem",
            "jobs" => "Job",
            _ => panic!("the model does not know {owner}.{name}: teach it"),
        };
        let table = table(kind);
        let through = |link, from, to, target| {
            self.where_is(link, from, key.unwrap()).into_iter().map(|row| self.get(target, row.int(to))).collect()
        };
        let rows: Vec<&Row> = match (owner, name) {
            ("Query", _) => self.all(table),
            ("Post", "tags") => through("post_tags", "post_id", "tag_id", "tags"),
            ("Tag", "posts") => through("post_tags", "tag_id", "post_id", "posts"),
            ("Product", "buyers") => {
                self.all("users").into_iter().filter(|user| self.latest(key.unwrap(), user).is_some()).collect()
            }
            ("User", "orders") => self.where_is(table, "user_id", key.unwrap()),
            ("User", _) => self.where_is(table, "author_id", key.unwrap()),
            ("Post", _) => self.where_is(table, "post_id", key.unwrap()),
            ("Order", _) => self.where_is(table, "order_id", key.unwrap()),
            _ => self.where_is(table, "product_id", key.unwrap()),
        };

        // What a filter means without being given.
        let mut filter = filter.as_object().cloned().unwrap_or_default();
        if kind == "Post" {
            filter.entry("status").or_insert("PUBLISHED".into());
        }
        if kind == "Product" {
            filter.entry("active").or_insert(true.into());
        }

        let served = served(owner, name, &filter);
        let order = order.or(served.first().copied())?;
        let (column, direction) = order.rsplit_once('_').unwrap();
        if !served.iter().any(|served| served.trim_end_matches("_ASC").trim_end_matches("_DESC") == column) {
            return None;
        }
        let asked = format!("{owner} {key:?} {name} {}", Value::from(filter.clone()));
        let mut matching = self.matching.borrow_mut();
        let matching = matching
            .entry(asked)
            .or_insert_with(|| rows.into_iter().filter(|row| self.matches(kind, row, &filter)).map(Row::id).collect());
        let mut rows: Vec<_> = matching.iter().map(|id| self.get(table, *id)).collect();
        rows.sort_by_cached_key(|row| (self.sort_key(row, column, key), row.id()));
        if direction == "DESC" {
            rows.reverse();
        }
        Some((kind, rows))
    }

    /// A connection: a list, of which the arguments choose a page; cursors are not for the model.
    pub fn connection<'m>(
        &'m self,
        owner: &str,
        parent: Option<&Row>,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Thing<'m> {
        assert!(!given(arguments, "after") && !given(arguments, "before"), "the model knows no cursors");
        let filter = arguments.get("filter").unwrap_or(&Value::Null);
        let list = self.list(owner, parent, name, filter, text(arguments, "orderBy"));
        let (kind, mut rows) = list.unwrap_or_else(|| panic!("no index serves {owner}.{name} with {arguments:?}"));
        let total = rows.len();
        let count = |name: &str| arguments.get(name).and_then(Value::as_u64).map(|count| count as usize);
        let (has_next, has_previous);
        if let Some(last) = count("last") {
            (has_next, has_previous) = (false, total > last);
            rows.drain(..total.saturating_sub(last));
        } else {
            let first = count("first").unwrap_or(20);
            (has_next, has_previous) = (total > first, false);
            rows.truncate(first);
        }
        Thing::Page(Page { kind, rows, total, has_next, has_previous })
    }

    /// The latest item of a product that a user ordered and did not call off.
    fn latest(&self, product: i64, user: &Row) -> Option<i64> {
        let items = self.where_is("order_items", "product_id", product).into_iter();
        let bought = items.filter(|item| {
            let order = self.get("orders", item.int("order_id"));
            order.int("user_id") == user.id() && order.text("status") != "cancelled"
        });
        bought.map(Row::id).max()
    }

    fn sort_key(&self, row: &Row, column: &str, parent: Option<i64>) -> Key {
        match column {
            "ID" => Key::Number(row.id()),
            "NAME" => Key::Text(row.text("name").to_owned()),
            "EMAIL" => Key::Text(row.text("email").to_ascii_lowercase()),
            "PRICE" => Key::Number(row.int("price_cents")),
            "LATEST" => Key::Number(self.latest(parent.unwrap(), row).unwrap()),
            _ => Key::Number(row.int(&column.to_lowercase())),
        }
    }

    fn matches(&self, kind: &str, row: &Row, filter: &Map<String, Value>) -> bool {
        filter.iter().filter(|(_, wanted)| !wanted.is_null()).all(|(name, wanted)| match name.as_str() {
            "role" | "status" | "state" => row.text(name).to_uppercase() == wanted.as_str().unwrap(),
            "active" | "kind" => row.get(name) == wanted,
            "namePrefix" => row.text("name").starts_with(wanted.as_str().unwrap()),
            "emailPrefix" => {
                row.text("email").to_ascii_lowercase().starts_with(&wanted.as_str().unwrap().to_ascii_lowercase())
            }
            "search" => row.text("name").to_lowercase().contains(&wanted.as_str().unwrap().trim().to_lowercase()),
            "authorId" => global("User", row.int("author_id")) == wanted.as_str().unwrap(),
            "userId" => global("User", row.int("user_id")) == wanted.as_str().unwrap(),
            "postId" => global("Post", row.int("post_id")) == wanted.as_str().unwrap(),
            "tagId" => {
                let tag = parts(wanted.as_str().unwrap()).1;
                self.where_is("post_tags", "post_id", row.id()).iter().any(|link| link.int("tag_id") == tag)
            }
            "createdAt" => within(row.get("created_at"), wanted, "from", "until", |bound| micros(bound) - 1),
            "publishedAt" => within(row.get("published_at"), wanted, "from", "until", |bound| micros(bound) - 1),
            "price" => within(row.get("price_cents"), wanted, "minCents", "maxCents", |bound| bound.as_i64().unwrap()),
            _ => panic!("the model does not know the filter {name} of {kind}: teach it"),
        })
    }
}

/// Whether a number lies in a range; `last` is the highest that an upper bound allows.
fn within(value: &Value, range: &Value, from: &str, until: &str, last: impl Fn(&Value) -> i64) -> bool {
    let given = |name: &str| range.get(name).filter(|bound| !bound.is_null());
    let lowest = given(from).map(|bound| bound.as_i64().unwrap_or_else(|| micros(bound)));
    let highest = given(until).map(last);
    if lowest.is_none() && highest.is_none() {
        return true;
    }
    value.as_i64().is_some_and(|value| lowest.is_none_or(|from| value >= from) && highest.is_none_or(|to| value <= to))
}

fn micros(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp_micros()
}
