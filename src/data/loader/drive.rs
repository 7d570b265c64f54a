//! Runs an execution and dispatches its batches whenever it has nothing else to do.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;

use super::Loaders;

/// How often an execution that keeps waking itself is polled before others get their turn.
const MAX_TURNS: usize = 64;

impl Loaders {
    /// Runs `execution`, whose loads come from these loaders, to its end.
    pub async fn drive<F: Future>(&self, execution: F) -> F::Output {
        let mut execution = pin!(execution);
        let mut batches: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(signal.clone());
        poll_fn(|outer| {
            signal.outer.register(outer.waker());
            let mut context = Context::from_waker(&waker);
            for _ in 0..MAX_TURNS {
                signal.state.store(POLLING, Ordering::Release);
                if let Poll::Ready(output) = execution.as_mut().poll(&mut context) {
                    return Poll::Ready(output);
                }
                if signal.was_woken() {
                    continue;
                }
                // Quiescence: what is still pending waits for loads, or for something outside.
                batches.extend(self.take_collecting().into_iter().map(|group| group.dispatch()));
                while let Poll::Ready(Some(())) = batches.poll_next_unpin(&mut context) {}
                if !signal.rest() {
                    return Poll::Pending;
                }
            }
            outer.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

const RESTING: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// Tells a wake-up during a poll, which only means "again", from one that must wake the task.
#[derive(Default)]
struct Signal {
    state: AtomicU8,
    outer: AtomicWaker,
}

impl Signal {
    fn was_woken(&self) -> bool {
        self.state.load(Ordering::Acquire) == WOKEN
    }

    /// Ends the polling; true if there was a wake-up meanwhile, so that there is more to do.
    fn rest(&self) -> bool {
        self.state.swap(RESTING, Ordering::AcqRel) == WOKEN
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == RESTING {
            self.outer.wake();
        }
    }
}
