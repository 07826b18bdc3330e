//! Power controllers, pretended: one beside each machine, with its own view of it.
//!
//! An accepted order is not an effect, and a reading is not the truth: a controller may be slow, silent, stuck or lying.
//! It must never wait: an answer says how long it took, and what happens to machines is handed out by
//! [`PowerControllers::advance`] for whoever keeps them.

use ostler_model::ids::HostName;
use std::collections::BTreeMap;
use std::fmt;

/// How an unwilling controller behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It does not answer at all; a caller waits this long for nothing.
    Silent {
        /// The caller's time-out.
        after_ms: u64,
    },
    /// It answers late.
    Slow {
        /// How late.
        ms: u64,
    },
    /// It takes orders, and nothing comes of them; its readings are true.
    Stuck,
    /// It takes an order to switch off, leaves the machine on, and reads `off` from then on.
    Lies,
    /// It refuses orders, for example since its session table is full; it can be read.
    Refuses,
    /// The operating system ignores a request to shut down.
    GracefulHangs,
}

/// What a controller is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Power, now.
    On,
    /// No power, now.
    Off,
    /// A request to the operating system, which may take its time.
    GracefulOff,
    /// Off, and on again: never a proof of anything.
    Cycle,
}

/// What a controller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// The machine has power.
    On,
    /// It has not.
    Off,
}

/// Why an answer is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerError {
    /// No answer: an order may or may not have been taken.
    NoAnswer(String),
    /// It will not.
    Refused(String),
    /// There is no such controller.
    Unknown(String),
}

impl fmt::Display for PowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PowerError::NoAnswer(text) | PowerError::Refused(text) | PowerError::Unknown(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for PowerError {}

/// An answer, and how long it took to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// How long.
    pub takes_ms: u64,
    /// What.
    pub result: Result<T, PowerError>,
}

/// Something that really happened to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerChange {
    /// When.
    pub at: u64,
    /// To which machine.
    pub host: HostName,
    /// Whether it has power now.
    pub on: bool,
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerTimes {
    /// An answer of a healthy controller.
    pub answer_ms: u64,
    /// From an order to its effect.
    pub off_ms: u64,
    /// From an order to its effect.
    pub on_ms: u64,
    /// From a request to shut down to its end.
    pub graceful_ms: u64,
}

impl Default for PowerTimes {
    fn default() -> PowerTimes {
        PowerTimes { answer_ms: 300, off_ms: 4_000, on_ms: 2_000, graceful_ms: 45_000 }
    }
}

#[derive(Clone, Debug)]
struct Controller {
    times: PowerTimes,
    faults: Vec<Fault>,
    /// Whether controller and machine are fed at all.
    mains: bool,
    on: bool,
    pretends_off: bool,
    /// Effects under way: when, and to which state.
    under_way: Vec<(u64, bool)>,
    orders: u32,
}

impl Controller {
    fn has(&self, wanted: Fault) -> bool {
        self.faults.contains(&wanted)
    }

    fn answer_ms(&self) -> u64 {
        let slow = self.faults.iter().map(|fault| match fault {
            Fault::Slow { ms } => *ms,
            _ => 0,
        });
        slow.max().unwrap_or(0).max(self.times.answer_ms)
    }

    /// Whether there is no answer, and how long a caller waits to learn that.
    fn silent(&self) -> Option<u64> {
        let fault = self.faults.iter().find_map(|fault| match fault {
            Fault::Silent { after_ms } => Some(*after_ms),
            _ => None,
        });
        fault.or((!self.mains).then_some(30_000))
    }
}

/// The power controllers of a cloud.
#[derive(Clone, Debug, Default)]
pub struct PowerControllers {
    controllers: BTreeMap<HostName, Controller>,
    changes: Vec<PowerChange>,
}

impl PowerControllers {
    /// Adds a machine that is on, with a controller that works.
    pub fn add(&mut self, host: &HostName, times: PowerTimes) {
        let controller = Controller {
            times,
            faults: Vec::new(),
            mains: true,
            on: true,
            pretends_off: false,
            under_way: Vec::new(),
            orders: 0,
        };
        self.controllers.insert(host.clone(), controller);
    }

    /// Makes a controller behave badly, in addition to how it behaves already.
    pub fn fault(&mut self, host: &HostName, fault: Fault) {
        if let Some(controller) = self.controllers.get_mut(host) {
            controller.faults.push(fault);
        }
    }

