//! How many requests are worked on at once. The rest waits a little, or is refused at once.
//!
//! A burst is worth a wait: it passes. Where requests have been waiting for a while there are more than can be answered,
//! and each that waits makes all others wait as long; then nobody waits for longer than a moment, and whoever does not
//! come in by then is told to come back. This is controlled delay, as "Fail at Scale" (ACM Queue 13, 8) has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_graphql::ServerError;
use metrics::counter;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::graphql::error::{Code, request_error};

/// How many requests are worked on at once, `[admission]` in the settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Most requests in work; 0 for 16 for each core.
    pub in_work: usize,
    /// Most that wait to be.
    pub waiting: usize,
    /// How long one may wait in a burst, and how long a burst may be, in milliseconds.
    pub burst_ms: u64,
    /// How long one may wait when it has been one for longer, in milliseconds.
    pub overload_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { in_work: 0, waiting: 1000, burst_ms: 1000, overload_ms: 5 }
    }
}

/// Lets requests in. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

struct Shared {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    settings: Settings,
    start: Instant,
    /// When somebody came in without a wait, in milliseconds since the start.
    last_free: AtomicU64,
}

/// Somebody who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Admission {
    pub fn new(settings: Settings) -> Self {
        let by_cores = || 16 * std::thread::available_parallelism().map_or(1, usize::from);
        let in_work = if settings.in_work == 0 { by_cores() } else { settings.in_work };
        let places = Arc::new(Semaphore::new(in_work.min(Semaphore::MAX_PERMITS)));
        let (start, last_free) = (Instant::now(), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { places, waiting: AtomicUsize::new(0), settings, start, last_free }) }
    }

    /// A place among the requests in work.
    ///
    /// # Errors
    /// When there are too many.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, ServerError> {
        let shared = &self.shared;
        if let Ok(place) = shared.places.clone().try_acquire_owned() {
            shared.last_free.store(shared.now(), Ordering::Relaxed);
            return Ok(place);
        }
        let waiting = Waiting(&shared.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) < shared.settings.waiting
            && let Ok(Ok(place)) = tokio::time::timeout(shared.patience(), shared.places.clone().acquire_owned()).await
        {
            return Ok(place);
        }
        counter!("shoal_requests_turned_away_total").increment(1);
        Err(request_error(Code::Unavailable, "there are more requests in work than can be: try again"))
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn patience(&self) -> Duration {
        let crowded = self.now().saturating_sub(self.last_free.load(Ordering::Relaxed));
        let Settings { burst_ms, overload_ms, .. } = self.settings;
        Duration::from_millis(if crowded < burst_ms { burst_ms } else { overload_ms })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(waiting: usize) -> Admission {
        Admission::new(Settings { in_work: 1, waiting, burst_ms: 60_000, overload_ms: 0 })
    }

    #[tokio::test]
    async fn a_burst_waits_for_its_turn() {
        let admission = admission(2);
        let first = admission.enter().await.unwrap();
        let (one, another) = (admission.enter(), admission.enter());
        let release = async { drop(first) };
        let (one, another, ()) = tokio::join!(async { drop(one.await.unwrap()) }, another, release);
        assert!(another.is_ok());
        let () = one;
        assert_eq!(admission.shared.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let admission = admission(1);
        let _first = admission.enter().await.unwrap();
        let mut waits = Box::pin(admission.enter());
        assert!(futures_util::poll!(&mut waits).is_pending());
        let refused = admission.enter().await.unwrap_err();
        assert_eq!(crate::graphql::error::code(&refused), "UNAVAILABLE");
        // Whoever gives up makes room.
        drop(waits);
        assert!(futures_util::poll!(Box::pin(admission.enter())).is_pending());
    }

    #[tokio::test]
    async fn where_it_has_been_crowded_for_long_nobody_waits() {
        let mut admission = admission(10);
        Arc::get_mut(&mut admission.shared).unwrap().settings.burst_ms = 0;
        let _first = admission.enter().await.unwrap();
        assert!(admission.enter().await.is_err());
    }
}
