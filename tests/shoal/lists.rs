//! Every list, in every filter and order: the rows, the pages and the counts that SQL returns.

pub mod filters;

use serde_json::{Value, json};

use crate::fields::stocked;
use crate::graph::{Connection, Graph};
use crate::model::{MORE, Model, global, parts, same, table};
use crate::support::{Backend, Database, Stack, TestApp};
use filters::filters;

crate::on_both!(every_filter_in_every_order, every_page, limits_of_pages, settings_of_pages);

/// Objects with long, short and empty lists.
const PARENTS: [(&str, &[i64]); 6] = [
    ("Query", &[]),
    ("User", &[1, 71, 100, 237, 238, 239, 240]),
    ("Post", &[1, 2, 301, 306, 309]),
    ("Tag", &[1, 7, 38, 39, 40]),
    ("Product", &[2353, 4541, 4542, 4543, 4545]),
    ("Order", &[1, 2, 842, 844]),
];

fn parents(list: &Connection) -> &'static [i64] {
    PARENTS.iter().find(|(owner, _)| *owner == list.owner).unwrap_or_else(|| panic!("name some {}", list.owner)).1
}

async fn every_filter_in_every_order(backend: Backend) {
    let (app, model) = stocked(backend).await;
    let graph = Graph::of(&app).await;
    // Both ends of each list, and its length; every_page looks at pages.
    let selection =
        "head: LIST(first: 12) { nodes { id } totalCount totalCountExact } tail: LIST(last: 3) { nodes { id } }";
    for list in graph.connections() {
        for filter in filters(&graph, list.filter.as_deref()) {
            for order in list.orders() {
                let (query, variables) = (list.query(selection), list.variables(order, &filter, parents(&list)));
                let asked = format!("{}.{} {order:?} {filter}", list.owner, list.name);
                let parent = parents(&list).first().map(|id| model.get(table(&list.owner), *id));
                if model.list(&list.owner, parent, &list.name, &filter, order).is_some() {
                    let expected = model.answer(&query, &variables);
                    same(&expected, &app.query_with(&query, variables).await, &asked);
                } else {
                    let answer = app.ask(&json!({ "query": query, "variables": variables })).await;
                    let (code, message) = answer.refusal();
                    assert_eq!(code, "BAD_USER_INPUT", "{asked}");
                    assert!(message.starts_with("no index serves this"), "{asked}: {message}");
                    assert_eq!(answer.json["errors"][0]["path"], json!(["head"]), "{asked}");
                }
            }
        }
    }

    for (query, message) in [
        ("users(orderBy: ID_ASC, filter: { namePrefix: \"a\" })", "order with this filter: it can be ordered by NAME"),
        (
            "users(orderBy: NAME_ASC, filter: { emailPrefix: \"a\" })",
            "order with this filter: it can be ordered by EMAIL",
        ),
        (
            "posts(orderBy: PUBLISHED_AT_ASC, filter: { status: DRAFT })",
            "order with this filter: it can be ordered by CREATED_AT",
        ),
        (
            "posts(orderBy: CREATED_AT_ASC, filter: { tagId: \"VGFnOjE\" })",
            "order with this filter: it can be ordered by ID",
        ),
        ("products(orderBy: PRICE_ASC, filter: { active: null })", "order with this filter: it can be ordered by ID"),
        ("users(filter: { role: ADMIN, namePrefix: \"a\" })", "combination of filters"),
    ] {
        let (code, found) = app.refusal(&format!("{{ {query} {{ nodes {{ id }} }} }}"), json!({})).await;
        assert_eq!((code.as_str(), found), ("BAD_USER_INPUT", format!("no index serves this {message}")), "{query}");
    }
}

/// A page's arguments; cursors by the place of their row in the list.
#[derive(Clone, Copy, Default)]
struct Slice {
    first: Option<usize>,
    last: Option<usize>,
    after: Option<usize>,
    before: Option<usize>,
}

