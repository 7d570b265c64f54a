//! Which keys go in which batch, and what those who asked get.

use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join, join_all, join3};

use super::*;

#[test]
fn keys_asked_at_once_go_in_one_batch() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    let answers = at_once(loaders.drive(join_all((1..=100).map(|key| ask(&loaders, &probe, key)))));
    assert_eq!(probe.calls(), [(1..=100).collect::<Vec<_>>()]);
    assert_eq!(answers, (1..=100).map(|key| Ok(Some(key * 10))).collect::<Vec<_>>());
}

#[test]
fn a_key_without_a_value_is_none() {
    let probe = Probe::new(|keys| ready(Ok(tenfold(&keys[..1]))));
    let loaders = Loaders::default();
    let answers = at_once(loaders.drive(join(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2))));
    assert_eq!(answers, (Ok(Some(10)), Ok(None)));
    // And is not asked for again.
    assert_eq!(at_once(loaders.drive(ask(&loaders, &probe, 2))), Ok(None));
    assert_eq!(probe.calls(), [[1, 2]]);
}

#[test]
fn a_key_asked_twice_is_loaded_once() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    let answers = at_once(loaders.drive(async {
        let together = join3(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2), ask(&loaders, &probe, 1)).await;
        (together, ask(&loaders, &probe, 1).await)
    }));
    assert_eq!(answers, ((Ok(Some(10)), Ok(Some(20)), Ok(Some(10))), Ok(Some(10))));
    assert_eq!(probe.calls(), [[1, 2]]);
}

#[test]
fn a_key_asked_again_in_flight_is_loaded_once() {
    let (load, later) = (gate(), gate());
    let (probe, loaders) = (Probe::gated(&load), Loaders::default());
    let again = async {
        pass(&later).await;
        ask(&loaders, &probe, 1).await
    };
    let mut drive = ByHand::new(loaders.drive(join(ask(&loaders, &probe, 1), again)));
    assert_eq!(drive.settle(), None);
    later.add_permits(1);
    assert_eq!(drive.settle(), None);
    assert_eq!(probe.calls(), [[1]], "the key is in flight");
    load.add_permits(1);
    assert_eq!(drive.settle(), Some((Ok(Some(10)), Ok(Some(10)))));
    assert_eq!(probe.calls(), [[1]]);
}

#[test]
fn more_than_a_batch_is_split_and_answered_together() {
    let load = gate();
    let (probe, loaders, answered) = (Probe::gated(&load), Loaders::default(), AtomicUsize::new(0));
    let mut drive = ByHand::new(loaders.drive(join_all((0..2_500).map(async |key| {
        let answer = ask(&loaders, &probe, key).await;
        answered.fetch_add(1, Ordering::SeqCst);
        answer
    }))));
    assert_eq!(drive.settle(), None);
    assert_eq!(probe.sizes(), [1_000, 1_000, 500], "all of them are in flight");
    for _ in 0..2 {
        load.add_permits(1);
        assert_eq!(drive.settle(), None);
        assert_eq!(answered.load(Ordering::SeqCst), 0, "some have no answer yet, so nobody has");
    }
    load.add_permits(1);
    assert_eq!(drive.settle(), Some((0..2_500).map(|key| Ok(Some(key * 10))).collect::<Vec<_>>()));
    assert_eq!(probe.sizes().len(), 3);
}

/// Parents of which some are known, some in flight and some new: their children are one batch nevertheless.
#[test]
fn keys_of_one_window_are_answered_together_wherever_they_come_from() {
    let (load, later) = (gate(), gate());
    let (parents, children, loaders) = (Probe::gated(&load), Probe::prompt(), Loaders::default());
    let known = join_all((0..5).map(|key| ask(&loaders, &parents, key)));
    let in_flight = join_all((5..10).map(|key| ask(&loaders, &parents, key)));
    let two_levels = join_all((0..15).map(async |key| {
        pass(&later).await;
        let parent = ask(&loaders, &parents, key).await.unwrap().unwrap();
        ask(&loaders, &children, parent).await
    }));
    let mut drive = ByHand::new(loaders.drive(async {
        known.await;
        join(in_flight, two_levels).await
    }));
    load.add_permits(1);
    assert!(drive.settle().is_none());
    later.add_permits(15);
    assert!(drive.settle().is_none());
    assert_eq!(parents.sizes(), [5, 5, 5]);
    assert_eq!(children.sizes().len(), 0);
    // The new keys have an answer before those in flight.
    load.add_permits(2);
    assert!(drive.settle().is_some());
    assert_eq!(children.sizes(), [15]);
}

#[test]
fn answers_in_flight_hold_back_those_asked_with_them() {
    let (slow, later) = (gate(), gate());
    let held = slow.clone();
    let parents = Probe::new(move |keys| {
        let held = held.clone();
        async move {
            if keys.contains(&1) {
                pass(&held).await;
            }
            Ok(tenfold(&keys))
        }
    });
    let (children, loaders) = (Probe::prompt(), Loaders::default());
    let two_levels = join_all([1, 2].map(async |key| {
        pass(&later).await;
        let parent = ask(&loaders, &parents, key).await.unwrap().unwrap();
        ask(&loaders, &children, parent).await
    }));
    let mut drive = ByHand::new(loaders.drive(join(ask(&loaders, &parents, 1), two_levels)));
    assert!(drive.settle().is_none());
    later.add_permits(2);
    assert!(drive.settle().is_none());
    assert_eq!(parents.calls(), [[1], [2]]);
    assert_eq!(children.calls(), [[0; 0]; 0], "2 has an answer, but was asked for with 1");
    slow.add_permits(1);
    assert!(drive.settle().is_some());
    assert_eq!(children.calls(), [[10, 20]]);
}

