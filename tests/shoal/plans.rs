//! How PostgreSQL runs the statements: every list, in every filter and order an index is said to serve, by that index.
//!
//! Each statement is judged as it is run for a request, with the request's values, on a storefront of full scale and real
//! skew: the server's own sessions load auto_explain, which tells them the plan of each statement, and the server logs
//! what it is told. Its sessions have one plan for all values of a statement, so that plan is judged, with many values.
//!
//! `SHOAL_TEST_FULL_DATA`, a directory of CSV files, puts other data in the place of the storefront. With `--nocapture`
//! the slowest statements are shown.

mod judge;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::graph::{Connection, Graph};
use crate::model::global;
use crate::support::{Backend, CACHES_OFF, Database, TestApp, command, eventually};
use judge::{BIG, Plan, Request, plans};
use values::Values;

/// The columns of the first are those of the primary key, which PostgreSQL would then search from end to end: rows do not
/// show that. The others serve who runs jobs.
const UNMISSED: [&str; 6] =
    ["post_tags_tag", "jobs_due", "jobs_leased", "jobs_unique_key", "jobs_slot", "jobs_finished"];

/// A server whose plans are known.
struct Planned {
    app: TestApp,
    /// How much of its log has been read.
    read: usize,
    /// How many rows each table has.
    tables: HashMap<String, f64>,
    seen: Vec<(Arc<Request>, Plan)>,
}

impl Planned {
    async fn start(database: &Arc<Database>) -> Self {
        let options = "-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 \
             -c auto_explain.log_analyze=on -c auto_explain.log_timing=off -c auto_explain.log_format=json \
             -c auto_explain.log_level=notice";
        let environment = [
            ("PGOPTIONS", options),
            ("REPLICA_URLS", ""),
            CACHES_OFF,
            // However slow it is without an index, on a machine that others use, too.
            ("SHOAL_GRAPHQL__TIMEOUT_MS", "60000"),
            ("SHOAL_LOG__FORMAT", "json"),
            ("SHOAL_LOG__FILTER", "info,sqlx::postgres::notice=info"),
        ];
        let app = TestApp::start(database.clone(), &environment).await;
        let sizes = "select json_object_agg(relname, reltuples)::text from pg_class where relkind = 'r'";
        let tables = serde_json::from_str(&database.text(sizes).await.unwrap()).unwrap();
        Self { app, read: 0, tables, seen: Vec::new() }
    }

    /// Asks, and notes the plans; the data, or nothing if no index serves the request.
    async fn ask(&mut self, request: &Arc<Request>) -> Option<Value> {
        let body = json!({ "query": request.query, "variables": request.variables });
        let mut answer = self.app.ask_with(&body, &[("shoal-trace", "1")]).await.json;
        let sent = answer["extensions"]["shoal"]["statements"].as_u64().unwrap() as usize;
        let mut found = Vec::new();
        eventually("the plans of the statements", async || {
            let log = self.app.log_after(self.read);
            found = plans(&log);
            let all = found.len() >= sent;
            self.read += if all { log.len() } else { 0 };
            all
        })
        .await;
        assert_eq!(found.len(), sent, "{}: each statement of the ledger has a plan, and no other has", request.about);
        self.seen.extend(found.into_iter().map(|plan| (request.clone(), plan)));
        if let Some(errors) = answer.get("errors") {
            let unserved = errors[0]["message"].as_str().unwrap().starts_with("no index serves");
            assert!(unserved, "{}: {errors}", request.about);
            return None;
        }
        Some(answer["data"].take())
    }

