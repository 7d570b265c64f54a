//! Where a test stops the process, to kill it between two steps of a work. In test builds only.

use std::fmt::Display;
use std::sync::OnceLock;

#[cfg(not(debug_assertions))]
compile_error!("a release has no fault points");

/// The work and the step at which it stops.
static STOP_AT: OnceLock<String> = OnceLock::new();

/// Stops at `step`: the name of a work, a space, and the number of a statement, `commit`, `committed` or `told`.
pub fn stop_at(step: String) {
    // Set once, at start.
    let _ = STOP_AT.set(step);
}

/// Stops for ever, if this is the step, and says so in the log.
pub(super) async fn pass(work: &str, step: impl Display) {
    let Some(stop_at) = STOP_AT.get() else { return };
    if *stop_at == format!("{work} {step}") {
        tracing::warn!(work, %step, "stopped at a fault point");
        std::future::pending::<()>().await;
    }
}
