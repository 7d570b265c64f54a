//! The cache tiers: near, in this process, and far, in one Redis for all instances.
//!
//! Either may hold anything, old or wrong: what is served of it is decided by the rule of [`coherence`](super::coherence),
//! each time. Nothing here asks a database; [`fetch`](super::fetch) does, and fills.

mod envelope;
pub mod far;
mod history;
mod invalidate;
mod miss;
mod near;
mod place;
mod resource;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::gauge;
use serde::Serialize;

pub use envelope::Envelope;
pub use far::{Far, Fill};
pub use history::{Histories, History, View};
pub use invalidate::Invalidate;
pub use miss::Miss;
pub use near::{Entry, Near};
pub use place::{Place, Space};
pub use resource::{Resource, ResourceSettings, Settings};

use super::change::Image;
use super::declared::Declared;
use super::position::Position;
use super::scalar::Scalar;

/// What settings and metrics call whole answers.
pub const ANSWERS: &str = "answers";

/// The caches of this process. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    declared: Declared,
    settings: Settings,
    /// The shared one, and those of resources that have a part of their own.
    nears: Vec<Near>,
    far: Option<Far>,
    resources: HashMap<&'static str, Resource>,
    histories: Histories,
    tally: Tally,
}

/// What an operator sees of the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Bytes and entries of the near tier.
    pub near_bytes: u64,
    pub near_entries: u64,
    /// Keys that each tier served since the start, and keys that neither did.
    pub near_hits: u64,
    pub far_hits: u64,
    pub misses: u64,
    /// The part that the tiers served, from 0 to 1; null while nothing was asked.
    pub hit_rate: Option<f64>,
}

/// Rows that have changed and are often served, as the log tells them.
#[derive(Clone, Debug)]
pub struct Fresh {
    pub history: Arc<History>,
    pub table: &'static str,
    /// Each as it is at `stamp`, with all the columns that it is read with.
    pub rows: Vec<Image>,
    pub stamp: Position,
}

/// Who keeps what the log tells of rows.
pub trait Refresh: Send + Sync {
    fn keep(&self, fresh: Fresh);
}

/// Keys that were asked of the tiers, by who served them.
#[derive(Debug, Default)]
struct Tally {
    near: AtomicU64,
    far: AtomicU64,
    neither: AtomicU64,
}

impl Cache {
    /// # Errors
    /// When the settings name a resource that there is not: the text tells which there are.
    pub fn new(declared: Declared, settings: Settings, far: Option<Far>) -> Result<Self, String> {
        let mut names: Vec<_> = declared.resources().chain([ANSWERS]).collect();
        names.sort_unstable();
        known(&settings, &names)?;
        let parts: u64 = settings.resources.values().filter_map(|own| own.near_percent).map(u64::from).sum();
        if parts > 100 {
            return Err(format!("cache.resources: the parts of the near tier come to {parts} %"));
        }
        let rest = settings.near_bytes / 100 * (100 - parts);
        let near = (rest > 0).then(|| Near::new(rest));
        let resources: HashMap<_, _> =
            names.iter().map(|name| (*name, Resource::new(name, &settings, near.as_ref()))).collect();
        let has_part = |name: &str| settings.resources.get(name).is_some_and(|own| own.near_percent.is_some());
        let own = resources.iter().filter(|(name, _)| has_part(name)).filter_map(|(_, resource)| resource.near.clone());
        let nears = near.into_iter().chain(own).collect();
        let histories = Histories::new(declared.salt(&settings.namespace));
        Ok(Self {
            shared: Arc::new(Shared { declared, settings, nears, far, resources, histories, tally: Tally::default() }),
        })
    }

    pub fn declared(&self) -> &Declared {
        &self.shared.declared
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// A resource, whether or not anything is kept of it.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.shared.resources.get(name)
    }

    /// Whether other settings name only resources that there are.
    ///
    /// # Errors
    /// For one that there is not: the text tells which there are.
    pub fn check(&self, settings: &Settings) -> Result<(), String> {
        let mut names: Vec<_> = self.shared.resources.keys().copied().collect();
        names.sort_unstable();
        known(settings, &names)
    }

    /// Keeps what comes from now on for as long as other settings say.
    pub fn change_ttls(&self, settings: &Settings) {
        self.shared.resources.iter().for_each(|(name, resource)| resource.change_ttl(name, settings));
    }

    /// A resource of which something is kept.
    pub fn kept(&self, name: &str) -> Option<&Resource> {
        self.resource(name).filter(|resource| !resource.is_off && self.is_on())
    }

    pub fn far(&self) -> Option<&Far> {
        self.shared.far.as_ref()
    }

    pub fn histories(&self) -> &Histories {
        &self.shared.histories
    }

    /// Whether there is a tier at all.
    pub fn is_on(&self) -> bool {
        !self.shared.settings.off && (self.shared.settings.near_bytes > 0 || self.shared.far.is_some())
    }

    /// Whether a row is to be kept anew when it has changed: it was served more than once since it was kept.
    pub fn is_hot(&self, table: &'static str, key: &Scalar) -> bool {
        let Some(resource) = self.kept(table).filter(|resource| resource.refresh) else { return false };
        let place = Place { space: Space::row(table), key: key.clone() };
        resource.near.as_ref().and_then(|near| near.hits(&place)).is_some_and(|hits| resource.is_hot(hits))
    }

    /// Forgets what is kept in this process: it is of another history.
    pub fn clear(&self) {
        self.shared.nears.iter().for_each(Near::clear);
    }

    /// Counts the keys of a batch by who served them.
    pub fn count(&self, near: usize, far: usize, neither: usize) {
        let tally = &self.shared.tally;
        for (count, keys) in [(&tally.near, near), (&tally.far, far), (&tally.neither, neither)] {
            if keys > 0 {
                count.fetch_add(keys as u64, Ordering::Relaxed);
            }
        }
    }

    pub fn usage(&self) -> Usage {
        let tally = &self.shared.tally;
        let [near_hits, far_hits, misses] =
            [&tally.near, &tally.far, &tally.neither].map(|count| count.load(Ordering::Relaxed));
        let (hits, all) = (near_hits + far_hits, near_hits + far_hits + misses);
        let hit_rate = (all > 0).then(|| hits as f64 / all as f64);
        let (near_bytes, near_entries) =
            self.shared.nears.iter().map(Near::usage).fold((0, 0), |sum, usage| (sum.0 + usage.0, sum.1 + usage.1));
        Usage { near_bytes, near_entries, near_hits, far_hits, misses, hit_rate }
    }

    /// Reports what is kept to the metrics recorder.
    pub fn observe(&self) {
        let usage = self.usage();
        gauge!("shoal_cache_near_bytes").set(usage.near_bytes as f64);
        gauge!("shoal_cache_near_entries").set(usage.near_entries as f64);
        if let Some(rate) = usage.hit_rate {
            gauge!("shoal_cache_hit_rate").set(rate);
        }
    }
}

fn known(settings: &Settings, names: &[&str]) -> Result<(), String> {
    match settings.resources.keys().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => Err(format!("cache.resources.{unknown}: there is only {}", names.join(", "))),
        None => Ok(()),
    }
}
