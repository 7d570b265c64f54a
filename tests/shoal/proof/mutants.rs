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

pub const MUTANTS: [Mutant; 10] = [
    Mutant { name: "no_fence", shown_by: Shown::Calm },
    Mutant { name: "old_key_forgotten", shown_by: Shown::Calm },
    Mutant { name: "table_forgotten", shown_by: Shown::Calm },
    Mutant { name: "no_token", shown_by: Shown::By(Fault::FeedFrozen) },
    Mutant { name: "no_bound", shown_by: Shown::By(Fault::Partitioned) },
    Mutant { name: "stamp_of_log", shown_by: Shown::By(Fault::VisibilityGap) },
    Mutant { name: "no_barrier", shown_by: Shown::By(Fault::VisibilityGap) },
    Mutant { name: "no_gap_detection", shown_by: Shown::By(Fault::FeedCut) },
    Mutant { name: "no_incarnation", shown_by: Shown::By(Fault::ReplicaKilled) },
    // The last one: there is no other primary after it.
    Mutant { name: "no_universe", shown_by: Shown::Failover },
];

impl Mutant {
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
    rig.begin_anew(&[("SHOAL_MUTANT", mutant.name)]).await;
    let faults = match mutant.shown_by {
        Shown::Calm => Vec::new(),
        Shown::By(fault) => vec![fault],
        Shown::Failover => return fail_over(rig, seed, 32).await.verdict,
    };
    let plan = Plan { name: mutant.name.to_owned(), calm: Duration::from_secs(3), ..Plan::of(&faults, seed) };
    run(rig, plan).await.verdict
}
