//! How a process is told to stop, and how it does so: first it is left alone, then it stops.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::http::Ending;

/// The signals that end a process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Who tells the parts of a process.
pub struct Stop {
    leaving: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
}

/// What tells parts to end, and where they hear it.
pub fn ending() -> (Stop, Ending) {
    let (leaving, stopping) = (watch::Sender::new(false), watch::Sender::new(false));
    let ending = Ending { leaving: leaving.subscribe(), stopping: stopping.subscribe() };
    (Stop { leaving, stopping }, ending)
}

impl Signals {
    /// # Errors
    /// When the system does not let signals be heard.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, then tells all: to be left alone for `delay`, so that balancers send their requests elsewhere, and to
    /// stop. Whoever is at a keyboard (SIGINT), or sends a second signal, does not want to wait for that.
    pub async fn tell(mut self, stop: Stop, delay: Duration, what_may_end: &str) {
        let is_by_hand = self.next().await;
        stop.leaving.send_replace(true);
        if !is_by_hand && !delay.is_zero() {
            tracing::info!(delay_ms = delay.as_millis(), "leaving: not ready any more, but still serving");
            let _ = tokio::time::timeout(delay, self.next()).await;
        }
        tracing::info!("stopping: {what_may_end} may end");
        stop.stopping.send_replace(true);
    }

    /// Waits for a signal; whether it comes from a keyboard.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => true,
        }
    }
}
