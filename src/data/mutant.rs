//! Rules that keep caches true, left out one at a time: so a checker can show that it would notice. Only a build for tests
//! leaves anything out; in any other this is a constant.
//!
//! Each rule is written down where it is kept, as what is done without it.

use serde::{Deserialize, Serialize};

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutant {
    /// No fence is raised for what was committed.
    NoFence,
    /// What the primary answers is stamped with the end of its log, and not with what it is known to show.
    StampOfLog,
    /// What the log tells counts as visible.
    NoBarrier,
    /// A feed that begins anew trusts what lies before it.
    NoGapDetection,
    /// A row that the log tells late is kept, whatever has changed since without being told.
    LateRow,
    /// What a client has seen is not asked for.
    NoToken,
    /// How old an answer may be is not asked for.
    NoBound,
    /// What a server was known to show is believed of its next life.
    NoIncarnation,
    /// Keys of the far tier are the same in every history.
    NoUniverse,
    /// A row that moves does not touch the list that it leaves.
    OldKeyForgotten,
    /// A list through a link does not depend on the table that it leads to.
    TableForgotten,
    /// What comes with a list that was read is shown as it came.
    RowsForgotten,
}

#[cfg(feature = "fault-points")]
static LEFT_OUT: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();

/// Leaves a rule out for the rest of the process's life.
#[cfg(feature = "fault-points")]
pub fn leave_out(mutant: Mutant) {
    tracing::error!(?mutant, "a rule is left out: what caches say may be wrong");
    // Set once, at start.
    let _ = LEFT_OUT.set(mutant);
}

/// Whether this is left out.
#[cfg(feature = "fault-points")]
pub(super) fn is(mutant: Mutant) -> bool {
    LEFT_OUT.get() == Some(&mutant)
}

/// Whether this is left out: never.
#[cfg(not(feature = "fault-points"))]
pub(super) const fn is(_: Mutant) -> bool {
    false
}
