//! Server-sent events, with a connection for each operation and with one for all, and answers of many parts.

use std::sync::Arc;

use reqwest::Response;
use serde_json::{Value, json};

use super::{PATIENCE, USER, named, rename};
use crate::on_both;
use crate::support::{Backend, Database, TestApp, eventually};

on_both!(
    an_operation_has_a_stream_of_its_own,
    a_stream_carries_many_operations,
    a_part_can_be_read_before_the_next,
    who_takes_both_gets_a_stream_only_where_one_is_needed,
);

const MULTIPART: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0";

/// What comes of an answer, as it comes.
struct Reading {
    response: Response,
    read: String,
}

impl Reading {
    fn of(response: Response) -> Self {
        Self { response, read: String::new() }
    }

    /// All that comes up to this, and with it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(place) = self.read.find(text) {
                let rest = self.read.split_off(place + text.len());
                return std::mem::replace(&mut self.read, rest);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("something is to come");
            let chunk = chunk.unwrap().unwrap_or_else(|| panic!("no {text} in {}", self.read));
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its name and data. Comments do not count.
    async fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.until("\n\n").await;
            if let Some((name, data)) = block.strip_prefix("event: ").and_then(|rest| rest.split_once("\ndata: ")) {
                return (name.to_owned(), serde_json::from_str(data.trim_end()).unwrap_or_default());
            }
        }
    }
}

