//! What becomes of requests when there are more than can be answered.
//!
//!     cargo bench --bench http -- --overload [--data DIR] [--seconds N] [CLASS]
//!
//! First eight clients, each of which waits for its answers, show how much the server can answer at all. Then requests come
//! whether others were answered or not: at a tenth of that rate, and at five times of it. Latency counts from when
//! a request was to be sent. The first seconds of an overload count apart: that far it may be a burst, in which
//! requests wait.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
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

type Connection = BufReader<TcpStream>;

/// What became of a request.
pub struct Answered {
    at: Duration,
    latency: Duration,
    /// `ok`, the code of its error, or what went wrong with its connection.
    outcome: String,
}

pub async fn run(bench: &Bench, options: &Options) {
    let server = bench.serve(&[("SHOAL_CACHE__OFF", "true")]);
    let wanted = options.classes.first().map_or("mix", String::as_str);
    let class = Class::all(bench.users).into_iter().find(|class| class.name == wanted).unwrap();
    let bodies: Vec<_> = class.requests.iter().map(|request| request.body().to_string()).collect();
    let most = load::most(&format!("http://{}/graphql", server.address()), &bodies, options.seconds.max(5));
    let (memory, seconds) = (server.memory(), Duration::from_secs(options.seconds.max(10).into()));
    let light = offer(server.address(), &bodies, most * LIGHT, seconds).await;
    let heavy = offer(server.address(), &bodies, most * OVERLOAD, seconds + BURST).await;
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
pub async fn offer(address: &str, bodies: &[String], rate: f64, time: Duration) -> Vec<Answered> {
    let requests: Vec<Arc<[u8]>> = bodies.iter().map(|body| request(address, body)).collect();
    let address: Arc<str> = address.into();
    let (done, mut answers) = mpsc::unbounded_channel();
    let (start, open, mut tasks) = (Instant::now(), Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let idle = Arc::new(Mutex::new(Vec::<Connection>::new()));
    let mut sent = 0_u32;
    while start.elapsed() < time {
        while f64::from(sent) < start.elapsed().as_secs_f64() * rate {
            let at = Duration::from_secs_f64(f64::from(sent) / rate);
            let request = requests[sent as usize % requests.len()].clone();
            sent += 1;
            if open.fetch_add(1, Ordering::Relaxed) >= MOST_OPEN {
                open.fetch_sub(1, Ordering::Relaxed);
                done.send(Answered { at, latency: Duration::ZERO, outcome: "not sent".to_owned() }).unwrap();
                continue;
            }
            let (done, open, idle, address) = (done.clone(), open.clone(), idle.clone(), address.clone());
            tasks.spawn(async move {
                let connection = idle.lock().unwrap().pop();
                let outcome = match ask(connection, &address, &request).await {
                    Ok((outcome, connection)) => {
                        idle.lock().unwrap().push(connection);
                        outcome
                    }
                    Err(error) => format!("{:?}", error.kind()),
                };
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

/// The bytes of a request: a client library would take more of the processors than the server that refuses it.
fn request(address: &str, body: &str) -> Arc<[u8]> {
    let length = body.len();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + body).into_bytes().into()
}

/// Asks on a connection that was used before, or on a new one; what came of it.
async fn ask(idle: Option<Connection>, address: &str, request: &[u8]) -> io::Result<(String, Connection)> {
    let mut connection = match idle {
        Some(connection) => connection,
        None => BufReader::with_capacity(64 << 10, TcpStream::connect(address).await?),
    };
    connection.write_all(request).await?;
    let (mut line, mut length) = (String::new(), 0);
    while {
        line.clear();
        connection.read_line(&mut line).await? > 2
    } {
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    let outcome = match body.starts_with(br#"{"data""#) {
        true => "ok".to_owned(),
        false => {
            let json: Value = serde_json::from_slice(&body)?;
            json["errors"][0]["extensions"]["code"].as_str().unwrap_or("no code").to_owned()
        }
    };
    Ok((outcome, connection))
}

/// Of what was accepted, in milliseconds, sorted.
pub fn latencies(answered: &[Answered]) -> Vec<f64> {
    let accepted = answered.iter().filter(|answered| answered.outcome == "ok");
    let mut latencies: Vec<_> = accepted.map(|answered| answered.latency.as_secs_f64() * 1000.0).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

pub fn percentile(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

pub fn outcomes(answered: &[Answered]) -> BTreeMap<&str, usize> {
    let mut outcomes = BTreeMap::new();
    for answered in answered {
        *outcomes.entry(answered.outcome.as_str()).or_default() += 1;
    }
    outcomes
}
