//! The health of a cloud on a page: the verdict, findings with the root of trouble first, what was not seen, what to type next.
//!
//! A view looks only at what it is given. Colours never carry a meaning alone.

use super::{age, count, local};
use crate::duration::words;
use crate::printer::{Ink, Printer};
use ostler_engine::health::{Explained, Library};
use ostler_model::Timestamp;
use ostler_model::health::{Check, Finding, Report, Severity};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Objects of one finding that are shown in detail.
const OBJECTS_SHOWN: usize = 50;

/// Codes that are named of those that one reason keeps from being judged.
const CODES_SHOWN: usize = 3;

/// The verdict in one word.
pub fn state(report: &Report) -> &'static str {
    match report.worst {
        Some(Severity::Critical) => "HEALTH_CRIT",
        Some(Severity::Error) => "HEALTH_ERR",
        Some(Severity::Warning) => "HEALTH_WARN",
        Some(Severity::Info) | None if !report.is_whole => "HEALTH_UNKNOWN",
        Some(Severity::Info) | None => "HEALTH_OK",
    }
}

fn ink(report: &Report) -> Ink {
    match report.worst {
        Some(Severity::Critical | Severity::Error) => Ink::Bad,
        Some(Severity::Warning) => Ink::Care,
        _ if !report.is_whole => Ink::Care,
        _ => Ink::Good,
    }
}

/// The first line.
pub fn heading(printer: &Printer, report: &Report) -> String {
    let muted = report.findings.iter().filter(|finding| finding.muted.is_some()).count();
    let mut parts = vec![count(report.checks, "check")];
    if !report.unseen.is_empty() {
        parts.push(format!("{} not seen", report.unseen.len()));
    }
    if muted > 0 {
        parts.push(format!("{muted} muted"));
    }
    let mut text = format!(
        "{}  cloud {}  {}  {}",
        printer.ink(ink(report), state(report)),
        report.cloud,
        local(report.taken),
        parts.join(", ")
    );
    if let Some(all) = report.cost.first() {
        let _ = write!(text, "  took {}", words(all.ms));
    }
    text
}

fn mark(printer: &Printer, finding: &Finding) -> String {
    let (ink, word) = match finding.severity {
        Severity::Critical => (Ink::Bad, "CRIT"),
        Severity::Error => (Ink::Bad, "ERR "),
        Severity::Warning => (Ink::Care, "WARN"),
        Severity::Info => (Ink::Faint, "INFO"),
    };
    printer.ink(if finding.counts() { ink } else { Ink::Faint }, word)
}

fn aside(finding: &Finding) -> String {
    match (&finding.muted, &finding.expected) {
        (Some(muted), _) => {
            let why = muted.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("muted until {} by {}{why}; ", local(muted.until), muted.who)
        }
        (None, Some(why)) => format!("expected, {why}; "),
        (None, None) => String::new(),
    }
}

