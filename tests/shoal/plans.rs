//! How PostgreSQL runs the statements: every list, in every filter and order an index is said to serve, by that index.
//!
//! Each statement is judged as it is run for a request, with the request's values, on a storefront of full scale and real
//! skew: the server's own sessions load auto_explain, which tells them the plan of each statement, and the server logs
//! what it is told. PostgreSQL plans a statement for its values, or once for all values, as it likes: so all is done
//! twice, and it is made to do the one and the other.
//!
//! `SHOAL_TEST_FULL_DATA`, a directory of CSV files, puts other data in the place of the storefront. With `--nocapture`
//! the slowest statements are shown.

mod judge;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::graph::{Connection, Graph};
use crate::model::global;
use crate::support::{Backend, Database, Stack, TestApp, command, eventually};
use judge::{Plan, plans};
use values::Values;

/// Rows that a statement reads at most; see [`most_read`].
const COUNT_CAP: f64 = 10_001.0;

/// A server whose plans are known.
struct Planned {
    app: TestApp,
    /// How much of its log has been read.
    read: usize,
    tables: HashMap<String, f64>,
    seen: Vec<(String, Plan)>,
}

impl Planned {
    async fn start(database: &Arc<Database>, mode: &str) -> Self {
        let options = format!(
            "-c plan_cache_mode={mode} -c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 \
             -c auto_explain.log_analyze=on -c auto_explain.log_timing=off -c auto_explain.log_format=json \
             -c auto_explain.log_level=notice"
        );
        let environment = [
            ("PGOPTIONS", options.as_str()),
            ("REPLICA_URLS", ""),
            ("SHOAL_LOG__FORMAT", "json"),
            ("SHOAL_LOG__FILTER", "info,sqlx::postgres::notice=info"),
        ];
        let app = TestApp::start(database.clone(), &environment).await;
        let sizes = database
            .text("select json_object_agg(relname, reltuples)::text from pg_class where relnamespace = 'public'::regnamespace")
            .await;
        let tables = serde_json::from_str(&sizes.unwrap()).unwrap();
        Self { app, read: 0, tables, seen: Vec::new() }
    }

    /// Asks, and notes the plans; the data, or nothing if the request was refused.
    async fn ask(&mut self, about: &str, query: &str, variables: &Value) -> Option<Value> {
        let body = json!({ "query": query, "variables": variables });
        let mut answer = self.app.ask_with(&body, &[("shoal-trace", "1")]).await.json;
        let sent = answer["extensions"]["shoal"]["statements"].as_u64().unwrap() as usize;
        let mut found = Vec::new();
        eventually("the plans of the statements", async || {
            let log = self.app.log_after(self.read);
            found = plans(&log);
            if found.len() >= sent {
                self.read += log.len();
            }
            found.len() >= sent
        })
        .await;
        assert_eq!(found.len(), sent, "{about}: each statement of the ledger has a plan, and no other");
        self.seen.extend(found.into_iter().map(|plan| (about.to_owned(), plan)));
        if let Some(errors) = answer.get("errors") {
            let served = errors[0]["message"].as_str().unwrap().starts_with("no index serves");
            assert!(served, "{about}: {errors}");
            return None;
        }
        Some(answer["data"].take())
    }

