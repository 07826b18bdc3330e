//! The check after a change: every way in asked again and again, and logs looked at for errors that are new.
//!
//! It only looks, so it may be done again after a crash. It must never call a service well because few were asked: each
//! way in counts for itself.

use crate::seam::Seams;
use futures_util::future::join_all;
use ostler_model::Timestamp;
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::function::{LogAllowance, LogError, LogGate};
use ostler_model::step::{Call, Through};

/// New errors that a breach shows: a person reads the logs then.
const ERRORS_SHOWN: usize = 5;

/// What is wanted of each way in.
pub(super) struct Wanted<'a> {
    pub calls: &'a [Call],
    pub rounds: u16,
    pub every_ms: u32,
    pub least_permille: u16,
}

/// What came of asking one way in.
struct Told {
    good: u32,
    slowest_ms: u64,
    last: Option<Why>,
}

pub(super) async fn check(
    seams: &Seams,
    through: &[Through],
    wanted: Wanted<'_>,
    logs: Option<&LogGate>,
    since: Option<Timestamp>,
) -> Outcome {
    let told = join_all(through.iter().map(|way| ask(seams, way, &wanted))).await;
    let mut facts = Facts::new();
    let mut breaches = Vec::new();
    let mut hint = None;
    for (way, told) in through.iter().zip(told) {
        let rounds = u32::from(wanted.rounds);
        let share = format!("{} of {rounds}", told.good);
        let permille = told.good * 1000 / rounds.max(1);
        if permille < u32::from(wanted.least_permille) {
            let last = told.last.map(|why| {
                hint = hint.take().or(why.hint);
                why.what
            });
            let last = last.map(|what| format!(", the last one not: {what}")).unwrap_or_default();
            breaches.push(format!("{}: {share} rounds were good{last}", name(way)));
        }
        facts.insert(name(way), format!("{share}, slowest {} ms", told.slowest_ms));
    }
    if let Some(gate) = logs {
        match seams.nodes.new_errors(gate, since.unwrap_or_else(|| seams.clock.now())).await {
            // Logs that cannot be read are no proof of health.
            Err(why) => breaches.push(format!("the logs could not be read: {}", why.what)),
            Ok(errors) => {
                let (new, allowed) = judge(&gate.allow, &errors);
                facts.insert("new errors".to_owned(), new.len().to_string());
                if !allowed.is_empty() {
                    facts.insert("allowed errors".to_owned(), allowed.join("; "));
                }
                breaches.extend(new.iter().take(ERRORS_SHOWN).map(|error| {
                    let nodes: Vec<&str> = error.nodes.iter().map(|node| node.as_str()).collect();
                    format!("new in the logs of {}, {} times: {}", nodes.join(", "), error.count, error.what)
                }));
                if new.len() > ERRORS_SHOWN {
                    breaches.push(format!("and {} more new errors", new.len() - ERRORS_SHOWN));
                }
                if !new.is_empty() && hint.is_none() {
                    hint = Some("see them in full: `ostler logs gate node: --since RUN`".to_owned());
                }
            }
        }
    }
    match breaches.is_empty() {
        true => Outcome::Done { facts },
        false => Outcome::NotDone { why: Why { what: breaches.join("; "), hint } },
    }
}

async fn ask(seams: &Seams, way: &Through, wanted: &Wanted<'_>) -> Told {
    let mut told = Told { good: 0, slowest_ms: 0, last: None };
    for round in 0..wanted.rounds {
        if round > 0 {
            seams.clock.sleep(u64::from(wanted.every_ms)).await;
        }
        match seams.cloud.call(way, wanted.calls).await {
            Ok(called) => {
                told.good += 1;
                told.slowest_ms = told.slowest_ms.max(called.slowest_ms);
            }
            Err(why) => told.last = Some(why),
        }
    }
    told
}

/// Parts errors into those that nobody has allowed, and words for the others.
fn judge<'a>(allow: &[LogAllowance], errors: &'a [LogError]) -> (Vec<&'a LogError>, Vec<String>) {
    let (mut new, mut allowed) = (Vec::new(), Vec::new());
    for error in errors {
        let by = allow.iter().find(|allowance| {
            error.count <= allowance.most && allowance.says.iter().any(|text| error.what.contains(text))
        });
        match by {
            Some(allowance) => {
                allowed.push(format!("{} x{}: {}", error.what, error.count, allowance.because))
            }
            None => new.push(error),
        }
    }
    (new, allowed)
}

fn name(way: &Through) -> String {
    match way {
        Through::Backend { host, .. } => host.to_string(),
        Through::Front { .. } => "front door".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_allowed_by_what_it_says_and_only_so_often() {
        let error = |what: &str, count| LogError {
            nodes: vec!["ctl1".into()],
            service: "s".into(),
            what: what.into(),
            count,
        };
        let allow = [LogAllowance {
            says: vec!["ECONNREFUSED".into(), "refused".into()],
            most: 3,
            because: "services restart".into(),
        }];
        let errors =
            [error("connection refused", 3), error("connection refused", 4), error("no such table", 1)];
        let (new, allowed) = judge(&allow, &errors);
        assert_eq!(new.iter().map(|error| error.count).collect::<Vec<_>>(), [4, 1]);
        assert_eq!(allowed, ["connection refused x3: services restart"]);
    }
}
