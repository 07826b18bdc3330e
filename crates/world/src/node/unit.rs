//! Steps as transient systemd units: each attempt has a name of its own, is started at most once, outlives the
//! connection that started it, and can be asked about by anybody who knows the name.
//!
//! It must never call an effect absent that may still come: an attempt whose start cannot be found is closed under
//! the same lock as its start before it is called not begun.

use super::redact::redact;
use super::shell::{Script, ShellError};
use super::ssh::Connections;
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::{HostName, RunId, StepId};
use ostler_model::limits::OUTPUT_KEPT_BYTES;
use ostler_model::plan::hex;
use ostler_model::step::Job;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long the start of a unit may take on a loaded node.
const BEGIN_LIMIT: Duration = Duration::from_secs(45);

/// Time beyond a step's own limit in which its unit is stopped by systemd and its answer gets here.
const SETTLE_SLACK_S: u32 = 30;

/// Time for the question itself, beyond the wait: two locks and a probe on a loaded node.
const ASK_LIMIT: Duration = Duration::from_secs(90);

/// The longest part of a unit's name: two of them and what stands around them fit into what systemd takes.
const NAME_PART_MAX: usize = 100;

/// Characters of a digest that keep long names apart.
const DIGEST_CHARS: usize = 16;

const BEGIN: &str = include_str!("../../data/node/begin.sh");
const SETTLE: &str = include_str!("../../data/node/settle.sh");

/// Ends the embedded script inside the one that carries it; no script of ours has such a line.
const END_OF_STEP: &str = "END-OF-STEP-OF-OSTLER";

/// What a verb comes to on a node: a script with its values.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// The nodes; each does the same.
    pub hosts: Vec<HostName>,
    /// The step's script, from prelude to dispatch.
    pub script: String,
    /// Values by name.
    pub values: Vec<(&'static str, String)>,
    /// A command's own argument list.
    pub argv: Vec<String>,
    /// Bytes of the log that are needed.
    pub log_bytes: usize,
}

impl Work {
    /// Work on one node.
    pub fn on(host: &HostName, script: String) -> Self {
        Self {
            hosts: vec![host.clone()],
            script,
            values: Vec::new(),
            argv: Vec::new(),
            log_bytes: OUTPUT_KEPT_BYTES,
        }
    }

    /// The same with one more value.
    pub fn value(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// The same with a value that is a list.
    pub fn list<S: AsRef<str>>(self, name: &'static str, items: impl IntoIterator<Item = S>) -> Self {
        let items: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
        self.value(name, items.join("\n"))
    }
}

/// The names under which one attempt lives on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The run's part of all names.
    pub run: String,
    /// What the names of all attempts of the step begin with.
    pub prefix: String,
    /// The unit.
    pub unit: String,
    /// The attempt's directory.
    pub place: String,
    /// Its log.
    pub log: String,
}

impl Names {
    pub(crate) fn of(run: &RunId, step: &StepId, attempt: u16) -> Self {
        let (run, step) = (safe(run.as_str()), safe(step.as_str()));
        let prefix = format!("ostler-{run}-{step}-");
        Self {
            unit: format!("{prefix}{attempt}.service"),
            place: format!("/var/lib/ostler/{run}/{step}-{attempt}"),
            log: format!("/var/log/ostler/{run}/{step}-{attempt}.log"),
            prefix,
            run,
        }
    }
}

/// A name as units and directories may have it; different names stay different.
pub(crate) fn safe(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => text.push(char::from(byte)),
            b'.' if !text.is_empty() => text.push('.'),
            other => text.push_str(&format!("_{other:02x}")),
        }
    }
    if text.len() > NAME_PART_MAX {
        let digest = hex(&Sha256::digest(name.as_bytes()));
        text.truncate(NAME_PART_MAX - DIGEST_CHARS);
        text.extend(digest.chars().take(DIGEST_CHARS));
    }
    text
}

