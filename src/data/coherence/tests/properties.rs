//! What holds after any calls, in any order, any number of times.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::{Commit, Demand, Fences, Slot, Verdict};
use crate::data::position::Position;

const SLOTS: u64 = 4;

/// A call that only ever raises.
#[derive(Clone, Debug)]
enum Call {
    Raise(Vec<Slot>, Position),
    RaiseFloor(Position),
    Advance(Position),
    Apply(Commit),
}

impl Call {
    fn make(&self, fences: &Fences) {
        match self {
            Self::Raise(slots, position) => fences.raise(slots.iter().copied(), *position),
            Self::RaiseFloor(position) => fences.raise_floor(*position),
            Self::Advance(position) => fences.advance(*position),
            Self::Apply(commit) => drop(fences.apply(commit)),
        }
    }
}

fn after<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Fences {
    let fences = Fences::with(SLOTS as usize);
    calls.into_iter().for_each(|call| call.make(&fences));
    fences
}

/// All positions that there are.
fn all(fences: &Fences) -> Vec<Position> {
    let of_slots = (0..SLOTS).map(|slot| fences.fence([Slot::of(slot)]));
    of_slots.chain([fences.floor(), fences.told(), fences.applied()]).collect()
}

fn are_raised(before: &[Position], now: &[Position]) -> bool {
    before.iter().zip(now).all(|(before, now)| before <= now)
}

prop_compose! {
    fn position()(number in 0_u64..24) -> Position {
        Position(number)
    }
}

fn slots() -> impl Strategy<Value = Vec<Slot>> {
    prop::collection::vec((0..SLOTS).prop_map(Slot::of), 0..4)
}

fn demand() -> impl Strategy<Value = Demand> {
    (position(), position()).prop_map(|(token, bound)| Demand { token, bound })
}

/// Those whose order does not matter.
fn raising() -> impl Strategy<Value = Call> {
    prop_oneof![
        (slots(), position()).prop_map(|(slots, position)| Call::Raise(slots, position)),
        position().prop_map(Call::RaiseFloor),
        position().prop_map(Call::Advance),
    ]
}

fn any_call() -> impl Strategy<Value = Call> {
    let commit = (position(), position(), prop::option::of(slots()));
    let commit = commit.prop_map(|(previous, position, touched)| Commit { previous, position, touched });
    prop_oneof![2 => raising(), 3 => commit.prop_map(Call::Apply)]
}

fn any_fences() -> impl Strategy<Value = Fences> {
    prop::collection::vec(any_call(), 0..12).prop_map(|calls| after(&calls))
}

/// What a feed tells that loses nothing: each commit says where the one before it was.
fn log() -> impl Strategy<Value = Vec<Commit>> {
    let steps = prop::collection::vec((1_u64..4, prop::option::weighted(0.9, slots())), 1..10);
    steps.prop_map(|steps| {
        let mut end = Position::default();
        let commit = |(length, touched)| {
            let previous = end;
            end = Position(previous.0 + length);
            Commit { previous, position: end, touched }
        };
        steps.into_iter().map(commit).collect()
    })
}

fn told<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Fences {
    let calls: Vec<_> = commits.into_iter().cloned().map(Call::Apply).collect();
    after(&calls)
}

