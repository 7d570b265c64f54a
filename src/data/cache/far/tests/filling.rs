//! The queue of what is to be written.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::servers::{Server, free_port};
use super::{TTL, fill, hasty, numbered, open, patient, until, write};
use crate::data::cache::far::{Far, Settings};

/// A far tier, and what it counts.
fn counted(settings: &Settings) -> (Far, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (metrics::with_local_recorder(&recorder, || open(settings)), handle)
}

/// A line of the metrics.
fn count(handle: &PrometheusHandle, name: &str) -> u64 {
    let text = handle.render();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

const DROPPED: &str = "shoal_far_fills_dropped_total";

#[tokio::test]
async fn what_does_not_fit_is_dropped() {
    let settings = Settings { fill_queue: 10, ..patient(&format!("redis://127.0.0.1:{}/", free_port())) };
    let (far, counts) = counted(&settings);
    // Nothing else runs meanwhile: on one thread, and this does not wait.
    far.fill((0..25).map(|n| fill(&n.to_string(), "value")));
    assert_eq!(count(&counts, DROPPED), 15);
    // The others are, once they turn out not to be writable; and so is all that follows.
    until("all are dropped", async || count(&counts, DROPPED) == 25).await;
    let outcome = |outcome: &str| format!("shoal_far_requests_total{{command=\"fill\",outcome=\"{outcome}\"}}");
    let mut filled = 25;
    until("the breaker drops some", async || {
        far.fill((0..7).map(|n| fill(&n.to_string(), "value")));
        filled += 7;
        count(&counts, &outcome("breaker")) > 0
    })
    .await;
    until("all are dropped", async || count(&counts, DROPPED) == filled).await;
    assert!(count(&counts, &outcome("failed")) >= 5);
    assert_eq!(count(&counts, &outcome("ok")), 0);
    assert_eq!(count(&counts, "shoal_far_breaker_open"), 1);
}

#[tokio::test]
async fn a_frozen_server_does_not_hold_those_who_fill() {
    let server = Server::start().await;
    let (far, counts) = counted(&Settings { fill_queue: 100, ..hasty(&server.url()) });
    let (names, values) = numbered(100);
    write(&far, &names, &values).await;
    server.freeze().await;
    for _ in 0..100 {
        far.fill(names.iter().map(|name| fill(name, vec![0; 10_000])));
        tokio::task::yield_now().await;
    }
    until("what waited is dropped", async || far.state() == "open").await;
    assert!(count(&counts, DROPPED) >= 9_000);
    server.thaw();
    write(&far, &names, &values).await;
}

#[tokio::test]
async fn a_full_server_is_read_all_the_same() {
    let server = Server::start().await;
    let (far, counts) = counted(&patient(&server.url()));
    let (names, values) = numbered(20);
    write(&far, &names, &values).await;
    let dropped = count(&counts, DROPPED);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for n in 0..20 {
        far.fill([fill(&format!("more:{n}"), "value")]);
        until("it is refused", async || count(&counts, DROPPED) == dropped + n + 1).await;
    }
    assert_eq!(far.state(), "closed");
    assert_eq!(far.get(&names).await, Ok(values.into_iter().map(Some).collect()));
}

#[tokio::test]
async fn what_passes_is_counted() {
    let server = Server::start().await;
    let (far, counts) = counted(&patient(&server.url()));
    assert_eq!(count(&counts, "shoal_far_breaker_open"), 0);
    far.fill([fill("a", "four"), fill("b", "sixsix"), fill("c", "")]);
    let names = super::keys(["a", "b", "c", "d"]);
    until("they are written", async || count(&counts, "shoal_far_bytes_total{direction=\"written\"}") == 10).await;
    assert_eq!(far.get(&names).await.unwrap().iter().flatten().count(), 3);
    assert_eq!(count(&counts, "shoal_far_bytes_total{direction=\"read\"}"), 10);
    assert_eq!(count(&counts, "shoal_far_requests_total{command=\"get\",outcome=\"ok\"}"), 1);
    assert_eq!(count(&counts, "shoal_far_requests_total{command=\"fill\",outcome=\"ok\"}"), 1);
    assert_eq!(count(&counts, "shoal_far_seconds_count{command=\"get\"}"), 1);
    assert_eq!(count(&counts, DROPPED), 0);
    let left = server.ask::<i64>(&["PTTL", "a"]).await;
    assert!(left > 0 && left <= i64::try_from(TTL.as_millis()).unwrap());
}
