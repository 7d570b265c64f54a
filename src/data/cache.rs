//! The cache tiers: near, in this process, and far, in one Redis for all instances.
//!
//! Either may hold anything, old or wrong: what is served of it is decided by the rule of [`coherence`](super::coherence),
//! each time. Nothing here asks a database; [`fetch`](super::fetch) does, and fills.

mod envelope;
mod far;
mod history;
mod invalidate;
mod near;
mod place;
mod resource;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

pub use envelope::Envelope;
pub use far::{Far, Fill};
pub use history::{Histories, History, View};
pub use invalidate::Invalidate;
pub use near::{Entry, Near};
pub use place::{Place, Space};
pub use resource::{Meters, Miss, Resource, Settings};

use super::declared::Declarations;

/// The caches of this process. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    declared: Declarations,
    settings: Settings,
    near: Option<Near>,
    far: Option<Far>,
    resources: HashMap<&'static str, Resource>,
    histories: Histories,
}

/// What an operator sees of the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Bytes and entries of the near tier.
    pub near_bytes: u64,
    pub near_entries: u64,
}

impl Cache {
    /// # Errors
    /// When the settings name a resource that there is not: the text tells which there are.
    pub fn new(declared: Declarations, settings: Settings, far: Option<Far>) -> Result<Self, String> {
        let mut names: Vec<_> = declared.resources().collect();
        names.sort_unstable();
        if let Some(unknown) = settings.resources.keys().find(|name| !names.contains(&name.as_str())) {
            return Err(format!("cache.resources.{unknown}: there is only {}", names.join(", ")));
        }
        let parts: u64 = settings.resources.values().filter_map(|own| own.near_percent).map(u64::from).sum();
        if parts > 100 {
            return Err(format!("cache.resources: the parts of the near tier come to {parts} %"));
        }
        let rest = settings.near_bytes / 100 * (100 - parts);
        let near = (rest > 0).then(|| Near::new(rest));
        let resources = names.iter().map(|name| (*name, Resource::new(name, &settings, near.as_ref()))).collect();
        let histories = Histories::new(declared.salt(&settings.namespace));
        Ok(Self { shared: Arc::new(Shared { declared, settings, near, far, resources, histories }) })
    }

    pub fn declared(&self) -> &Declarations {
        &self.shared.declared
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// A resource, unless nothing is to be kept of it.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.shared.resources.get(name)
    }

    pub fn far(&self) -> Option<&Far> {
        self.shared.far.as_ref()
    }

    pub fn histories(&self) -> &Histories {
        &self.shared.histories
    }

    /// Whether there is a tier at all.
    pub fn is_on(&self) -> bool {
        self.shared.settings.near_bytes > 0 || self.shared.far.is_some()
    }

    /// Forgets what is kept in this process: it is of another history.
    pub fn clear(&self) {
        self.nears().for_each(Near::clear);
    }

    pub fn usage(&self) -> Usage {
        self.nears().map(Near::usage).fold(Usage::default(), |sum, (bytes, entries)| Usage {
            near_bytes: sum.near_bytes + bytes,
            near_entries: sum.near_entries + entries,
        })
    }

    /// The near tiers: the shared one, and those of resources that have a part of their own.
    fn nears(&self) -> impl Iterator<Item = &Near> {
        let own = self.shared.resources.iter().filter(|(name, _)| {
            self.shared.settings.resources.get(**name).is_some_and(|own| own.near_percent.is_some())
        });
        self.shared.near.iter().chain(own.filter_map(|(_, resource)| resource.near.as_ref()))
    }
}
