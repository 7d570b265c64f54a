//! How jobs are run, `[jobs]` in the settings.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::job::Kind;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether `shoal serve` runs them, too.
    pub in_server: InServer,
    /// Where a worker without a server answers probes and shows its metrics; nowhere, if none.
    pub probes: Option<SocketAddr>,
    pub concurrency: Concurrency,
    /// How often the table is looked at, in milliseconds: the longest that a job waits of which nobody gave a hint.
    pub poll_ms: u64,
    /// How often Redis is asked for hints, in milliseconds.
    pub hint_ms: u64,
    /// After how long of silence a worker counts as lost, in milliseconds; at least 100.
    pub lease_ms: u64,
    /// The pause before a job that failed is tried again, in milliseconds; doubled each time, with jitter.
    pub backoff_ms: u64,
    /// The longest such pause, in milliseconds.
    pub max_backoff_ms: u64,
    /// How long jobs in work may take when a worker is told to stop, in milliseconds; then others run them again.
    pub drain_timeout_ms: u64,
    /// How long jobs that are done or cancelled, keys of writes, and files that were sent, are kept, in days.
    pub keep_days: u32,
    /// When what was kept for so long is removed: a cron expression, in UTC.
    pub retention: String,
}

/// How many jobs of a kind a worker runs at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    pub mail: usize,
    pub retention: usize,
    pub import: usize,
}

impl Concurrency {
    pub(super) fn of(&self, kind: Kind) -> usize {
        let wanted = match kind {
            Kind::Mail => self.mail,
            Kind::Retention => self.retention,
            Kind::Import => self.import,
        };
        wanted.clamp(1, 10_000)
    }
}

/// Which servers run jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InServer {
    /// The one of an embedded database, which nobody else can.
    Embedded,
    Always,
    Never,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_server: InServer::Embedded,
            probes: None,
            concurrency: Concurrency { mail: 8, retention: 1, import: 2 },
            poll_ms: 2_000,
            hint_ms: 100,
            lease_ms: 30_000,
            backoff_ms: 1_000,
            max_backoff_ms: 3_600_000,
            drain_timeout_ms: 10_000,
            keep_days: 7,
            retention: "17 3 * * *".to_owned(),
        }
    }
}

impl Settings {
    /// How long an attempt at a job of a kind may take.
    pub(super) fn longest(kind: Kind) -> Duration {
        match kind {
            Kind::Mail => Duration::from_secs(120),
            Kind::Retention => Duration::from_secs(600),
            // What it has done until then stays: the next attempt goes on behind it.
            Kind::Import => Duration::from_secs(3600),
        }
    }

    pub(super) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.max(10))
    }

    pub(super) fn hint(&self) -> Duration {
        Duration::from_millis(self.hint_ms.max(10))
    }

    /// None is shorter than it takes to extend it.
    pub(super) fn lease_ms(&self) -> u64 {
        self.lease_ms.max(100)
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms())
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// The pause after an attempt that failed, the first being 1.
    pub(super) fn backoff(&self, attempt: i32) -> u64 {
        let doublings = u32::try_from(attempt - 1).unwrap_or_default().min(40);
        let pause = self.backoff_ms.saturating_mul(1 << doublings).min(self.max_backoff_ms);
        // Between half of it and all of it: those that failed together do not come back together.
        pause / 2 + fastrand::u64(..=pause / 2)
    }

    pub(super) fn keep_ms(&self) -> u64 {
        u64::from(self.keep_days) * 86_400_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let settings = Settings { backoff_ms: 100, max_backoff_ms: 1_000, ..Settings::default() };
        for (attempt, longest) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (1_000, 1_000)] {
            let pause = settings.backoff(attempt);
            assert!((longest / 2..=longest).contains(&pause), "{attempt}: {pause}");
        }
    }
}
