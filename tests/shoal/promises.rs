//! The promises of the caches, proved from outside: some minutes of what `benches/proof` does for hours. `./test` runs the
//! live ones by themselves, because they take all that a machine has.

mod judge;
mod world;

use crate::proof::figures::{Summary, tell};
use crate::proof::promotion::{Failover, fail_over};
use crate::proof::rig::Rig;
use crate::proof::run::{Outcome, Plan, run};

/// The seed of the runs that are the same each time.
const SEED: u64 = 7;

/// The seed of those that are not: a random one, or that of a run which is to be repeated.
#[allow(clippy::disallowed_methods)]
fn seed() -> u64 {
    let seed = std::env::var("SHOAL_TEST_SEED").ok().map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("SHOAL_TEST_SEED={seed}");
    seed
}

/// Whether nothing was wrong; says so.
fn is_clean(outcome: &Outcome) -> bool {
    tell(&Summary::of(outcome), &outcome.verdict);
    outcome.verdict.is_clean() && outcome.audits.1 == 0.0
}

/// One after the other, in an order that the seed gives; with all well between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_each_fault_alone() {
    let rig = Rig::start().await;
    for seed in [SEED, seed()] {
        assert!(is_clean(&run(&rig, Plan::all_in_a_row(seed)).await), "a promise was broken, with seed {seed}");
    }
}

/// Each is seen a dozen times and more in every run. The others take luck: they are for the command, which has more patience.
#[cfg(feature = "fault-points")]
const SURE: [&str; 5] = ["no_fence", "old_key_forgotten", "table_forgotten", "no_barrier", "no_incarnation"];

#[cfg(feature = "fault-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_mutants_that_show_each_time_are_caught() {
    use crate::proof::mutants::{MUTANTS, caught};

    let mut rig = Rig::start().await;
    for name in SURE {
        let mutant = MUTANTS.into_iter().find(|mutant| mutant.name == name).unwrap();
        let verdict = caught(&mut rig, mutant, SEED).await;
        println!("{name}: {:?}, first after {:?} µs", verdict.counts, verdict.first);
        assert!(!verdict.is_clean(), "nobody noticed that {name} was left out");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_after_a_failover_nobody_is_shown_what_was_lost() {
    let rig = Rig::start().await;
    let Failover { verdict, lost, without_writes } = fail_over(&rig, seed()).await;
    println!("{lost} writes are lost, for {without_writes} ms nobody could write");
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert!(lost > 0, "nothing was lost: there was nothing to show");
}
