//! Cursors that no list gave out, or another.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{quoted, refused, send, tame, unharmed};
use crate::graph::{Connection, Graph};
use crate::model::parts;
use crate::support::{Backend, TestApp};

crate::on_both!(cursors_of_nothing);

/// What is in a cursor, as far as an attacker can tell: the format is no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Time(i64),
}

type Content = (u32, Vec<Scalar>);

/// A list in an order, and a cursor that it gave out.
struct Given {
    list: Connection,
    order: Option<String>,
    cursor: String,
}

async fn cursors_of_nothing(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let mut given = Vec::new();
    for list in Graph::of(&app).await.connections() {
        for order in list.orders() {
            // Posts by id only with a tag.
            if list.owner == "Query" && list.name == "posts" && order.is_some_and(|order| order.starts_with("ID")) {
                continue;
            }
            let query = list.query("LIST(first: 2) { pageInfo { startCursor } }");
            let data = app.query_with(&query, list.variables(order, &Value::Null, &[1])).await;
            let owner = if list.owner == "Query" { &data } else { &data["nodes"][0] };
            let cursor = owner[&list.name]["pageInfo"]["startCursor"].as_str();
            // The first of each is in the demo data, and has all lists but these.
            if let Some(cursor) = cursor {
                given.push(Given { list: list.clone(), order: order.map(str::to_owned), cursor: cursor.to_owned() });
            }
        }
    }
    assert!(given.len() > 30, "only {} lists gave a cursor", given.len());

    for (number, Given { list, order, cursor }) in given.iter().enumerate() {
        let query = |side: &str| {
            let query = list.query(&format!("LIST({side}: $x) {{ nodes {{ id }} }}"));
            if query.starts_with('{') {
                format!("query($x: String) {query}")
            } else {
                query.replacen("query(", "query($x: String ", 1)
            }
        };
        let variables = list.variables(order.as_deref(), &Value::Null, &[1]);
        let variables: Vec<_> =
            variables.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
        let ask = async |side: &str, cursor: &str| {
            let mut variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let cursor = quoted(cursor);
            variables.push(("x", &cursor));
            send(&app, &query(side), &variables).await
        };
        let name = format!("{}.{} {order:?}", list.owner, list.name);

        // Of another list, another order, the other direction.
        let own = content(cursor).0;
        let others = given.iter().cycle().skip(number).take(given.len());
        for other in others.filter(|other| content(&other.cursor).0 != own).step_by(7) {
            check(&ask("after", &other.cursor).await, "after", &format!("{name} with one of {:?}", other.order));
        }
        let first_order = list.orders().len() > 1;
        let reversed = given.iter().filter(|other| {
            other.list.owner == list.owner && other.list.name == list.name && content(&other.cursor).0 != own
        });
        let reversed: Vec<_> = reversed.collect();
        assert_eq!(!reversed.is_empty(), first_order, "{name}");
        for other in reversed {
            check(&ask("before", &other.cursor).await, "before", &format!("{name} with one of {:?}", other.order));
        }

        // In one order of each list: how a cursor is read does not depend on it.
        let is_first =
            given[..number].iter().all(|other| (&other.list.owner, &other.list.name) != (&list.owner, &list.name));
        for (number, (what, wrong)) in spoilt(cursor).into_iter().filter(|_| is_first).enumerate() {
            let side = if number % 2 == 0 { "after" } else { "before" };
            check(&ask(side, &wrong).await, side, &format!("{name} with {what}"));
        }
        for extreme in extremes(cursor) {
            let asked = format!("{name} with {:?}", content(&extreme));
            tame(&ask("after", &extreme).await, &asked);
            tame(&ask("before", &extreme).await, &asked);
        }
        unharmed(&app, &name).await;
    }
}

fn check(answer: &crate::support::Answer, side: &str, asked: &str) {
    refused(answer, asked);
    let message = format!("{side} is not a cursor of this list and order");
    assert_eq!(answer.json["errors"][0]["message"], message, "{asked}");
}

