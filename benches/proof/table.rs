//! The figures of all runs, as a table in Markdown.

use std::collections::BTreeMap;

use crate::proof::figures::Summary;

pub fn print(summaries: &[Summary]) {
    println!(
        "\n| | answers judged | wrong | requests/s | p99 of reads, ms | hits, % | age of what was shown, ms: median / p99 / most | shown elsewhere after, ms: median / p99 / most | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for summary in summaries {
        let Summary { name, judged, violations, throughput, latency, hit_rate, staleness, crossing, errors, .. } =
            summary;
        println!(
            "| {name} | {judged} | {violations} | {throughput:.0} | {:.1} | {hit_rate:.0} | {:.0} / {:.0} / {:.0} | {:.1} / {:.0} / {:.0} | {} |",
            latency.p99,
            staleness.median,
            staleness.p99,
            staleness.most,
            crossing.median,
            crossing.p99,
            crossing.most,
            listed(errors)
        );
    }
}

fn listed(errors: &BTreeMap<String, usize>) -> String {
    errors.iter().map(|(code, count)| format!("{count} × {code}")).collect::<Vec<_>>().join(", ")
}
