//! What the caches save, and what they cost where they save nothing.
//!
//!     cargo bench --bench http -- --caches [--data DIR] [--rounds N] [--seconds N] [CLASS…]
//!
//! First each class, on the primary alone and without writes:
//!
//! - **off**: without caches;
//! - **cold**: with both tiers, in which everything has expired when it is asked for;
//! - **far**: from Redis alone;
//! - **rows**: from memory, answers made each time;
//! - **near**: from memory, whole answers.
//!
//! Then the mix with 5 % writes, with two replicas and both tiers, by clients that keep their tokens: how much the tiers
//! serve, where the rest is read, and how long reads take beside what they take without writes; all of it with hot rows
//! refreshed and not, as fast as the machine can and at a steady rate.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::Options;
use crate::classes::{Class, Request};
use crate::load::Figures;
use crate::replicas::reads;
use crate::servers::{Bench, Server, Servers};
use crate::table::{self, median};

/// Clients of the mix, each with a token of its own.
const CLIENTS: usize = 8;
/// Requests per second of each, where they do not ask as fast as they can.
const STEADY: f64 = 250.0;

pub async fn run(bench: &Bench, servers: &Servers, classes: &[Class], options: &Options) {
    let redis = std::env::var("REDIS_URL").expect("REDIS_URL");
    let serve = |settings: &[(&str, &str)]| bench.serve(settings);
    let audits = ("SHOAL_CACHE__AUDIT_PER_MILLE", "0");
    let rows = ("SHOAL_CACHE__RESOURCES__ANSWERS__OFF", "true");
    let tiers = [
        ("off", serve(&[("SHOAL_CACHE__OFF", "true")])),
        (
            "cold",
            serve(&[audits, ("REDIS_URL", &redis), ("SHOAL_CACHE__TTL_S", "0"), ("SHOAL_CACHE__NAMESPACE", "cold")]),
        ),
        (
            "far",
            serve(&[
                audits,
                ("REDIS_URL", &redis),
                ("SHOAL_CACHE__NEAR_BYTES", "0"),
                ("SHOAL_CACHE__NAMESPACE", "far"),
            ]),
        ),
        ("rows", serve(&[audits, rows, ("REDIS_URL", &redis), ("SHOAL_CACHE__NAMESPACE", "rows")])),
        ("near", serve(&[audits, ("REDIS_URL", &redis), ("SHOAL_CACHE__NAMESPACE", "near")])),
    ];
    for (_, server) in &tiers {
        follows(server).await;
    }
    let reading: Vec<_> =
        classes.iter().filter(|class| !class.requests.iter().any(|request| request.writes())).collect();
    let mut rounds: Vec<Vec<Vec<Figures>>> = reading.iter().map(|_| vec![Vec::new(); tiers.len() + 1]).collect();
    for round in 0..=options.rounds {
        for (class, figures) in reading.iter().zip(&mut rounds) {
            let seconds = if round == 0 { 1 } else { options.seconds };
            let floor = servers.load(bench, crate::servers::Kind::Sql, class, seconds).await;
            let mut found = vec![floor];
            for (_, server) in &tiers {
                found.push(bench.load(server, "graphql", &servers.file(class), seconds).await);
                let errors = server.errors().await;
                assert!(errors.is_empty(), "{}: {errors:?}", class.name);
            }
            // The first is for warming up.
            if round > 0 {
                figures.iter_mut().zip(found).for_each(|(figures, found)| figures.push(found));
            }
        }
        eprintln!("round {round} of {}", options.rounds);
    }
    println!("medians of {} rounds of {} s\n", options.rounds, options.seconds);
    println!(
        "| | near: requests/s | p50, p99 ms | CPU µs | statements | CPU / SQL floor: off | cold | far | rows | near | cold / off |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (class, figures) in reading.iter().zip(&rounds) {
        let [floor, off, cold, far, rows, near] = &figures[..] else { unreachable!("five and the floor") };
        let of = |what| table::of(near, what);
        let ratio = |one: &[Figures], other: &[Figures]| {
            median(one.iter().zip(other).map(|(one, other)| one.cpu() / other.cpu()).collect())
        };
        println!(
            "| {} | {:.0} | {:.2}, {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | **{:.2}** | {:.2} |",
            class.title,
            of(|figures| figures.requests_per_second),
            of(|figures| figures.p50 / 1000.0),
            of(|figures| figures.p99 / 1000.0),
            of(Figures::cpu),
            of(|figures| figures.statements),
            ratio(off, floor),
            ratio(cold, floor),
            ratio(far, floor),
            ratio(rows, floor),
            ratio(near, floor),
            ratio(cold, off),
        );
    }
    drop(tiers);
    mixes(bench, options, &redis).await;
}

/// What one run of the mix showed.
struct Run {
    /// Milliseconds of the reads.
    p50: f64,
    p99: f64,
    requests: f64,
    hit_rate: f64,
    on_replicas: f64,
}

