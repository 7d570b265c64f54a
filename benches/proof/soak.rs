//! An hour of it, with a fault a minute: what processes hold at the end is what they held at the beginning.

use std::time::{Duration, Instant};

use sqlx::Row;

use crate::proof::faults::Fault;
use crate::proof::figures::{Summary, tell};
use crate::proof::rig::Rig;
use crate::proof::run::{Plan, run};
use crate::{Options, is_clean};

/// What is looked at, between two faults.
#[derive(Clone, Debug)]
struct Held {
    /// Of the instance that is never killed, in MB.
    memory: f64,
    /// What its near tier keeps by its own estimate, in MB.
    near: f64,
    files: f64,
    /// Of all instances.
    connections: f64,
    slots: f64,
    /// Of the replica that is further behind, in kB.
    lag: f64,
}

/// A minute, of which the faults of one strike take a part.
const MINUTE: Duration = Duration::from_secs(60);

/// A near tier that is full before the first quarter ends: from then on memory can be flat, though rows are added.
const SMALL: (&str, &str) = ("SHOAL_CACHE__NEAR_BYTES", "8388608");

pub async fn soak(options: &Options) -> bool {
    let mut rig = Rig::start().await;
    rig.begin_anew(&[SMALL]).await;
    let (start, mut seed, mut all_clean) = (Instant::now(), options.seed, true);
    let mut held = Vec::new();
    let mut order = fastrand::Rng::with_seed(seed);
    let mut faults = Vec::<Fault>::new();
    while start.elapsed().as_secs() < options.seconds.max(1) {
        let minute = Instant::now();
        if faults.is_empty() {
            faults.clone_from(&options.faults);
            order.shuffle(&mut faults);
        }
        let fault = faults.pop().unwrap();
        let calm = Duration::from_secs(25);
        let outcome = run(&rig, Plan { calm, ..Plan::of(&[fault], seed) }).await;
        tell(&Summary::of(&outcome), &outcome.verdict);
        all_clean &= is_clean(&outcome);
        drop(outcome);
        let now = look(&rig).await;
        println!("  after {:.1} min: {now:?}", start.elapsed().as_secs_f64() / 60.0);
        held.push(now);
        seed = seed.wrapping_add(1);
        tokio::time::sleep(MINUTE.saturating_sub(minute.elapsed())).await;
    }
    let is_flat = compare(&held);
    all_clean && is_flat
}

async fn look(rig: &Rig) -> Held {
    let process = rig.instance_processes().await[0];
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0;
    let near = rig.instances[0].metric("shoal_cache_near_bytes", "").await / 1024.0 / 1024.0;
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() as f64;
    let mut primary = rig.primary().connect(rig.database.name()).await;
    const ASKED: &str = "select
        (select count(*) from pg_stat_activity where application_name like 'shoal%' or backend_type = 'client backend')::float8,
        (select count(*) from pg_replication_slots)::float8,
        (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0) / 1024
            from pg_stat_replication where application_name like 'replica%')::float8";
    let row = sqlx::query(ASKED).fetch_one(&mut primary).await.unwrap();
    Held { memory, near, files, connections: row.get(0), slots: row.get(1), lag: row.get(2) }
}

/// Whether the last quarter holds no more than the second: the first warms up.
fn compare(held: &[Held]) -> bool {
    if held.len() < 8 {
        println!("too short to tell whether anything grows");
        return true;
    }
    let quarter = held.len() / 4;
    type Of = fn(&Held) -> f64;
    // What may come on top of a tenth: caches that fill, and connections that idle.
    let columns: [(&str, Of, f64); 6] = [
        ("memory, MB", |held| held.memory, 16.0),
        ("near tier, MB", |held| held.near, 16.0),
        ("files", |held| held.files, 16.0),
        ("connections", |held| held.connections, 8.0),
        ("slots", |held| held.slots, 0.0),
        ("lag, kB", |held| held.lag, 1024.0),
    ];
    println!("\n| | second quarter | last quarter | most |");
    println!("|---|---|---|---|");
    let mut is_flat = true;
    for (name, of, slack) in columns {
        let median = |held: &[Held]| {
            let mut values: Vec<_> = held.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (before, after) = (median(&held[quarter..2 * quarter]), median(&held[held.len() - quarter..]));
        let most = held.iter().map(of).fold(0.0, f64::max);
        println!("| {name} | {before:.0} | {after:.0} | {most:.0} |");
        is_flat &= after <= before * 1.1 + slack;
    }
    is_flat
}
