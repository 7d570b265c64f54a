//! Every list after every mutation: what comes through warm caches is what the primary has.
//!
//! Which mutations and lists there are comes from the schema; what is done comes from the plans of the shop, and the
//! filters from those with which lists are tried.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::graph::{Connection, Graph};
use crate::lists::filters::filters;
use crate::mutations::mutation;
use crate::shop::Step;
use crate::shop::model::{Expect, Model};
use crate::support::{Backend, Database, TestApp};

crate::on_both!(every_list_after_every_mutation);

/// Both ends of a list with all that its rows show by themselves, and its length.
fn selection(graph: &Graph, list: &Connection) -> String {
    let leaves = leaves(graph, list).join(" ");
    format!(
        "head: LIST(first: 5) {{ nodes {{ {leaves} }} totalCount pageInfo {{ endCursor }} }}
        tail: LIST(last: 2) {{ nodes {{ {leaves} }} }}"
    )
}

/// So many steps fill the shop before anything is looked at: of empty lists nothing can be wrong.
const RUN_IN: usize = 200;
/// What changes nothing that is kept.
const OF_JOBS: [&str; 3] = ["retryJob", "cancelJob", "importProducts"];

/// Fields that are read by the key of their row.
const BY_KEY: [&str; 2] = ["body", "description"];

/// A page that nobody has asked for before, and nothing of it by the keys of its rows: they come along with it.
fn unseen(graph: &Graph, list: &Connection, turn: usize) -> String {
    let mut leaves = leaves(graph, list);
    leaves.retain(|leaf| !BY_KEY.contains(&leaf.as_str()));
    format!("page: LIST(first: {}) {{ nodes {{ {} }} }}", 20 + turn % 80, leaves.join(" "))
}

fn leaves(graph: &Graph, list: &Connection) -> Vec<String> {
    graph.leaves(&graph.node(list))
}

/// What is asked of each list at one turn: another filter and order each time.
struct Question {
    query: String,
    variables: Value,
}

fn questions(graph: &Graph, lists: &[Connection], turn: usize) -> Vec<Question> {
    let mut questions = Vec::new();
    for list in lists {
        let ids: Vec<_> = (1..=25).collect();
        let filters = filters(graph, list.filter.as_deref());
        let variables = list.variables(None, &filters[0], &ids);
        questions.push(Question { query: list.query(&unseen(graph, list, turn)), variables });
        let filters: BTreeMap<_, _> =
            [(0, &filters[0]), (turn % filters.len(), &filters[turn % filters.len()])].into_iter().collect();
        for filter in filters.into_values() {
            let orders = list.orders();
            let variables = list.variables(orders[turn % orders.len()], filter, &ids);
            questions.push(Question { query: list.query(&selection(graph, list)), variables });
        }
    }
    questions
}

/// What a client sees, with errors: some combinations are refused. Fresh is what the primary has, past the caches.
async fn answer(app: &TestApp, question: &Question, fresh: bool) -> Value {
    let body = json!({ "query": question.query, "variables": question.variables });
    let headers: &[_] = if fresh { &[("cache-control", "no-cache")] } else { &[] };
    let mut json = app.ask_with(&body, headers).await.json;
    // Other requests have other numbers.
    json["errors"] = json["errors"].as_array().map_or(0, Vec::len).into();
    json
}

async fn every_list_after_every_mutation(backend: Backend) {
    let database = std::sync::Arc::new(Database::empty(backend).await);
    let app = TestApp::start(database, &[("SHOAL_CACHE__AUDIT_PER_MILLE", "100")]).await;
    app.caches().await;
    let graph = Graph::of(&app).await;
    // Jobs are read past the caches.
    let lists: Vec<_> = graph.connections().into_iter().filter(|list| list.name != "jobs").collect();
    let mutations =
        graph.fields().filter(|(of, field)| *of == "Mutation" && !OF_JOBS.contains(&field["name"].as_str().unwrap()));
    let mut left: BTreeSet<_> = mutations.map(|(_, field)| field["name"].as_str().unwrap().to_owned()).collect();
    let mut model = Model::new(0);
    let mut served = BTreeSet::new();
    let mut random = 7_u32;
    let mut next = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    for turn in 0..2000 {
        if left.is_empty() {
            break;
        }
        let step = Step { mutation: next() % 22, of: next(), with: next(), value: next(), twist: 23, key: 11 };
        // There are six addresses: some stay free until users are looked at.
        if turn < RUN_IN && step.mutation == 0 && model.users.len() == 4 {
            continue;
        }
        let Some(plan) = model.plan(step) else { continue };
        let name = plan.name.to_owned();
        let body = json!({ "query": mutation(plan.name, plan.selection), "variables": { "input": plan.input } });
        let is_to_succeed = matches!(&plan.expect, Expect::Payload(payload) if payload["userErrors"] == json!([]));
        let is_looked_at = turn >= RUN_IN && is_to_succeed && left.contains(&name);
        let questions = if is_looked_at { questions(&graph, &lists, turn) } else { Vec::new() };
        for question in &questions {
            answer(&app, question, false).await;
        }
        let payload = app.ask(&body).await.json["data"][&name].take();
        if is_looked_at && payload["userErrors"] == json!([]) {
            left.remove(&name);
        }
        model.learn(plan, &payload);
        for question in &questions {
            let (cached, fresh) = (answer(&app, question, false).await, answer(&app, question, true).await);
            assert_eq!(cached, fresh, "after {name}: {} {}", question.query, question.variables);
            if fresh["data"].to_string().contains("\"id\"") {
                served.insert(question.query.clone());
            }
        }
    }
    assert_eq!(left, BTreeSet::new(), "not done");
    let unserved: Vec<_> =
        lists.iter().filter(|list| !served.contains(&list.query(&selection(&graph, list)))).collect();
    assert!(unserved.is_empty(), "these were always empty: {unserved:?}");
    assert!(app.metric("shoal_cache_hits_total", "").await > 500.0, "the caches have served");
    assert_eq!(app.metric("shoal_cache_audit_mismatch_total", "").await, 0.0);
}
