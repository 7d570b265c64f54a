//! SIGHUP: the settings are read again, and what can change while the process runs does.

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::config::{Config, Flags};
use crate::data::cache::Cache;
use crate::data::current::Current;
use crate::data::quota::Quota;
use crate::graphql::execute::Executor;
use crate::graphql::execute::admission::Admission;
use crate::http::settings;
use crate::telemetry::LogFilter;

/// What settings can be changed of.
pub struct Changeable {
    pub filter: LogFilter,
    /// Nothing more in a process that answers no requests.
    pub limits: Option<Limits>,
}

/// What decides how much requests may ask for, and how long their answers are kept.
pub struct Limits {
    pub quota: Quota,
    pub admission: Admission,
    pub executor: Executor,
    pub cache: Cache,
    pub for_caches: Current<settings::Cache>,
}

/// Reads the settings again at each SIGHUP, for ever.
///
/// # Errors
/// When the system does not let the signal be heard.
pub fn on_hangup(flags: Flags, mut running: Config, changeable: Changeable) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match changeable.reload(&flags, &running) {
                Ok(config) => running = config,
                Err(error) => tracing::error!(%error, "the settings stay as they are"),
            }
        }
    });
    Ok(())
}

impl Changeable {
    /// Makes what can be changed what the settings are now; what holds from then on.
    fn reload(&self, flags: &Flags, running: &Config) -> Result<Config, Failure> {
        let wanted = Config::load(flags)?;
        let next = match self.limits {
            Some(_) => running.with_limits_of(&wanted),
            None => running.with_log_of(&wanted),
        };
        // All that can be refused comes first.
        self.limits.iter().try_for_each(|limits| limits.cache.check(&wanted.cache))?;
        self.filter.change(&next.log.filter)?;
        if let Some(limits) = &self.limits {
            limits.change(running, &next);
        }
        let changes = running.changes(&next);
        for change in &changes {
            tracing::info!(setting = change.name, old = change.old, new = change.new, "a setting has changed");
        }
        let left = next.changes(&wanted);
        for change in &left {
            tracing::warn!(
                setting = change.name,
                running = change.old,
                wanted = change.new,
                "a setting takes a restart to change"
            );
        }
        tracing::info!(changed = changes.len(), need_a_restart = left.len(), "the settings were read again");
        Ok(next)
    }
}

impl Limits {
    fn change(&self, old: &Config, new: &Config) {
        self.quota.change(new.rate.clone());
        self.admission.change(new.admission.clone());
        if old.graphql != new.graphql {
            self.executor.change(new.graphql.clone());
        }
        self.cache.change_ttls(&new.cache);
        self.for_caches.set(new.http.cache);
    }
}
