//! Brings ordered troubles over a pretended cloud while Ostler works, and remembers which one hit what.
//!
//! Time is counted in questions that Ostler asks of the world, so that the same story is the same to the byte. It
//! never draws anything while a story is told.

use super::trouble::{Ordered, Trouble};
use crate::clock::SimClock;
use crate::cloud::SimCloud;
use ostler_engine::seam::Clock;
use ostler_model::ids::HostName;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What the store does to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreIll {
    Refuses,
    Late(u64),
    Silent,
}

#[derive(Debug, Default)]
struct Sky {
    tick: u64,
    orders: VecDeque<Ordered>,
    api: VecDeque<u16>,
    store: VecDeque<StoreIll>,
    /// What Ostler last began.
    verb: &'static str,
    hits: BTreeMap<(&'static str, &'static str), u64>,
    second: bool,
}

/// The troubles of one story.
#[derive(Debug)]
pub struct Weather {
    cloud: Arc<SimCloud>,
    clock: SimClock,
    hosts: Vec<HostName>,
    sky: Mutex<Sky>,
}

/// One Ostler: whether it lives, and whether it is awake.
#[derive(Debug, Default)]
pub struct Life {
    dead: AtomicBool,
    /// It dies as soon as the world has heard it.
    dying: AtomicBool,
    asleep_until_ms: AtomicU64,
    died: Notify,
}

impl Life {
    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        while !self.is_over() {
            self.died.notified().await;
        }
    }

    pub(crate) fn is_dying(&self) -> bool {
        self.dying.load(Ordering::Relaxed)
    }
}

impl Weather {
    /// Troubles in the order of their ticks.
    pub fn new(cloud: &Arc<SimCloud>, clock: &SimClock, mut orders: Vec<Ordered>) -> Weather {
        orders.sort_by_key(|ordered| ordered.tick);
        let hosts = cloud.declared.with_role(ostler_model::cloud::Role::Controller);
        let sky = Sky { orders: orders.into(), verb: "nothing", ..Sky::default() };
        Weather { cloud: Arc::clone(cloud), clock: clock.clone(), hosts, sky: Mutex::new(sky) }
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No trouble any more.
    pub fn calm(&self) {
        let mut sky = self.sky();
        sky.orders.clear();
        sky.api.clear();
        sky.store.clear();
    }

    /// Which trouble came while which verb was the last one begun.
    pub fn hits(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.sky().hits.clone()
    }

    pub(crate) fn begins(&self, verb: &'static str) {
        self.sky().verb = verb;
    }

    pub(super) fn wants_second(&self) -> bool {
        std::mem::take(&mut self.sky().second)
    }

    pub(crate) fn api(&self) -> Option<u16> {
        self.sky().api.pop_front()
    }

    pub(crate) fn store(&self) -> Option<StoreIll> {
        self.sky().store.pop_front()
    }

    /// One question of an Ostler: what is due comes now.
    pub(crate) async fn tick(&self, life: &Life, own: &SimClock) {
        loop {
            let due = {
                let mut sky = self.sky();
                sky.tick += 1;
                let mut due = Vec::new();
                while sky.orders.front().is_some_and(|ordered| ordered.tick <= sky.tick) {
                    due.extend(sky.orders.pop_front());
                }
                for ordered in &due {
                    let hit = (ordered.trouble.kind(), sky.verb);
                    *sky.hits.entry(hit).or_default() += 1;
                }
                due
            };
            for ordered in due {
                self.come(&ordered.trouble, life, own);
            }
            if life.is_over() {
                return std::future::pending().await;
            }
            let until = life.asleep_until_ms.load(Ordering::Relaxed);
            let now = self.clock.elapsed_ms();
            if until <= now {
                return;
            }
            self.clock.sleep(until - now).await;
        }
    }

    fn come(&self, trouble: &Trouble, life: &Life, own: &SimClock) {
        let (cloud, now) = (&self.cloud, self.clock.now());
        let name = |at: usize| self.hosts[at % self.hosts.len()].clone();
        cloud.say(now, || format!("trouble {}", trouble.words(&|at| name(at).to_string())));
        match trouble {
            Trouble::PowerCut { host, back_ms } => cloud.lose_power(&name(*host), *back_ms, now),
            Trouble::Link { host, link, for_ms } => cloud.set_link(&name(*host), *link, Some(*for_ms), now),
            Trouble::DatabaseDies { host } => cloud.kill_database(&name(*host), now),
            Trouble::DiskFull { host } => cloud.change(name(*host).as_str(), |node| node.free_mib = 0),
            Trouble::CacheDies { host } => cloud.change(name(*host).as_str(), |node| node.cache = false),
            Trouble::NodeClock { host, ms } => {
                cloud.change(name(*host).as_str(), |node| node.ahead_ms = *ms);
            }
            Trouble::Command(ill) => cloud.next_command(ill.how()),
            Trouble::Api { status, times } => {
                self.sky().api.extend(std::iter::repeat_n(*status, usize::from(*times)));
            }
            Trouble::StoreRefuses { times } => self.store_ill(StoreIll::Refuses, *times),
            Trouble::StoreLate { ms, times } => self.store_ill(StoreIll::Late(*ms), *times),
            Trouble::StoreSilent { times } => self.store_ill(StoreIll::Silent, *times),
            Trouble::ClockSteps { ms } => own.step(*ms),
            Trouble::Killed { after: false } => life.end(),
            Trouble::Killed { after: true } => life.dying.store(true, Ordering::Relaxed),
            Trouble::Sleeps { ms } => {
                let until = self.clock.elapsed_ms() + ms;
                life.asleep_until_ms.fetch_max(until, Ordering::Relaxed);
                self.sky().second = true;
            }
            Trouble::Second => self.sky().second = true,
        }
    }

    fn store_ill(&self, ill: StoreIll, times: u8) {
        self.sky().store.extend(std::iter::repeat_n(ill, usize::from(times)));
    }
}
