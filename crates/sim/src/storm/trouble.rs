//! Everything that can go wrong around a run, each with the words in which an operator would tell it.
//!
//! A trouble is a value: it is drawn once from a seed, and a story can be told again without one of them.

use crate::cloud::{How, Link};
use crate::dice::Rolls;
use std::fmt;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A node loses power, for some time or until somebody gives it back.
    PowerCut {
        /// Which node.
        host: usize,
        /// After how long it has power again; none: when somebody comes.
        back_ms: Option<u64>,
    },
    /// A node's link changes for a while.
    Link {
        /// Which node.
        host: usize,
        /// How it is then.
        link: Link,
        /// For how long.
        for_ms: u64,
    },
    /// A database process dies.
    DatabaseDies {
        /// Which node.
        host: usize,
    },
    /// A file system is full.
    DiskFull {
        /// Which node.
        host: usize,
    },
    /// A cache dies.
    CacheDies {
        /// Which node.
        host: usize,
    },
    /// A node's clock is wrong.
    NodeClock {
        /// Which node.
        host: usize,
        /// How much, in milliseconds.
        ms: i64,
    },
    /// The next command on any node goes wrong.
    Command(Ill),
    /// The API answers the next calls with this status; 0 cuts the connection.
    Api {
        /// The status; 0 cuts.
        status: u16,
        /// How often.
        times: u8,
    },
    /// The store refuses the next questions.
    StoreRefuses {
        /// How often.
        times: u8,
    },
    /// The store answers late.
    StoreLate {
        /// How much, in milliseconds.
        ms: u64,
        /// How often.
        times: u8,
    },
    /// The store does what it is told and says that it could not.
    StoreSilent {
        /// How often.
        times: u8,
    },
    /// Ostler's own clock jumps.
    ClockSteps {
        /// How much, in milliseconds.
        ms: i64,
    },
    /// Ostler is killed, before or after what it is about to do reaches the world.
    Killed {
        /// After it reaches the world.
        after: bool,
    },
    /// Ostler stops for a while, as a suspended laptop does, and goes on as if nothing had been.
    Sleeps {
        /// How much, in milliseconds.
        ms: u64,
    },
    /// A second Ostler is started beside it.
    Second,
}

/// How a command goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    /// It fails.
    Fails,
    /// It hangs.
    Hangs,
    /// It succeeds, and nobody hears of it.
    Silent,
    /// It breaks off in the middle.
    Breaks,
}

impl Ill {
    pub(super) fn how(self) -> How {
        match self {
            Ill::Fails => How::Fails,
            Ill::Hangs => How::Hangs,
            Ill::Silent => How::Silent,
            Ill::Breaks => How::Breaks,
        }
    }
}

/// A trouble, and when it comes: at the n-th thing that Ostler asks of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// When.
    pub tick: u64,
    /// What.
    pub trouble: Trouble,
}

