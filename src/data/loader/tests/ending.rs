//! What ends with a drive, and what goes on.

use std::future::{pending, ready};

use futures_util::future::join;
use tokio::sync::oneshot;

use super::*;

/// Counts how often it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn dropping_a_drive_drops_its_batches_and_nothing_of_another() {
    let (load, dropped) = (gate(), Arc::new(AtomicUsize::new(0)));
    let (gate, drops) = (load.clone(), dropped.clone());
    let probe = Probe::new(move |keys| {
        let (gate, dropped) = (gate.clone(), Dropped(drops.clone()));
        async move {
            let _dropped = dropped;
            pass(&gate).await;
            Ok(tenfold(&keys))
        }
    });
    let (one, other) = (Loaders::default(), Loaders::default());
    let mut first = ByHand::new(one.drive(ask(&one, &probe, 1)));
    let mut second = ByHand::new(other.drive(ask(&other, &probe, 1)));
    assert_eq!((first.settle(), second.settle()), (None, None));
    assert_eq!(probe.calls(), [[1], [1]]);
    drop(first);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    load.add_permits(1);
    assert_eq!(second.settle(), Some(Ok(Some(10))));
}

#[test]
fn keys_of_a_dropped_drive_are_asked_for_anew() {
    let load = gate();
    let (probe, loaders) = (Probe::gated(&load), Loaders::default());
    let mut drive = ByHand::new(loaders.drive(ask(&loaders, &probe, 1)));
    assert_eq!(drive.settle(), None);
    drop(drive);
    load.add_permits(1);
    assert_eq!(at_once(loaders.drive(ask(&loaders, &probe, 1))), Ok(Some(10)));
    assert_eq!(probe.calls(), [[1], [1]]);
}

#[test]
fn a_load_asked_by_another_task_wakes_the_drive() {
    let (probe, loaders) = (Probe::prompt(), Loaders::default());
    let (send, receive) = oneshot::channel();
    let mut drive = ByHand::new(loaders.drive(receive));
    assert_eq!(drive.settle(), None);
    let mut other = ByHand::new(async {
        let answers = join(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2)).await;
        send.send(answers).unwrap();
    });
    assert_eq!(other.settle(), None);
    assert!(drive.is_woken());
    assert_eq!(drive.settle(), None);
    assert_eq!(other.settle(), Some(()));
    assert_eq!(drive.settle(), Some(Ok((Ok(Some(10)), Ok(Some(20))))));
    assert_eq!(probe.calls(), [[1, 2]]);
}

#[test]
fn a_load_that_nobody_drives_is_an_error() {
    let (probe, loaders) = (Probe::gated(&gate()), Loaders::default());
    assert_eq!(at_once(ask(&loaders, &probe, 1)), Err(LoadError::Undriven));
    at_once(loaders.drive(ready(())));
    assert_eq!(at_once(ask(&loaders, &probe, 1)), Err(LoadError::Undriven));

    // In another task, when the drive ends: one in flight, one that waits to be dispatched.
    let mut drive = ByHand::new(loaders.drive(pending::<()>()));
    assert_eq!(drive.settle(), None);
    let mut in_flight = ByHand::new(ask(&loaders, &probe, 1));
    assert_eq!((in_flight.settle(), drive.settle()), (None, None));
    assert_eq!(probe.calls(), [[1]]);
    let mut collecting = ByHand::new(join(ask(&loaders, &probe, 1), ask(&loaders, &probe, 2)));
    assert_eq!(collecting.settle(), None);
    drop(drive);
    assert!(in_flight.is_woken() && collecting.is_woken());
    assert_eq!(in_flight.settle(), Some(Err(LoadError::Undriven)));
    assert_eq!(collecting.settle(), Some((Err(LoadError::Undriven), Err(LoadError::Undriven))));
}

#[test]
#[should_panic(expected = "these loaders are being driven already")]
fn loaders_are_driven_once_at_a_time() {
    let loaders = Loaders::default();
    at_once(loaders.drive(loaders.drive(ready(()))));
}
