//! The history that is served now: its fences, and which tables they are kept for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use super::miss::Miss;
use crate::data::coherence::{Commit, Demand, Fences, Slot};
use crate::data::mutant::{self, Mutant};
use crate::data::position::{Position, Universe};

/// How values are written into the far tier; another one reads nothing of this.
const VERSION: &str = "s2";

/// What is known of one history of the database.
#[derive(Debug)]
pub struct History {
    pub universe: Universe,
    /// Of its keys in the far tier.
    pub prefix: String,
    pub fences: Fences,
    /// Through where the fences are complete, and through where the primary shows it, for those who wait for either.
    progress: watch::Sender<Progress>,
    /// The tables whose changes are all told. Only what is read of them may be kept.
    tables: RwLock<HashSet<&'static str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    told: Position,
    applied: Position,
}

/// The history of now. Another follows when the primary is another, or on another timeline.
#[derive(Debug)]
pub struct Histories {
    /// Tells apart what is kept of the same history in other ways.
    salt: u64,
    current: RwLock<Option<Arc<History>>>,
    beginning: Mutex<()>,
}

impl History {
    fn new(universe: Universe, salt: u64) -> Self {
        let prefix = match mutant::is(Mutant::NoUniverse) {
            false => format!("{VERSION}:{:016x}", universe.salted(salt)),
            true => format!("{VERSION}:{salt:016x}"),
        };
        Self {
            universe,
            prefix,
            fences: Fences::default(),
            progress: watch::Sender::default(),
            tables: RwLock::default(),
        }
    }

    /// The fences are complete through `position`, and the primary shows it.
    pub fn advance(&self, position: Position) {
        self.fences.advance(position);
        self.announce();
    }

    /// Raises the fences for a commit; whether nothing was lost before it.
    pub fn apply(&self, commit: &Commit) -> bool {
        let is_whole = self.fences.apply(commit);
        self.announce();
        is_whole
    }

    fn announce(&self) {
        let now = Progress { told: self.fences.told(), applied: self.fences.applied() };
        self.progress.send_if_modified(|known| {
            let later = Progress { told: now.told.max(known.told), applied: now.applied.max(known.applied) };
            later != std::mem::replace(known, later)
        });
    }

    /// Waits until the fences are complete through `position`.
    pub async fn reaches(&self, position: Position) {
        // The sender lives as long as this.
        let _ = self.progress.subscribe().wait_for(|now| now.told >= position).await;
    }

    /// Waits until the primary, too, shows everything up to `position`.
    pub async fn shows(&self, position: Position) {
        let _ = self.progress.subscribe().wait_for(|now| now.applied >= position).await;
    }

    /// Which tables' changes are all told from now on.
    pub fn tells(&self, tables: HashSet<&'static str>) {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// Whether all changes of these tables are told.
    pub fn tells_all(&self, tables: impl IntoIterator<Item = &'static str>) -> bool {
        let told = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.into_iter().all(|table| told.contains(table))
    }
}

/// A history as one batch sees it.
#[derive(Clone, Debug)]
pub struct View {
    pub history: Arc<History>,
    /// The told position, loaded before any fence is looked at.
    pub told: Position,
    pub demand: Demand,
}

impl View {
    pub fn of(history: Arc<History>, demand: Demand) -> Self {
        let told = history.fences.told();
        Self { history, told, demand }
    }

    /// The rule: why a value may not be served, if it may not.
    pub fn refuses(&self, stamp: Position, slots: impl IntoIterator<Item = Slot>) -> Option<Miss> {
        Miss::of(self.history.fences.judge(stamp, slots, self.told, self.demand))
    }

    /// The rule for several values at once, of which `smallest` is the smallest stamp.
    pub fn refuses_some(&self, smallest: Position, parts: &[(Slot, Position)]) -> Option<Miss> {
        Miss::of(self.history.fences.judge_all(smallest, parts, self.told, self.demand))
    }

    /// The smallest position of a server whose rows pass the rule for all of these.
    pub fn needed(&self, slots: impl IntoIterator<Item = Slot>) -> Position {
        self.history.fences.needed(slots, self.told, self.demand)
    }
}

impl Histories {
    pub fn new(salt: u64) -> Self {
        Self { salt, current: RwLock::default(), beginning: Mutex::default() }
    }

    pub fn current(&self) -> Option<Arc<History>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The current history, if it is that of this universe.
    pub fn of(&self, universe: Universe) -> Option<Arc<History>> {
        self.current().filter(|history| history.universe == universe)
    }

    /// The history of a universe, begun if it is not the current one; and whether it was begun.
    pub fn begin(&self, universe: Universe) -> (Arc<History>, bool) {
        let _one_at_a_time = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(history) = self.of(universe) {
            return (history, false);
        }
        let history = Arc::new(History::new(universe, self.salt));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(history.clone());
        (history, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_the_fences_does_not_wait_for_the_primary() {
        let (history, _) = Histories::new(0).begin(Universe::of(1, 2, 3));
        let slot = Slot::of(7);
        let commit = Commit { previous: Position(0), position: Position(5), touched: Some(vec![slot]) };
        let (was_whole, ()) = tokio::join!(async { history.apply(&commit) }, history.reaches(Position(5)));
        assert!(was_whole);
        let view = View::of(history.clone(), Demand { token: Position(5), bound: Position(3) });
        assert_eq!(view.refuses(Position(4), [slot]), Some(Miss::BehindFence));
        assert_eq!(view.refuses(Position(4), [Slot::of(8)]), None, "nothing has touched it since");
        assert_eq!(history.fences.applied(), Position(0), "the primary has not shown it yet");
        let ((), ()) = tokio::join!(history.shows(Position(5)), async { history.advance(Position(5)) });
    }
}