#[test]
fn an_error_reaches_everyone_who_waits() {
    let (load, later) = (gate(), gate());
    let held = load.clone();
    let probe = Probe::new(move |_| {
        let held = held.clone();
        async move {
            pass(&held).await;
            Err("no")
        }
    });
    let loaders = Loaders::default();
    let in_flight = async {
        pass(&later).await;
        ask(&loaders, &probe, 1).await
    };
    let mut drive = ByHand::new(loaders.drive(join3(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2), in_flight)));
    assert_eq!(drive.settle(), None);
    later.add_permits(1);
    assert_eq!(drive.settle(), None);
    load.add_permits(1);
    let error = || Err(LoadError::Loader("no"));
    assert_eq!(drive.settle(), Some((error(), error(), error())));
    assert_eq!(probe.calls(), [[1, 2]]);
}

/// Panics without a word in the log of the tests.
fn panic_silently() -> ! {
    std::panic::resume_unwind(Box::new("a loader's own fault"))
}

#[test]
fn a_panic_reaches_everyone_who_waits_and_nobody_else() {
    let probe = Probe::new(|keys| async move {
        wake_self(1).await;
        if keys.contains(&1) {
            panic_silently();
        }
        Ok(tenfold(&keys))
    });
    let loaders = Loaders::default();
    let answers = at_once(loaders.drive(async {
        let panicked = join_all([1, 2, 1].map(|key| ask(&loaders, &probe, key))).await;
        (panicked, join(ask(&loaders, &probe, 2), ask(&loaders, &probe, 3)).await)
    }));
    assert_eq!(answers.0, [Err(LoadError::Panicked), Err(LoadError::Panicked), Err(LoadError::Panicked)]);
    assert_eq!(answers.1, (Err(LoadError::Panicked), Ok(Some(30))));
}

#[test]
fn a_loader_that_panics_before_it_returns_a_future_is_caught_too() {
    struct Hasty;

    impl Loader<u32> for Hasty {
        type Value = u32;
        type Error = &'static str;

        fn load(&self, keys: &[u32]) -> impl Future<Output = Answers> + Send {
            if keys.contains(&1) {
                panic_silently();
            }
            ready(Ok(tenfold(keys)))
        }
    }

    let (hasty, loaders) = (Arc::new(Hasty), Loaders::default());
    let answers = at_once(loaders.drive(async { (loaders.load(&hasty, 1).await, loaders.load(&hasty, 2).await) }));
    assert_eq!(answers, (Err(LoadError::Panicked), Ok(Some(20))));
}

#[test]
fn loaders_of_one_type_do_not_share_batches() {
    let (one, other, loaders) = (Probe::prompt(), Probe::new(|_| ready(Ok(HashMap::new()))), Loaders::default());
    let answers = at_once(loaders.drive(join(ask(&loaders, &one, 1), ask(&loaders, &other, 1))));
    assert_eq!(answers, (Ok(Some(10)), Ok(None)));
    assert_eq!((one.calls(), other.calls()), (vec![vec![1]], vec![vec![1]]));
}

#[test]
fn a_loader_lives_as_long_as_the_answers_known_by_its_address() {
    let loaders = Loaders::default();
    let loader = Probe::prompt();
    let alive = Arc::downgrade(&loader);
    at_once(loaders.drive(ask(&loaders, &loader, 1))).unwrap();
    drop(loader);
    assert_eq!(alive.strong_count(), 1, "its address is taken");
    drop(loaders);
    assert_eq!(alive.strong_count(), 0, "nothing else holds it");
}

#[test]
fn keys_that_nobody_waits_for_are_not_loaded() {
    let (probe, other, loaders) = (Probe::prompt(), Probe::prompt(), Loaders::default());
    at_once(loaders.drive(async {
        drop(loaders.load(&probe, 1));
        ask(&loaders, &other, 1).await.unwrap();
        drop(loaders.load(&probe, 1));
    }));
    at_once(loaders.drive(ask(&loaders, &other, 2))).unwrap();
    assert_eq!(probe.sizes(), [0; 0]);
    // A load given up and asked for again is as good as new.
    let answers = at_once(loaders.drive(async {
        drop(loaders.load(&probe, 1));
        join(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2)).await
    }));
    assert_eq!(answers, (Ok(Some(10)), Ok(Some(20))));
    assert_eq!(probe.calls(), [[1, 2]]);
}

#[test]
fn keys_asked_before_the_drive_are_loaded_by_it() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    let before = loaders.load(&probe, 1);
    let answers = at_once(loaders.drive(join(before, ask(&loaders, &probe, 2))));
    assert_eq!(answers, (Ok(Some(10)), Ok(Some(20))));
    assert_eq!(probe.calls(), [[1, 2]]);
}

#[test]
fn answers_are_known_to_what_is_driven_later() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    assert_eq!(at_once(loaders.drive(ask(&loaders, &probe, 1))), Ok(Some(10)));
    let answers = at_once(loaders.drive(join(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2))));
    assert_eq!(answers, (Ok(Some(10)), Ok(Some(20))));
    assert_eq!(probe.calls(), [[1], [2]]);
}
