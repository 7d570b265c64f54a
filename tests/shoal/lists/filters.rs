//! The filters that lists are tried with.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::graph::Graph;
use crate::model::global;

/// Filters of an input type; between them they name each of its fields.
pub fn filters(graph: &Graph, kind: Option<&str>) -> Vec<Value> {
    let Some(kind) = kind else { return vec![Value::Null] };
    let filters = cases(kind);
    let named: BTreeSet<_> = filters
        .iter()
        .flat_map(|filter| filter.as_object().into_iter().flat_map(|fields| fields.keys().cloned()))
        .collect();
    let fields: BTreeSet<_> = graph.input_fields(kind).into_iter().map(|field| field.name).collect();
    assert_eq!(named, fields, "the cases of {kind} do not name each of its fields");
    filters
}

/// Times of the demo data and between the microseconds of what was added to it.
fn spans() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "from": null, "until": null }),
        json!({ "from": "2020-01-01T00:00:00Z" }),
        json!({ "until": "2020-02-02T02:02:02.000002Z" }),
        json!({ "from": "2020-02-02T02:02:02.000001Z", "until": "2020-02-02T02:02:02.000002+00:00" }),
        json!({ "from": "2020-03-03T00:00:00.000001Z", "until": "2021-01-01t01:00:00.000002+01:00" }),
        json!({ "from": "2018-05-01T00:00:00-00:00", "until": "2018-05-02T00:00:00Z" }),
        json!({ "from": "2021-01-01T00:00:00Z", "until": "2020-01-01T00:00:00Z" }),
        json!({ "from": "0000-01-01T00:00:00Z", "until": "9999-12-31T23:59:59.999999Z" }),
    ]
}

fn prefixes() -> [&'static str; 11] {
    ["", "member 8", "z", "Z", "-", "1", "Ü", "😀", "�", "can't \"", "%"]
}

fn each(name: &str, values: impl IntoIterator<Item = impl Into<Value>>) -> Vec<Value> {
    values.into_iter().map(|value| json!({ name: value.into() })).collect()
}

/// Each of one with each of another.
fn both(some: &[Value], others: &[Value]) -> Vec<Value> {
    let merge = |(one, other): (&Value, &Value)| {
        let mut merged = one.as_object().unwrap().clone();
        merged.extend(other.as_object().unwrap().clone());
        Value::from(merged)
    };
    some.iter().flat_map(|one| others.iter().map(move |other| (one, other))).map(merge).collect()
}

