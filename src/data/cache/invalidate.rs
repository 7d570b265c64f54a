//! What is written here is invalidated here at once, before its writer has an answer.
//!
//! Too high a fence costs a miss and nothing else, so this is always safe. What guarantees that no write is missed, by
//! whomever it was made, is the feed. The embedded database has one process that writes, so this is its feed: its commits
//! are counted, one by one, after the fences are raised.

use super::Cache;
use crate::data::change::Change;
use crate::data::position::Token;
use crate::data::write::AfterCommit;

/// Raises the fences of what was committed.
#[derive(Clone)]
pub struct Invalidate {
    pub cache: Cache,
    /// Whether nobody else tells of changes, not even of what triggers do: on the embedded database.
    pub alone: bool,
}

impl AfterCommit for Invalidate {
    fn committed(&self, token: Token, changes: &[Change]) {
        let Some(history) = self.cache.histories().of(token.universe) else { return };
        let tables = &self.cache.declared().tables;
        for change in changes {
            if let Some(table) = tables.find(change.table) {
                table.touched(change, self.alone, &mut |slot| history.fences.raise([slot], token.position));
            }
        }
    }
}
