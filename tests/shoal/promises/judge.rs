//! Histories with one thing wrong, and with nothing.

use std::collections::{BTreeMap, HashMap};

use crate::proof::history::{History, Read, Version, Wrote};
use crate::proof::judge::{Class, judge};
use crate::proof::world::{Register, Value};

const USER: Register = Register::UserName(1);
const POSTS: Register = Register::UserPosts(1);

fn name(text: &str) -> Value {
    Value::Text(Some(text.to_owned()))
}

fn members(members: &[i64]) -> Value {
    Value::Members(members.iter().copied().collect())
}

/// Versions at positions 0, 10, 20 …, flushed at 0, 1000, 2000 … or up to 100 later; the bound is 500.
fn history(register: Register, values: &[Value]) -> History {
    let version = |(number, value): (usize, &Value)| {
        let after = number as u64 * 1000;
        let by = if number == 0 { 0 } else { after + 100 };
        Version { position: number as u64 * 10, after, by, value: value.clone() }
    };
    let versions = values.iter().enumerate().map(version).collect();
    History { bound: 500, versions: HashMap::from([(register, versions)]), ..History::default() }
}

fn read(invoked: u64, register: Register, value: Value) -> Read {
    let seen = vec![(register, value)];
    Read {
        client: 1,
        instance: 0,
        invoked,
        returned: invoked + 50,
        done: None,
        has_token: false,
        is_marked: false,
        seen,
    }
}

fn wrote(register: Register, value: Value) -> Wrote {
    Wrote { client: 1, instance: 0, invoked: 900, returned: 1050, marker: (register, value) }
}

fn classes(history: &History) -> Vec<Class> {
    judge(history).counts.into_keys().collect()
}

#[test]
fn what_was_the_latest_within_the_bound_may_be_shown() {
    let values = ["a", "b", "c"].map(name);
    for (invoked, shown, expected) in [
        (500, "a", vec![]),
        // Flushed at 1100 at the latest, and so shown from 1600 on.
        (1000, "a", vec![]),
        (1600, "a", vec![]),
        (1601, "a", vec![Class::Bound]),
        // It may have been flushed at 1000; the answer came at 1000.
        (950, "b", vec![]),
        (949, "b", vec![Class::Phantom]),
        (9000, "c", vec![]),
        (9000, "b", vec![Class::Bound]),
        (9000, "d", vec![Class::Phantom]),
    ] {
        let mut history = history(USER, &values);
        history.reads.push(read(invoked, USER, name(shown)));
        assert_eq!(classes(&history), expected, "{shown} at {invoked}");
    }
}

#[test]
fn who_keeps_a_token_sees_what_it_has_done() {
    let mut history = history(USER, &["a", "b", "c"].map(name));
    history.writes.push(wrote(USER, name("b")));
    for (shown, expected) in [("a", vec![Class::OwnWrite]), ("b", vec![]), ("c", vec![Class::Phantom])] {
        history.reads = vec![Read { done: Some(0), has_token: true, ..read(1100, USER, name(shown)) }];
        assert_eq!(classes(&history), expected, "{shown}");
    }
    // Who drops it may have to wait for that.
    history.reads = vec![Read { done: Some(0), ..read(1100, USER, name("a")) }];
    let verdict = judge(&history);
    assert!(verdict.is_clean() && verdict.without_token == (1, 1), "{verdict:?}");
    // It holds for whatever else was committed before, and whatever the answer says of its age.
    history.versions.insert(
        POSTS,
        vec![
            Version { position: 0, after: 0, by: 0, value: members(&[]) },
            Version { position: 9, after: 900, by: 1000, value: members(&[7]) },
        ],
    );
    history.reads = vec![Read { done: Some(0), has_token: true, is_marked: true, ..read(1100, POSTS, members(&[])) }];
    assert_eq!(classes(&history), [Class::OwnWrite]);
    // What the primary does not show yet nobody has to be shown, nor what came to the same list after it.
    let late = Version { position: 5, after: 500, by: 1200, value: members(&[6]) };
    let both = Version { value: members(&[6, 7]), ..history.versions[&POSTS][1].clone() };
    history.versions.insert(POSTS, vec![history.versions[&POSTS][0].clone(), late, both]);
    for (invoked, shown, expected) in
        [(1150, vec![7], vec![]), (1150, vec![], vec![]), (1200, vec![7], vec![Class::OwnWrite])]
    {
        let asked = read(invoked, POSTS, members(&shown));
        history.reads = vec![Read { done: Some(0), has_token: true, is_marked: true, ..asked }];
        assert_eq!(classes(&history), expected, "{shown:?} at {invoked}");
    }
    history.reads = vec![Read { is_marked: true, ..read(9000, POSTS, members(&[])) }];
    assert_eq!(classes(&history), [], "nobody knows how old it is, and it says so");
}