proptest! {
    #[test]
    fn positions_only_grow(calls in prop::collection::vec(any_call(), 0..24)) {
        let fences = after([]);
        for call in calls {
            let before = all(&fences);
            call.make(&fences);
            prop_assert!(are_raised(&before, &all(&fences)), "{call:?}");
            prop_assert!(fences.told() >= fences.applied());
        }
    }

    #[test]
    fn what_is_raised_is_raised_in_any_order_and_any_number_of_times(
        (calls, shuffled) in prop::collection::vec(raising(), 0..12)
            .prop_flat_map(|calls| (Just(calls.clone()), Just(calls).prop_shuffle())),
        again in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut shuffled = shuffled;
        if !calls.is_empty() {
            shuffled.extend(again.iter().map(|index| index.get(&calls).clone()));
        }
        prop_assert_eq!(all(&after(&calls)), all(&after(&shuffled)));
    }

    #[test]
    fn a_log_without_gaps_is_whole_and_raises_nothing_else(log in log()) {
        let fences = after([]);
        for commit in &log {
            prop_assert!(fences.apply(commit));
        }
        for slot in (0..SLOTS).map(Slot::of) {
            let touches = |commit: &&Commit| commit.touched.as_ref().is_none_or(|touched| touched.contains(&slot));
            let last = log.iter().rfind(touches).map(|commit| commit.position);
            prop_assert_eq!(fences.fence([slot]), last.unwrap_or_default());
        }
    }

    #[test]
    fn messages_that_come_again_change_nothing(log in log(), again in prop::collection::vec(any::<Index>(), 0..12)) {
        let mut repeated: Vec<_> = log.iter().collect();
        for index in again {
            // Anywhere behind the first time.
            let commit = *index.get(&repeated);
            let first = repeated.iter().position(|other| *other == commit).unwrap();
            repeated.insert(first + 1 + index.index(repeated.len() - first), commit);
        }
        prop_assert_eq!(all(&told(&log)), all(&told(repeated)));
    }

    #[test]
    fn messages_in_another_order_or_lost_cost_misses_only(
        (log, others) in log().prop_flat_map(|log| {
            let some = prop::sample::subsequence(log.clone(), 1..=log.len());
            (Just(log), some.prop_shuffle())
        }),
    ) {
        let fences = after([]);
        let mut is_whole = true;
        for commit in &others {
            is_whole &= fences.apply(commit);
        }
        let so_far = log.iter().filter(|commit| commit.position <= fences.told());
        prop_assert!(are_raised(&all(&told(so_far.clone())), &all(&fences)));
        // And where it was not noticed, nothing was missing.
        let is_prefix = so_far.clone().all(|commit| others.contains(commit));
        prop_assert!(is_prefix || !is_whole);
    }

    #[test]
    fn what_is_behind_any_of_its_fences_is_not_served(
        fences in any_fences(), slots in slots(), told in position(), stamp in position(), demand in demand(),
    ) {
        let is_behind = stamp < fences.floor() || slots.iter().any(|slot| stamp < fences.fence([*slot]));
        let verdict = fences.judge(stamp, slots, told, demand);
        prop_assert_eq!(is_behind, verdict == Verdict::BehindFence);
    }

    #[test]
    fn what_shows_more_is_not_refused_where_what_shows_less_is_served(
        fences in any_fences(), slots in slots(), demand in demand(),
        stamps in (position(), position()), told in (position(), position()),
    ) {
        let serves = |stamp, told| fences.judge(stamp, slots.clone(), told, demand) == Verdict::Serves;
        let (less, more) = (stamps.0.min(stamps.1), stamps.0.max(stamps.1));
        let (before, now) = (told.0.min(told.1), told.0.max(told.1));
        prop_assert!(!serves(less, before) || serves(more, before));
        prop_assert!(!serves(less, before) || serves(less, now));
    }

    #[test]
    fn whatever_is_raised_or_demanded_serves_no_more(
        calls in prop::collection::vec(any_call(), 0..12), more in prop::collection::vec(any_call(), 1..6),
        slots in slots(), told in position(), stamp in position(), demand in demand(), higher in demand(),
    ) {
        let (lower, raised) = (after(&calls), after(calls.iter().chain(&more)));
        let serves = |fences: &Fences, demand| fences.judge(stamp, slots.clone(), told, demand) == Verdict::Serves;
        let both = Demand { token: demand.token.max(higher.token), bound: demand.bound.max(higher.bound) };
        prop_assert!(!serves(&raised, demand) || serves(&lower, demand));
        prop_assert!(!serves(&lower, both) || serves(&lower, demand));
    }

    #[test]
    fn what_is_needed_is_the_smallest_stamp_that_is_served(
        fences in any_fences(), slots in slots(), told in position(), demand in demand(),
    ) {
        let needed = fences.needed(slots.clone(), told, demand);
        for stamp in (0..30).map(Position) {
            let serves = fences.judge(stamp, slots.clone(), told, demand) == Verdict::Serves;
            prop_assert_eq!(serves, stamp >= needed, "{:?}", stamp);
        }
    }

    /// Several values may be served together exactly if each may.
    #[test]
    fn what_is_made_of_several_values_is_judged_as_they_are(
        calls in prop::collection::vec(any_call(), 0..12),
        parts in prop::collection::vec(((0..SLOTS).prop_map(Slot::of), position()), 1..6),
        demand in demand(),
    ) {
        let fences = after(&calls);
        let told = fences.told();
        let smallest = parts.iter().map(|(_, stamp)| *stamp).min().unwrap();
        let together = fences.judge_all(smallest, &parts, told, demand) == Verdict::Serves;
        let each = parts.iter().all(|(slot, stamp)| fences.judge(*stamp, [*slot], told, demand) == Verdict::Serves);
        prop_assert_eq!(together, each);
    }
}
