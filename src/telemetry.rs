//! Logs and metrics: where they go, and what the metrics mean.

mod flood;
pub mod otlp;
mod push;
pub mod traces;

use std::io::IsTerminal;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};
use flood::Flood;

/// Seconds, from a cache hit to a hopeless query.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds of an answer from the far tier, which is useless when it is not quick.
const FAR_SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];
/// Keys of a batch.
const KEYS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// What decides what is logged, and can be changed.
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Logs by this from now on.
    ///
    /// # Errors
    /// For a filter that cannot be understood.
    pub fn change(&self, filter: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.reload(EnvFilter::try_new(filter)?)?)
    }
}

/// Starts logging to stderr. Within a Tokio runtime.
///
/// # Errors
/// For a filter that cannot be understood.
pub fn log(settings: &Log) -> Result<LogFilter, Box<dyn std::error::Error + Send + Sync>> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&settings.filter)?);
    let (flood, left_out) = Flood::new(settings.per_second);
    tokio::spawn(left_out.tell());
    // Whoever collects logs wants no colours.
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).with(flood).try_init()?;
    Ok(LogFilter(handle))
}

/// Installs the recorder of metrics: call it before anything is measured.
///
/// # Errors
/// When there is a recorder already.
pub fn metrics() -> Result<PrometheusHandle, Box<dyn std::error::Error + Send + Sync>> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full("shoal_far_seconds".to_owned()), FAR_SECONDS)?
        .set_buckets_for_metric(Matcher::Full("shoal_batch_keys".to_owned()), KEYS)?
        .install_recorder()?;
    describe_counter!("shoal_http_requests_total", "HTTP requests answered, by route and status");
    describe_histogram!("shoal_http_seconds", Unit::Seconds, "Time to answer an HTTP request, by route");
    describe_gauge!("shoal_http_connections", "Connections open");
    describe_counter!("shoal_http_connections_refused_total", "Connections above the bound");
    describe_counter!("shoal_http_connections_cut_total", "Connections closed because they kept the server waiting");
    describe_counter!("shoal_graphql_errors_total", "Errors in GraphQL answers, by code");
    describe_counter!("shoal_sql_statements_total", "SQL statements sent for requests, by node");
    describe_counter!("shoal_sql_failures_total", "SQL statements that failed, by node");
    describe_histogram!("shoal_sql_seconds", Unit::Seconds, "Time of a SQL statement with its wait for a connection");
    describe_counter!("shoal_sql_slow_total", "SQL statements that took too long, by operation");
    describe_counter!("shoal_sql_budget_exceeded_total", "Operations that cost more statements than they may");
    describe_counter!("shoal_sql_conflicts_total", "Reads that a replica gave up for what it had to replay, by node");
    describe_counter!("shoal_reads_total", "Reads answered, by node and why it was chosen");
    describe_counter!("shoal_reads_refused_total", "Reads that the primary did not take in the place of replicas");
    describe_counter!("shoal_tokens_total", "Tokens that clients brought, by outcome");
    describe_counter!("shoal_token_waits_total", "Waits for a replica to reach a token, by outcome");
    describe_gauge!("shoal_node_up", "Whether a server answers as what it should be, by node");
    describe_gauge!("shoal_node_position", Unit::Bytes, "How far a server is in the WAL, by node");
    describe_gauge!("shoal_replica_usable", "Whether a replica may answer, by node");
    describe_gauge!("shoal_replica_lag_bytes", Unit::Bytes, "How far a replica is behind the primary, by node");
    describe_gauge!("shoal_replica_lag_seconds", Unit::Seconds, "For how long a replica has been behind, by node");
    describe_counter!("shoal_cache_hits_total", "Keys that a tier served, by resource and tier");
    describe_counter!("shoal_cache_misses_total", "Keys that a tier did not serve, by resource, tier and reason");
    describe_counter!("shoal_cache_fills_total", "Values put into a tier, by resource and tier");
    describe_histogram!("shoal_cache_age_seconds", Unit::Seconds, "Age of values served, some of them, by tier");
    describe_gauge!("shoal_cache_near_bytes", Unit::Bytes, "What the near tier holds, by its own estimate");
    describe_gauge!("shoal_cache_near_entries", "Values in the near tier");
    describe_gauge!("shoal_cache_hit_rate", "The part of all keys that the tiers served since the start");
    describe_counter!(
        "shoal_cache_refreshed_total",
        "Hot rows kept anew as the log told that they changed, by resource and outcome"
    );
    describe_counter!("shoal_cache_audits_total", "Hits compared with the primary, by resource and outcome");
    describe_counter!("shoal_cache_audit_mismatch_total", "Hits that were wrong, by resource: stays 0");
    describe_counter!("shoal_loads_joined_total", "Keys that waited for the load of another request, by resource");
    describe_gauge!("shoal_feed_follows", "Whether the feed follows the log of the primary");
    describe_gauge!("shoal_feed_position", Unit::Bytes, "The position through which the fences are complete");
    describe_gauge!("shoal_feed_lag_seconds", Unit::Seconds, "For how long the primary has been past that, at least");
    describe_counter!("shoal_feed_commits_total", "Commits that the log has told of");
    describe_counter!("shoal_feed_losses_total", "How often the feed was lost");
    describe_counter!("shoal_feed_floor_raises_total", "How often all that was kept became void, by reason");
    describe_counter!("shoal_feed_fingerprint_changes_total", "Changes of tables or their publication");
    describe_counter!("shoal_feed_barrier_waits_total", "Waits for commits that the primary did not show yet");
    describe_counter!("shoal_events_total", "Events that somebody listened to, by topic");
    describe_counter!("shoal_event_resolutions_total", "Events resolved for all who subscribed to the same");
    describe_gauge!("shoal_subscriptions", "Subscriptions open");
    describe_gauge!("shoal_sockets", "WebSockets open");
    describe_counter!("shoal_subscriptions_cut_total", "Subscriptions ended before their subscribers did, by reason");
    describe_counter!("shoal_writes_total", "Changes that were tried, by work and outcome");
    describe_counter!(
        "shoal_write_retries_total",
        "Transactions that were run again because they lost to another, by work"
    );
    describe_histogram!("shoal_write_seconds", Unit::Seconds, "Time of a change with its retries, by work");
    describe_counter!("shoal_rows_written_total", "Rows written and committed, by table and operation");
    describe_gauge!("shoal_jobs_waiting", "Jobs that wait, by kind");
    describe_gauge!(
        "shoal_jobs_oldest_seconds",
        Unit::Seconds,
        "For how long the first that is due has waited, by kind"
    );
    describe_counter!("shoal_jobs_total", "Attempts at jobs, by kind and outcome");
    describe_histogram!("shoal_job_seconds", Unit::Seconds, "Time of an attempt at a job, by kind");
    describe_counter!("shoal_mails_total", "Mails handed to the server or kept as files, and others, by outcome");
    describe_counter!("shoal_rate_limited_total", "Requests of clients that had asked for too much");
    describe_counter!("shoal_requests_turned_away_total", "Requests that found too many others in work");
    describe_counter!("shoal_requests_timed_out_total", "Executions given up because they took too long");
    describe_counter!("shoal_documents_not_trusted_total", "Requests with a document that no manifest has");
    describe_counter!("shoal_pool_waits_total", "Waits for a connection, by node");
    describe_histogram!("shoal_batch_keys", Unit::Count, "Keys loaded together, by source and kind");
    describe_gauge!("shoal_pool_connections", "Connections open, by node");
    describe_gauge!("shoal_pool_idle", "Connections open and idle, by node");
    describe_counter!("shoal_far_requests_total", "Batches for the far tier, by command and outcome");
    describe_histogram!(
        "shoal_far_seconds",
        Unit::Seconds,
        "Time of a batch that was sent to the far tier, by command"
    );
    describe_gauge!("shoal_far_breaker_open", "Whether the far tier is left alone because it failed");
    describe_counter!("shoal_far_fills_dropped_total", "Entries that were not written to the far tier");
    describe_counter!("shoal_far_bytes_total", Unit::Bytes, "Values read from the far tier and written, by direction");
    Ok(handle)
}

/// Keeps the histograms of the recorder from growing. Runs for ever.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut interval = tokio::time::interval(Duration::from_secs(5));
    loop {
        interval.tick().await;
        handle.run_upkeep();
    }
}
