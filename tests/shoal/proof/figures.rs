//! What a run was like for those who asked: how old what they saw was, how soon it was new elsewhere, how fast it came.

use std::collections::BTreeMap;

use super::history::{History, Micros};
use super::judge::Verdict;
use super::run::Outcome;
use super::world::Value;

/// Of many durations, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    pub median: f64,
    pub p99: f64,
    pub most: f64,
}

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    pub name: String,
    /// Answers that showed something that was no longer so, by how much; of all answers.
    pub staleness: Spread,
    /// From the answer to a write until another instance showed it.
    pub crossing: Spread,
    pub crossings: usize,
    /// Of reads that were answered.
    pub latency: Spread,
    /// Requests that were answered, each second.
    pub throughput: f64,
    /// Values served by a tier, of a hundred that were asked of tiers or databases.
    pub hit_rate: f64,
    /// By code.
    pub errors: BTreeMap<String, usize>,
    pub judged: usize,
    /// See [`Verdict`].
    pub without_token: (usize, usize),
    pub violations: usize,
    pub audits: (f64, f64),
}

impl Spread {
    pub fn of(mut durations: Vec<Micros>) -> Self {
        if durations.is_empty() {
            return Self::default();
        }
        durations.sort_unstable();
        let at = |share: f64| durations[((durations.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
        Self { median: at(0.5), p99: at(0.99), most: at(1.0) }
    }
}

impl Summary {
    pub fn of(outcome: &Outcome) -> Self {
        let calls = &outcome.noted.calls;
        let mut errors = BTreeMap::new();
        calls.iter().filter_map(|call| call.code.clone()).for_each(|code| *errors.entry(code).or_default() += 1);
        let answered = calls.iter().filter(|call| call.code.is_none());
        let latency = answered.clone().filter(|call| !call.is_write).map(|call| call.returned - call.invoked);
        let crossings: Vec<_> = outcome.noted.crossings.iter().map(|(_, took)| *took).collect();
        let (hits, statements) = outcome.hits;
        Self {
            name: outcome.plan.name.clone(),
            staleness: Spread::of(staleness(&outcome.history).into_iter().map(|(_, old)| old).collect()),
            crossings: crossings.len(),
            crossing: Spread::of(crossings),
            latency: Spread::of(latency.collect()),
            throughput: answered.count() as f64 / (outcome.took as f64 / 1e6),
            hit_rate: 100.0 * hits / (hits + statements).max(1.0),
            errors,
            judged: outcome.verdict.judged,
            without_token: outcome.verdict.without_token,
            violations: outcome.verdict.counts.values().sum(),
            audits: outcome.audits,
        }
    }
}

/// Says it all in some lines.
pub fn tell(summary: &Summary, verdict: &Verdict) {
    let Summary {
        name,
        staleness,
        crossing,
        crossings,
        latency,
        throughput,
        hit_rate,
        errors,
        judged,
        audits,
        without_token,
        ..
    } = summary;
    println!(
        "{name}: {judged} judged, {throughput:.0} requests/s, p99 {:.0} ms, {hit_rate:.0} % hits; old by p99 {:.0} ms, at \
         most {:.0}; elsewhere after {:.0} ms, p99 {:.0}, of {crossings}; errors {errors:?}; {} of {} audits differ",
        latency.p99, staleness.p99, staleness.most, crossing.median, crossing.p99, audits.1, audits.0
    );
    if without_token.1 > 0 {
        println!(
            "  of {} answers to clients without tokens {} did not show what they had done",
            without_token.0, without_token.1
        );
    }
    for (class, violation) in &verdict.examples {
        println!("  {class:?}, {} times; the shortest history:", verdict.counts[class]);
        violation.shortest.iter().for_each(|line| println!("    {line}"));
    }
}

/// When each answer came, and for how long the oldest of what it showed had not been so when it was asked for: at most,
/// as a commit may have been flushed some time before it was read in the log. Lists and counts are left out: what is in
/// them may be of several states.
pub fn staleness(history: &History) -> Vec<(Micros, Micros)> {
    let mut all = Vec::with_capacity(history.reads.len());
    for read in &history.reads {
        let old = read.seen.iter().filter(|(_, value)| matches!(value, Value::Text(_))).map(|(register, value)| {
            let versions = history.versions(register);
            let last = versions.iter().rposition(|version| version.after <= read.returned).unwrap_or_default();
            let shown = versions[..=last].iter().rposition(|version| version.value == *value).unwrap_or(last);
            let next = versions.get(shown + 1).map_or(Micros::MAX, |next| next.by);
            read.invoked.saturating_sub(next)
        });
        all.push((read.returned, old.max().unwrap_or_default()));
    }
    all
}
