//! Which hosts are silent on which networks, since when, and whether it is us who are deaf.
//!
//! Everything is kept in memory and bounded; after a restart nobody is silent before a whole patience has passed.
//! It must never call a host dead: silence is one witness, and what follows from it is decided elsewhere.

use jiff::Timestamp;
use ostler_model::ids::HostName;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Lives of a host's monitor that are remembered, so that an old one cannot be played again: a monitor that is
/// restarted more often than this within the time that a packet is believed has other troubles.
const LIVES_MAX: usize = 8;

/// Networks that one host may speak on: two are usual, more than four are a mistake in somebody's settings.
const NETWORKS_MAX: usize = 4;

/// Hosts below which a share of silent hosts says nothing.
const CLIFF_HOSTS_MIN: usize = 3;

/// How long we may have been asleep before what we did not hear meanwhile is our own fault.
const ASLEEP_MS: i64 = 3_000;

/// What a monitor says of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The host is alive.
    Alive,
    /// The host is going down on purpose.
    GoingDown,
    /// Only the monitor stops; the host stays.
    MonitorStops,
}

/// Whether a host still reaches its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// Nobody asked the monitor to look.
    NotWatched,
    /// It does.
    Works,
    /// It does not.
    Lost,
}

/// One sign of life, its signature already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The host.
    pub host: HostName,
    /// The network that it came over, by its name.
    pub network: String,
    /// Drawn anew whenever the monitor starts or its clock was set.
    pub life: u64,
    /// Rises with each beat of a life on a network.
    pub sequence: u64,
    /// When it was sent, by the host's clock.
    pub sent: Timestamp,
    /// What it says.
    pub word: Word,
    /// How the host's storage is.
    pub storage: Storage,
}

/// How much is believed, for how long, for how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After how long without a beat a host is silent on a network, in milliseconds.
    pub silent_after_ms: i64,
    /// How old a beat may be, in milliseconds: what is older was kept by somebody and played again.
    pub beat_age_max_ms: i64,
    /// How many hosts are remembered. Only hosts with a good signature ever count.
    pub hosts_max: usize,
}

impl Default for Patience {
    fn default() -> Self {
        // Three beats of three seconds may be lost; a thousand hosts on two networks take well under a megabyte.
        Self { silent_after_ms: 10_000, beat_age_max_ms: 60_000, hosts_max: 4_096 }
    }
}

/// Why a beat does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    /// This beat, or a later one, was heard before.
    #[error("it was heard before")]
    Replayed,
    /// It was sent too long ago.
    #[error("it was sent {late_ms} ms ago")]
    Late {
        /// How long ago.
        late_ms: i64,
    },
    /// No more hosts, or networks of a host, are remembered.
    #[error("there is no room for more hosts or networks")]
    Full,
}

/// What was heard of a host on one network.
#[derive(Clone, Debug)]
struct Line {
    life: u64,
    sequence: u64,
    /// What our clock said less what theirs said, when this life was first heard.
    offset_ms: i64,
    heard: Timestamp,
    earlier_lives: VecDeque<u64>,
}

#[derive(Clone, Debug)]
struct Heard {
    lines: BTreeMap<String, Line>,
    word: Word,
    word_since: Timestamp,
    storage: Storage,
}

/// Everything heard so far.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    patience: Patience,
    hosts: BTreeMap<HostName, Heard>,
    /// Hosts that somebody heard before us.
    expected: BTreeSet<HostName>,
    awake_since: Timestamp,
    last_look: Timestamp,
}

/// How a host presents itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "presence")]
pub enum Presence {
    /// Heard on every network that it ever spoke on.
    Heard,
    /// Silent on some of its networks: it lives, and something between us is broken.
    Partly {
        /// The silent networks, with the time of the last beat.
        silent: BTreeMap<String, Timestamp>,
    },
    /// Heard, but its clock is so far off that old beats could be played again: ask another witness.
    Doubtful {
        /// How far its clock is behind ours.
        clock_behind_ms: i64,
    },
    /// Silent on every network.
    Silent {
        /// The last beat on any network.
        since: Timestamp,
    },
    /// It said that it goes down on purpose, and is silent since.
    GoneOnPurpose {
        /// When it said so.
        since: Timestamp,
    },
    /// Its monitor said that it stops, and is silent since: nothing is known.
    Unwatched {
        /// When it said so.
        since: Timestamp,
    },
    /// Silent as far as we know, but we are deaf, or were asleep.
    Unheard {
        /// The last beat on any network.
        since: Timestamp,
    },
}