async fn post(app: &TestApp, accept: &str, body: &Value) -> Reading {
    let request = reqwest::Client::new().post(app.at("/graphql")).header("accept", accept).json(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    Reading::of(response)
}

fn next(data: Value) -> (String, Value) {
    ("next".to_owned(), json!({ "data": data }))
}

fn complete() -> (String, Value) {
    ("complete".to_owned(), Value::Null)
}

async fn an_operation_has_a_stream_of_its_own(backend: Backend) {
    let app =
        TestApp::start(Arc::new(Database::demo(backend).await), &[("SHOAL_SUBSCRIPTIONS__HEARTBEAT_MS", "100")]).await;
    app.caches().await;
    let events = "text/event-stream";
    let mut subscription = post(&app, events, &json!({ "query": USER })).await;
    assert_eq!(subscription.response.headers()["content-type"], "text/event-stream; charset=utf-8");
    for name in ["first", "second"] {
        // Somebody is there.
        assert_eq!(subscription.until(":\n\n").await, ":\n\n");
        rename(&app, name).await;
        assert_eq!(subscription.event().await, next(named(name)));
    }
    drop(subscription);
    eventually("it to be gone", async || app.metric("shoal_subscriptions", "").await == 0.0).await;
    let mut query = post(&app, events, &json!({ "query": "{ user(id: \"VXNlcjox\") { name } }" })).await;
    assert_eq!(query.event().await, next(json!({ "user": { "name": "second" } })));
    assert_eq!(query.event().await, complete());
    let mut invalid = post(&app, events, &json!({ "query": "subscription { nothing }" })).await;
    let (name, data) = invalid.event().await;
    assert_eq!(
        (name.as_str(), &data["errors"][0]["extensions"]["code"]),
        ("next", &json!("GRAPHQL_VALIDATION_FAILED"))
    );
    assert_eq!(invalid.event().await, complete());
    // As a browser's EventSource does, which can only GET.
    let url = reqwest::Url::parse_with_params(&app.at("/graphql"), [("query", USER)]).unwrap();
    let response = reqwest::Client::new().get(url).header("accept", events).send().await.unwrap();
    let mut subscription = Reading::of(response);
    subscription.until(":\n\n").await;
    rename(&app, "third").await;
    assert_eq!(subscription.event().await, next(named("third")));
}

async fn a_part_can_be_read_before_the_next(backend: Backend) {
    let app =
        TestApp::start(Arc::new(Database::demo(backend).await), &[("SHOAL_SUBSCRIPTIONS__HEARTBEAT_MS", "200")]).await;
    app.caches().await;
    let mut parts = post(&app, MULTIPART, &json!({ "query": USER })).await;
    let content_type = r#"multipart/mixed;boundary="graphql";subscriptionSpec="1.0""#;
    assert_eq!(parts.response.headers()["content-type"], content_type);
    assert_eq!(parts.until("--graphql").await, "\r\n--graphql");
    for name in ["first", "second"] {
        rename(&app, name).await;
        let part = loop {
            let part = parts.until("\r\n--graphql").await;
            // A part that says nothing says that somebody is there.
            if !part.contains("{}") {
                break part;
            }
        };
        let event = json!({ "payload": { "data": named(name) } });
        let json = part.split("\r\n").nth(3).unwrap();
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), event);
        assert_eq!(part, format!("\r\ncontent-type: application/json\r\n\r\n{json}\r\n--graphql"));
    }
    assert_eq!(parts.until("--graphql").await, "\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql");
    let mut query = post(&app, MULTIPART, &json!({ "query": "{ user(id: \"VXNlcjox\") { name } }" })).await;
    let all = query.until("--graphql--\r\n").await;
    assert!(all.contains(r#"{"payload":{"data":{"user":{"name":"second"}}}}"#), "{all}");
}

async fn who_takes_both_gets_a_stream_only_where_one_is_needed(backend: Backend) {
    let app = TestApp::demo(backend).await;
    app.caches().await;
    let accept = format!("application/graphql-response+json, application/json, text/event-stream, {MULTIPART}");
    let query = post(&app, &accept, &json!({ "query": "{ user(id: \"VXNlcjox\") { id } }" })).await;
    assert_eq!(query.response.headers()["content-type"], "application/graphql-response+json; charset=utf-8");
    let mut subscription = post(&app, &accept, &json!({ "query": USER })).await;
    assert_eq!(subscription.response.headers()["content-type"], "text/event-stream; charset=utf-8");
    subscription.until(":\n\n").await;
    rename(&app, "Both").await;
    assert_eq!(subscription.event().await, next(named("Both")));
}

async fn a_stream_carries_many_operations(backend: Backend) {
    let settings = [("SHOAL_SUBSCRIPTIONS__PER_CONNECTION", "2"), ("SHOAL_SUBSCRIPTIONS__MAX_CONNECTIONS", "1")];
    let app = TestApp::start(Arc::new(Database::demo(backend).await), &settings).await;
    app.caches().await;
    let (client, url) = (reqwest::Client::new(), app.at("/graphql/stream"));
    let reserved = client.put(&url).send().await.unwrap();
    assert_eq!(reserved.status(), 201);
    let token = reserved.text().await.unwrap();
    assert_eq!(client.put(&url).send().await.unwrap().status(), 503, "there is one place");
    let operate = async |id: &str, query: &str| {
        let body = json!({ "query": query, "extensions": { "operationId": id } });
        let accept = "application/graphql-response+json";
        let request = client.post(&url).header("x-graphql-event-stream-token", &token).header("accept", accept);
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    // Before it is opened, too.
    assert_eq!(operate("query", "{ user(id: \"VXNlcjox\") { id } }").await, 202);
    let open = async |token: &str| {
        let request = client.get(format!("{url}?token={token}")).header("accept", "text/event-stream");
        request.send().await.unwrap()
    };
    let mut stream = Reading::of(open(&token).await);
    assert_eq!(stream.response.status(), 200);
    assert_eq!(open(&token).await.status(), 409);
    assert_eq!(open("nonsense").await.status(), 404);
    let data = json!({ "id": "query", "payload": { "data": { "user": { "id": "VXNlcjox" } } } });
    assert_eq!(stream.event().await, ("next".to_owned(), data));
    assert_eq!(stream.event().await, ("complete".to_owned(), json!({ "id": "query" })));
    assert_eq!(operate("user", USER).await, 202);
    assert_eq!(operate("user", USER).await, 409);
    assert_eq!(operate("invalid", "{ nothing }").await, 400);
    assert_eq!(operate("", USER).await, 400);
    assert_eq!(operate("post", "subscription { postPublished { id } }").await, 202);
    assert_eq!(operate("more", USER).await, 429);
    rename(&app, "On One Stream").await;
    let data = json!({ "id": "user", "payload": { "data": named("On One Stream") } });
    assert_eq!(stream.event().await, ("next".to_owned(), data));
    let end = async |query: &str| {
        let request = client.delete(format!("{url}{query}")).header("x-graphql-event-stream-token", &token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((end("?operationId=user").await, end("").await), (200, 400));
    rename(&app, "Unheard").await;
    assert_eq!(operate("last", "{ user(id: \"VXNlcjox\") { id } }").await, 202);
    assert_eq!(stream.event().await.1["id"], "last");
    // Operations and place go with the stream.
    drop(stream);
    eventually("it to be gone", async || {
        app.metric("shoal_subscriptions", "").await == 0.0 && client.put(&url).send().await.unwrap().status() == 201
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_not_opened_in_time_is_gone() {
    let settings = [("SHOAL_SUBSCRIPTIONS__INIT_TIMEOUT_MS", "100"), ("SHOAL_SUBSCRIPTIONS__MAX_CONNECTIONS", "1")];
    let app = TestApp::start(Arc::new(Database::demo(Backend::Sqlite).await), &settings).await;
    let (client, url) = (reqwest::Client::new(), app.at("/graphql/stream"));
    let token = client.put(&url).send().await.unwrap().text().await.unwrap();
    eventually("its place to be free", async || client.put(&url).send().await.unwrap().status() == 201).await;
    let open = client.get(&url).header("x-graphql-event-stream-token", token).header("accept", "text/event-stream");
    assert_eq!(open.send().await.unwrap().status(), 404);
    assert_eq!(client.post(&url).json(&json!({ "query": USER })).send().await.unwrap().status(), 404);
    assert_eq!(client.patch(&url).send().await.unwrap().status(), 405);
}
