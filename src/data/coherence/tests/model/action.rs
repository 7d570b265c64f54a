//! The steps, each of which happens whole, and in any order with those of others.

use super::Protocol;
use super::mutant::Mutant;
use super::state::{Commit, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    // The servers.
    Write(Commit),
    Show(u8),
    Replay,
    Restart(u8),
    Failover(u8),
    // The feed of an instance.
    Notice(usize),
    Connect(usize),
    Settle(usize),
    Deliver(usize),
    Repeat(usize, u8),
    Miss(usize),
    Keepalive(usize),
    Advance(usize),
    Survey(usize),
    Raise(usize),
    // The tiers of an instance.
    Poll(usize),
    AskPrimary(usize, u8),
    AskReplica(usize, u8),
    Answer(usize),
    Land(usize),
    Admit(usize, usize),
    Invalidate(usize, usize),
    KeepWritten(usize, u8),
    Look(usize),
}

impl Protocol {
    /// All steps that the scenario knows; those that cannot be taken now are none.
    pub fn all_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let scenario = self.scenario;
        actions.extend(scenario.commits.iter().map(|commit| Action::Write(*commit)));
        if scenario.hides {
            actions.extend((1..=state.end).map(Action::Show));
        }
        if scenario.asks_replica {
            actions.push(Action::Replay);
            actions.extend((0..state.replayed).map(Action::Restart));
        }
        if scenario.failover {
            actions.extend((0..=state.end).map(Action::Failover));
        }
        for instance in 0..scenario.instances {
            self.of_feed(state, instance, actions);
            self.of_tiers(state, instance, actions);
        }
    }

    fn of_feed(&self, state: &State, instance: usize, actions: &mut Vec<Action>) {
        if self.scenario.failover {
            actions.push(Action::Notice(instance));
        }
        let always = [Action::Connect, Action::Settle, Action::Deliver, Action::Keepalive, Action::Advance];
        actions.extend(always.map(|action| action(instance)));
        actions.extend((1..=state.end).map(|position| Action::Repeat(instance, position)));
        if self.scenario.misses {
            actions.push(Action::Miss(instance));
        }
        if self.scenario.commits.contains(&Commit::Rewrite) {
            actions.push(Action::Survey(instance));
        }
        if self.lacks(Mutant::AppliedFirst) {
            actions.push(Action::Raise(instance));
        }
    }

    fn of_tiers(&self, state: &State, instance: usize, actions: &mut Vec<Action>) {
        let scenario = self.scenario;
        if scenario.asks_replica {
            actions.push(Action::Poll(instance));
        }
        for key in 0..scenario.keys {
            if scenario.asks_primary {
                actions.push(Action::AskPrimary(instance, key as u8));
            }
            if scenario.asks_replica {
                actions.push(Action::AskReplica(instance, key as u8));
            }
            if scenario.near {
                actions.push(Action::Admit(instance, key));
            }
            if scenario.writers {
                actions.push(Action::Invalidate(instance, key));
            }
        }
        actions.extend([Action::Answer(instance), Action::Land(instance)]);
        if scenario.looks {
            actions.push(Action::Look(instance));
        }
        if self.lacks(Mutant::StampOfWriter) {
            actions.extend((1..=state.end).map(|position| Action::KeepWritten(instance, position)));
        }
    }

    /// Takes a step, if it can be taken.
    pub fn step(&self, state: &mut State, action: Action) -> bool {
        self.step_of_servers(state, action)
            .or_else(|| self.step_of_feed(state, action))
            .or_else(|| self.step_of_tiers(state, action))
            .expect("each step is somebody's")
    }
}
