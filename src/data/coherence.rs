//! Stamp and fence: what makes a wrong value recognisable when it is read, so that caches may hold any.
//!
//! Every cached value has a *stamp* S: it shows every commit up to S that touches what it depends on. Every instance
//! keeps, for each dependency, a *fence* F: the position of the last commit that touched it. Fences are complete through
//! the *told* position T. One rule decides everywhere whether a value may be served:
//!
//! ```text
//! S ≥ max(floor, F[d] for every dependency d)   and   max(S, T) ≥ max(token, bound)
//! ```
//!
//! A commit is in the log before the primary shows it. So what a primary answers is stamped with the *applied* position,
//! through which it shows what the fences were told, and which follows T.
//!
//! Positions only grow, and merge by the larger. So a message that is late, doubled or out of order, a fill that comes
//! minutes late and a far tier that was rolled back cannot make a wrong value valid: they cost a miss.
//!
//! Pure: no I/O, no clock, no knowledge of a table.

mod dependency;
mod fences;
#[cfg(test)]
mod tests;

pub use dependency::{Dependency, Slots};
pub use fences::{Commit, Demand, Fences, MOST_SLOTS, Slot, Verdict};
