//! The primary, its replica, and the primary that takes its place.

use super::Protocol;
use super::action::Action;
use super::mutant::Mutant;
use super::state::{Commit, State, up_to};

impl Protocol {
    /// None if the step is not theirs.
    pub fn step_of_servers(&self, state: &mut State, action: Action) -> Option<bool> {
        Some(match action {
            Action::Write(commit) => self.write(state, commit),
            // Transactions leave the list of those that run in any order, whatever that of their commits in the log.
            Action::Show(position) => {
                state.shown |= 1 << position;
                true
            }
            Action::Replay => {
                state.replayed += 1;
                state.replayed <= state.end
            }
            Action::Restart(replayed) => self.restart(state, replayed),
            Action::Failover(fork) => failover(state, fork),
            _ => return None,
        })
    }

    /// The commit is in the log; that alone shows it to nobody.
    pub fn write(&self, state: &mut State, commit: Commit) -> bool {
        // Who writes waits for who writes everything anew, who waits for all that write.
        let waits = match commit {
            Commit::Rewrite => up_to(state.end) & !state.shown != 0,
            Commit::Other => false,
            _ => state.is_locked(),
        };
        if state.end == self.scenario.length || waits {
            return false;
        }
        state.log[usize::from(state.end)] = Some(commit);
        state.end += 1;
        if !self.scenario.hides || commit == Commit::Other {
            state.shown |= 1 << state.end;
        }
        true
    }

    /// It comes back with less than it had shown. Its connections are gone, and what was asked on them.
    fn restart(&self, state: &mut State, replayed: u8) -> bool {
        if state.restarts == 0 {
            return false;
        }
        state.restarts -= 1;
        state.replayed = replayed;
        for instance in &mut state.instances {
            if !self.lacks(Mutant::KeptOverRestart) {
                instance.polled = None;
            }
            instance.load.take_if(|load| load.asked.is_some() && load.shows.is_none());
        }
        true
    }
}

/// A replica takes the primary's place: what it had not received is lost, and its log goes on from there.
fn failover(state: &mut State, fork: u8) -> bool {
    if state.universe > 0 {
        return false;
    }
    state.universe = 1;
    state.fork = fork;
    state.log[usize::from(fork)..].fill(None);
    state.end = fork;
    state.shown = up_to(fork);
    for instance in &mut state.instances {
        instance.load.take_if(|load| load.shows.is_none());
    }
    true
}
