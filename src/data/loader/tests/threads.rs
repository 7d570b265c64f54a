//! Wake-ups from other threads, at any moment.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::*;

/// After which what does not end is taken to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Turns a hang into a failure.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Loads that other threads complete at any moment, resolvers that wait for other threads, tasks that ask from outside.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    let probe = Probe::new(|keys| async move {
        elsewhere(keys.iter().sum()).await;
        Ok(tenfold(&keys))
    });
    let requests = (0..8).map(|_| {
        let probe = probe.clone();
        tokio::spawn(async move {
            for round in 0..500 {
                let loaders = Loaders::default();
                let resolvers = join_all((0..16).map(async |key| {
                    if key % 4 == 0 {
                        elsewhere(key + round).await;
                    }
                    let answer = match key % 8 {
                        7 => {
                            let (loaders, probe) = (loaders.clone(), probe.clone());
                            tokio::spawn(async move { ask(&loaders, &probe, key).await }).await.unwrap()
                        }
                        _ => ask(&loaders, &probe, key).await,
                    };
                    ask(&loaders, &probe, answer.unwrap().unwrap() + 1_000).await
                }));
                let answers = in_time(loaders.drive(resolvers)).await;
                assert_eq!(answers, (0..16).map(|key| Ok(Some(key * 100 + 10_000))).collect::<Vec<_>>());
            }
        })
    });
    for request in join_all(requests).await {
        request.unwrap();
    }
}

/// Waits for another task, which is sometimes done before it is waited for.
async fn elsewhere(chance: u32) {
    let (send, receive) = oneshot::channel();
    tokio::spawn(async move {
        (0..chance % 64).for_each(|_| std::hint::spin_loop());
        send.send(())
    });
    receive.await.unwrap();
}

/// The same as closely as it can be had: in each round two threads signal at once, to a waker that is kept and a poll
/// that only reads, and nobody signals again before both were heard.
#[test]
fn signals_of_two_threads_are_both_heard() {
    const ROUNDS: usize = 20_000;
    #[derive(Default)]
    struct Signals {
        sent: [AtomicUsize; 2],
        heard: [AtomicUsize; 2],
        waker: OnceLock<Waker>,
    }
    let signals = Arc::new(Signals::default());
    let driven = signals.clone();
    let drive = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Loaders::default().drive(poll_fn(|context| {
            driven.waker.get_or_init(|| context.waker().clone());
            let rounds = driven.sent.each_ref().map(|sent| sent.load(Ordering::Acquire));
            for (heard, round) in driven.heard.iter().zip(rounds) {
                heard.store(round, Ordering::Release);
            }
            if rounds == [ROUNDS; 2] { Poll::Ready(()) } else { Poll::Pending }
        })));
    });
    let senders = [0, 1].map(|sender| {
        let signals = signals.clone();
        std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                // The second comes when the first is heard, in a drive that is about to rest; or at about the same time.
                while sender == 1 && round % 2 == 0 && signals.heard[0].load(Ordering::Acquire) < round {
                    std::hint::spin_loop();
                }
                (0..round * sender % 16).for_each(|_| std::hint::spin_loop());
                signals.sent[sender].store(round, Ordering::Release);
                signals.waker.wait().wake_by_ref();
                let patience = Instant::now() + PATIENCE;
                while signals.heard.iter().any(|heard| heard.load(Ordering::Acquire) < round) {
                    assert!(Instant::now() < patience, "a signal of round {round} was lost");
                    std::thread::yield_now();
                }
            }
        })
    });
    for sender in senders {
        sender.join().unwrap();
    }
    drive.join().unwrap();
}
