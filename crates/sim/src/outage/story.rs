//! What befalls a cloud and the servers that attend to its instance HA, all from one seed.
//!
//! A story is drawn before it is told. It must never ask how it goes on.

use super::Trouble;
use crate::dice::Rolls;
use crate::nova::{ApiFault, FaultKind, Stage, WorkFault};
use crate::passage::{Blow, Strike};
use crate::power::Fault;
use ostler_engine::ha::Method;
use ostler_model::ids::HostName;

/// A server that attends, life after life.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// How far its clock is off.
    pub ahead_ms: i64,
    /// What befalls it in each of its lives; after the last of these nothing does.
    pub lives: Vec<Vec<Strike>>,
}

/// A story.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its seed.
    pub seed: u64,
    /// Hosts with instances.
    pub hosts: u64,
    /// Reserved hosts.
    pub reserved: u64,
    /// How instances find another host.
    pub method: Method,
    /// Memory of each host.
    pub ram_gb: u64,
    /// What befalls the cloud, and when.
    pub troubles: Vec<(u64, Trouble)>,
    /// The servers, at work at once: one or two.
    pub servers: Vec<Server>,
    /// Whether all hosts fall silent at once.
    pub all_silent: bool,
}

pub(super) fn host(number: u64) -> HostName {
    HostName::new(format!("cmp{number}"))
}

pub(super) fn spare(number: u64) -> HostName {
    HostName::new(format!("spare{number}"))
}

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Story {
        let mut rolls = Rolls::new(seed);
        let hosts = rolls.between(3, 6);
        let reserved = rolls.below(3);
        let methods = [Method::Auto, Method::ReservedHost, Method::AutoPriority, Method::RhPriority];
        let method = rolls.one(&methods).copied().unwrap_or(Method::Auto);
        let mut troubles = Vec::new();
        let all_silent = rolls.chance(7);
        let first = rolls.between(1, hosts);
        let began = 60_000 + rolls.below(30_000);
        if all_silent {
            for number in 1..=hosts {
                troubles.push((began, Trouble::IsCut(host(number))));
            }
            for number in 1..=reserved {
                troubles.push((began, Trouble::IsCut(spare(number))));
            }
        } else {
            troubles.push((
                began,
                match rolls.below(4) {
                    0 => Trouble::IsCut(host(first)),
                    1 => Trouble::LosesMains(host(first)),
                    _ => Trouble::Dies(host(first)),
                },
            ));
            if rolls.chance(25) {
                let second = host(first % hosts + 1);
                let when = began + rolls.below(60_000);
                troubles.push((when, Trouble::Dies(second)));
            }
            Story::more(&mut rolls, &mut troubles, (hosts, reserved, first), began);
        }
        let ram_gb = if rolls.chance(20) { 24 } else { 256 };
        let count = if rolls.chance(70) { 2 } else { 1 };
        let mut servers: Vec<Server> = (0..count).map(|_| server(&mut rolls)).collect();
        if let Some(first) = servers.first_mut().filter(|_| rolls.chance(15)) {
            first.ahead_ms = rolls.between(0, 600_000) as i64 - 300_000;
        }
        Story { seed, hosts, reserved, method, ram_gb, troubles, servers, all_silent }
    }

    fn more(rolls: &mut Rolls, troubles: &mut Vec<(u64, Trouble)>, of: (u64, u64, u64), began: u64) {
        let (hosts, reserved, first) = of;
        let soon = |rolls: &mut Rolls| began + rolls.below(240_000);
        if rolls.chance(20) {
            troubles.push((soon(rolls), Trouble::Boots(host(first))));
        }
        if rolls.chance(35) {
            let fault = match rolls.below(5) {
                0 => Fault::Silent { after_ms: 10_000 },
                1 => Fault::Slow { ms: 8_000 },
                2 => Fault::Stuck,
                3 => Fault::Refuses,
                _ => Fault::Lies,
            };
            troubles.push((began, Trouble::Controller(host(first), fault)));
            troubles.push((began + rolls.between(60_000, 1_200_000), Trouble::Heals(host(first))));
        }
        if rolls.chance(20) && reserved > 0 {
            let (name, when) = (spare(rolls.between(1, reserved)), soon(rolls));
            troubles.push((when, Trouble::Dies(name.clone())));
            // What waited in its queue is obeyed then.
            if rolls.chance(40) {
                troubles.push((when + rolls.between(5_000, 200_000), Trouble::Boots(name)));
            }
        }
        if rolls.chance(10) {
            troubles.push((soon(rolls), Trouble::Rejoins(host(rolls.between(1, hosts)))));
        }
        for _ in 0..rolls.below(4) {
            let kind = match rolls.below(4) {
                0 => FaultKind::Busy { retry_after_s: 1 },
                1 => FaultKind::Unavailable,
                2 => FaultKind::CutBefore,
                _ => FaultKind::CutAfter,
            };
            let fault = ApiFault { verb: None, instance: None, times: rolls.between(1, 12) as u32, kind };
            troubles.push((soon(rolls), Trouble::Api(fault)));
        }
        for _ in 0..rolls.below(4) {
            let stages = [Stage::Schedule, Stage::Rebuild, Stage::RebuildLate];
            let stage = rolls.one(&stages).copied().unwrap_or(Stage::Rebuild);
            let times = rolls.between(1, 4) as u32;
            let fault = WorkFault { stage, instance: None, host: None, times, why: "it failed".into() };
            troubles.push((soon(rolls), Trouble::Work(fault)));
        }
        if rolls.chance(10) {
            let at = soon(rolls);
            troubles.push((at, Trouble::Bus(false)));
            troubles.push((at + rolls.between(1_000, 60_000), Trouble::Bus(true)));
        }
    }
}

/// What befalls one server: nothing, or up to four lives that end, or that stand still for longer than a lease lasts.
fn server(rolls: &mut Rolls) -> Server {
    let lives = if rolls.chance(55) { rolls.between(1, 4) } else { 0 };
    let life = |rolls: &mut Rolls| {
        // A plain recovery is over after some 250 questions; what lasts longer is to be hit, too.
        let strike = |rolls: &mut Rolls, blow| {
            let at = if rolls.chance(70) { rolls.between(20, 250) } else { rolls.between(250, 2_000) };
            Strike { at, after: rolls.chance(50), blow }
        };
        let mut strikes = Vec::new();
        if rolls.chance(35) {
            let ms = rolls.between(1_000, 90_000);
            strikes.push(strike(rolls, Blow::Stop { ms }));
        }
        if strikes.is_empty() || rolls.chance(50) {
            strikes.push(strike(rolls, Blow::Kill));
        }
        strikes
    };
    Server { ahead_ms: 0, lives: (0..lives).map(|_| life(rolls)).collect() }
}
