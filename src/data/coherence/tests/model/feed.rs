//! How an instance hears of commits.

use super::Protocol;
use super::action::Action;
use super::mutant::Mutant;
use super::state::{Commit, Entry, Feed, Instance, State, Table, at, slot, up_to};
use crate::data::coherence::{Commit as Told, Slot};

impl Protocol {
    /// None if the step is not the feed's.
    pub fn step_of_feed(&self, state: &mut State, action: Action) -> Option<bool> {
        let (Action::Notice(instance)
        | Action::Connect(instance)
        | Action::Settle(instance)
        | Action::Deliver(instance)
        | Action::Repeat(instance, _)
        | Action::Miss(instance)
        | Action::Keepalive(instance)
        | Action::Advance(instance)
        | Action::Survey(instance)
        | Action::Raise(instance)) = action
        else {
            return None;
        };
        let mut of = state.instances[instance];
        let is_aware = of.universe == state.universe;
        let taken = match action {
            Action::Notice(_) => !is_aware && notice(state, &mut of),
            _ if !is_aware => false,
            Action::Connect(_) => self.connect(state, &mut of),
            Action::Settle(_) => self.settle(state, &mut of),
            Action::Deliver(_) => self.deliver(state, &mut of),
            Action::Repeat(_, position) => self.repeat(state, &mut of, position),
            Action::Miss(_) => miss(state, &mut of),
            Action::Keepalive(_) => self.keepalive(state, &mut of),
            Action::Advance(_) => self.advance(state, &mut of),
            Action::Survey(_) => self.survey(state, &mut of),
            _ => self.raise(state, &mut of),
        };
        state.instances[instance] = of;
        Some(taken)
    }

    /// A new slot tells of what is committed from here on. What was before, and not told, is under the floor.
    fn connect(&self, state: &State, of: &mut Instance) -> bool {
        if of.connects == 0 {
            return false;
        }
        of.connects -= 1;
        of.feed = Feed::Opening { from: state.end };
        of.row = None;
        if !self.lacks(Mutant::NoFloor) {
            of.fences.after(|fences| fences.raise_floor(at(state.end)));
        }
        true
    }

    /// Commits that the slot does not tell of may not be shown yet: nobody would notice that they are, later.
    fn settle(&self, state: &mut State, of: &mut Instance) -> bool {
        let Feed::Opening { from } = of.feed else { return false };
        if up_to(from) & !state.shown != 0 && !self.lacks(Mutant::NoWait) {
            return false;
        }
        self.survey(state, of);
        of.feed = Feed::Follows { read: from };
        of.fences.after(|fences| fences.advance(at(from)));
        true
    }

    /// Looks whether the primary shows that everything was written anew. What is kept of before is under the floor then,
    /// whatever its stamp, which may be the end of the log; so the log is made to go on.
    fn survey(&self, state: &mut State, of: &mut Instance) -> bool {
        let found = state.rewrites(state.shown) & !of.noticed;
        of.noticed |= found;
        let floor = if self.lacks(Mutant::FloorAtEnd) { state.end } else { state.end + 1 };
        if found != 0 {
            of.fences.after(|fences| fences.raise_floor(at(floor)));
            self.write(state, Commit::Other);
        }
        found != 0
    }

    fn deliver(&self, state: &mut State, of: &mut Instance) -> bool {
        let Some((read, commit)) = next(state, of).filter(|(_, commit)| commit.is_told()) else { return false };
        if !self.lacks(Mutant::ToldUnseen) {
            self.survey(state, of);
        }
        of.feed = Feed::Follows { read: read + 1 };
        if self.scenario.keeps && commit == Commit::Key(0) {
            of.row = Some(read + 1);
        }
        if self.lacks(Mutant::AppliedFirst) {
            let is_shown = up_to(read + 1) & !state.shown == 0;
            of.fences.after(|fences| fences.advance(at(read + 1)));
            return is_shown && std::mem::replace(&mut of.owed, read + 1) == 0;
        }
        let told = self.told(state, read + 1, &of.fences);
        let is_whole = of.fences.after(|fences| fences.apply(&told));
        assert!(is_whole || self.scenario.misses, "the feed has told all, and yet something is missed");
        true
    }

