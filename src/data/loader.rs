//! Batching within one request: *load* asks for one key, the database hears of all of them at once.
//!
//! A batch is dispatched at quiescence: when the request's execution has nothing else ready to run. No timer, so no
//! added latency, and no batch smaller than it could be. What the contract adds to `async_graphql::dataloader`, whose
//! [`Loader`]s plug in unchanged:
//!
//! - a key asked twice is loaded once, also while it is in flight;
//! - all keys of one window are answered together, whether they were known, in flight or new: the fields below them
//!   are collected in one window again, which is what bounds the statements of a request by its depth;
//! - more than [`MAX_BATCH`] keys split, and are still answered together;
//! - an error or a panic of a load reaches every waiter as an error;
//! - batches are polled by the request's own task: dropping the request drops them, and nothing of another request;
//! - keys that nobody waits for any more when a window closes are not loaded, unless others of the window are.
//!
//! A load may be asked for and awaited in other tasks too, as long as the request runs; without it there is nobody to
//! dispatch it, so it answers [`LoadError::Undriven`] rather than never. A resolver that wakes itself is still waited
//! for; one that leaves its waking to the runtime (`tokio::task::yield_now`, another task) asks in a window of its own.
//! A load may itself load, but never the keys it is loading.
//!
//! Nothing here uses a Tokio primitive, whose cooperative budget would split a batch of more than 128 keys.

mod drive;
mod group;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId};
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::dataloader::Loader;
use foldhash::{HashMap, HashMapExt};
use sea_orm::DbErr;

use super::error::Error;
use super::fetch::{Cached, Fetch, Fetcher};
pub use super::find::MAX_BATCH;
use super::ledger::Field;
use drive::Signal;
use group::{AnyGroup, Group, Load};

/// Why a load gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError<E> {
    /// The loader's own error.
    Loader(E),
    /// The loader panicked.
    Panicked,
    /// Nobody drives the loaders, or the drive ended before the load: see [`Loaders::drive`].
    Undriven,
}

impl From<LoadError<Error>> for Error {
    fn from(error: LoadError<Error>) -> Self {
        match error {
            LoadError::Loader(error) => error,
            LoadError::Panicked => Error::Panicked,
            LoadError::Undriven => DbErr::Custom("a load was awaited outside Loaders::drive".to_owned()).into(),
        }
    }
}

/// The loads of one request. Cheap to clone.
#[derive(Clone, Default)]
pub struct Loaders {
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By the loader's type and address: one instance's keys share batches. The group keeps the loader alive, so an
    /// address is never reused.
    groups: HashMap<(TypeId, usize), Arc<dyn AnyGroup>>,
    /// By the type of the source: a map from source to its loader.
    sources: HashMap<TypeId, Box<dyn Any + Send>>,
    /// Groups that collect keys and wait for quiescence.
    collecting: Vec<Arc<dyn AnyGroup>>,
    /// How often groups that had collected keys were dispatched.
    dispatched: u32,
    /// The drive, while there is one.
    driver: Option<Arc<Signal>>,
    /// Whether there is one, for loads to see.
    driven: Arc<AtomicBool>,
}

impl Loaders {
    /// Loads one key through any loader of the ecosystem, while [`Loaders::drive`] runs.
    pub fn load<L, K>(
        &self,
        loader: &Arc<L>,
        key: K,
    ) -> impl Future<Output = Result<Option<L::Value>, LoadError<L::Error>>> + Send + use<L, K>
    where
        L: Loader<K>,
        L::Error: Sync,
        K: Clone + Eq + Hash + Send + Sync + 'static,
    {
        self.load_told(loader, key, |_| ())
    }

    /// The same; `first` is told the level when it is the first of those that this loader will be asked for together.
    fn load_told<L, K>(&self, loader: &Arc<L>, key: K, first: impl FnOnce(u32)) -> Load<L, K>
    where
        L: Loader<K>,
        L::Error: Sync,
        K: Clone + Eq + Hash + Send + Sync + 'static,
    {
        let mut state = self.lock();
        let State { groups, collecting, dispatched, driver, driven, .. } = &mut *state;
        let identity = (TypeId::of::<Group<L, K>>(), Arc::as_ptr(loader).addr());
        let group = groups
            .entry(identity)
            .or_insert_with(|| Arc::new(Group::<L, K>::new(loader.clone(), driven.clone())))
            .clone();
        let group = group.as_any().downcast::<Group<L, K>>().expect("the identity holds the type");
        let (load, starts_collecting) = Group::ask(&group, key);
        if starts_collecting {
            collecting.push(group);
            let (driver, level) = (driver.clone(), *dispatched + 1);
            drop(state);
            first(level);
            driver.inspect(|driver| driver.asked());
        }
        load
    }

    /// Loads one key of a source, for a field whose path is told; equal sources share batches.
    pub fn fetch<S: Cached, P: FnOnce() -> Option<String>>(
        &self,
        fetcher: &Arc<Fetcher>,
        source: S,
        key: S::Key,
        path: P,
    ) -> impl Future<Output = Result<Option<S::Value>, LoadError<Error>>> + Send + use<S, P> {
        let loader = {
            let mut state = self.lock();
            let loaders = state
                .sources
                .entry(TypeId::of::<S>())
                .or_insert_with(|| Box::new(HashMap::<S, Arc<Fetch<S>>>::new()))
                .downcast_mut::<HashMap<S, Arc<Fetch<S>>>>()
                .expect("the map is filed under the type of its source");
            if let Some(loader) = loaders.get(&source) {
                loader.clone()
            } else {
                let loader = Arc::new(Fetch::new(source.clone(), fetcher.clone()));
                loaders.insert(source, loader.clone());
                loader
            }
        };
        let told = |level| loader.is_asked_by(path().map(|path| Arc::new(Field { path, level })));
        self.load_told(&loader, key, told)
    }

    /// Forgets every answer: what was read may have changed since. Loads that are under way still answer those who wait
    /// for them.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.groups.clear();
        state.sources.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups that have collected keys since the last call.
    fn take_collecting(&self) -> Vec<Arc<dyn AnyGroup>> {
        let mut state = self.lock();
        state.dispatched += u32::from(!state.collecting.is_empty());
        std::mem::take(&mut state.collecting)
    }
}
