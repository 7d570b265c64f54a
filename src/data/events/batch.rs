//! What has been told, and not yet been published.

use std::collections::HashSet;

use super::{Events, Topic};
use crate::data::change::Change;
use crate::data::position::Position;
use crate::data::scalar::Scalar;

/// Most events that wait to be published: of a transaction that makes more, none can be told.
const MOST: usize = 100_000;

/// An event that somebody listens to.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub topic: &'static Topic,
    /// Whom it concerns.
    pub to: Scalar,
    /// The primary key of the row.
    pub key: Scalar,
}

/// Events of transactions, the last of which may be open.
#[derive(Default)]
pub struct Batch {
    open: Vec<Noted>,
    committed: Vec<(Noted, Position)>,
    /// Tables of which too much has changed.
    lost: HashSet<&'static str>,
}

impl Batch {
    /// A transaction begins to be told; what was told of one that has not been committed never was.
    pub fn begin(&mut self) {
        self.open.clear();
    }

    /// The open transaction has changed this.
    pub fn note(&mut self, events: &Events, change: &Change) {
        events.noted(change, |noted| {
            if self.open.len() + self.committed.len() < MOST {
                self.open.push(noted);
            } else {
                self.lost.insert(noted.topic.table);
            }
        });
    }

    /// The open transaction was committed; `position` shows it.
    pub fn commit(&mut self, position: Position) {
        self.committed.extend(self.open.drain(..).map(|noted| (noted, position)));
    }

    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.lost.is_empty()
    }

    /// What was committed, in its order, and the tables of which it is not all.
    pub(super) fn take(&mut self) -> (Vec<(Noted, Position)>, HashSet<&'static str>) {
        (std::mem::take(&mut self.committed), std::mem::take(&mut self.lost))
    }
}
