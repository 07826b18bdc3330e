//! What is done about a process that is missing: restart it a few times, then report it, and report again when it
//! is well.
//!
//! It must never restart without end: a process that dies again and again is reported even if each restart succeeds.

use super::{later, ms_between, widened_ms};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The pause before a process that is down is told again, at first.
const AGAIN_AFTER_MS: i64 = 60_000;

/// And at most.
const AGAIN_AFTER_MAX_MS: i64 = 600_000;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is there and works.
    Well,
    /// It is on its way up or down: ask again.
    Changing,
    /// It is missing.
    Missing,
}

/// How hard is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Restarts in a row before it is reported.
    pub tries_max: u32,
    /// The pause between them.
    pub pause_ms: i64,
    /// Restarts within the window before it is reported although they succeed.
    pub restarts_max: usize,
    /// The window.
    pub window_ms: i64,
    /// How long a reported process must be well before that is reported.
    pub settle_ms: i64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Restart it.
    Restart {
        /// Which.
        name: String,
        /// The how-many-th time in a row, from 1.
        attempt: u32,
    },
    /// Report that it is down.
    TellStopped {
        /// Which.
        name: String,
        /// Why it was given up.
        why: GivenUp,
    },
    /// Report that it is well again.
    TellStarted {
        /// Which.
        name: String,
    },
}

/// Why a process is not restarted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// So many restarts in a row did not bring it back.
    Tries(u32),
    /// It died so often within the window.
    TooOften(usize),
    /// It was reported before, and is still down.
    Still,
}

#[derive(Clone, Debug)]
enum State {
    Well,
    Trying { tries: u32, next: Timestamp },
    Reported { told: u32, again: Timestamp, well_since: Option<Timestamp> },
}

#[derive(Clone, Debug)]
struct Process {
    state: State,
    restarts: Vec<Timestamp>,
}

/// The processes that are watched.
#[derive(Clone, Debug)]
pub struct Processes {
    limits: Limits,
    processes: BTreeMap<String, Process>,
}

impl Processes {
    /// Nothing looked at yet.
    pub fn new(limits: Limits) -> Processes {
        Processes { limits, processes: BTreeMap::new() }
    }

    /// Takes one look at one process in.
    pub fn look(&mut self, name: &str, look: Look, now: Timestamp) -> Option<Ask> {
        let limits = self.limits;
        let process = self
            .processes
            .entry(name.to_owned())
            .or_insert(Process { state: State::Well, restarts: Vec::new() });
        let name = name.to_owned();
        match (&mut process.state, look) {
            (State::Well, Look::Missing) => process.restart(name, 0, limits, now),
            (State::Well, _) | (State::Trying { .. }, Look::Changing) => None,
            (State::Trying { .. }, Look::Well) => {
                process.state = State::Well;
                None
            }
            (State::Trying { tries, next }, Look::Missing) => {
                let tries = *tries;
                if now < *next {
                    return None;
                }
                process.restart(name, tries, limits, now)
            }
            (State::Reported { well_since, .. }, Look::Well) => {
                let since = *well_since.get_or_insert(now);
                if ms_between(since, now) < limits.settle_ms {
                    return None;
                }
                process.state = State::Well;
                process.restarts.clear();
                Some(Ask::TellStarted { name })
            }
            (State::Reported { told, again, well_since }, Look::Missing | Look::Changing) => {
                *well_since = None;
                if now < *again {
                    return None;
                }
                *again = later(now, widened_ms(AGAIN_AFTER_MS, *told, AGAIN_AFTER_MAX_MS));
                *told = told.saturating_add(1);
                Some(Ask::TellStopped { name, why: GivenUp::Still })
            }
        }
    }
}

impl Process {
    fn restart(&mut self, name: String, tries: u32, limits: Limits, now: Timestamp) -> Option<Ask> {
        self.restarts.retain(|restart| ms_between(*restart, now) < limits.window_ms);
        let why = if tries >= limits.tries_max {
            Some(GivenUp::Tries(tries))
        } else if self.restarts.len() >= limits.restarts_max {
            Some(GivenUp::TooOften(self.restarts.len()))
        } else {
            None
        };
        if let Some(why) = why {
            let again = later(now, AGAIN_AFTER_MS);
            self.state = State::Reported { told: 1, again, well_since: None };
            return Some(Ask::TellStopped { name, why });
        }
        self.restarts.push(now);
        self.state = State::Trying { tries: tries + 1, next: later(now, limits.pause_ms) };
        Some(Ask::Restart { name, attempt: tries + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::at;
    use super::*;
    use Look::{Changing, Missing, Well};

    const LIMITS: Limits =
        Limits { tries_max: 3, pause_ms: 5_000, restarts_max: 5, window_ms: 600_000, settle_ms: 10_000 };

    /// One look every five seconds: r restart, S told stopped, s told started.
    fn told(looks: &[Look]) -> String {
        let mut processes = Processes::new(LIMITS);
        looks
            .iter()
            .enumerate()
            .map(|(number, look)| match processes.look("p", *look, at(number as i64 * 5_000)) {
                None => '.',
                Some(Ask::Restart { .. }) => 'r',
                Some(Ask::TellStopped { .. }) => 'S',
                Some(Ask::TellStarted { .. }) => 's',
            })
            .collect()
    }

    #[test]
    fn a_process_that_comes_back_is_not_reported() {
        assert_eq!(told(&[Well, Missing, Well, Well]), ".r..");
    }

    #[test]
    fn the_last_try_that_succeeds_is_a_success() {
        assert_eq!(told(&[Missing, Missing, Missing, Well, Well]), "rrr..");
    }

    #[test]
    fn a_process_that_stays_away_is_reported_and_then_told_again_less_and_less_often() {
        let told = told(&[Missing; 100]);
        assert_eq!(&told[..4], "rrrS");
        let places: Vec<usize> =
            told.char_indices().filter(|(_, c)| *c == 'S').map(|(at, _)| at * 5).collect();
        assert_eq!(places, [15, 75, 195, 435]);
    }

    #[test]
    fn it_is_told_well_when_it_has_been_for_a_while() {
        assert_eq!(
            told(&[Missing, Missing, Missing, Missing, Well, Missing, Well, Well, Well, Well]),
            "rrrS....s."
        );
    }

    #[test]
    fn a_process_on_its_way_up_is_given_time() {
        assert_eq!(told(&[Missing, Changing, Changing, Changing, Well]), "r....");
    }

    #[test]
    fn a_process_that_dies_again_and_again_is_reported_though_each_restart_succeeds() {
        assert_eq!(
            told(&[Missing, Well, Missing, Well, Missing, Well, Missing, Well, Missing, Well, Missing]),
            "r.r.r.r.r.S"
        );
    }

    #[test]
    fn two_processes_are_two_matters() {
        let mut processes = Processes::new(LIMITS);
        for second in 0..4 {
            processes.look("p", Missing, at(second * 5_000));
        }
        assert_eq!(
            processes.look("q", Missing, at(20_000)),
            Some(Ask::Restart { name: "q".into(), attempt: 1 })
        );
    }
}
