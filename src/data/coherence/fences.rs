//! The fences of one history, and the rule.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::position::Position;

/// 2^20 fences of eight bytes: 8 MiB, whatever the size of the database.
const SLOTS: usize = 1 << 20;
/// A transaction that touches more than this raises the floor: most of the table would be dirty.
pub const MOST_SLOTS: usize = 100_000;

/// The place of a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// Of a hash of a dependency.
    pub fn of(hash: u64) -> Self {
        Self((hash & (SLOTS as u64 - 1)) as u32)
    }
}

/// What a feed tells of: everything that was committed after `previous` and up to `position`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub previous: Position,
    pub position: Position,
    /// What it touched; none where that is not known, or too much to be told.
    pub touched: Option<Vec<Slot>>,
}

/// What a reader asks of a value besides its being true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// What its client has seen or done.
    pub token: Position,
    /// What everybody sees by now.
    pub bound: Position,
}

impl Demand {
    pub fn position(self) -> Position {
        self.token.max(self.bound)
    }
}

/// What the rule says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Serves,
    /// Something that it depends on has changed since.
    BehindFence,
    /// It is not known to show what the client has seen.
    BehindToken,
    /// It is not known to be recent enough.
    BehindBound,
}

/// The fences of one history.
#[derive(Debug)]
pub struct Fences {
    slots: Box<[AtomicU64]>,
    /// A fence under everything.
    floor: AtomicU64,
    /// The fences are complete through here, though the primary may not show it yet.
    told: AtomicU64,
    /// And it shows everything through here.
    applied: AtomicU64,
}

impl Default for Fences {
    fn default() -> Self {
        Self::with(SLOTS)
    }
}

impl Fences {
    /// Of the first slots only, if not of all.
    pub(super) fn with(slots: usize) -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default).take(slots).collect(),
            floor: AtomicU64::default(),
            told: AtomicU64::default(),
            applied: AtomicU64::default(),
        }
    }

    /// The position through which the fences are complete. Load it before any fence is looked at.
    pub fn told(&self) -> Position {
        Position(self.told.load(Ordering::Acquire))
    }

    /// The same, as far as the primary shows it: what it answers from now on shows every commit up to here.
    pub fn applied(&self) -> Position {
        Position(self.applied.load(Ordering::Acquire))
    }

    /// The smallest stamp of a value that depends on these.
    pub fn fence(&self, slots: impl IntoIterator<Item = Slot>) -> Position {
        let fence = |slot: Slot| self.slots[slot.0 as usize].load(Ordering::Acquire);
        let highest = slots.into_iter().map(fence).max().unwrap_or_default();
        Position(highest).max(self.floor())
    }

    /// The fence under everything.
    pub fn floor(&self) -> Position {
        Position(self.floor.load(Ordering::Acquire))
    }

    /// A commit at `position` touched this. Too high costs a miss, never a wrong answer.
    pub fn raise(&self, slots: impl IntoIterator<Item = Slot>, position: Position) {
        for slot in slots {
            self.slots[slot.0 as usize].fetch_max(position.0, Ordering::AcqRel);
        }
    }

    /// What lies below `position` is not trusted any more: something was lost.
    pub fn raise_floor(&self, position: Position) {
        self.floor.fetch_max(position.0, Ordering::AcqRel);
    }

    /// The fences are complete through `position`, and the primary shows it. Call it once all of them are raised.
    pub fn advance(&self, position: Position) {
        self.told.fetch_max(position.0, Ordering::AcqRel);
        self.applied.fetch_max(position.0, Ordering::AcqRel);
    }

    /// Raises fences for what was committed, and tells whether that was all: if not, something before it was lost, and
    /// the floor was raised. [`advance`](Self::advance) follows once the primary shows it.
    pub fn apply(&self, commit: &Commit) -> bool {
        let told = self.told.load(Ordering::Acquire);
        if commit.position.0 <= told {
            return true;
        }
        let is_whole = commit.previous.0 <= told;
        match &commit.touched {
            Some(slots) if slots.len() <= MOST_SLOTS => self.raise(slots.iter().copied(), commit.position),
            _ => self.raise_floor(commit.position),
        }
        if !is_whole {
            self.raise_floor(commit.position);
        }
        self.told.fetch_max(commit.position.0, Ordering::AcqRel);
        is_whole
    }

    /// The rule, with the told position as it was before the fences are looked at.
    pub fn judge(
        &self,
        stamp: Position,
        slots: impl IntoIterator<Item = Slot>,
        told: Position,
        demand: Demand,
    ) -> Verdict {
        let shown = stamp.max(told);
        if stamp < self.fence(slots) {
            Verdict::BehindFence
        } else if shown < demand.token {
            Verdict::BehindToken
        } else if shown < demand.bound {
            Verdict::BehindBound
        } else {
            Verdict::Serves
        }
    }

    /// Whether none of several values, each with a dependency and its stamp, is behind a fence.
    pub fn let_pass(&self, parts: &[(Slot, Position)]) -> bool {
        parts.iter().all(|(slot, stamp)| *stamp >= self.fence([*slot]))
    }

    /// The rule for several values at once, of which `smallest` is the smallest stamp.
    pub fn judge_all(&self, smallest: Position, parts: &[(Slot, Position)], told: Position, demand: Demand) -> Verdict {
        if self.let_pass(parts) { self.judge(smallest, [], told, demand) } else { Verdict::BehindFence }
    }

    /// The smallest position of a server whose rows pass the rule for all of these.
    pub fn needed(&self, slots: impl IntoIterator<Item = Slot>, told: Position, demand: Demand) -> Position {
        let fence = self.fence(slots);
        if told >= demand.position() { fence } else { fence.max(demand.position()) }
    }
}
