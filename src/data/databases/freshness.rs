//! How recent the primary's positions are that this instance has seen. Pure: time is given.
//!
//! It needs no clock but this process's own, and no message can be lost: a dead probe, a partition and a stopped process
//! all look the same, as observations that grow old.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::survey::Survey;
use crate::data::position::{Position, Universe};

/// Observations are kept for so long, to tell how late a position is.
const MEMORY: Duration = Duration::from_secs(60);

/// What was seen of the primary, oldest first.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// The last answer of a primary that takes writes.
    pub primary: Option<Survey>,
    universe: Option<Universe>,
    /// When the primary was asked, and the position it answered.
    seen: VecDeque<(Instant, Position)>,
}

impl Freshness {
    /// The primary, asked at `at`, was at `position` of `universe`; whether that is another universe than before.
    pub fn observe(&mut self, universe: Universe, at: Instant, position: Position) -> bool {
        let is_other = self.universe.is_some_and(|known| known != universe);
        if self.universe != Some(universe) {
            self.universe = Some(universe);
            self.seen.clear();
        }
        // What came late says nothing new.
        if self.seen.back().is_none_or(|(last, _)| *last <= at) {
            self.seen.push_back((at, position));
        }
        while self.seen.front().is_some_and(|(first, _)| at.duration_since(*first) > MEMORY) {
            self.seen.pop_front();
        }
        is_other
    }

    pub fn universe(&self) -> Option<Universe> {
        self.universe
    }

    /// The latest position seen.
    pub fn latest(&self) -> Option<Position> {
        self.seen.back().map(|(_, position)| *position)
    }

    /// The smallest position seen within `window`: what has it shows every commit that is older than the window. None if
    /// nothing was seen so recently.
    pub fn bound(&self, now: Instant, window: Duration) -> Option<Position> {
        let recent = |(at, _): &(Instant, Position)| now.saturating_duration_since(*at) <= window;
        self.seen.iter().rev().take_while(|seen| recent(seen)).map(|(_, position)| *position).min()
    }

    /// For how long the primary has been past `position`, at least; no more than is remembered.
    pub fn lag(&self, now: Instant, position: Position) -> Duration {
        let first_past = self.seen.iter().find(|(_, seen)| *seen > position);
        first_past.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELTA: Duration = Duration::from_secs(2);

    fn universe(timeline: u32) -> Universe {
        Universe::of(1, 1, timeline)
    }

    #[test]
    fn the_bound_is_the_smallest_position_of_the_window() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut freshness = Freshness::default();
        assert_eq!(freshness.bound(at(0), DELTA), None);
        for (millis, position) in [(0, 10), (1000, 20), (2000, 20), (3000, 30)] {
            freshness.observe(universe(1), at(millis), Position(position));
        }
        assert_eq!(freshness.bound(at(3000), DELTA), Some(Position(20)));
        assert_eq!(freshness.bound(at(4500), DELTA), Some(Position(30)));
        assert_eq!(freshness.bound(at(5000), DELTA), Some(Position(30)), "to the millisecond");
        assert_eq!(freshness.bound(at(5001), DELTA), None, "nothing was seen for longer than that");
        assert_eq!(freshness.latest(), Some(Position(30)));
    }

    #[test]
    fn another_universe_begins_anew() {
        let start = Instant::now();
        let mut freshness = Freshness::default();
        assert!(!freshness.observe(universe(1), start, Position(1000)));
        assert!(!freshness.observe(universe(1), start, Position(1000)));
        assert!(freshness.observe(universe(2), start, Position(900)));
        assert_eq!(freshness.bound(start, DELTA), Some(Position(900)));
        assert_eq!(freshness.universe(), Some(universe(2)));
    }

    #[test]
    fn lag_counts_from_the_first_position_that_is_missing() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut freshness = Freshness::default();
        for (millis, position) in [(0, 10), (1000, 20), (2000, 30)] {
            freshness.observe(universe(1), at(millis), Position(position));
        }
        assert_eq!(freshness.lag(at(2500), Position(30)), Duration::ZERO);
        assert_eq!(freshness.lag(at(2500), Position(25)), Duration::from_millis(500));
        assert_eq!(freshness.lag(at(2500), Position(10)), Duration::from_millis(1500));
        // What is older than the memory is forgotten.
        freshness.observe(universe(1), at(61_500), Position(40));
        assert_eq!(freshness.lag(at(61_500), Position(5)), Duration::from_millis(59_500));
    }
}
