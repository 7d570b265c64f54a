//! The graph as one of several: what a gateway is told, and the entities that it asks for.
//!
//! That the whole composes with another subgraph, and a gateway joins them, is shown in `tests/clients`.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{ConstDirective, TypeDefinition, TypeKind, TypeSystemDefinition};
use async_graphql::{Positioned, Value as Constant};
use serde_json::{Value, json};

use crate::model::global;
use crate::statements::Counted;
use crate::support::{Backend, CACHES_OFF, Database, TestApp};

crate::on_both!(
    a_gateway_is_told_the_keys,
    entities_of_all_types_in_order,
    a_bad_one_takes_no_other_along,
    no_more_than_are_allowed,
    nothing_is_told_without_introspection
);

const SCHEMA: &str = include_str!("../../schema.graphql");
const KINDS: [&str; 8] = ["User", "Post", "Comment", "Tag", "Product", "Order", "OrderItem", "Job"];

/// What identifies each, and a field of its own.
const SHOWN: &str = "__typename ... on Node { id } ... on User { name } ... on Post { title author { email } }
    ... on Comment { body } ...Named ... on Product { sku } ... on Order { status } ... on OrderItem { quantity }
    ... on Job { state }";
const NAMED: &str = "fragment Named on Tag { tag: name }";

/// Entities by a variable, as gateways ask for them.
fn entities() -> String {
    format!(
        "query ($representations: [_Any!]!) {{ _entities(representations: $representations) {{ {SHOWN} }} }} {NAMED}"
    )
}

fn representation(kind: &str, key: i64) -> Value {
    json!({ "__typename": kind, "id": global(kind, key) })
}

/// Each type, some twice, some of nothing, in no order of types.
fn mixed() -> Vec<(&'static str, i64)> {
    let some = KINDS.into_iter().cycle().zip([3, 999_999, 1, 3, 2]);
    KINDS.into_iter().map(|kind| (kind, 7)).chain(some.clone()).chain(some).collect()
}

/// The types that a text defines, with what each needs to be told apart.
fn types(text: &str) -> Vec<TypeDefinition> {
    let definitions = parse_schema(text).unwrap().definitions.into_iter();
    let types = definitions.filter_map(|definition| match definition {
        TypeSystemDefinition::Type(of) => Some(of.node),
        _ => None,
    });
    types.collect()
}

/// The directives of this name, each with its arguments as they are written.
fn written(directives: &[Positioned<ConstDirective>], name: &str) -> Vec<String> {
    let named = directives.iter().filter(|directive| directive.node.name.node == name);
    let arguments = named.map(|directive| {
        let arguments = directive.node.arguments.iter();
        arguments.map(|(name, value)| format!("{}: {}", name.node, value.node)).collect::<Vec<_>>().join(", ")
    });
    arguments.collect()
}

async fn a_gateway_is_told_the_keys(backend: Backend) {
    let app = TestApp::empty(backend).await;
    let told = app.query("{ _service { sdl } }").await["_service"]["sdl"].as_str().unwrap().to_owned();

    // What a client sees, but for what only gateways ask.
    let names = |text: &str| types(text).into_iter().map(|of| of.name.node.to_string()).collect::<BTreeSet<_>>();
    let mut expected = names(SCHEMA);
    for hidden in ["_Any", "_Entity", "_Service"] {
        assert!(expected.remove(hidden), "{hidden} is in the schema");
    }
    assert_eq!(names(&told), expected);
    for hidden in ["_entities", "_service"] {
        assert!(!told.contains(hidden), "{hidden}");
    }

    let mut entities = Vec::new();
    for of in types(&told) {
        let (name, keys) = (of.name.node.as_str(), written(&of.directives, "key"));
        let is_node = matches!(&of.kind, TypeKind::Object(object) if !object.implements.is_empty());
        let expected = if is_node { vec!["fields: \"id\"".to_owned()] } else { vec![] };
        assert_eq!(keys, expected, "{name}");
        // Every subgraph with connections has this one.
        let is_shared = !written(&of.directives, "shareable").is_empty();
        assert_eq!(is_shared, name == "PageInfo", "{name}");
        entities.extend(is_node.then(|| name.to_owned()));
    }
    entities.sort_unstable();
    let mut kinds = KINDS;
    kinds.sort_unstable();
    assert_eq!(entities, kinds);

    let links = parse_schema(&told).unwrap().definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Schema(schema) if schema.node.extend => Some(schema.node),
        _ => None,
    });
    let links: Vec<_> =
        links.flat_map(|schema| schema.directives).filter(|link| link.node.name.node == "link").collect();
    let [link] = &links[..] else { panic!("one link, not {}", links.len()) };
    let Some(Constant::String(url)) = link.node.get_argument("url").map(|url| &url.node) else { panic!("a url") };
    assert!(url.starts_with("https://specs.apollo.dev/federation/v2."), "{url}");
    let Some(Constant::List(imported)) = link.node.get_argument("import").map(|names| &names.node) else {
        panic!("imports")
    };
    assert!(imported.contains(&Constant::from("@key")) && imported.contains(&Constant::from("@shareable")));
    // The specification has one of its own, later.
    assert!(!imported.contains(&Constant::from("@cost")));
}

