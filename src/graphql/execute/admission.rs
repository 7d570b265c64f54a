//! How many requests are worked on at once. The rest waits a little, or is refused at once.
//!
//! A burst is worth a wait: it passes. Where most have had to wait for longer than that there are more than can be answered,
//! and each that waits makes all others wait as long; then few wait, and none for longer than a moment, and whoever does not
//! come in by then is told to come back. This is the idea of controlled delay (K. Nichols, V. Jacobson, ACM Queue 10, 5).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Most requests in work; 0 for 8 for each core.
    pub in_work: usize,
    /// Most that wait to be.
    pub waiting: usize,
    /// How long one may wait in a burst, and how long a burst may be, in milliseconds.
    pub burst_ms: u64,
    /// How long one may wait when most have had to for longer than that, in milliseconds.
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
    in_work: usize,
    waiting: AtomicUsize,
    settings: Settings,
    start: Instant,
    crowd: Mutex<Crowd>,
}

/// Who had to wait lately, and who had not. Counted in spans of time as long as a burst may be.
#[derive(Debug, Default)]
struct Crowd {
    span: u128,
    waited: u64,
    did_not: u64,
    /// Whether most had to wait in the span before.
    was_crowded: bool,
}

/// Somebody who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Admission {
    pub fn new(settings: Settings) -> Self {
        let by_cores = || 8 * std::thread::available_parallelism().map_or(1, usize::from);
        let in_work = if settings.in_work == 0 { by_cores() } else { settings.in_work }.min(Semaphore::MAX_PERMITS);
        let (places, waiting, crowd) = (Arc::new(Semaphore::new(in_work)), AtomicUsize::new(0), Mutex::default());
        Self { shared: Arc::new(Shared { places, in_work, waiting, settings, start: Instant::now(), crowd }) }
    }

    /// A place among the requests in work.
    ///
    /// # Errors
    /// When there are too many.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, ServerError> {
        let shared = &self.shared;
        if let Ok(place) = shared.places.clone().try_acquire_owned() {
            shared.crowd(false);
            return Ok(place);
        }
        let Settings { waiting: most, burst_ms, overload_ms, .. } = shared.settings;
        let (most, patience) = match shared.crowd(true) {
            false => (most, burst_ms),
            // More would wait in vain.
            true => (most.min(shared.in_work), overload_ms),
        };
        let waiting = Waiting(&shared.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) < most
            && let place = tokio::time::timeout(Duration::from_millis(patience), shared.places.clone().acquire_owned())
            && let Ok(Ok(place)) = place.await
        {
            return Ok(place);
        }
        counter!("shoal_requests_turned_away_total").increment(1);
        Err(request_error(Code::Unavailable, "there are more requests in work than can be: try again"))
    }
}

impl Shared {
    /// Counts somebody; whether most have had to wait for longer than a burst may be.
    fn crowd(&self, waits: bool) -> bool {
        let span = self.start.elapsed().as_millis() / u128::from(self.settings.burst_ms.max(1));
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if crowd.span != span {
            let was_crowded = crowd.span + 1 == span && crowd.waited > crowd.did_not;
            *crowd = Crowd { span, was_crowded, ..Crowd::default() };
        }
        *(if waits { &mut crowd.waited } else { &mut crowd.did_not }) += 1;
        crowd.was_crowded && crowd.waited > crowd.did_not
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
        let admission = admission(10);
        let _first = admission.enter().await.unwrap();
        *admission.shared.crowd.lock().unwrap() = Crowd { was_crowded: true, ..Crowd::default() };
        assert!(admission.enter().await.is_err());
        // Where most need not wait, it is a burst.
        *admission.shared.crowd.lock().unwrap() = Crowd { was_crowded: true, did_not: 5, ..Crowd::default() };
        assert!(futures_util::poll!(Box::pin(admission.enter())).is_pending());
        // What is long ago does not count.
        *admission.shared.crowd.lock().unwrap() = Crowd { span: 7, waited: 9, ..Crowd::default() };
        assert!(futures_util::poll!(Box::pin(admission.enter())).is_pending());
    }
}
