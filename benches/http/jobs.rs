//! What requests notice of the jobs that run beside them.
//!
//!     cargo bench --bench http -- --jobs [--caches] [--data DIR] [--rounds N] [--seconds N] [CLASS]
//!
//! A server, without caches unless they are asked for; a worker of its own, which sends mails to a server in this process.
//! Queries come at a fifth of the rate at which the server can answer them, whether others were answered or not. Each
//! round has them three times:
//!
//! - **alone**;
//! - **mutations**: while 200 users are created each second, whom nobody writes to: their jobs wait;
//! - **jobs**: the same, and the worker writes to them.
//!
//! Latency counts from when a request was to be sent. Of each figure the median of the rounds is shown.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::Options;
use crate::caches::follows;
use crate::classes::Class;
use crate::load;
use crate::overload::{latencies, offer, outcomes, percentile};
use crate::servers::{Bench, Server};
use crate::sink::Sink;
use crate::table::of;

/// Jobs that are born each second.
const JOBS: f64 = 200.0;
/// The load of queries, as a part of what can be answered.
const MODERATE: f64 = 0.2;
/// What the addresses of those who are created end in.
const DOMAIN: &str = "jobs.invalid";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Alone,
    Mutations,
    Jobs,
}

/// What one phase of a round showed.
struct Figures {
    /// Milliseconds.
    p50: f64,
    p99: f64,
    /// Each second, while it lasted.
    queries: f64,
    jobs: f64,
    /// Cores in use: by the server, by the worker, by PostgreSQL and Redis.
    server: f64,
    worker: f64,
    stores: f64,
}

pub async fn run(bench: &Bench, options: &Options) {
    let sink = Sink::open().await;
    let redis = std::env::var("REDIS_URL").expect("REDIS_URL");
    let shared = [("REDIS_URL", redis.as_str()), ("SHOAL_CACHE__NAMESPACE", "jobs")];
    let off = if options.caches { "false" } else { "true" };
    let server = bench.serve(&[&shared[..], &[("SHOAL_CACHE__OFF", off)]].concat());
    if options.caches {
        follows(&server).await;
    }
    let wanted = options.classes.first().map_or("mix", String::as_str);
    let class = Class::all(bench.users).into_iter().find(|class| class.name == wanted).unwrap();
    let bodies: Vec<_> = class.requests.iter().map(|request| request.body().to_string()).collect();
    let url = format!("http://{}/graphql", server.address());
    let most = load::most(&url, &bodies, options.seconds.min(5));
    let seconds = Duration::from_secs(options.seconds.max(5).into());
    let mail = sink.url();
    let settings = [&shared[..], &[("SHOAL_MAIL__SMTP_URL", mail.as_str())]].concat();

    let mut rounds: [Vec<Figures>; 3] = Default::default();
    clear(bench).await;
    for round in 0..=options.rounds {
        for (phase, figures) in [Phase::Alone, Phase::Mutations, Phase::Jobs].into_iter().zip(&mut rounds) {
            let worker = (phase == Phase::Jobs).then(|| bench.work(&settings));
            let found =
                load(bench, (server.address(), &bodies, most * MODERATE), phase, (&server, worker.as_ref()), seconds)
                    .await;
            clear(bench).await;
            // The first is for warming up.
            if round > 0 {
                figures.push(found);
            }
        }
        eprintln!("round {round} of {}", options.rounds);
    }
    let errors = server.errors().await;
    assert!(errors.is_empty(), "{errors:?}");
    let caches = if options.caches { "with" } else { "without" };
    println!(
        "{}, {caches} caches: {most:.0} requests/s can be answered; medians of {} rounds of {} s\n",
        class.name,
        options.rounds,
        seconds.as_secs()
    );
    println!(
        "| | queries/s | jobs/s | p50, p99 ms | cores: server, worker, PostgreSQL and Redis |\n|---|--:|--:|--:|--:|"
    );
    for (name, figures) in ["alone", "mutations", "jobs"].into_iter().zip(&rounds) {
        println!(
            "| {name} | {:.0} | {:.0} | {:.2}, {:.2} | {:.2}, {:.2}, {:.2} |",
            of(figures, |figures| figures.queries),
            of(figures, |figures| figures.jobs),
            of(figures, |figures| figures.p50),
            of(figures, |figures| figures.p99),
            of(figures, |figures| figures.server),
            of(figures, |figures| figures.worker),
            of(figures, |figures| figures.stores),
        );
    }
    let [alone, mutations, jobs] = rounds.map(|figures| of(&figures, |figures| figures.p99));
    println!(
        "\np99 while jobs run: {:.2} times that alone; {:.2} times that of mutations",
        jobs / alone,
        jobs / mutations
    );
}

async fn load(
    bench: &Bench,
    (address, bodies, rate): (&str, &[String], f64),
    phase: Phase,
    (server, worker): (&Server, Option<&Server>),
    time: Duration,
) -> Figures {
    let used = || (server.cpu(), worker.map_or(0.0, Server::cpu), bench.cpu_of_stores());
    let (start, before) = (Instant::now(), used());
    let creating = async {
        match phase {
            Phase::Alone => Vec::new(),
            Phase::Mutations | Phase::Jobs => offer(address, &users(time), JOBS, time).await,
        }
    };
    let (answered, created) = tokio::join!(offer(address, bodies, rate, time), creating);
    let (took, after) = (start.elapsed().as_secs_f64(), used());
    let done = bench.count("jobs where state = 'done'").await;
    for answers in [&answered, &created] {
        assert!(outcomes(answers).keys().all(|outcome| *outcome == "ok"), "{:?}", outcomes(answers));
    }
    let latencies = latencies(&answered);
    let cores = |after: f64, before: f64| (after - before) / 1e6 / took;
    Figures {
        p50: percentile(&latencies, 0.5),
        p99: percentile(&latencies, 0.99),
        queries: answered.len() as f64 / took,
        jobs: done as f64 / took,
        server: cores(after.0, before.0),
        worker: cores(after.1, before.1),
        stores: cores(after.2, before.2),
    }
}

/// Mutations that create users whom nobody has created before, as many as are asked for in this time.
fn users(time: Duration) -> Vec<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let create = "mutation($email: String!) { createUser(input: { email: $email, name: \"Bench\" }) { user { id } } }";
    let body = |number: u64| {
        json!({ "query": create, "variables": { "email": format!("{now}-{number}@{DOMAIN}") } }).to_string()
    };
    (0..=(time.as_secs() + 1) * JOBS as u64).map(body).collect()
}

/// Removes what was created, and its jobs.
async fn clear(bench: &Bench) {
    bench.execute("delete from jobs").await;
    bench.execute(&format!("delete from users where email like '%@{DOMAIN}'")).await;
}
