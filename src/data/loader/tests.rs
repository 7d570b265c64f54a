//! The contract of the dispatcher, clause by clause.
//!
//! Nothing here sleeps or measures time. What a load waits for is a semaphore that the test opens, and what drives it is
//! mostly a poll by hand: a wake-up that is lost is a test that fails.

mod asking;
mod driving;
mod ecosystem;
mod ending;
mod execution;
mod random;
mod sources;
mod threads;

use std::collections::HashMap;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use async_graphql::dataloader::Loader;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::{LoadError, Loaders};

type Answers = Result<HashMap<u32, u32>, &'static str>;

/// A loader that tells what it was asked.
struct Probe {
    calls: Mutex<Vec<Vec<u32>>>,
    load: Box<dyn Fn(Vec<u32>) -> BoxFuture<'static, Answers> + Send + Sync>,
}

impl Probe {
    fn new<F>(load: impl Fn(Vec<u32>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Answers> + Send + 'static,
    {
        Arc::new(Self { calls: Mutex::default(), load: Box::new(move |keys| load(keys).boxed()) })
    }

    /// Answers at once.
    fn prompt() -> Arc<Self> {
        Self::new(|keys| ready(Ok(tenfold(&keys))))
    }

    /// Answers a call for each permit of the gate.
    fn gated(gate: &Arc<Semaphore>) -> Arc<Self> {
        let gate = gate.clone();
        Self::new(move |keys| {
            let gate = gate.clone();
            async move {
                pass(&gate).await;
                Ok(tenfold(&keys))
            }
        })
    }

    /// The keys of each call, sorted.
    fn calls(&self) -> Vec<Vec<u32>> {
        let mut calls = self.calls.lock().unwrap().clone();
        calls.iter_mut().for_each(|keys| keys.sort_unstable());
        calls
    }

    /// How many keys each call had.
    fn sizes(&self) -> Vec<usize> {
        self.calls.lock().unwrap().iter().map(Vec::len).collect()
    }
}

impl Loader<u32> for Probe {
    type Value = u32;
    type Error = &'static str;

    async fn load(&self, keys: &[u32]) -> Answers {
        self.calls.lock().unwrap().push(keys.to_vec());
        (self.load)(keys.to_vec()).await
    }
}

fn tenfold(keys: &[u32]) -> HashMap<u32, u32> {
    keys.iter().map(|key| (*key, key * 10)).collect()
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

async fn pass(gate: &Semaphore) {
    gate.acquire().await.unwrap().forget();
}

/// Asks when it is first polled, as a resolver does.
async fn ask(loaders: &Loaders, probe: &Arc<Probe>, key: u32) -> Result<Option<u32>, LoadError<&'static str>> {
    loaders.load(probe, key).await
}

/// Waits for nothing, but wakes itself so many times first.
async fn wake_self(mut times: usize) {
    poll_fn(|context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The output of a future that waits for nothing outside.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = ByHand::new(future);
    future.settle().expect("it waits for nothing outside")
}

/// A future in a task of its own that is polled by hand.
struct ByHand<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
    seen: usize,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<'a, T> ByHand<'a, T> {
    fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), wakes: Arc::default(), seen: 0 }
    }

    /// Polls once, whether it was woken or not.
    fn poll(&mut self) -> Poll<T> {
        self.seen = self.wakes.0.load(Ordering::SeqCst);
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.wakes.0.load(Ordering::SeqCst) != self.seen
    }

    /// Polls for the first time, and then as long as there are wake-ups. None if it is still not ready.
    fn settle(&mut self) -> Option<T> {
        self.wakes.0.fetch_add(usize::from(self.seen == 0 && !self.is_woken()), Ordering::SeqCst);
        for _ in 0..1_000_000 {
            if !self.is_woken() {
                return None;
            }
            if let Poll::Ready(output) = self.poll() {
                return Some(output);
            }
        }
        panic!("it never rests");
    }
}
