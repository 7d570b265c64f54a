//! The graph as it describes itself: what there is to test.

use serde_json::{Value, json};

use crate::model::global;
use crate::support::TestApp;

/// The answer to the introspection.
pub struct Graph(Value);

/// A field that is a list.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The type whose field it is.
    pub owner: String,
    pub name: String,
    /// The input type of its filter.
    pub filter: Option<String>,
    /// The enum of its orders, and its values.
    pub order: Option<(String, Vec<String>)>,
}

/// An argument, or a field of an input.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    /// The type as it is written: `[ID!]!`.
    pub written: String,
    /// The type, without brackets and exclamation marks.
    pub kind: String,
}

const INTROSPECTION: &str = "{ __schema { types { name kind enumValues { name }
    inputFields { name type { ...Type } }
    fields { name type { ...Type } args { name type { ...Type } } } } } }
    fragment Type on __Type { name kind ofType { name kind ofType { name kind ofType { name kind } } } }";

impl Graph {
    pub async fn of(app: &TestApp) -> Self {
        Self(app.query(INTROSPECTION).await["__schema"]["types"].take())
    }

    /// Each object type with its fields, but those of the introspection.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        let types = self.0.as_array().unwrap().iter();
        types
            .filter(|of| !text(&of["name"]).starts_with("__"))
            .flat_map(|of| of["fields"].as_array().into_iter().flatten().map(|field| (text(&of["name"]), field)))
    }

    /// The arguments of a field.
    pub fn arguments(field: &Value) -> Vec<Input> {
        inputs(&field["args"])
    }

    /// The fields of an input type; none of another type.
    pub fn input_fields(&self, name: &str) -> Vec<Input> {
        inputs(&self.named(name)["inputFields"])
    }

    /// The values of an enum.
    pub fn values(&self, name: &str) -> Vec<String> {
        let values = self.named(name)["enumValues"].as_array().unwrap().iter();
        values.map(|value| text(&value["name"]).to_owned()).collect()
    }

    /// Every list.
    pub fn connections(&self) -> Vec<Connection> {
        let lists = self.fields().filter(|(_, field)| written(&field["type"]).1.ends_with("Connection"));
        let found: Vec<_> = lists
            .map(|(owner, field)| {
                let arguments = Self::arguments(field);
                let kind = |name| arguments.iter().find(|input| input.name == name).map(|input| input.kind.clone());
                Connection {
                    owner: owner.to_owned(),
                    name: text(&field["name"]).to_owned(),
                    filter: kind("filter"),
                    order: kind("orderBy").map(|name| (name.clone(), self.values(&name))),
                }
            })
            .collect();
        assert_eq!(found.len(), 16, "not all lists were found, or there are more: {found:?}");
        found
    }

    /// The type of the rows of a list.
    pub fn node(&self, list: &Connection) -> String {
        let (_, field) =
            self.fields().find(|(of, field)| *of == list.owner && text(&field["name"]) == list.name).unwrap();
        written(&field["type"]).1.trim_end_matches("Connection").to_owned()
    }

    /// The fields of a type that are values by themselves.
    pub fn leaves(&self, name: &str) -> Vec<String> {
        let is_leaf =
            |field: &Value| ["SCALAR", "ENUM"].contains(&text(&self.named(&written(&field["type"]).1)["kind"]));
        let fields = self.fields().filter(|(of, field)| *of == name && is_leaf(field));
        fields.map(|(_, field)| text(&field["name"]).to_owned()).collect()
    }

    fn named(&self, name: &str) -> &Value {
        self.0.as_array().unwrap().iter().find(|of| of["name"] == name).unwrap()
    }
}

impl Connection {
    /// Each order with a name, and none.
    pub fn orders(&self) -> Vec<Option<&str>> {
        let named = self.order.iter().flat_map(|(_, values)| values.iter().map(|value| Some(value.as_str())));
        std::iter::once(None).chain(named).collect()
    }

    /// A query for `selection`, in which `LIST` stands for this list with the order and filter of the variables.
    ///
    /// Of a list that belongs to objects, it is asked for those of `ids`.
    pub fn query(&self, selection: &str) -> String {
        let mut variables = String::new();
        let mut arguments = String::new();
        if let Some((order, _)) = &self.order {
            variables += &format!("$order: {order} ");
            arguments += "orderBy: $order ";
        }
        if let Some(filter) = &self.filter {
            variables += &format!("$filter: {filter} ");
            arguments += "filter: $filter ";
        }
        let selection = selection.replace("LIST(", &format!("{}({arguments}", self.name));
        match self.owner.as_str() {
            "Query" if variables.is_empty() => format!("{{ {selection} }}"),
            "Query" => format!("query({variables}) {{ {selection} }}"),
            owner => {
                format!("query({variables}$ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {owner} {{ {selection} }} }} }}")
            }
        }
    }

    /// The variables of such a query.
    pub fn variables(&self, order: Option<&str>, filter: &Value, ids: &[i64]) -> Value {
        let ids: Vec<_> = ids.iter().map(|id| global(&self.owner, id)).collect();
        json!({ "order": order, "filter": filter, "ids": ids })
    }
}

fn inputs(list: &Value) -> Vec<Input> {
    let list = list.as_array().into_iter().flatten();
    list.map(|input| {
        let (written, kind) = written(&input["type"]);
        Input { name: text(&input["name"]).to_owned(), written, kind }
    })
    .collect()
}

/// A type as it is written, and its bare name.
fn written(of: &Value) -> (String, String) {
    let inner = || written(&of["ofType"]);
    match text(&of["kind"]) {
        "NON_NULL" => (format!("{}!", inner().0), inner().1),
        "LIST" => (format!("[{}]", inner().0), inner().1),
        _ => (text(&of["name"]).to_owned(), text(&of["name"]).to_owned()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
