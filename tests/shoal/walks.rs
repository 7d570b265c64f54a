//! Walks through every list, forward and backward, while rows are added at every place: what was there from start to end
//! is seen once, and in order.

mod world;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::graph::{Connection, Graph};
use crate::model::{Model, global, parts, table};
use crate::support::{Backend, Stack, TestApp};
use world::HUB;

crate::on_both!(walks_under_inserts, a_cursor_outlives_its_row);

/// Added rows, at most: a list that grew as fast as it is walked would have no end.
const ROUNDS: usize = 30;
/// Pages for which the next round waits, over all walks.
const PAGES: usize = 4;

/// One list in one order.
struct List {
    of: Connection,
    order: Option<String>,
    filter: Value,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    size: u32,
    backward: bool,
}

/// Where a walk is in one list.
#[derive(Default)]
struct Trail {
    cursor: Option<String>,
    over: bool,
    seen: Vec<i64>,
}

async fn walks_under_inserts(backend: Backend) {
    let app = TestApp::for_large_requests(backend).await;
    world::make(&app.database).await;
    if backend == Backend::Postgres {
        Stack::get().wait_for_replicas().await;
    }
    let graph = Graph::of(&app).await;
    let lists: Vec<_> = graph.connections().iter().flat_map(in_each_order).collect();
    let before = Model::of(&app.database).await;

    let steps = [1, 3, 7].into_iter().flat_map(|size| [false, true].map(|backward| Step { size, backward }));
    let (pages, read) = mpsc::unbounded_channel();
    let walks: Vec<_> = steps.clone().map(|step| walk(&app, &lists, step, pages.clone())).collect();
    drop(pages);
    let (trails, rounds) = tokio::join!(futures_util::future::join_all(walks), add_rows(&app, read));
    assert!(rounds > 10, "only {rounds} rows were added meanwhile");

    let after = Model::of(&app.database).await;
    for (step, trails) in steps.zip(trails) {
        for (list, seen) in lists.iter().zip(trails) {
            let asked = format!("{}.{} {:?} {step:?}", list.of.owner, list.of.name, list.order);
            let unique: BTreeSet<_> = seen.iter().copied().collect();
            assert_eq!(unique.len(), seen.len(), "{asked}: something was seen twice: {seen:?}");
            let missed: Vec<_> = list.rows(&before).into_iter().filter(|id| !unique.contains(id)).collect();
            assert!(missed.is_empty(), "{asked}: missed {missed:?}");
            let order: Vec<_> = list.rows(&after).into_iter().filter(|id| unique.contains(id)).collect();
            assert_eq!(seen, order, "{asked}: out of order");
        }
    }
}

fn in_each_order(of: &Connection) -> Vec<List> {
    let list = |order: Option<&str>| List {
        of: of.clone(),
        order: order.map(str::to_owned),
        filter: world::filter(&of.owner, &of.name, order),
    };
    of.orders().into_iter().map(list).collect()
}

async fn add_rows(app: &TestApp, mut read: mpsc::UnboundedReceiver<()>) -> usize {
    for round in 0..ROUNDS {
        for _ in 0..PAGES {
            if read.recv().await.is_none() {
                return round;
            }
        }
        world::add(&app.database, round).await;
    }
    ROUNDS
}

/// Walks all lists at once, a page of each in a request; the ids seen in each, in the order of the list.
async fn walk(app: &TestApp, lists: &[List], step: Step, pages: mpsc::UnboundedSender<()>) -> Vec<Vec<i64>> {
    let query = query(lists, step);
    let mut trails: Vec<_> = lists.iter().map(|_| Trail::default()).collect();
    while trails.iter().any(|trail| !trail.over) {
        let mut variables = Map::new();
        for (number, trail) in trails.iter().enumerate() {
            variables.insert(format!("cursor{number}"), json!(trail.cursor));
            variables.insert(format!("go{number}"), json!(!trail.over));
        }
        let data = app.query_with(&query, variables.into()).await;
        for (number, (list, trail)) in lists.iter().zip(&mut trails).enumerate().filter(|(_, (_, trail))| !trail.over) {
            let found = &data[format!("list{number}")];
            trail.turn(if list.of.owner == "Query" { found } else { &found[&list.of.name] }, step);
        }
        // The adding may have ended.
        let _ = pages.send(());
    }
    let in_order = |mut trail: Trail| {
        if step.backward {
            trail.seen.reverse();
        }
        trail.seen
    };
    trails.into_iter().map(in_order).collect()
}

