//! Documents made of the schema, from choices that proptest makes and shrinks, and what each may cost.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use serde_json::Value;

use crate::graph::Graph;
use crate::model::global;

/// How deep fields are nested.
const DEPTH: u32 = 5;
/// How often one field may be asked for: with pages of 100, so that there is no batch above 1,000 keys.
const REPEATS: usize = 9;
/// Rows of nested pages at most, multiplied, where pages are of different sizes.
const ROWS: usize = 1000;

/// The fields that cost a statement, besides lists and objects: bulky columns, aggregates, and a price, whose currency
/// is the order's.
const DEAR: [&str; 6] = [
    "Post.body",
    "Post.commentCount",
    "Product.description",
    "Product.unitsSold",
    "User.orderSummary",
    "OrderItem.unitPrice",
];
/// Values that are objects of the graph, but come with what has them.
const VALUES: [(&str, &str); 5] = [
    ("Money", "amount currencyCode"),
    ("OrderSummary", "count lastOrderAt totals { amount }"),
    ("Viewer", "role user { id }"),
    ("PageInfo", "hasNextPage endCursor"),
    ("_Service", "sdl"),
];

/// What is any object with a global id.
const ANY: [&str; 2] = ["Node", "_Entity"];

/// Filters and orders that an index serves together; all rows of the carousel match each.
const ARGUMENTS: [(&str, &[&str]); 16] = [
    (
        "Query.users",
        &["orderBy: NAME_ASC", "orderBy: EMAIL_DESC", "filter: {role: CUSTOMER}", "filter: {emailPrefix: \"U\"}"],
    ),
    (
        "Query.posts",
        &[
            "orderBy: PUBLISHED_AT_ASC",
            "filter: {status: PUBLISHED}, orderBy: CREATED_AT_ASC",
            "filter: {publishedAt: {from: \"2018-01-01T00:00:00Z\"}}",
        ],
    ),
    ("Query.comments", &["orderBy: CREATED_AT_ASC", "filter: {createdAt: {from: \"2018-01-01T00:00:00Z\"}}"]),
    ("Query.tags", &["orderBy: NAME_DESC", "filter: {namePrefix: \"\"}"]),
    (
        "Query.products",
        &["orderBy: PRICE_DESC", "filter: {active: null}, orderBy: ID_ASC", "filter: {price: {minCents: 0}}"],
    ),
    ("Query.orders", &["orderBy: CREATED_AT_ASC", "filter: {createdAt: {from: \"2000-01-01T00:00:00Z\"}}"]),
    ("Query.jobs", &["orderBy: ID_ASC", "filter: {kind: \"mail\", state: DEAD}"]),
    ("User.posts", &["orderBy: CREATED_AT_ASC", "filter: {status: PUBLISHED}"]),
    ("User.comments", &["orderBy: CREATED_AT_ASC", "filter: {createdAt: {from: \"2000-01-01T00:00:00Z\"}}"]),
    ("User.orders", &["orderBy: CREATED_AT_ASC", "filter: {createdAt: {from: \"2000-01-01T00:00:00Z\"}}"]),
    ("Post.comments", &["orderBy: CREATED_AT_ASC", "filter: {createdAt: {from: \"2000-01-01T00:00:00Z\"}}"]),
    ("Post.tags", &["orderBy: ID_DESC"]),
    ("Tag.posts", &["orderBy: ID_ASC", "filter: {publishedAt: {from: \"2000-01-01T00:00:00Z\"}}"]),
    ("Order.items", &["orderBy: ID_DESC"]),
    ("Product.orderItems", &["orderBy: ID_DESC"]),
    ("Product.buyers", &[]),
];

/// A field, and what is chosen of the many forms it can have.
#[derive(Clone, Debug)]
pub struct Choice {
    forms: [u8; 4],
    below: Vec<Choice>,
}

pub fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let leaf = any::<[u8; 4]>().prop_map(|forms| Choice { forms, below: Vec::new() });
    let field = leaf.prop_recursive(DEPTH - 1, 48, 4, |inner| {
        (any::<[u8; 4]>(), prop::collection::vec(inner, 1..4)).prop_map(|(forms, below)| Choice { forms, below })
    });
    prop::collection::vec(field, 1..5)
}

/// How many rows pages have.
#[derive(Clone, Copy)]
pub enum Pages {
    /// From 1 to 100, as chosen.
    Chosen,
    /// All so many; and nothing is asked for twice, unless the one leads to the other. What two branches ask for is asked
    /// in one statement if they happen to ask at the same time, so that the number would depend on who is faster.
    All(usize),
}

