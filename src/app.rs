//! The one place where parts are built and joined; start-up and shutdown.

pub mod doctor;
mod embedded;
pub mod explain;
mod means;
pub mod migrate;
mod reload;
mod stop;
mod watch;
pub mod work;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::{Config, Flags};
use crate::data::cache::Far;
use crate::data::feed::Feed;
use crate::data::{Databases, host};
use crate::graphql::execute::Executor;
use crate::http::{self, Face, Parts, Sight};
use crate::jobs::Monitor;
use crate::mail::Mailer;
use crate::{domain, telemetry};
use means::Joined;
use reload::{Changeable, Limits};
use stop::Signals;
use watch::Watch;

/// How long connections to databases may take to close: a request that was cut off holds one until its statement ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Files that are open beside connections: of the embedded database, of Redis, of the runtime.
const OTHER_FILES: u64 = 64;

/// Why a command failed: the text is for whoever started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves until told to stop. `flags` are where the settings came from, and are read again.
///
/// # Errors
/// When a part cannot start: an address in use, a database that is behind or in use by another process.
pub async fn serve(config: Config, flags: Flags, migrate: bool) -> Result<(), Failure> {
    let Watch { filter, metrics, traces, collector } = Watch::begin(&config)?;
    check_open_files(&config);
    only_loopback(&config.http)?;
    let mailer = Mailer::new(&config.mail, &config.database.data_dir)?;
    // Held as long as the process lives.
    let _lock = embedded::Lock::of(&config)?;
    if embedded::is_new(&config) {
        embedded::create(&config, domain::import::From::Demo).await?;
    } else {
        migrate::ensure(&config, migrate).await?;
    }
    #[cfg(feature = "fault-points")]
    {
        config.fault_point.iter().for_each(|step| crate::data::write::fault::stop_at(step.clone()));
        config.mutant.iter().for_each(|mutant| crate::data::mutant::leave_out(*mutant));
    }
    let databases = Databases::open(&config.database).await?;
    databases.declare(migrate::indexes(&config));
    databases.watch(&config.token).await?;
    let far = Far::open(&config.redis)?;
    let Joined { means, cache, refresh, hints } = means::join(&config, &databases, far)?;
    let feed = Feed::start(&databases, &cache, &means.events, refresh)?;
    let (stop, ending) = stop::ending();
    let worker = work::beside(&config, (means.writes.clone(), mailer, traces), &hints, &ending.stopping)?;
    let sight = Sight {
        databases: databases.clone(),
        far: cache.far().cloned(),
        cache: Some(cache.clone()),
        feed,
        queue: Monitor::new(means.writes.clone()),
        metrics: metrics.clone(),
        ending,
    };
    let (quota, admission) = (means.quota.clone(), means.admission.clone());
    let executor = Executor::new(means, config.graphql.clone(), &config.subscriptions);
    let parts = Parts { executor: executor.clone(), subscriptions: config.subscriptions.clone(), sight, traces };
    let face = Face::new(config.http.clone(), parts)?;
    let listener = listen(config.http.listen).await?;
    let limits = Limits { quota, admission, executor, cache, for_caches: face.cache() };
    let delay = config.http.shutdown_delay();
    tokio::spawn(Signals::new()?.tell(stop, delay, "requests in work"));
    reload::on_hangup(flags, config.clone(), Changeable { filter, limits: Some(limits) })?;
    greet(&config, listener.local_addr()?);
    tokio::spawn(telemetry::upkeep(metrics));
    face.serve(listener).await;
    if let Some(worker) = worker {
        worker.stopped().await;
    }
    if tokio::time::timeout(FAREWELL, databases.close()).await.is_err() {
        tracing::warn!("statements in work were cut off");
    }
    if let Some(collector) = collector {
        collector.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Asks the server, or worker, with these settings: its status and what it says.
///
/// # Errors
/// When it does not answer.
pub async fn probe(config: &Config, path: &str, of_worker: bool) -> Result<(u16, String), Failure> {
    let (address, tls) = match (of_worker, config.jobs.probes) {
        (false, _) => (config.http.listen, config.http.tls.clone()),
        (true, Some(address)) => (address, http::settings::Tls::default()),
        (true, None) => return Err("jobs.probes is not set: a worker answers nowhere".into()),
    };
    Ok(http::ask(address, &tls, path).await?)
}

/// Says so where there may not be enough descriptors for as many connections as the settings allow.
fn check_open_files(config: &Config) {
    let pool = u64::from(config.database.pool.size);
    let replicas = config.database.replicas.len() as u64;
    // The primary has a pool for writes and one for reads, and a few connections for what goes on beside requests.
    let databases = (2 + replicas) * (pool + 3) + u64::from(config.database.primary_reads);
    let wanted = config.http.max_connections as u64 + databases + OTHER_FILES;
    match host::raise_open_files() {
        Ok(most) if most >= wanted => {}
        Ok(most) => tracing::warn!(
            most,
            wanted,
            "fewer files may be open than there may be connections: raise the limit (ulimit -n, LimitNOFILE=), or lower \
             http.max_connections"
        ),
        Err(error) => tracing::warn!(%error, wanted, "cannot raise the number of files that may be open"),
    }
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

/// Of what in Redis is the same for all histories and layouts.
fn prefix(config: &Config) -> String {
    format!("shoal:{}", config.cache.namespace)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Until there is identity, whoever reaches the server may do everything.
fn only_loopback(http: &http::Settings) -> Result<(), Failure> {
    if http.listen.ip().is_loopback() || http.anybody_is_admin {
        return Ok(());
    }
    let address = http.listen;
    Err(format!(
        "will not listen on {address}: every request acts as admin, so only loopback addresses are safe; \
         http.anybody_is_admin is for networks that nobody else can reach"
    )
    .into())
}

fn greet(config: &Config, address: SocketAddr) {
    let database = match &config.database.url {
        Some(url) => url.to_string(),
        None => format!("embedded, in {}", config.database.data_dir.display()),
    };
    let scheme = if config.http.tls.certificate.is_some() { "https" } else { "http" };
    let replicas = config.database.replicas.len();
    tracing::info!(database, replicas, "serving GraphQL at {scheme}://{address}/graphql");
    if config.http.graphiql {
        tracing::info!("GraphiQL is at {scheme}://{address}/");
    }
    let from = if address.ip().is_loopback() { "from this machine only" } else { "from wherever it is reached" };
    tracing::warn!("identity is not configured: every request acts as admin, {from}");
}
