//! The promises of the caches, proved against real servers: for as long as one likes. The page docs/proof.md has what came of it.
//!
//!     cargo bench --bench proof -- [--seed N] [--seconds N] [--pairs] [FAULT…]
//!     cargo bench --bench proof -- --soak --seconds 3600
//!     cargo bench --bench proof -- --failover
//!     cargo bench --bench proof -- --judge FILE
//!     cargo test --features fault-points --bench proof -- --mutants [FAULT…]
//!
//! Starts a PostgreSQL primary, two replicas, Redis and two instances of its own, all on loopback, and stops them. Breaks
//! one thing after the other (with `--pairs` two at once) while clients read and write, and begins again until its time is
//! up. `--chart FILE` draws it. `--soak` breaks something each minute, and looks at what the processes hold. A history
//! that was kept is judged again by `--judge`. Ends with 1 where a promise was broken.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench that cannot be set up measures nothing")]

mod chart;
#[path = "../../tests/shoal/proof/mod.rs"]
mod proof;
mod soak;
#[path = "../../tests/shoal/support/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "tests ask more of it")]
mod support;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use proof::faults::Fault;
use proof::figures::{Summary, tell};
use proof::history::History;
use proof::judge::judge;
use proof::mutants::{MUTANTS, Mutant, Shown, caught};
use proof::promotion::{Failover, fail_over};
use proof::rig::Rig;
use proof::run::{Outcome, Plan, path, run};

/// How often a mutant may go unnoticed before it counts.
const TRIES: u64 = 3;

