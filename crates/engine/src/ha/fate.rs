//! What becomes of each instance of a dead host: moved, with which state afterwards, or left alone and why; and who goes
//! first.
//!
//! It decides by what was seen before the failure, never by what the recovery itself has left behind.

use super::policy::{LocalDisks, Policy};
use ostler_model::compute::{Disk, GuestPower, Instance, VmState};
use ostler_model::step::Wanted;

/// What becomes of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is moved.
    Move {
        /// Whether its state is none that can be evacuated, and is written to *error* first.
        reset: bool,
        /// What it is afterwards.
        to: Wanted,
    },
    /// It is left alone.
    Leave {
        /// Why, in an operator's words.
        why: String,
    },
}

/// Priority of an instance that says nothing.
const PRIORITY: u16 = 500;

/// The highest priority.
const PRIORITY_MAX: u16 = 1_000;

fn leave(why: impl Into<String>) -> Fate {
    Fate::Leave { why: why.into() }
}

/// What becomes of an instance that was like this before its host failed.
pub fn fate(before: &Instance, policy: &Policy) -> Fate {
    if !policy.evacuate_all && !is_ha_enabled(before, policy) {
        return leave(format!("{} is not set, and only instances that have it are moved", policy.ha_key));
    }
    if let Some(obstacle) = &before.obstacle {
        return leave(format!("it cannot be evacuated: {obstacle}"));
    }
    if before.disk == Disk::Local && policy.local_disks == LocalDisks::Leave {
        return leave(
            "its disk is on the host: elsewhere it would be made anew from its image, and its data lost",
        );
    }
    let is_off = matches!(before.power, Some(GuestPower::Off | GuestPower::Crashed));
    let moved = |reset, to| Fate::Move { reset, to };
    match before.state {
        VmState::Building => leave("it was being built: it has nothing to lose, and is built anew faster"),
        VmState::Shelved | VmState::ShelvedOffloaded => leave("it is shelved: its image is safe"),
        VmState::SoftDeleted | VmState::Deleted => leave("it is deleted"),
        _ if !before.launched => leave("it has never run"),
        VmState::Active => moved(false, Wanted::Active),
        VmState::Stopped => moved(false, Wanted::Stopped),
        VmState::Error if policy.ignore_error => leave("it was in error before"),
        VmState::Error => moved(false, Wanted::Error),
        VmState::Resized if is_off => moved(true, Wanted::Stopped),
        VmState::Resized => moved(true, Wanted::Active),
        VmState::Paused | VmState::Suspended | VmState::Rescued => moved(true, policy.paused_become),
        VmState::Other => moved(true, Wanted::Stopped),
    }
}

/// Whether an instance is marked, by one of the words that have always counted.
pub fn is_ha_enabled(instance: &Instance, policy: &Policy) -> bool {
    let word = instance.metadata.get(&policy.ha_key).map(|word| word.trim().to_ascii_lowercase());
    word.is_some_and(|word| ["true", "yes", "on", "1", "t", "y"].contains(&word.as_str()))
}

/// The priority of an instance: higher goes first. What is no number from 1 to 1000 counts as none.
pub fn priority(instance: &Instance, policy: &Policy) -> u16 {
    let said = policy.priority_keys.iter().find_map(|key| instance.metadata.get(key));
    let number = said.and_then(|said| said.trim().parse().ok());
    number.filter(|number| (1..=PRIORITY_MAX).contains(number)).unwrap_or(PRIORITY)
}
