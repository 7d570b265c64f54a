//! What is told of a process that runs: its log, its metrics, its traces.

use metrics_exporter_prometheus::PrometheusHandle;

use super::Failure;
use crate::config::{Config, Otlp};
use crate::data::trace::Choice;
use crate::telemetry::traces::Traces;
use crate::telemetry::{self, LogFilter};

/// What sees to it that something is told.
pub(super) struct Watch {
    pub filter: LogFilter,
    pub metrics: PrometheusHandle,
    /// What is traced.
    pub traces: Choice,
    /// Is to be stopped when all that is traced has ended.
    pub collector: Option<Traces>,
}

impl Watch {
    /// Begins to log, to measure and to trace, and to send that where the settings say. Before anything else is begun, within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// For settings that cannot be used.
    pub fn begin(config: &Config) -> Result<Self, Failure> {
        let filter = telemetry::log(&config.log)?;
        let metrics = telemetry::metrics()?;
        let collector = Traces::start(&config.otlp)?;
        let Otlp { trace_ratio, follow_callers, .. } = config.otlp;
        let traces = collector.as_ref().map_or_else(Choice::default, |_| Choice::new(trace_ratio, follow_callers));
        telemetry::otlp::push(&config.otlp, metrics.clone())?;
        Ok(Self { filter, metrics, traces, collector })
    }
}