/// Everything.
pub fn page(printer: &Printer, report: &Report, in_detail: bool, stats: bool, now: Timestamp) -> String {
    let mut text = format!("{}\n", heading(printer, report));
    let width = report.findings.iter().map(|finding| finding.code.len()).max().unwrap_or(0);
    for finding in &report.findings {
        let _ = writeln!(
            text,
            " {} {:width$}  {}{}",
            mark(printer, finding),
            finding.code,
            aside(finding),
            finding.summary
        );
        if in_detail {
            detail(&mut text, finding, now);
        }
    }
    for unseen in &report.unseen {
        let shown = unseen.codes.iter().take(CODES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let rest = unseen.codes.len().saturating_sub(CODES_SHOWN);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let host = unseen.gap.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
        let _ = writeln!(
            text,
            " {}    not judged: {shown}{more} ({host}{} - {})",
            printer.ink(Ink::Care, "?"),
            unseen.what,
            unseen.gap.why
        );
    }
    if !report.hidden.is_empty() {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        report.hidden.iter().for_each(|hidden| *by.entry(&hidden.by).or_default() += 1);
        let words: Vec<String> = by.iter().map(|(code, number)| format!("{number} of {code}")).collect();
        let _ =
            writeln!(text, "hidden: {} ({})", count(report.hidden.len(), "consequence"), words.join(", "));
        if in_detail {
            for hidden in report.hidden.iter().take(OBJECTS_SHOWN) {
                let _ = writeln!(text, "       {} {} by {}", hidden.code, hidden.object, hidden.by);
            }
        }
    }
    if stats {
        text.push_str("what it cost the cloud:\n");
        for cost in &report.cost {
            let _ = writeln!(
                text,
                "  {:20} {:>6} requests  {:>9} bytes  {}",
                cost.part,
                cost.requests,
                cost.bytes,
                words(cost.ms)
            );
        }
    }
    if let Some(first) = report.findings.iter().find(|finding| finding.counts()) {
        let _ = writeln!(text, "next: {}", first.next);
    }
    text
}

fn detail(text: &mut String, finding: &Finding, now: Timestamp) {
    let _ = writeln!(text, "       {}", finding.title);
    for object in finding.objects.iter().take(OBJECTS_SHOWN) {
        let since = match object.since == finding.since && finding.objects.len() == 1 {
            true => String::new(),
            false => format!(" (since {})", age(object.since, now)),
        };
        let _ = writeln!(text, "       {} {}: {}{since}", object.severity, object.object, object.evidence);
    }
    if finding.objects.len() > OBJECTS_SHOWN {
        let _ = writeln!(
            text,
            "       and {} more: `--format json` has them all",
            finding.objects.len() - OBJECTS_SHOWN
        );
    }
    let _ = writeln!(text, "       first seen {}; next: {}", age(finding.since, now), finding.next);
}

/// One code for a person.
pub fn explained(printer: &Printer, explained: &Explained<'_>) -> String {
    let check = explained.check;
    let mut text = format!("{}: {}\n\n", printer.ink(Ink::Heading, &check.code), check.title);
    let _ = writeln!(text, "group     {}", explained.group);
    for (severity, when) in check.levels() {
        let _ = writeln!(text, "{:9} when {}", severity.to_string(), one_line(when));
    }
    let _ = writeln!(text, "over      {}", over(check));
    let _ = writeln!(text, "\nWhy: {}", check.cause.trim());
    text.push_str("\nSee it by hand:\n");
    for line in &check.verify {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "\nWhat to do: {}", check.fix.trim());
    if !check.after.is_empty() {
        let roots: Vec<String> = check.after.iter().cloned().map(String::from).collect();
        let _ = writeln!(text, "\nHidden while one of these is found: {}", roots.join(", "));
    }
    if !explained.explains.is_empty() {
        let _ = writeln!(text, "\nExplains: {}", explained.explains.join(", "));
    }
    text
}

fn over(check: &Check) -> String {
    let mut text = format!("table {}", check.over);
    if let Some(only) = &check.only {
        let _ = write!(text, ", rows with {}", one_line(only));
    }
    match check.per.as_deref() {
        None => {}
        Some([]) => text.push_str(", all together"),
        Some(columns) => {
            let _ = write!(text, ", together by {}", columns.join(" and "));
        }
    }
    if check.raise_after > 1 {
        let _ = write!(text, "; counts after {} looks", check.raise_after);
    }
    if check.clear_after > 1 {
        let _ = write!(text, "; is over after {} good looks", check.clear_after);
    }
    if check.deep {
        text.push_str("; only with --deep");
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All codes, as a page of Markdown.
pub fn reference(library: &Library) -> String {
    let all = library.all();
    let mut text = format!(
        "# Health codes\n\nWritten by `ostler explain --all`. There are {} codes. A severity is reached when its expression holds; the worst one \
         counts. docs/health.md says how expressions are read, and how a site changes a check.\n",
        all.len()
    );
    let mut group = "";
    for explained in &all {
        if explained.group != group {
            group = explained.group;
            let _ = write!(text, "\n## {group}\n");
        }
        let check = explained.check;
        let _ = write!(text, "\n### {}\n\n{}.\n\n", check.code, check.title.trim_end_matches('.'));
        for (severity, when) in check.levels() {
            let _ = writeln!(text, "- {severity}: `{}`", one_line(when));
        }
        let _ = writeln!(text, "- looked at: {}", over(check));
        if !check.after.is_empty() {
            let roots: Vec<String> = check.after.iter().cloned().map(String::from).collect();
            let _ = writeln!(text, "- hidden by: {}", roots.join(", "));
        }
        let _ = write!(
            text,
            "\nWhy: {}\n\nSee it by hand:\n\n```\n{}\n```\n\nWhat to do: {}\n",
            check.cause.trim(),
            check.verify.join("\n"),
            check.fix.trim()
        );
    }
    text
}
