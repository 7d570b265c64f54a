//! For how long and for whom an answer may be kept: the strictest of what its types and fields declare.
//!
//! What declares nothing is for nobody but who asked, and for no time. Columns are as the object that they belong to, lists
//! as the objects that they hold. Found out of the document, in time that grows with it; what only an execution
//! knows, such as that a post is a draft, is found by [`super::shown`].

mod declared;
mod walk;

#[cfg(test)]
mod tests;

use async_graphql::parser::types::OperationType;
use async_graphql::{Enum, TypeDirective};

pub use declared::Declared;
use walk::Walk;

use super::asked::Asked;
use super::table::Table;

/// Whose caches may keep something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[graphql(name = "CacheControlScope")]
pub enum Scope {
    /// Everybody's.
    Public,
    /// Only the cache of who asked.
    Private,
}

/// For how long, in seconds, and for whom something may be kept by caches; without it, for no time, and for nobody but
/// who asked. What inherits is as what it is a part of.
#[TypeDirective(location = "FieldDefinition", location = "Object", location = "Interface", name = "cacheControl")]
pub fn cache_control(max_age: Option<i32>, scope: Option<Scope>, inherit_max_age: Option<bool>) {}

/// For how long and for whom something may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub seconds: u32,
    pub scope: Scope,
}

impl Policy {
    /// For nobody else, and not without asking again.
    pub const NONE: Self = Self { seconds: 0, scope: Scope::Private };

    /// The stricter of both, for each.
    pub fn and(self, other: Self) -> Self {
        Self { seconds: self.seconds.min(other.seconds), scope: self.scope.max(other.scope) }
    }

    /// Whether others may be shown it.
    pub fn is_public(self) -> bool {
        self.scope == Scope::Public && self.seconds > 0
    }
}

/// The policy of a request, as far as its document says. What changes something, or goes on, has none.
pub fn policy(table: &Table, asked: Asked<'_>) -> Policy {
    let mut walk = Walk::new(table, asked);
    if asked.operation.ty == OperationType::Query
        && let Some(root) = table.root(OperationType::Query)
    {
        walk.selections(&asked.operation.selection_set.node, root);
    }
    // What asks for nothing that has a policy is as what has none.
    walk.strictest.unwrap_or(Policy::NONE)
}
