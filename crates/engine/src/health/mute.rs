//! Muting: a code is not told of until an end that is always set, and is told of again when it spreads.
//!
//! A mute must never make a finding disappear: it stays in the report, marked.

use ostler_model::Timestamp;
use ostler_model::health::{Finding, Mute, Muted, Mutes, Report};

/// Mutes that are kept: more than that is no muting but deafness.
const MUTES_MAX: usize = 200;

/// Adds a mute, in place of an earlier one of the same code and object.
pub fn mute(mutes: &mut Mutes, one: Mute) -> Result<(), String> {
    mutes.mutes.retain(|other| other.code != one.code || other.object != one.object);
    if mutes.mutes.len() >= MUTES_MAX {
        return Err(format!("{MUTES_MAX} codes are muted already"));
    }
    mutes.mutes.push(one);
    Ok(())
}

/// Takes mutes of a code away, of one object or all. False: there was none.
pub fn unmute(mutes: &mut Mutes, code: &str, object: Option<&str>) -> bool {
    let before = mutes.mutes.len();
    mutes
        .mutes
        .retain(|one| one.code != code || object.is_some_and(|object| one.object.as_deref() != Some(object)));
    mutes.mutes.len() < before
}

/// The mute that is in force for a finding.
pub(super) fn in_force(mutes: &Mutes, finding: &Finding, now: Timestamp) -> Option<Muted> {
    let fits = |one: &&Mute| {
        one.code == finding.code
            && now < one.until
            && match &one.object {
                None => one.is_sticky || finding.objects.len() <= one.objects,
                Some(_) => false,
            }
    };
    let told = |one: &Mute| Muted { until: one.until, who: one.who.clone(), why: one.why.clone() };
    if let Some(whole) = mutes.mutes.iter().find(fits) {
        return Some(told(whole));
    }
    // Objects that are muted one by one mute the finding when none is left.
    let of = |object: &str| {
        mutes
            .mutes
            .iter()
            .find(|one| one.code == finding.code && now < one.until && one.object.as_deref() == Some(object))
    };
    let each: Option<Vec<&Mute>> = finding.objects.iter().map(|one| of(&one.object)).collect();
    each?.into_iter().min_by_key(|one| one.until).map(told)
}

/// What is left of the mutes after a look: those that have ended go, and so do those whose trouble is over or has spread,
/// unless they are to stay.
pub fn after_look(mutes: &Mutes, report: &Report, now: Timestamp) -> Mutes {
    let stays = |one: &&Mute| {
        if one.until <= now {
            return false;
        }
        if one.is_sticky || !report.is_whole {
            return true;
        }
        let Some(found) = report.findings.iter().find(|finding| finding.code == one.code) else {
            // A consequence that is hidden is not over.
            return report.hidden.iter().any(|hidden| hidden.code == one.code);
        };
        match &one.object {
            Some(object) => found.objects.iter().any(|affected| affected.object == *object),
            None => found.objects.len() <= one.objects,
        }
    };
    Mutes { mutes: mutes.mutes.iter().filter(stays).cloned().collect(), ..mutes.clone() }
}
