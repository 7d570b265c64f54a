//! The schema: as committed, described throughout, and by the conventions that clients' libraries build on.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Backend, TestApp};

const COMMITTED: &str = include_str!("../../schema.graphql");

const INTROSPECTION: &str =
    "{ __schema { directives { name description args { ...Input } } types { name kind description
    specifiedByURL interfaces { name }
    enumValues(includeDeprecated: true) { name description } inputFields { ...Input }
    fields(includeDeprecated: true) { name description type { ...Type } args { ...Input } } } } }
    fragment Input on __InputValue { name description defaultValue type { ...Type } }
    fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Lists of objects that are no connections: what connections are made of; look-ups by many ids; and the sums of a
/// customer's orders, of which there is one for each currency.
const PLAIN_LISTS: [&str; 3] = ["Query.nodes", "Query._entities", "OrderSummary.totals"];

/// Names that the specification of subgraphs gives.
const OF_GATEWAYS: [&str; 5] = ["_Any", "_Entity", "_Service", "_entities", "_service"];

fn shoal(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shoal")).current_dir(directory).args(arguments).output().unwrap()
}

#[test]
fn the_committed_schema_is_the_binary_s() {
    let printed = shoal(Path::new("/"), &["schema"]);
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).unwrap();
    // The whole of both would fill the screen.
    let differ =
        printed.lines().zip(COMMITTED.lines()).enumerate().find(|(_, (printed, committed))| printed != committed);
    assert_eq!(differ, None, "run `shoal schema > schema.graphql`");
    assert_eq!(printed.len(), COMMITTED.len(), "run `shoal schema > schema.graphql`");
}

#[test]
fn a_drifted_schema_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let check = || shoal(directory.path(), &["schema", "--check"]);
    let missing = check();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("schema.graphql"));

    std::fs::write(directory.path().join("schema.graphql"), COMMITTED).unwrap();
    assert_eq!(check().status.code(), Some(0));

    let drifted = COMMITTED.replacen("body: String!", "body: String", 1);
    assert_ne!(drifted, COMMITTED);
    std::fs::write(directory.path().join("schema.graphql"), drifted).unwrap();
    let noticed = check();
    assert_eq!(noticed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&noticed.stderr).contains("shoal schema > schema.graphql"));
}