    /// Lets a controller behave again. A lie that was told is no longer told.
    pub fn heal(&mut self, host: &HostName) {
        if let Some(controller) = self.controllers.get_mut(host) {
            controller.faults.clear();
            controller.pretends_off = false;
        }
    }

    /// The truth, whatever the controller reads.
    pub fn is_on(&self, host: &HostName) -> Option<bool> {
        self.controllers.get(host).map(|controller| controller.on)
    }

    /// How many orders a controller has taken.
    pub fn orders(&self, host: &HostName) -> u32 {
        self.controllers.get(host).map_or(0, |controller| controller.orders)
    }

    /// When the next machine changes by itself, if any will.
    pub fn next_due(&self) -> Option<u64> {
        self.controllers.values().flat_map(|controller| controller.under_way.iter().map(|(at, _)| *at)).min()
    }

    /// Lets happen what is due by now, and hands out what happened to machines since the last call, in order.
    pub fn advance(&mut self, now: u64) -> Vec<PowerChange> {
        for (host, controller) in &mut self.controllers {
            controller.under_way.sort();
            let due = controller.under_way.partition_point(|(at, _)| *at <= now);
            for (at, on) in controller.under_way.drain(..due).collect::<Vec<_>>() {
                if controller.on != on && (controller.mains || !on) {
                    controller.on = on;
                    self.changes.push(PowerChange { at, host: host.clone(), on });
                }
            }
        }
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by(|one, other| one.at.cmp(&other.at).then_with(|| one.host.cmp(&other.host)));
        changes
    }

    /// A machine gains or loses power by other means than its controller: a hand, a fuse, a crash.
    pub fn set_on(&mut self, now: u64, host: &HostName, on: bool) {
        if let Some(controller) = self.controllers.get_mut(host) {
            controller.under_way.clear();
            controller.under_way.push((now, on));
        }
    }

    /// Takes the feed away from a machine *and* its controller, which then cannot prove anything; or gives it back.
    pub fn set_mains(&mut self, now: u64, host: &HostName, mains: bool) {
        if let Some(controller) = self.controllers.get_mut(host) {
            controller.mains = mains;
            if !mains {
                controller.under_way = vec![(now, false)];
            }
        }
    }

    /// Gives an order. Success means that it was taken, not that anything has happened.
    pub fn order(&mut self, now: u64, host: &HostName, order: Order) -> Answer<()> {
        // What is found on the way is still to be handed out.
        self.changes = self.advance(now);
        match self.controllers.get_mut(host) {
            Some(controller) => controller.order(now, host, order),
            None => unknown(host),
        }
    }

    /// Reads the state back.
    pub fn read(&mut self, now: u64, host: &HostName) -> Answer<Reading> {
        self.changes = self.advance(now);
        let Some(controller) = self.controllers.get(host) else { return unknown(host) };
        if let Some(takes_ms) = controller.silent() {
            return Answer { takes_ms, result: Err(no_answer(host)) };
        }
        let on = controller.on && !controller.pretends_off;
        let reading = if on { Reading::On } else { Reading::Off };
        Answer { takes_ms: controller.answer_ms(), result: Ok(reading) }
    }
}

impl Controller {
    fn order(&mut self, now: u64, host: &HostName, order: Order) -> Answer<()> {
        if let Some(takes_ms) = self.silent() {
            return Answer { takes_ms, result: Err(no_answer(host)) };
        }
        let takes_ms = self.answer_ms();
        if self.has(Fault::Refuses) {
            let text = format!("the power controller of {host} refuses: no free session");
            return Answer { takes_ms, result: Err(PowerError::Refused(text)) };
        }
        self.orders += 1;
        let taken = now + takes_ms;
        if self.has(Fault::Lies) && order != Order::On {
            self.pretends_off = true;
        } else if !self.has(Fault::Stuck) {
            self.pretends_off = false;
            match order {
                Order::On => self.under_way = vec![(taken + self.times.on_ms, true)],
                Order::Off => self.under_way = vec![(taken + self.times.off_ms, false)],
                // A request does not take a harder order back.
                Order::GracefulOff if self.has(Fault::GracefulHangs) => {}
                Order::GracefulOff => self.under_way.push((taken + self.times.graceful_ms, false)),
                Order::Cycle => {
                    let off = taken + self.times.off_ms;
                    self.under_way = vec![(off, false), (off + self.times.on_ms, true)];
                }
            }
        }
        Answer { takes_ms, result: Ok(()) }
    }
}

