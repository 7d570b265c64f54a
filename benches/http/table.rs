//! The table: medians over rounds, in Markdown.

use std::fmt::Write;

use crate::Options;
use crate::classes::Class;
use crate::load::{CONNECTIONS, Figures};
use crate::servers::Bench;

/// Rounds of each class: of shoal, the SQL floor, the bytes floor.
pub fn write(bench: &Bench, options: &Options, classes: &[Class], rounds: &[[Vec<Figures>; 3]]) -> String {
    let mut table = format!(
        "{} users, {} posts, {} order items; {CONNECTIONS} connections, medians of {} rounds of {} s\n\n",
        bench.users, bench.posts, bench.items, options.rounds, options.seconds
    );
    table += "| | requests/s | p50, p99 ms | CPU µs: server + PostgreSQL | statements | SQL floor: requests/s, CPU µs |\
        bytes floor: CPU µs | CPU / SQL floor | target |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n";
    for (class, [shoal, sql, bytes]) in classes.iter().zip(rounds) {
        // Of rounds that were run one after the other: what disturbs one disturbs the other.
        let ratio = median(shoal.iter().zip(sql).map(|(shoal, floor)| shoal.cpu() / floor.cpu()).collect());
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.2}, {:.2} | {:.0} + {:.0} | {:.2} | {:.0}, {:.0} + {:.0} | {:.0} | **{ratio:.2}** | {:.1} {} |",
            class.title,
            of(shoal, |figures| figures.requests_per_second),
            of(shoal, |figures| figures.p50 / 1000.0),
            of(shoal, |figures| figures.p99 / 1000.0),
            of(shoal, |figures| figures.server),
            of(shoal, |figures| figures.stores),
            of(shoal, |figures| figures.statements),
            of(sql, |figures| figures.requests_per_second),
            of(sql, |figures| figures.server),
            of(sql, |figures| figures.stores),
            of(bytes, |figures| figures.server),
            class.target,
            if ratio <= class.target { "met" } else { "missed" },
        );
    }
    table
}

/// The median of a figure over runs.
pub fn of<T>(runs: &[T], what: fn(&T) -> f64) -> f64 {
    median(runs.iter().map(what).collect())
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
