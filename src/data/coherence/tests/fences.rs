//! What each call does to the fences, and what the rule makes of them.

use super::super::fences::MOST_SLOTS;
use super::super::{Commit, Demand, Fences, Slot, Verdict};
use crate::data::position::Position;

fn a() -> Slot {
    Slot::of(0)
}

fn b() -> Slot {
    Slot::of(1)
}

fn fences() -> Fences {
    Fences::with(8)
}

fn commit(previous: u64, position: u64, touched: &[Slot]) -> Commit {
    Commit { previous: Position(previous), position: Position(position), touched: Some(touched.to_vec()) }
}

fn demand(token: u64, bound: u64) -> Demand {
    Demand { token: Position(token), bound: Position(bound) }
}

/// The fences of A and of B, the floor, and how far they were told and applied.
fn all(fences: &Fences) -> [u64; 5] {
    let [a, b] = [a(), b()].map(|slot| fences.fence([slot]));
    [a, b, fences.floor(), fences.told(), fences.applied()].map(|position| position.0)
}

#[test]
fn nothing_is_known_at_first() {
    let fences = fences();
    assert_eq!(all(&fences), [0; 5]);
    assert_eq!(fences.judge(Position(0), [a(), b()], Position(0), demand(0, 0)), Verdict::Serves);
    assert_eq!(fences.judge(Position(0), [a()], Position(0), demand(0, 1)), Verdict::BehindBound);
}

#[test]
fn every_slot_has_a_fence() {
    let fences = Fences::default();
    let [first, last] = [Slot::of(1 << 20), Slot::of(u64::MAX)];
    fences.raise([first, last], Position(7));
    assert_eq!([first, last, Slot::of(0)].map(|slot| fences.fence([slot]).0), [7, 7, 7], "the high bits do not matter");
    assert_eq!(fences.fence([Slot::of(1), Slot::of(u64::MAX - 1)]), Position(0));
}

#[test]
fn a_fence_is_raised_and_never_lowered() {
    let fences = fences();
    fences.raise([a()], Position(7));
    fences.raise([a()], Position(5));
    assert_eq!(all(&fences), [7, 0, 0, 0, 0]);
    fences.raise([b(), a()], Position(9));
    assert_eq!(all(&fences), [9, 9, 0, 0, 0]);
    fences.raise([], Position(11));
    assert_eq!(all(&fences), [9, 9, 0, 0, 0]);
}

#[test]
fn the_fence_of_several_is_the_highest_of_theirs() {
    let fences = fences();
    fences.raise([a()], Position(7));
    fences.raise([b()], Position(5));
    assert_eq!(fences.fence([b(), a()]), Position(7));
    assert_eq!(fences.fence([]), Position(0));
}

#[test]
fn the_floor_is_under_everything() {
    let fences = fences();
    fences.raise([a()], Position(7));
    fences.raise_floor(Position(6));
    fences.raise_floor(Position(4));
    assert_eq!(all(&fences), [7, 6, 6, 0, 0]);
    assert_eq!(fences.fence([]), Position(6), "also under what depends on nothing");
}

#[test]
fn the_applied_position_never_goes_back() {
    let fences = fences();
    fences.advance(Position(7));
    fences.advance(Position(5));
    assert_eq!(all(&fences), [0, 0, 0, 7, 7]);
}

#[test]
fn a_commit_raises_what_it_touched_and_waits_to_be_shown() {
    let fences = fences();
    assert!(fences.apply(&commit(0, 3, &[a()])));
    assert_eq!(all(&fences), [3, 0, 0, 3, 0]);
    assert!(fences.apply(&commit(3, 5, &[b()])));
    assert_eq!(all(&fences), [3, 5, 0, 5, 0]);
    fences.advance(Position(5));
    assert_eq!(all(&fences), [3, 5, 0, 5, 5]);
}

#[test]
fn a_commit_that_comes_twice_or_late_says_nothing_new() {
    let fences = fences();
    assert!(fences.apply(&commit(0, 3, &[a()])));
    assert!(fences.apply(&commit(3, 5, &[b()])));
    let before = all(&fences);
    assert!(fences.apply(&commit(3, 5, &[b()])));
    assert!(fences.apply(&commit(0, 3, &[a()])));
    assert!(fences.apply(&Commit { position: Position(4), ..Commit::default() }), "not even that it told nothing");
    assert_eq!(all(&fences), before);
}