/// What the command line says.
#[derive(Parser)]
#[command(name = "proof")]
struct Options {
    /// Of what clients do, and in which order; random by default.
    #[arg(long, default_value_t = fastrand::u64(..))]
    seed: u64,
    /// How long it goes on; each fault once by default.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Two faults at once.
    #[arg(long)]
    pairs: bool,
    /// A fault a minute, and what processes hold.
    #[arg(long)]
    soak: bool,
    /// Fails over once, and loses commits.
    #[arg(long)]
    failover: bool,
    /// Leaves out one rule at a time; with faults those alone that one of them shows.
    #[arg(long)]
    mutants: bool,
    /// Draws all faults in a row.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Judges a history that was kept.
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    /// Which faults; all by default.
    #[arg(value_name = "FAULT", value_parser = fault)]
    faults: Vec<Fault>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn fault(name: &str) -> Result<Fault, String> {
    let names = || Fault::ALL.map(Fault::name).join(", ");
    Fault::ALL.into_iter().find(|fault| fault.name() == name).ok_or_else(|| format!("there are {}", names()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.faults.is_empty() {
        options.faults = Fault::ALL.to_vec();
    }
    if let Some(file) = &options.judge {
        let verdict = judge(&History::load(file));
        println!("{} judged: {:#?}", verdict.judged, verdict.examples);
        return code(verdict.is_clean());
    }
    println!("seed {}", options.seed);
    let is_clean = match () {
        () if options.mutants => mutants(&options).await,
        () if options.failover => failover(&options).await,
        () if options.soak => soak::soak(&options).await,
        () => faults(&options).await,
    };
    code(is_clean)
}

fn code(is_clean: bool) -> ExitCode {
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether nothing was wrong.
fn is_clean(outcome: &Outcome) -> bool {
    outcome.verdict.is_clean() && outcome.audits.1 == 0.0
}

/// Each fault alone, or with each other one, until the time is up; then all in a row.
async fn faults(options: &Options) -> bool {
    let rig = Rig::start().await;
    let (start, mut seed, mut all_clean) = (Instant::now(), options.seed, true);
    let mut summaries = Vec::new();
    // Cold caches would be the figures of whatever comes first.
    run(&rig, Plan { name: "warming up".to_owned(), ..Plan::calm(seed) }).await;
    loop {
        let mut plans = vec![Plan::calm(seed)];
        if options.pairs {
            let pairs = options.faults.iter().enumerate();
            let pairs =
                pairs.flat_map(|(place, one)| options.faults[place + 1..].iter().map(move |other| [*one, *other]));
            let mut pairs: Vec<_> = pairs.filter(|pair| may_strike_together(*pair)).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut pairs);
            plans.extend(pairs.iter().map(|pair| Plan::of(pair, seed)));
        } else {
            plans.extend(options.faults.iter().map(|fault| Plan::of(&[*fault], seed)));
        }
        for plan in plans {
            let outcome = run(&rig, plan).await;
            let summary = Summary::of(&outcome);
            tell(&summary, &outcome.verdict);
            all_clean &= is_clean(&outcome);
            summaries.push(summary);
            if options.seconds > 0 && start.elapsed().as_secs() > options.seconds {
                break;
            }
        }
        seed = seed.wrapping_add(1);
        if start.elapsed().as_secs() >= options.seconds {
            break;
        }
    }
    if let Some(file) = &options.chart {
        let outcome = run(&rig, Plan::all_in_a_row(options.seed)).await;
        let summary = Summary::of(&outcome);
        tell(&summary, &outcome.verdict);
        all_clean &= is_clean(&outcome);
        summaries.push(summary);
        chart::draw(&outcome, file);
    }
    table::print(&summaries);
    println!("histories are in {}", path("").parent().unwrap().display());
    all_clean
}

/// A server cannot be told anything while it is killed, nor asked to commit while it must not.
fn may_strike_together([one, other]: [Fault; 2]) -> bool {
    use Fault::*;
    let kills_primary = |fault| matches!(fault, PrimaryKilled | VisibilityGap);
    let needs_primary = |fault| {
        let too =
            [LargeUpdate, Truncated, Rewritten, RewrittenUnheard, FeedCut, FeedFrozen, ReplicaKilled, ReplayPaused];
        kills_primary(fault) || too.contains(&fault)
    };
    let needs_redis = |fault| matches!(fault, RedisFlushed | RedisRestored | RedisStalled);
    let needs_replicas = |fault| matches!(fault, ReplayPaused | ReplicaKilled);
    let are_in_the_way = |one, other| {
        kills_primary(one) && needs_primary(other)
            || needs_redis(one) && needs_redis(other)
            || needs_replicas(one) && needs_replicas(other)
    };
    !are_in_the_way(one, other) && !are_in_the_way(other, one)
}

async fn mutants(options: &Options) -> bool {
    if cfg!(not(feature = "fault-points")) {
        println!("a release leaves nothing out: cargo test --features fault-points --bench proof -- --mutants");
        return false;
    }
    let mut rig = Rig::start().await;
    let mut all_caught = true;
    println!("| left out | with | seen as | after |");
    println!("|---|---|---|---|");
    // All of them, or those that one of these faults shows.
    let is_asked = |mutant: &Mutant| match mutant.shown_by {
        Shown::By(fault) => options.faults.contains(&fault),
        Shown::Calm | Shown::Failover => options.faults.len() == Fault::ALL.len(),
    };
    for mutant in MUTANTS.into_iter().filter(is_asked) {
        let mut verdict = caught(&mut rig, mutant, options.seed).await;
        // Some show in a moment that not every run has. There is but one failover.
        for seed in (1..TRIES).map(|turn| options.seed.wrapping_add(turn)) {
            if verdict.is_clean() && !matches!(mutant.shown_by, Shown::Failover) {
                verdict = caught(&mut rig, mutant, seed).await;
            }
        }
        all_caught &= !verdict.is_clean();
        let seen: Vec<_> = verdict.counts.iter().map(|(class, count)| format!("{count} × {class:?}")).collect();
        let first = verdict
            .first
            .map_or("never".to_owned(), |first| format!("{:.1} s", Duration::from_micros(first).as_secs_f64()));
        println!("| `{}` | {} | {} | {first} |", mutant.name, mutant.shown_by(), seen.join(", "));
    }
    all_caught
}

async fn failover(options: &Options) -> bool {
    let rig = Rig::start().await;
    let Failover { verdict, lost, without_writes } = fail_over(&rig, options.seed).await;
    println!(
        "{lost} writes are lost that clients were told the success of; {without_writes} ms without writes; {} judged, {:?}",
        verdict.judged, verdict.counts
    );
    verdict.is_clean()
}