const NONE: Slice = Slice { first: None, last: None, after: None, before: None };
const END: usize = usize::MAX;
const SLICES: [Slice; 19] = [
    NONE,
    Slice { first: Some(0), ..NONE },
    Slice { last: Some(0), ..NONE },
    Slice { first: Some(100), ..NONE },
    Slice { last: Some(100), ..NONE },
    Slice { after: Some(1), ..NONE },
    Slice { before: Some(3), ..NONE },
    Slice { first: Some(3), after: Some(0), ..NONE },
    Slice { first: Some(3), before: Some(2), ..NONE },
    Slice { last: Some(3), before: Some(5), ..NONE },
    Slice { last: Some(3), after: Some(1), ..NONE },
    Slice { first: Some(2), after: Some(0), before: Some(6), ..NONE },
    Slice { last: Some(2), after: Some(0), before: Some(6), ..NONE },
    Slice { first: Some(50), after: Some(1), before: Some(4), ..NONE },
    Slice { last: Some(50), after: Some(1), before: Some(4), ..NONE },
    Slice { first: Some(2), after: Some(2), before: Some(2), ..NONE },
    Slice { last: Some(2), after: Some(3), before: Some(1), ..NONE },
    Slice { first: Some(2), after: Some(END), ..NONE },
    Slice { last: Some(2), before: Some(0), ..NONE },
];

async fn every_page(backend: Backend) {
    let (app, model) = stocked(backend).await;
    for list in Graph::of(&app).await.connections() {
        for order in list.orders() {
            let rows = |id: &i64| {
                let parent = Some(model.get(table(&list.owner), *id));
                model.list(&list.owner, parent, &list.name, &Value::Null, order).unwrap().1
            };
            let parent = parents(&list).iter().max_by_key(|id| rows(id).len()).copied();
            let full = match &parent {
                Some(id) => rows(id),
                None => match model.list(&list.owner, None, &list.name, &Value::Null, order) {
                    Some((_, rows)) => rows,
                    // Only with a filter.
                    None => continue,
                },
            };
            check_pages(&app, &list, order, parent, &full.iter().map(|row| row.id()).collect::<Vec<_>>()).await;
        }
    }
}

async fn check_pages(app: &TestApp, list: &Connection, order: Option<&str>, parent: Option<i64>, full: &[i64]) {
    let variables = list.variables(order, &Value::Null, parent.as_slice());
    let ask = async |selection: String| {
        let mut data = app.query_with(&list.query(&selection), variables.clone()).await;
        if parent.is_some() { data["nodes"][0].take() } else { data }
    };
    let shown = "edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
    let head = ask(format!("head: LIST(first: 100) {{ {shown} }} tail: LIST(last: 100) {{ {shown} }}")).await;
    let edges = |page: &Value| page["edges"].as_array().unwrap().clone();
    let cursor = |edge: &Value| edge["cursor"].as_str().unwrap().to_owned();
    // The cursor of each row that a slice may name.
    let cursors: Vec<_> = edges(&head["head"]).iter().map(cursor).collect();
    let last = edges(&head["tail"]).last().map(cursor).unwrap();
    assert!(full.len() >= 2, "{}.{} is too short", list.owner, list.name);
    let place = |asked: usize| if asked == END { full.len() - 1 } else { asked.min(full.len() - 1).min(99) };
    let cursor_at = |asked: usize| if asked == END { &last } else { &cursors[place(asked)] };

    let mut selection = String::new();
    for (number, Slice { first, last, after, before }) in SLICES.into_iter().enumerate() {
        let count = |name: &str, count: Option<usize>| count.map(|count| format!("{name}: {count} "));
        let at = |name: &str, at: Option<usize>| at.map(|at| format!("{name}: \"{}\" ", cursor_at(at)));
        let arguments = [count("first", first), count("last", last), at("after", after), at("before", before)];
        let arguments = arguments.into_iter().flatten().collect::<String>();
        // `first: null` is as good as none, and stands where no argument would.
        let arguments = if arguments.is_empty() { "first: null".to_owned() } else { arguments };
        selection += &format!("page{number}: LIST({arguments}) {{ {shown} }} ");
    }
    let pages = ask(selection).await;
    for (number, slice) in SLICES.into_iter().enumerate() {
        let Slice { first, last, after, before } = slice;
        let start = after.map_or(0, |at| place(at) + 1);
        let end = before.map_or(full.len(), place).max(start);
        let found = end - start;
        let (range, next, previous) = match last {
            Some(last) => (end - found.min(last)..end, before.is_some(), found > last),
            None => {
                let first = first.unwrap_or(20);
                (start..start + found.min(first), found > first, after.is_some())
            }
        };
        let page = &pages[format!("page{number}")];
        let asked = format!("{}.{} {order:?} page {number} of {parent:?}: {page}", list.owner, list.name);
        let kind = parts(page["edges"][0]["node"]["id"].as_str().unwrap_or("VXNlcjox")).0;
        let ids: Vec<_> = edges(page).iter().map(|edge| edge["node"]["id"].clone()).collect();
        assert_eq!(ids, full[range.clone()].iter().map(|id| global(&kind, id)).collect::<Vec<_>>(), "{asked}");
        assert_eq!(page["pageInfo"]["hasNextPage"], next, "{asked}");
        assert_eq!(page["pageInfo"]["hasPreviousPage"], previous, "{asked}");
        assert_eq!(page["pageInfo"]["startCursor"], page["edges"][0]["cursor"], "{asked}");
        assert_eq!(
            page["pageInfo"]["endCursor"].as_str().map(str::to_owned),
            edges(page).last().map(cursor),
            "{asked}"
        );
        // The same row has the same cursor on every page.
        let known =
            edges(page).iter().zip(range).all(|(edge, place)| cursors.get(place).is_none_or(|c| *c == cursor(edge)));
        assert!(known, "{asked}");
    }
}

