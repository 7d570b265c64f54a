use async_graphql::Variables;
use async_graphql::parser::parse_query;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::data::page::PageLimits;
use crate::graphql::table;

const PAGES: PageLimits = PageLimits { default: 20, max: 100 };

fn with<T>(document: &str, variables: serde_json::Value, run: impl FnOnce(&Table, Asked<'_>) -> T) -> T {
    let document = parse_query(document).unwrap();
    let (_, operation) = document.operations.iter().next().unwrap();
    let variables = Variables::from_json(variables);
    run(&table(), Asked { document: &document, operation: &operation.node, variables: &variables, pages: PAGES })
}

fn of(document: &str) -> u64 {
    with(document, json!({}), price)
}

#[test]
fn objects_cost_1_and_rows_multiply() {
    assert_eq!(of("{ viewer { role } }"), 1);
    assert_eq!(of("{ user(id: 1) { id name email } }"), 1);
    assert_eq!(of("{ posts(first: 100) { nodes { id title } } }"), 1 + 100);
    assert_eq!(of("{ posts(first: 100) { edges { cursor node { id } } pageInfo { endCursor } } }"), 1 + 100);
    assert_eq!(of("{ posts(last: 3) { nodes { id } } }"), 1 + 3);
    assert_eq!(of("{ posts { nodes { id } } }"), 1 + 20);
    assert_eq!(of("{ posts(first: 7) { pageInfo { endCursor } } }"), 1);
    let nested = "{ posts(first: 100) { nodes { comments(first: 100) { nodes { author { name } } } } } }";
    assert_eq!(of(nested), 1 + 100 * (1 + 1 + 100 * (1 + 1)));
    // What cannot be asked for is refused when it is resolved, and does not cost less than nothing.
    assert_eq!(of("{ posts(first: 101) { nodes { id } } }"), 1 + 100);
    assert_eq!(of("{ posts(first: -1) { nodes { id } } }"), 1);
    assert_eq!(of("{ posts(first: 99999999999999999999) { nodes { id } } }"), 1 + 20);
    // What does not exist is validation's to refuse.
    assert_eq!(of("{ nothing { nodes { id } } }"), 1);
    assert_eq!(of("subscription { nothing { id } }"), 1);
}

#[test]
fn weights_are_where_fields_say_so() {
    assert_eq!(of("{ posts(first: 1) { totalCount } }"), 1 + 5);
    assert_eq!(of("{ posts(first: 10) { nodes { body commentCount } } }"), 1 + 10 * (1 + 1 + 5));
    assert_eq!(
        of("{ products(first: 10) { nodes { description unitsSold price { amount } } } }"),
        1 + 10 * (1 + 1 + 5 + 1)
    );
    assert_eq!(of("{ user(id: 1) { orderSummary { count totals { amount } } } }"), 1 + 5 + 1);
    let order = "mutation { placeOrder(input: {}) { order { id user { name } } userErrors { code } } }";
    assert_eq!(of(order), 10 + 1 + 1 + 1);
    assert_eq!(of("{ __schema { types { name fields { name } } } __typename }"), 100);
    let long = "a".repeat(10_240);
    assert_eq!(
        of(&format!(
            "{{ posts(first: 100) {{ nodes {{ comments(after: \"{long}\", first: 0) {{ nodes {{ id }} }} }} }} }}"
        )),
        1 + 100 * (1 + 1 + 10)
    );
    let variable =
        "query($a: String) { posts(first: 100) { nodes { comments(after: $a, first: 0) { nodes { id } } } } }";
    assert_eq!(with(variable, json!({ "a": long }), price), 1 + 100 * (1 + 1 + 10));
}

#[test]
fn an_interface_costs_what_its_dearest_object_does() {
    let fragments =
        "... on User { posts(first: 100) { nodes { id } } } ... on Post { author { id } } ... on Node { id }";
    assert_eq!(of(&format!("{{ node(id: 1) {{ {fragments} }} }}")), 1 + 101);
    assert_eq!(of(&format!("{{ nodes(ids: [1, 2, 3]) {{ {fragments} }} }}")), 1 + 3 * (1 + 101));
    assert_eq!(of(&format!("{{ nodes(ids: 1) {{ {fragments} }} }}")), 1 + 1 + 101);
    assert_eq!(of("{ nodes(ids: []) { id } }"), 1);
    let entities = format!("query($all: [_Any!]!) {{ _entities(representations: $all) {{ {fragments} }} }}");
    assert_eq!(with(&entities, json!({ "all": [{}, {}, {}] }), price), 1 + 3 * (1 + 101));
    let by_variable = format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ {fragments} }} }}");
    assert_eq!(with(&by_variable, json!({ "ids": [1, 2, 3] }), price), 1 + 3 * (1 + 101));
    let named = "{ node(id: 1) { ...U ...P } } fragment U on User { posts(first: 9) { nodes { id } } } fragment P on Post { id }";
    assert_eq!(of(named), 1 + 10);
}

