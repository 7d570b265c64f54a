//! How many requests are worked on at once. The rest waits a little, or is refused at once.
//!
//! A burst is worth a wait: it passes. Where nobody has come in without a wait for longer than that, there are more than can be
//! answered, and each that waits makes all others wait as long. Then few wait, and whoever does not find room among them is told
//! at once to come back. What tells the two apart is the shortest wait for some time, which is the idea of
//! controlled delay (K. Nichols, V. Jacobson, ACM Queue 10, 5): clients that take turns, however many, wait for each other briefly
//! and are no overload. In one, no more are in work than it takes to answer as many ([`Knee`]).

mod knee;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_graphql::ServerError;
use metrics::counter;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::data::current::Current;
use crate::graphql::error::{Code, request_error};
use knee::Knee;

/// How many requests are worked on at once, `[admission]` in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Most requests in work; 0 for 8 for each core.
    pub in_work: usize,
    /// Most that wait to be.
    pub waiting: usize,
    /// How long one may wait, and how long a burst may be, in milliseconds.
    pub burst_ms: u64,
    /// The wait that, when all have had to for as long as a burst may be, makes it an overload, in milliseconds.
    pub overload_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { in_work: 0, waiting: 1000, burst_ms: 1000, overload_ms: 50 }
    }
}

/// Lets requests in. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    shared: Current<Shared>,
}

struct Shared {
    places: Arc<Semaphore>,
    in_work: usize,
    waiting: AtomicUsize,
    settings: Settings,
    crowd: Mutex<Crowd>,
}

/// How long one has to wait.
#[derive(Debug, Default)]
struct Crowd {
    /// Since when all have had to for too long.
    crowded_since: Option<Instant>,
    turned_away_at: Option<Instant>,
    /// In an overload, how many are to be in work.
    overload: Option<Knee>,
    /// Places that are not given away.
    withheld: usize,
}

/// A place among the requests in work, until it is dropped.
pub struct Place {
    /// Taken when it is given back.
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

/// Somebody who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Admission {
    pub fn new(settings: Settings) -> Self {
        Self { shared: Current::new(Shared::new(settings)) }
    }

    /// Goes by other settings from now on. Who is let in, or waits, is not counted among those who come.
    pub fn change(&self, settings: Settings) {
        if self.shared.get().settings != settings {
            self.shared.set(Shared::new(settings));
        }
    }

    /// A place among the requests in work.
    ///
    /// # Errors
    /// When there are too many.
    pub async fn enter(&self) -> Result<Place, ServerError> {
        let shared = self.shared.get();
        let place = |permit| Place { permit: Some(permit), shared: shared.clone() };
        if let Ok(permit) = shared.places.clone().try_acquire_owned() {
            shared.crowd().crowded_since = None;
            return Ok(place(permit));
        }
        shared.check()?;
        let (waiting, start) = (Waiting::new(&shared.waiting), Instant::now());
        let patience = Duration::from_millis(shared.settings.burst_ms);
        let permit = tokio::time::timeout(patience, shared.places.clone().acquire_owned()).await;
        drop(waiting);
        let (now, overload) = (Instant::now(), Duration::from_millis(shared.settings.overload_ms));
        shared.crowd().waited(now - start > overload, now);
        match permit {
            Ok(Ok(permit)) => Ok(place(permit)),
            _ => Err(shared.turn_away()),
        }
    }

    /// Whether a request that comes now may at least wait: the sooner one is turned away, the less it costs.
    ///
    /// # Errors
    /// When too many wait.
    pub fn check(&self) -> Result<(), ServerError> {
        self.shared.get().check()
    }
}

impl Shared {
    fn new(settings: Settings) -> Self {
        let by_cores = || 8 * std::thread::available_parallelism().map_or(1, usize::from);
        let in_work = if settings.in_work == 0 { by_cores() } else { settings.in_work }.min(Semaphore::MAX_PERMITS);
        let (places, waiting, crowd) = (Arc::new(Semaphore::new(in_work)), AtomicUsize::new(0), Mutex::default());
        Self { places, in_work, waiting, settings, crowd }
    }

    fn check(&self) -> Result<(), ServerError> {
        if self.places.available_permits() > 0 {
            return Ok(());
        }
        let most = match self.crowd().overload(Instant::now(), self) {
            // More would wait in vain.
            Some(knee) => self.settings.waiting.min(knee.limit() / 2),
            None => self.settings.waiting,
        };
        match self.waiting.load(Ordering::Relaxed) < most {
            true => Ok(()),
            false => Err(self.turn_away()),
        }
    }

