//! What is worth a report about the guests of a host: events as they come, and a comparison now and then that finds
//! what no event told.
//!
//! It must never report as failed a guest that somebody stopped, and never the same failure without end: both would
//! start what shall not run.

use super::{later, ms_between, widened_ms};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often an unresolved failure is told again: with the pauses below about half an hour.
const TELLINGS_MAX: u32 = 6;

/// The pause before a failure is told again, at first.
const AGAIN_AFTER_MS: i64 = 60_000;

/// And at most.
const AGAIN_AFTER_MAX_MS: i64 = 600_000;

/// Failures of one guest that are remembered: more than any sensible limit.
const FAILURES_MAX: usize = 64;

/// What the hypervisor says about a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It runs, or is on its way there, or somebody paused it.
    Runs,
    /// It was halted by trouble with its disk.
    HaltedByIo,
    /// It was halted by its watchdog.
    HaltedByWatchdog,
    /// It was halted because the hypervisor could not do what it was asked to.
    HaltedByApi,
    /// It is off, and whoever did that meant to.
    Off,
    /// It is off because its process died or could not go on.
    Failed,
}

/// How many failures within which time are reported as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimit {
    /// How many.
    pub failures_max: usize,
    /// Within how long.
    pub window_ms: i64,
}

/// A guest in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name on the hypervisor.
    pub name: String,
    /// How it is.
    pub condition: Condition,
}

/// Something worth a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// The guest.
    pub guest: String,
    /// What of it.
    pub what: What,
}

/// What is worth a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It failed and should be started again.
    Failed {
        /// How often this failure was told before.
        told: u32,
    },
    /// It failed so often that starting it again helps nobody.
    FailsTooOften {
        /// How often within the window.
        times: usize,
    },
    /// It was halted, and no event said so.
    Halted(Condition),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Guest {
    name: String,
    condition: Condition,
    #[serde(default)]
    failures: Vec<Timestamp>,
    #[serde(default)]
    open: Option<Open>,
}

/// A failure that nobody has put right yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    told: u32,
    again: Timestamp,
}

/// The guests of a host as they were last seen. It is kept on disk, so that a monitor that was away finds out what
/// happened meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guests {
    /// Which boot of the host this is about: after another one all guests are off, and that is no failure of theirs.
    boot: String,
    guests: BTreeMap<String, Guest>,
}

impl Guests {
    /// The identity of a guest by its name.
    pub fn identity(&self, name: &str) -> Option<&str> {
        self.guests.iter().find(|(_, guest)| guest.name == name).map(|(identity, _)| identity.as_str())
    }

    /// Whether this event has changed how the guest is known to be.
    pub fn note(&mut self, identity: &str, condition: Condition) {
        if let Some(guest) = self.guests.get_mut(identity) {
            guest.condition = condition;
            if !matches!(condition, Condition::Failed) {
                guest.open = None;
            }
        }
    }

    /// An event says that a guest failed.
    pub fn failed(&mut self, identity: &str, name: &str, limit: RestartLimit, now: Timestamp) -> Tell {
        let guest = self.guests.entry(identity.to_owned()).or_insert_with(|| Guest {
            name: name.to_owned(),
            condition: Condition::Failed,
            failures: Vec::new(),
            open: None,
        });
        Tell { guest: identity.to_owned(), what: guest.fail(limit, now) }
    }

    /// Compares everything that the hypervisor has with what was known.
    pub fn compare(
        &mut self,
        boot: &str,
        listing: &BTreeMap<String, Listed>,
        limit: RestartLimit,
        now: Timestamp,
    ) -> Vec<Tell> {
        if self.boot != boot {
            self.guests.clear();
            boot.clone_into(&mut self.boot);
        }
        self.guests.retain(|identity, _| listing.contains_key(identity));
        let mut tells = Vec::new();
        for (identity, listed) in listing {
            let Some(guest) = self.guests.get_mut(identity) else {
                // Whether a failure that is first seen now is from today or from last year, nobody can say.
                let guest = Guest {
                    name: listed.name.clone(),
                    condition: listed.condition,
                    failures: Vec::new(),
                    open: None,
                };
                self.guests.insert(identity.clone(), guest);
                continue;
            };
            guest.name.clone_from(&listed.name);
            let before = std::mem::replace(&mut guest.condition, listed.condition);
            let what = match listed.condition {
                Condition::Failed => match &mut guest.open {
                    Some(open) if open.told < TELLINGS_MAX && now >= open.again => Some(open.tell_again(now)),
                    Some(_) => None,
                    None if matches!(before, Condition::Failed | Condition::Off) => None,
                    None => Some(guest.fail(limit, now)),
                },
                halted @ (Condition::HaltedByIo | Condition::HaltedByWatchdog | Condition::HaltedByApi) => {
                    guest.open = None;
                    (before != halted).then_some(What::Halted(halted))
                }
                Condition::Runs | Condition::Off => {
                    guest.open = None;
                    None
                }
            };
            tells.extend(what.map(|what| Tell { guest: identity.clone(), what }));
        }
        tells
    }
}

impl Guest {
    fn fail(&mut self, limit: RestartLimit, now: Timestamp) -> What {
        self.condition = Condition::Failed;
        self.failures.retain(|failure| ms_between(*failure, now) < limit.window_ms);
        if self.failures.len() >= FAILURES_MAX {
            self.failures.remove(0);
        }
        self.failures.push(now);
        if self.failures.len() > limit.failures_max {
            self.open = None;
            return What::FailsTooOften { times: self.failures.len() };
        }
        let mut open = Open { told: 0, again: now };
        let what = open.tell_again(now);
        self.open = Some(open);
        what
    }
}

