//! The HTTP face: GraphQL, GraphiQL, probes and metrics. The only part that knows axum.

mod graphiql;
mod graphql;
mod probes;
mod request_id;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::data::Databases;
use crate::data::cache::Cache;
use crate::data::feed::Feed;
use crate::graphql::execute::Executor;

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    pub executor: Executor,
    pub databases: Databases,
    pub cache: Cache,
    /// What keeps the caches true, where that is the log of a primary.
    pub feed: Option<Feed>,
    pub metrics: PrometheusHandle,
    /// Set when the process has been told to stop.
    pub draining: Arc<AtomicBool>,
}

/// How the face is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub max_body_bytes: usize,
    pub graphiql: bool,
}

/// All routes.
pub fn router(server: Server, options: Options) -> Router {
    let mut router = Router::new()
        .route("/graphql", post(graphql::answer))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/health", get(probes::health))
        .route("/metrics", get(probes::metrics));
    if options.graphiql {
        router = router.route("/", get(graphiql::page)).route("/{*path}", get(graphiql::asset));
    }
    router
        .layer(DefaultBodyLimit::max(options.max_body_bytes))
        .layer(middleware::from_fn(request_id::measure))
        .with_state(server)
}
