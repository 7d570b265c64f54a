//! The breaker among requests: who passes, and what is said of it.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use metrics::{Gauge, gauge};

use super::breaker::{Breaker, Change, Ticket};

/// A breaker that many requests share. It is held for no longer than it takes to look at it.
pub(super) struct Gate {
    breaker: Mutex<Breaker>,
    open: Gauge,
}

/// A request that was let through. One that is dropped has no outcome.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    /// None once the outcome is known.
    ticket: Option<Ticket>,
}

impl Gate {
    pub fn new() -> Self {
        let open = gauge!("shoal_far_breaker_open");
        open.set(0.0);
        Self { breaker: Mutex::new(Breaker::new()), open }
    }

    pub fn pass(&self) -> Option<Pass<'_>> {
        let ticket = self.breaker().admit(Instant::now())?;
        Some(Pass { gate: self, ticket: Some(ticket) })
    }

    pub fn state(&self) -> &'static str {
        self.breaker().name()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    pub fn succeeded(mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        if self.gate.breaker().succeeded(ticket).is_some() {
            self.gate.open.set(0.0);
            tracing::info!("the far tier answers again");
        }
    }

    /// Whether Redis is left alone from now on because of this. A change of state is logged once, not each failed probe.
    pub fn failed(mut self, cause: &dyn Display) -> bool {
        let Some(ticket) = self.ticket.take() else { return false };
        let change = self.gate.breaker().failed(ticket, Instant::now());
        if change == Some(Change::Opened) {
            self.gate.open.set(1.0);
            tracing::warn!(%cause, "the far tier fails and is left alone");
        }
        change.is_some()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.breaker().abandoned(ticket, Instant::now());
        }
    }
}