impl Open {
    fn tell_again(&mut self, now: Timestamp) -> What {
        let told = self.told;
        self.told += 1;
        self.again = later(now, widened_ms(AGAIN_AFTER_MS, told, AGAIN_AFTER_MAX_MS));
        What::Failed { told }
    }
}

#[cfg(test)]
mod tests {
    use super::super::at;
    use super::*;

    const LIMIT: RestartLimit = RestartLimit { failures_max: 3, window_ms: 3_600_000 };

    fn listing(all: &[(&str, Condition)]) -> BTreeMap<String, Listed> {
        all.iter()
            .map(|(name, condition)| {
                ((*name).to_owned(), Listed { name: format!("instance-{name}"), condition: *condition })
            })
            .collect()
    }

    fn seen(conditions: &[Condition]) -> Vec<Vec<What>> {
        let mut guests = Guests::default();
        let looks = conditions.iter().enumerate();
        looks
            .map(|(minute, condition)| {
                let now = at(minute as i64 * 60_000);
                let tells = guests.compare("boot", &listing(&[("a", *condition)]), LIMIT, now);
                tells.into_iter().map(|tell| tell.what).collect()
            })
            .collect()
    }

    #[test]
    fn a_guest_that_ran_and_failed_without_an_event_is_told() {
        assert_eq!(seen(&[Condition::Runs, Condition::Failed]), [vec![], vec![What::Failed { told: 0 }]],);
    }

    #[test]
    fn a_failure_that_was_there_before_us_is_not_told() {
        assert_eq!(seen(&[Condition::Failed, Condition::Failed]), [vec![], vec![]]);
    }

    #[test]
    fn a_guest_that_was_stopped_is_not_told() {
        assert_eq!(seen(&[Condition::Runs, Condition::Off, Condition::Failed]), [vec![], vec![], vec![]]);
    }

    #[test]
    fn a_halt_is_told_once() {
        let told = seen(&[Condition::Runs, Condition::HaltedByIo, Condition::HaltedByIo, Condition::Runs]);
        assert_eq!(told, [vec![], vec![What::Halted(Condition::HaltedByIo)], vec![], vec![]]);
    }

    #[test]
    fn an_unresolved_failure_is_told_again_with_widening_pauses_and_an_end() {
        let mut minutes = vec![Condition::Runs];
        minutes.extend([Condition::Failed; 60]);
        let told: Vec<usize> = seen(&minutes)
            .iter()
            .enumerate()
            .filter(|(_, tells)| !tells.is_empty())
            .map(|(minute, _)| minute)
            .collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 26]);
    }

    #[test]
    fn a_failure_ends_when_the_guest_runs_again() {
        let mut guests = Guests::default();
        guests.compare("boot", &listing(&[("a", Condition::Runs)]), LIMIT, at(0));
        assert_eq!(guests.failed("a", "instance-a", LIMIT, at(1)).what, What::Failed { told: 0 });
        guests.compare("boot", &listing(&[("a", Condition::Runs)]), LIMIT, at(30_000));
        assert!(guests.compare("boot", &listing(&[("a", Condition::Off)]), LIMIT, at(90_000)).is_empty());
    }

    #[test]
    fn the_comparison_after_an_event_tells_nothing_new() {
        let mut guests = Guests::default();
        guests.compare("boot", &listing(&[("a", Condition::Runs)]), LIMIT, at(0));
        guests.failed("a", "instance-a", LIMIT, at(1));
        assert!(guests.compare("boot", &listing(&[("a", Condition::Failed)]), LIMIT, at(50)).is_empty());
    }

    #[test]
    fn a_guest_that_fails_again_and_again_is_given_up_within_the_window() {
        let mut guests = Guests::default();
        let times = [0, 60_000, 120_000, 180_000, 240_000, 3_850_000];
        let told = times.map(|ms| guests.failed("a", "instance-a", LIMIT, at(ms)).what);
        let first = What::Failed { told: 0 };
        assert_eq!(
            told,
            [first, first, first, What::FailsTooOften { times: 4 }, What::FailsTooOften { times: 5 }, first]
        );
    }

    #[test]
    fn after_a_boot_of_the_host_nothing_that_was_is_held_against_what_is() {
        let mut guests = Guests::default();
        guests.compare("one", &listing(&[("a", Condition::Runs)]), LIMIT, at(0));
        assert!(guests.compare("two", &listing(&[("a", Condition::Failed)]), LIMIT, at(60_000)).is_empty());
    }

    #[test]
    fn what_was_kept_on_disk_is_gone_on_with() {
        let mut guests = Guests::default();
        guests.compare("boot", &listing(&[("a", Condition::Runs)]), LIMIT, at(0));
        let text = serde_json::to_string(&guests).unwrap();
        let mut guests: Guests = serde_json::from_str(&text).unwrap();
        assert_eq!(guests.identity("instance-a"), Some("a"));
        let told = guests.compare("boot", &listing(&[("a", Condition::Failed)]), LIMIT, at(60_000));
        assert_eq!(told[0].what, What::Failed { told: 0 });
    }

    #[test]
    fn a_guest_that_is_gone_is_forgotten_without_a_word() {
        let mut guests = Guests::default();
        guests.compare("boot", &listing(&[("a", Condition::Runs)]), LIMIT, at(0));
        assert!(guests.compare("boot", &listing(&[]), LIMIT, at(60_000)).is_empty());
        assert_eq!(guests.identity("instance-a"), None);
    }
}
