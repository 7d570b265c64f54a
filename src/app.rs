//! The one place where parts are built and joined; start-up and shutdown.

mod embedded;
pub mod migrate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Http};
use crate::data::Databases;
use crate::data::cache::{Far, Invalidate};
use crate::data::feed::Feed;
use crate::data::fetch::Sources;
use crate::data::write::{CountChanges, Writes};
use crate::graphql::execute::Executor;
use crate::http::{self, Server};
use crate::{domain, graphql, telemetry};

/// How long connections to databases may take to close: a request that was cut off holds one until its statement ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a command failed: the text is for whoever started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves until told to stop.
///
/// # Errors
/// When a part cannot start: an address in use, a database that is behind or in use by another process.
pub async fn serve(config: Config, migrate: bool) -> Result<(), Failure> {
    telemetry::log(&config.log)?;
    let metrics = telemetry::metrics()?;
    only_loopback(&config.http)?;
    // Held as long as the process lives.
    let _lock = embedded::Lock::of(&config)?;
    if embedded::is_new(&config) {
        embedded::create(&config, domain::import::From::Demo).await?;
    } else {
        migrate::ensure(&config, migrate).await?;
    }
    #[cfg(feature = "fault-points")]
    config.fault_point.iter().for_each(|step| crate::data::write::fault::stop_at(step.clone()));
    let databases = Databases::open(&config.database).await?;
    databases.watch(&config.token).await?;
    let far = Far::open(&config.redis)?;
    let (sources, dirty) = Sources::open(databases.clone(), graphql::declarations(), config.cache.clone(), far)?;
    let cache = sources.cache.clone();
    let invalidate = Invalidate { cache: cache.clone(), alone: config.database.url.is_none() };
    let writes = Writes::new(databases.clone(), Arc::new((invalidate, CountChanges)));
    let feed = Feed::start(&databases, &cache, dirty)?;
    let draining = Arc::new(AtomicBool::new(false));
    let server = Server {
        executor: Executor::new(sources, writes, config.graphql.clone()),
        databases: databases.clone(),
        cache,
        feed,
        metrics: metrics.clone(),
        draining: draining.clone(),
    };
    let options = http::Options { max_body_bytes: config.http.max_body_bytes, graphiql: config.http.graphiql };
    let listener = TcpListener::bind(config.http.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.http.listen))?;
    greet(&config, listener.local_addr()?);
    tokio::spawn(telemetry::upkeep(metrics));
    drain(listener, http::router(server, options), draining, &config.http).await?;
    if tokio::time::timeout(FAREWELL, databases.close()).await.is_err() {
        tracing::warn!("statements in work were cut off");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Imports CSV files, or the demo data.
///
/// # Errors
/// When a file or a database cannot be read, or a row is refused; nothing is imported then.
pub async fn import(config: Config, from: domain::import::From) -> Result<(), Failure> {
    telemetry::log(&config.log)?;
    let _lock = embedded::Lock::of(&config)?;
    if embedded::is_new(&config) {
        return embedded::create(&config, from).await;
    }
    migrate::ensure(&config, false).await?;
    embedded::import(&config, from).await
}

/// Until there is identity, whoever reaches the server may do everything.
fn only_loopback(http: &Http) -> Result<(), Failure> {
    if http.listen.ip().is_loopback() {
        return Ok(());
    }
    let address = http.listen;
    Err(format!("will not listen on {address}: every request acts as admin, so only loopback addresses are safe")
        .into())
}

fn greet(config: &Config, address: SocketAddr) {
    let database = match &config.database.url {
        Some(url) => url.to_string(),
        None => format!("embedded, in {}", config.database.data_dir.display()),
    };
    tracing::info!(database, replicas = config.database.replicas.len(), "serving GraphQL at http://{address}/graphql");
    if config.http.graphiql {
        tracing::info!("GraphiQL is at http://{address}/");
    }
    tracing::warn!("identity is not configured: every request acts as admin, from this machine only");
}

/// Serves until a signal, then in two steps: no new connections while requests in work end, then the cut.
async fn drain(
    listener: TcpListener,
    router: axum::Router,
    draining: Arc<AtomicBool>,
    http: &Http,
) -> Result<(), Failure> {
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        // A dropped sender means the same.
        let _ = stopping.await;
    });
    let mut serving = tokio::spawn(serving.into_future());
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        ended = &mut serving => return Ok(ended??),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    draining.store(true, Ordering::Relaxed);
    tracing::info!("stopping: requests in work may end");
    drop(stop);
    if tokio::time::timeout(Duration::from_millis(http.drain_timeout_ms), &mut serving).await.is_err() {
        tracing::warn!("requests in work were cut off");
        serving.abort();
    }
    Ok(())
}