    /// A message comes twice, or late.
    fn repeat(&self, state: &State, of: &mut Instance, position: u8) -> bool {
        let Feed::Follows { read } = of.feed else { return false };
        let told = self.told(state, position, &of.fences);
        position <= read && state.commit(position).is_told() && of.fences.after(|fences| fences.apply(&told))
    }

    /// What the log tells of the commit at a position.
    fn told(&self, state: &State, position: u8, known: &Table) -> Told {
        let before = (1..position).rev().find(|before| state.commit(*before).is_told()).unwrap_or_default();
        let previous = if self.lacks(Mutant::NoGap) { before.min(known.told) } else { before };
        let touched: Option<Vec<Slot>> = match state.commit(position) {
            Commit::Key(key) => Some(vec![slot(key.into())]),
            Commit::Move if self.lacks(Mutant::OnlyNewList) => Some(vec![slot(1)]),
            Commit::Move => Some(vec![slot(0), slot(1)]),
            Commit::Large if self.lacks(Mutant::NothingOfLarge) => Some(Vec::new()),
            Commit::Large => None,
            Commit::Rewrite | Commit::Other => Some(Vec::new()),
        };
        Told { previous: at(previous), position: at(position), touched }
    }

    /// Of what does not matter only this is told: that the log is longer.
    fn keepalive(&self, state: &mut State, of: &mut Instance) -> bool {
        let Some((read, _)) = next(state, of).filter(|(_, commit)| !commit.is_told()) else { return false };
        if !self.lacks(Mutant::ToldUnseen) {
            self.survey(state, of);
        }
        of.feed = Feed::Follows { read: read + 1 };
        let has_passed = of.fences.applied == of.fences.told;
        let told = Told { previous: at(of.fences.told), position: at(read + 1), touched: Some(Vec::new()) };
        of.fences.after(|fences| fences.apply(&told));
        if has_passed || self.lacks(Mutant::KeepaliveFirst) {
            self.keep_row(state, of, read + 1);
            of.fences.after(|fences| fences.advance(at(read + 1)));
        }
        true
    }

    /// The primary shows what was told.
    fn advance(&self, state: &mut State, of: &mut Instance) -> bool {
        let Feed::Follows { read } = of.feed else { return false };
        // What was missed cannot be asked for.
        let target = if self.scenario.misses { of.fences.told } else { read };
        let batch = up_to(target) & !up_to(of.fences.applied);
        let asked_for = batch & !state.rewrites(batch);
        if batch == 0 || asked_for & !state.shown != 0 && !self.lacks(Mutant::NoBarrier) {
            return false;
        }
        self.survey(state, of);
        self.keep_row(state, of, target);
        of.fences.after(|fences| fences.advance(at(target)));
        true
    }

    /// A row is kept as the log told it, unless all of then may have changed since. What somebody knows to have changed
    /// later waits until that is told, too.
    fn keep_row(&self, state: &mut State, of: &mut Instance, passed: u8) {
        if of.fences.fences[0] > passed {
            return;
        }
        let row = of.row.take().filter(|told| *told > of.fences.floor || self.lacks(Mutant::LateRow));
        if let Some(told) = row {
            state.far[0] = Some(Entry { universe: of.universe, stamp: passed, shows: state.touching(0, up_to(told)) });
        }
    }

    /// What should have been done before the applied position moved on.
    fn raise(&self, state: &State, of: &mut Instance) -> bool {
        let position = std::mem::take(&mut of.owed);
        if position == 0 {
            return false;
        }
        let told = self.told(state, position, &of.fences);
        of.fences.after(|fences| fences.raise(told.touched.into_iter().flatten(), told.position));
        true
    }
}

/// How far the log was read, and the commit that follows.
fn next(state: &State, of: &Instance) -> Option<(u8, Commit)> {
    let Feed::Follows { read } = of.feed else { return None };
    (read < state.end).then(|| (read, state.commit(read + 1)))
}

fn miss(state: &State, of: &mut Instance) -> bool {
    let Some((read, _)) = next(state, of) else { return false };
    of.feed = Feed::Follows { read: read + 1 };
    true
}

/// It is another primary: nothing that is known holds of it. Loads that are under way go on.
fn notice(state: &State, of: &mut Instance) -> bool {
    of.universe = state.universe;
    of.fences = Table::default();
    of.feed = Feed::Lost;
    of.polled = None;
    true
}
