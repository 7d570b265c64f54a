//! What is counted of the far tier.

use metrics::{Counter, Histogram, counter, histogram};

pub(super) struct Meters {
    pub get: Asked,
    pub fill: Asked,
    pub script: Asked,
    /// Entries that were not written, or not known to be.
    pub dropped: Counter,
    /// Bytes of values.
    pub read: Counter,
    pub written: Counter,
}

/// What became of the requests of one kind, and how long those took that were sent.
pub(super) struct Asked {
    pub ok: Counter,
    pub failed: Counter,
    pub breaker: Counter,
    pub seconds: Histogram,
}

impl Meters {
    pub fn new() -> Self {
        Self {
            get: Asked::of("get"),
            fill: Asked::of("fill"),
            script: Asked::of("script"),
            dropped: counter!("shoal_far_fills_dropped_total"),
            read: counter!("shoal_far_bytes_total", "direction" => "read"),
            written: counter!("shoal_far_bytes_total", "direction" => "written"),
        }
    }
}

impl Asked {
    fn of(command: &'static str) -> Self {
        let outcome =
            |outcome: &'static str| counter!("shoal_far_requests_total", "command" => command, "outcome" => outcome);
        Self {
            ok: outcome("ok"),
            failed: outcome("failed"),
            breaker: outcome("breaker"),
            seconds: histogram!("shoal_far_seconds", "command" => command),
        }
    }
}
