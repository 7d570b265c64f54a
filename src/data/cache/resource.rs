//! What is kept of one resource, for how long, and how well that goes.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use metrics::{Counter, Histogram, counter, histogram};
use serde::{Deserialize, Serialize};

use super::envelope::Envelope;
use super::far::Fill;
use super::miss::Miss;
use super::near::{Entry, Near};
use super::place::Place;
use crate::data::host;
use crate::data::position::Position;

/// What the near tier has where there is memory enough, and the part of the host's that it takes at most.
const NEAR_BYTES: u64 = 256 << 20;
const NEAR_PART: u64 = 4;

/// The caches.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether there are none.
    pub off: bool,
    /// Memory of the near tier, in bytes; 0 for none.
    pub near_bytes: u64,
    /// After how long a value is read anew, in seconds, even if nothing is known to have changed.
    pub ttl_s: u64,
    /// Part of all keys: two that have different ones share nothing in one Redis.
    pub namespace: String,
    /// Whether rows that are often served are kept anew as soon as they change.
    pub refresh: bool,
    /// How many of a thousand hits are compared with the primary in the background.
    pub audit_per_mille: u32,
    /// What differs for one table, list or aggregate, by its name.
    pub resources: BTreeMap<String, ResourceSettings>,
}

/// Settings of one table, list or aggregate; what is not set is as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceSettings {
    /// Whether nothing of it is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// The part of the near tier, in percent, that is its own: no more, and nobody else's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            off: false,
            near_bytes: host::memory().map_or(NEAR_BYTES, |memory| NEAR_BYTES.min(memory / NEAR_PART)),
            ttl_s: 3600,
            namespace: String::new(),
            refresh: true,
            audit_per_mille: 10,
            resources: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// How long values of a resource are kept, in seconds.
    fn ttl_of(&self, name: &str) -> u64 {
        self.resources.get(name).and_then(|own| own.ttl_s).unwrap_or(self.ttl_s)
    }
}

/// A row that was served so often since it was kept is worth to be kept anew when it changes.
const HOT: u32 = 2;

/// How one tier serves one resource.
pub struct Meters {
    pub hits: Counter,
    misses: [Counter; Miss::ALL.len()],
    pub fills: Counter,
    pub age: Histogram,
}

impl Meters {
    fn of(resource: &'static str, tier: &'static str) -> Self {
        let miss = |miss: Miss| {
            let reason = miss.name();
            counter!("shoal_cache_misses_total", "resource" => resource, "tier" => tier, "reason" => reason)
        };
        Self {
            hits: counter!("shoal_cache_hits_total", "resource" => resource, "tier" => tier),
            misses: Miss::ALL.map(miss),
            fills: counter!("shoal_cache_fills_total", "resource" => resource, "tier" => tier),
            age: histogram!("shoal_cache_age_seconds", "resource" => resource, "tier" => tier),
        }
    }

    pub fn missed(&self, miss: Miss) {
        self.have_missed(miss, 1);
    }

    pub fn have_missed(&self, miss: Miss, keys: usize) {
        if keys > 0 {
            self.misses[miss as usize].increment(keys as u64);
        }
    }
}

/// Whether something pays: to ask the far tier costs about as much as a small statement, and to keep something near a good
/// part of that, for nothing where they seldom have what is asked for.
#[derive(Debug)]
struct Worth {
    /// Before so many keys were asked for nothing is known.
    few: u32,
    /// Keys asked for lately, and those that were there.
    asked: AtomicU32,
    served: AtomicU32,
    turn: AtomicU32,
}

impl Worth {
    /// So many times as many are remembered.
    const MEMORY: u32 = 16;
    /// If less than this part was there, it is used seldom: this part of the time, to learn whether that has changed.
    const PART: u32 = 16;
    const SELDOM: u32 = 32;

    fn after(few: u32) -> Self {
        Self { few, asked: AtomicU32::default(), served: AtomicU32::default(), turn: AtomicU32::default() }
    }

    fn pays(&self) -> bool {
        let (asked, served) = (self.asked.load(Ordering::Relaxed), self.served.load(Ordering::Relaxed));
        asked < self.few
            || served.saturating_mul(Self::PART) >= asked
            || self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(Self::SELDOM)
    }

