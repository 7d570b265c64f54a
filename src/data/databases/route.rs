//! Which of several servers answers: a choice among equals. Pure.

use serde::{Deserialize, Serialize};

/// How a replica is chosen among those that may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The one with the fewest statements at work: a slow one gets fewer.
    #[default]
    LeastConnections,
    /// One after the other.
    RoundRobin,
    /// Always the same for one client, as long as it may answer.
    ClientHash,
}

/// A server that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Its place among all replicas, whatever their state.
    pub place: usize,
    /// Statements at work.
    pub busy: usize,
}

impl Policy {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastConnections => "least_connections",
            Self::RoundRobin => "round_robin",
            Self::ClientHash => "client_hash",
        }
    }

    /// The place of the one that answers. `turn` grows with each choice; `client` tells clients apart.
    pub(super) fn choose(self, candidates: &[Candidate], turn: usize, client: u64) -> Option<usize> {
        let in_turn = |count: usize| turn.checked_rem(count).unwrap_or_default();
        let chosen = match self {
            Self::LeastConnections => {
                let fewest = candidates.iter().map(|candidate| candidate.busy).min()?;
                // Equals take turns, or the first would get all that a quiet time has.
                let equals = candidates.iter().filter(|candidate| candidate.busy == fewest);
                let count = equals.clone().count();
                equals.clone().nth(in_turn(count))
            }
            Self::RoundRobin => candidates.get(in_turn(candidates.len())),
            Self::ClientHash => candidates.iter().max_by_key(|candidate| weight(client, candidate.place as u64)),
        };
        chosen.map(|candidate| candidate.place)
    }
}

/// Rendezvous hashing: when a server goes, only its own clients move. Thaler, Ravishankar, "Using name-based mappings to
/// increase hit rates", 1998; mixed by splitmix64.
fn weight(client: u64, place: u64) -> u64 {
    let mut mixed = client ^ place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(busy: &[usize]) -> Vec<Candidate> {
        busy.iter().enumerate().map(|(place, busy)| Candidate { place, busy: *busy }).collect()
    }

    #[test]
    fn nobody_is_chosen_among_none() {
        for policy in [Policy::LeastConnections, Policy::RoundRobin, Policy::ClientHash] {
            assert_eq!(policy.choose(&[], 7, 7), None);
        }
    }

    #[test]
    fn the_least_busy_is_chosen_and_equals_take_turns() {
        let choose = |busy: &[usize], turn| Policy::LeastConnections.choose(&candidates(busy), turn, 0);
        assert!((0..4).all(|turn| choose(&[3, 1, 2], turn) == Some(1)));
        assert_eq!([choose(&[1, 2, 1], 0), choose(&[1, 2, 1], 1)], [Some(0), Some(2)]);
    }

    #[test]
    fn all_take_turns() {
        let all = candidates(&[9, 0, 5]);
        let chosen: Vec<_> = (4..8).map(|turn| Policy::RoundRobin.choose(&all, turn, 0).unwrap()).collect();
        assert_eq!(chosen, [1, 2, 0, 1]);
    }

    #[test]
    fn a_client_stays_and_only_moves_when_its_server_goes() {
        let all = candidates(&[0, 0, 0, 0]);
        let choose = |candidates: &[Candidate], client| Policy::ClientHash.choose(candidates, 0, client).unwrap();
        let mut shares = [0; 4];
        for client in 0..4000 {
            let at_first = choose(&all, client);
            shares[at_first] += 1;
            let without_last = choose(&all[..3], client);
            assert!(at_first == 3 || without_last == at_first);
        }
        assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
    }
}
