//! Where telemetry is sent: a collector that takes OTLP over HTTP.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use url::Url;

use super::push::Push;
use crate::config::Otlp;

/// How long sending may take, and sending what is left when the process stops.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Where a collector takes a signal, `traces` or `metrics`; none without a collector.
///
/// # Errors
/// For an address that cannot be used.
pub fn place(settings: &Otlp, signal: &str) -> Result<Option<Url>, String> {
    let Some(endpoint) = &settings.endpoint else { return Ok(None) };
    let mut url = endpoint.expose().clone();
    if url.scheme() != "http" {
        return Err("otlp.endpoint must be http://…: a collector nearby is to go on from there over TLS".to_owned());
    }
    url.path_segments_mut().map_err(|()| "otlp.endpoint is no server")?.pop_if_empty().extend(["v1", signal]);
    Ok(Some(url))
}

/// Sends metrics from now on, if there is somewhere to send them to.
///
/// # Errors
/// For an address that cannot be used.
pub fn push(settings: &Otlp, metrics: PrometheusHandle) -> Result<(), String> {
    if let Some(url) = place(settings, "metrics")?.filter(|_| settings.metrics_s > 0) {
        let pace = Duration::from_secs(settings.metrics_s);
        tokio::spawn(Push { metrics, url, service: settings.service.clone(), pace }.run());
    }
    Ok(())
}