    fn turn_away(&self) -> ServerError {
        self.crowd().turned_away_at = Some(Instant::now());
        counter!("shoal_requests_turned_away_total").increment(1);
        request_error(Code::Unavailable, "there are more requests in work than can be: try again")
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn burst(&self) -> Duration {
        Duration::from_millis(self.settings.burst_ms)
    }

    /// Somebody goes, whose place is for others, unless fewer are to be in work.
    fn leave(&self, permit: OwnedSemaphorePermit) {
        let now = Instant::now();
        let mut crowd = self.crowd();
        let limit = match crowd.overload(now, self) {
            Some(knee) => {
                knee.answered(now);
                knee.limit()
            }
            None => self.in_work,
        };
        let surplus = self.in_work - limit;
        if crowd.withheld < surplus {
            crowd.withheld += 1;
            permit.forget();
        } else if crowd.withheld > surplus {
            self.places.add_permits(crowd.withheld - surplus);
            crowd.withheld = surplus;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.shared.leave(permit);
        }
    }
}

impl Crowd {
    /// Somebody has waited.
    fn waited(&mut self, for_long: bool, now: Instant) {
        match for_long {
            true => self.crowded_since = self.crowded_since.or(Some(now)),
            false => self.crowded_since = None,
        }
    }

    /// It is one when all have had to wait for as long as a burst may be, until for as long nobody is turned away.
    fn overload(&mut self, now: Instant, shared: &Shared) -> Option<&mut Knee> {
        let is_since = |time: Option<Instant>| time.map(|time| now.saturating_duration_since(time));
        let burst = shared.burst();
        match self.overload {
            Some(_) if is_since(self.turned_away_at).is_none_or(|time| time >= burst) => self.overload = None,
            None if is_since(self.crowded_since).is_some_and(|time| time >= burst) => {
                (self.overload, self.turned_away_at) = (Some(Knee::new(shared.in_work, now)), Some(now));
            }
            _ => {}
        }
        self.overload.as_mut()
    }
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
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
        assert_eq!(admission.shared.get().waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let admission = admission(1);
        let _first = admission.enter().await.unwrap();
        let mut waits = Box::pin(admission.enter());
        assert!(futures_util::poll!(&mut waits).is_pending());
        let Err(refused) = admission.enter().await else { panic!("there is no room") };
        assert_eq!(crate::graphql::error::code(&refused), "UNAVAILABLE");
        // Whoever gives up makes room.
        drop(waits);
        assert!(futures_util::poll!(Box::pin(admission.enter())).is_pending());
    }

    #[tokio::test]
    async fn in_an_overload_few_wait() {
        let settings = Settings { in_work: 2, waiting: 10, burst_ms: 60_000, overload_ms: 0 };
        let admission = Admission::new(settings);
        let _places = (admission.enter().await.unwrap(), admission.enter().await.unwrap());
        begin_overload(&admission);
        let mut waits = Box::pin(admission.enter());
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert!(admission.check().is_err());
        assert!(admission.enter().await.is_err());
        drop(waits);
        assert!(admission.check().is_ok());
    }

    fn begin_overload(admission: &Admission) {
        let now = Instant::now();
        let shared = admission.shared.get();
        let overload = Some(Knee::new(shared.in_work, now));
        *shared.crowd() = Crowd { overload, turned_away_at: Some(now), ..Crowd::default() };
    }

    #[tokio::test]
    async fn places_that_an_overload_withholds_come_back() {
        let settings = Settings { in_work: 16, waiting: 0, burst_ms: 60_000, overload_ms: 0 };
        let admission = Admission::new(settings);
        begin_overload(&admission);
        let shared = admission.shared.get();
        let free = || shared.places.available_permits();
        while free() == 16 {
            drop(admission.enter().await.unwrap());
        }
        shared.crowd().overload = None;
        drop(admission.enter().await.unwrap());
        assert_eq!(free(), 16);
    }

    #[tokio::test]
    async fn bounds_may_change() {
        let admission = admission(0);
        let _first = admission.enter().await.unwrap();
        assert!(admission.enter().await.is_err());
        admission.change(Settings { in_work: 2, waiting: 0, burst_ms: 60_000, overload_ms: 0 });
        let _two = (admission.enter().await.unwrap(), admission.enter().await.unwrap());
        assert!(admission.enter().await.is_err());
    }

    #[test]
    fn an_overload_is_when_all_wait_long_and_lasts_while_some_are_turned_away() {
        let admission = Admission::new(Settings { burst_ms: 1000, ..Settings::default() });
        let shared = &admission.shared.get();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut crowd = Crowd::default();
        crowd.waited(true, at(0));
        crowd.waited(false, at(900));
        crowd.waited(true, at(950));
        assert!(crowd.overload(at(1949), shared).is_none(), "somebody has come in soon");
        crowd.waited(true, at(1900));
        assert!(crowd.overload(at(1950), shared).is_some());
        crowd.waited(false, at(1960));
        assert!(crowd.overload(at(2949), shared).is_some(), "few wait now, and not for long");
        assert!(crowd.overload(at(2950), shared).is_none());
        assert!(crowd.overload(at(9000), shared).is_none());
    }
}
