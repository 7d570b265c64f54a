//! The HTTP face: GraphQL, GraphiQL, probes and metrics. The only part that knows axum.
//!
//! Promises that whatever comes in is bounded, in bytes and in time, before anything looks at it, and that what goes wrong
//! is answered with a code. Knows nothing of what is asked.

mod accept;
mod activity;
mod address;
mod around;
mod ask;
mod body;
mod cache;
mod door;
mod graphiql;
mod graphql;
mod live;
mod multipart;
mod origins;
mod params;
mod probes;
mod refusal;
mod request_id;
mod serve;
pub mod settings;
mod socket;
mod sse;
mod streams;
mod tls;
mod uploads;
mod write;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::util::MapRequestLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::decompression::RequestDecompressionLayer;

pub use ask::ask;
pub use probes::Sight;
pub use serve::Ending;
pub use settings::Settings;

use crate::data::current::Current;
use crate::data::trace::Choice;
use crate::graphql::execute::Executor;
use crate::graphql::subscription;
use address::Proxies;
use around::Around;
use door::Door;
use origins::Origins;
use serve::Listening;
use socket::Sockets;
use streams::Streams;
use uploads::Uploads;

/// Answers below this are not compressed: they fit in a packet anyway.
const WORTH_COMPRESSING: u64 = 1024;

/// The parts that the routes use.
#[derive(Clone)]
pub struct Parts {
    pub executor: Executor,
    pub subscriptions: subscription::Settings,
    pub sight: Sight,
    pub traces: Choice,
}

/// What the routes need. Cheap to clone, which each request does.
#[derive(Clone)]
struct Server(Arc<Needed>);

struct Needed {
    parts: Parts,
    origins: Origins,
    proxies: Proxies,
    limits: Limits,
    uploads: Uploads,
    /// Whether there is GraphiQL.
    has_page: bool,
    cache: Current<settings::Cache>,
    sockets: Sockets,
    streams: Streams,
}

/// What is taken in.
#[derive(Clone, Copy, Debug)]
struct Limits {
    body: body::Limits,
    /// Most operations of a batch.
    batch: usize,
}

/// A face that is set up, and not yet to be seen.
pub struct Face {
    settings: Settings,
    cache: Current<settings::Cache>,
    parts: Parts,
    origins: Origins,
    proxies: Proxies,
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Face {
    /// # Errors
    /// For settings that cannot be used: an origin that is none, a certificate that cannot be read.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, String> {
        let (origins, tls) = (Origins::parse(&settings.cors_origins)?, tls::acceptor(&settings.tls)?);
        let proxies = Proxies::parse(&settings.trusted_proxies)?;
        let cache = Current::new(settings.cache);
        Ok(Self { settings, cache, parts, origins, proxies, tls })
    }

    /// What caches may do with what is public, to be changed.
    pub fn cache(&self) -> Current<settings::Cache> {
        self.cache.clone()
    }

    /// Serves until told to stop, then as long as requests in work take, up to a limit.
    pub async fn serve(self, listener: TcpListener) {
        let (ending, drain) = (self.parts.sight.ending.clone(), self.settings.drain_timeout());
        let places = Arc::new(Semaphore::new(self.parts.subscriptions.max_connections.min(Semaphore::MAX_PERMITS)));
        let sockets = self.sockets(places.clone());
        let router = self.router(sockets.clone(), Streams::new(places, self.parts.subscriptions.clone()));
        let door = Door::new(self.parts.executor.clone(), self.body());
        Listening::new(listener, self.tls, (door, router), &self.settings).serve(ending, drain).await;
        // They are no requests, and have been told at the same time.
        let _ = tokio::time::timeout(drain, sockets.ended()).await;
    }

    fn sockets(&self, places: Arc<Semaphore>) -> Sockets {
        let Parts { executor, subscriptions, sight, .. } = &self.parts;
        let write_timeout = Duration::from_millis(self.settings.write_timeout_ms);
        Sockets::new(executor.clone(), subscriptions.clone(), write_timeout, places, sight.ending.stopping.clone())
    }

    /// How much of a request is read, and for how long.
    fn body(&self) -> body::Limits {
        let timeout = Duration::from_millis(self.settings.body_timeout_ms);
        body::Limits { bytes: self.settings.max_body_bytes, timeout }
    }

    fn router(&self, sockets: Sockets, streams: Streams) -> Router {
        let settings = &self.settings;
        let body = self.body();
        let limits = Limits { body, batch: settings.max_batch };
        let uploads = Uploads::new(body::Limits { bytes: settings.max_upload_bytes, ..body });
        let files = uploads.limits;
        let (parts, origins, proxies) = (self.parts.clone(), self.origins.clone(), self.proxies.clone());
        let (has_page, cache) = (settings.graphiql, self.cache.clone());
        let needed = Needed { parts, origins, proxies, limits, uploads, has_page, cache, sockets, streams };
        let server = Server(Arc::new(needed));
        let graphql =
            Router::new().route(graphql::PATH, any(graphql::answer)).route("/graphql/stream", any(streams::answer));
        let uploads = Router::new().route("/uploads", any(uploads::answer));
        let mut router = probes::routes().merge(self.open(graphql, body, graphql::ALLOW)).merge(self.open(
            uploads,
            files,
            uploads::ALLOW,
        ));
        if settings.graphiql {
            router = router.route("/", get(graphiql::page)).route("/{*path}", get(graphiql::asset));
        }
        // Each call boxes, and copies, all that is beneath it: there are few.
        let around = Around::new(self.parts.traces);
        let router = match settings.compression {
            // It is within: what is sent depends on it.
            true => {
                let when = SizeAbove::new(WORTH_COMPRESSING).and(is_text);
                let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(when);
                router.layer((around, compression))
            }
            false => router.layer(around),
        };
        router.with_state(server)
    }

    /// Routes that take bodies, from whoever's pages may ask.
    fn open(&self, routes: Router<Server>, limits: body::Limits, methods: &'static str) -> Router<Server> {
        let bound = MapRequestLayer::new(move |request: Request| body::bound(request, limits));
        // What is not known is left to the handler, which says so in its own way.
        let decoded = RequestDecompressionLayer::new().pass_through_unaccepted(true);
        let routes = routes.layer((bound, decoded));
        match self.origins.layer() {
            Some(cors) => {
                routes.layer(cors).layer(middleware::from_fn(move |request, next| allow(methods, request, next)))
            }
            None => routes,
        }
    }
}

/// Says which methods there are to whoever asks, even if it is a browser that asks for more.
async fn allow(methods: &'static str, request: Request, next: Next) -> Response {
    let is_asked = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if is_asked {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    response
}

impl Deref for Server {
    type Target = Needed;

    fn deref(&self) -> &Needed {
        &self.0
    }
}

impl FromRef<Server> for Sight {
    fn from_ref(server: &Server) -> Self {
        server.parts.sight.clone()
    }
}

/// Answers probes and nothing else, until the process stops.
pub async fn probe(listener: TcpListener, settings: &Settings, sight: Sight) {
    let ending = sight.ending.clone();
    let router =
        probes::routes().layer(middleware::map_response(async |response| no_sniffing(response))).with_state(sight);
    Listening::new(listener, None, (None, router), settings).serve(ending, settings.drain_timeout()).await;
}

/// Whether compression makes a body smaller and keeps nobody waiting: of a stream, each event would wait for the next.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    (essence.starts_with("text/") && essence != "text/event-stream")
        || essence.ends_with("json")
        || essence.ends_with("javascript")
}

/// No browser is to guess what a body might be.
fn no_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
