//! What replicas take from the primary, and what is left of it when they are gone.
//!
//!     cargo bench --bench http -- --replicas [--data DIR] [--rounds N] [--seconds N]
//!
//! 32 clients read points and accounts, as many of each; one writes, as often as it is answered. Then the same with the
//! replicas' addresses leading nowhere. Servers take turns; of each figure the median of the rounds is shown.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::Options;
use crate::classes::{Class, Request};
use crate::servers::{Bench, Server};
use crate::table::{median, of};

const READERS: usize = 32;

/// What one run showed.
struct Run {
    /// Milliseconds of the writes.
    p50: f64,
    p99: f64,
    writes: f64,
    /// Reads each second that were answered, and refused.
    answered: f64,
    refused: f64,
    /// The share of the statements that read which replicas answered.
    on_replicas: f64,
}

pub async fn run(bench: &Bench, options: &Options) {
    let replicas = std::env::var("REPLICA_URLS").expect("REPLICA_URLS");
    // Nobody listens there.
    let nowhere = "postgres://shoal@127.0.0.1:1/shoal,postgres://shoal@127.0.0.1:1/shoal";
    let serve = |replicas: &str| bench.serve(&[("REPLICA_URLS", replicas), ("SHOAL_CACHE__OFF", "true")]);
    let (with, without) = (serve(&bench.replicas(&replicas)), serve(nowhere));
    let class = Class::all(bench.users).into_iter().find(|class| class.name == "mix").unwrap();
    let mut runs: [Vec<Run>; 2] = Default::default();
    for round in 0..=options.rounds {
        for (server, runs) in [&with, &without].into_iter().zip(&mut runs) {
            let found = load(server, &class.requests, options.seconds).await;
            // The first is for warming up.
            if round > 0 {
                runs.push(found);
            }
        }
        eprintln!("round {round} of {}", options.rounds);
    }
    println!("{READERS} readers, one writer; medians of {} rounds of {} s\n", options.rounds, options.seconds);
    println!("| | write p50, p99 ms | writes/s | reads/s | refused/s | on replicas |\n|---|--:|--:|--:|--:|--:|");
    for (name, runs) in ["two replicas", "none left"].into_iter().zip(&runs) {
        println!(
            "| {name} | {:.1}, {:.1} | {:.0} | {:.0} | {:.0} | {:.0} % |",
            of(runs, |run| run.p50),
            of(runs, |run| run.p99),
            of(runs, |run| run.writes),
            of(runs, |run| run.answered),
            of(runs, |run| run.refused),
            of(runs, |run| run.on_replicas * 100.0),
        );
    }
    let ratio = |what: fn(&Run) -> f64| {
        median(runs[1].iter().zip(&runs[0]).map(|(without, with)| what(without) / what(with)).collect())
    };
    println!(
        "\nwrites without replicas take {:.2} times as long (p50), {:.2} (p99)",
        ratio(|run| run.p50),
        ratio(|run| run.p99)
    );
}

async fn load(server: &Server, requests: &[Request], seconds: u32) -> Run {
    let url = format!("http://{}/graphql", server.address());
    let before = reads(server).await;
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let readers = join_all((0..READERS).map(|reader| {
        let (client, url) = (reqwest::Client::new(), url.clone());
        let requests = requests.iter().skip(reader * 97).chain(requests).filter(|request| !request.writes());
        async move {
            let (mut answered, mut refused) = (0.0, 0.0);
            for request in requests.take_while(|_| Instant::now() < end) {
                match ask(&client, &url, &request.body()).await.get("errors") {
                    None => answered += 1.0,
                    Some(_) => refused += 1.0,
                }
            }
            (answered, refused)
        }
    }));
    let writer = async {
        let client = reqwest::Client::new();
        let mut took = Vec::new();
        while Instant::now() < end {
            let start = Instant::now();
            let query = "mutation { updateUser(input: { id: \"VXNlcjox\", name: \"Renamed\" }) { user { name } } }";
            let answer = ask(&client, &url, &json!({ "query": query })).await;
            assert!(answer.get("errors").is_none(), "{answer}");
            took.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        took.sort_by(f64::total_cmp);
        took
    };
    let (read, took) = tokio::join!(readers, writer);
    let after = reads(server).await;
    let (on_replicas, all) = (after.0 - before.0, after.1 - before.1);
    let seconds = f64::from(seconds);
    Run {
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
        writes: took.len() as f64 / seconds,
        answered: read.iter().map(|(answered, _)| answered).sum::<f64>() / seconds,
        refused: read.iter().map(|(_, refused)| refused).sum::<f64>() / seconds,
        on_replicas: if all > 0.0 { on_replicas / all } else { 0.0 },
    }
}

pub async fn ask(client: &reqwest::Client, url: &str, body: &Value) -> Value {
    client.post(url).json(body).send().await.unwrap().json().await.unwrap()
}

/// Statements that read, by the server's account: on replicas, and all but what mutations show and audits compare.
pub async fn reads(server: &Server) -> (f64, f64) {
    let text = reqwest::get(format!("http://{}/metrics", server.address())).await.unwrap().text().await.unwrap();
    let counted = text.lines().filter(|line| {
        line.starts_with("shoal_reads_total{") && !line.contains("after_write") && !line.contains("latest")
    });
    let counted: Vec<(bool, f64)> = counted
        .map(|line| (line.contains("node=\"replica-"), line.rsplit_once(' ').unwrap().1.parse().unwrap()))
        .collect();
    let sum = |only: bool| counted.iter().filter(|(replica, _)| *replica || !only).map(|(_, count)| count).sum();
    (sum(true), sum(false))
}
