//! Schemas: running a service's own commands that change or check them, reading one out of an isolated node, and
//! putting one back into the running cluster.
//!
//! It must never change a schema by statements of its own where the service has a command for it.

use super::unit::Work;
use super::words;
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::HostName;
use ostler_model::limits::OUTPUT_KEPT_BYTES;
use ostler_model::step::Reading;

/// Bytes of a checking command's answer that are searched for blocking texts.
const ADVICE_BYTES: usize = 64 << 10;

/// Time that is left of a step's limit when its command is given up.
const MARGIN_S: u32 = 5;

/// What Python programs say when they did not understand their arguments; their exit code then means something else.
const MISUNDERSTOOD: [&str; 2] = ["usage: ", "Traceback (most recent call last)"];

const SCHEMA: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-database.sh"),
    include_str!("../../data/node/schema.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const ADVISE: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/advise.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const EXTRACT: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-database.sh"),
    include_str!("../../data/node/lib-backup.sh"),
    include_str!("../../data/node/schema-extract.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const LOAD: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-database.sh"),
    include_str!("../../data/node/lib-backup.sh"),
    include_str!("../../data/node/schema-load.sh"),
    include_str!("../../data/node/dispatch.sh")
);

/// A database with the table that holds its heads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Database<'a> {
    pub name: &'a str,
    pub version_table: &'a str,
}

impl Database<'_> {
    fn on(&self, host: &HostName, script: &str) -> Result<Work, Why> {
        words::database(self.name)?;
        words::database(self.version_table)?;
        Ok(Work::on(host, script.to_owned())
            .value("database", self.name)
            .value("version_table", self.version_table))
    }
}

fn joined(heads: &[String]) -> Result<String, Why> {
    words::each(heads, words::head)?;
    Ok(heads.join(","))
}

/// Runs one phase of a schema change.
pub(crate) fn change(
    host: &HostName,
    database: Database<'_>,
    argv: &[String],
    user: &str,
    (before, after): (&[String], &[String]),
) -> Result<Work, Why> {
    words::account(user)?;
    let work = database
        .on(host, SCHEMA)?
        .value("user", user)
        .value("before", joined(before)?)
        .value("after", joined(after)?);
    Ok(Work { argv: command(argv)?, ..work })
}

/// Runs a checking command.
pub(crate) fn advise(host: &HostName, argv: &[String], user: &str, limit_s: u32) -> Result<Work, Why> {
    words::account(user)?;
    let patience_s = limit_s.saturating_sub(MARGIN_S).max(1);
    let work =
        Work::on(host, ADVISE.to_owned()).value("user", user).value("patience_s", patience_s.to_string());
    Ok(Work { argv: command(argv)?, log_bytes: ADVICE_BYTES, ..work })
}

fn command(argv: &[String]) -> Result<Vec<String>, Why> {
    match argv.first() {
        Some(program) if !program.is_empty() && !program.starts_with('-') => Ok(argv.to_vec()),
        _ => {
            Err(Why::new("the step has no command to run").hint("correct the catalogue page, and plan again"))
        }
    }
}

/// What a checking command's answer means.
pub(crate) fn read_advice(reading: &Reading, facts: &Facts, answer: &str, hint: &str) -> Outcome {
    let code: Option<i32> = facts.get("exit").and_then(|code| code.parse().ok());
    let blocking = MISUNDERSTOOD.iter().copied().chain(reading.blocking_texts.iter().map(String::as_str));
    let found: Vec<&str> = blocking.filter(|text| answer.contains(text)).collect();
    let is_ok = code.is_some_and(|code| reading.ok.contains(&code));
    let is_advice = code.is_some_and(|code| reading.advice.contains(&code));
    if !found.is_empty() || !(is_ok || is_advice) {
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let lines: Vec<&str> =
            answer.lines().filter(|line| found.iter().any(|text| line.contains(text))).collect();
        let last = answer.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        let what = if lines.is_empty() { last.to_owned() } else { lines.join("; ") };
        return Outcome::NotDone {
            why: Why::new(format!("the check found what must be repaired first (status {code}): {what}"))
                .hint(hint),
        };
    }
    let mut facts = facts.clone();
    let start = answer.len().saturating_sub(OUTPUT_KEPT_BYTES);
    let start = (start..=answer.len()).find(|at| answer.is_char_boundary(*at)).unwrap_or(answer.len());
    let answer = answer[start..].trim();
    if is_advice {
        facts.insert("advice".to_owned(), answer.to_owned());
    } else if !answer.is_empty() {
        facts.insert("answer".to_owned(), answer.to_owned());
    }
    Outcome::Done { facts }
}

/// Reads a database out of an isolated node.
pub(crate) fn extract(
    host: &HostName,
    database: Database<'_>,
    directory: &str,
    heads: &[String],
) -> Result<Work, Why> {
    words::path(directory)?;
    Ok(database.on(host, EXTRACT)?.value("directory", directory).value("heads", joined(heads)?))
}

/// Where [`extract`] leaves its dump and the dump's digest.
pub(crate) fn extracted(directory: &str, run: &str, database: &str) -> (String, [String; 2]) {
    let place = format!("{directory}/{run}/extract");
    let files = [format!("{place}/{database}.sql.zst"), format!("{place}/{database}.sha256")];
    (place, files)
}

/// Replaces a database of the running cluster by a dump that lies on the node, with its digest in the file `sums`.
pub(crate) fn load(
    host: &HostName,
    database: Database<'_>,
    place: &str,
    sums: &str,
    heads: &[String],
) -> Result<Work, Why> {
    words::path(place)?;
    Ok(database.on(host, LOAD)?.value("directory", place).value("sums", sums).value("wanted", joined(heads)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading { ok: vec![0], advice: vec![1], blocking_texts: vec!["WARNING: Fernet".to_owned()] }
    }

    fn read(code: &str, answer: &str) -> Outcome {
        read_advice(&reading(), &Facts::from([("exit".to_owned(), code.to_owned())]), answer, "see the log")
    }

    #[test]
    fn answers_are_fine_advice_or_blocking() {
        assert!(matches!(read("0", ""), Outcome::Done { facts } if !facts.contains_key("advice")));
        assert!(
            matches!(read("1", "WARNING: debug is on\n"), Outcome::Done { facts } if facts["advice"] == "WARNING: debug is on")
        );
        for (code, answer, words) in [
            ("2", "boom", "boom"),
            ("1", "a\nWARNING: Fernet key repository is empty\n", "Fernet key"),
            ("0", "Traceback (most recent call last):\nKeyError", "Traceback"),
            ("1", "usage: keystone-manage [-h]", "usage"),
            ("", "", "it said nothing"),
        ] {
            let Outcome::NotDone { why } = read(code, answer) else { panic!("{code} {answer}") };
            assert!(why.what.contains(words), "{why}");
        }
    }

    #[test]
    fn long_advice_is_cut_at_its_beginning() {
        let answer = format!("{}ü{}", "x".repeat(10), "y".repeat(OUTPUT_KEPT_BYTES - 1));
        let Outcome::Done { facts } = read("1", &answer) else { panic!() };
        assert!(facts["advice"].len() <= OUTPUT_KEPT_BYTES && facts["advice"].ends_with('y'));
    }
}