async fn entities_of_all_types_in_order(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let all = mixed();
    let ids: Vec<_> = all.iter().map(|(kind, key)| global(kind, *key)).collect();
    let nodes = format!("query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ {SHOWN} }} }} {NAMED}");
    let expected = app.query_with(&nodes, json!({ "ids": ids })).await["nodes"].take();
    // No jobs come with the demo data.
    assert_eq!(expected.as_array().unwrap().iter().filter(|found| found.is_null()).count(), 3);
    assert_eq!(expected[0]["__typename"], "User");

    let representations: Vec<_> = all.iter().map(|(kind, key)| representation(kind, *key)).collect();
    let asked = json!({ "representations": representations });
    assert_eq!(app.query_with(&entities(), asked).await["_entities"], expected);

    // With more than their keys, as gateways send what other fields require.
    let more = representations.iter().enumerate().map(|(index, representation)| {
        let mut more = representation.clone();
        more["name"] = json!({ "of": [index, null, 1.5, { "deeper": true }] });
        more
    });
    let asked = json!({ "representations": more.collect::<Vec<_>>() });
    assert_eq!(app.query_with(&entities(), asked).await["_entities"], expected);

    // Written in the document, with variables in them or without.
    let literals: Vec<_> =
        all.iter().zip(&ids).map(|((kind, _), id)| format!("{{ __typename: {kind:?}, id: {id:?} }}")).collect();
    let written = format!("{{ _entities(representations: [{}]) {{ {SHOWN} }} }} {NAMED}", literals.join(" "));
    assert_eq!(app.query(&written).await["_entities"], expected);
    let one = format!(
        "query ($id: String!) {{ _entities(representations: {{ __typename: \"User\", id: $id, x: 1 }}) {{
            ... on _Entity {{ ... {{ {SHOWN} }} }} }} }} {NAMED}"
    );
    assert_eq!(app.query_with(&one, json!({ "id": ids[0] })).await["_entities"], json!([expected[0]]));
    assert_eq!(app.query_with(&entities(), json!({ "representations": [] })).await["_entities"], json!([]));
}

