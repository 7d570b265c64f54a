//! The core by itself, then the protocol that it serves.
//!
//! [`fences`] and [`dependency`] say what each call does, [`properties`] what holds after any calls in any order.
//! [`model`] runs writers, servers, feeds and tiers through every order of their steps, up to a size, with the rule of the
//! core in their midst; and once more with each rule of the protocol left out, which must not go unnoticed.

mod dependency;
mod fences;
mod model;
mod properties;