fn content(cursor: &str) -> Content {
    postcard::from_bytes(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap()
}

fn cursor(content: &Content) -> String {
    URL_SAFE_NO_PAD.encode(postcard::to_stdvec(content).unwrap())
}

/// Cursors that are none, made from one that is.
fn spoilt(right: &str) -> Vec<(&'static str, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(right).unwrap();
    let (binding, values) = content(right);
    let mut wrong = vec![
        ("nothing", String::new()),
        ("no base64", "?".to_owned()),
        ("an id", "VXNlcjox".to_owned()),
        ("garbage", URL_SAFE_NO_PAD.encode("garbage")),
        ("random bytes", URL_SAFE_NO_PAD.encode((0..64_u8).map(|byte| byte.wrapping_mul(181)).collect::<Vec<_>>())),
        ("padding", format!("{right}=")),
        ("a space", format!("{right} ")),
        ("NUL", format!("{right}\0")),
        ("an extra byte", URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat())),
        ("itself twice", URL_SAFE_NO_PAD.encode([&bytes[..], &bytes].concat())),
        ("another binding", cursor(&(binding ^ 1, values.clone()))),
        ("no binding", cursor(&(0, values.clone()))),
        ("no values", cursor(&(binding, Vec::new()))),
        ("one value less", cursor(&(binding, values[1..].to_vec()))),
        ("one value more", cursor(&(binding, [&values[..], &values[..1]].concat()))),
        ("many values", cursor(&(binding, values.iter().cycle().take(10_000).cloned().collect()))),
        // A length of 2^64 - 1, and none of what it promises.
        (
            "a huge length",
            URL_SAFE_NO_PAD.encode([&postcard::to_stdvec(&binding).unwrap()[..], &[0xff; 9], &[1]].concat()),
        ),
        ("a huge text", cursor(&(binding, vec![Scalar::Text("x".repeat(100_000)); values.len() + 1]))),
        ("a number that does not end", URL_SAFE_NO_PAD.encode([0xff; 32])),
    ];
    if !bytes.len().is_multiple_of(3) {
        wrong.push(("padding as it was once", STANDARD.encode(&bytes)));
    }
    wrong.extend((0..bytes.len()).map(|length| ("its beginning", URL_SAFE_NO_PAD.encode(&bytes[..length]))));
    let others = [Scalar::Null, Scalar::Bool(true), Scalar::Int(1), Scalar::Text("1".into()), Scalar::Time(1)];
    for (place, value) in values.iter().enumerate() {
        let with = |other: Scalar| {
            let mut values = values.clone();
            values[place] = other;
            cursor(&(binding, values))
        };
        let is_other = |other: &&Scalar| std::mem::discriminant(*other) != std::mem::discriminant(value);
        wrong.extend(others.iter().filter(is_other).map(|other| ("another type", with(other.clone()))));
        match value {
            Scalar::Text(_) => wrong.push(("NUL in its text", with(Scalar::Text("a\0".into())))),
            // Before the times that PostgreSQL knows, and beyond those that chrono knows.
            Scalar::Time(_) => {
                wrong.extend(
                    [i64::MIN, i64::MAX, -210_866_803_200_000_001].map(|time| ("no time", with(Scalar::Time(time)))),
                );
            }
            _ => {}
        }
    }
    wrong
}

/// Cursors of rows that nobody has, but that could be.
fn extremes(right: &str) -> Vec<String> {
    let (binding, values) = content(right);
    let extreme = |lowest: bool| {
        let values = values.iter().map(|value| match value {
            Scalar::Int(_) => Scalar::Int(if lowest { i64::MIN } else { i64::MAX }),
            Scalar::Time(_) => Scalar::Time(if lowest { -200_000_000_000_000_000 } else { 8_000_000_000_000_000_000 }),
            Scalar::Text(_) if lowest => Scalar::Text(String::new()),
            Scalar::Text(_) => Scalar::Text("\u{10ffff}".repeat(1000)),
            other => other.clone(),
        });
        cursor(&(binding, values.collect()))
    };
    vec![extreme(true), extreme(false)]
}

/// The test reads cursors as the product writes them.
#[tokio::test]
async fn a_cursor_holds_its_row() {
    let app = TestApp::demo(Backend::Sqlite).await;
    let page = app.query("{ users(first: 1, orderBy: NAME_ASC) { edges { cursor node { id name } } } }").await;
    let edge = &page["users"]["edges"][0];
    let (_, values) = content(edge["cursor"].as_str().unwrap());
    let id = parts(edge["node"]["id"].as_str().unwrap()).1;
    let [Scalar::Text(name), Scalar::Int(key)] = &values[..] else { panic!("{values:?}") };
    assert_eq!((json!(name), *key), (edge["node"]["name"].clone(), id));
}
