//! The cache tiers. So far the connection to the far tier, whose health is reported.

mod far;

pub use far::Far;
