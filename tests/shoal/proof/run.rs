//! One run: everybody at work, something breaks, and when all is quiet what is left is compared.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value as Json;

use super::clients::{self, Noted, Shared};
use super::faults::Fault;
use super::history::{Broken, Clock, History, Micros};
use super::judge::{Class, Verdict, Violation, judge};
use super::log::Log;
use super::rig::{BOUND_MS, Rig};
use super::shapes::{Shape, WHOLE};
use super::world::World;

/// How often the log is read.
const LOOK: Duration = Duration::from_millis(20);
/// How long the primary may be away.
const AWAY: Duration = Duration::from_secs(60);

/// What is done.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub seed: u64,
    /// How long all is well before, between, and after.
    pub calm: Duration,
    /// One after the other; those of one strike at once.
    pub strikes: Vec<Vec<Fault>>,
}

/// What came of it.
pub struct Outcome {
    pub plan: Plan,
    pub history: History,
    pub noted: Figures,
    pub verdict: Verdict,
    /// Hits that were compared with the primary in the background, and those that differed.
    pub audits: (f64, f64),
    /// Keys that the tiers served, and that they did not.
    pub hits: (f64, f64),
    /// How long it ran, without the comparison at the end.
    pub took: Micros,
}

/// What is measured, beside the history.
pub struct Figures {
    pub calls: Vec<clients::Call>,
    pub crossings: Vec<(Micros, Micros)>,
}

impl Plan {
    /// With nothing broken.
    pub fn calm(seed: u64) -> Self {
        Self { name: "calm".to_owned(), seed, calm: Duration::from_millis(BOUND_MS), strikes: Vec::new() }
    }

    /// With these faults at once, once.
    pub fn of(faults: &[Fault], seed: u64) -> Self {
        let strikes = if faults.is_empty() { Vec::new() } else { vec![faults.to_vec()] };
        Self { name: named(faults), strikes, ..Self::calm(seed) }
    }

    /// With every fault once, in an order that the seed gives.
    pub fn all_in_a_row(seed: u64) -> Self {
        let mut faults = Fault::ALL;
        fastrand::Rng::with_seed(seed).shuffle(&mut faults);
        let strikes = faults.map(|fault| vec![fault]).to_vec();
        Self { name: "all in a row".to_owned(), strikes, ..Self::calm(seed) }
    }
}

/// Runs a plan on servers that are well, and judges what was seen.
pub async fn run(rig: &Rig, plan: Plan) -> Outcome {
    let clock = Clock::start();
    let shared = Shared::new(clock, plan.seed);
    let (log, world) = Log::begin(rig.primary(), rig.database.name(), clock).await;
    let quiet = AtomicBool::new(false);
    let turn = (plan.seed % 97) as usize;
    let hits = tiers(rig).await;
    let reading = follow(rig, log, clock, &quiet);
    let working = async {
        let clients = clients::all(rig, &shared);
        let others = futures_util::future::join(clients::psql(rig, &shared), clients::courier(rig, &shared));
        futures_util::future::join(clients, others).await
    };
    let breaking = async {
        tokio::time::sleep(plan.calm).await;
        let mut broken = Vec::new();
        for (number, faults) in plan.strikes.iter().enumerate() {
            let from = clock.now();
            join_all(faults.iter().enumerate().map(|(place, fault)| fault.strike(rig, turn + number + place))).await;
            rig.is_well().await;
            broken.push(Broken { fault: named(faults), from, until: clock.now() });
            tokio::time::sleep(plan.calm).await;
        }
        shared.stop.store(true, Ordering::Relaxed);
        broken
    };
    let finishing = async {
        let (_, broken) = futures_util::future::join(working, breaking).await;
        let took = clock.now();
        tokio::time::sleep(Duration::from_millis(2 * BOUND_MS)).await;
        quiet.store(true, Ordering::Relaxed);
        (broken, took)
    };
    let (mut log, (broken, took)) = futures_util::future::join(reading, finishing).await;
    let Noted { reads, writes, calls, crossings } = shared.take();
    let (mut history, end) = History::of(BOUND_MS * 1000, world, log.told());
    assert_eq!(end, log.world().await, "the checker has not understood the log");
    log.end().await;
    history.reads = reads;
    history.writes = writes;
    history.broken = broken;
    let mut verdict = judge(&history);
    for violation in compare(rig, &end, clock).await {
        verdict.add(violation);
    }
    let audits =
        (rig.metric("shoal_cache_audits_total", "").await, rig.metric("shoal_cache_audit_mismatch_total", "").await);
    let after = tiers(rig).await;
    let hits = (after.0 - hits.0, after.1 - hits.1);
    history.keep(&path(&plan.name));
    Outcome { plan, history, noted: Figures { calls, crossings }, verdict, audits, hits, took }
}

/// As reports call what strikes at once.
fn named(faults: &[Fault]) -> String {
    match faults {
        [] => "calm".to_owned(),
        faults => faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(" + "),
    }
}

/// Where the history of a run is kept: the last one of each name.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("proof").join(format!("{}.jsonl.zst", name.replace(' ', "-")))
}

/// Hits of all tiers, and statements.
async fn tiers(rig: &Rig) -> (f64, f64) {
    let mut sum = (0.0, 0.0);
    for instance in &rig.instances {
        let (hits, statements) = instance.counted().await;
        sum = (sum.0 + hits, sum.1 + statements);
    }
    sum
}

/// Reads the log until all is quiet, and once more.
pub async fn follow(rig: &Rig, mut log: Log, clock: Clock, quiet: &AtomicBool) -> Log {
    let mut lost = None;
    loop {
        let is_last = quiet.load(Ordering::Relaxed);
        match log.read().await {
            Ok(()) if is_last => return log,
            Ok(()) => lost = None,
            Err(error) => {
                // The primary was killed, and is coming back.
                let since = *lost.get_or_insert(clock.now());
                assert!(clock.now() - since < AWAY.as_micros() as Micros, "the log cannot be read: {error}");
                let _ = log.connect_again(rig.primary(), rig.database.name()).await;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks every instance everything, and compares it with the rows.
pub async fn compare(rig: &Rig, world: &World, clock: Clock) -> Vec<Violation> {
    rig.is_well().await;
    let (registers, http) = (world.registers(), reqwest::Client::new());
    let shapes: HashSet<_> = Shape::all().into_iter().chain(registers.keys().map(Shape::of)).collect();
    let mut violations = Vec::new();
    for (number, instance) in rig.instances.iter().enumerate() {
        for shape in &shapes {
            let mut json = Json::Null;
            crate::support::eventually("an answer without errors", async || {
                let response = http.post(instance.url()).json(&shape.body(*WHOLE.end())).send().await.unwrap();
                json = response.json().await.unwrap();
                json["errors"].is_null() && json["extensions"]["shoal"]["stale"].is_null()
            })
            .await;
            for (register, value) in shape.seen(&json["data"]) {
                let now = registers.get(&register).cloned().unwrap_or_else(|| register.nothing());
                if now != value {
                    let shortest = vec![
                        format!("{register:?} is {now:?} since long ago"),
                        format!("instance {number} shows {value:?}"),
                    ];
                    violations.push(Violation { class: Class::Difference, at: clock.now(), shortest });
                }
            }
        }
    }
    violations
}
