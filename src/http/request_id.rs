//! Names each request, so that what a client saw can be found in the log; counts, times and traces it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, HeaderValue, StatusCode};
use axum::response::Response;
use metrics::{Counter, Histogram, counter, histogram};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use opentelemetry_http::HeaderExtractor;

use crate::data::trace::{About, Choice, Span, Trace};

/// The routes whose requests are traced.
const TRACED: [&str; 3] = ["/graphql", "/graphql/stream", "/uploads"];

/// The name of a request.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

/// Sets apart the requests of different processes.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The route of a request.
enum Route {
    /// What the router has found.
    Matched(MatchedPath),
    Named(&'static str),
}

impl Route {
    fn as_str(&self) -> &str {
        match self {
            Self::Matched(path) => path.as_str(),
            Self::Named(name) => name,
        }
    }
}

/// A request that is under way.
pub struct Measured {
    start: Instant,
    id: Arc<str>,
    route: Route,
    span: Span,
}

impl Measured {
    /// Gives a request its name, and begins to trace it if it is to be.
    pub fn begin(choice: Choice, request: &mut Request) -> Self {
        let (start, id) = (Instant::now(), next());
        let route = request.extensions().get::<MatchedPath>().cloned().map_or(Route::Named("none"), Route::Matched);
        let span = begin(choice, request, route.as_str(), &id);
        request.extensions_mut().insert(RequestId(id.clone()));
        if span.trace().is_on() {
            request.extensions_mut().insert(span.trace().clone());
        }
        Self { start, id, route, span }
    }

    /// One of which it is known already what comes of it.
    pub fn untraced(route: &'static str) -> Self {
        Self { start: Instant::now(), id: next(), route: Route::Named(route), span: Span::default() }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tells the name to who asked, and counts what was answered.
    pub fn end(self, mut response: Response) -> Response {
        end(&self.span, &mut response);
        if let Ok(id) = HeaderValue::try_from(&*self.id) {
            response.headers_mut().insert("x-request-id", id);
        }
        let meters = meters(self.route.as_str(), response.status());
        meters.0.increment(1);
        meters.1.record(self.start.elapsed());
        response
    }
}

fn next() -> Arc<str> {
    format!("{:016x}", PROCESS.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed))).into()
}

/// Begins the span of a request, by the conventions for HTTP, if it is traced. What probes ask is not.
fn begin(choice: Choice, request: &Request, route: &str, id: &str) -> Span {
    if !TRACED.contains(&route) {
        return Span::default();
    }
    choice.begin(&HeaderExtractor(request.headers()), || {
        let method = request.method().as_str().to_owned();
        let attributes = vec![
            KeyValue::new("http.request.method", method.clone()),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("shoal.request_id", id.to_owned()),
        ];
        About { name: format!("{method} {route}").into(), kind: SpanKind::Server, attributes }
    })
}

/// What came of a request, and where its caller finds it.
fn end(span: &Span, response: &mut Response) {
    let (trace, status) = (span.trace(), response.status());
    trace.note(|| vec![KeyValue::new("http.response.status_code", i64::from(status.as_u16()))]);
    if status.is_server_error() {
        trace.fail(status.as_str().to_owned());
    }
    if let Some(place) = trace.response().and_then(|place| HeaderValue::try_from(place).ok()) {
        response.headers_mut().insert("traceresponse", place);
    }
}

/// What of a request is traced.
pub fn traced(extensions: &Extensions) -> Trace {
    extensions.get::<Trace>().cloned().unwrap_or_default()
}

/// What counts and times the answers of a route with a status. Looked up in the recorder only once: that takes longer than
/// all else here.
fn meters(route: &str, status: StatusCode) -> Arc<(Counter, Histogram)> {
    type Known = HashMap<StatusCode, HashMap<String, Arc<(Counter, Histogram)>>>;
    static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(meters) = known.get(&status).and_then(|routes| routes.get(route)) {
        return meters.clone();
    }
    drop(known);
    let requests =
        counter!("shoal_http_requests_total", "route" => route.to_owned(), "status" => status.as_str().to_owned());
    let meters = Arc::new((requests, histogram!("shoal_http_seconds", "route" => route.to_owned())));
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.entry(status).or_default().insert(route.to_owned(), meters.clone());
    meters
}
