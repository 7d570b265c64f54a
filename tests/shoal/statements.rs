//! The promise about SQL: at most two statements for each field at each level, whatever the number of rows.
//!
//! Counted by pg_stat_statements of all nodes, in a database of the test's own. A field at a level is a place in the
//! document: a connection may cost its page and its count, a look-up, bulky column or aggregate one statement, all other
//! fields nothing. Within a request a key that is known costs nothing, so a request may cost less than its bound, and
//! pages of 100 less than pages of 1 where what they show was read before; never more.

use std::fmt::Write;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::{Backend, Stack, TestApp};

/// A type, its lists, its single objects, and its other fields that cost a statement.
struct Type {
    name: &'static str,
    free: &'static str,
    lists: &'static [(&'static str, &'static str)],
    objects: &'static [(&'static str, &'static str)],
    priced: &'static [&'static str],
}

const TYPES: [Type; 7] = [
    Type {
        name: "User",
        free: "id name role",
        lists: &[("posts", "Post"), ("comments", "Comment"), ("orders", "Order")],
        objects: &[],
        priced: &["orderSummary { count lastOrderAt }"],
    },
    Type {
        name: "Post",
        free: "id title publishedAt",
        lists: &[("comments", "Comment"), ("tags", "Tag")],
        objects: &[("author", "User")],
        priced: &["body", "commentCount"],
    },
    Type {
        name: "Comment",
        free: "id body",
        lists: &[],
        objects: &[("author", "User"), ("post", "Post")],
        priced: &[],
    },
    Type { name: "Tag", free: "id name", lists: &[("posts", "Post")], objects: &[], priced: &[] },
    Type {
        name: "Product",
        free: "sku price { amount }",
        lists: &[("orderItems", "OrderItem"), ("buyers", "User")],
        objects: &[],
        priced: &["description", "unitsSold"],
    },
    Type {
        name: "Order",
        free: "id total { amount }",
        lists: &[("items", "OrderItem")],
        objects: &[("user", "User")],
        priced: &[],
    },
    Type {
        name: "OrderItem",
        free: "quantity",
        lists: &[],
        objects: &[("order", "Order"), ("product", "Product")],
        priced: &["unitPrice { amount }"],
    },
];
const ROOT: [(&str, &str); 6] = [
    ("users", "User"),
    ("posts", "Post"),
    ("comments", "Comment"),
    ("tags", "Tag"),
    ("products", "Product"),
    ("orders", "Order"),
];
const DEPTH: u32 = 5;

/// A selection of a type: which of its fields, by a choice for each.
#[derive(Clone, Debug)]
struct Choice {
    takes: Vec<u8>,
    below: Vec<Choice>,
}

fn choices() -> impl Strategy<Value = Choice> {
    let leaf = prop::collection::vec(any::<u8>(), 8).prop_map(|takes| Choice { takes, below: Vec::new() });
    leaf.prop_recursive(DEPTH, 48, 3, |inner| {
        (prop::collection::vec(any::<u8>(), 8), prop::collection::vec(inner, 1..4))
            .prop_map(|(takes, below)| Choice { takes, below })
    })
}

/// A document in the making, and the most it may cost.
#[derive(Default)]
struct Document {
    text: String,
    bound: i64,
    aliases: usize,
}

impl Document {
    fn of(choice: &Choice) -> Self {
        let mut document = Self { text: "{".to_owned(), ..Self::default() };
        for (choice, take) in choice.below.iter().zip(&choice.takes) {
            document.list(ROOT[usize::from(*take) % ROOT.len()], choice, 1);
        }
        document.text.push_str(" viewer { role } }");
        document
    }

