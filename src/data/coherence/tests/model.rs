//! The protocol as a machine with few states, all of which are visited.
//!
//! A primary writes a commit into its log first and shows it later, in any order; a replica replays, and may be restarted
//! with less than it had shown; a table may be written anew, of which the log tells nothing; the address may come to lead
//! to another primary that has lost the last commits. Instances follow the log, lose it and begin anew, ask servers, stall
//! between any two steps, and fill the tiers when it is late.
//!
//! What a value is does not matter, only which commits it shows; so a value is the set of these. In every state every
//! value at hand is judged by the rule of [`Fences`], for every token and every bound there could be (see [`wrong`]).
//! Nothing is ever evicted from the far tier but by another fill: that a value is gone can make no answer wrong.
//!
//! Not modelled: time. Any position that the log has reached may be a bound, also one that in truth has yet to grow old.
//!
//! [`Fences`]: super::super::Fences

mod action;
mod feed;
mod mutant;
mod scenario;
mod servers;
mod state;
mod tiers;
mod wrong;

use stateright::{Checker, HasDiscoveries, Model, Property};

use action::Action;
use mutant::Mutant;
use scenario::Scenario;
use state::State;

/// One scenario, with one rule left out or none.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    scenario: &'static Scenario,
    without: Option<Mutant>,
}

impl Protocol {
    /// Whether this rule is left out.
    fn lacks(&self, mutant: Mutant) -> bool {
        self.without == Some(mutant)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.scenario)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.all_actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.step(&mut next, action).then_some(next)
    }

    /// One alone: then the first state without it is the nearest.
    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("no answer is wrong", |protocol, state| protocol.wrong(state).is_none())]
    }
}

/// What a run came to: states, and the way to a wrong answer.
fn explore(scenario: &'static Scenario, without: Option<Mutant>) -> (usize, Option<(Vec<Action>, wrong::Wrong)>) {
    let protocol = Protocol { scenario, without };
    let checker = protocol.checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let found = checker.discoveries().into_values().next().map(|path| {
        let wrong = protocol.wrong(path.last_state()).expect("the last state of the way is the wrong one");
        (path.into_actions(), wrong)
    });
    (checker.unique_state_count(), found)
}

/// That it leads somewhere: the tiers do serve what was written, to whoever wrote it.
fn serves(scenario: &'static Scenario) -> bool {
    let protocol = Protocol { scenario, without: None };
    let mut states = protocol.init_states();
    let mut seen: std::collections::HashSet<State> = states.iter().copied().collect();
    while let Some(state) = states.pop() {
        if protocol.serves_what_was_written(&state) {
            return true;
        }
        states.extend(protocol.next_states(&state).into_iter().filter(|next| seen.insert(*next)));
    }
    false
}

fn holds(scenario: &'static Scenario) {
    let start = std::time::Instant::now();
    let (states, found) = explore(scenario, None);
    println!("{:10} {states:7} states in {:.1?}", scenario.name, start.elapsed());
    assert!(found.is_none(), "{}: {found:#?}", scenario.name);
    assert!(serves(scenario), "{}: nothing is ever served", scenario.name);
}

macro_rules! scenarios {
    ($($test:ident: $scenario:ident,)*) => {
        $(#[test]
        fn $test() {
            holds(&scenario::$scenario);
        })*
    };
}

scenarios! {
    no_answer_is_wrong_while_the_log_is_followed: FEED,
    no_answer_is_wrong_while_the_log_is_lost_and_found: RECONNECT,
    no_answer_is_wrong_where_the_feed_drops_messages: GAP,
    no_answer_is_wrong_while_replicas_are_restarted: REPLICA,
    no_answer_is_wrong_where_two_share_the_far_tier: SHARED,
    no_answer_is_wrong_where_two_keep_what_is_written_anew: REWRITE_SHARED,
    no_answer_is_wrong_while_all_is_written_anew: REWRITE,
    no_answer_is_wrong_while_rows_move_between_lists: LISTS,
    no_answer_is_wrong_where_rows_come_with_lists: ROWS,
    no_answer_is_wrong_where_writers_raise_fences: WRITERS,
    no_answer_is_wrong_while_readers_stall: ORDER,
    no_answer_is_wrong_after_a_failover: FAILOVER,
}

#[test]
fn each_rule_is_needed() {
    let unnoticed: Vec<_> = Mutant::ALL.into_iter().filter(|mutant| !is_noticed(*mutant)).collect();
    assert_eq!(unnoticed, []);
}

fn is_noticed(mutant: Mutant) -> bool {
    let scenario = mutant.scenario();
    let (states, found) = explore(scenario, Some(mutant));
    match &found {
        Some((way, wrong)) => {
            let (scenario, steps) = (scenario.name, way.len());
            println!("{mutant:?} in {scenario}: {states} states, {wrong:?} after {steps} steps: {way:?}");
        }
        None => println!("{mutant:?} in {}: {states} states, nothing wrong", scenario.name),
    }
    found.is_some()
}