#[tokio::test]
async fn everything_is_described_and_named_alike() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let schema = app.query(INTROSPECTION).await["__schema"].take();
    let types: Vec<_> = list(&schema["types"]).iter().filter(|of| !text(&of["name"]).starts_with("__")).collect();
    assert!(types.len() > 40, "{} types", types.len());

    let mut faults = Vec::new();
    for of in &types {
        let name = text(&of["name"]);
        // GraphQL's own scalars are described by its specification.
        if !["ID", "Int", "Float", "String", "Boolean"].contains(&name) {
            describe(of, name, &mut faults);
            if !is_camel(name, char::is_uppercase) {
                faults.push(format!("{name} should be in PascalCase"));
            }
        }
        if text(&of["kind"]) == "SCALAR" && name == "DateTime" && of["specifiedByURL"].is_null() {
            faults.push("DateTime names no specification".to_owned());
        }
        for value in list(&of["enumValues"]) {
            let place = format!("{name}.{}", text(&value["name"]));
            describe(value, &place, &mut faults);
            let screams = |c: char| c.is_ascii_uppercase() || c == '_';
            if !text(&value["name"]).chars().all(screams) {
                faults.push(format!("{place} should be in SCREAMING_CASE"));
            }
        }
        let fields = list(&of["fields"]).iter().chain(list(&of["inputFields"]));
        for field in fields {
            let place = format!("{name}.{}", text(&field["name"]));
            check(field, &place, &mut faults);
            for argument in list(&field["args"]) {
                check(argument, &format!("{place}({})", text(&argument["name"])), &mut faults);
            }
        }
    }
    for directive in list(&schema["directives"]) {
        assert!(directive["description"].is_string(), "{directive}");
        // The text of a schema cannot show what introspection would.
        let is_ours = ["cost", "cacheControl"].contains(&text(&directive["name"]));
        assert!(!is_ours || list(&directive["args"]).iter().all(|of| of["description"].is_null()), "{directive}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let money = named(&types, "Money");
    assert_eq!(written(&field(money, "amount")["type"]), "String!");
    assert_eq!(written(&field(money, "currencyCode")["type"]), "String!");
}

#[tokio::test]
async fn lists_and_objects_are_as_relay_wants_them() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let schema = app.query(INTROSPECTION).await["__schema"].take();
    let types: Vec<_> = list(&schema["types"]).iter().filter(|of| !text(&of["name"]).starts_with("__")).collect();

    // https://relay.dev/graphql/connections.htm
    let info = named(&types, "PageInfo");
    for (name, kind) in [
        ("hasNextPage", "Boolean!"),
        ("hasPreviousPage", "Boolean!"),
        ("startCursor", "String"),
        ("endCursor", "String"),
    ] {
        assert_eq!(written(&field(info, name)["type"]), kind, "PageInfo.{name}");
    }
    let mut records = Vec::new();
    for connection in types.iter().filter(|of| text(&of["name"]).ends_with("Connection")) {
        let record = text(&connection["name"]).trim_end_matches("Connection");
        for (name, kind) in [
            ("pageInfo", "PageInfo!".to_owned()),
            ("edges", format!("[{record}Edge!]!")),
            ("nodes", format!("[{record}!]!")),
            ("totalCount", "Int!".to_owned()),
            ("totalCountExact", "Boolean!".to_owned()),
        ] {
            assert_eq!(written(&field(connection, name)["type"]), kind, "{record}Connection.{name}");
        }
        let edge = named(&types, &format!("{record}Edge"));
        assert_eq!(written(&field(edge, "node")["type"]), format!("{record}!"));
        assert_eq!(written(&field(edge, "cursor")["type"]), "String!");
        records.push(record);
    }
    assert_eq!(records.len(), 8, "{records:?}");

    // https://relay.dev/graphql/objectidentification.htm
    let query = named(&types, "Query");
    assert_eq!(written(&field(named(&types, "Node"), "id")["type"]), "ID!");
    assert_eq!(written(&field(query, "node")["type"]), "Node");
    assert_eq!(written(&field(query, "nodes")["type"]), "[Node]!");
    for record in records {
        let record = named(&types, record);
        assert!(list(&record["interfaces"]).iter().any(|interface| interface["name"] == "Node"), "{record}");
        assert_eq!(written(&field(record, "id")["type"]), "ID!");
    }

    let mut connections = 0;
    for of in &types {
        for field in list(&of["fields"]) {
            let (name, kind) = (text(&of["name"]), written(&field["type"]));
            let place = format!("{name}.{}", text(&field["name"]));
            if kind.ends_with("Connection!") {
                connections += 1;
                let arguments: Vec<_> =
                    list(&field["args"]).iter().map(|argument| (text(&argument["name"]), &argument["type"])).collect();
                let expected = [("first", "Int"), ("after", "String"), ("last", "Int"), ("before", "String")];
                let paging: Vec<_> = arguments.iter().take(4).map(|(name, kind)| (*name, written(kind))).collect();
                assert_eq!(paging, expected.map(|(name, kind)| (name, kind.to_owned())), "{place}");
                for (name, kind) in &arguments[4..] {
                    let end = match *name {
                        "filter" => "Filter",
                        "orderBy" => "Order",
                        other => panic!("{place} has an argument {other}"),
                    };
                    assert!(written(kind).ends_with(end), "{place}({name}) can be left out: {}", written(kind));
                }
            } else if kind.contains('[') && is_object(&types, &kind) {
                let of_connection = name.ends_with("Connection") && ["edges", "nodes"].contains(&text(&field["name"]));
                let few = place.ends_with("Payload.userErrors");
                assert!(
                    of_connection || few || PLAIN_LISTS.contains(&place.as_str()),
                    "{place} should be a connection"
                );
            }
        }
    }
    assert!(connections >= 15, "{connections} lists");
}

/// What every field, argument and field of an input must be.
fn check(item: &Value, place: &str, faults: &mut Vec<String>) {
    describe(item, place, faults);
    if !is_camel(text(&item["name"]), char::is_lowercase) {
        faults.push(format!("{place} should be in camelCase"));
    }
    if written(&item["type"]).contains("Float") {
        faults.push(format!("{place} is a float"));
    }
}

/// A sentence, that is.
fn describe(item: &Value, place: &str, faults: &mut Vec<String>) {
    let description = item["description"].as_str().unwrap_or_default();
    let begins_well = description.starts_with(|c: char| c.is_uppercase());
    if !begins_well || !description.trim_end().ends_with('.') {
        faults.push(format!("{place} is not described by a sentence: {description:?}"));
    }
}

fn is_camel(name: &str, first: impl Fn(char) -> bool) -> bool {
    OF_GATEWAYS.contains(&name) || name.starts_with(first) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_object(types: &[&Value], written: &str) -> bool {
    let name = written.trim_matches(['[', ']', '!']);
    matches!(text(&named(types, name)["kind"]), "OBJECT" | "INTERFACE" | "UNION")
}

fn named<'a>(types: &[&'a Value], name: &str) -> &'a Value {
    types.iter().find(|of| of["name"] == name).unwrap_or_else(|| panic!("there is no type {name}"))
}

fn field<'a>(of: &'a Value, name: &str) -> &'a Value {
    let found = list(&of["fields"]).iter().find(|field| field["name"] == name);
    found.unwrap_or_else(|| panic!("{} has no field {name}", of["name"]))
}

/// A type as it is written.
fn written(of: &Value) -> String {
    match text(&of["kind"]) {
        "NON_NULL" => format!("{}!", written(&of["ofType"])),
        "LIST" => format!("[{}]", written(&of["ofType"])),
        _ => text(&of["name"]).to_owned(),
    }
}

/// The elements of a list; none of null.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
