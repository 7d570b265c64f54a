//! Servers that leave a rule out, and what is to be broken for that to show. Builds for tests have them, no release.

use std::time::Duration;

use super::faults::Fault;
use super::judge::Verdict;
use super::promotion::fail_over;
use super::rig::Rig;
use super::run::{Plan, run};

/// A rule that is left out.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// As `SHOAL_MUTANT` names it.
    pub name: &'static str,
    pub shown_by: Shown,
    /// How long all is well before and after.
    calm: Duration,
    /// More of the environment of instances.
    settings: &'static [(&'static str, &'static str)],
}

/// What shows it.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    /// Nothing has to be broken.
    Calm,
    By(Fault),
    /// Ends the life of the rig's primary.
    Failover,
}

pub const MUTANTS: [Mutant; 12] = [
    // Lists are else hardly ever read again while they do not change.
    Mutant { settings: &[("SHOAL_CACHE__TTL_S", "1")], ..Mutant::by("rows_forgotten", Fault::ReplayPaused) },
    Mutant::calm("no_fence"),
    Mutant::calm("old_key_forgotten"),
    Mutant::calm("table_forgotten"),
    Mutant::by("no_token", Fault::FeedFrozen),
    Mutant::by("no_bound", Fault::Partitioned),
    // What is hot is else kept anew after the gap.
    Mutant { settings: &[("SHOAL_CACHE__REFRESH", "false")], ..Mutant::by("stamp_of_log", Fault::VisibilityGap) },
    Mutant::by("no_barrier", Fault::VisibilityGap),
    Mutant::by("no_gap_detection", Fault::FeedCut),
    // What is hardly ever read is not kept as the log tells it.
    Mutant { calm: Duration::from_secs(8), ..Mutant::by("late_row", Fault::RewrittenUnheard) },
    // What is hot is else never read from a replica again.
    Mutant { settings: &[("SHOAL_CACHE__TTL_S", "1")], ..Mutant::by("no_incarnation", Fault::ReplicaKilled) },
    // The last one: there is no other primary after it.
    Mutant { shown_by: Shown::Failover, ..Mutant::calm("no_universe") },
];

impl Mutant {
    const fn calm(name: &'static str) -> Self {
        Self { name, shown_by: Shown::Calm, calm: Duration::from_secs(8), settings: &[] }
    }

    const fn by(name: &'static str, fault: Fault) -> Self {
        Self { name, shown_by: Shown::By(fault), calm: Duration::from_secs(3), settings: &[] }
    }

    /// What shows it, as reports call it.
    pub fn shown_by(self) -> String {
        match self.shown_by {
            Shown::Calm => "nothing".to_owned(),
            Shown::By(fault) => fault.name(),
            Shown::Failover => "failover".to_owned(),
        }
    }
}

/// Starts all instances anew as this, and has the judge look at them.
pub async fn caught(rig: &mut Rig, mutant: Mutant, seed: u64) -> Verdict {
    rig.begin_anew(&[&[("SHOAL_MUTANT", mutant.name)], mutant.settings].concat()).await;
    let faults = match mutant.shown_by {
        Shown::Calm => Vec::new(),
        Shown::By(fault) => vec![fault],
        Shown::Failover => return fail_over(rig, seed).await.verdict,
    };
    let plan = Plan { name: mutant.name.to_owned(), calm: mutant.calm, ..Plan::of(&faults, seed) };
    run(rig, plan).await.verdict
}
