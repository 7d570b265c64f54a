//! Incidents: given a stack, do one thing, see what a client sees. The real binary, real databases, real Redis.
//!
//! Needs the stack of `./shoal-stack`; `./test` brings one.

#![allow(clippy::unwrap_used)] // A test that cannot go on fails.

mod model;
mod support;

mod architecture;
mod bad_input;
mod balance;
mod buyers;
mod caches;
mod contention;
mod deploy;
mod docs;
mod edge;
#[cfg(feature = "fault-points")]
mod faults;
mod federation;
mod fields;
mod fuzz;
mod graph;
mod hostile;
mod http;
mod import;
mod jobs;
mod lists;
mod mail;
mod mutations;
mod operator;
mod otlp;
mod plans;
mod promises;
#[allow(dead_code, reason = "benches/proof asks more of it")]
mod proof;
mod routing;
mod schema;
mod shop;
mod sight;
mod smoke;
mod statements;
mod subscriptions;

mod uploads;
mod walks;