fn no_answer(host: &HostName) -> PowerError {
    PowerError::NoAnswer(format!("the power controller of {host} does not answer"))
}

fn unknown<T>(host: &HostName) -> Answer<T> {
    Answer { takes_ms: 0, result: Err(PowerError::Unknown(format!("{host} has no power controller"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> (PowerControllers, HostName) {
        let host = HostName::new("cmp1");
        let mut power = PowerControllers::default();
        power.add(&host, PowerTimes::default());
        (power, host)
    }

    fn reads(power: &mut PowerControllers, now: u64, host: &HostName) -> Option<Reading> {
        power.read(now, host).result.ok()
    }

    #[test]
    fn off_takes_time_and_is_read_back() {
        let (mut power, host) = one();
        assert_eq!(power.order(0, &host, Order::Off).result, Ok(()));
        assert_eq!(reads(&mut power, 1_000, &host), Some(Reading::On));
        assert_eq!(reads(&mut power, 5_000, &host), Some(Reading::Off));
    }

    #[test]
    fn a_change_is_handed_out_once_also_when_a_reading_came_first() {
        let (mut power, host) = one();
        let _taken = power.order(0, &host, Order::Off);
        let _seen = power.read(10_000, &host);
        assert_eq!(power.advance(10_000), [PowerChange { at: 4_300, host, on: false }]);
        assert_eq!(power.advance(20_000), []);
    }

    #[test]
    fn a_silent_controller_tells_nothing_and_does_nothing() {
        let (mut power, host) = one();
        power.fault(&host, Fault::Silent { after_ms: 20_000 });
        let answer = power.order(0, &host, Order::Off);
        assert!(matches!(answer, Answer { takes_ms: 20_000, result: Err(PowerError::NoAnswer(_)) }));
        assert!(power.advance(100_000).is_empty());
    }

    #[test]
    fn a_slow_controller_answers_late_and_acts_late() {
        let (mut power, host) = one();
        power.fault(&host, Fault::Slow { ms: 15_000 });
        assert_eq!(power.order(0, &host, Order::Off).takes_ms, 15_000);
        assert_eq!(power.next_due(), Some(19_000));
    }

    #[test]
    fn a_liar_reads_off_and_leaves_the_machine_on() {
        let (mut power, host) = one();
        power.fault(&host, Fault::Lies);
        let _taken = power.order(0, &host, Order::Off);
        assert_eq!((reads(&mut power, 60_000, &host), power.is_on(&host)), (Some(Reading::Off), Some(true)));
    }

    #[test]
    fn a_stuck_controller_takes_orders_and_still_reads_the_truth() {
        let (mut power, host) = one();
        power.fault(&host, Fault::Stuck);
        assert_eq!(power.order(0, &host, Order::Off).result, Ok(()));
        assert_eq!(reads(&mut power, 600_000, &host), Some(Reading::On));
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let (mut power, host) = one();
        power.fault(&host, Fault::Refuses);
        assert!(matches!(power.order(0, &host, Order::Off).result, Err(PowerError::Refused(_))));
    }

    #[test]
    fn a_graceful_off_can_hang_and_a_hard_one_then_works() {
        let (mut power, host) = one();
        power.fault(&host, Fault::GracefulHangs);
        let _taken = power.order(0, &host, Order::GracefulOff);
        assert_eq!(reads(&mut power, 600_000, &host), Some(Reading::On));
        let _taken = power.order(600_000, &host, Order::Off);
        assert_eq!(reads(&mut power, 610_000, &host), Some(Reading::Off));
    }

    #[test]
    fn a_controller_without_mains_cannot_prove_that_its_machine_is_off() {
        let (mut power, host) = one();
        power.set_mains(0, &host, false);
        assert!(matches!(power.read(1_000, &host).result, Err(PowerError::NoAnswer(_))));
        assert_eq!(power.is_on(&host), Some(false));
    }

    #[test]
    fn a_cycle_ends_with_the_machine_on() {
        let (mut power, host) = one();
        let _taken = power.order(0, &host, Order::Cycle);
        let went: Vec<bool> = power.advance(60_000).iter().map(|change| change.on).collect();
        assert_eq!(went, [false, true]);
    }

    #[test]
    fn a_late_off_is_taken_back_by_an_on() {
        let (mut power, host) = one();
        let _taken = power.order(0, &host, Order::GracefulOff);
        let _taken = power.order(10_000, &host, Order::On);
        assert!(power.advance(600_000).is_empty());
    }
}