impl Trouble {
    /// Its kind, for the coverage report.
    pub fn kind(&self) -> &'static str {
        match self {
            Trouble::PowerCut { .. } => "power cut",
            Trouble::Link { link: Link::Cut, .. } => "link cut",
            Trouble::Link { link: Link::Mute, .. } => "answers lost",
            Trouble::Link { .. } => "slow link",
            Trouble::DatabaseDies { .. } => "database dies",
            Trouble::DiskFull { .. } => "disk full",
            Trouble::CacheDies { .. } => "cache dies",
            Trouble::NodeClock { .. } => "node clock",
            Trouble::Command(Ill::Fails) => "command fails",
            Trouble::Command(Ill::Hangs) => "command hangs",
            Trouble::Command(Ill::Silent) => "command silent",
            Trouble::Command(Ill::Breaks) => "command breaks",
            Trouble::Api { status: 0, .. } => "api cut",
            Trouble::Api { .. } => "api error",
            Trouble::StoreRefuses { .. } => "store refuses",
            Trouble::StoreLate { .. } => "store late",
            Trouble::StoreSilent { .. } => "store silent",
            Trouble::ClockSteps { .. } => "clock steps",
            Trouble::Killed { .. } => "killed",
            Trouble::Sleeps { .. } => "sleeps",
            Trouble::Second => "second ostler",
        }
    }

    /// One at random, for a cloud of so many nodes.
    pub fn drawn(rolls: &mut Rolls, hosts: usize) -> Trouble {
        let host = rolls.below(hosts as u64) as usize;
        let times = rolls.between(1, 3) as u8;
        match rolls.below(24) {
            0 | 1 => {
                let back_ms = rolls.chance(50).then(|| rolls.between(1_000, 120_000));
                Trouble::PowerCut { host, back_ms }
            }
            2 | 3 => Trouble::Link { host, link: Link::Cut, for_ms: rolls.between(500, 90_000) },
            4 | 5 => Trouble::Link { host, link: Link::Mute, for_ms: rolls.between(500, 90_000) },
            6 => {
                let link = Link::Slow(rolls.between(100, 20_000) as u32);
                Trouble::Link { host, link, for_ms: rolls.between(500, 90_000) }
            }
            7 => Trouble::DatabaseDies { host },
            8 => Trouble::DiskFull { host },
            9 => Trouble::CacheDies { host },
            10 => Trouble::NodeClock { host, ms: rolls.between(0, 20_000) as i64 - 10_000 },
            11 => Trouble::Command(Ill::Fails),
            12 => Trouble::Command(Ill::Hangs),
            13 => Trouble::Command(Ill::Silent),
            14 => Trouble::Command(Ill::Breaks),
            15 => {
                let statuses = [0, 401, 429, 500, 503];
                Trouble::Api { status: rolls.one(&statuses).copied().unwrap_or(500), times }
            }
            16 => Trouble::StoreRefuses { times: rolls.between(1, 10) as u8 },
            17 => Trouble::StoreLate { ms: rolls.between(100, 40_000), times },
            18 => Trouble::StoreSilent { times },
            19 => Trouble::ClockSteps { ms: rolls.between(0, 120_000) as i64 - 60_000 },
            20 | 21 => Trouble::Killed { after: rolls.chance(50) },
            22 => Trouble::Sleeps { ms: rolls.between(1_000, 90_000) },
            _ => Trouble::Second,
        }
    }

    /// In an operator's words.
    pub fn words(&self, name: &dyn Fn(usize) -> String) -> String {
        let s = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        match self {
            Trouble::PowerCut { host, back_ms: Some(ms) } => {
                format!("{} loses power and has it again after {}", name(*host), s(*ms))
            }
            Trouble::PowerCut { host, back_ms: None } => {
                format!("{} loses power until somebody comes", name(*host))
            }
            Trouble::Link { host, link: Link::Cut, for_ms } => {
                format!("the network of {} is cut for {}", name(*host), s(*for_ms))
            }
            Trouble::Link { host, link: Link::Mute, for_ms } => {
                format!("{} hears and cannot answer for {}", name(*host), s(*for_ms))
            }
            Trouble::Link { host, link, for_ms } => {
                let late = if let Link::Slow(ms) = link { u64::from(*ms) } else { 0 };
                format!("{} takes {} longer for {}", name(*host), s(late), s(*for_ms))
            }
            Trouble::DatabaseDies { host } => format!("the database process of {} dies", name(*host)),
            Trouble::DiskFull { host } => format!("the disk of {} is full", name(*host)),
            Trouble::CacheDies { host } => format!("memcached of {} dies", name(*host)),
            Trouble::NodeClock { host, ms } => format!("the clock of {} is set {ms} ms ahead", name(*host)),
            Trouble::Command(Ill::Fails) => "the next command on a node fails".into(),
            Trouble::Command(Ill::Hangs) => "the next command on a node hangs".into(),
            Trouble::Command(Ill::Silent) => "the next command on a node succeeds and is not heard of".into(),
            Trouble::Command(Ill::Breaks) => "the next command on a node breaks off in the middle".into(),
            Trouble::Api { status: 0, times } => format!("the API cuts the next {times} connections"),
            Trouble::Api { status, times } => format!("the API answers {status}, {times} times"),
            Trouble::StoreRefuses { times } => format!("the state database refuses {times} times"),
            Trouble::StoreLate { ms, times } => {
                format!("the state database answers {} late, {times} times", s(*ms))
            }
            Trouble::StoreSilent { times } => {
                format!("the state database does as told and says that it could not, {times} times")
            }
            Trouble::ClockSteps { ms } => format!("Ostler's own clock is set {ms} ms ahead"),
            Trouble::Killed { after: false } => "Ostler is killed before its next word is heard".into(),
            Trouble::Killed { after: true } => "Ostler is killed after its next word was heard".into(),
            Trouble::Sleeps { ms } => format!("Ostler sleeps for {} and goes on", s(*ms)),
            Trouble::Second => "a second Ostler is started beside it".into(),
        }
    }
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.trouble.kind(), self.tick)
    }
}
