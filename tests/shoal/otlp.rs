//! What a collector gets to see of a request, of which requests, and of all of them together.

mod spans;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

use crate::operator::terminate;
use crate::support::{Backend, Database, TestApp, eventually};

crate::on_both!(a_request_is_seen_down_to_its_statements, a_write_is_seen_down_to_its_statements);

/// What a caller says: in this trace, in this span, sampled.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that keeps all it gets.
struct Collector {
    url: String,
    sent: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

impl Collector {
    async fn open() -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let keep = sent.clone();
        let take = async move |body: Bytes| {
            keep.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        };
        let metrics = Arc::new(Mutex::new(Vec::new()));
        let keep = metrics.clone();
        let take_metrics = async move |body: Bytes| {
            keep.lock().unwrap().push(ExportMetricsServiceRequest::decode(body).unwrap());
        };
        let router = Router::new().route("/v1/traces", post(take)).route("/v1/metrics", post(take_metrics));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, sent, metrics }
    }

    async fn app(&self, database: Database, settings: &[(&str, &str)]) -> TestApp {
        // The variable is of the exporter.
        let own = [("SHOAL_OTLP__ENDPOINT", self.url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
        TestApp::start(Arc::new(database), &[&own, settings].concat()).await
    }

    fn spans(&self) -> Vec<Span> {
        let sent = self.sent.lock().unwrap();
        let scopes = sent.iter().flat_map(|sent| &sent.resource_spans).flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The spans once there is one of this name: of a trace it is sent last, since it ends last.
    async fn after(&self, last: &str) -> Vec<Span> {
        eventually(last, async || self.spans().iter().any(|span| span.name == last)).await;
        self.spans()
    }
}

fn traceparent(is_sampled: bool) -> String {
    format!("00-{TRACE}-{CALLER}-{:02x}", u8::from(is_sampled))
}

async fn ask(app: &TestApp, query: &str, traceparent: Option<&str>) -> reqwest::Response {
    let mut request = reqwest::Client::new().post(app.at("/graphql")).json(&json!({ "query": query }));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    request.send().await.unwrap()
}

/// The attributes of a span.
fn attributes(span: &Span) -> HashMap<&str, Value> {
    let value = |value: &AnyValue| match value.value.as_ref().unwrap() {
        Any::StringValue(text) => json!(text),
        Any::IntValue(number) => json!(number),
        Any::DoubleValue(number) => json!(number),
        Any::BoolValue(is_so) => json!(is_so),
        other => panic!("{other:?}"),
    };
    let all = span.attributes.iter();
    all.map(|attribute| (attribute.key.as_str(), value(attribute.value.as_ref().unwrap()))).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn children<'a>(spans: &'a [Span], of: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == of.span_id).collect()
}

async fn a_request_is_seen_down_to_its_statements(backend: Backend) {
    let collector = Collector::open().await;
    let app = collector.app(Database::demo(backend).await, &[("SHOAL_CACHE__NEAR_BYTES", "0")]).await;
    app.caches().await;
    let query = r#"query Feed { users(first: 2) { nodes { name posts(first: 1) { nodes { title } } } } }"#;
    let answer = ask(&app, query, Some(&traceparent(true))).await;
    let place = answer.headers()["traceresponse"].to_str().unwrap().to_owned();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(answer.json::<Value>().await.unwrap()["data"]["users"]["nodes"].as_array().unwrap().len(), 2);
    let spans = collector.after("POST /graphql").await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");

    let [root] = named(&spans, "POST /graphql")[..] else { panic!("{spans:?}") };
    assert_eq!(place, format!("00-{TRACE}-{}-01", hex(&root.span_id)));
    assert_eq!((hex(&root.parent_span_id).as_str(), root.kind), (CALLER, 2), "a server's");
    let told = attributes(root);
    assert_eq!(told["http.request.method"], "POST");
    assert_eq!(told["http.route"], "/graphql");
    assert_eq!(told["http.response.status_code"], 200);
    assert_eq!(told["shoal.request_id"], id);

    let [operation] = children(&spans, root)[..] else { panic!("{spans:?}") };
    let told = attributes(operation);
    assert_eq!((operation.name.as_str(), &told["graphql.operation.type"]), ("query", &json!("query")));
    assert_eq!(told["graphql.operation.name"], "Feed");
    assert!(told["shoal.price"].as_u64().unwrap() > 0);

    let batches = children(&spans, operation);
    let sources: Vec<_> = batches.iter().map(|span| attributes(span)["shoal.source"].clone()).collect();
    assert!(sources.contains(&json!("users")) && sources.contains(&json!("user.posts")), "{sources:?}");
    let mut statements = Vec::new();
    for batch in &batches {
        let told = attributes(batch);
        assert!(told["shoal.keys"].as_u64().unwrap() >= 1, "{told:?}");
        assert!(told.contains_key("shoal.keys.near") && told.contains_key("shoal.keys.far"), "{told:?}");
        let is_far = |span: &&Span| span.name == "MGET";
        let (far, sent): (Vec<_>, Vec<_>) = children(&spans, batch).into_iter().partition(is_far);
        for span in far {
            let told = attributes(span);
            assert_eq!((&told["db.system.name"], span.kind), (&json!("redis"), 3), "a client's");
            assert!(told["db.operation.batch.size"].as_u64().unwrap() >= 1);
        }
        statements.extend(sent);
    }
    assert_eq!(named(&spans, "MGET").is_empty(), backend == Backend::Sqlite, "Redis is only beside PostgreSQL");
    assert!(statements.len() >= 2, "{spans:?}");
    for statement in statements {
        let told = attributes(statement);
        let system = if backend == Backend::Postgres { "postgresql" } else { "sqlite" };
        assert_eq!((&told["db.system.name"], statement.kind), (&json!(system), 3));
        assert_eq!(told["db.query.summary"], statement.name.as_str());
        assert!(told["db.query.text"].as_str().unwrap().contains("from"), "{told:?}");
        assert!(told["db.response.returned_rows"].as_u64().unwrap() >= 1);
        assert!(told["shoal.db.waited_ms"].as_f64().unwrap() >= 0.0);
        assert!(told.contains_key("shoal.node"));
        assert!(statement.start_time_unix_nano >= root.start_time_unix_nano);
        assert!(statement.end_time_unix_nano <= root.end_time_unix_nano);
    }
}

async fn a_write_is_seen_down_to_its_statements(backend: Backend) {
    let collector = Collector::open().await;
    let app = collector.app(Database::demo(backend).await, &[("SHOAL_OTLP__TRACE_RATIO", "1")]).await;
    let create =
        r#"mutation { createUser(input: { name: "Secret Name", email: "secret@shoal.example" }) { user { id } } }"#;
    assert_eq!(ask(&app, create, None).await.status(), 200);
    let spans = collector.after("POST /graphql").await;
    let [operation] = named(&spans, "mutation")[..] else { panic!("{spans:?}") };
    let write = children(&spans, operation).into_iter().find(|span| span.name == "write createUser").unwrap();
    let statements = children(&spans, write);
    let text = |span: &&Span| attributes(span)["db.query.text"].as_str().unwrap().to_owned();
    assert!(statements.iter().any(|span| text(span).contains("insert into")), "{spans:?}");
    // What its client has sent is nowhere.
    assert!(!format!("{:?}", collector.sent.lock().unwrap()).contains("ecret"));
}

#[tokio::test]
async fn who_is_traced_is_decided_by_callers_or_by_chance() {
    let of_callers = Collector::open().await;
    let app = of_callers.app(Database::demo(Backend::Sqlite).await, &[("SHOAL_OTLP__TRACE_RATIO", "1")]).await;
    let untraced = ask(&app, "{ __typename }", Some(&traceparent(false))).await;
    assert!(!untraced.headers().contains_key("traceresponse"));
    app.get("/readyz").await;
    let own = ask(&app, "{ __typename }", None).await;
    let place = own.headers()["traceresponse"].to_str().unwrap().to_owned();
    let spans = of_callers.after("POST /graphql").await;
    assert_eq!(spans.len(), 2, "one that is traced: {spans:?}");
    assert!(spans.iter().all(|span| place.contains(&hex(&span.trace_id)) && hex(&span.trace_id) != TRACE));

    let by_chance = Collector::open().await;
    let never = [("SHOAL_OTLP__TRACE_RATIO", "0"), ("SHOAL_OTLP__FOLLOW_CALLERS", "false")];
    let app = by_chance.app(Database::demo(Backend::Sqlite).await, &never).await;
    assert!(!ask(&app, "{ __typename }", Some(&traceparent(true))).await.headers().contains_key("traceresponse"));
    let always = [("SHOAL_OTLP__TRACE_RATIO", "1"), ("SHOAL_OTLP__FOLLOW_CALLERS", "false")];
    let app = by_chance.app(Database::demo(Backend::Sqlite).await, &always).await;
    // It is in its caller's trace nevertheless.
    ask(&app, "{ __typename }", Some(&traceparent(false))).await;
    let spans = by_chance.after("POST /graphql").await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
}

#[tokio::test]
async fn what_goes_wrong_is_said() {
    let collector = Collector::open().await;
    let app = collector.app(Database::demo(Backend::Sqlite).await, &[("SHOAL_OTLP__TRACE_RATIO", "1")]).await;
    ask(&app, r#"{ post(id: "none") { title } }"#, None).await;
    let spans = collector.after("POST /graphql").await;
    let [operation] = named(&spans, "query")[..] else { panic!("{spans:?}") };
    assert_eq!(attributes(operation)["error.type"], "BAD_USER_INPUT");
    assert_eq!(operation.status.as_ref().unwrap().code, 2, "an error");
}

#[tokio::test]
async fn metrics_are_sent_as_prometheus_would_fetch_them() {
    let collector = Collector::open().await;
    let app = collector.app(Database::demo(Backend::Sqlite).await, &[("SHOAL_OTLP__METRICS_S", "1")]).await;
    ask(&app, "{ __typename }", None).await;
    let requests = || {
        let sent = collector.metrics.lock().unwrap();
        let resource = sent.last()?.resource_metrics[0].clone();
        resource.scope_metrics[0].metrics.iter().find(|metric| metric.name == "shoal_http_requests").cloned()
    };
    eventually("the request to be counted there", async || requests().is_some()).await;
    let Some(Data::Sum(sum)) = requests().unwrap().data else { panic!("{:?}", requests()) };
    let point = sum.data_points.iter().find(|point| format!("{:?}", point.attributes).contains("/graphql")).unwrap();
    let counted = app.metric("shoal_http_requests_total", "route=\"/graphql\"").await;
    assert_eq!(point.value, Some(Number::AsDouble(counted)));
    assert!(sum.is_monotonic);
}

#[tokio::test]
async fn a_server_does_without_its_collector_and_sends_what_is_left_when_it_stops() {
    let database = Arc::new(Database::demo(Backend::Sqlite).await);
    // Nobody listens there.
    let nowhere = [("SHOAL_OTLP__ENDPOINT", "http://127.0.0.1:1"), ("SHOAL_OTLP__TRACE_RATIO", "1")];
    let mut app = TestApp::start(database.clone(), &nowhere).await;
    assert_eq!(ask(&app, "{ __typename }", None).await.status(), 200);
    stop(&mut app).await;

    let collector = Collector::open().await;
    let late = [
        ("SHOAL_OTLP__ENDPOINT", collector.url.as_str()),
        ("SHOAL_OTLP__TRACE_RATIO", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
    ];
    let mut app = TestApp::start(database, &late).await;
    ask(&app, "{ __typename }", None).await;
    stop(&mut app).await;
    assert_eq!(named(&collector.spans(), "POST /graphql").len(), 1);
}

/// In time for its collector to be told, which runs here.
async fn stop(app: &mut TestApp) {
    terminate(app);
    eventually("the server to end", async || app.has_ended()).await;
    assert_eq!(app.wait(), Some(0));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
