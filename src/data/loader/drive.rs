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

/// How many turns an execution and its batches get before other tasks get theirs.
const MAX_TURNS: usize = 64;

impl Loaders {
    /// Runs `execution`, whose loads come from these loaders, to its end.
    ///
    /// Batches are part of this future and end with it; whoever waits for one longer than that gets
    /// [`LoadError::Undriven`](super::LoadError::Undriven). What is driven later finds the answers of what was driven
    /// before.
    ///
    /// # Panics
    /// When these loaders are being driven already: executions at the same time have loaders of their own.
    pub async fn drive<F: Future>(&self, execution: F) -> F::Output {
        let mut execution = pin!(execution);
        let mut batches = Batches::new();
        let signal = Arc::new(Signal::new());
        let execution_waker = signal.waker(EXECUTION);
        let batches_waker = signal.waker(BATCHES);
        let _driver = Driver::new(self, signal.clone());
        poll_fn(|outer| {
            signal.begin(outer.waker());
            for _ in 0..MAX_TURNS {
                if signal.take(EXECUTION) {
                    if let Poll::Ready(output) = execution.as_mut().poll(&mut Context::from_waker(&execution_waker)) {
                        return Poll::Ready(output);
                    }
                } else if signal.take(ASKED | BATCHES) {
                    // Quiescence: what is still pending waits for loads, or for something outside.
                    batches.extend(self.take_collecting().into_iter().filter_map(|group| group.dispatch()));
                    run(&mut batches, &batches_waker);
                } else if signal.rest() {
                    return Poll::Pending;
                }
            }
            // What is in flight goes on under an execution that never rests.
            run(&mut batches, &batches_waker);
            outer.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

type Batches = FuturesUnordered<BoxFuture<'static, ()>>;

fn run(batches: &mut Batches, waker: &Waker) {
    while let Poll::Ready(Some(())) = batches.poll_next_unpin(&mut Context::from_waker(waker)) {}
}

/// The right to dispatch what is asked of some loaders.
struct Driver<'a>(&'a Loaders);

impl<'a> Driver<'a> {
    fn new(loaders: &'a Loaders, signal: Arc<Signal>) -> Self {
        let mut state = loaders.lock();
        assert!(state.driver.is_none(), "these loaders are being driven already");
        state.driver = Some(signal);
        state.driven.store(true, Ordering::Release);
        Self(loaders)
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        let collecting = {
            let mut state = self.0.lock();
            state.driver = None;
            state.driven.store(false, Ordering::Release);
            std::mem::take(&mut state.collecting)
        };
        // A batch that is dropped tells those who wait for it.
        collecting.into_iter().for_each(|group| drop(group.dispatch()));
    }
}

/// The execution was woken.
const EXECUTION: u8 = 1;
/// A batch was woken.
const BATCHES: u8 = 2;
/// A group began to collect.
const ASKED: u8 = 4;
/// The drive waits to be woken.
const RESTING: u8 = 8;

/// What is to be done: a wake-up while there is still something else to do need not wake the task.
pub(super) struct Signal {
    state: AtomicU8,
    outer: AtomicWaker,
}

// Only read-modify-writes: a plain store could overtake the loads of the poll after it, and so hide a wake-up from it.
impl Signal {
    fn new() -> Self {
        Self { state: AtomicU8::new(EXECUTION | ASKED), outer: AtomicWaker::new() }
    }

    fn waker(self: &Arc<Self>, part: u8) -> Waker {
        Waker::from(Arc::new(Part { signal: self.clone(), part }))
    }

    /// A group began to collect, perhaps in another task.
    pub fn asked(&self) {
        self.raise(ASKED);
    }

    fn raise(&self, part: u8) {
        if self.state.fetch_or(part, Ordering::AcqRel) == RESTING {
            self.outer.wake();
        }
    }

    fn begin(&self, outer: &Waker) {
        self.outer.register(outer);
        self.state.fetch_and(!RESTING, Ordering::AcqRel);
    }

    fn take(&self, parts: u8) -> bool {
        self.state.fetch_and(!parts, Ordering::AcqRel) & parts != 0
    }

    /// Ends the polling, unless there is something to do.
    fn rest(&self) -> bool {
        self.state.compare_exchange(0, RESTING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

struct Part {
    signal: Arc<Signal>,
    part: u8,
}

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.signal.raise(self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_rests_only_when_there_is_nothing_to_do() {
        let signal = Signal::new();
        assert!(!signal.rest() && signal.take(EXECUTION) && !signal.take(EXECUTION));
        assert!(!signal.rest() && signal.take(ASKED | BATCHES));
        assert!(signal.rest());
        signal.begin(Waker::noop());
        signal.raise(BATCHES);
        assert!(!signal.rest() && signal.take(ASKED | BATCHES) && signal.rest());
    }

    #[test]
    fn only_the_first_signal_wakes_a_task_that_rests() {
        let (signal, task) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        signal.begin(&task.waker(BATCHES));
        signal.raise(EXECUTION);
        assert!(!task.take(BATCHES), "it does not rest yet");
        signal.take(EXECUTION | ASKED);
        assert!(signal.rest());
        signal.asked();
        assert!(task.take(BATCHES));
        signal.raise(EXECUTION);
        assert!(!task.take(BATCHES), "it is on its way");
    }
}
