//! What checks found: code, severity, what was found, evidence, what to do next.
//!
//! What is well is one line unless everything is asked for.

use super::{age, count};
use crate::printer::{Ink, Printer};
use ostler_model::Timestamp;
use ostler_model::check::{Finding, Severity};
use ostler_model::inventory::Inventory;

/// A severity in brackets, in its colour.
fn mark(printer: &Printer, severity: Severity) -> String {
    match severity {
        Severity::Ok => printer.ink(Ink::Good, "[OK]  "),
        Severity::Advice => printer.ink(Ink::Faint, "[NOTE]"),
        Severity::Warning => printer.ink(Ink::Care, "[WARN]"),
        Severity::Error => printer.ink(Ink::Bad, "[ERR] "),
    }
}

/// One finding.
pub fn finding(printer: &Printer, found: &Finding) -> String {
    let mut text = format!("{} {}: {}\n", mark(printer, found.severity), found.check, found.summary);
    for line in &found.evidence {
        text.push_str(&format!("       {line}\n"));
    }
    if let Some(hint) = &found.hint {
        text.push_str(&format!("       next: {hint}\n"));
    }
    text
}

/// How many findings of each severity there are, in one line.
pub fn tally(found: &[Finding]) -> String {
    let of = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let parts =
        [(of(Severity::Error), "error"), (of(Severity::Warning), "warning"), (of(Severity::Advice), "note")];
    let mut words: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| count(number, noun))
        .collect();
    words.push(format!("{} well", count(of(Severity::Ok), "check")));
    words.join(", ")
}

/// Everything that was found, the worst first.
pub fn page(printer: &Printer, seen: &Inventory, found: &[Finding], all: bool, now: Timestamp) -> String {
    let worst = found.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    let word = match worst {
        Severity::Ok | Severity::Advice => printer.ink(Ink::Good, "well"),
        Severity::Warning => printer.ink(Ink::Care, "needs care"),
        Severity::Error => printer.ink(Ink::Bad, "not well"),
    };
    let age = age(seen.taken, now);
    let mut text = format!("cloud {} is {word}: {} (looked {age})\n", seen.cloud, tally(found));
    let mut sorted: Vec<&Finding> =
        found.iter().filter(|finding| all || finding.severity != Severity::Ok).collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for one in sorted {
        text.push_str(&finding(printer, one));
    }
    if !seen.gaps.is_empty() {
        text.push_str("not seen:\n");
        for gap in &seen.gaps {
            text.push_str(&format!("  {} {}: {}\n", gap.host, gap.what, gap.why));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_counted() {
        let found = |severity| Finding {
            check: "a".into(),
            severity,
            summary: "b".into(),
            evidence: Vec::new(),
            hint: None,
        };
        let all = [Severity::Ok, Severity::Error, Severity::Ok, Severity::Warning].map(found);
        assert_eq!(tally(&all), "1 error, 1 warning, 2 checks well");
        assert_eq!(tally(&all[..1]), "1 check well");
    }
}