/// One host in a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostSeen {
    /// How it presents itself.
    #[serde(flatten)]
    pub presence: Presence,
    /// The last beat on each network.
    pub networks: BTreeMap<String, Timestamp>,
    /// How its storage was when it last spoke.
    pub storage: Storage,
}

/// Why we cannot hear a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deaf {
    /// Since when.
    pub since: Timestamp,
    /// How many hosts fell silent together.
    pub silent: usize,
    /// Of how many.
    pub of: usize,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// When this was seen.
    pub taken: Timestamp,
    /// Networks on which so many fell silent at once that the fault is likely ours.
    pub deaf: BTreeMap<String, Deaf>,
    /// We slept, or have only begun to listen: nobody is silent before this time.
    pub patient_until: Option<Timestamp>,
    /// The hosts that were ever heard.
    pub hosts: BTreeMap<HostName, HostSeen>,
}

impl View {
    /// Whether a host counts as silent for whoever decides about it.
    pub fn is_silent(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|seen| matches!(seen.presence, Presence::Silent { .. }))
    }
}

impl Heartbeats {
    /// Nothing heard yet.
    pub fn new(patience: Patience, now: Timestamp) -> Heartbeats {
        let (hosts, expected) = (BTreeMap::new(), BTreeSet::new());
        Heartbeats { patience, hosts, expected, awake_since: now, last_look: now }
    }

    /// Expects a host that was heard before we began, or by another server: one that died meanwhile is silent from the end
    /// of our patience on.
    pub fn expect(&mut self, host: HostName) -> Result<(), NotHeard> {
        if self.expected.len() >= self.patience.hosts_max {
            return Err(NotHeard::Full);
        }
        self.expected.insert(host);
        Ok(())
    }

    /// Takes a beat in, whose signature is good.
    pub fn hear(&mut self, beat: &Beat, now: Timestamp) -> Result<(), NotHeard> {
        let offset_ms = now.as_millisecond() - beat.sent.as_millisecond();
        let Some(heard) = self.hosts.get_mut(&beat.host) else {
            if self.hosts.len() >= self.patience.hosts_max {
                return Err(NotHeard::Full);
            }
            let line = Line::begun(beat, offset_ms, now, VecDeque::new());
            let lines = BTreeMap::from([(beat.network.clone(), line)]);
            let heard = Heard { lines, word: beat.word, word_since: now, storage: beat.storage };
            self.hosts.insert(beat.host.clone(), heard);
            return Ok(());
        };
        let is_full = heard.lines.len() >= NETWORKS_MAX;
        match heard.lines.get_mut(&beat.network) {
            None if is_full => return Err(NotHeard::Full),
            None => {
                let line = Line::begun(beat, offset_ms, now, VecDeque::new());
                heard.lines.insert(beat.network.clone(), line);
            }
            Some(line) if line.life == beat.life => {
                if beat.sequence <= line.sequence {
                    return Err(NotHeard::Replayed);
                }
                let late_ms = offset_ms - line.offset_ms;
                if late_ms > self.patience.beat_age_max_ms {
                    return Err(NotHeard::Late { late_ms });
                }
                // The nearest thing to the true offset is the beat that was on its way for the shortest time.
                line.offset_ms = line.offset_ms.min(offset_ms);
                line.sequence = beat.sequence;
                line.heard = now;
            }
            Some(line) => {
                if line.earlier_lives.contains(&beat.life) {
                    return Err(NotHeard::Replayed);
                }
                let mut earlier = std::mem::take(&mut line.earlier_lives);
                earlier.push_back(line.life);
                if earlier.len() > LIVES_MAX {
                    earlier.pop_front();
                }
                *line = Line::begun(beat, offset_ms, now, earlier);
            }
        }
        if heard.word != beat.word {
            heard.word_since = now;
        }
        heard.word = beat.word;
        heard.storage = beat.storage;
        Ok(())
    }

    /// Forgets a host that is gone for good.
    pub fn forget(&mut self, host: &HostName) {
        self.hosts.remove(host);
        self.expected.remove(host);
    }

