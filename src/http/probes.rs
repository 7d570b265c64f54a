//! What operators and balancers ask: does it live, is it ready, what is wrong.

use std::collections::BTreeMap;

use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use super::serve::Ending;
use crate::data::Databases;
use crate::data::cache::{Cache, Far, Usage};
use crate::data::databases::Health;
use crate::data::feed::{self, Feed};
use crate::domain::job::operate::Waiting;
use crate::jobs::Monitor;

/// What they ask about. Cheap to clone.
#[derive(Clone)]
pub struct Sight {
    pub databases: Databases,
    pub far: Option<Far>,
    /// Absent in a process that answers no requests.
    pub cache: Option<Cache>,
    /// What keeps the caches true, where that is the log of a primary.
    pub feed: Option<Feed>,
    /// What waits to be done outside of requests.
    pub queue: Monitor,
    pub metrics: PrometheusHandle,
    pub ending: Ending,
}

/// The routes of all of them.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Sight: FromRef<S>,
{
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
}

/// 200 while the process works.
async fn livez() -> &'static str {
    "ok"
}

/// 200 while there is something to work with: some database can be reached, and the process is not stopping.
async fn readyz(State(sight): State<Sight>) -> Response {
    if *sight.ending.leaving.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping").into_response();
    }
    if sight.databases.health().iter().any(|node| node.usable) {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no database can be reached").into_response()
    }
}

/// The state of each part, and what it means for clients.
#[derive(Serialize)]
struct Report {
    status: Status,
    /// The row of the degradation matrix that applies.
    state: &'static str,
    databases: Vec<Health>,
    /// Whether Redis answers; absent where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<bool>,
    /// What keeps the caches true; absent on the embedded database, and where nothing is cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<feed::Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Usage>,
    /// The jobs that wait, by kind; absent while the primary does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<BTreeMap<String, Waiting>>,
    /// Whether requests ask Redis: `closed` if they do, `open` or `probing` if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis_breaker: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Degraded,
    Unavailable,
}

/// 200 while nothing that reads or writes need is missing.
async fn health(State(sight): State<Sight>) -> Response {
    let redis = match &sight.far {
        Some(far) => Some(far.answers().await),
        None => None,
    };
    let databases = sight.databases.health();
    let feed = sight.feed.as_ref().map(Feed::health);
    let (status, state) = judge(&databases, redis, feed.as_ref());
    let code = if status == Status::Unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let redis_breaker = sight.far.as_ref().map(Far::state);
    let cache = sight.cache.as_ref().map(Cache::usage);
    let queue = sight.queue.waiting().await;
    (code, Json(Report { status, state, databases, redis, redis_breaker, feed, cache, queue })).into_response()
}

/// The first row that applies, worst first. The primary comes first among the databases.
fn judge(databases: &[Health], redis: Option<bool>, feed: Option<&feed::Health>) -> (Status, &'static str) {
    let (primary, replicas) = databases.split_first().map_or((false, databases), |(first, rest)| (first.usable, rest));
    let lost = replicas.iter().filter(|node| !node.usable).count();
    match (primary, lost) {
        (false, lost) if lost == replicas.len() => (Status::Unavailable, "no database"),
        (false, _) => (Status::Unavailable, "no primary"),
        (true, _) if redis == Some(false) => (Status::Unavailable, "no redis"),
        (true, lost) if lost > 0 && lost == replicas.len() => (Status::Degraded, "no replica"),
        (true, lost) if lost > 0 => (Status::Degraded, "a replica is lost"),
        (true, _) if feed.is_some_and(|feed| !feed.follows) => (Status::Degraded, "no feed"),
        (true, _) if feed.is_some_and(|feed| !feed.not_kept.is_empty()) => (Status::Degraded, "a table is not cached"),
        (true, _) => (Status::Ok, "all is well"),
    }
}

/// All metrics, as Prometheus reads them.
async fn metrics(State(sight): State<Sight>) -> Response {
    sight.databases.observe();
    sight.cache.iter().for_each(Cache::observe);
    sight.feed.iter().for_each(Feed::observe);
    sight.queue.observe().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], sight.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_row_of_the_matrix_applies() {
        let nodes = |usable: &[bool]| -> Vec<Health> {
            usable.iter().map(|&usable| Health { usable, ..Health::default() }).collect()
        };
        let good = feed::Health { follows: true, ..feed::Health::default() };
        let state = |usable: &[bool], redis| judge(&nodes(usable), redis, Some(&good)).1;
        let lost = feed::Health::default();
        assert_eq!(judge(&nodes(&[true]), None, Some(&lost)), (Status::Degraded, "no feed"));
        assert_eq!(judge(&nodes(&[true, false]), None, Some(&lost)).1, "no replica");
        let not_kept = vec![feed::NotKept { table: "tags".to_owned(), why: "it is not logged".to_owned() }];
        let partial = feed::Health { follows: true, not_kept, ..feed::Health::default() };
        assert_eq!(judge(&nodes(&[true]), None, Some(&partial)), (Status::Degraded, "a table is not cached"));
        assert_eq!(state(&[true], None), "all is well");
        assert_eq!(state(&[true, true, true], Some(true)), "all is well");
        assert_eq!(state(&[true, false, true], Some(true)), "a replica is lost");
        assert_eq!(state(&[true, false, false], Some(true)), "no replica");
        assert_eq!(state(&[true, false, true], Some(false)), "no redis");
        assert_eq!(state(&[false, true, false], Some(true)), "no primary");
        assert_eq!(state(&[false, false, false], Some(true)), "no database");
        assert_eq!(state(&[false], None), "no database");
    }
}