#[test]
fn variables_say_how_many_and_whether() {
    let paged = "query($n: Int = 7) { posts(first: $n) { nodes { id } } }";
    assert_eq!(with(paged, json!({}), price), 1 + 7);
    assert_eq!(with(paged, json!({ "n": 50 }), price), 1 + 50);
    assert_eq!(with(paged, json!({ "n": null }), price), 1 + 20);
    assert_eq!(with(paged, json!({ "n": "x" }), price), 1 + 20);
    let chosen = "query($yes: Boolean!) { posts(first: 9) @include(if: $yes) { nodes { id } } ... @skip(if: $yes) { viewer { role } } }";
    assert_eq!(with(chosen, json!({ "yes": true }), price), 10);
    assert_eq!(with(chosen, json!({ "yes": false }), price), 1);
    assert_eq!(of("{ posts(first: 9) @skip(if: true) { nodes { id } } viewer { role } }"), 1);
}

#[test]
fn the_dearest_path_is_told() {
    let told = |document: &str| {
        let Dearest { path, price } = with(document, json!({}), dearest);
        (path, price)
    };
    let nested = "{ a: posts(first: 100) { nodes { ...C id } totalCount } tags { nodes { id } } } \
                  fragment C on Post { author { name } comments(first: 100) { edges { node { author { name } } } } }";
    assert_eq!(told(nested), ("a.nodes.comments.edges.node.author".into(), 10_000));
    assert_eq!(told("{ posts(first: 1) { totalCount nodes { id } } }"), ("posts.totalCount".into(), 5));
    assert_eq!(
        told("{ nodes(ids: [1, 2]) { ... on Post { id } ... on User { comments(first: 5) { nodes { id } } } } }"),
        ("nodes.comments.nodes".into(), 10)
    );
    assert_eq!(told("{ __typename }"), ("".into(), 0));
    let (path, _) = told(&format!("{{ {}: viewer {{ role }} }}", "x".repeat(150)));
    assert_eq!(path, "x".repeat(40));
}

#[test]
fn prices_do_not_overflow() {
    let deep = format!(
        "{{ {} }}",
        "users(first: 100) { nodes { ".to_owned()
            + &"posts(first: 100) { nodes { author { ".repeat(20)
            + "id"
            + &" } } }".repeat(20)
            + " } }"
    );
    assert_eq!(of(&deep), u64::MAX);
}

#[test]
fn what_is_ordinary_is_far_from_the_limit() {
    let relay = include_str!("../guard/tests/relay.graphql");
    assert!(of(relay) < 1000, "{}", of(relay));
    let introspection = include_str!("../guard/tests/introspection.graphql");
    assert_eq!(of(introspection), 100);
}

proptest! {
    /// Each fragment is priced once for each type that it is spread on, however often.
    #[test]
    fn work_is_linear(bodies in prop::collection::vec(prop::collection::vec((1..6_usize, 0..3_u8), 1..8), 1..30)) {
        let body = |number: usize, spreads: &[(usize, u8)]| spreads.iter().map(|(ahead, how)| match how {
            _ if number + ahead >= bodies.len() => "id ".to_owned(),
            0 => format!("...f{} ", number + ahead),
            1 => format!("posts {{ nodes {{ author {{ ...f{} }} }} }} ", number + ahead),
            _ => format!("... on User {{ ...f{0} ...f{0} }} ", number + ahead),
        }).collect::<String>();
        let fragments: String = bodies.iter().enumerate()
            .map(|(number, spreads)| format!("fragment f{number} on User {{ {} }} ", body(number, spreads)))
            .collect();
        let document = format!("{{ node(id: 1) {{ ...f0 }} }} {fragments}");
        let tokens = document.split_whitespace().count();
        let visits = with(&document, json!({}), |table, asked| {
            let mut walk = Walk::new(table, asked);
            let root = table.root(asked.operation.ty).unwrap();
            walk.selections(&asked.operation.selection_set.node, root);
            walk.visits
        });
        // An interface is priced for each of its seven objects.
        prop_assert!(visits <= tokens + 7 * 2, "{} visits for {} tokens", visits, tokens);
    }
}
