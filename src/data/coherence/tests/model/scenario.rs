//! Which parts take part, and how much may happen: each scenario is a corner of the protocol, small enough to be seen
//! whole.

use super::state::Commit;

/// What is in a scenario.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub instances: usize,
    pub keys: usize,
    /// The kinds of commits, and how many commits there are at most.
    pub commits: &'static [Commit],
    pub length: u8,
    /// Whether a commit is in the log before the primary shows it.
    pub hides: bool,
    /// Who may be asked.
    pub asks_primary: bool,
    pub asks_replica: bool,
    /// How often the replica is restarted, and how often each feed begins.
    pub restarts: u8,
    pub connects: u8,
    /// Whether messages of a feed are lost.
    pub misses: bool,
    /// Whether there are near tiers too.
    pub near: bool,
    /// Whether writers raise fences before the feed does.
    pub writers: bool,
    /// Whether readers stall between how far the fences were told and the fences.
    pub looks: bool,
    /// Whether the first key is a row that comes with the second, a list: the fences of a list say nothing of its rows.
    pub rows: bool,
    /// Whether the first key is a row that is kept as the log tells it.
    pub keeps: bool,
    pub failover: bool,
}

const LEAST: Scenario = Scenario {
    name: "",
    instances: 1,
    keys: 1,
    commits: &[Commit::Key(0)],
    length: 3,
    hides: true,
    asks_primary: true,
    asks_replica: false,
    restarts: 0,
    connects: 1,
    misses: false,
    near: false,
    writers: false,
    looks: false,
    rows: false,
    keeps: false,
    failover: false,
};

pub static FEED: Scenario =
    Scenario { name: "feed", length: 4, commits: &[Commit::Key(0), Commit::Other], keeps: true, ..LEAST };

pub static RECONNECT: Scenario = Scenario { name: "reconnect", connects: 3, keeps: true, ..LEAST };

pub static REWRITE: Scenario = Scenario {
    name: "rewrite",
    commits: &[Commit::Key(0), Commit::Key(1), Commit::Large, Commit::Rewrite],
    keeps: true,
    ..LEAST
};

pub static GAP: Scenario = Scenario { name: "gap", misses: true, commits: &[Commit::Key(0), Commit::Key(1)], ..LEAST };

pub static REPLICA: Scenario =
    Scenario { name: "replica", hides: false, asks_primary: false, asks_replica: true, restarts: 1, ..LEAST };

/// Without near tiers: each value is judged by itself, and what one could hold the far tier holds too.
pub static SHARED: Scenario = Scenario { name: "shared", instances: 2, length: 2, ..LEAST };

pub static REWRITE_SHARED: Scenario =
    Scenario { name: "rewrite_shared", commits: &[Commit::Key(0), Commit::Rewrite], keeps: true, ..SHARED };

pub static LISTS: Scenario = Scenario {
    name: "lists",
    keys: 2,
    length: 2,
    commits: &[Commit::Key(0), Commit::Key(1), Commit::Move, Commit::Large],
    ..LEAST
};

pub static ROWS: Scenario =
    Scenario { name: "rows", keys: 2, length: 2, commits: &[Commit::Key(0), Commit::Key(1)], rows: true, ..REPLICA };

pub static WRITERS: Scenario = Scenario { name: "writers", length: 3, near: true, writers: true, keeps: true, ..LEAST };

pub static ORDER: Scenario = Scenario { name: "order", length: 3, looks: true, ..LEAST };

pub static FAILOVER: Scenario =
    Scenario { name: "failover", length: 3, hides: false, connects: 2, failover: true, ..LEAST };
