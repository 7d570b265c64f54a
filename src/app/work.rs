//! Jobs: run beside the answers to requests, by a process of their own, or looked at by an operator.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reload::{self, Changeable};
use super::stop::{self, Signals};
use super::watch::Watch;
use super::{Failure, embedded, listen, migrate, prefix};
use crate::config::{Config, Flags};
use crate::data::Databases;
use crate::data::cache::Far;
use crate::data::hints::Hints;
use crate::data::trace::Choice;
use crate::data::write::{CountChanges, Writes};
use crate::http::{self, Sight};
use crate::jobs::settings::InServer;
use crate::jobs::{self, Monitor, Order, Schedules, Worker};
use crate::mail::Mailer;
use crate::telemetry;

/// Hints of jobs, in Redis under keys that begin with `prefix`.
pub(super) fn hints(far: Option<Far>, prefix: &str) -> Hints {
    Hints::new(jobs::HINTED, &jobs::lanes(), far, format!("{prefix}:jobs"))
}

/// What writes in a process without caches.
fn writes(config: &Config, databases: &Databases, far: Option<Far>) -> (Writes, Hints) {
    let hints = hints(far, &prefix(config));
    (Writes::new(databases.clone(), Arc::new((hints.clone(), CountChanges))), hints)
}

/// The worker of a server, if it is to have one.
///
/// # Errors
/// For a schedule that is none.
pub(super) fn beside(
    config: &Config,
    means: (Writes, Mailer, Choice),
    hints: &Hints,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<Worker>, Failure> {
    let schedules = Schedules::of(&config.jobs)?;
    let is_wanted = match config.jobs.in_server {
        InServer::Embedded => config.database.url.is_none(),
        InServer::Always => true,
        InServer::Never => false,
    };
    if !is_wanted {
        tracing::info!("jobs, and with them mails, are left to `shoal worker`");
    }
    Ok(is_wanted.then(|| Worker::start(config.jobs.clone(), schedules, means, hints.clone(), stopping)))
}

/// Runs jobs until told to stop.
///
/// # Errors
/// When a part cannot start: a database that is behind or in use by another process.
pub async fn work(config: Config, flags: Flags) -> Result<(), Failure> {
    let Watch { filter, metrics, traces, collector } = Watch::begin(&config)?;
    let _lock = embedded::Lock::of(&config)?;
    migrate::ensure(&config, false).await?;
    let mailer = Mailer::new(&config.mail, &config.database.data_dir)?;
    let databases = Databases::open(&config.database).await?;
    databases.declare(migrate::indexes(&config));
    databases.watch(&config.token).await?;
    let far = Far::open(&config.redis)?;
    let (writes, hints) = writes(&config, &databases, far.clone());
    let (stop, ending) = stop::ending();
    let stopping = ending.stopping.clone();
    let schedules = Schedules::of(&config.jobs)?;
    let sight = Sight {
        databases: databases.clone(),
        far,
        cache: None,
        feed: None,
        queue: Monitor::new(writes.clone()),
        metrics: metrics.clone(),
        ending,
    };
    let signals = Signals::new()?;
    reload::on_hangup(flags, config.clone(), Changeable { filter, limits: None })?;
    let probes = probes(&config, sight).await?;
    tokio::spawn(telemetry::upkeep(metrics));
    let worker = Worker::start(config.jobs.clone(), schedules, (writes, mailer, traces), hints, &stopping);
    // Nobody sends it anything.
    signals.tell(stop, Duration::ZERO, "jobs in work").await;
    worker.stopped().await;
    if let Some(probes) = probes {
        let _ = probes.await;
    }
    databases.close().await;
    if let Some(collector) = collector {
        collector.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Answers probes where the settings say, if anywhere, until the process stops.
async fn probes(config: &Config, sight: Sight) -> Result<Option<JoinHandle<()>>, Failure> {
    let Some(address) = config.jobs.probes else { return Ok(None) };
    let listener = listen(address).await?;
    tracing::info!("probes and metrics are at http://{}/", listener.local_addr()?);
    let settings = config.http.clone();
    Ok(Some(tokio::spawn(async move { http::probe(listener, &settings, sight).await })))
}

/// Does what an operator wants, and says what came of it.
///
/// # Errors
/// When a rule forbids it, or there is no database.
pub async fn order(config: Config, order: Order) -> Result<String, Failure> {
    let _lock = embedded::Lock::of(&config)?;
    migrate::ensure(&config, false).await?;
    let databases = Databases::open(&config.database).await?;
    let (writes, hints) = writes(&config, &databases, Far::open(&config.redis)?);
    let said = order.run(&writes).await;
    hints.sent().await;
    databases.close().await;
    Ok(said?)
}
