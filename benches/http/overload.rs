//! What becomes of requests when there are more than can be answered.
//!
//!     cargo bench --bench http -- --overload [--data DIR] [--seconds N] [CLASS]
//!
//! First eight clients, each of which waits for its answers, show how much the server can answer at all. Then requests come
//! whether others were answered or not: at a tenth of that rate, and at five times of it. Latency counts from when
//! a request was to be sent. The first seconds of an overload count apart: that far it may be a burst, in which
//! requests wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Options;
use crate::classes::Class;
use crate::load;
use crate::servers::Bench;

/// How much is offered, of what can be answered.
const OVERLOAD: f64 = 5.0;
/// The load under which a server counts as not loaded.
const LIGHT: f64 = 0.1;
/// How long an overload may count as a burst: twice `admission.burst_ms`.
const BURST: Duration = Duration::from_secs(2);
/// Most requests that wait for their answers: what generates them has to stay alive, too.
const MOST_OPEN: usize = 4000;

/// What became of a request.
struct Answered {
    at: Duration,
    latency: Duration,
    /// `ok`, the code of its error, or what went wrong with its connection.
    outcome: String,
}

pub async fn run(bench: &Bench, options: &Options) {
    let server = bench.serve(&[("SHOAL_CACHE__OFF", "true")]);
    let wanted = options.classes.first().map_or("mix", String::as_str);
    let class = Class::all(bench.users).into_iter().find(|class| class.name == wanted).unwrap();
    let files = tempfile::TempDir::new().unwrap();
    let bodies: Vec<_> = class.requests.iter().map(|request| request.body().to_string()).collect();
    let file = files.path().join(class.name);
    std::fs::write(&file, bodies.join("\n") + "\n").unwrap();
    let url = format!("http://{}/graphql", server.address());
    // Once to warm up.
    load::run(&url, &file, options.seconds.min(5));
    let counted = load::run(&url, &file, options.seconds.max(5));
    let most = counted.requests / counted.seconds;
    let (memory, seconds) = (server.memory(), Duration::from_secs(options.seconds.max(10).into()));
    let light = offer(&url, &bodies, most * LIGHT, seconds).await;
    let heavy = offer(&url, &bodies, most * OVERLOAD, seconds + BURST).await;
    let (burst, heavy): (Vec<_>, Vec<_>) = heavy.into_iter().partition(|answered| answered.at < BURST);
    println!("{}: {most:.0} requests/s can be answered; {} s each\n", class.name, seconds.as_secs());
    println!("| offered | requests/s | answered/s | p50, p99 ms | outcomes |\n|---|--:|--:|--:|---|");
    for (name, answered, seconds) in
        [("a tenth", &light, seconds), ("five times, at first", &burst, BURST), ("five times", &heavy, seconds)]
    {
        let accepted = latencies(answered);
        println!(
            "| {name} | {:.0} | {:.0} | {:.1}, {:.1} | {:?} |",
            answered.len() as f64 / seconds.as_secs_f64(),
            accepted.len() as f64 / seconds.as_secs_f64(),
            percentile(&accepted, 0.5),
            percentile(&accepted, 0.99),
            outcomes(answered),
        );
    }
    let ratio = percentile(&latencies(&heavy), 0.99) / percentile(&latencies(&light), 0.99);
    println!("\np99 of what is accepted: {ratio:.2} times that without load");
    println!("memory of the server: {memory} kB before, {} kB after", server.memory());
}

/// Sends requests at a rate, for a time, whatever comes of them.
async fn offer(url: &str, bodies: &[String], rate: f64, time: Duration) -> Vec<Answered> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(MOST_OPEN).build().unwrap();
    let (done, mut answers) = mpsc::unbounded_channel();
    let (start, open, mut tasks) = (Instant::now(), Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let mut sent = 0_u32;
    while start.elapsed() < time {
        while f64::from(sent) < start.elapsed().as_secs_f64() * rate {
            let at = Duration::from_secs_f64(f64::from(sent) / rate);
            let body = bodies[sent as usize % bodies.len()].clone();
            sent += 1;
            if open.fetch_add(1, Ordering::Relaxed) >= MOST_OPEN {
                open.fetch_sub(1, Ordering::Relaxed);
                done.send(Answered { at, latency: Duration::ZERO, outcome: "not sent".to_owned() }).unwrap();
                continue;
            }
            let request = client.post(url).header("content-type", "application/json").body(body);
            let (done, open) = (done.clone(), open.clone());
            tasks.spawn(async move {
                let outcome = outcome(request).await;
                open.fetch_sub(1, Ordering::Relaxed);
                let _ = done.send(Answered { at, latency: start.elapsed().saturating_sub(at), outcome });
            });
            while tasks.try_join_next().is_some() {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tasks.join_all().await;
    drop(done);
    let mut all = Vec::new();
    while let Some(answered) = answers.recv().await {
        all.push(answered);
    }
    all
}

async fn outcome(request: reqwest::RequestBuilder) -> String {
    let answer = match request.send().await {
        Ok(answer) => answer.bytes().await,
        Err(error) => Err(error),
    };
    match answer.map(|bytes| serde_json::from_slice::<Value>(&bytes)) {
        Ok(Ok(json)) => json["errors"][0]["extensions"]["code"].as_str().unwrap_or("ok").to_owned(),
        Ok(Err(_)) => "no JSON".to_owned(),
        Err(error) if error.is_connect() => "no connection".to_owned(),
        Err(_) => "cut off".to_owned(),
    }
}

/// Of what was accepted, in milliseconds, sorted.
fn latencies(answered: &[Answered]) -> Vec<f64> {
    let accepted = answered.iter().filter(|answered| answered.outcome == "ok");
    let mut latencies: Vec<_> = accepted.map(|answered| answered.latency.as_secs_f64() * 1000.0).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn outcomes(answered: &[Answered]) -> BTreeMap<&str, usize> {
    let mut outcomes = BTreeMap::new();
    for answered in answered {
        *outcomes.entry(answered.outcome.as_str()).or_default() += 1;
    }
    outcomes
}