/// A reason from a node, without secrets.
fn why(what: &str, hint: &str) -> Why {
    let why = Why::new(redact(what));
    if hint.is_empty() { why } else { why.hint(redact(hint)) }
}

impl Connections {
    /// Starts an attempt on one node. `Err`: it is known that nothing was started.
    pub(crate) async fn begin_unit(&self, host: &HostName, job: &Job, work: &Work) -> Result<(), Why> {
        let names = Names::of(&job.run, &job.step, job.attempt);
        let mut arguments = vec![
            names.prefix.clone(),
            names.unit.clone(),
            names.place.clone(),
            names.log.clone(),
            // Zero would mean that it may take for ever.
            job.limit_s.max(1).to_string(),
            "--".to_owned(),
        ];
        // systemd replaces variables in the arguments of a unit.
        arguments.extend(
            self.arguments(host, "effect", &names, work)
                .into_iter()
                .map(|argument| argument.replace('$', "$$")),
        );
        let text = carry(BEGIN, "begin", &work.script);
        let script = Script { doing: "the start of the step", text, arguments, limit: BEGIN_LIMIT };
        let answer = match self.run(host, script).await {
            Ok(answer) => answer,
            Err(error) if error.may_have_acted() => return Ok(()),
            Err(error) => return Err(error.why()),
        };
        let text = answer.text();
        let said =
            |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)).unwrap_or_default().to_owned();
        match text.lines().any(|line| line.starts_with("refused\t")) {
            true => Err(why(&format!("{host}: {}", said("refused\t")), &said("hint\t"))),
            // Neither started nor refused: it broke off in between, and whoever settles finds out how far it came.
            false => Ok(()),
        }
    }

    fn arguments(&self, host: &HostName, mode: &str, names: &Names, work: &Work) -> Vec<String> {
        let mut arguments = vec![
            format!("mode={mode}"),
            format!("run={}", names.run),
            format!("place={}", names.place),
            format!("host={}", safe(host.as_str())),
        ];
        arguments.extend(work.values.iter().map(|(name, value)| format!("{name}={value}")));
        arguments.push("--".to_owned());
        arguments.extend(work.argv.iter().cloned());
        arguments
    }

    /// Waits for an attempt on one node and hears what came of it.
    pub(crate) async fn settle_unit(&self, host: &HostName, job: &Job, work: &Work) -> Result<Observed, Why> {
        let names = Names::of(&job.run, &job.step, job.attempt);
        let wait_s = job.limit_s.saturating_add(SETTLE_SLACK_S);
        let mut arguments = vec![
            names.unit.clone(),
            names.place.clone(),
            names.log.clone(),
            wait_s.to_string(),
            work.log_bytes.to_string(),
            "--".to_owned(),
        ];
        arguments.extend(self.arguments(host, "probe", &names, work));
        let limit = Duration::from_secs(u64::from(wait_s)) + ASK_LIMIT;
        let mut is_second = false;
        loop {
            let text = carry(SETTLE, "settle", &work.script);
            let script = Script { doing: "the step", text, arguments: arguments.clone(), limit };
            match self.run(host, script).await {
                Ok(answer) => {
                    return Observed::read(&answer.text())
                        .ok_or_else(|| not_told(host, &names, answer.status));
                }
                // A connection may break while everything goes on behind it. Asking again changes nothing.
                Err(ShellError::Ssh(error)) if error.may_have_acted() && !is_second => is_second = true,
                Err(error) => return Err(error.why()),
            }
        }
    }
}

fn not_told(host: &HostName, names: &Names, status: Option<u32>) -> Why {
    let how = match status {
        Some(74) => "its file system /var cannot be written".to_owned(),
        Some(75) => "another process holds the step's lock".to_owned(),
        Some(status) => format!("the question ended with status {status}"),
        None => "the question was interrupted".to_owned(),
    };
    Why::new(format!("{host} does not say what came of the step: {how}"))
        .hint(format!("on {host}, see: systemctl status {}; {}", names.unit, names.log))
}