fn cases(kind: &str) -> Vec<Value> {
    let posts = || each("status", ["DRAFT", "PUBLISHED", "ARCHIVED"]);
    let orders = || each("status", ["PENDING", "PAID", "SHIPPED", "DELIVERED", "CANCELLED"]);
    let users = |name| each(name, [1, 237, 240, 999_999].map(|key| global("User", key)));
    let mut cases = vec![Value::Null, json!({})];
    match kind {
        "UserFilter" => {
            let roles = each("role", ["CUSTOMER", "AUTHOR", "MODERATOR", "ADMIN"]);
            let mails = ["", "U1", "zo", "ZOË", "Écol", "éCOL", "100%", "q\"O't%_", "z_"];
            cases.extend(both(&roles[..1], &each("namePrefix", ["a"])));
            cases.extend(both(&each("emailPrefix", ["a"]), &each("namePrefix", ["a"])));
            cases.extend(both(&roles[..1], &each("emailPrefix", ["a"])));
            cases.extend([roles, each("namePrefix", prefixes()), each("emailPrefix", mails)].concat());
            cases.push(json!({ "role": null, "namePrefix": null, "emailPrefix": null }));
        }
        "PostFilter" => {
            let tags = each("tagId", [38, 1, 46, 999_999].map(|key| global("Tag", key)));
            let authors = users("authorId");
            let spans = each("publishedAt", spans());
            cases.extend(both(&tags, &authors[..2]));
            cases.extend(both(&both(&tags[..1], &authors[..1]), &both(&posts(), &spans[2..4])));
            cases.extend(both(&authors[..2], &posts()));
            cases.extend(both(&tags[..2], &posts()));
            cases.extend(both(&authors[..1], &spans[2..5]));
            cases.extend(both(&tags[..1], &spans[2..5]));
            cases.extend(both(&posts(), &spans[..3]));
            cases.extend([posts(), tags, authors, spans].concat());
            cases.push(json!({ "authorId": null, "tagId": null, "publishedAt": null }));
        }
        "RelatedPostFilter" => {
            cases.extend(both(&posts(), &each("publishedAt", spans())[2..5]));
            cases.extend([posts(), each("publishedAt", spans())].concat());
        }
        "CommentFilter" => {
            let posts = each("postId", [306, 1, 999_999].map(|key| global("Post", key)));
            let authors = users("authorId");
            let spans = each("createdAt", spans());
            cases.extend(both(&posts[..1], &authors));
            cases.extend(both(&posts[..1], &spans[3..6]));
            cases.extend(both(&authors[1..2], &spans[3..6]));
            cases.extend([posts, authors, spans].concat());
            cases.push(json!({ "authorId": null, "postId": null, "createdAt": null }));
        }
        "RelatedCommentFilter" => cases.extend(each("createdAt", spans())),
        "OrderFilter" => {
            let (users, spans) = (users("userId"), each("createdAt", spans()));
            cases.extend(both(&users[..2], &orders()));
            cases.extend(both(&both(&users[1..2], &orders()[1..2]), &spans[5..8]));
            cases.extend(both(&orders()[..2], &spans[5..8]));
            cases.extend(both(&users[1..2], &spans[5..8]));
            cases.extend([orders(), users, spans].concat());
            cases.push(json!({ "userId": null, "status": null, "createdAt": null }));
        }
        "RelatedOrderFilter" => {
            cases.extend(both(&orders()[..2], &each("createdAt", spans())[5..8]));
            cases.extend([orders(), each("createdAt", spans())].concat());
        }
        "ProductFilter" => {
            let active = each("active", [json!(true), json!(false), json!(null)]);
            let range = |min: Value, max: Value| json!({ "minCents": min, "maxCents": max });
            let ranges = [
                json!({}),
                range(json!(null), json!(null)),
                range(json!(119), json!(null)),
                range(json!(null), json!(150)),
                range(json!(119), json!(119)),
                range(json!(200), json!(100)),
                range(json!(-5), json!(2_147_483_647)),
            ];
            let searches = [
                "café",
                "CAFÉ",
                "100%",
                "%_",
                "n 100%_",
                "  MILK ",
                "größe\"",
                "\"GRÖ",
                "off",
                "e OR f",
                "caf*",
                "a\" b",
            ];
            let (ranges, searches) = (each("price", ranges), each("search", searches));
            // Below three characters no index serves: see bad_input.
            let searches: Vec<_> = searches
                .into_iter()
                .filter(|case| case["search"].as_str().unwrap().trim().chars().count() > 2)
                .collect();
            cases.extend(both(&active, &ranges));
            cases.extend(both(&active, &searches[..4]));
            cases.extend(both(&both(&active, &ranges[2..4]), &searches[..2]));
            cases.extend([active, ranges, searches].concat());
            cases.push(json!({ "price": null, "search": null }));
        }
        "JobFilter" => {
            let kinds = each("kind", ["retention", "mail"]);
            let states = each("state", ["QUEUED", "RUNNING", "DONE", "DEAD", "CANCELLED"]);
            cases.extend(both(&kinds, &states));
            cases.extend([kinds, states].concat());
            cases.push(json!({ "kind": null, "state": null }));
        }
        "TagFilter" => {
            cases.extend(each("namePrefix", prefixes()));
            cases.push(json!({ "namePrefix": null }));
        }
        _ => panic!("the filters of {kind} are not known: name some"),
    }
    cases
}