async fn a_bad_one_takes_no_other_along(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let user = global("User", 7);
    let bad = [
        (json!({ "__typename": "Product", "id": user }), "not an id of a Product"),
        (json!({ "__typename": "Nothing", "id": user }), "not an id of a Nothing"),
        (json!({ "__typename": "Nothing", "id": global("Nothing", 7) }), "not a valid id"),
        (json!({ "__typename": "PageInfo", "id": global("PageInfo", 7) }), "not a valid id"),
        (json!({ "__typename": "user", "id": global("user", 7) }), "not a valid id"),
        (json!({ "__typename": "User", "id": "nothing" }), "not a valid id"),
        (json!({ "__typename": "User", "id": 7 }), "a representation must have id, a text"),
        (json!({ "__typename": "User", "id": null }), "a representation must have id, a text"),
        (json!({ "__typename": "User", "email": "u7@example.invalid" }), "a representation must have id, a text"),
        (json!({ "__typename": ["User"], "id": user }), "a representation must have __typename, a text"),
        (json!({ "id": user }), "a representation must have __typename, a text"),
        (json!({}), "a representation must have __typename, a text"),
        (json!("User"), "a representation must be an object"),
        (json!([]), "a representation must be an object"),
    ];
    let (good, none) = (representation("User", 7), representation("User", 999_999));
    let all = bad.iter().flat_map(|(bad, _)| [bad, &good, &none]).collect::<Vec<_>>();
    let query = entities();
    let answer = app.ask(&json!({ "query": query, "variables": { "representations": all } })).await;
    assert_eq!(answer.status, 200, "{}", answer.json);

    let found = answer.json["data"]["_entities"].as_array().unwrap();
    assert_eq!(found.len(), 3 * bad.len());
    for of_three in found.chunks(3) {
        assert_eq!([&of_three[0], &of_three[1]["id"], &of_three[2]], [&Value::Null, &json!(user), &Value::Null]);
    }
    let mut errors: Vec<_> = answer.json["errors"].as_array().unwrap().iter().collect();
    errors.sort_by_key(|error| error["path"][1].as_u64());
    assert_eq!(errors.len(), bad.len(), "{errors:?}");
    for (number, (error, (_, message))) in errors.into_iter().zip(&bad).enumerate() {
        assert_eq!(error["message"], *message);
        assert_eq!(error["path"], json!(["_entities", 3 * number]));
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
    }

    // Null is no representation at all.
    let nothing = json!({ "representations": [good, null] });
    assert_eq!(app.refusal(&query, nothing).await.0, "BAD_USER_INPUT");
}

async fn no_more_than_are_allowed(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let app = TestApp::start(database.clone(), &[]).await;
    let many = |count: i64| {
        let representations: Vec<_> = (1..=count).map(|key| representation("User", key)).collect();
        json!({ "representations": representations })
    };
    let full = app.query_with(&entities(), many(100)).await;
    assert!(full["_entities"].as_array().unwrap().iter().all(|user| user["__typename"] == "User"));
    let refused = |most: usize| ("BAD_USER_INPUT".to_owned(), format!("representations must not be more than {most}"));
    assert_eq!(app.refusal(&entities(), many(101)).await, refused(100));
    drop(app);

    let app = TestApp::start(database, &[("SHOAL_GRAPHQL__MAX_NODES", "7"), ("SHOAL_GRAPHQL__MAX_PRICE", "14")]).await;
    app.query_with(&entities(), many(5)).await;
    assert_eq!(app.refusal(&entities(), many(8)).await.0, "QUERY_TOO_COMPLEX", "each costs what its author costs, too");
    let bare = "query ($representations: [_Any!]!) { _entities(representations: $representations) { __typename } }";
    app.query_with(bare, many(7)).await;
    assert_eq!(app.refusal(bare, many(8)).await, refused(7));
}

async fn nothing_is_told_without_introspection(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let app = TestApp::start(database, &[("SHOAL_GRAPHQL__INTROSPECTION", "false")]).await;
    let refused = ("INTROSPECTION_DISABLED".to_owned(), "the schema is not shown here".to_owned());
    assert_eq!(app.refusal("{ _service { sdl } }", json!({})).await, refused);
    let asked = json!({ "representations": [representation("Tag", 1)] });
    assert_eq!(app.query_with(&entities(), asked).await["_entities"][0]["id"], global("Tag", 1));
}

#[tokio::test]
async fn entities_cost_what_nodes_cost() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let mut counted = Counted::of(TestApp::start(database, &[CACHES_OFF]).await).await;
    for times in [1, 11] {
        let keys = || KINDS.into_iter().flat_map(|kind| (1..=times).map(move |key| (kind, key)));
        let ids: Vec<_> = keys().map(|(kind, key)| global(kind, key)).collect();
        let nodes = format!("{{ nodes(ids: {ids:?}) {{ {SHOWN} }} }} {NAMED}");
        let named = keys().zip(&ids).map(|((kind, _), id)| format!("{{ __typename: {kind:?}, id: {id:?} }}"));
        let named = named.collect::<Vec<_>>().join(" ");
        let entities = format!("{{ _entities(representations: [{named}]) {{ {SHOWN} }} }} {NAMED}");
        let cost = counted.statements(&nodes).await;
        assert_eq!(counted.statements(&entities).await, cost, "{times} of each type");
        // One for each type, and one for the authors of posts.
        assert!((KINDS.len()..=KINDS.len() + 1).contains(&cost), "{cost}");
    }
}
