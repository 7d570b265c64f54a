//! Keeps what goes wrong again and again from flooding the log.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const SECOND: Duration = Duration::from_secs(1);
/// How often it is said what was left out.
const PACE: Duration = Duration::from_secs(10);

/// Lets so many lines through per second of each place in the code. The places are a bound of what is remembered.
pub struct Flood {
    per_second: u32,
    /// By the addresses of what is known of them.
    places: Mutex<HashMap<usize, (Instant, u32)>>,
    left_out: Arc<AtomicU64>,
}

/// How many lines were left out.
pub struct LeftOut(Arc<AtomicU64>);

impl Flood {
    /// With 0 it lets all through.
    pub fn new(per_second: u32) -> (Self, LeftOut) {
        let left_out = Arc::new(AtomicU64::new(0));
        (Self { per_second, places: Mutex::default(), left_out: left_out.clone() }, LeftOut(left_out))
    }

    fn passes(&self, place: usize, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = places.entry(place).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= SECOND {
            (*since, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        *lines <= self.per_second
    }
}

impl<S: Subscriber> Layer<S> for Flood {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let passes = self.per_second == 0 || self.passes(std::ptr::from_ref(event.metadata()).addr(), Instant::now());
        if !passes {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        passes
    }
}

impl LeftOut {
    /// Says now and then how many lines were left out, for ever.
    pub async fn tell(self) {
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            let lines = self.0.swap(0, Ordering::Relaxed);
            if lines > 0 {
                tracing::warn!(
                    lines,
                    "lines of the log were left out: more than log.per_second at one place in the code"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Counts what gets through.
    struct Count(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lines_of(per_second: u32) -> (u64, u64) {
        let (count, (flood, left_out)) = (Arc::default(), Flood::new(per_second));
        let subscriber = tracing_subscriber::registry().with(Count(Arc::clone(&count))).with(flood);
        tracing::subscriber::with_default(subscriber, || {
            for line in 0..20 {
                tracing::error!(line, "again and again");
            }
            tracing::error!("something else");
        });
        (count.load(Ordering::Relaxed), left_out.0.load(Ordering::Relaxed))
    }

    #[test]
    fn one_place_does_not_take_the_lines_of_others() {
        assert_eq!(lines_of(5), (6, 15));
        assert_eq!(lines_of(0), (21, 0));
    }

    #[test]
    fn after_a_second_there_are_lines_again() {
        let ((flood, _), now) = (Flood::new(1), Instant::now());
        assert!(flood.passes(7, now) && !flood.passes(7, now + SECOND / 2));
        assert!(flood.passes(7, now + SECOND));
    }
}
