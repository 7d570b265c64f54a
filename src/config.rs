//! Settings: defaults, then `shoal.toml`, then the environment, then flags; the later wins.
//!
//! The only place that reads the environment. An unknown setting is an error, so that a misspelt one is noticed.

mod changes;
mod environment;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::{Actual, Kind};
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::data::cache::{self, far};
use crate::data::secret::SecretUrl;
use crate::data::{databases, quota};
use crate::graphql::execute::admission;
use crate::graphql::guard::Limits;
use crate::graphql::{context, persisted, subscription};
use crate::{http, jobs, mail};

/// All settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub http: http::Settings,
    pub database: databases::Settings,
    pub redis: far::Settings,
    pub cache: cache::Settings,
    pub token: databases::TokenSettings,
    pub graphql: context::Settings,
    pub documents: persisted::Settings,
    pub admission: admission::Settings,
    pub rate: quota::Settings,
    pub subscriptions: subscription::Settings,
    pub jobs: jobs::Settings,
    pub mail: mail::Settings,
    pub log: Log,
    pub otlp: Otlp,
    /// The step of a write at which a test stops the process.
    #[cfg(feature = "fault-points")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_point: Option<String>,
    /// The rule that it leaves out, for a test to see that it is missed.
    #[cfg(feature = "fault-points")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutant: Option<crate::data::mutant::Mutant>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What to log, in the syntax of tracing's `EnvFilter`: `info`, `shoal=debug,info`.
    pub filter: String,
    pub format: LogFormat,
    /// Most lines per second of each place in the code; 0 for no bound.
    pub per_second: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// What a collector of OpenTelemetry gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// A collector that takes OTLP over HTTP, `http://host:4318`; without it nothing is sent.
    pub endpoint: Option<SecretUrl>,
    /// What this service is called there.
    pub service: String,
    /// Which part of the requests is traced, from 0 to 1.
    pub trace_ratio: f64,
    /// Whether whoever asks decides, if it says in `traceparent` whether it is traced.
    pub follow_callers: bool,
    /// How often metrics are sent, in seconds; 0 for never.
    pub metrics_s: u64,
}

/// What the command line sets.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub file: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: http::Settings::default(),
            database: databases::Settings::default(),
            redis: far::Settings::default(),
            cache: cache::Settings::default(),
            token: databases::TokenSettings::default(),
            graphql: context::Settings {
                page_size: 20,
                max_page_size: 100,
                count_cap: 10_000,
                max_nodes: 100,
                timeout_ms: 10_000,
                document_cache_bytes: 8 << 20,
                introspection: true,
                suggestions: false,
                max_price: 100_000,
                budgets: None,
                limits: Limits::default(),
            },
            documents: persisted::Settings::default(),
            admission: admission::Settings::default(),
            rate: quota::Settings::default(),
            subscriptions: subscription::Settings::default(),
            jobs: jobs::Settings::default(),
            mail: mail::Settings::default(),
            // What the clients of Redis and of the log say of each node and retry, the far tier and the feed say once.
            log: Log {
                filter: "info,pgwire_replication=off,redis=off,sqlx=warn,sea_orm_migration=warn".to_owned(),
                format: LogFormat::Text,
                per_second: 100,
            },
            otlp: Otlp {
                endpoint: None,
                service: "shoal".to_owned(),
                trace_ratio: 0.01,
                follow_callers: true,
                metrics_s: 15,
            },
            #[cfg(feature = "fault-points")]
            fault_point: None,
            #[cfg(feature = "fault-points")]
            mutant: None,
        }
    }
}

impl Config {
    /// # Errors
    /// For an unknown setting or a value of the wrong form; the text names the setting and where it was set, and never
    /// repeats a URL.
    pub fn load(flags: &Flags) -> Result<Self, Box<figment::Error>> {
        let file = flags.file.as_deref().unwrap_or(Path::new("shoal.toml"));
        let file = if flags.file.is_some() { Toml::file_exact(file) } else { Toml::file(file) };
        let mut figment = Figment::from(Serialized::defaults(Self::default())).merge(file);
        figment = environment::merge(figment)?;
        #[cfg(feature = "fault-points")]
        for (variable, key) in [("SHOAL_FAULT_POINT", "fault_point"), ("SHOAL_MUTANT", "mutant")] {
            if let Some(text) = environment::text(variable) {
                figment = figment.merge((key, text));
            }
        }
        if let Some(listen) = flags.listen {
            figment = figment.merge(("http.listen", listen));
        }
        if let Some(data_dir) = &flags.data_dir {
            figment = figment.merge(("database.data_dir", data_dir));
        }
        figment.extract().map_err(|error| Box::new(masked(error)))
    }

    /// The settings as a `shoal.toml`, secrets masked.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("settings are plain values")
    }
}

/// Errors that name settings and not their values: those may be URLs with a password.
fn masked(errors: figment::Error) -> figment::Error {
    let mask = |mut error: figment::Error| {
        match &mut error.kind {
            Kind::InvalidType(Actual::Str(text), _) | Kind::InvalidValue(Actual::Str(text), _) => {
                "***".clone_into(text);
            }
            // Between the place and the reason stands the line itself.
            Kind::Message(text) if text.starts_with("TOML parse error") => {
                let (first, last) = (text.lines().next(), text.lines().next_back());
                *text = format!("{}: {}", first.unwrap_or_default(), last.unwrap_or_default());
            }
            _ => {}
        }
        error
    };
    errors.into_iter().map(mask).reduce(figment::Error::chain).expect("an error is at least one")
}
