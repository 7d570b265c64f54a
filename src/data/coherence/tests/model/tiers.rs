//! What an instance asks the servers, and what it keeps of the answers.

use super::Protocol;
use super::action::Action;
use super::mutant::Mutant;
use super::state::{Asked, Entry, Instance, Load, Look, State, at, slot, up_to};
use crate::data::coherence::{Demand, Verdict};

impl Protocol {
    /// None if the step is not the tiers'.
    pub fn step_of_tiers(&self, state: &mut State, action: Action) -> Option<bool> {
        let (Action::Poll(instance)
        | Action::AskPrimary(instance, _)
        | Action::AskReplica(instance, _)
        | Action::Answer(instance)
        | Action::Land(instance)
        | Action::Admit(instance, _)
        | Action::Invalidate(instance, _)
        | Action::KeepWritten(instance, _)
        | Action::Look(instance)) = action
        else {
            return None;
        };
        let mut of = state.instances[instance];
        let is_aware = of.universe == state.universe;
        let taken = match action {
            // A value may land when all has changed.
            Action::Land(_) => self.land(state, &mut of),
            _ if !is_aware => false,
            Action::Poll(_) => {
                of.polled = Some(state.replayed);
                true
            }
            Action::AskPrimary(_, key) => self.ask_primary(state, &mut of, key),
            Action::AskReplica(_, key) => self.ask_replica(state, &mut of, key),
            Action::Answer(_) => self.answer(state, &mut of),
            Action::Admit(_, key) => admit(state, &mut of, key),
            Action::Invalidate(_, key) => invalidate(state, &mut of, key),
            Action::KeepWritten(_, position) => keep_written(state, &of, position),
            _ => {
                let fences_first = self.lacks(Mutant::FencesFirst);
                of.look = Some(if fences_first { Look::Fences(of.fences) } else { Look::Told(of.fences.told) });
                true
            }
        };
        state.instances[instance] = of;
        Some(taken)
    }

    /// What it answers shows what the fences were complete through before it was asked.
    fn ask_primary(&self, state: &State, of: &mut Instance, key: u8) -> bool {
        let stamp = if self.lacks(Mutant::StampOfLog) {
            state.end
        } else if self.lacks(Mutant::StampOfTold) {
            of.fences.told
        } else {
            of.fences.applied
        };
        let load = Load { key, universe: of.universe, stamp, shows: None, asked: None };
        of.load.replace(load).is_none()
    }

    /// What it answers shows what it had replayed before it was asked.
    fn ask_replica(&self, state: &State, of: &mut Instance, key: u8) -> bool {
        let Some(stamp) = of.polled else { return false };
        let fences = of.fences.thaw();
        let meets = |demand: &u8| {
            let demand = Demand { token: at(*demand), bound: at(0) };
            self.lacks(Mutant::NoNeed) || fences.needed([slot(key.into())], fences.told(), demand) <= at(stamp)
        };
        let Some(demand) = (0..=state.end).rev().find(meets) else { return false };
        let asked = Some(Asked { demand, told: of.fences.told });
        let load = Load { key, universe: of.universe, stamp, shows: None, asked };
        of.load.replace(load).is_none()
    }

    fn answer(&self, state: &State, of: &mut Instance) -> bool {
        let Some(load) = of.load.as_mut().filter(|load| load.shows.is_none()) else { return false };
        if load.asked.is_none() && state.is_locked() {
            return false;
        }
        let shows = if load.asked.is_some() { up_to(state.replayed) } else { state.shown };
        load.shows =
            Some(self.parts(load.key.into()).map(|part| state.touching(part, shows)).fold(0, |all, of| all | of));
        true
    }

    /// However late it is, it is kept: under the history in which it was asked for.
    fn land(&self, state: &mut State, of: &mut Instance) -> bool {
        let Some(Load { key, universe, stamp, shows: Some(shows), asked }) = of.load.take() else { return false };
        let stamp = if asked.is_some() && self.lacks(Mutant::StampAfterRows) { state.replayed } else { stamp };
        let key = usize::from(key);
        state.far[key] = Some(Entry { universe, stamp, shows });
        if self.scenario.near {
            of.near[key] = state.far[key];
        }
        if self.lacks(Mutant::FillSetsFence) {
            of.fences.fences[key] = stamp.max(of.fences.floor);
        }
        true
    }
}

/// What passes in the far tier is kept in the near one too.
fn admit(state: &State, of: &mut Instance, key: usize) -> bool {
    let Some(entry) = state.far[key].filter(|entry| entry.universe == of.universe) else { return false };
    of.near[key] = Some(entry);
    of.fences.judge(entry.stamp, key, of.fences.told, 0, 0) == Verdict::Serves
}

/// Who has written raises the fence to where the log is by then, which is further than its commit.
fn invalidate(state: &State, of: &mut Instance, key: usize) -> bool {
    of.fences.after(|fences| fences.raise([slot(key)], at(state.end)));
    state.touching(key, state.shown) != 0
}

/// A row as its writer left it, which need not be how it is where the token is.
fn keep_written(state: &mut State, of: &Instance, position: u8) -> bool {
    state.far[0] = Some(Entry { universe: of.universe, stamp: state.end, shows: state.touching(0, up_to(position)) });
    state.commit(position).touches(0) && state.shown & 1 << position != 0
}