fn query(lists: &[List], step: Step) -> String {
    let (mut variables, mut body) = (String::new(), String::new());
    let (count, cursor, shown) = if step.backward {
        ("last", "before", "pageInfo { cursor: startCursor more: hasPreviousPage }")
    } else {
        ("first", "after", "pageInfo { cursor: endCursor more: hasNextPage }")
    };
    for (number, list) in lists.iter().enumerate() {
        write!(variables, "$cursor{number}: String $go{number}: Boolean! ").unwrap();
        let mut arguments = format!("{count}: {} {cursor}: $cursor{number}", step.size);
        if let Some(order) = &list.order {
            write!(arguments, " orderBy: {order}").unwrap();
        }
        if let Some(tag) = list.filter["tagId"].as_str() {
            write!(arguments, " filter: {{ tagId: \"{tag}\" }}").unwrap();
        }
        let (owner, name, go) = (&list.of.owner, &list.of.name, format!("@include(if: $go{number})"));
        let hub = global(owner, HUB);
        match owner.as_str() {
            "Query" => writeln!(body, "list{number}: {name}({arguments}) {go} {{ nodes {{ id }} {shown} }}"),
            _ => writeln!(
                body,
                "list{number}: node(id: \"{hub}\") {go} {{ ... on {owner} {{ {name}({arguments}) {{ nodes {{ id }} {shown} }} }} }}"
            ),
        }
        .unwrap();
    }
    format!("query({variables}) {{ {body} }}")
}

impl Trail {
    fn turn(&mut self, page: &Value, step: Step) {
        let ids = page["nodes"].as_array().unwrap_or_else(|| panic!("no page: {page}")).iter();
        let ids: Vec<_> = ids.map(|node| parts(node["id"].as_str().unwrap()).1).collect();
        assert!(ids.len() <= step.size as usize, "{page}");
        self.over = page["pageInfo"]["more"] == false;
        assert!(
            self.over || ids.len() == step.size as usize,
            "more was promised behind a page that was not full: {page}"
        );
        self.cursor = page["pageInfo"]["cursor"].as_str().map(str::to_owned);
        if step.backward {
            self.seen.extend(ids.into_iter().rev());
        } else {
            self.seen.extend(ids);
        }
    }
}

impl List {
    /// The ids of all rows in order.
    fn rows(&self, model: &Model) -> Vec<i64> {
        let parent = (self.of.owner != "Query").then(|| model.get(table(&self.of.owner), HUB));
        let found = model.list(&self.of.owner, parent, &self.of.name, &self.filter, self.order.as_deref());
        let ids: Vec<_> = found.unwrap().1.iter().map(|row| row.id()).collect();
        assert!(ids.len() > 10, "{}.{} is too short", self.of.owner, self.of.name);
        ids
    }
}

async fn a_cursor_outlives_its_row(backend: Backend) {
    let app = TestApp::empty(backend).await;
    world::make(&app.database).await;
    // From the primary: the replicas may not know yet.
    let page = async |arguments: &str| {
        let query =
            format!("{{ comments(orderBy: CREATED_AT_ASC {arguments}) {{ edges {{ cursor node {{ id }} }} }} }}");
        let answer = app.ask_with(&json!({ "query": query }), &[("cache-control", "no-cache")]).await;
        answer.json["data"]["comments"]["edges"].as_array().unwrap().clone()
    };
    let edges = page("first: 6").await;
    let cursor = edges[3]["cursor"].as_str().unwrap();
    let id = parts(edges[3]["node"]["id"].as_str().unwrap()).1;
    app.database.execute(&format!("delete from comments where id = {id}")).await;
    assert_eq!(page(&format!("first: 2 after: \"{cursor}\"")).await, edges[4..]);
    assert_eq!(page(&format!("last: 3 before: \"{cursor}\"")).await, edges[..3]);
}