    /// Asks for pages of a list from both ends and from its depth, and for its count; whether an index serves it.
    async fn walk(&mut self, list: &Connection, order: Option<&str>, filter: &Value, values: &Values) -> bool {
        let about = format!("{}.{} {} {filter}", list.owner, list.name, order.unwrap_or("by default"));
        let variables = list.variables(order, filter, &values.longest(&list.owner));
        let ends = "first: LIST(first: 50) { nodes { id } totalCount }
                    last: LIST(last: 50) { nodes { id } pageInfo { startCursor } }";
        let Some(data) = self.ask(&format!("{about}, the ends"), &list.query(ends), &variables).await else {
            return false;
        };
        let of = if list.owner == "Query" { &data } else { &data["nodes"][0] };
        if let Some(cursor) = of["last"]["pageInfo"]["startCursor"].as_str() {
            let depth = format!(
                "onward: LIST(first: 50 after: \"{cursor}\") {{ nodes {{ id }} }}
                 back: LIST(last: 50 before: \"{cursor}\") {{ nodes {{ id }} }}"
            );
            self.ask(&format!("{about}, the depth"), &list.query(&depth), &variables).await.unwrap();
        }
        if list.owner != "Query" && filter.as_object().is_none_or(serde_json::Map::is_empty) {
            let variables = list.variables(order, filter, &values.hundred(&list.owner));
            let pages = list.query("LIST(first: 3) { nodes { id } totalCount }");
            self.ask(&format!("{about}, of a hundred"), &pages, &variables).await.unwrap();
        }
        true
    }

    fn faults(&self) -> Vec<String> {
        let faulty = self.seen.iter().filter_map(|(about, plan)| {
            let faults = plan.faults(&self.tables, most_read(about, plan));
            (!faults.is_empty()).then(|| format!("{about} {}: {}", faults.join(", "), plan.outline()))
        });
        faulty.collect()
    }
}

fn most_read(_: &str, _: &Plan) -> f64 {
    f64::INFINITY
}

/// The storefront, or what the environment names.
#[allow(clippy::disallowed_methods)]
async fn storefront() -> Arc<Database> {
    let database = Database::empty(Backend::Postgres).await;
    if let Some(directory) = std::env::var_os("SHOAL_TEST_FULL_DATA") {
        let imported = command(&database).arg("import").arg(directory).output().unwrap();
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    } else {
        database.execute(include_str!("plans/storefront.sql")).await;
    }
    database.execute("vacuum analyze").await;
    Arc::new(database)
}

#[tokio::test]
async fn every_statement_walks_an_index() {
    let database = storefront().await;
    let values = Values::of(&database).await;
    let (mut custom, mut generic) =
        tokio::join!(Planned::start(&database, "force_custom_plan"), Planned::start(&database, "force_generic_plan"));
    tokio::join!(all(&mut custom, &values), all(&mut generic, &values));

    let mut seen: Vec<_> = custom.seen.iter().chain(&generic.seen).collect();
    seen.sort_by(|(_, one), (_, other)| other.milliseconds.total_cmp(&one.milliseconds));
    let texts: BTreeSet<_> = seen.iter().map(|(_, plan)| &plan.statement).collect();
    println!("{} plans of {} statements; the slowest:", seen.len(), texts.len());
    for (about, plan) in seen.iter().take(30) {
        println!("{:7.1} ms, {:6} rows read: {about}", plan.milliseconds, plan.read());
    }
    seen.sort_by(|(_, one), (_, other)| other.read().total_cmp(&one.read()));
    let mut texts = BTreeSet::new();
    seen.retain(|(_, plan)| {
        !plan.statement.contains("ilike") && !plan.statement.contains("count(") && texts.insert(&plan.statement)
    });
    println!("MOST");
    for (about, plan) in seen.iter().take(40) {
        println!("{:7.1} ms, {:6} rows read: {about}", plan.milliseconds, plan.read());
    }
    let faults: Vec<_> = custom.faults().into_iter().chain(generic.faults()).collect();
    assert!(faults.is_empty(), "{} plans; among them:\n{}", faults.len(), faults[..faults.len().min(4)].join("\n\n"));
}

/// Every list, and what else can be asked.
async fn all(planned: &mut Planned, values: &Values) {
    let graph = Graph::of(&planned.app).await;
    for list in graph.connections() {
        let mut served = BTreeSet::new();
        for filter in values.filters(&graph, list.filter.as_deref()) {
            for order in list.orders() {
                if planned.walk(&list, order, &filter, values).await {
                    served.extend(order.map(str::to_owned));
                    served.extend(filter.as_object().into_iter().flat_map(|filter| filter.keys().cloned()));
                }
            }
        }
        let fields = list.filter.iter().flat_map(|kind| graph.input_fields(kind)).map(|field| field.name);
        for name in fields.chain(list.orders().into_iter().flatten().map(str::to_owned)) {
            assert!(served.contains(&name), "{}.{}: nothing was asked with {name}", list.owner, list.name);
        }
    }
    for (kind, fields) in [
        ("User", "name orderSummary { count }"),
        ("Post", "title body commentCount author { name }"),
        ("Product", "name description unitsSold"),
    ] {
        let query = format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {kind} {{ {fields} }} }} }}");
        let ids: Vec<_> = values.hundred(kind).into_iter().map(|id| global(kind, id)).collect();
        planned.ask(&format!("a hundred of {kind}"), &query, &json!({ "ids": ids })).await.unwrap();
    }
    for look_up in [
        "user(email: \"U77@Example.invalid\") { id }",
        "tag(name: \"tag-7\") { id }",
        "productBySku(sku: \"7\") { id }",
    ] {
        planned.ask(look_up, &format!("{{ {look_up} }}"), &json!({})).await.unwrap();
    }
}
