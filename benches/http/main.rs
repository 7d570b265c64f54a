//! What a request costs, beside what it would cost without any of this: the table in the README.
//!
//!     ./shoal-stack up && eval "$(./shoal-stack env)"
//!     cargo bench --bench http -- [--data DIR] [--rounds N] [--seconds N] [CLASS…]
//!
//! Loads the CSV files of DIR (else the demo data) into a database `shoal_bench` of the server of `DATABASE_URL`, once;
//! before others are loaded, that one has to be dropped. Then it runs, one after the other, on the primary alone:
//!
//! - **shoal**: the server, as released, without any cache;
//! - **SQL floor**: axum, sqlx, and one hand-written statement that returns the JSON of the answer;
//! - **bytes floor**: axum, which reads the request and returns the bytes of the answer from memory.
//!
//! With `--replicas`, `--caches`, `--overload`, `--jobs` or `--traces` it measures something else: see there.
//!
//! wrk asks each for the same requests in the same order. Servers take turns, for several rounds; of each figure the
//! table shows the median. CPU is what the processes of the server and of PostgreSQL used, by their own account: it says
//! more than requests per second on a machine where server, database and load generator share the cores.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench that cannot be set up measures nothing")]

mod caches;
mod classes;
mod floors;
mod jobs;
mod load;
mod overload;
mod replicas;
mod servers;
#[path = "../../tests/shoal/support/sink.rs"]
#[allow(dead_code, reason = "tests ask more of it")]
mod sink;
mod table;
mod traces;

use std::path::PathBuf;

use clap::Parser;
use classes::Class;
use load::Figures;
use servers::{Bench, Kind};

/// What the command line says.
#[derive(Parser)]
#[command(name = "http")]
pub struct Options {
    /// A directory with CSV files to load.
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    data: Option<PathBuf>,
    /// How often servers take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each has.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    #[arg(long)]
    replicas: bool,
    #[arg(long)]
    caches: bool,
    #[arg(long)]
    overload: bool,
    #[arg(long)]
    jobs: bool,
    #[arg(long)]
    traces: bool,
    /// Another build of the server, to compare with.
    #[arg(long, value_name = "BINARY", value_parser = absolute)]
    before: Option<PathBuf>,
    /// Which classes of requests; all by default.
    #[arg(value_name = "CLASS")]
    classes: Vec<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Cargo starts benches in the directory of the package.
fn absolute(path: &str) -> std::io::Result<PathBuf> {
    std::path::absolute(path)
}

#[tokio::main]
async fn main() {
    if let Some(address) = std::env::var_os("SHOAL_BENCH_FLOORS") {
        return floors::serve(address.to_str().unwrap().parse().unwrap()).await;
    }
    let options = Options::parse();
    load::install();
    let bench = Bench::open(options.data.as_deref()).await;
    if options.replicas {
        return replicas::run(&bench, &options).await;
    }
    if options.overload {
        return overload::run(&bench, &options).await;
    }
    if options.jobs {
        return jobs::run(&bench, &options).await;
    }
    let known = Class::all(bench.users);
    let is_wanted = |class: &Class| options.classes.is_empty() || options.classes.iter().any(|name| name == class.name);
    let classes: Vec<Class> = known.into_iter().filter(is_wanted).collect();
    let servers = bench.start(&classes).await;
    if options.traces {
        return traces::run(&bench, &servers, &classes, &options).await;
    }
    if options.caches {
        return caches::run(&bench, &servers, &classes, &options).await;
    }
    let mut rounds: Vec<[Vec<Figures>; 3]> = classes.iter().map(|_| Default::default()).collect();
    for round in 0..=options.rounds {
        for (class, figures) in classes.iter().zip(&mut rounds) {
            for (kind, figures) in Kind::ALL.into_iter().zip(figures) {
                let found = servers.load(&bench, kind, class, if round == 0 { 1 } else { options.seconds }).await;
                // The first is for warming up.
                if round > 0 {
                    figures.push(found);
                }
            }
        }
        eprintln!("round {round} of {}", options.rounds);
    }
    println!("{}", table::write(&bench, &options, &classes, &rounds));
}
