//! What the graph should answer, worked out anew from rows that SQL returned.
//!
//! Shares no code with the product: its own formats, its own filters and orders, its own interpreter of queries. Slow
//! and plain, so that it is right.

mod execute;
mod lists;
mod objects;
mod rows;

pub use execute::{same, seen_of};
pub use lists::table;
pub use rows::{MORE, Model};

pub use crate::support::id::{global, parts};
