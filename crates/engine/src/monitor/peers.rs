//! What is worth a report about other hosts, as a cluster that watches them says.
//!
//! A host that is down is told while it is down, also when it already was at the first look; one that came back is
//! told once. It must never tell what did not hold for as many looks as were asked for.

use super::{later, widened_ms};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The pause before a host that is down is told again, at first.
const AGAIN_AFTER_MS: i64 = 60_000;

/// And at most.
const AGAIN_AFTER_MAX_MS: i64 = 600_000;

/// Hosts that are remembered: more than any cluster that watches its members this way can have.
const HOSTS_MAX: usize = 4_096;

/// How a cluster sees a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Online,
    /// It is gone.
    Offline,
    /// Nothing can be said.
    Unknown,
}

/// Something worth a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// The host.
    pub host: String,
    /// Whether it is gone; otherwise it came back.
    pub is_gone: bool,
    /// How often this was told before.
    pub told: u32,
}

#[derive(Clone, Debug)]
struct Peer {
    seen: Seen,
    looks: u32,
    gone: Option<Gone>,
}

#[derive(Clone, Debug)]
struct Gone {
    told: u32,
    again: Timestamp,
}

/// What is known of other hosts.
#[derive(Clone, Debug)]
pub struct Peers {
    looks_wanted: u32,
    peers: BTreeMap<String, Peer>,
}

impl Peers {
    /// Believes what holds for this many looks in a row.
    pub fn new(looks_wanted: u32) -> Peers {
        Peers { looks_wanted: looks_wanted.max(1), peers: BTreeMap::new() }
    }

    /// Takes one look in.
    pub fn look(&mut self, view: &BTreeMap<String, Seen>, now: Timestamp) -> Vec<Tell> {
        self.peers.retain(|host, _| view.contains_key(host));
        let mut tells = Vec::new();
        for (host, seen) in view {
            if !self.peers.contains_key(host) && self.peers.len() >= HOSTS_MAX {
                continue;
            }
            let peer = self.peers.entry(host.clone()).or_insert(Peer { seen: *seen, looks: 0, gone: None });
            peer.looks = if peer.seen == *seen { peer.looks.saturating_add(1) } else { 1 };
            peer.seen = *seen;
            if peer.looks < self.looks_wanted {
                continue;
            }
            match (seen, &mut peer.gone) {
                (Seen::Offline, gone) => {
                    let gone = gone.get_or_insert(Gone { told: 0, again: now });
                    if now >= gone.again {
                        tells.push(Tell { host: host.clone(), is_gone: true, told: gone.told });
                        gone.again = later(now, widened_ms(AGAIN_AFTER_MS, gone.told, AGAIN_AFTER_MAX_MS));
                        gone.told = gone.told.saturating_add(1);
                    }
                }
                (Seen::Online, Some(_)) => {
                    peer.gone = None;
                    tells.push(Tell { host: host.clone(), is_gone: false, told: 0 });
                }
                (Seen::Online, None) | (Seen::Unknown, _) => {}
            }
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::super::at;
    use super::*;
    use Seen::{Offline, Online, Unknown};

    fn told(looks_wanted: u32, looks: &[Seen]) -> String {
        let mut peers = Peers::new(looks_wanted);
        let mut told = String::new();
        for (number, seen) in looks.iter().enumerate() {
            let view = BTreeMap::from([("a".to_owned(), *seen)]);
            let tells = peers.look(&view, at(number as i64 * 10_000));
            told.push(match tells.first() {
                Some(tell) if tell.is_gone => 'g',
                Some(_) => 'b',
                None => '.',
            });
        }
        told
    }

    #[test]
    fn a_host_that_goes_and_comes_back_is_told() {
        assert_eq!(told(1, &[Online, Online, Offline, Offline, Online, Online]), "..g.b.");
    }

    #[test]
    fn a_host_that_is_gone_at_the_first_look_is_told() {
        assert_eq!(told(1, &[Offline, Offline]), "g.");
    }

    #[test]
    fn looks_that_do_not_agree_tell_nothing() {
        assert_eq!(told(3, &[Offline, Online, Offline, Offline, Unknown, Offline]), "......");
        assert_eq!(told(3, &[Offline, Offline, Offline, Online, Online, Online]), "..g..b");
    }

    #[test]
    fn what_is_unknown_is_no_return() {
        assert_eq!(told(1, &[Offline, Unknown, Unknown, Offline, Online]), "g...b");
    }

    #[test]
    fn it_is_told_again_while_it_lasts_with_widening_pauses() {
        let told = told(1, &[Offline; 200]);
        let places: Vec<usize> =
            told.char_indices().filter(|(_, c)| *c == 'g').map(|(place, _)| place * 10).collect();
        assert_eq!(places, [0, 60, 180, 420, 900, 1500]);
    }
}
