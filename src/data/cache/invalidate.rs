//! What is written here is invalidated here at once, before its writer has an answer.
//!
//! Too high a fence costs a miss and nothing else, so this is always safe. What guarantees that no write is missed, by
//! whomever it was made, is the feed. The embedded database has one process that writes, so this is its feed: its commits
//! are counted, one by one, after the fences are raised.

use super::Cache;
use crate::data::change::Change;
use crate::data::events::{Batch, Events};
use crate::data::mutant::{self, Mutant};
use crate::data::position::Token;
use crate::data::write::AfterCommit;

/// Raises the fences of what was committed, and tells of it where nobody else does.
#[derive(Clone)]
pub struct Invalidate {
    pub cache: Cache,
    /// Who hears of what, where nobody else tells of changes, not even of what triggers do: on the embedded database.
    pub alone: Option<Events>,
}

impl AfterCommit for Invalidate {
    fn committed(&self, token: Token, changes: &[Change]) {
        if let Some(history) = self.cache.histories().of(token.universe).filter(|_| !mutant::is(Mutant::NoFence)) {
            let tables = &self.cache.declared().tables;
            for change in changes {
                if let Some(table) = tables.find(change.table) {
                    let raise = &mut |slot| history.fences.raise([slot], token.position);
                    table.touched(change, self.alone.is_some(), raise);
                }
            }
        }
        if let Some(events) = &self.alone {
            let mut batch = Batch::default();
            changes.iter().for_each(|change| batch.note(events, change));
            batch.commit(token.position);
            events.publish(&mut batch);
        }
    }
}
