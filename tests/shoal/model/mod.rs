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

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A global id.
pub fn global(kind: &str, key: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{key}"))
}

/// The type and key in a global id.
pub fn parts(id: &str) -> (String, i64) {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    let (kind, key) = text.split_once(':').unwrap();
    (kind.to_owned(), key.parse().unwrap())
}
