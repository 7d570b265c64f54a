//! Documents that requests only name.

use std::sync::Arc;

use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Answer, JSON};
use crate::support::{Backend, Database, TestApp};

crate::on_both!(
    a_document_is_sent_once,
    what_is_no_document_is_not_kept,
    batches_and_streams_name_documents,
    a_manifest_decides
);

const USER: &str = "query User($id: ID!) { user(id: $id) { id } }";
const ID: &str = "VXNlcjox";

fn hash(document: &str) -> String {
    Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named(document: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(document) } })
}

async fn post(app: &TestApp, body: &Value) -> Answer {
    Answer::of(Client::new().post(app.at("/graphql")).header("accept", "application/json").json(body)).await
}

async fn get(app: &TestApp, params: &[(&str, String)]) -> Answer {
    let url = reqwest::Url::parse_with_params(&app.at("/graphql"), params).unwrap();
    Answer::of(Client::new().get(url)).await
}

/// A server that shares its documents with nobody but those of the same name, in this run of the tests.
async fn app(database: &Arc<Database>, namespace: &str, settings: &[(&str, &str)]) -> TestApp {
    let namespace = format!("{namespace} {}", std::process::id());
    let settings: Vec<_> = settings.iter().copied().chain([("SHOAL_CACHE__NAMESPACE", namespace.as_str())]).collect();
    TestApp::start(database.clone(), &settings).await
}

fn shown(answer: &Answer) -> Value {
    answer.json()["data"]["user"]["id"].clone()
}

async fn a_document_is_sent_once(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let first = app(&database, "sent once", &[]).await;
    let by_name = json!({ "extensions": named(USER), "variables": { "id": ID } });
    let unknown = post(&first, &by_name).await;
    assert_eq!((unknown.status, unknown.header("content-type")), (200, JSON));
    assert_eq!(unknown.json()["errors"][0]["message"], "PersistedQueryNotFound");
    assert_eq!(unknown.code(), "PERSISTED_QUERY_NOT_FOUND");
    let in_url = [("extensions", named(USER).to_string()), ("variables", json!({ "id": ID }).to_string())];
    assert_eq!(get(&first, &in_url).await.code(), "PERSISTED_QUERY_NOT_FOUND");

    let sent = json!({ "query": USER, "extensions": named(USER), "variables": { "id": ID } });
    assert_eq!(shown(&post(&first, &sent).await), ID);
    assert_eq!(shown(&post(&first, &by_name).await), ID);
    assert_eq!(shown(&get(&first, &in_url).await), ID);
    let id = format!("sha256:{}", hash(USER));
    assert_eq!(shown(&post(&first, &json!({ "documentId": id, "variables": { "id": ID } })).await), ID);
    let in_url = [("documentId", id), ("variables", json!({ "id": ID }).to_string())];
    assert_eq!(shown(&get(&first, &in_url).await), ID);

    let other = json!({ "query": "{ users { nodes { id } } }", "extensions": named(USER) });
    assert_eq!(post(&first, &other).await.code(), "PERSISTED_QUERY_MISMATCH");
    let malformed = json!({ "extensions": { "persistedQuery": { "version": 2, "sha256Hash": hash(USER) } } });
    let malformed = post(&first, &malformed).await;
    assert_eq!((malformed.status, malformed.code().as_str()), (400, "BAD_REQUEST"));

    if backend == Backend::Postgres {
        // Others know it, too, as soon as Redis does, which may lose it.
        let second = app(&database, "sent once", &[]).await;
        crate::support::eventually("the other to know it", async || {
            post(&first, &sent).await;
            post(&second, &by_name).await.json()["data"]["user"]["id"] == ID
        })
        .await;
    }
}

async fn what_is_no_document_is_not_kept(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let app = app(&database, "no document", &[("SHOAL_GRAPHQL__LIMITS__ALIASES", "1")]).await;
    for document in ["{", "{ a: __typename b: __typename }", "{ users(first: 1) { ", "\"\"\""] {
        assert!(
            post(&app, &json!({ "query": document, "extensions": named(document) })).await.json()["errors"].is_array()
        );
        let again = post(&app, &json!({ "extensions": named(document) })).await;
        assert_eq!(again.code(), "PERSISTED_QUERY_NOT_FOUND", "{document}");
    }
    // A mutation by its hash is one all the same.
    let mutation = "mutation { createTag(input: { name: \"once\" }) { userErrors { code } } }";
    let sent = [("query", mutation.to_owned()), ("extensions", named(mutation).to_string())];
    let refused = get(&app, &sent).await;
    assert_eq!((refused.status, refused.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(app.metric("shoal_rate_limited_total", "").await, 0.0);
}

async fn batches_and_streams_name_documents(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let app = app(&database, "batches", &[]).await;
    let variables = json!({ "id": ID });
    let batch = json!([
        { "query": USER, "extensions": named(USER), "variables": variables },
        { "extensions": named(USER), "variables": variables },
    ]);
    let answers = post(&app, &batch).await.json();
    assert_eq!((&answers[0]["data"]["user"]["id"], &answers[1]["data"]["user"]["id"]), (&json!(ID), &json!(ID)));
    let body = json!({ "extensions": named(USER), "variables": variables });
    let streamed = Client::new().post(app.at("/graphql")).header("accept", "text/event-stream").json(&body);
    let streamed = Answer::of(streamed).await;
    assert!(String::from_utf8(streamed.body).unwrap().contains(ID));
}

async fn a_manifest_decides(backend: Backend) {
    let database = Arc::new(Database::demo(backend).await);
    let manifests = TempDir::new().unwrap();
    std::fs::write(manifests.path().join("relay.json"), json!({ "user": USER }).to_string()).unwrap();
    let manifests = manifests.path().to_str().unwrap();
    let start = async |trusted: &str| {
        app(&database, "manifest", &[("SHOAL_DOCUMENTS__MANIFESTS", manifests), ("SHOAL_DOCUMENTS__TRUSTED", trusted)])
            .await
    };
    let by_id = json!({ "documentId": "user", "variables": { "id": ID } });
    let trusted = json!({ "query": USER, "variables": { "id": ID } });
    let other = json!({ "query": "query Other { user(id: \"VXNlcjox\") { id } }" });

    let enforcing = start("enforce").await;
    assert_eq!(shown(&post(&enforcing, &by_id).await), ID);
    assert_eq!(shown(&post(&enforcing, &trusted).await), ID);
    assert_eq!(post(&enforcing, &other).await.code(), "QUERY_NOT_IN_SAFELIST");
    assert_eq!(post(&enforcing, &json!({ "documentId": "nobody" })).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    drop(enforcing);

    let auditing = start("audit").await;
    assert_eq!(shown(&post(&auditing, &by_id).await), ID);
    assert!(!auditing.log().contains("not trusted"), "{}", auditing.log());
    for _ in 0..2 {
        assert_eq!(shown(&post(&auditing, &other).await), ID);
    }
    let log = auditing.log();
    assert_eq!(log.matches("a document is not trusted").count(), 1, "{log}");
    assert!(log.contains(&hash(other["query"].as_str().unwrap())), "{log}");
    assert_eq!(auditing.metric("shoal_documents_not_trusted_total", "").await, 2.0);
    drop(auditing);

    let off = start("off").await;
    assert_eq!(shown(&post(&off, &by_id).await), ID);
    assert_eq!(shown(&post(&off, &other).await), ID);
}
