//! The caches: what comes from them is what the databases have, whoever wrote it, whatever breaks.

mod cost;
mod feed;
mod lists;
mod redis;
mod truth;

use serde_json::{Value, json};

use crate::support::TestApp;

/// Longer than the bound, which these tests make shorter than it is by default.
const BOUND: [(&str, &str); 1] = [("SHOAL_DATABASE__MAX_STALENESS_MS", "1000")];

/// The user with the key 1: the row, a list and a count of theirs.
const USER: &str = "{ user(id: \"VXNlcjox\") { name posts(first: 3) { totalCount nodes { title } } } }";

/// An answer, and how it came to be.
struct Seen {
    data: Value,
    /// Statements that it cost.
    statements: u64,
    /// Keys that the tiers served, and that they did not.
    near: u64,
    far: u64,
    keys: u64,
}

impl Seen {
    /// Whether the tiers served it all.
    fn is_cached(&self) -> bool {
        self.statements == 0 && self.near + self.far == self.keys
    }

    fn name(&self) -> &str {
        self.data["user"]["name"].as_str().unwrap_or_else(|| panic!("{}", self.data))
    }
}

/// Asks a query that must answer without errors, as whoever has this token.
async fn see(app: &TestApp, token: Option<&str>, query: &str) -> Seen {
    let mut answer = app.ask_as(token, &json!({ "query": query }), &[("shoal-trace", "1")]).await;
    assert_eq!(answer.json.get("errors"), None, "{query}: {}", answer.json);
    let shoal = answer.json["extensions"]["shoal"].take();
    let batches = shoal["batches"].as_array().unwrap();
    let sum = |what: &str| batches.iter().map(|batch| batch[what].as_u64().unwrap()).sum();
    Seen {
        data: answer.json["data"].take(),
        statements: shoal["statements"].as_u64().unwrap(),
        near: sum("near"),
        far: sum("far"),
        keys: sum("keys"),
    }
}

/// Renames that user through the API; the token that shows it.
async fn rename(app: &TestApp, name: &str) -> String {
    let query = "mutation ($name: String!) { updateUser(input: { id: \"VXNlcjox\", name: $name })
        { user { name } userErrors { message } } }";
    let answer = app.ask_as(None, &json!({ "query": query, "variables": { "name": name } }), &[]).await;
    let log = app.log();
    let last: Vec<_> = log.lines().rev().take(20).collect();
    assert_eq!(answer.json["data"]["updateUser"]["user"]["name"], name, "{}\n{}", answer.json, last.join("\n"));
    answer.token.unwrap()
}

/// Asks until the tiers serve it all.
async fn warm(app: &TestApp, query: &str) -> Value {
    let mut data = Value::Null;
    crate::support::eventually("an answer from the caches", async || {
        let seen = see(app, None, query).await;
        data = seen.data.clone();
        seen.is_cached()
    })
    .await;
    data
}
