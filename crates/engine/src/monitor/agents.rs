//! When a guest counts as hung because the agent inside does not answer any more.
//!
//! It must never say so of a guest whose agent never answered, and never twice before the guest was started again.

use std::collections::BTreeMap;

/// Rounds after which a guest whose agent never answered is asked once: most guests have none.
const ROUNDS_BETWEEN_TRIES: u32 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agent {
    Unknown { rounds: u32 },
    Answers { misses: u32 },
    Told,
}

/// The agents of the guests that run.
#[derive(Clone, Debug)]
pub struct Agents {
    misses_max: u32,
    agents: BTreeMap<String, Agent>,
}

impl Agents {
    /// Believes after more than so many misses in a row.
    pub fn new(misses_max: u32) -> Agents {
        Agents { misses_max, agents: BTreeMap::new() }
    }

    /// Whom to ask this round, of the guests that run.
    pub fn round<'a>(&mut self, running: impl Iterator<Item = &'a str>) -> Vec<String> {
        let before = std::mem::take(&mut self.agents);
        let mut ask = Vec::new();
        for guest in running {
            let mut agent = before.get(guest).copied().unwrap_or(Agent::Unknown { rounds: 0 });
            let is_due = match &mut agent {
                Agent::Unknown { rounds } => {
                    let is_due = rounds.is_multiple_of(ROUNDS_BETWEEN_TRIES);
                    *rounds = rounds.wrapping_add(1);
                    is_due
                }
                Agent::Answers { .. } | Agent::Told => true,
            };
            if is_due {
                ask.push(guest.to_owned());
            }
            self.agents.insert(guest.to_owned(), agent);
        }
        ask
    }

    /// Takes an answer, or its absence, in. True: the guest hangs.
    pub fn answered(&mut self, guest: &str, does: bool) -> bool {
        let Some(agent) = self.agents.get_mut(guest) else { return false };
        match (*agent, does) {
            (_, true) => *agent = Agent::Answers { misses: 0 },
            (Agent::Answers { misses }, false) if misses >= self.misses_max => {
                *agent = Agent::Told;
                return true;
            }
            (Agent::Answers { misses }, false) => *agent = Agent::Answers { misses: misses + 1 },
            (Agent::Unknown { .. } | Agent::Told, false) => {}
        }
        false
    }

    /// The guest was started: what was before is over.
    pub fn started(&mut self, guest: &str) {
        self.agents.remove(guest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answers: &[bool]) -> Vec<bool> {
        let mut agents = Agents::new(3);
        answers
            .iter()
            .map(|answer| {
                agents.round(["a"].into_iter());
                agents.answered("a", *answer)
            })
            .collect()
    }

    #[test]
    fn a_guest_hangs_after_more_misses_than_are_allowed_and_is_told_once() {
        let told = told(&[true, false, false, false, false, false]);
        assert_eq!(told, [false, false, false, false, true, false]);
    }

    #[test]
    fn a_guest_without_an_agent_never_hangs() {
        assert!(!told(&[false; 20]).contains(&true));
    }

    #[test]
    fn an_answer_between_makes_it_well() {
        assert!(!told(&[true, false, false, false, true, false, false, false]).contains(&true));
    }

    #[test]
    fn whoever_never_answered_is_asked_now_and_then() {
        let mut agents = Agents::new(3);
        let asked: Vec<usize> = (0..8).map(|_| agents.round(["a"].into_iter()).len()).collect();
        assert_eq!(asked, [1, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_guest_that_was_started_begins_anew() {
        let mut agents = Agents::new(0);
        agents.round(["a"].into_iter());
        agents.answered("a", true);
        agents.started("a");
        agents.round(["a"].into_iter());
        assert!(!agents.answered("a", false));
    }
}
