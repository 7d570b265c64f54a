//! Metrics for collectors that do not fetch them: what `/metrics` says, sent over OTLP now and then.
//!
//! Made of the very text that Prometheus gets, so that both know the same names and numbers, and counting costs requests no more
//! than it did. Counters lose their `_total`, which is how OpenTelemetry names them: back in Prometheus they have it again.

mod text;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError, Request, ResponseExt};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use url::Url;

use super::otlp::PATIENCE;
use text::{Family, Kind, Sample};

/// Counted since the process began.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Sends metrics, for ever.
pub struct Push {
    pub metrics: PrometheusHandle,
    pub url: Url,
    pub service: String,
    pub pace: Duration,
}

/// When something was counted, in nanoseconds since the epoch.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    now: u64,
}

impl Push {
    pub async fn run(self) {
        let client = HyperClient::with_default_connector(PATIENCE, None);
        let (start, mut pace, mut fails) = (now(), tokio::time::interval(self.pace), false);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let sent = self.send(&client, Span { start, now: now() }).await;
            match &sent {
                Err(error) if !fails => tracing::warn!(%error, "metrics cannot be sent"),
                Ok(()) if fails => tracing::info!("metrics are sent again"),
                _ => {}
            }
            fails = sent.is_err();
        }
    }

    async fn send(&self, client: &HyperClient, span: Span) -> Result<(), HttpError> {
        let body = request(&self.metrics.render(), &self.service, span).encode_to_vec();
        let request = Request::post(self.url.as_str()).header("content-type", "application/x-protobuf");
        client.send_bytes(request.body(body.into())?).await?.error_for_status()?;
        Ok(())
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn request(text: &str, service: &str, span: Span) -> ExportMetricsServiceRequest {
    let resource = Resource {
        attributes: vec![attribute("service.name", service), attribute("service.version", env!("CARGO_PKG_VERSION"))],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "shoal".to_owned(), ..InstrumentationScope::default() };
    let metrics = text::families(text).iter().map(|family| metric(family, span)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn metric(family: &Family<'_>, span: Span) -> Metric {
    let points = || family.samples.iter().map(|sample| point(sample, span)).collect();
    let (name, data) = match family.kind {
        Kind::Counter => (
            family.name.trim_end_matches("_total"),
            Data::Sum(Sum { data_points: points(), aggregation_temporality: CUMULATIVE, is_monotonic: true }),
        ),
        Kind::Gauge => (family.name, Data::Gauge(Gauge { data_points: points() })),
        Kind::Histogram => (
            family.name,
            Data::Histogram(Histogram { data_points: histograms(family, span), aggregation_temporality: CUMULATIVE }),
        ),
    };
    let unit = match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "1",
    };
    let (name, description) = (name.to_owned(), family.help.to_owned());
    Metric { name, description, unit: unit.to_owned(), metadata: Vec::new(), data: Some(data) }
}

fn point(sample: &Sample<'_>, Span { start, now }: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: sample.labels.iter().map(|(name, value)| attribute(name, value)).collect(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(Number::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    }
}

/// Buckets of Prometheus hold all that is smaller, too; those of OpenTelemetry do not.
fn histograms(family: &Family<'_>, Span { start, now }: Span) -> Vec<HistogramDataPoint> {
    let mut points: Vec<HistogramDataPoint> = Vec::new();
    for sample in &family.samples {
        let others = sample.labels.iter().filter(|(name, _)| *name != "le");
        let attributes: Vec<_> = others.map(|(name, value)| attribute(name, value)).collect();
        let point = match points.iter_mut().position(|point| point.attributes == attributes) {
            Some(place) => &mut points[place],
            None => {
                points.push(HistogramDataPoint {
                    attributes,
                    start_time_unix_nano: start,
                    time_unix_nano: now,
                    ..HistogramDataPoint::default()
                });
                points.last_mut().expect("one was pushed")
            }
        };
        match sample.name.strip_prefix(family.name) {
            Some("_sum") => point.sum = Some(sample.value),
            Some("_count") => point.count = sample.value as u64,
            _ => {
                let smaller: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push((sample.value as u64).saturating_sub(smaller));
                let bound =
                    sample.labels.iter().find(|(name, _)| *name == "le").and_then(|(_, bound)| bound.parse().ok());
                point.explicit_bounds.extend(bound.filter(|bound: &f64| bound.is_finite()));
            }
        }
    }
    points
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_gets_is_what_a_collector_gets() {
        let text = "# HELP shoal_reads_total Reads\n# TYPE shoal_reads_total counter\n\
            shoal_reads_total{node=\"primary\"} 3\nshoal_reads_total{node=\"replica-1\"} 4\n\n\
            # TYPE shoal_lag_bytes gauge\nshoal_lag_bytes 1.5\n\n\
            # TYPE shoal_sql_seconds histogram\n\
            shoal_sql_seconds_bucket{node=\"a\",le=\"0.1\"} 2\nshoal_sql_seconds_bucket{node=\"a\",le=\"1\"} 5\n\
            shoal_sql_seconds_bucket{node=\"a\",le=\"+Inf\"} 6\nshoal_sql_seconds_sum{node=\"a\"} 7.5\n\
            shoal_sql_seconds_count{node=\"a\"} 6\n";
        let request = request(text, "shop", Span { start: 1, now: 2 });
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let [reads, lag, seconds] = &metrics[..] else { panic!("{metrics:?}") };
        assert_eq!((reads.name.as_str(), reads.description.as_str()), ("shoal_reads", "Reads"));
        let Some(Data::Sum(sum)) = &reads.data else { panic!("{reads:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        assert_eq!(sum.data_points[1].value, Some(Number::AsDouble(4.0)));
        assert_eq!(sum.data_points[1].attributes, [attribute("node", "replica-1")]);
        assert_eq!((lag.name.as_str(), lag.unit.as_str()), ("shoal_lag_bytes", "By"));
        let Some(Data::Histogram(histogram)) = &seconds.data else { panic!("{seconds:?}") };
        let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
        assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[2, 3, 1][..], &[0.1, 1.0][..]));
        assert_eq!((point.count, point.sum), (6, Some(7.5)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
    }
}