async fn limits_of_pages(backend: Backend) {
    let app = TestApp::demo(backend).await;
    for list in Graph::of(&app).await.connections() {
        for (arguments, message) in [
            ("first: -1", "first must not be negative"),
            ("last: -2147483648", "last must not be negative"),
            ("first: 101", "first must not be above 100"),
            ("last: 2147483647", "last must not be above 100"),
            ("first: 1, last: 1", "give either first or last, not both"),
        ] {
            let query = list.query(&format!("LIST({arguments}) {{ nodes {{ id }} }}"));
            let refusal = app.refusal(&query, list.variables(None, &Value::Null, &[1])).await;
            assert_eq!(refusal, ("BAD_USER_INPUT".into(), message.into()), "{query}");
        }
    }
}

async fn settings_of_pages(backend: Backend) {
    let database = Database::demo(backend).await;
    database.execute(MORE).await;
    if backend == Backend::Postgres {
        Stack::get().wait_for_replicas().await;
    }
    let mut model = Model::of(&database).await;
    model.count_cap = 3;
    let settings = [
        ("SHOAL_GRAPHQL__COUNT_CAP", "3"),
        ("SHOAL_GRAPHQL__PAGE_SIZE", "4"),
        ("SHOAL_GRAPHQL__MAX_PAGE_SIZE", "5"),
        ("SHOAL_GRAPHQL__MAX_NODES", "7"),
    ];
    let app = TestApp::start(database.into(), &settings).await;
    let mut capped = [false; 2];
    for list in Graph::of(&app).await.connections() {
        let query = list.query("LIST(first: 5) { nodes { id } totalCount totalCountExact }");
        let variables = list.variables(None, &Value::Null, parents(&list));
        let answer = app.query_with(&query, variables.clone()).await;
        same(&model.answer(&query, &variables), &answer, &query);
        for owner in answer["nodes"].as_array().unwrap_or(&vec![answer.clone()]) {
            let list = &owner[&list.name];
            // Exactly as many rows as the cap are still counted exactly.
            if list["totalCount"] == 3 {
                capped[usize::from(list["totalCountExact"] == true)] = true;
            }
        }
        let default = list.query("LIST(last: null) { nodes { id } }");
        let answer = app.query_with(&default, variables.clone()).await.to_string();
        assert!(answer.contains("\"id\""), "{answer}");
        let above = list.query("LIST(first: 6) { nodes { id } }");
        let variables = list.variables(None, &Value::Null, &parents(&list)[..parents(&list).len().min(1)]);
        assert_eq!(app.refusal(&above, variables).await.1, "first must not be above 5");
    }
    assert_eq!(capped, [true; 2], "no list had exactly as many rows as are counted, or none had more");
    assert_eq!(app.query("{ products { nodes { id } } }").await["products"]["nodes"].as_array().unwrap().len(), 4);
    let ids = |count: i64| json!({ "ids": (1..=count).map(|key| global("Tag", key)).collect::<Vec<_>>() });
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    app.query_with(query, ids(7)).await;
    assert_eq!(app.refusal(query, ids(8)).await.1, "ids must not be more than 7");
}
