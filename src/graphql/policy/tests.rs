use async_graphql::Variables;
use async_graphql::parser::parse_query;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::data::page::PageLimits;
use crate::graphql::table;

fn with<T>(document: &str, variables: serde_json::Value, run: impl FnOnce(&Table, Asked<'_>) -> T) -> T {
    let document = parse_query(document).unwrap();
    let (_, operation) = document.operations.iter().next().unwrap();
    let variables = Variables::from_json(variables);
    let pages = PageLimits { default: 20, max: 100 };
    run(&table(), Asked { document: &document, operation: &operation.node, variables: &variables, pages })
}

fn of(document: &str) -> Policy {
    with(document, json!({}), policy)
}

fn public(seconds: u32) -> Policy {
    Policy { seconds, scope: Scope::Public }
}

#[test]
fn types_say_it_and_the_strictest_counts() {
    assert_eq!(of("{ product(id: 1) { id name stock unitsSold price { amount } } }"), public(10));
    assert_eq!(of("{ tag(name: \"a\") { name } }"), public(60));
    assert_eq!(of("{ post(id: 1) { title body commentCount } }"), public(30));
    assert_eq!(of("{ post(id: 1) { title } product(id: 1) { name } tag(id: 1) { id } }"), public(10));
    assert_eq!(of("{ user(id: 1) { id } }"), Policy::NONE);
    assert_eq!(of("{ post(id: 1) { title author { name } } }"), Policy::NONE);
    assert_eq!(of("{ product(id: 1) { name } viewer { role } }"), Policy::NONE);
    assert_eq!(of("{ product(id: 1) { name orderItems { totalCount } } }"), Policy::NONE);
    assert_eq!(of("{ order(id: 1) { total { amount } } }"), Policy::NONE);
    assert_eq!(of("{ post(id: 1) { comments { nodes { body } } } }"), Policy::NONE);
}

#[test]
fn lists_are_as_what_they_hold() {
    let page = "{ nodes { id } edges { cursor node { id } } pageInfo { endCursor } totalCount totalCountExact }";
    assert_eq!(of(&format!("{{ products {page} }}")), public(10));
    assert_eq!(of(&format!("{{ posts {page} }}")), public(30));
    assert_eq!(of("{ posts { nodes { tags { nodes { name } } } } }"), public(30));
    assert_eq!(of("{ tags { pageInfo { endCursor } } }"), public(60));
    assert_eq!(of("{ tags { nodes { posts { totalCount } } } }"), public(30));
    assert_eq!(of("{ products { nodes { buyers { totalCount } } } }"), Policy::NONE);
    assert_eq!(of(&format!("{{ users {page} }}")), Policy::NONE);
}

#[test]
fn what_has_no_policy_is_private() {
    assert_eq!(of("{ __typename }"), Policy::NONE);
    assert_eq!(of("{ product(id: 1) { __typename } __typename }"), public(10));
    assert_eq!(of("{ product(id: 1) { name } __schema { queryType { name } } }"), Policy::NONE);
    assert_eq!(of("{ product(id: 1) { name } __type(name: \"Tag\") { name } }"), Policy::NONE);
    assert_eq!(of("{ _service { sdl } }"), Policy::NONE);
    assert_eq!(of("{ nothing }"), Policy::NONE);
    assert_eq!(of("mutation { updateProduct(input: {}) { product { id } } }"), Policy::NONE);
    assert_eq!(of("subscription { productChanged(id: 1) { id } }"), Policy::NONE);
}

#[test]
fn fragments_and_aliases_hide_nothing() {
    assert_eq!(of("{ a: product(id: 1) { ...P } } fragment P on Product { b: name }"), public(10));
    let buyers = "fragment P on Product { ...Q } fragment Q on Product { b: buyers { totalCount } }";
    assert_eq!(of(&format!("{{ a: product(id: 1) {{ ...P }} }} {buyers}")), Policy::NONE);
    assert_eq!(of("{ ... on Query { ... { post(id: 1) { author { id } } } } }"), Policy::NONE);
    // Of another type, though of the same name.
    assert_eq!(of("{ tag(id: 1) { ...T } product(id: 1) { ...T } } fragment T on Tag { name }"), public(10));
}

#[test]
fn what_may_be_any_object_is_as_what_is_asked_of_it() {
    assert_eq!(of("{ node(id: 1) { id } }"), public(60));
    assert_eq!(of("{ nodes(ids: [1]) { ... on Product { name } ... on Tag { name } } }"), public(60));
    assert_eq!(of("{ node(id: 1) { ... on Product { buyers { totalCount } } } }"), Policy::NONE);
    assert_eq!(of("{ node(id: 1) { ... on Tag { posts { totalCount } } } }"), public(30));
    assert_eq!(of("{ _entities(representations: []) { ... on Product { name } } }"), public(60));
    assert_eq!(of("{ _entities(representations: []) { ... on Order { user { id } } } }"), Policy::NONE);
    assert_eq!(of("{ node(id: 1) { ...N } } fragment N on Node { ... on Post { author { id } } }"), Policy::NONE);
}

#[test]
fn what_is_left_out_does_not_count() {
    assert_eq!(of("{ product(id: 1) { name } viewer @skip(if: true) { role } }"), public(10));
    assert_eq!(of("{ product(id: 1) { name } ... @include(if: false) { viewer { role } } }"), public(10));
    let chosen = "query($all: Boolean = false) { post(id: 1) { title author @include(if: $all) { id } } }";
    assert_eq!(with(chosen, json!({}), policy), public(30));
    assert_eq!(with(chosen, json!({ "all": true }), policy), Policy::NONE);
    assert_eq!(with(chosen, json!({ "all": false }), policy), public(30));
}

#[test]
fn all_that_is_public_says_so() {
    let table = table();
    let public: Vec<_> = table.types.iter().filter(|of| of.policy.is_public()).map(|of| of.name.as_str()).collect();
    let expected = [
        "Post",
        "PostConnection",
        "PostEdge",
        "Product",
        "ProductConnection",
        "ProductEdge",
        "Tag",
        "TagConnection",
        "TagEdge",
    ];
    assert_eq!(public, expected);
}

proptest! {
    /// Each fragment is gone through once for each type that it is spread on, however often.
    #[test]
    fn work_is_linear(bodies in prop::collection::vec(prop::collection::vec((1..6_usize, 0..3_u8), 1..8), 1..30)) {
        let body = |number: usize, spreads: &[(usize, u8)]| spreads.iter().map(|(ahead, how)| match how {
            _ if number + ahead >= bodies.len() => "name ".to_owned(),
            0 => format!("...f{} ", number + ahead),
            1 => format!("posts {{ nodes {{ tags {{ nodes {{ ...f{} }} }} }} }} ", number + ahead),
            _ => format!("... on Tag {{ ...f{0} ...f{0} }} ", number + ahead),
        }).collect::<String>();
        let fragments: String = bodies.iter().enumerate()
            .map(|(number, spreads)| format!("fragment f{number} on Tag {{ {} }} ", body(number, spreads)))
            .collect();
        let document = format!("{{ node(id: 1) {{ ...f0 }} }} {fragments}");
        let tokens = document.split_whitespace().count();
        let visits = with(&document, json!({}), |table, asked| {
            let mut walk = Walk::new(table, asked);
            walk.selections(&asked.operation.selection_set.node, table.root(asked.operation.ty).unwrap());
            prop_assert_ne!(walk.strictest, Some(Policy::NONE));
            Ok(walk.visits)
        })?;
        // An interface is gone through for each of its seven objects.
        prop_assert!(visits <= tokens + 7 * 2, "{} visits for {} tokens", visits, tokens);
    }
}
