//! A shop that is changed by mutations, and remembers which.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::graph::Graph;
use crate::model::global;
use crate::support::{Answer, Backend, TestApp};

/// A server on an empty database.
pub struct Shop {
    pub app: TestApp,
    /// Mutations that have done something.
    done: BTreeSet<String>,
    /// Codes that userErrors had.
    codes: BTreeSet<String>,
}

impl Shop {
    pub async fn open(backend: Backend) -> Self {
        Self { app: TestApp::empty(backend).await, done: BTreeSet::new(), codes: BTreeSet::new() }
    }

    /// Does a mutation that must succeed; what its payload shows of `selection`.
    pub async fn done(&mut self, name: &str, input: Value, selection: &str) -> Value {
        let mut answer = self.ask(name, &input, selection).await;
        assert_eq!(answer.json.get("errors"), None, "{name} {input}: {}", answer.json);
        let payload = answer.json["data"][name].take();
        assert_eq!(payload["userErrors"], json!([]), "{name} {input}");
        self.done.insert(name.to_owned());
        payload
    }

    /// The same; the id of the object that was made.
    pub async fn made(&mut self, name: &str, object: &str, input: Value) -> String {
        let payload = self.done(name, input, &format!("{object} {{ id }}")).await;
        payload[object]["id"].as_str().unwrap().to_owned()
    }

    /// Asks for a mutation that must not be done; where its input is wrong, and how: `items.0.quantity OUT_OF_RANGE`.
    pub async fn refused(&mut self, name: &str, input: Value) -> Vec<String> {
        self.refused_with(name, input, "__typename").await.0
    }

    /// The same, and what its payload shows.
    pub async fn refused_with(&mut self, name: &str, input: Value, selection: &str) -> (Vec<String>, Value) {
        let mut answer = self.ask(name, &input, selection).await;
        assert_eq!(answer.json.get("errors"), None, "{name} {input}: {}", answer.json);
        let payload = answer.json["data"][name].take();
        let errors = payload["userErrors"].as_array().unwrap().iter();
        let wrong: Vec<_> = errors
            .map(|error| {
                let field: Vec<_> =
                    error["field"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
                let code = error["code"].as_str().unwrap();
                self.codes.insert(code.to_owned());
                assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
                format!("{} {code}", field.join("."))
            })
            .collect();
        assert!(!wrong.is_empty(), "{name} {input} was done: {payload}");
        (wrong, payload)
    }

    /// Asks for a mutation that must fail: the code of its error. The field is null, and nothing else.
    pub async fn failed(&self, name: &str, input: Value) -> String {
        let answer = self.ask(name, &input, "__typename").await;
        assert_eq!(answer.json["data"], json!({ name: null }), "{name} {input}: {}", answer.json);
        assert_eq!(answer.json["errors"][0]["path"], json!([name]));
        answer.refusal().0
    }

    pub async fn ask(&self, name: &str, input: &Value, selection: &str) -> Answer {
        self.app.ask(&json!({ "query": mutation(name, selection), "variables": { "input": input } })).await
    }

    /// Asserts that each mutation has been done, and each code been given.
    pub async fn nothing_left_out(&self) {
        let graph = Graph::of(&self.app).await;
        let mutations = graph.fields().filter(|(of, _)| *of == "Mutation");
        let mutations: BTreeSet<_> = mutations.map(|(_, field)| field["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(self.done, mutations);
        let codes: BTreeSet<_> = graph.values("UserErrorCode").into_iter().collect();
        assert_eq!(self.codes, codes);
    }
}

/// The global id of an object.
pub fn object(kind: &str, key: i64) -> Value {
    json!(global(kind, key))
}

/// The document of a mutation, with its input as `$input`.
pub fn mutation(name: &str, selection: &str) -> String {
    let (first, rest) = name.split_at(1);
    let input = format!("{}{rest}Input", first.to_uppercase());
    format!(
        "mutation($input: {input}!) {{ {name}(input: $input) {{ {selection} userErrors {{ field code message }} }} }}"
    )
}