    fn learn(&self, asked: usize, served: usize) {
        let count = |count: &AtomicU32, more: usize| {
            count.fetch_add(u32::try_from(more).unwrap_or(u32::MAX), Ordering::Relaxed)
        };
        count(&self.served, served);
        if count(&self.asked, asked) > Self::MEMORY * self.few {
            // What is lost between the two loads makes no difference.
            self.asked.store(self.asked.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            self.served.store(self.served.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }
}

/// A table, list or aggregate that is declared.
pub struct Resource {
    worth: Worth,
    far_worth: Worth,
    pub near: Option<Near>,
    /// In seconds.
    ttl: AtomicU64,
    pub is_off: bool,
    pub(super) refresh: bool,
    pub in_near: Meters,
    pub in_far: Meters,
}

impl Resource {
    /// Whether it pays to keep what of it is read, and to look whether somebody else is reading it. Without a near tier
    /// nobody would know.
    pub fn pays(&self) -> bool {
        self.near.is_none() || self.worth.pays()
    }

    /// Of so many keys, asked for while it paid, so many came from a tier or with the load of another request.
    pub fn saved(&self, asked: usize, saved: usize) {
        self.worth.learn(asked, saved);
    }

    /// Whether what was served so often since it was kept is kept anew when it changes.
    pub fn is_hot(&self, hits: u32) -> bool {
        self.refresh && hits >= HOT
    }

    /// Whether it pays to ask the far tier for some of it.
    pub fn far_pays(&self) -> bool {
        self.far_worth.pays()
    }

    /// Of so many keys the far tier served so many.
    pub fn far_had(&self, asked: usize, served: usize) {
        self.far_worth.learn(asked, served);
    }

    /// Keeps a value near, if there is room for any.
    pub fn keep<T: Send + Sync + 'static>(&self, place: Place, entry: Entry<T>, size: usize) {
        if let Some(near) = &self.near {
            let lifetime = self.lifetime(&place);
            near.put(place, entry, lifetime, size);
            self.in_near.fills.increment(1);
        }
    }

    /// A value on its way into the far tier; none where nothing was found is one, too.
    pub fn for_far<T: Serialize>(
        &self,
        place: &Place,
        prefix: &str,
        (stamp, value): (Position, Option<&T>),
    ) -> Option<Fill> {
        let value = Envelope::of_now(stamp).seal(value)?;
        self.in_far.fills.increment(1);
        Some(Fill { key: place.far_key(prefix), value, ttl: self.ttl() })
    }

    /// How long a value is kept: up to a tenth less than the setting, so that what came together does not go together.
    fn lifetime(&self, place: &Place) -> Duration {
        let jitter = FixedState::default().hash_one(place) as u32;
        self.ttl().mul_f64(1.0 - 0.1 * f64::from(jitter) / f64::from(u32::MAX))
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl.load(Ordering::Relaxed))
    }

    /// Keeps values for as long as other settings say, from now on.
    pub fn change_ttl(&self, name: &str, settings: &Settings) {
        self.ttl.store(settings.ttl_of(name), Ordering::Relaxed);
    }

    /// One that keeps its values in `shared`, unless the settings give it a part of its own.
    pub fn new(name: &'static str, settings: &Settings, shared: Option<&Near>) -> Self {
        let own = settings.resources.get(name).cloned().unwrap_or_default();
        let near = match own.near_percent {
            Some(percent) => {
                let bytes = settings.near_bytes / 100 * u64::from(percent.min(100));
                (bytes > 0).then(|| Near::new(bytes))
            }
            None => shared.cloned(),
        };
        Self {
            near,
            ttl: AtomicU64::new(settings.ttl_of(name)),
            is_off: own.off,
            worth: Worth::after(1024),
            far_worth: Worth::after(256),
            refresh: own.refresh.unwrap_or(settings.refresh),
            in_near: Meters::of(name, "near"),
            in_far: Meters::of(name, "far"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_used_less_while_it_has_nothing() {
        let worth = Worth::after(256);
        let asks = |worth: &Worth| (0..160).filter(|_| worth.pays()).count();
        assert_eq!(asks(&worth), 160, "nothing is known yet");
        worth.learn(1000, 10);
        assert_eq!(asks(&worth), 5);
        // It has what is asked for again.
        for _ in 0..100 {
            worth.learn(50, 25);
        }
        assert_eq!(asks(&worth), 160);
    }
}