fn carry(carrier: &str, function: &str, step: &str) -> String {
    format!("{carrier}\n{function} \"$@\" <<'{END_OF_STEP}'\n{step}\n{END_OF_STEP}\n")
}

/// What a step's script said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub verdict: Option<Verdict>,
    pub why: String,
    pub hint: String,
    pub refusal: Option<(String, String)>,
    pub code: Option<i32>,
    pub facts: Facts,
}

/// A script's word for the state of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    NotDone,
    Unknown,
}

impl Said {
    fn take(&mut self, line: &str) {
        let (tag, rest) = line.split_once('\t').unwrap_or((line, ""));
        match tag {
            "verdict" => {
                self.verdict = match rest {
                    "done" => Some(Verdict::Done),
                    "not-done" => Some(Verdict::NotDone),
                    "unknown" => Some(Verdict::Unknown),
                    _ => None,
                }
            }
            "why" => self.why = rest.to_owned(),
            "hint" => self.hint = rest.to_owned(),
            "refusal" => self.refusal = Some((rest.to_owned(), String::new())),
            "way-out" => {
                if let Some((_, way_out)) = &mut self.refusal {
                    *way_out = rest.to_owned();
                }
            }
            "code" => self.code = rest.parse().ok(),
            "fact" => {
                if let Some((name, value)) = rest.split_once('\t') {
                    self.facts.insert(name.to_owned(), redact(value));
                }
            }
            _ => {}
        }
    }
}

/// Everything that a node says of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// This boot.
    pub boot: String,
    /// The boot in which the attempt was begun, if it was.
    pub begun: Option<String>,
    /// Whether it still runs.
    pub runs: bool,
    /// The unit's result as systemd has it: `success`, `timeout`, `signal`, `oom-kill` …
    pub unit_result: String,
    /// Whether systemd still knows the unit.
    pub unit_loaded: bool,
    /// What the script wrote down when it ended.
    pub recorded: Option<Said>,
    /// What the probe said now.
    pub probed: Option<Said>,
    /// The end of its log.
    pub log: String,
}

