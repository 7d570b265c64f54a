//! The data layer: batching, pages and the choice of a database, for any entity.
//!
//! Promises that any nesting of look-ups, pages and counts costs at most two statements per level and field. Names no
//! table, knows no GraphQL type (it takes `Loader`, the ecosystem's contract, from `async_graphql::dataloader`, and
//! nothing else), and never lets a caller choose a server.
//!
//! Writes go through [`write`] alone: a transaction on the primary, then whoever must know of it.
//!
//! One verb per depth: *find* asks the database, *fetch* gets a value from wherever it may come, *load* is batched in
//! the request.

pub mod bulk;
pub mod cache;
pub mod catalogue;
pub mod change;
mod coherence;
pub mod condition;
pub mod current;
pub mod databases;
pub mod declared;
pub mod doctor;
pub mod error;
pub mod events;
pub mod feed;
pub mod fetch;
pub mod find;
pub mod hints;
pub mod host;
pub mod ledger;
pub mod list;
pub mod loader;
pub mod mutant;
pub mod page;
pub mod pause;
pub mod plan;
pub mod position;
pub mod quota;
pub mod record;
pub mod scalar;
pub mod secret;
pub mod sql;
pub mod table;
pub mod texts;
mod thread;
pub mod trace;
pub mod write;

pub use databases::{Databases, Needs};
pub use error::Error;
pub use fetch::{Cached, Declarations};
pub use record::Record;