#[test]
fn lists_are_judged_member_by_member() {
    let values = [members(&[1, 2]), members(&[2, 3]), members(&[3, 4])];
    for (invoked, shown, expected) in [
        // From two states: 2 and 3 are there all the time, 1 and 4 are not.
        (2100, vec![3], vec![]),
        (2100, vec![2, 3, 4], vec![]),
        (2100, vec![2, 4], vec![Class::Bound]),
        (2100, vec![1, 3], vec![Class::Resurrection]),
        (9000, vec![3, 4], vec![]),
        (9000, vec![3], vec![Class::Bound]),
        (9000, vec![2, 3, 4], vec![Class::Resurrection]),
        (9000, vec![3, 4, 5], vec![Class::Phantom]),
    ] {
        let mut history = history(POSTS, &values);
        history.reads.push(read(invoked, POSTS, members(&shown)));
        assert_eq!(classes(&history), expected, "{shown:?} at {invoked}");
    }
}

#[test]
fn counts_are_judged_by_what_they_count() {
    const COUNT: Register = Register::UserPostCount(1);
    let values = [members(&[1, 2]), members(&[2, 3]), members(&[3, 4, 5])];
    for (invoked, shown, expected) in [
        // Any order of what was committed at once: 3 is there all the time, 2, 4 and 5 may be.
        (2100, 1, vec![]),
        (2100, 4, vec![]),
        (2100, 0, vec![Class::Bound]),
        (9000, 3, vec![]),
        (9000, 2, vec![Class::Bound]),
        (9000, 6, vec![Class::Phantom]),
    ] {
        let mut history = history(POSTS, &values);
        history.reads.push(read(invoked, COUNT, Value::Count(shown)));
        assert_eq!(classes(&history), expected, "{shown} at {invoked}");
    }
}

#[test]
fn what_is_gone_must_not_come_back_and_what_was_promised_must_be_there() {
    let mut deleted = history(USER, &[name("a"), Value::Text(None)]);
    deleted.reads.push(read(9000, USER, name("a")));
    assert_eq!(classes(&deleted), [Class::Resurrection]);
    let mut lost = history(USER, &[name("a")]);
    lost.writes.push(wrote(USER, name("never")));
    assert_eq!(classes(&lost), [Class::Lost]);
    // A look-up that has never found anything.
    let mut nothing = History { bound: 500, ..History::default() };
    nothing.reads.push(read(9000, Register::Sku("x".to_owned()), Value::Text(None)));
    assert_eq!(classes(&nothing), []);
    nothing.reads.push(read(9000, Register::Sku("x".to_owned()), name("7")));
    assert_eq!(classes(&nothing), [Class::Phantom]);
}

#[test]
fn the_shortest_history_names_what_was_and_what_is() {
    let mut history = history(USER, &["a", "b"].map(name));
    history.reads.push(read(9000, USER, name("a")));
    let verdict = judge(&history);
    let lines = &verdict.examples[&Class::Bound].shortest;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].contains("was Text(Some(\"a\"))") && lines[1].contains("is Text(Some(\"b\")) since A"),
        "{lines:#?}"
    );
    assert_eq!((verdict.first, verdict.judged), (Some(9050), 1));
}

#[test]
fn a_history_that_was_kept_is_judged_the_same() {
    let mut history = history(USER, &["a", "b"].map(name));
    history.writes.push(wrote(USER, name("b")));
    history.reads.push(Read { done: Some(0), has_token: true, ..read(1100, USER, name("a")) });
    history.reads.push(read(9000, USER, name("x")));
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("history.jsonl.zst");
    history.keep(&path);
    let again = History::load(&path);
    assert_eq!((again.bound, &again.reads, &again.writes), (history.bound, &history.reads, &history.writes));
    assert_eq!(judge(&again).counts, judge(&history).counts);
    assert_eq!(judge(&again).counts, BTreeMap::from([(Class::OwnWrite, 1), (Class::Phantom, 1)]));
}
