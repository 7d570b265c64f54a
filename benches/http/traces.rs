//! What it costs to be able to trace requests, and to trace them.
//!
//!     cargo bench --bench http -- --traces [--before BINARY] [--data DIR] [--rounds N] [--seconds N] [CLASS…]
//!
//! The server without a collector; with one, to which it tells of one request in a hundred; and of each. With the binary of
//! another version, that one, too. They take turns, without caches; each round compares each with the first.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use crate::Options;
use crate::classes::Class;
use crate::load::Figures;
use crate::servers::{Bench, Servers};
use crate::table::{median, of};

pub async fn run(bench: &Bench, servers: &Servers, classes: &[Class], options: &Options) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/{signal}", post(async || StatusCode::OK));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let off = ("SHOAL_CACHE__OFF", "true");
    let traced =
        |ratio| bench.serve(&[off, ("SHOAL_OTLP__ENDPOINT", collector.as_str()), ("SHOAL_OTLP__TRACE_RATIO", ratio)]);
    let mut compared = vec![("off", bench.serve(&[off])), ("one in a hundred", traced("0.01")), ("each", traced("1"))];
    if let Some(binary) = &options.before {
        compared.push(("the other version", bench.serve_as(binary, &[off])));
    }
    println!("CPU of a request, as a multiple of that without a collector; medians of {} rounds\n", options.rounds);
    for class in classes {
        let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); compared.len()];
        for round in 0..=options.rounds {
            let seconds = if round == 0 { 1 } else { options.seconds };
            for ((_, server), figures) in compared.iter().zip(&mut rounds) {
                let found = bench.load(server, "graphql", &servers.file(class), seconds).await;
                // The first is for warming up.
                if round > 0 {
                    figures.push(found);
                }
            }
        }
        for ((name, _), figures) in compared.iter().zip(&rounds) {
            let ratios = figures.iter().zip(&rounds[0]).map(|(one, off)| one.cpu() / off.cpu()).collect();
            let cpu = of(figures, Figures::cpu);
            println!("| {} | {name} | {cpu:.0} µs | {:.3} |", class.name, median(ratios));
        }
    }
}
