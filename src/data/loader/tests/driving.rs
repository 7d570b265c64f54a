//! When batches are dispatched, and who is woken.

use std::sync::atomic::AtomicBool;

use futures_util::future::{join, join_all, select};
use tokio::sync::oneshot;

use super::*;

#[test]
fn resolvers_that_wake_themselves_are_waited_for() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    // Some of them longer than one turn of the task.
    let mut drive = ByHand::new(loaders.drive(join_all((0..200).map(async |key| {
        wake_self(key as usize).await;
        ask(&loaders, &probe, key).await
    }))));
    assert!(drive.poll().is_pending());
    assert_eq!(probe.sizes(), [0; 0]);
    assert!(drive.settle().is_some());
    assert_eq!(probe.sizes(), [200]);
}

#[test]
fn resolvers_that_leave_their_waking_to_the_runtime_ask_in_a_window_of_their_own() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(loaders.drive(join_all((0..10).map(async |key| {
        if key % 2 == 0 {
            tokio::task::yield_now().await;
        }
        ask(&loaders, &probe, key).await
    }))));
    assert_eq!(answers, (0..10).map(|key| Ok(Some(key * 10))).collect::<Vec<_>>());
    assert_eq!(probe.calls(), [[1, 3, 5, 7, 9], [0, 2, 4, 6, 8]]);
}

#[test]
fn what_waits_outside_holds_nothing_back() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    let (send, receive) = oneshot::channel();
    let answered = AtomicUsize::new(0);
    let mut drive =
        ByHand::new(loaders.drive(join(async { ask(&loaders, &probe, receive.await.unwrap()).await }, async {
            let first = ask(&loaders, &probe, 1).await.unwrap().unwrap();
            let second = ask(&loaders, &probe, first).await;
            answered.fetch_add(1, Ordering::SeqCst);
            second
        })));
    assert_eq!(drive.settle(), None);
    assert_eq!(answered.load(Ordering::SeqCst), 1);
    std::thread::spawn(move || send.send(7)).join().unwrap().unwrap();
    assert_eq!(drive.settle(), Some((Ok(Some(70)), Ok(Some(100)))));
    assert_eq!(probe.calls(), [[1], [10], [7]]);
}

#[test]
fn a_drive_that_is_moved_wakes_its_new_task() {
    let load = gate();
    let (probe, loaders) = (Probe::gated(&load), Loaders::default());
    let mut drive = Box::pin(loaders.drive(ask(&loaders, &probe, 1)));
    let (old, new) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    for task in [&old, &new] {
        let waker = Waker::from(task.clone());
        assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    load.add_permits(1);
    assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn a_load_that_is_moved_wakes_its_new_task() {
    let load = gate();
    let (probe, loaders) = (Probe::gated(&load), Loaders::default());
    let mut moved = Box::pin(loaders.load(&probe, 1));
    let (old, new) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let mut drive = ByHand::new(loaders.drive(ask(&loaders, &probe, 1)));
    assert_eq!(drive.settle(), None);
    for task in [&old, &new, &new] {
        let waker = Waker::from(task.clone());
        assert!(moved.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    load.add_permits(1);
    assert_eq!(drive.settle(), Some(Ok(Some(10))));
    assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1));
    assert_eq!(at_once(moved), Ok(Some(10)));
}

/// A statement wakes its batch many times; polling thousands of resolvers each time would cost more than it does.
#[test]
fn a_batch_that_is_woken_does_not_wake_the_execution() {
    let load = gate();
    let held = load.clone();
    let probe = Probe::new(move |keys| {
        let held = held.clone();
        async move {
            for _ in 0..100 {
                pass(&held).await;
            }
            Ok(tenfold(&keys))
        }
    });
    let (loaders, polls) = (Loaders::default(), AtomicUsize::new(0));
    let mut asking = Box::pin(ask(&loaders, &probe, 1));
    let mut drive = ByHand::new(loaders.drive(poll_fn(|context| {
        polls.fetch_add(1, Ordering::SeqCst);
        asking.as_mut().poll(context)
    })));
    for _ in 0..100 {
        assert_eq!(drive.settle(), None);
        load.add_permits(1);
    }
    assert_eq!(drive.settle(), Some(Ok(Some(10))));
    assert_eq!(polls.load(Ordering::SeqCst), 2);
}

#[test]
fn an_execution_that_never_rests_lets_other_tasks_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let done = Arc::new(AtomicBool::new(false));
        let loaders = Loaders::default();
        let other = done.clone();
        let other = tokio::spawn(async move { other.store(true, Ordering::SeqCst) });
        loaders.drive(restless_until(|| done.load(Ordering::SeqCst))).await;
        other.await.unwrap();
    });
}

#[test]
fn an_execution_that_never_rests_lets_its_batches_go_on() {
    let (load, unrest) = (gate(), gate());
    let (probe, loaders, done) = (Probe::gated(&load), Loaders::default(), AtomicBool::new(false));
    let asking = async {
        ask(&loaders, &probe, 1).await.unwrap();
        done.store(true, Ordering::SeqCst);
    };
    let mut drive = ByHand::new(loaders.drive(join(asking, async {
        pass(&unrest).await;
        load.add_permits(1);
        restless_until(|| done.load(Ordering::SeqCst)).await;
    })));
    assert_eq!(drive.settle(), None);
    unrest.add_permits(1);
    assert_eq!(drive.settle(), Some(((), ())));
}

/// Keeps waking itself, and fails when nobody else seems to get a turn.
async fn restless_until(done: impl Fn() -> bool) {
    let mut turns = 0;
    poll_fn(|context| {
        turns += 1;
        assert!(turns < 100_000, "nobody else gets a turn");
        context.waker().wake_by_ref();
        if done() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn a_load_may_load() {
    let (load, loaders) = (gate(), Loaders::default());
    let inner = Probe::prompt();
    let probe = {
        let (loaders, inner, load) = (loaders.clone(), inner.clone(), load.clone());
        Probe::new(move |keys| {
            let (loaders, inner, load) = (loaders.clone(), inner.clone(), load.clone());
            async move {
                pass(&load).await;
                let mut found = HashMap::new();
                for key in keys {
                    found.extend(ask(&loaders, &inner, key).await.unwrap().map(|value| (key, value + 1)));
                }
                Ok(found)
            }
        })
    };
    // With others in flight, which nobody wakes.
    let stuck = Probe::gated(&gate());
    let answer = async {
        let answers = join(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2)).await;
        assert_eq!(answers, (Ok(Some(11)), Ok(Some(21))));
    };
    let mut drive = ByHand::new(loaders.drive(async {
        let both = join(ask(&loaders, &stuck, 1), ask(&loaders, &stuck, 2));
        select(std::pin::pin!(answer), std::pin::pin!(both)).await;
    }));
    assert_eq!(drive.settle(), None);
    load.add_permits(1);
    assert_eq!(drive.settle(), Some(()));
    assert_eq!(inner.calls(), [[1], [2]]);
}
