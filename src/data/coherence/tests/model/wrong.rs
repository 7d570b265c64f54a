//! What must not be served.

use super::Protocol;
use super::mutant::Mutant;
use super::state::{Commit, Entry, Feed, Instance, KEYS, Load, Look, Set, State, Table, at};
use crate::data::coherence::{Demand, Fences, Verdict};

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It does not show a commit whose writer, or who has seen it, is asking.
    OwnWrite,
    /// It does not show what everybody is to see by now.
    Bound,
    /// It does not show what the instance was told of.
    Known,
}

impl Protocol {
    /// What is wrong with any answer that could be given now. An instance that has not noticed a failover is not judged:
    /// it has until its last observation of the old primary is older than the bound allows.
    pub fn wrong(&self, state: &State) -> Option<Wrong> {
        let instances = &state.instances[..self.scenario.instances];
        let serves = |of: &&Instance| {
            of.universe == state.universe && (self.is_strict() || matches!(of.feed, Feed::Follows { .. }))
        };
        instances.iter().filter(serves).find_map(|of| {
            let of_tiers = self
                .kept(state, of)
                .find_map(|(key, entry)| self.parts(key).find_map(|part| self.wrong_to_serve(state, of, part, entry)));
            of_tiers.or_else(|| self.wrong_to_land(state, of))
        })
    }

    /// The whole protocol keeps more than it promises: it never serves less than an instance was told of, shows what is
    /// before the bound even if the primary does not show it yet, and all that also while the feed does not follow. A rule
    /// that is left out must be noticed by clients.
    fn is_strict(&self) -> bool {
        self.without.is_none()
    }

    /// What a value is of: each part is judged by its own fence.
    pub fn parts(&self, key: usize) -> impl Iterator<Item = usize> {
        if self.scenario.rows && key == 1 { 0..=1 } else { key..=key }
    }

    /// What there is in the tiers of an instance, by key.
    fn kept<'a>(&'a self, state: &'a State, of: &'a Instance) -> impl Iterator<Item = (usize, Entry)> + 'a {
        (0..KEYS).flat_map(|key| [(key, state.far[key]), (key, of.near[key])]).filter_map(|(key, entry)| {
            let is_found = |entry: &Entry| entry.universe == of.universe || self.lacks(Mutant::OneUniverse);
            Some((key, entry.filter(is_found)?))
        })
    }

    fn wrong_to_serve(&self, state: &State, of: &Instance, key: usize, entry: Entry) -> Option<Wrong> {
        let mut missing = state.missing(key, entry.universe, entry.shows);
        missing.find_map(|missing| self.wrong_without(state, of, key, entry, missing))
    }

    /// What is wrong with a value that does not show a commit. Whoever demands that is the first to get a wrong answer.
    ///
    /// Nobody who has seen a rewrite has a token of that, but of what was committed after it; and how old an answer may be
    /// without it is a matter of when it is noticed.
    fn wrong_without(&self, state: &State, of: &Instance, key: usize, entry: Entry, missing: u8) -> Option<Wrong> {
        let is_shown = state.shown & 1 << missing != 0;
        let (fences, told) = match of.look {
            Some(Look::Told(told)) => (of.fences, told),
            Some(Look::Fences(fences)) => (fences, of.fences.told),
            None => (of.fences, of.fences.told),
        };
        let serves = |token, bound| self.serves(&fences, entry.stamp, key, told, token, bound);
        if state.commit(missing) == Commit::Rewrite {
            let after = (missing + 1..=state.end).find(|position| state.commit(*position).is_told());
            let is_noticed = of.noticed & 1 << missing != 0;
            return if after.is_some_and(|after| serves(after, 0)) {
                Some(Wrong::OwnWrite)
            } else {
                (is_noticed && serves(0, 0)).then_some(Wrong::Known)
            };
        }
        if is_shown && serves(missing, 0) {
            Some(Wrong::OwnWrite)
        } else if (is_shown || self.is_strict()) && serves(0, missing) {
            Some(Wrong::Bound)
        } else {
            (self.is_strict() && missing <= fences.told && serves(0, 0)).then_some(Wrong::Known)
        }
    }

    /// The rule, or what a mutant makes of it.
    fn serves(&self, fences: &Table, stamp: u8, key: usize, told: u8, token: u8, bound: u8) -> bool {
        let token = if self.lacks(Mutant::NoToken) { 0 } else { token };
        let bound = if self.lacks(Mutant::NoBound) { 0 } else { bound };
        let verdict = if self.lacks(Mutant::NoFence) {
            let demand = Demand { token: at(token), bound: at(bound) };
            Fences::with(0).judge(at(stamp), [], at(told), demand)
        } else {
            fences.judge(stamp, key, told, token, bound)
        };
        verdict == Verdict::Serves
    }

    /// What a load brought goes to whoever joined it, by the rule; what a replica was asked for also to whom it was
    /// asked for, as it is. To those for whom a primary was asked it shows whatever they can know of.
    fn wrong_to_land(&self, state: &State, of: &Instance) -> Option<Wrong> {
        let load = of.load?;
        let (key, shows) = (usize::from(load.key), load.shows?);
        self.parts(key).find_map(|part| self.wrong_part(state, of, load, (key, part, shows)))
    }

    /// A row that came with a list is looked at like one that was kept, unless it shows what is asked by itself.
    fn wrong_part(
        &self,
        state: &State,
        of: &Instance,
        load: Load,
        (key, part, shows): (usize, usize, Set),
    ) -> Option<Wrong> {
        let is_joined = load.universe == of.universe || self.lacks(Mutant::FlightsOutlive);
        let entry = Entry { universe: load.universe, stamp: load.stamp, shows };
        let missing = state.missing(part, load.universe, shows).next()?;
        let joined = is_joined.then(|| self.wrong_to_serve(state, of, part, entry)).flatten();
        let unseen = self.lacks(Mutant::NoSecondLook) && state.shown & 1 << missing != 0;
        let as_it_came = part == key || self.lacks(Mutant::RowsForgotten);
        let for_whom = load.asked.filter(|_| is_joined && as_it_came).and_then(|asked| {
            let is_known = self.is_strict() && missing <= asked.told;
            if missing <= asked.demand { Some(Wrong::Bound) } else { is_known.then_some(Wrong::Known) }
        });
        joined.or_else(|| unseen.then_some(Wrong::OwnWrite)).or(for_whom)
    }

    /// Whether a tier serves a value, that shows something that was written, to whoever wrote it.
    pub fn serves_what_was_written(&self, state: &State) -> bool {
        state.instances[..self.scenario.instances].iter().any(|of| {
            self.kept(state, of).any(|(key, entry)| {
                let served = |written| self.serves(&of.fences, entry.stamp, key, of.fences.told, written as u8, 0);
                entry.shows.checked_ilog2().is_some_and(served)
            })
        })
    }
}
