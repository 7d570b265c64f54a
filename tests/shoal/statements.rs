//! The promise about SQL: for each field at each level at most two statements, whatever the number of rows.
//!
//! Counted by PostgreSQL, in pg_stat_statements of the primary and the replicas, for a database of the test's own; what
//! the server says of a request, `extensions.shoal.statements`, must agree. A field is one alias of a field of one type at
//! one place of the document, whatever the indexes of lists above it. It may cost:
//!
//! - a list: one for its page, if anything of the page is asked for, and one for its count, if that is;
//! - an object, a look-up, a bulky column, an aggregate: one; `nodes` and `_entities`: one for each type
//!   among the ids;
//! - all else: nothing.
//!
//! Above 1,000 keys each of these is split into batches of 1,000.
//!
//! **The same for pages of 1 and of 100** cannot hold for any data, since a key that is known within a request costs
//! nothing: a page of 1 may show a comment by the author of its post, and needs no more of them; a page of 100 shows
//! others. What holds for any data is the bound, which no page size is part of. What makes the difference is only which
//! keys were known: where keys repeat in the same way from each row of a page, as in the carousel, the numbers are equal.

mod documents;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::graph::Graph;
use crate::model::global;
use crate::support::{Backend, CACHES_OFF, Database, Stack, TestApp};
use documents::{Choice, Pages, Schema, choices};

/// Constant SQL is shown by what is dearer than any client may ask.
const NO_PRICE: (&str, &str) = ("SHOAL_GRAPHQL__MAX_PRICE", "1000000000");

/// A server, and connections on which to ask what its databases counted.
pub struct Counted {
    pub app: TestApp,
    nodes: Vec<PgConnection>,
}

/// A server that asks its databases everything.
async fn uncached(database: Database) -> TestApp {
    TestApp::start(Arc::new(database), &[CACHES_OFF, NO_PRICE]).await
}

impl Counted {
    pub async fn of(app: TestApp) -> Self {
        let stack = Stack::get();
        let mut nodes = vec![stack.primary.connect("shoal").await];
        for replica in &stack.replicas {
            nodes.push(replica.connect("shoal").await);
        }
        Self { app, nodes }
    }

    /// Statements that a query costs.
    pub async fn statements(&mut self, query: &str) -> usize {
        self.statements_of(&json!({ "query": query })).await
    }

    /// Statements that a request costs.
    pub async fn statements_of(&mut self, body: &Value) -> usize {
        // What a replica gives up, and PostgreSQL does not count, is sent to another.
        let given_up = async |app: &TestApp| app.metric("shoal_sql_conflicts_total", "").await as i64;
        let (before, given_up_before) = (self.counted().await, given_up(&self.app).await);
        let answer = self.app.ask_with(body, &[("shoal-trace", "1")]).await;
        let given_up = given_up(&self.app).await - given_up_before;
        let mut counted = self.counted().await;
        for (text, calls) in before {
            *counted.entry(text).or_default() -= calls;
        }
        counted.retain(|_, calls| *calls != 0);
        let cost = counted.values().sum::<i64>();
        assert_eq!(answer.json.get("errors"), None, "{body}: {}", answer.json);
        let told = answer.json["extensions"]["shoal"]["statements"].as_i64().unwrap();
        assert_eq!(told - given_up, cost, "what the server says of {body}, and what was counted: {counted:#?}");
        usize::try_from(cost).unwrap()
    }

    /// The statements that were run so far, and how often.
    pub async fn counted(&mut self) -> BTreeMap<String, i64> {
        // But for what no request asks: positions, what a new connection or a COMMIT says, what the feed looks at,
        // and what `/metrics` counts.
        let sql = "select query, sum(calls)::bigint from pg_stat_statements(true)
                   where dbid = (select oid from pg_database where datname = $1)
                     and query !~ 'pg_control_system|pg_current_wal|pg_current_snapshot|pg_publication|set_config|measureJobs'
                   group by query";
        let mut sums = BTreeMap::new();
        for node in &mut self.nodes {
            let counted = sqlx::query_as::<_, (String, i64)>(sql).bind(self.app.database.name()).fetch_all(node);
            for (text, calls) in counted.await.unwrap() {
                *sums.entry(text).or_default() += calls;
            }
        }
        sums
    }
}

/// Runs a property for documents of the schema. A failure tells the smallest choices that make it, and how to repeat it.
#[allow(clippy::disallowed_methods)]
async fn for_any_query(
    app: TestApp,
    property: impl Fn(&Schema, &[Choice], &mut dyn FnMut(&str) -> usize) -> Result<(), TestCaseError> + Send + 'static,
) {
    let given = std::env::var("SHOAL_TEST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    let schema = Schema::of(&Graph::of(&app).await);
    let counted = RefCell::new(Counted::of(app).await);
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
        let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::with_cases(96) };
        TestRunner::new_with_rng(config, random).run(&choices(), |choices| {
            let mut counted = counted.borrow_mut();
            property(&schema, &choices, &mut |query| runtime.block_on(counted.statements(query)))
        })
    };
    if let Err(failure) = tokio::task::spawn_blocking(run).await.unwrap() {
        panic!("with SHOAL_TEST_SEED={seed}: {failure}");
    }
}