/// The types with their fields.
pub struct Schema(HashMap<String, Vec<Field>>);

struct Field {
    name: String,
    /// The type of the rows, of the object, or of the value.
    of: String,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    List,
    Object,
}

/// A document and the most statements it may cost.
pub struct Document {
    pub text: String,
    pub bound: usize,
    pages: Pages,
    aliases: usize,
    repeats: HashMap<String, usize>,
    /// The fields above the one that is being written, by their aliases.
    above: Vec<usize>,
    /// Which fields ask for what.
    asked: HashMap<String, Vec<usize>>,
}

impl Schema {
    pub fn of(graph: &Graph) -> Self {
        let objects: HashSet<_> = graph.fields().map(|(owner, _)| owner).collect();
        let mut types: HashMap<String, Vec<Field>> = HashMap::new();
        for (owner, field) in graph.fields() {
            let name = field["name"].as_str().unwrap().to_owned();
            let kind = bare(&field["type"]);
            let composite = objects.contains(kind.as_str()) || kind == "_Entity";
            let (of, form) = match kind.strip_suffix("Connection") {
                Some(record) => (record.to_owned(), Form::List),
                None if composite && !VALUES.iter().any(|(value, _)| *value == kind) => (kind, Form::Object),
                None => (kind, Form::Plain),
            };
            let place = format!("{owner}.{name}");
            assert!(
                form != Form::List || ARGUMENTS.iter().any(|(list, _)| *list == place),
                "name arguments of {place}"
            );
            types.entry(owner.to_owned()).or_default().push(Field { name, of, form });
        }
        Self(types)
    }

    pub fn document(&self, choices: &[Choice], pages: Pages) -> Document {
        let mut document = Document {
            text: "{ __typename".to_owned(),
            bound: 0,
            pages,
            aliases: 0,
            repeats: HashMap::new(),
            above: Vec::new(),
            asked: HashMap::new(),
        };
        self.select("Query", choices, &mut document, 1);
        document.text += " }";
        document
    }

    fn select(&self, of: &str, choices: &[Choice], document: &mut Document, rows: usize) {
        for choice in choices {
            let field = choice.field(of, &self.0[of]);
            let place = format!("{of}.{}", field.name);
            let found = LookUp::new(field, choice);
            let asked = match field.form {
                Form::List => vec![place.clone()],
                Form::Object if of == "Query" => found.asked.clone(),
                Form::Object => vec![rows_of(&field.of)],
                // The order knows the currency.
                Form::Plain if place == "OrderItem.unitPrice" => vec![rows_of("Order")],
                Form::Plain if DEAR.contains(&place.as_str()) => vec![place.clone()],
                Form::Plain => vec![],
            };
            if !document.ask(&place, &asked) {
                continue;
            }
            document.text += &format!(" a{}: {}", document.aliases, field.name);
            document.above.push(document.aliases);
            match field.form {
                Form::List => self.list(&place, &field.of, choice, document, rows),
                Form::Object if of == "Query" => self.look_up(field, &found, choice, document, rows),
                Form::Object => self.object(&field.of, choice, document, rows),
                Form::Plain => {
                    let fields = VALUES.iter().find(|(value, _)| *value == field.of);
                    document.text += &fields.map(|(_, fields)| format!(" {{ {fields} }}")).unwrap_or_default();
                }
            }
            document.above.pop();
            if field.form != Form::List {
                document.bound += asked.len();
            }
        }
    }

    fn object(&self, of: &str, choice: &Choice, document: &mut Document, rows: usize) {
        document.text += " { id";
        self.select(of, &choice.below, document, rows);
        document.text += " }";
    }

    fn list(&self, place: &str, of: &str, choice: &Choice, document: &mut Document, rows: usize) {
        let [_, arguments, parts, size] = choice.forms.map(usize::from);
        let (_, served) = ARGUMENTS.iter().find(|(list, _)| *list == place).unwrap();
        let arguments = served.get(arguments % (served.len() + 1)).unwrap_or(&"");
        let size = match document.pages {
            Pages::Chosen => (1 + size % 100).min(ROWS / rows).max(1),
            Pages::All(size) => size,
        };
        document.text += &format!("(first: {size} {arguments}) {{ __typename");
        let [count, edges, info, nothing] = [1, 2, 4, 56].map(|bits| parts & bits == bits);
        if count && !nothing {
            document.text += " totalCount totalCountExact";
            document.bound += 1;
        }
        if info && !nothing {
            document.text += " pageInfo { hasNextPage endCursor }";
        }
        if !nothing {
            let (open, close) = if edges { (" edges { cursor node", " }") } else { (" nodes", "") };
            document.text += open;
            self.object(of, choice, document, rows * size);
            document.text += close;
            document.bound += 1;
        }
        document.text += " }";
    }

