//! What there is at one moment. Small, and without a pointer: there are very many of it.

use super::scenario::Scenario;
use crate::data::coherence::{Commit as Told, Demand, Fences, Slot, Verdict};
use crate::data::position::Position;

/// Lists or rows that are asked for: each has a fence of its own.
pub const KEYS: usize = 2;
/// Commits in the log, at most.
pub const COMMITS: usize = 4;

/// A set of commits: bit n is the commit at position n.
pub type Set = u8;

/// The commits up to a position.
pub fn up_to(position: u8) -> Set {
    (2 << position) - 2
}

/// What a commit touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Commit {
    Key(u8),
    /// A row goes from the first list to the second.
    Move,
    /// Everything, and more than can be told.
    Large,
    /// Everything is written anew, of which nothing is told. Nobody reads or writes it meanwhile.
    Rewrite,
    /// A table that nobody reads through the tiers.
    Other,
}

impl Commit {
    pub fn touches(self, key: usize) -> bool {
        match self {
            Self::Key(of) => usize::from(of) == key,
            Self::Move | Self::Large | Self::Rewrite => true,
            Self::Other => false,
        }
    }

    /// Whether the log tells of it.
    pub fn is_told(self) -> bool {
        !matches!(self, Self::Rewrite | Self::Other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub log: [Option<Commit>; COMMITS],
    /// Where the log ends.
    pub end: u8,
    /// What the primary shows.
    pub shown: Set,
    /// Which history this is, and how much it has in common with the one before.
    pub universe: u8,
    pub fork: u8,
    pub replayed: u8,
    pub restarts: u8,
    pub far: [Option<Entry>; KEYS],
    pub instances: [Instance; 2],
}

/// A value in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub universe: u8,
    pub stamp: u8,
    /// The commits that it shows.
    pub shows: Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    pub universe: u8,
    pub fences: Table,
    pub feed: Feed,
    pub connects: u8,
    /// A commit whose fences are to be raised yet, though the applied position is past it.
    pub owed: u8,
    /// The rewrites that it has noticed.
    pub noticed: Set,
    /// The commit that changed the first row last, of those that were told and have not passed: the log told the row, too.
    pub row: Option<u8>,
    pub near: [Option<Entry>; KEYS],
    pub load: Option<Load>,
    /// The last position that the replica told.
    pub polled: Option<u8>,
    pub look: Option<Look>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    Lost,
    /// It has a slot, and waits for who was at work when it got it.
    Opening {
        from: u8,
    },
    /// It has read the log up to here.
    Follows {
        read: u8,
    },
}

/// A question to a server that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Load {
    pub key: u8,
    pub universe: u8,
    pub stamp: u8,
    /// The answer; none while it is on its way.
    pub shows: Option<Set>,
    /// Of a replica: what it was asked for.
    pub asked: Option<Asked>,
}

/// For whom a replica may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The highest demand, of a token or a bound, that it can meet.
    pub demand: u8,
    /// What the instance knew of.
    pub told: u8,
}

/// What a reader has looked at so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    Told(u8),
    Fences(Table),
}

/// What fences hold, to be made of them and to be made into them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    pub fences: [u8; KEYS],
    pub floor: u8,
    pub told: u8,
    pub applied: u8,
}

impl State {
    pub fn new(scenario: &Scenario) -> Self {
        let instance = Instance {
            universe: 0,
            fences: Table::default(),
            feed: Feed::Lost,
            connects: scenario.connects,
            owed: 0,
            noticed: 0,
            row: None,
            near: [None; KEYS],
            load: None,
            polled: None,
            look: None,
        };
        Self {
            log: [None; COMMITS],
            end: 0,
            shown: 0,
            universe: 0,
            fork: 0,
            replayed: 0,
            restarts: scenario.restarts,
            far: [None; KEYS],
            instances: [instance; 2],
        }
    }

    /// The commit at a position.
    pub fn commit(&self, position: u8) -> Commit {
        self.log[usize::from(position) - 1].expect("a position is not past the end of the log")
    }

    /// Those among the commits that touch a key.
    pub fn touching(&self, key: usize, among: Set) -> Set {
        self.those(among, |commit| commit.touches(key))
    }

    /// Where the commits are that touch a key and that a value of a history does not show.
    pub fn missing(&self, key: usize, universe: u8, shows: Set) -> impl Iterator<Item = u8> {
        let shows = if universe == self.universe { shows } else { shows & up_to(self.fork) };
        let missing = self.touching(key, up_to(self.end)) & !shows;
        (1..=self.end).filter(move |position| missing & 1 << position != 0)
    }

    /// The rewrites among commits.
    pub fn rewrites(&self, among: Set) -> Set {
        self.those(among, |commit| commit == Commit::Rewrite)
    }

    fn those(&self, among: Set, are: impl Fn(Commit) -> bool) -> Set {
        let are = |position: &u8| are(self.commit(*position));
        (1..=self.end).filter(are).map(|position| 1 << position).sum::<Set>() & among
    }

    /// Whether somebody writes everything anew, and has not ended.
    pub fn is_locked(&self) -> bool {
        self.rewrites(!self.shown) != 0
    }
}

pub fn slot(key: usize) -> Slot {
    Slot::of(key as u64)
}

pub fn at(position: u8) -> Position {
    Position(position.into())
}

impl Table {
    pub fn thaw(&self) -> Fences {
        let fences = Fences::with(KEYS);
        for (key, fence) in self.fences.into_iter().enumerate() {
            fences.raise([slot(key)], at(fence));
        }
        fences.raise_floor(at(self.floor));
        fences.advance(at(self.applied));
        let told = Told { touched: Some(Vec::new()), position: at(self.told), ..Told::default() };
        fences.apply(&told);
        fences
    }

    /// The same after something was done to the fences.
    pub fn after<T>(&mut self, act: impl FnOnce(&Fences) -> T) -> T {
        let fences = self.thaw();
        let done = act(&fences);
        let number = |position: Position| position.0 as u8;
        *self = Self {
            fences: std::array::from_fn(|key| number(fences.fence([slot(key)]))),
            floor: number(fences.floor()),
            told: number(fences.told()),
            applied: number(fences.applied()),
        };
        done
    }

    pub fn judge(&self, stamp: u8, key: usize, told: u8, token: u8, bound: u8) -> Verdict {
        let demand = Demand { token: at(token), bound: at(bound) };
        self.thaw().judge(at(stamp), [slot(key)], at(told), demand)
    }
}
