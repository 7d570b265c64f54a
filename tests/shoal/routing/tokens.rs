//! What clients carry from one request to the next.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Backend, Database, TestApp};

crate::on_both!(a_write_gives_a_token, a_token_that_is_none_is_replaced, a_browser_keeps_it_by_itself);

const READ: &str = "{ viewer { role } posts(first: 1) { nodes { id } } }";

fn write(name: &str) -> Value {
    let query = "mutation ($name: String!) { updateUser(input: { id: \"VXNlcjox\", name: $name }) { user { name } } }";
    json!({ "query": query, "variables": { "name": name } })
}

async fn a_write_gives_a_token(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let read = json!({ "query": READ });
    assert_eq!(app.ask_as(None, &read, &[]).await.token, None, "who has done nothing needs none");
    let token = app.ask_as(None, &write("A"), &[]).await.token.unwrap();
    assert!(token.len() == 43 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    assert_eq!(app.ask_as(Some(&token), &read, &[]).await.token, None, "it is still good");
    let next = app.ask_as(Some(&token), &write("B"), &[]).await.token.unwrap();
    assert_ne!(next, token);
    // What was refused has changed nothing.
    assert_eq!(app.ask_as(None, &write(""), &[]).await.token, None);
}

async fn a_token_that_is_none_is_replaced(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let other = TestApp::demo(backend).await;
    let read = json!({ "query": READ });
    let ours = app.ask_as(None, &write("A"), &[]).await.token.unwrap();
    let theirs = other.ask_as(None, &write("A"), &[]).await.token.unwrap();
    let mut forged = ours.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for bad in ["", "x", &"A".repeat(43), &"A".repeat(4000), "%00", &theirs, &forged] {
        let answer = app.ask_as(Some(bad), &read, &[]).await;
        assert_eq!(answer.json.get("errors"), None, "{bad}: {}", answer.json);
        let new = answer.token.unwrap_or_else(|| panic!("no other for {bad}"));
        assert_eq!(app.ask_as(Some(&new), &read, &[]).await.token, None, "the new one is good");
    }
    // Seven that were none, and as many that were given for them.
    assert_eq!(app.metric("shoal_tokens_total", "outcome=\"not_ours\"").await, 7.0);
    assert_eq!(app.metric("shoal_tokens_total", "outcome=\"honoured\"").await, 7.0);
    assert!(!app.log().contains(&ours) && !app.log().contains(&forged));
}

async fn a_browser_keeps_it_by_itself(backend: Backend) {
    let app = TestApp::demo(backend).await;
    let client = reqwest::Client::new();
    let send = |body: Value| client.post(app.at("/graphql")).json(&body);
    let response = send(write("A")).send().await.unwrap();
    assert_eq!(response.headers()["vary"], "accept, accept-encoding, authorization, cookie, shoal-token");
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    assert_eq!(pair.strip_prefix("shoal-token="), response.headers()["shoal-token"].to_str().ok());
    let again = send(json!({ "query": READ })).header("cookie", format!("a=b; {pair}; c")).send().await.unwrap();
    assert!(!again.headers().contains_key("shoal-token") && !again.headers().contains_key("set-cookie"));
}

/// Instances that were given a key understand each other, and those with the next key understand them too.
#[tokio::test]
async fn keys_are_given_and_changed() {
    let database = Arc::new(Database::demo(Backend::Postgres).await);
    let old = TestApp::start(database.clone(), &[("SHOAL_TOKEN__KEY", "the old key")]).await;
    let settings = [("SHOAL_TOKEN__KEY", "the new key"), ("SHOAL_TOKEN__PREVIOUS_KEY", "the old key")];
    let new = TestApp::start(database.clone(), &settings).await;
    let (kept, also_kept) = (TestApp::start(database.clone(), &[]).await, TestApp::start(database.clone(), &[]).await);
    let read = json!({ "query": READ });
    let of_old = old.ask_as(None, &write("A"), &[]).await.token.unwrap();
    assert_eq!(new.ask_as(Some(&of_old), &read, &[]).await.token, None);
    let of_new = new.ask_as(Some(&of_old), &write("B"), &[]).await.token.unwrap();
    assert!(old.ask_as(Some(&of_new), &read, &[]).await.token.is_some_and(|token| token != of_new));
    let of_kept = kept.ask_as(None, &write("C"), &[]).await.token.unwrap();
    assert_eq!(also_kept.ask_as(Some(&of_kept), &read, &[]).await.token, None);
    assert!(old.ask_as(Some(&of_kept), &read, &[]).await.token.is_some());
    for app in [&old, &new, &kept] {
        assert!(!app.log().contains("the old key") && !app.log().contains("the new key"));
    }
}