async fn mixes(bench: &Bench, options: &Options, redis: &str) {
    let replicas = bench.replicas(&std::env::var("REPLICA_URLS").expect("REPLICA_URLS"));
    let serve = |refresh: &str| {
        bench.serve(&[("REDIS_URL", redis), ("REPLICA_URLS", &replicas), ("SHOAL_CACHE__REFRESH", refresh)])
    };
    let servers = [("refreshed", serve("true")), ("not refreshed", serve("false"))];
    let all = Class::all(bench.users);
    let class = |name: &str| all.iter().find(|class| class.name == name).unwrap();
    let kinds = [
        ("reads only", class("mix"), None),
        ("5 % writes", class("writes"), None),
        ("steady: reads only", class("mix"), Some(STEADY)),
        ("steady: 5 % writes", class("writes"), Some(STEADY)),
    ];
    let mut rounds: Vec<(String, Vec<Run>)> = Vec::new();
    for (_, server) in &servers {
        follows(server).await;
    }
    for round in 0..=options.rounds {
        let mut place = 0;
        for (refresh, server) in &servers {
            for (kind, class, rate) in &kinds {
                let run = mix(server, &class.requests, options.seconds.max(2), *rate).await;
                if round > 0 {
                    if rounds.len() <= place {
                        rounds.push((format!("{kind}, {refresh}"), Vec::new()));
                    }
                    rounds[place].1.push(run);
                    place += 1;
                }
            }
        }
        eprintln!("mix {round} of {}", options.rounds);
    }
    println!("\n{CLIENTS} clients, two replicas\n");
    println!(
        "| | requests/s | p50, p99 of reads, ms | from the tiers | of the rest on replicas |\n|---|--:|--:|--:|--:|"
    );
    for (name, runs) in &rounds {
        let of = |what| table::of(runs, what);
        println!(
            "| {name} | {:.0} | {:.2}, {:.2} | {:.1} % | {:.0} % |",
            of(|run| run.requests),
            of(|run| run.p50),
            of(|run| run.p99),
            of(|run| run.hit_rate * 100.0),
            of(|run| run.on_replicas * 100.0),
        );
    }
}

/// What the mix shows when each client asks so many times per second, or as soon as it has its answer. Of a steady rate, the
/// time of a request that waits for the answer before counts, too.
async fn mix(server: &Server, requests: &[Request], seconds: u32, rate: Option<f64>) -> Run {
    let url = format!("http://{}/graphql", server.address());
    let (reads_before, tiers_before) = (reads(server).await, tiers(server).await);
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds.into());
    let clients = join_all((0..CLIENTS).map(|client| {
        let (http, url) = (reqwest::Client::new(), url.clone());
        let requests = requests.iter().cycle().skip(client * 997);
        async move {
            let (mut token, mut took, mut count) = (None::<String>, Vec::new(), 0.0);
            for request in requests.take_while(|_| Instant::now() < end) {
                let mut start = Instant::now();
                if let Some(rate) = rate {
                    let due = begin + Duration::from_secs_f64((count + client as f64 / CLIENTS as f64) / rate);
                    // Who is late because of the answer before has waited since; a timer that is late does not count.
                    start = start.min(due);
                    if due > Instant::now() {
                        tokio::time::sleep_until(due.into()).await;
                        start = Instant::now();
                    }
                }
                let mut asked = http.post(&url).json(&request.body());
                if let Some(token) = &token {
                    asked = asked.header("shoal-token", token);
                }
                let answer = asked.send().await.unwrap();
                if let Some(new) = answer.headers().get("shoal-token") {
                    token = Some(new.to_str().unwrap().to_owned());
                }
                let body = answer.bytes().await.unwrap();
                assert!(!body.starts_with(b"{\"errors"), "{}", String::from_utf8_lossy(&body));
                if !request.writes() {
                    took.push(start.elapsed().as_secs_f64() * 1000.0);
                }
                count += 1.0;
            }
            (took, count)
        }
    }));
    let clients = clients.await;
    let requests: f64 = clients.iter().map(|(_, count)| count).sum();
    let mut took: Vec<f64> = clients.into_iter().flat_map(|(took, _)| took).collect();
    took.sort_by(f64::total_cmp);
    let (reads_after, tiers_after) = (reads(server).await, tiers(server).await);
    let all = reads_after.1 - reads_before.1;
    let (hits, misses) = (tiers_after.0 - tiers_before.0, tiers_after.1 - tiers_before.1);
    Run {
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
        requests: requests / f64::from(seconds),
        hit_rate: hits / (hits + misses),
        on_replicas: if all > 0.0 { (reads_after.0 - reads_before.0) / all } else { 1.0 },
    }
}

/// Keys that the tiers served, and that they did not.
async fn tiers(server: &Server) -> (f64, f64) {
    let cache = health(server).await["cache"].take();
    let count = |name: &str| cache[name].as_f64().unwrap();
    (count("near_hits") + count("far_hits"), count("misses"))
}

async fn health(server: &Server) -> Value {
    reqwest::get(format!("http://{}/health", server.address())).await.unwrap().json().await.unwrap()
}

/// Waits until the caches are in use.
pub async fn follows(server: &Server) {
    while health(server).await["feed"]["follows"] == false {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
