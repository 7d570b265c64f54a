//! Everything that can be given, given wrong: each argument of each field, each cursor, id and body.
//!
//! The shorter `bad_input` shows what is refused; here nothing is left out.

mod arguments;
mod bodies;
mod cursors;
mod documents;
mod ids;
mod limits;
mod mutations;
mod paths;

use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

/// Codes of what is the client's fault.
const CODES: [&str; 13] = [
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "NOT_FOUND",
    "CONFLICT",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "OPERATION_RESOLUTION_FAILURE",
    "QUERY_TOO_LARGE",
    "QUERY_TOO_COMPLEX",
    "INTROSPECTION_DISABLED",
    "BATCH_TOO_LARGE",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
];

/// Words of the inside, which no client should read.
const INSIDE: [&str; 12] = [
    "internal error",
    "panicked",
    "sqlx",
    "sea_orm",
    "SqlxError",
    "DbErr",
    "postgres",
    "sqlite",
    "select ",
    " from \"",
    ".rs:",
    "/src/",
];

/// Asserts that an answer is one that a client can do something with: data, or the client's own fault.
///
/// `asked` says what was asked; the body may be too long to show.
fn tame(answer: &Answer, asked: &str) {
    let mut shown = answer.json.to_string();
    shown.truncate(shown.floor_char_boundary(2000));
    assert!(matches!(answer.status, 200 | 400 | 413 | 415), "{asked}: {} {shown}", answer.status);
    let Some(errors) = answer.json.get("errors") else {
        assert!(answer.status == 200 && !answer.json["data"].is_null(), "{asked}: neither data nor errors: {shown}");
        return;
    };
    for error in errors.as_array().unwrap() {
        let code = error["extensions"]["code"].as_str().unwrap();
        assert!(CODES.contains(&code), "{asked}: {shown}");
        assert_eq!(error["extensions"]["requestId"], answer.request_id, "{asked}: {shown}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty(), "{asked}: {shown}");
        for word in INSIDE {
            assert!(!message.contains(word), "{asked}: {word} in {message}");
        }
    }
}

/// Asserts that an answer is a refusal.
fn refused(answer: &Answer, asked: &str) {
    tame(answer, asked);
    let mut shown = answer.json.to_string();
    shown.truncate(shown.floor_char_boundary(2000));
    assert!(answer.json["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{asked}: {shown}");
}

/// Asserts that the server goes on, and has met nothing that it calls a failure of its own.
async fn unharmed(app: &TestApp, asked: &str) {
    assert_eq!(
        app.query("{ viewer { role } tags(first: 1) { totalCount } }").await["viewer"]["role"],
        "ADMIN",
        "{asked}"
    );
    let log = app.log();
    let failure = log.lines().find(|line| line.contains("panicked") || line.contains("ERROR"));
    assert_eq!(failure, None, "{asked}");
}

/// A body whose variables are JSON as it is written, so that they can be what no value is.
fn body(query: &str, variables: &[(&str, &str)]) -> String {
    let variables: Vec<_> = variables.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
    format!("{{\"query\": {}, \"variables\": {{{}}}}}", json!(query), variables.join(", "))
}

async fn send(app: &TestApp, query: &str, variables: &[(&str, &str)]) -> Answer {
    app.send("application/json", body(query, variables)).await
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