    /// Asks for pages of a list from both ends and from its depth, and for its count; whether an index serves it.
    async fn walk(&mut self, list: &Connection, order: Option<&str>, filter: &Value, values: &Values) -> bool {
        let request = |part: &str, selection: &str, ids: &[i64], first: usize| {
            Arc::new(Request {
                about: format!("{}.{} {} {filter}, {part}", list.owner, list.name, order.unwrap_or("unordered")),
                query: list.query(selection),
                variables: list.variables(order, filter, ids),
                parents: ids.len().max(1) as f64,
                page: first as f64,
            })
        };
        let ends = "first: LIST(first: 50) { nodes { id } totalCount }
                    last: LIST(last: 50) { nodes { id } pageInfo { startCursor } }";
        let longest = values.longest(&list.owner);
        let Some(data) = self.ask(&request("its ends", ends, &longest, 50)).await else { return false };
        let of = if list.owner == "Query" { &data } else { &data["nodes"][0] };
        if let Some(cursor) = of["last"]["pageInfo"]["startCursor"].as_str() {
            let depth = format!(
                "onward: LIST(first: 50 after: \"{cursor}\") {{ nodes {{ id }} }}
                 back: LIST(last: 50 before: \"{cursor}\") {{ nodes {{ id }} }}"
            );
            self.ask(&request("its depth", &depth, &longest, 50)).await.unwrap();
        }
        if list.owner != "Query" && filter.as_object().is_none_or(serde_json::Map::is_empty) {
            let page = "LIST(first: 3) { nodes { id } totalCount }";
            self.ask(&request("of a hundred", page, &values.hundred(&list.owner), 3)).await.unwrap();
        }
        true
    }

    /// Every list, and what else can be asked.
    async fn walk_all(&mut self, values: &Values) {
        let graph = Graph::of(&self.app).await;
        for list in graph.connections() {
            let mut served = BTreeSet::new();
            for filter in values.filters(&graph, list.filter.as_deref()) {
                // An order that is not given is one of those that can be.
                for order in list.orders().into_iter().filter(|order| order.is_some() || list.order.is_none()) {
                    if self.walk(&list, order, &filter, values).await {
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
        let by_ids = [
            ("User", "name orderSummary { count }"),
            ("Post", "title body commentCount author { name }"),
            ("Product", "name description unitsSold"),
            ("Comment", "post { id } author { id }"),
            ("OrderItem", "unitPrice { amount } product { id }"),
            ("Job", "state"),
        ];
        for (kind, fields) in by_ids {
            let ids: Vec<_> = values.hundred(kind).into_iter().map(|id| global(kind, id)).collect();
            let query = format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {kind} {{ {fields} }} }} }}");
            let about = format!("a hundred of {kind}");
            let request = Request { about, query, variables: json!({ "ids": ids }), parents: 100.0, page: 0.0 };
            self.ask(&Arc::new(request)).await.unwrap();
        }
        for field in ["user(email: \"U77@Example.invalid\")", "tag(name: \"tag-7\")", "productBySku(sku: \"SKU-77\")"] {
            let (about, query) = (field.to_owned(), format!("{{ {field} {{ id }} }}"));
            let request = Request { about, query, variables: json!({}), parents: 1.0, page: 0.0 };
            self.ask(&Arc::new(request)).await.unwrap();
        }
    }

    fn faults(&self) -> Vec<String> {
        let faulty = self.seen.iter().filter_map(|(request, plan)| {
            let faults = plan.faults(request, &self.tables);
            (!faults.is_empty()).then(|| format!("{}: {}\n  {}", request.about, faults.join(", "), plan.outline()))
        });
        faulty.collect()
    }
}

#[tokio::test]
#[allow(clippy::disallowed_methods)]
async fn every_statement_walks_its_index() {
    let other_data = std::env::var_os("SHOAL_TEST_FULL_DATA");
    let database = Arc::new(Database::empty(Backend::Postgres).await);
    if let Some(directory) = &other_data {
        let imported = command(&database).arg("import").arg(directory).output().unwrap();
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    } else {
        database.execute(include_str!("plans/storefront.sql")).await;
    }
    database.execute("vacuum analyze").await;
    let values = Values::of(&database).await;
    let mut planned = Planned::start(&database).await;
    planned.walk_all(&values).await;

    let mut seen: Vec<_> = planned.seen.iter().collect();
    seen.sort_by(|(_, one), (_, other)| other.milliseconds.total_cmp(&one.milliseconds));
    let texts: BTreeSet<_> = seen.iter().map(|(_, plan)| &plan.statement).collect();
    println!("{} plans of {} statements; the slowest:", seen.len(), texts.len());
    for (request, plan) in seen.iter().take(30) {
        println!("{:7.1} ms, {:6} rows read: {}", plan.milliseconds, plan.read(), request.about);
    }
    let faults = planned.faults();
    assert!(faults.is_empty(), "{} plans; among them:\n{}", faults.len(), faults[..faults.len().min(5)].join("\n\n"));

    // Other data need not have what makes each index worth its while.
    if other_data.is_none() {
        each_index_is_missed(&database, &mut planned).await;
    }
}

/// Without any one index, some request that it served is found to be run badly: so there is no index too many, and what
/// the test takes for bad is enough.
async fn each_index_is_missed(database: &Database, planned: &mut Planned) {
    let indexes = "
        select json_object_agg(c.relname, json_build_array(t.relname, pg_get_indexdef(c.oid)))::text
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
        where t.relnamespace = 'public'::regnamespace
            and not exists (select from pg_constraint where conindid = i.indexrelid)";
    let indexes: BTreeMap<String, [String; 2]> = serde_json::from_str(&database.text(indexes).await.unwrap()).unwrap();
    let seen = std::mem::take(&mut planned.seen);
    for (index, [table, definition]) in indexes {
        if planned.tables[&table] <= BIG || UNMISSED.contains(&index.as_str()) {
            continue;
        }
        // For each statement, one request in which the index served it.
        let served = seen.iter().filter(|(_, plan)| plan.uses(&index));
        let served: BTreeMap<_, _> = served.map(|(request, plan)| (&plan.statement, request)).collect();
        assert!(!served.is_empty(), "no statement uses {index}");
        database.execute(&format!("drop index {index}")).await;
        let mut missed = false;
        for request in served.values() {
            planned.ask(request).await.unwrap();
            missed = !planned.faults().is_empty();
            planned.seen.clear();
            if missed {
                break;
            }
        }
        database.execute(&definition).await;
        assert!(missed, "without {index} nothing is found to be wrong");
    }
}
