//! The near tier: what this process keeps in memory, bounded by bytes.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::miss::Miss;
use super::place::Place;
use crate::data::position::{Position, Universe};

/// What an entry takes besides its value: its place, its stamp, and what the tier itself needs to find and to forget it.
const OVERHEAD: usize = 740;

/// A value that was kept; none where nothing was found.
#[derive(Debug)]
pub struct Entry<T> {
    pub value: Option<T>,
    pub stamp: Position,
    universe: Universe,
    pub filled: Instant,
    expires: Instant,
    /// Whether the far tier has it, too.
    is_far: bool,
    hits: AtomicU32,
}

/// What can be told of an entry whatever its value.
trait AnyEntry: Any + Send + Sync {
    fn hits(&self) -> u32;
}

impl<T: Send + Sync + 'static> AnyEntry for Entry<T> {
    fn hits(&self) -> u32 {
        self.hits()
    }
}

#[derive(Clone)]
struct Held {
    entry: Arc<dyn AnyEntry>,
    bytes: u32,
}

/// A tier of so many bytes. Cheap to clone.
#[derive(Clone)]
pub struct Near {
    held: Cache<Place, Held, RandomState>,
}

impl<T> Entry<T> {
    /// One that has expired, until it is kept.
    pub fn new(value: Option<T>, (universe, stamp): (Universe, Position), filled: Instant) -> Self {
        Self { value, stamp, universe, filled, expires: filled, is_far: false, hits: AtomicU32::new(0) }
    }

    /// It was served so often before it changed.
    #[must_use]
    pub fn served(self, hits: u32) -> Self {
        Self { hits: hits.into(), ..self }
    }

    /// The far tier has it, too, or `is_far` is false.
    #[must_use]
    pub fn far(self, is_far: bool) -> Self {
        Self { is_far, ..self }
    }

    /// Whether the far tier is to have it, too: now that it is served for the first time it is known to be of use.
    pub fn is_for_far(&self, hits_before: u32) -> bool {
        hits_before == 0 && !self.is_far
    }

    /// How often it was served since it was kept.
    pub fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// It is served; how often it was before.
    pub fn hit(&self) -> u32 {
        self.hits.fetch_add(1, Ordering::Relaxed)
    }
}

impl Near {
    pub fn new(bytes: u64) -> Self {
        let held = Cache::builder().max_capacity(bytes).weigher(|_, held: &Held| held.bytes);
        Self { held: held.build_with_hasher(RandomState::default()) }
    }

    /// Whether there is something, of whatever history. Asking that is not remembered, unlike asking for it: what is asked
    /// for most is kept longest, and that costs as much as to find it.
    pub fn has(&self, place: &Place) -> bool {
        self.held.contains_key(place)
    }

    /// What is kept of a history and has not expired, or why there is nothing.
    pub fn get<T: Send + Sync + 'static>(
        &self,
        place: &Place,
        universe: Universe,
        now: Instant,
    ) -> Result<Arc<Entry<T>>, Miss> {
        let entry: Arc<dyn Any + Send + Sync> = self.held.get(place).ok_or(Miss::Absent)?.entry;
        match entry.downcast::<Entry<T>>() {
            Ok(entry) if entry.universe != universe => Err(Miss::Absent),
            Ok(entry) if entry.expires <= now => {
                self.held.invalidate(place);
                Err(Miss::Expired)
            }
            Ok(entry) => Ok(entry),
            Err(_) => Err(Miss::Absent),
        }
    }

    /// Keeps a value whose encoding has `size` bytes for so long.
    pub fn put<T: Send + Sync + 'static>(&self, place: Place, mut entry: Entry<T>, lifetime: Duration, size: usize) {
        entry.expires = entry.filled + lifetime;
        let bytes = u32::try_from(size.saturating_mul(2) + OVERHEAD).unwrap_or(u32::MAX);
        self.held.insert(place, Held { entry: Arc::new(entry), bytes });
    }

    /// How often a value was served since it was kept; none if it is not kept.
    pub fn hits(&self, place: &Place) -> Option<u32> {
        self.held.get(place).map(|held| held.entry.hits())
    }

    /// Forgets everything: none of it can be served any more.
    pub fn clear(&self) {
        self.held.invalidate_all();
    }

    /// Bytes that are kept, by the estimate that bounds them, and entries.
    pub fn usage(&self) -> (u64, u64) {
        // What was put there a moment ago counts.
        self.held.run_pending_tasks();
        (self.held.weighted_size(), self.held.entry_count())
    }
}
