//! Incidents: given a stack, do one thing, see what a client sees. The real binary, real databases, real Redis.
//!
//! Needs the stack of `./shoal-stack`; `./test` brings one.

mod support;

mod buyers;
mod docs;
mod import;
mod smoke;
