//! Numbers from a seed: the only chance there is in a pretended cloud.
//!
//! The same seed gives the same numbers for ever. It must never draw from anywhere else.

use ostler_engine::seam::Dice;
use std::sync::atomic::{AtomicU64, Ordering};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's three mixing rounds: the usual way to stretch a seed.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A sequence of numbers with one owner.
#[derive(Clone, Debug)]
pub struct Rolls(u64);

impl Rolls {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Rolls {
        // Neighbouring seeds must not tell neighbouring stories.
        Rolls(mix(seed.wrapping_add(STEP)))
    }

    /// 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.roll() % end }
    }

    /// A number from `from` to `to`, both possible.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }
}

/// The engine's dice, from a seed.
#[derive(Debug)]
pub struct SimDice {
    next: AtomicU64,
}

impl SimDice {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> SimDice {
        SimDice { next: AtomicU64::new(seed) }
    }
}

impl Dice for SimDice {
    fn roll(&self) -> u64 {
        mix(self.next.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }
}