    /// Who is there. Must be called at least once a second: a longer gap is taken as our own sleep.
    pub fn look(&mut self, now: Timestamp) -> View {
        if ms_between(self.last_look, now).abs() > ASLEEP_MS {
            self.awake_since = now;
        }
        self.last_look = now;
        let silent_after_ms = self.patience.silent_after_ms;
        let is_patient = ms_between(self.awake_since, now) < silent_after_ms;
        let is_silent = |line: &Line| ms_between(line.heard, now) > silent_after_ms;
        let deaf = self.deaf(&is_silent);
        let mut hosts: BTreeMap<HostName, HostSeen> = self
            .hosts
            .iter()
            .map(|(host, heard)| {
                let networks: BTreeMap<String, Timestamp> =
                    heard.lines.iter().map(|(name, line)| (name.clone(), line.heard)).collect();
                let silent: BTreeMap<String, Timestamp> = heard
                    .lines
                    .iter()
                    .filter(|(_, line)| is_silent(line))
                    .map(|(name, line)| (name.clone(), line.heard))
                    .collect();
                let last = networks.values().max().copied().unwrap_or(now);
                let behind = heard.lines.values().map(|line| line.offset_ms).max_by_key(|ms| ms.abs());
                let clock_behind_ms = behind.unwrap_or_default();
                let presence = match (silent.len() == networks.len(), heard.word) {
                    (true, Word::GoingDown) => Presence::GoneOnPurpose { since: heard.word_since },
                    (true, Word::MonitorStops) => Presence::Unwatched { since: heard.word_since },
                    // A network that we cannot hear says nothing about who is on it.
                    (true, Word::Alive)
                        if is_patient || silent.keys().any(|name| deaf.contains_key(name)) =>
                    {
                        Presence::Unheard { since: last }
                    }
                    (true, Word::Alive) => Presence::Silent { since: last },
                    (false, _) if clock_behind_ms.abs() > self.patience.beat_age_max_ms => {
                        Presence::Doubtful { clock_behind_ms }
                    }
                    (false, _) if silent.is_empty() || is_patient => Presence::Heard,
                    (false, _) => Presence::Partly { silent },
                };
                (host.clone(), HostSeen { presence, networks, storage: heard.storage })
            })
            .collect();
        let since = self.awake_since;
        for host in self.expected.iter().filter(|host| !self.hosts.contains_key(*host)) {
            let presence = if is_patient { Presence::Unheard { since } } else { Presence::Silent { since } };
            let seen = HostSeen { presence, networks: BTreeMap::new(), storage: Storage::NotWatched };
            hosts.insert(host.clone(), seen);
        }
        let patient_until = is_patient.then(|| {
            Timestamp::from_millisecond(self.awake_since.as_millisecond() + silent_after_ms).unwrap_or(now)
        });
        View { taken: now, deaf, patient_until, hosts }
    }

    /// Networks on which everybody, or more than half within one patience, fell silent. Who said that they go down
    /// on purpose are not counted: a rack that is switched off by its owner is no fault of ours.
    fn deaf(&self, is_silent: &dyn Fn(&Line) -> bool) -> BTreeMap<String, Deaf> {
        let mut lines: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        for heard in self.hosts.values().filter(|heard| heard.word == Word::Alive) {
            for (network, line) in &heard.lines {
                lines.entry(network).or_default().push(line);
            }
        }
        let mut deaf = BTreeMap::new();
        for (network, all) in lines {
            let mut since: Vec<Timestamp> =
                all.iter().filter(|line| is_silent(line)).map(|line| line.heard).collect();
            since.sort();
            let everybody = all.len() >= 2 && since.len() == all.len();
            let half = all.len() / 2;
            let together = all.len() >= CLIFF_HOSTS_MIN
                && since.len() > half
                && since.windows(half + 1).any(|some| {
                    let first_to_last = some.first().zip(some.last());
                    first_to_last.is_some_and(|(first, last)| {
                        ms_between(*first, *last) <= self.patience.silent_after_ms
                    })
                });
            if let Some(first) = since.first()
                && (everybody || together)
            {
                deaf.insert(network.to_owned(), Deaf { since: *first, silent: since.len(), of: all.len() });
            }
        }
        deaf
    }
}

impl Line {
    fn begun(beat: &Beat, offset_ms: i64, now: Timestamp, earlier_lives: VecDeque<u64>) -> Line {
        Line { life: beat.life, sequence: beat.sequence, offset_ms, heard: now, earlier_lives }
    }
}

fn ms_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_millisecond() - earlier.as_millisecond()
}

#[cfg(test)]
mod tests;
