//! The breaker by itself.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::data::cache::far::breaker::{Breaker, Change, Ticket};

const MS: Duration = Duration::from_millis(1);

/// A breaker that has just opened, and when.
fn opened() -> (Breaker, Instant) {
    let (mut breaker, now) = (Breaker::new(), Instant::now());
    for _ in 0..5 {
        let ticket = breaker.admit(now).unwrap();
        breaker.failed(ticket, now);
    }
    assert_eq!(breaker.name(), "open");
    (breaker, now)
}

#[test]
fn five_failures_in_a_row_open_it() {
    let (mut breaker, now) = (Breaker::new(), Instant::now());
    let fail = |breaker: &mut Breaker| {
        let ticket = breaker.admit(now).unwrap();
        breaker.failed(ticket, now)
    };
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(fail(&mut breaker), None);
        }
        let ticket = breaker.admit(now).unwrap();
        assert_eq!(breaker.succeeded(ticket), None);
        assert_eq!(breaker.name(), "closed");
    }
    for _ in 0..4 {
        assert_eq!(fail(&mut breaker), None);
    }
    assert_eq!(fail(&mut breaker), Some(Change::Opened));
    assert!(breaker.admit(now).is_none());
}

#[test]
fn it_rests_twice_as_long_after_each_probe_that_fails() {
    let (mut breaker, mut now) = opened();
    for rest in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
        assert!(breaker.admit(now + MS * (rest - 1)).is_none(), "{rest}");
        now += MS * rest;
        let probe = breaker.admit(now).unwrap();
        assert_eq!(breaker.name(), "probing");
        assert!(breaker.admit(now + MS * 60_000).is_none(), "one at a time");
        assert_eq!(breaker.failed(probe, now), Some(Change::Reopened));
    }
    let probe = breaker.admit(now + MS * 5_000).unwrap();
    assert_eq!(breaker.succeeded(probe), Some(Change::Closed));
    // It starts over.
    for _ in 0..5 {
        let ticket = breaker.admit(now).unwrap();
        breaker.failed(ticket, now);
    }
    assert!(breaker.admit(now + MS * 99).is_none());
    assert!(breaker.admit(now + MS * 100).is_some());
}

#[test]
fn what_was_let_through_before_it_opened_says_nothing() {
    let (mut breaker, now) = (Breaker::new(), Instant::now());
    let tickets: Vec<_> = (0..100).map(|_| breaker.admit(now).unwrap()).collect();
    let changes: Vec<_> = tickets[..50].iter().filter_map(|&ticket| breaker.failed(ticket, now)).collect();
    assert_eq!(changes, [Change::Opened]);
    assert_eq!(breaker.succeeded(tickets[50]), None);
    assert_eq!(breaker.name(), "open");
    let probe = breaker.admit(now + MS * 100).unwrap();
    assert_eq!(breaker.failed(tickets[51], now + MS * 100), None);
    breaker.abandoned(tickets[52], now + MS * 100);
    assert_eq!(breaker.name(), "probing");
    assert_eq!(breaker.succeeded(probe), Some(Change::Closed));
    assert!(tickets[53..].iter().all(|&ticket| breaker.failed(ticket, now).is_none()));
    assert_eq!(breaker.name(), "closed");
}

#[test]
fn a_probe_that_is_abandoned_leaves_it_to_the_next() {
    let (mut breaker, now) = opened();
    let now = now + MS * 100;
    let first = breaker.admit(now).unwrap();
    breaker.abandoned(first, now);
    let second = breaker.admit(now).unwrap();
    assert_eq!(breaker.failed(first, now), None);
    assert_eq!(breaker.succeeded(second), Some(Change::Closed));
    // Of others it is no outcome at all.
    for _ in 0..10 {
        let ticket = breaker.admit(now).unwrap();
        breaker.abandoned(ticket, now);
    }
    assert_eq!(breaker.name(), "closed");
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Ask,
    Succeed(usize),
    Fail(usize),
    Abandon(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6_000_u32).prop_map(Step::Wait),
        Just(Step::Ask),
        Just(Step::Ask),
        any::<usize>().prop_map(Step::Succeed),
        any::<usize>().prop_map(Step::Fail),
        any::<usize>().prop_map(Step::Fail),
        any::<usize>().prop_map(Step::Abandon),
    ]
}

proptest! {
    /// Whatever happens: nobody waits for longer than the longest rest once nothing is under way, at most one request
    /// probes, and changes alternate.
    #[test]
    fn it_never_stays_shut(steps in prop::collection::vec(step(), 0..300)) {
        let (mut breaker, mut now) = (Breaker::new(), Instant::now());
        let mut under_way: Vec<Ticket> = Vec::new();
        let mut is_open = false;
        for step in steps {
            let take = |under_way: &mut Vec<Ticket>, n: usize| {
                (!under_way.is_empty()).then(|| under_way.swap_remove(n % under_way.len()))
            };
            let change = match step {
                Step::Wait(ms) => { now += MS * ms; None }
                Step::Ask => { under_way.extend(breaker.admit(now)); None }
                Step::Succeed(n) => take(&mut under_way, n).and_then(|ticket| breaker.succeeded(ticket)),
                Step::Fail(n) => take(&mut under_way, n).and_then(|ticket| breaker.failed(ticket, now)),
                Step::Abandon(n) => {
                    if let Some(ticket) = take(&mut under_way, n) {
                        breaker.abandoned(ticket, now);
                    }
                    None
                }
            };
            match change {
                Some(Change::Opened) => { prop_assert!(!is_open); is_open = true; }
                Some(Change::Reopened) => prop_assert!(is_open),
                Some(Change::Closed) => { prop_assert!(is_open); is_open = false; }
                None => {}
            }
            prop_assert_eq!(is_open, breaker.name() != "closed");
            if breaker.name() == "probing" {
                prop_assert!(!under_way.is_empty());
                prop_assert!(breaker.admit(now + MS * 10_000).is_none());
            }
        }
        for ticket in under_way {
            breaker.abandoned(ticket, now);
        }
        prop_assert!(breaker.admit(now + MS * 5_000).is_some());
    }
}
