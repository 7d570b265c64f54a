//! What a request may cost, found out from its page sizes before it is executed.
//!
//! An object costs 1, and so does the statement of a list or look-up; what is below a list is multiplied by the rows it
//! asks for. Columns are free, but for what [`cost`] says. Promises an upper bound of the objects that an execution makes,
//! in time that grows with the document: a fragment is priced once for each type. Where fragments ask for one list
//! twice, its price counts twice, though it is read once.

mod dearest;
mod walk;

#[cfg(test)]
mod tests;

use async_graphql::{ServerError, TypeDirective, Value};

pub use dearest::dearest;
use walk::Walk;

use super::asked::Asked;
use super::error::{Code, request_error};
use super::table::Table;

/// What a field costs besides what is below it; without it an object costs 1, a mutation 10, anything else nothing.
#[TypeDirective(location = "FieldDefinition", name = "cost")]
pub fn cost(weight: i32) {}

/// A field reads its arguments anew for each object, so every so many bytes of them cost as much as one.
pub(super) const BYTES: usize = 1024;

/// What of a request costs most, and how much that is by itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Dearest {
    /// The keys that lead to it, with dots between them.
    pub path: String,
    pub price: u64,
}

/// The price of a request; at least 1.
pub fn price(table: &Table, asked: Asked<'_>) -> u64 {
    let root = table.root(asked.operation.ty);
    let mut walk = Walk::new(table, asked);
    root.map_or(1, |root| walk.selections(&asked.operation.selection_set.node, root).flat.max(1))
}

/// Why a request is refused.
pub fn too_high(price: u64, limit: u64, dearest: &Dearest) -> ServerError {
    let Dearest { path, price: most } = dearest;
    let message =
        format!("the request would cost {price}, of at most {limit}; most of it is {path}, which costs {most}");
    request_error(Code::QueryTooComplex, message)
}

/// What a client is told of a price.
pub fn account(price: u64, limit: u64, dearest: &Dearest) -> Value {
    let account = serde_json::json!({
        "price": price,
        "limit": limit,
        "dearest": { "path": dearest.path, "price": dearest.price },
    });
    Value::from_json(account).unwrap_or_default()
}
