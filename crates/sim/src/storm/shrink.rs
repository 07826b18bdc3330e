//! Makes a story that broke a rule smaller, as long as it breaks the same rule.
//!
//! It leaves out and never adds, so that the smaller story is a part of the first one.

use super::story::Story;
use super::tell::tell;
use crate::cloud::Size;

/// Stories that are told while one is made smaller.
const TELLINGS_MAX: usize = 400;

/// The smallest story found that breaks the same rule.
pub fn shrink(story: &Story, invariant: &str) -> Story {
    let mut best = story.clone();
    let mut left = TELLINGS_MAX;
    let mut still_breaks = |candidate: &Story| {
        left = left.saturating_sub(1);
        left > 0 && tell(candidate, false).breaches.iter().any(|breach| breach.invariant == invariant)
    };
    loop {
        let mut smaller = None;
        let mut candidates = Vec::new();
        for at in 0..best.troubles.len() {
            let mut candidate = best.clone();
            candidate.troubles.remove(at);
            candidates.push(candidate);
        }
        for controllers in [1, 2, 3] {
            if controllers < best.size.controllers {
                let at_most = |n: usize| n.min(controllers);
                let size = Size {
                    controllers,
                    balancers: at_most(best.size.balancers),
                    members: at_most(best.size.members),
                    computes: 0,
                };
                candidates.push(Story { size, ..best.clone() });
            }
        }
        for mood in [
            super::Mood { regrets: false, ..best.mood },
            super::Mood { careless: 0, ..best.mood },
            super::Mood { turns_back: 0, ..best.mood },
            super::Mood { way: None, ..best.mood },
        ] {
            if mood != best.mood {
                candidates.push(Story { mood, ..best.clone() });
            }
        }
        if best.asks {
            candidates.push(Story { asks: false, ..best.clone() });
        }
        for candidate in candidates {
            if still_breaks(&candidate) {
                smaller = Some(candidate);
                break;
            }
        }
        match smaller {
            Some(story) => best = story,
            None => return best,
        }
    }
}
