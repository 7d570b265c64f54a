//! When a server that fails is left alone, and when it is tried again. Time is what the caller says it is.

use std::time::{Duration, Instant};

/// So many failures in a row open the breaker.
const FAILURES: u32 = 5;
/// How long it stays open at first; twice as long after each probe that failed.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Closed while all is well, open after failures in a row; then one request probes, and decides.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// How often the state has changed: an outcome counts only if it has not since the request was let through. What is
    /// left over from before a breaker opened says nothing that is not known.
    changes: u64,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, rest: Duration },
    Probing { rest: Duration },
}

/// A request that was let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

/// What an outcome did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    /// The probe failed.
    Reopened,
    Closed,
}

impl Breaker {
    pub fn new() -> Self {
        Self { state: State::Closed { failures: 0 }, changes: 0 }
    }

    pub fn name(&self) -> &'static str {
        match self.state {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::Probing { .. } => "probing",
        }
    }

    /// Lets a request through, or not. Each ticket is to be given back with an outcome, or abandoned.
    pub fn admit(&mut self, now: Instant) -> Option<Ticket> {
        match self.state {
            State::Closed { .. } => Some(Ticket(self.changes)),
            State::Open { until, rest } if now >= until => Some(self.turn(State::Probing { rest })),
            State::Open { .. } | State::Probing { .. } => None,
        }
    }

    pub fn succeeded(&mut self, ticket: Ticket) -> Option<Change> {
        if ticket.0 != self.changes {
            return None;
        }
        match &mut self.state {
            State::Closed { failures } => {
                *failures = 0;
                None
            }
            State::Open { .. } | State::Probing { .. } => {
                self.turn(State::Closed { failures: 0 });
                Some(Change::Closed)
            }
        }
    }

    pub fn failed(&mut self, ticket: Ticket, now: Instant) -> Option<Change> {
        if ticket.0 != self.changes {
            return None;
        }
        let (rest, change) = match &mut self.state {
            State::Closed { failures } if *failures + 1 < FAILURES => {
                *failures += 1;
                return None;
            }
            State::Closed { .. } => (FIRST_REST, Change::Opened),
            State::Open { rest, .. } | State::Probing { rest } => ((*rest * 2).min(LONGEST_REST), Change::Reopened),
        };
        self.turn(State::Open { until: now + rest, rest });
        Some(change)
    }

    /// Nobody waits for the outcome any more. If it was that of a probe, the next request probes.
    pub fn abandoned(&mut self, ticket: Ticket, now: Instant) {
        if let State::Probing { rest } = self.state
            && ticket.0 == self.changes
        {
            self.turn(State::Open { until: now, rest });
        }
    }

    fn turn(&mut self, state: State) -> Ticket {
        self.state = state;
        self.changes += 1;
        Ticket(self.changes)
    }
}