#[test]
fn a_commit_whose_beginning_was_told_already_is_whole() {
    let fences = fences();
    fences.advance(Position(4));
    assert!(fences.apply(&commit(2, 6, &[a()])));
    assert_eq!(all(&fences), [6, 0, 0, 6, 4]);
}

#[test]
fn a_gap_raises_the_floor_and_ends_there() {
    let fences = fences();
    assert!(fences.apply(&commit(0, 3, &[a()])));
    assert!(!fences.apply(&commit(4, 6, &[a()])), "who committed at 4 is not known");
    assert_eq!(all(&fences), [6, 6, 6, 6, 0]);
    assert!(fences.apply(&commit(6, 8, &[b()])));
    assert_eq!(all(&fences), [6, 8, 6, 8, 0]);
}

#[test]
fn a_commit_that_touched_too_much_raises_the_floor() {
    let touched = |count| Commit { position: Position(3), touched: Some(vec![a(); count]), ..Commit::default() };
    let most = fences();
    assert!(most.apply(&touched(MOST_SLOTS)));
    assert_eq!(all(&most), [3, 0, 0, 3, 0]);
    let more = fences();
    assert!(more.apply(&touched(MOST_SLOTS + 1)), "nothing was lost before it");
    assert_eq!(all(&more), [3, 3, 3, 3, 0]);
}

#[test]
fn a_commit_of_which_nothing_is_known_raises_the_floor() {
    let fences = fences();
    assert!(fences.apply(&Commit { position: Position(3), ..Commit::default() }));
    assert_eq!(all(&fences), [3, 3, 3, 3, 0]);
}

#[test]
fn what_was_advanced_past_is_not_heard_any_more() {
    // So nobody may advance past a commit before it was applied.
    let fences = fences();
    fences.advance(Position(4));
    assert!(fences.apply(&commit(0, 3, &[a()])));
    assert_eq!(all(&fences), [0, 0, 0, 4, 4]);
}

#[test]
fn the_rule_looks_at_the_fence_then_at_the_token_then_at_the_bound() {
    let fences = fences();
    fences.raise([a()], Position(10));
    fences.raise_floor(Position(5));
    let judge =
        |stamp, told, token, bound| fences.judge(Position(stamp), [a(), b()], Position(told), demand(token, bound));
    assert_eq!(judge(9, 0, 20, 20), Verdict::BehindFence);
    assert_eq!(judge(9, 20, 20, 20), Verdict::BehindFence, "however much was told");
    assert_eq!(judge(10, 0, 20, 20), Verdict::BehindToken);
    assert_eq!(judge(10, 0, 10, 20), Verdict::BehindBound);
    assert_eq!(judge(10, 19, 10, 20), Verdict::BehindBound);
    assert_eq!(judge(10, 0, 10, 10), Verdict::Serves, "its stamp says so");
    assert_eq!(judge(10, 20, 20, 20), Verdict::Serves, "nothing has touched it since");
    assert_eq!(judge(20, 0, 20, 20), Verdict::Serves);
    let of_none = |stamp| fences.judge(Position(stamp), [], Position(0), demand(0, 0));
    assert_eq!([of_none(4), of_none(5)], [Verdict::BehindFence, Verdict::Serves], "the floor is a fence");
}

#[test]
fn a_server_needs_the_fence_and_what_is_demanded_unless_that_was_told() {
    let fences = fences();
    fences.raise([a()], Position(10));
    let needed = |told, token, bound| fences.needed([a(), b()], Position(told), demand(token, bound)).0;
    assert_eq!(needed(0, 0, 0), 10);
    assert_eq!(needed(30, 20, 30), 10);
    assert_eq!(needed(29, 20, 30), 30);
    assert_eq!(needed(29, 30, 20), 30);
    assert_eq!(needed(0, 5, 5), 10);
    assert_eq!(fences.needed([b()], Position(4), demand(5, 0)), Position(5));
}

#[test]
fn who_sees_how_far_they_were_told_sees_the_fences() {
    const LAST: u64 = 50_000;
    let fences = fences();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for position in 1..=LAST {
                assert!(fences.apply(&commit(position - 1, position, &[Slot::of(position % 8)])));
            }
        });
        loop {
            let told = fences.told().0;
            for slot in 0..8 {
                // The last commit up to there that touched it.
                let touched = told.saturating_sub((told + 8 - slot) % 8);
                assert!(fences.fence([Slot::of(slot)]) >= Position(touched), "{told} {slot}");
            }
            if told == LAST {
                break;
            }
        }
    });
}