/// On real data, with all its repetitions, and pages of all sizes.
#[tokio::test]
async fn no_query_costs_more_than_two_statements_for_a_field_at_a_level() {
    let app = uncached(Database::demo(Backend::Postgres).await).await;
    for_any_query(app, |schema, choices, statements| {
        let document = schema.document(choices, Pages::Chosen);
        let cost = statements(&document.text);
        prop_assert!(cost <= document.bound, "{cost} statements, not {}: {}", document.bound, document.text);
        Ok(())
    })
    .await;
}

/// Where each object is related to one of each kind, and so each row of a page leads on in the same way.
#[tokio::test]
async fn pages_of_100_cost_what_pages_of_1_cost() {
    let database = Database::empty(Backend::Postgres).await;
    database.execute(include_str!("statements/carousel.sql")).await;
    database.execute("analyze").await;
    Stack::get().wait_for_replicas().await;
    let app = uncached(database).await;
    for_any_query(app, |schema, choices, statements| {
        let documents = [1, 100].map(|rows| schema.document(choices, Pages::All(rows)));
        let [one, hundred] = documents.each_ref().map(|document| statements(&document.text));
        prop_assert!(one <= documents[0].bound, "{one} statements, not {}: {}", documents[0].bound, documents[0].text);
        prop_assert_eq!(one, hundred, "{}", documents[1].text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_familiar_queries_cost_exactly() {
    let mut counted = Counted::of(uncached(Database::demo(Backend::Postgres).await).await).await;
    let front = "{ posts(first: FIRST) { nodes { title author { name }
                 comments(first: 2) { totalCount nodes { body author { name } } } tags { nodes { name } } } } }";
    for (query, cost) in [
        (front, 6),
        ("{ user(id: \"VXNlcjo3MQ\") { name } }", 1),
        ("{ user(id: \"VXNlcjo3MQ\") { name } again: user(id: \"VXNlcjo3MQ\") { email } }", 1),
        ("{ posts(first: FIRST) { totalCount } }", 1),
        ("{ posts(first: FIRST) { __typename } }", 0),
        ("{ posts(first: FIRST) { nodes { comments { __typename } } } }", 1),
        ("{ posts(first: FIRST) { nodes { title } edges { cursor } pageInfo { endCursor } } }", 1),
        ("{ posts(first: FIRST) { nodes { title body } } }", 2),
        ("{ products(first: FIRST) { nodes { unitsSold buyers(first: 3) { totalCount nodes { name } } } } }", 4),
        (
            "{ orders(first: FIRST) { nodes { user { name } items { nodes { unitPrice { amount } product { name } } } } } }",
            5,
        ),
        ("{ viewer { role } }", 0),
    ] {
        for first in [1, 100] {
            let query = query.replace("FIRST", &first.to_string());
            assert_eq!(counted.statements(&query).await, cost, "{query}");
        }
    }
}

/// Besides BEGIN and COMMIT, which are not counted. A key is two statements; many rows cost no more than one.
#[tokio::test]
async fn what_mutations_cost_exactly() {
    let mut counted = Counted::of(uncached(Database::demo(Backend::Postgres).await).await).await;
    let stocked = "update products set stock = 1000, active = true";
    counted.app.database.execute(stocked).await;
    let items = |count: i64| {
        let item = |key| format!("{{ productId: \"{}\", quantity: 1 }}", global("Product", key));
        (1..=count).map(item).collect::<Vec<_>>().join(" ")
    };
    let tags = |count: i64| (1..=count).map(|tag| format!("\"tag-{tag}\"")).collect::<Vec<_>>().join(" ");
    let user = global("User", 7);
    for (index, count) in [1, 100].into_iter().enumerate() {
        let place = format!(
            "placeOrder(input: {{ idempotencyKey: \"{count}\", userId: {user:?}, items: [{}] }})",
            items(count)
        );
        let order = global("Order", 842 + index as i64);
        let cancel = format!("cancelOrder(input: {{ idempotencyKey: \"{count}\", id: {order:?} }})");
        let tag = format!(
            "setPostTags(input: {{ id: {:?}, tags: [{}] }})",
            global("Post", 1 + index as i64),
            tags(count.min(20))
        );
        for (mutation, cost) in [
            // Who buys, what, and the order, its items, the stock, the mail.
            (&place, 2 + 6),
            // Done before: only the key is read.
            (&place, 2),
            // The order, its items, their products, the stock, the order, the mail.
            (&cancel, 2 + 6),
            // The post, the tags that are new, those that are not, links removed and added, the post.
            (&tag, 5 + index),
            // Nothing changes.
            (&tag, 5),
        ] {
            let mutation = format!("mutation {{ {mutation} {{ userErrors {{ message }} }} }}");
            assert_eq!(counted.statements(&mutation).await, cost, "{mutation}");
        }
    }
}

#[tokio::test]
async fn more_than_1000_keys_are_split_and_stay_bounded() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let app = TestApp::start(database, &[("SHOAL_GRAPHQL__MAX_PAGE_SIZE", "5000"), CACHES_OFF, NO_PRICE]).await;
    let mut counted = Counted::of(app).await;
    // 4,540 products: one page, and below it five batches; their items are one window again.
    for (fields, batches) in [
        ("unitsSold", 5),
        ("description", 5),
        ("buyers(first: 1) { totalCount nodes { id } }", 10),
        ("orderItems(first: 1) { nodes { order { id } } }", 5 + 1),
    ] {
        let query = format!("{{ products(first: 5000, filter: {{ active: null }}) {{ nodes {{ {fields} }} }} }}");
        assert_eq!(counted.statements(&query).await, 1 + batches, "{fields}");
    }
}
