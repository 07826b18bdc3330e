//! Whether a host that hears no server and has lost its storage shall stop its own guests.
//!
//! It must never say so on one witness, never for a host that heard no server since its monitor began, and never
//! unless somebody asked for it by name.

use super::ms_between;
use crate::ha::heartbeat::Storage;
use jiff::Timestamp;

/// How a host is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// It is not.
    No,
    /// It is, since then; there is still hope.
    Since(Timestamp),
    /// It was for long enough: now.
    Act(Timestamp),
}

/// Watches whether this host is cut off.
#[derive(Clone, Debug)]
pub struct Isolation {
    after_ms: i64,
    last_heard: Option<Timestamp>,
    storage_lost: Option<Timestamp>,
    has_acted: bool,
}

impl Isolation {
    /// Acts after this time without any server and without storage.
    pub fn new(after_ms: i64) -> Isolation {
        Isolation { after_ms, last_heard: None, storage_lost: None, has_acted: false }
    }

    /// A server answered, on whatever network.
    pub fn heard(&mut self, now: Timestamp) {
        self.last_heard = Some(now);
        self.has_acted = false;
    }

    /// The storage was looked at.
    pub fn storage(&mut self, storage: Storage, now: Timestamp) {
        self.storage_lost = match storage {
            Storage::Lost => self.storage_lost.or(Some(now)),
            Storage::Works | Storage::NotWatched => None,
        };
    }

    /// What follows now. `Act` is said once for each time that the host is cut off.
    pub fn look(&mut self, now: Timestamp) -> CutOff {
        let (Some(heard), Some(lost)) = (self.last_heard, self.storage_lost) else { return CutOff::No };
        let since = heard.max(lost);
        match ms_between(since, now) >= self.after_ms {
            true if !self.has_acted => {
                self.has_acted = true;
                CutOff::Act(since)
            }
            _ => CutOff::Since(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::at;
    use super::*;

    #[test]
    fn both_witnesses_and_the_whole_time_are_needed() {
        let mut isolation = Isolation::new(60_000);
        isolation.storage(Storage::Lost, at(0));
        assert_eq!(isolation.look(at(600_000)), CutOff::No, "no server was ever heard");
        isolation.heard(at(600_000));
        assert_eq!(isolation.look(at(659_999)), CutOff::Since(at(600_000)));
        assert_eq!(isolation.look(at(660_000)), CutOff::Act(at(600_000)));
        assert_eq!(isolation.look(at(661_000)), CutOff::Since(at(600_000)), "it is said once");
    }

    #[test]
    fn storage_that_works_keeps_the_guests() {
        let mut isolation = Isolation::new(60_000);
        isolation.heard(at(0));
        isolation.storage(Storage::Works, at(1_000));
        assert_eq!(isolation.look(at(600_000)), CutOff::No);
        isolation.storage(Storage::Lost, at(600_000));
        assert_eq!(isolation.look(at(659_000)), CutOff::Since(at(600_000)));
    }

    #[test]
    fn a_server_that_answers_again_keeps_the_guests() {
        let mut isolation = Isolation::new(60_000);
        isolation.heard(at(0));
        isolation.storage(Storage::Lost, at(0));
        isolation.heard(at(59_000));
        assert_eq!(isolation.look(at(60_000)), CutOff::Since(at(59_000)));
    }
}
