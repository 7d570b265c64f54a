//! The keys and answers of one loader within one request.

use std::any::Any;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_graphql::dataloader::Loader;
use foldhash::{HashMap, HashMapExt};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::{LoadError, MAX_BATCH};

type Answer<L, K> = Result<Option<<L as Loader<K>>::Value>, LoadError<<L as Loader<K>>::Error>>;

/// A group, whatever its loader.
pub(super) trait AnyGroup: Send + Sync {
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;

    /// Closes the window: the future loads what it collected and answers all who asked in it. None if nobody waits.
    fn dispatch(self: Arc<Self>) -> Option<BoxFuture<'static, ()>>;
}

/// One loader and the keys it was asked for.
pub(super) struct Group<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> {
    loader: Arc<L>,
    /// Whether somebody dispatches.
    driven: Arc<AtomicBool>,
    keys: Mutex<Keys<L, K>>,
}

struct Keys<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> {
    known: HashMap<K, Known<L, K>>,
    collecting: Option<Collecting<K>>,
}

enum Known<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> {
    /// Asked for first in this window, and answered with it.
    Asked(Arc<Window>),
    Answered(Answer<L, K>),
}

/// Keys asked for since the last dispatch.
struct Collecting<K> {
    window: Arc<Window>,
    new: Vec<K>,
    /// Earlier windows that hold keys asked for again in this one.
    after: Vec<Arc<Window>>,
}

/// A point in time that many wait for.
#[derive(Default)]
struct Window(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    over: bool,
    wakers: Vec<Waker>,
}

impl<L, K> Group<L, K>
where
    L: Loader<K>,
    L::Error: Sync,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    pub fn new(loader: Arc<L>, driven: Arc<AtomicBool>) -> Self {
        Self { loader, driven, keys: Mutex::new(Keys { known: HashMap::new(), collecting: None }) }
    }

    /// Adds a key to the window, and tells whether it is the window's first.
    pub fn ask(group: &Arc<Self>, key: K) -> (Load<L, K>, bool) {
        let mut keys = group.lock();
        let keys = &mut *keys;
        let starts = keys.collecting.is_none();
        let collecting = keys.collecting.get_or_insert_with(|| Collecting {
            window: Arc::default(),
            new: Vec::new(),
            after: Vec::new(),
        });
        let window = collecting.window.clone();
        match keys.known.get(&key) {
            None => {
                keys.known.insert(key.clone(), Known::Asked(window.clone()));
                collecting.new.push(key.clone());
            }
            Some(Known::Asked(earlier)) if !Arc::ptr_eq(earlier, &window) => {
                if !collecting.after.iter().any(|other| Arc::ptr_eq(other, earlier)) {
                    collecting.after.push(earlier.clone());
                }
            }
            Some(_) => {}
        }
        (Load { group: group.clone(), key, window, waker: None }, starts)
    }

    async fn load(&self, keys: &[K]) {
        // Inside an async block also the call itself is caught: not every loader is an async function.
        let load = async { self.loader.load(keys).await };
        let mut answers = match AssertUnwindSafe(load).catch_unwind().await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(LoadError::Loader(error)),
            // The panic hook has logged it.
            Err(_) => Err(LoadError::Panicked),
        };
        let mut known = self.lock();
        for key in keys {
            let answer = answers.as_mut().map(|found| found.remove(key)).map_err(|error| error.clone());
            known.known.insert(key.clone(), Known::Answered(answer));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Keys<L, K>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L, K> AnyGroup for Group<L, K>
where
    L: Loader<K>,
    L::Error: Sync,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn dispatch(self: Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        let mut keys = self.lock();
        let Collecting { window, new, after } = keys.collecting.take()?;
        // It is held here, by each of its keys, and by those who wait for it.
        let wanted = Arc::strong_count(&window) > 1 + new.len();
        drop(keys);
        let batch = Batch { group: self, window, new, after };
        wanted.then(|| batch.run().boxed())
    }
}

/// The keys of a closed window. However it ends, those who wait are told; without an answer its keys are forgotten.
struct Batch<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> {
    group: Arc<Group<L, K>>,
    window: Arc<Window>,
    new: Vec<K>,
    after: Vec<Arc<Window>>,
}

impl<L, K> Batch<L, K>
where
    L: Loader<K>,
    L::Error: Sync,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    async fn run(mut self) {
        match self.new.len() {
            0 => {}
            1..=MAX_BATCH => self.group.load(&self.new).await,
            _ => drop(join_all(self.new.chunks(MAX_BATCH).map(|keys| self.group.load(keys))).await),
        }
        self.new.clear();
        for earlier in &self.after {
            earlier.over().await;
        }
    }
}

impl<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> Drop for Batch<L, K> {
    fn drop(&mut self) {
        if !self.new.is_empty() {
            let mut keys = self.group.keys.lock().unwrap_or_else(PoisonError::into_inner);
            for key in &self.new {
                if let Some(Known::Asked(_)) = keys.known.get(key) {
                    keys.known.remove(key);
                }
            }
        }
        self.window.end();
    }
}

impl Window {
    fn end(&self) {
        let wakers = {
            let mut waiting = self.lock();
            waiting.over = true;
            std::mem::take(&mut waiting.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn over(&self) {
        let mut waker = None;
        std::future::poll_fn(|context| self.poll_over(context, &mut waker)).await;
    }

    /// `waker` is where the caller's waker stands among the others, so that polling twice does not add it twice.
    fn poll_over(&self, context: &Context<'_>, waker: &mut Option<usize>) -> Poll<()> {
        let mut waiting = self.lock();
        if waiting.over {
            return Poll::Ready(());
        }
        match *waker {
            Some(place) => waiting.wakers[place].clone_from(context.waker()),
            None => {
                *waker = Some(waiting.wakers.len());
                waiting.wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer for one key, when its window is over.
pub(super) struct Load<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> {
    group: Arc<Group<L, K>>,
    key: K,
    window: Arc<Window>,
    waker: Option<usize>,
}

impl<L: Loader<K>, K: Clone + Eq + Hash + Send + Sync + 'static> Unpin for Load<L, K> {}

impl<L, K> Future for Load<L, K>
where
    L: Loader<K>,
    L::Error: Sync,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    type Output = Answer<L, K>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let load = &mut *self;
        if load.window.poll_over(context, &mut load.waker).is_pending() {
            // In this order: a drive that ends after the first line ends the window after it.
            return if load.group.driven.load(Ordering::Acquire) {
                Poll::Pending
            } else {
                Poll::Ready(Err(LoadError::Undriven))
            };
        }
        match load.group.lock().known.get(&load.key) {
            Some(Known::Answered(answer)) => Poll::Ready(answer.clone()),
            // The drive ended before the window.
            _ => Poll::Ready(Err(LoadError::Undriven)),
        }
    }
}
