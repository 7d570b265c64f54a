//! Whether a history keeps what is promised. Pure, and true of any history: it asks no clock but that of the one who
//! wrote the history, and takes the order of versions from the primary's log.
//!
//! A reader may see any state of a register that was the latest at some time between what it must be shown and its answer:
//!
//! - what its client has done, and what the primary showed of what was committed before that, if it keeps its token;
//! - what the primary showed a bound before it asked, unless the answer says of itself that nobody knows how old it is.
//!
//! Lists are judged member by member: what is in each of those states must be shown, and what is in none of them must
//! not. A count may be of as many as are in all of them, up to as many as are in any. For rows and lists of one answer may be
//! of different states, and what two transactions commit at once the primary shows in either order, whatever their order
//! in its log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::history::{History, Read, Version, Wrote};
use super::world::{Register, Value};

/// What was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Class {
    /// A client that keeps its token was not shown what it has done.
    OwnWrite,
    /// Something older than the bound was shown.
    Bound,
    /// The same, of what is gone by now.
    Resurrection,
    /// Something that was never committed.
    Phantom,
    /// A write that a client was told the success of was not committed.
    Lost,
    /// When all was quiet, something else than the database holds.
    Difference,
}

/// A promise that was broken, and the shortest history that shows it.
#[derive(Clone, Debug)]
pub struct Violation {
    pub class: Class,
    /// When it was seen.
    pub at: u64,
    pub shortest: Vec<String>,
}

/// How many there were of each class, and the one of each whose history is the shortest.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub counts: BTreeMap<Class, usize>,
    pub examples: BTreeMap<Class, Violation>,
    /// When the first was seen.
    pub first: Option<u64>,
    pub judged: usize,
    /// Answers to clients that drop their tokens, and those that did not show what such a client had done. Nothing else is
    /// promised to them.
    pub without_token: (usize, usize),
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    pub fn add(&mut self, violation: Violation) {
        *self.counts.entry(violation.class).or_default() += 1;
        self.first = Some(self.first.map_or(violation.at, |first| first.min(violation.at)));
        let is_shorter = |known: &Violation| violation.shortest.len() < known.shortest.len();
        if self.examples.get(&violation.class).is_none_or(is_shorter) {
            self.examples.insert(violation.class, violation);
        }
    }
}

/// Judges every answer and every write.
pub fn judge(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    let mut commits = HashMap::new();
    for (number, wrote) in history.writes.iter().enumerate() {
        match commit_of(history, wrote) {
            Some(version) => drop(commits.insert(number, version.position)),
            None => {
                let shortest = vec![format!(
                    "client {} wrote {:?} and was told so: {}",
                    wrote.client,
                    wrote.marker,
                    span(wrote.invoked, wrote.returned)
                )];
                verdict.add(Violation { class: Class::Lost, at: wrote.returned, shortest });
            }
        }
    }
    for read in &history.reads {
        let done = read.done.and_then(|number| Some((number, *commits.get(&number)?)));
        let wrong =
            |done| read.seen.iter().filter_map(move |(register, value)| look(history, read, done, register, value));
        verdict.judged += read.seen.len();
        wrong(done.filter(|_| read.has_token)).for_each(|violation| verdict.add(violation));
        if done.is_some() && !read.has_token {
            let is_old = wrong(done).any(|violation| violation.class == Class::OwnWrite);
            let (all, old) = verdict.without_token;
            verdict.without_token = (all + 1, old + usize::from(is_old));
        }
    }
    verdict
}

/// The version that a write made.
fn commit_of<'a>(history: &'a History, wrote: &Wrote) -> Option<&'a Version> {
    let (register, value) = &wrote.marker;
    history.versions.get(register)?.iter().find(|version| version.value == *value && version.position > 0)
}

/// What is wrong with an answer, if anything is.
fn look(
    history: &History,
    read: &Read,
    done: Option<(usize, u64)>,
    register: &Register,
    value: &Value,
) -> Option<Violation> {
    let list = register.counted();
    let versions = &*history.versions(list.as_ref().unwrap_or(register));
    let last = versions.iter().rposition(|version| version.after <= read.returned).unwrap_or_default();
    // What others have committed before it the primary may show after it.
    let is_done = |version: &Version, position| {
        version.position == position || version.position < position && version.by <= read.invoked
    };
    let by_token = done.map_or(0, |(_, position)| latest(versions, |version| is_done(version, position)));
    let is_old = |version: &Version| version.by + history.bound < read.invoked || version.position == 0;
    let by_bound = if read.is_marked { 0 } else { latest(versions, is_old) };
    let last = last.max(by_token).max(by_bound);
    let allowed = &versions[by_bound.max(by_token)..=last];
    let (class, required) = if is_shown(allowed, value) {
        return None;
    } else if is_shown(&versions[by_token..=last], value) {
        let is_gone = match value {
            Value::Text(shown) => shown.is_some() && allowed.iter().all(|version| version.value == Value::Text(None)),
            Value::Members(shown) => !shown.is_subset(&in_any(allowed)),
            Value::Count(_) => false,
        };
        (if is_gone { Class::Resurrection } else { Class::Bound }, by_bound)
    } else if is_shown(&versions[..=last], value) {
        (Class::OwnWrite, by_token)
    } else {
        (Class::Phantom, last)
    };
    let mut shortest = Vec::new();
    if required > 0 && class != Class::Phantom {
        shortest.push(format!("{register:?} was {}", described(&versions[required - 1])));
    }
    shortest.push(format!("{register:?} is {}", described(&versions[required])));
    if let (Class::OwnWrite, Some((number, position))) = (class, done) {
        let wrote = &history.writes[number];
        shortest.push(format!(
            "client {} has done {:?} at {position:X} on instance {}: {}",
            wrote.client,
            wrote.marker,
            wrote.instance,
            span(wrote.invoked, wrote.returned)
        ));
    }
    let when = span(read.invoked, read.returned);
    shortest.push(format!("client {} is shown {value:?} by instance {}: {when}", read.client, read.instance));
    Some(Violation { class, at: read.returned, shortest })
}

/// The last version of which this holds; the first, if of none. A list is made of what many have done: it is as it was
/// then only if this holds of all before, too.
fn latest(versions: &[Version], holds: impl Fn(&Version) -> bool) -> usize {
    match versions[0].value {
        Value::Members(_) => versions.iter().take_while(|version| holds(version)).count().saturating_sub(1),
        _ => versions.iter().rposition(holds).unwrap_or_default(),
    }
}

/// Whether a reader may be shown this at a time when all of these were the latest, one after the other.
fn is_shown(versions: &[Version], shown: &Value) -> bool {
    let all = || versions.iter().map(members).reduce(|one, other| &one & &other).unwrap_or_default();
    match shown {
        Value::Text(_) => versions.iter().any(|version| version.value == *shown),
        Value::Members(shown) => all().is_subset(shown) && shown.is_subset(&in_any(versions)),
        Value::Count(shown) => (all().len()..=in_any(versions).len()).contains(shown),
    }
}

fn in_any(versions: &[Version]) -> BTreeSet<i64> {
    versions.iter().flat_map(members).collect()
}

fn members(version: &Version) -> BTreeSet<i64> {
    match &version.value {
        Value::Members(members) => members.clone(),
        other => panic!("a list holds {other:?}"),
    }
}

fn described(version: &Version) -> String {
    let Version { position, after, by, value } = version;
    format!("{value:?} since {position:X}, committed {}", span(*after, *by))
}

fn span(from: u64, until: u64) -> String {
    format!("from {:.3} s to {:.3} s", from as f64 / 1e6, until as f64 / 1e6)
}