    /// Writes a field of the root that finds objects by what names them.
    fn look_up(&self, field: &Field, found: &LookUp, choice: &Choice, document: &mut Document, rows: usize) {
        document.text += &format!("({})", found.argument);
        if !ANY.contains(&field.of.as_str()) {
            return self.object(&field.of, choice, document, rows);
        }
        document.text += " { __typename";
        for (nth, of) in found.types.iter().enumerate() {
            document.text += &format!(" ... on {of}");
            let share = choice.below.iter().skip(nth).step_by(found.types.len()).cloned().collect();
            self.object(of, &Choice { below: share, ..choice.clone() }, document, rows);
        }
        document.text += " }";
    }
}

impl Choice {
    /// Mostly one that costs something; of the root every other time a list.
    fn field<'a>(&self, of: &str, fields: &'a [Field]) -> &'a Field {
        let cost = |field: &&Field| match field.form {
            Form::List => true,
            Form::Object => of != "Query" || self.forms[3].is_multiple_of(2),
            Form::Plain => DEAR.contains(&format!("{of}.{}", field.name).as_str()),
        };
        let dear: Vec<_> = fields.iter().filter(cost).collect();
        match usize::from(self.forms[0]) {
            plain if plain < 32 || dear.is_empty() => &fields[plain % fields.len()],
            dearer => dear[dearer % dear.len()],
        }
    }
}

/// What a field of the root looks for.
struct LookUp {
    argument: String,
    types: Vec<&'static str>,
    asked: Vec<String>,
}

impl LookUp {
    fn new(field: &Field, choice: &Choice) -> Self {
        const TYPES: [&str; 8] = ["User", "Post", "Comment", "Tag", "Product", "Order", "OrderItem", "Job"];
        let [_, by, key, many] = choice.forms.map(usize::from);
        let key = 1 + (key % 30) as i64;
        let count = if ["nodes", "_entities"].contains(&field.name.as_str()) { 1 + many % 3 } else { 1 };
        let types: Vec<_> = (0..count).map(|nth| TYPES[(by + nth) % TYPES.len()]).collect();
        let by_name = match field.name.as_str() {
            "user" if by % 2 == 1 => Some(format!("email: \"U{key}@example.invalid\"")),
            "tag" if by % 2 == 1 => Some(format!("name: \"N{key}\"")),
            "productBySku" => Some(format!("sku: \"S{key}\"")),
            _ => None,
        };
        // Rows are asked for by type, whoever asks; those by a unique column apart from those by id.
        let (argument, asked) = match (by_name, field.of.as_str()) {
            (Some(argument), of) => (argument, vec![format!("{of} by name")]),
            (None, "Node" | "_Entity") => {
                let each = || types.iter().flat_map(|of| [(of, global(of, key)), (of, global(of, key + 1))]);
                let ids: Vec<_> = each().map(|(_, id)| id).collect();
                let argument = match field.name.as_str() {
                    "node" => format!("id: {:?}", ids[0]),
                    "nodes" => format!("ids: {ids:?}"),
                    _ => {
                        let named = each().map(|(of, id)| format!("{{__typename: {of:?}, id: {id:?}}}"));
                        format!("representations: [{}]", named.collect::<Vec<_>>().join(", "))
                    }
                };
                (argument, types.iter().map(|of| rows_of(of)).collect())
            }
            (None, of) => (format!("id: {:?}", global(of, key)), vec![rows_of(of)]),
        };
        Self { argument, types, asked }
    }
}

/// A type without brackets and exclamation marks.
fn bare(of: &Value) -> String {
    of["name"].as_str().map_or_else(|| bare(&of["ofType"]), str::to_owned)
}

fn rows_of(of: &str) -> String {
    format!("rows of {of}")
}

impl Document {
    /// Whether a field may be written that asks for this; if so it gets the next alias.
    fn ask(&mut self, place: &str, asked: &[String]) -> bool {
        let elsewhere = asked.iter().any(|asked| {
            let others = self.asked.get(asked).into_iter().flatten();
            others.clone().any(|other| !self.above.contains(other))
        });
        let repeats = self.repeats.entry(place.to_owned()).or_default();
        *repeats += 1;
        if *repeats > REPEATS || elsewhere && matches!(self.pages, Pages::All(_)) {
            return false;
        }
        self.aliases += 1;
        for asked in asked {
            self.asked.entry(asked.clone()).or_default().push(self.aliases);
        }
        true
    }
}
