//! A failover that loses commits: what can be promised beyond it, and what cannot.
//!
//! The replicas receive nothing for a while, then the primary dies, and the first replica takes its place. What was
//! committed last is gone, though clients were told its success, and caches hold it. From a bound after the primary's death
//! on, nobody may be shown any of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::clients::{self, Noted, Shared};
use super::faults::signal;
use super::history::{Broken, Clock, History};
use super::judge::{Verdict, judge};
use super::log::Log;
use super::rig::{BOUND_MS, Rig};
use super::run::{compare, follow, path};
use super::shapes::{Shape, WHOLE};

/// So many users are renamed right before the primary dies.
const LOST_USERS: i64 = 6;

/// What came of it.
pub struct Failover {
    pub verdict: Verdict,
    /// Writes that clients were told the success of, and that are gone.
    pub lost: usize,
    /// For how long nobody could write, in milliseconds.
    pub without_writes: u64,
}

/// Fails over once; the first replica is the primary afterwards.
pub async fn fail_over(rig: &Rig, seed: u64) -> Failover {
    let clock = Clock::start();
    let shared = Shared::new(clock, seed);
    let working = async { join(clients::all(rig, &shared), clients::psql(rig, &shared)).await };
    let quiet = AtomicBool::new(false);
    let failing = async {
        let bound = Duration::from_millis(BOUND_MS);
        tokio::time::sleep(bound).await;
        // What is committed from here on is lost.
        let senders = join_all(["replica1", "replica2"].map(|name| rig.processes(name))).await.concat();
        signal("STOP", &senders);
        // Far beyond where the next history begins, so that a position alone does not tell one from the other.
        rig.on_primary("select pg_logical_emit_message(false, 'filler', repeat('x', 16000000))").await;
        for user in 1..=LOST_USERS {
            rig.on_primary(&format!("update users set name = 'lost {seed:x}' where id = {user}")).await;
        }
        touch(rig, 2 * bound).await;
        rig.cluster.tell_meanwhile(&["kill", "primary"]).await;
        let died = clock.now();
        let dead = shared.take();
        rig.on_replica(0, "select pg_promote()").await;
        tokio::time::sleep(bound).await;
        // Before anybody can write to it.
        let (log, world) = Log::begin(&rig.cluster.stack.replicas[0], rig.database.name(), clock).await;
        let begun = clock.now();
        rig.fail_over();
        let reading = follow(rig, log, clock, &quiet);
        let stopping = async {
            tokio::time::sleep(4 * bound).await;
            rig.is_well().await;
            tokio::time::sleep(bound).await;
            shared.stop.store(true, Ordering::Relaxed);
            tokio::time::sleep(4 * bound).await;
            quiet.store(true, Ordering::Relaxed);
        };
        let (log, ()) = join(reading, stopping).await;
        (died, begun, dead, world, log)
    };
    let (_, (died, begun, dead, world, mut log)) = join(working, failing).await;
    let Noted { reads, writes, calls, .. } = shared.take();
    let (mut history, end) = History::of(BOUND_MS * 1000, world, log.told());
    assert_eq!(end, log.world().await, "the checker has not understood the log");
    log.end().await;
    let lost = dead.writes.iter().filter(|wrote| {
        let versions = history.versions(&wrote.marker.0);
        wrote.returned < died && !versions.iter().any(|version| version.value == wrote.marker.1)
    });
    let lost = lost.count();
    let after = died + BOUND_MS * 1000;
    history.writes = writes.into_iter().filter(|wrote| wrote.invoked > begun).collect();
    // Until there is a primary again, the other replica may show a little more than this one has; nobody claims to know.
    // Numbers of writes of before say nothing here: what was done before is lost, or is in the rows at the beginning.
    history.reads = reads
        .into_iter()
        .filter(|read| read.invoked > after && !read.is_marked)
        .map(|read| super::history::Read { done: None, ..read })
        .collect();
    history.broken = vec![Broken { fault: "failover".to_owned(), from: died, until: begun }];
    let mut verdict = judge(&history);
    for violation in compare(rig, &end, clock).await {
        verdict.add(violation);
    }
    history.keep(&path("failover"));
    let first = calls
        .iter()
        .filter(|call| call.is_write && call.code.is_none() && call.invoked > died)
        .map(|call| call.returned)
        .min();
    let without_writes = first.map_or(u64::MAX, |first| (first - died) / 1000);
    Failover { verdict, lost, without_writes }
}

/// Asks for the users who are about to be lost, everywhere and often, so that all caches hold them.
async fn touch(rig: &Rig, duration: Duration) {
    let http = reqwest::Client::new();
    let end = tokio::time::Instant::now() + duration;
    while tokio::time::Instant::now() < end {
        for (user, instance) in
            (1..=LOST_USERS).flat_map(|user| rig.instances.iter().map(move |instance| (user, instance)))
        {
            let sent = http.post(instance.url()).json(&Shape::UserName(user).body(*WHOLE.end())).send();
            let _ = tokio::time::timeout(Duration::from_secs(1), sent).await;
        }
    }
}