impl Observed {
    /// Reads a node's answer; none if it is not whole.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut seen = Observed::default();
        let mut is_whole = false;
        for line in text.lines() {
            let (tag, rest) = line.split_once('\t').unwrap_or((line, ""));
            match tag {
                "boot" => seen.boot = rest.to_owned(),
                "begun" => seen.begun = Some(rest.to_owned()),
                "runs" => seen.runs = true,
                "unit" => match rest.split_once('=') {
                    Some(("Result", result)) => seen.unit_result = result.to_owned(),
                    Some(("LoadState", load)) => seen.unit_loaded = load == "loaded",
                    _ => {}
                },
                "recorded" => seen.recorded.get_or_insert_default().take(rest),
                "probed" => seen.probed.get_or_insert_default().take(rest),
                "log" => {
                    seen.log.push_str(rest);
                    seen.log.push('\n');
                }
                "end" => is_whole = true,
                _ => {}
            }
        }
        seen.log = redact(&seen.log);
        is_whole.then_some(seen)
    }

    fn has_restarted(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| *begun != self.boot)
    }

    /// What came of the attempt.
    pub(crate) fn outcome(&self, host: &HostName, names: &Names) -> Outcome {
        let see = format!("on {host}, see {}", names.log);
        if self.runs {
            return Outcome::Unknown {
                why: Why::new(format!("{} still runs on {host} although its time is up", names.unit))
                    .hint(format!("wait for it, or stop it there with: systemctl stop {}", names.unit)),
            };
        }
        // What was written down in this boot is the truth; after a restart only the world itself knows.
        let fresh = self.recorded.as_ref().filter(|said| said.verdict.is_some() && !self.has_restarted());
        let Some(said) = fresh.or(self.probed.as_ref()) else {
            return Outcome::Unknown {
                why: Why::new(format!("{host} does not say what came of the step")).hint(see),
            };
        };
        match said.verdict {
            Some(Verdict::Done) => {
                let mut facts = self.recorded.as_ref().map(|said| said.facts.clone()).unwrap_or_default();
                facts.extend(said.facts.clone());
                if self.begun.is_none() {
                    facts.insert("found".to_owned(), "the state was there without this attempt".to_owned());
                }
                Outcome::Done { facts }
            }
            Some(Verdict::NotDone) => Outcome::NotDone { why: self.reason(said, host, &see) },
            Some(Verdict::Unknown) => Outcome::Unknown { why: self.reason(said, host, &see) },
            None => Outcome::Unknown {
                why: Why::new(format!("{host} does not say in which state the step left it")).hint(see),
            },
        }
    }

    fn reason(&self, said: &Said, host: &HostName, see: &str) -> Why {
        let (mut what, mut hint) = (said.why.clone(), said.hint.clone());
        if let Some((refusal, way_out)) = &said.refusal {
            if said.verdict == Some(Verdict::NotDone) {
                (what, hint) = (refusal.clone(), way_out.clone());
            } else {
                what = format!("{what}; {refusal}");
            }
        } else if let Some(how) = self.ending(said) {
            what = format!("{what}; {how}");
        }
        let hint = if hint.is_empty() { see.to_owned() } else { hint };
        why(&format!("{host}: {what}"), &hint)
    }

    /// How the attempt ended, where that says more than the state of the world.
    fn ending(&self, said: &Said) -> Option<String> {
        let last =
            self.log.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
        if self.begun.is_none() {
            return Some("the attempt was never started there".to_owned());
        }
        if self.has_restarted() {
            return Some("the node restarted in the meantime".to_owned());
        }
        match (said.code, self.unit_result.as_str()) {
            (Some(0), _) => None,
            (Some(code), _) => Some(format!("it ended with status {code}, its last words: {last}")),
            (None, "timeout") => Some("it was stopped because its time was up".to_owned()),
            (None, "oom-kill") => Some("it was killed because the node ran out of memory".to_owned()),
            (None, "signal") => Some("it was killed by a signal".to_owned()),
            (None, _) if !self.unit_loaded => Some("systemd no longer knows the unit".to_owned()),
            (None, _) => Some(format!("it broke off, its last words: {last}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        Names::of(&RunId::from("20261121T213200-ab3x"), &StepId::from("ctl1-install"), 1)
    }

    fn outcome(text: &str) -> Outcome {
        Observed::read(text).unwrap().outcome(&HostName::from("ctl1"), &names())
    }

    fn what(outcome: Outcome) -> (&'static str, String) {
        match outcome {
            Outcome::Done { facts } => ("done", format!("{facts:?}")),
            Outcome::NotDone { why } => ("not-done", why.what),
            Outcome::Unknown { why } => ("unknown", why.what),
        }
    }

    #[test]
    fn names_are_readable_and_safe() {
        assert_eq!(names().unit, "ostler-20261121T213200-ab3x-ctl1-install-1.service");
        assert_eq!(safe("../a b"), "_2e._2fa_20b");
        let long = |end: &str| safe(&format!("{}{end}", "x".repeat(300)));
        assert!(long("a").len() == NAME_PART_MAX && long("a") != long("b"));
    }

    proptest! {
        #[test]
        fn different_steps_have_different_names(a in "[a-z/_ .$]{1,20}", b in "[a-z/_ .$]{1,20}") {
            prop_assert_eq!(a == b, safe(&a) == safe(&b));
            prop_assert!(safe(&a).bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
        }
    }

    #[test]
    fn an_answer_that_is_not_whole_is_none() {
        assert_eq!(Observed::read("boot\tb\nrecorded\tverdict\tdone\n"), None);
    }

    /// Every row: what the node says, what that means, and words that the reason must hold.
    #[test]
    fn what_a_node_says_decides_the_outcome() {
        let rows: &[(&str, &str, &str, &str)] = &[
            (
                "a record of this boot counts",
                "begun\tb1\nunit\tLoadState=loaded\nunit\tResult=success\nrecorded\tcode\t0\nrecorded\tfact\tkeystone\t27.1.0\nrecorded\tverdict\tdone",
                "done",
                "27.1.0",
            ),
            (
                "also when the unit was tidied away",
                "begun\tb1\nunit\tLoadState=not-found\nunit\tResult=success\nrecorded\tcode\t0\nrecorded\tverdict\tdone",
                "done",
                "",
            ),
            (
                "a refusal is the reason",
                "begun\tb1\nunit\tLoadState=loaded\nrecorded\trefusal\tno such package\nrecorded\tway-out\tfind it\nrecorded\tcode\t70\nrecorded\twhy\tit is 1\nrecorded\tverdict\tnot-done",
                "not-done",
                "ctl1: no such package",
            ),
            (
                "a failure names its status and last words",
                "begun\tb1\nunit\tResult=exit-code\nrecorded\tcode\t100\nrecorded\twhy\tit is 1\nrecorded\tverdict\tnot-done\nlog\tE: broken\nlog\t",
                "not-done",
                "status 100, its last words: E: broken",
            ),
            (
                "a failure with the state there is done",
                "begun\tb1\nrecorded\tcode\t1\nrecorded\tverdict\tdone",
                "done",
                "",
            ),
            (
                "half-way is unknown",
                "begun\tb1\nrecorded\tcode\t1\nrecorded\twhy\thalf-way\nrecorded\tverdict\tunknown",
                "unknown",
                "half-way",
            ),
            (
                "killed by the limit: the probe decides",
                "begun\tb1\nunit\tLoadState=loaded\nunit\tResult=timeout\nprobed\twhy\tnot there\nprobed\tverdict\tnot-done",
                "not-done",
                "time was up",
            ),
            (
                "killed, but the state is there",
                "begun\tb1\nunit\tResult=signal\nprobed\tverdict\tdone",
                "done",
                "",
            ),
            (
                "a restart makes the record old: the probe decides",
                "begun\tb0\nrecorded\tcode\t0\nrecorded\tverdict\tdone\nprobed\twhy\tit runs\nprobed\tverdict\tnot-done",
                "not-done",
                "restarted",
            ),
            (
                "a restart, and the state survived",
                "begun\tb0\nrecorded\tfact\tbytes\t7\nrecorded\tverdict\tdone\nprobed\tverdict\tdone",
                "done",
                "bytes",
            ),
            (
                "never begun",
                "unit\tLoadState=not-found\nunit\tResult=success\nprobed\twhy\tit is 1\nprobed\tverdict\tnot-done",
                "not-done",
                "never started",
            ),
            (
                "never begun, but the state is there",
                "unit\tLoadState=not-found\nprobed\tverdict\tdone",
                "done",
                "without this attempt",
            ),
            (
                "a record that breaks off does not count",
                "begun\tb1\nunit\tResult=success\nrecorded\tcode\t0",
                "unknown",
                "does not say",
            ),
            (
                "a probe that says nothing",
                "begun\tb1\nunit\tResult=signal\nprobed\tfact\ta\tb",
                "unknown",
                "in which state",
            ),
            ("it still runs", "begun\tb1\nruns\tyes\nunit\tLoadState=loaded", "unknown", "still runs"),
            (
                "secrets are masked",
                "begun\tb1\nrecorded\tcode\t1\nrecorded\twhy\tpassword = hunter2\nrecorded\tverdict\tnot-done",
                "not-done",
                "password = ***",
            ),
        ];
        for (row, said, expected, words) in rows {
            let (kind, text) = what(outcome(&format!("boot\tb1\n{said}\nend\t1\n")));
            assert_eq!((kind, text.contains(words)), (*expected, true), "{row}: {text}");
        }
    }
}