    fn list(&mut self, (field, of): (&str, &'static str), choice: &Choice, depth: u32) {
        let take = choice.takes[7];
        self.open(&format!("{field}(first: FIRST)"));
        if take.is_multiple_of(3) {
            self.text.push_str(" totalCount totalCountExact");
            self.bound += 1;
        }
        // Shared by all that shows the page.
        self.bound += 1;
        let (open, close) = if take.is_multiple_of(2) { ("nodes {", "}") } else { ("edges { cursor node {", "} }") };
        self.text.push_str(" pageInfo { endCursor hasNextPage } ");
        self.text.push_str(open);
        self.object(of, choice, depth);
        self.text.push_str(close);
        self.text.push('}');
    }

    fn object(&mut self, name: &'static str, choice: &Choice, depth: u32) {
        let of = TYPES.iter().find(|of| of.name == name).unwrap();
        write!(self.text, " {} ", of.free).unwrap();
        for (field, take) in of.priced.iter().zip(&choice.takes) {
            if take.is_multiple_of(2) {
                let (field, rest) = field.split_once(' ').unwrap_or((field, ""));
                self.aliases += 1;
                write!(self.text, " a{}: {field} {rest} ", self.aliases).unwrap();
                self.bound += 1;
            }
        }
        if depth == DEPTH {
            return;
        }
        for (choice, take) in choice.below.iter().zip(&choice.takes[2..]) {
            let at = usize::from(*take) % (of.lists.len() + of.objects.len());
            match of.lists.get(at) {
                Some(list) => self.list(*list, choice, depth + 1),
                None => {
                    let (field, of) = of.objects[at - of.lists.len()];
                    self.open(field);
                    self.bound += 1;
                    self.object(of, choice, depth + 1);
                    self.text.push('}');
                }
            }
        }
    }

    fn open(&mut self, field: &str) {
        self.aliases += 1;
        write!(self.text, " a{}: {field} {{", self.aliases).unwrap();
    }
}

#[tokio::test]
async fn no_query_costs_more_than_two_statements_for_a_field_at_a_level() {
    let app = TestApp::demo(Backend::Postgres).await;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
    let runtime = tokio::runtime::Handle::current();
    let result = tokio::task::spawn_blocking(move || {
        runner.run(&choices(), |choice| {
            let document = Document::of(&choice);
            for first in [1, 100] {
                let query = document.text.replace("FIRST", &first.to_string());
                let cost = runtime.block_on(statements(&app, &query));
                prop_assert!(cost <= document.bound, "{cost} statements, {} allowed: {query}", document.bound);
            }
            Ok(())
        })
    });
    result.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_familiar_queries_cost_exactly() {
    let app = TestApp::demo(Backend::Postgres).await;
    let front = "{ posts(first: FIRST) { nodes { title author { name }
                 comments(first: FIRST) { totalCount nodes { body author { name } } } tags { nodes { name } } } } }";
    for (query, cost) in [
        (front, 6),
        ("{ user(id: \"VXNlcjo3MQ\") { name } }", 1),
        ("{ user(id: \"VXNlcjo3MQ\") { name } again: user(id: \"VXNlcjo3MQ\") { email } }", 1),
        ("{ posts(first: FIRST) { totalCount } }", 1),
        ("{ posts(first: FIRST) { __typename } }", 0),
        ("{ posts(first: FIRST) { nodes { title } edges { cursor } pageInfo { endCursor } } }", 1),
        ("{ posts(first: FIRST) { nodes { body } } }", 2),
        ("{ products(first: FIRST) { nodes { unitsSold buyers(first: 3) { totalCount nodes { name } } } } }", 4),
        (
            "{ orders(first: FIRST) { nodes { user { name } items { nodes { unitPrice { amount } product { name } } } } } }",
            5,
        ),
        ("{ viewer { role } }", 0),
    ] {
        for first in [1, 100] {
            let query = query.replace("FIRST", &first.to_string());
            // Each of these shows users that no page above has shown.
            assert_eq!(statements(&app, &query).await, cost, "{query}");
        }
    }
}

#[tokio::test]
async fn more_than_a_batch_of_keys_splits_and_stays_bounded() {
    let app = TestApp::start(
        std::sync::Arc::new(crate::support::Database::demo(Backend::Postgres).await),
        &[("SHOAL_GRAPHQL__MAX_PAGE_SIZE", "5000")],
    )
    .await;
    // 4,540 products: one page, and five batches of at most 1,000 keys; below them one window again.
    let query = "{ products(first: 4540, filter: { active: null }) { nodes { buyers(first: 1) { nodes { name } } } } }";
    assert_eq!(statements(&app, query).await, 1 + 5);
    let query = "{ products(first: 4540, filter: { active: null }) { nodes { unitsSold } } }";
    assert_eq!(statements(&app, query).await, 1 + 5);
}

/// Statements that a query costs, as PostgreSQL counts them; the server's own account must agree.
async fn statements(app: &TestApp, query: &str) -> i64 {
    let before = counted(app).await;
    let body = json!({ "query": query });
    let answer = app.ask_with(&body, &[("shoal-trace", "1")]).await;
    assert_eq!(answer.json.get("errors"), None, "{query}: {}", answer.json);
    let cost = counted(app).await - before;
    assert_eq!(answer.json["extensions"]["shoal"]["statements"], cost, "{query}");
    cost
}

async fn counted(app: &TestApp) -> i64 {
    let stack = Stack::get();
    let mut sum = stack.primary.statements(app.database.name()).await;
    for replica in &stack.replicas {
        sum += replica.statements(app.database.name()).await;
    }
    sum
}
