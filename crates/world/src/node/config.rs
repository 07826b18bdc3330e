//! Configuration files: writing edited ones beside the active ones, putting them in place, putting old ones back.
//!
//! It must never show a file's content to anybody, and never change an active file but by one rename.

use super::shell::{Script, quote};
use super::ssh::Connections;
use super::unit::{Work, safe};
use super::words;
use crate::oslo_ini::Ini;
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::{HostName, RunId};
use ostler_model::plan::hex;
use ostler_model::step::ConfigEdit;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long reading or writing one file may take.
const FILE_LIMIT: Duration = Duration::from_secs(20);

/// The largest configuration file that is edited: the largest sample file of any service has 300 KB.
const FILE_BYTES_MAX: usize = 2 << 20;

const READ: &str = include_str!("../../data/node/config-read.sh");
const STAGE: &str = include_str!("../../data/node/config-stage.sh");

const APPLY: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/config-apply.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const RESTORE: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/files-restore.sh"),
    include_str!("../../data/node/dispatch.sh")
);

/// Puts staged files in place.
pub(crate) fn apply(host: &HostName, files: &[String]) -> Result<Work, Why> {
    words::each(files, words::path)?;
    Ok(Work::on(host, APPLY.to_owned()).list("files", files))
}

/// Puts files back from a backup.
pub(crate) fn restore(host: &HostName, from: &RunId, directory: &str, files: &[String]) -> Result<Work, Why> {
    words::path(directory)?;
    words::each(files, words::path)?;
    Ok(Work::on(host, RESTORE.to_owned())
        .value("from", safe(from.as_str()))
        .value("directory", directory)
        .list("files", files))
}

/// What a file is to become.
struct Edited {
    /// Digest of what is active.
    active: String,
    /// The new content.
    text: String,
    /// Digest of the new content.
    wanted: String,
    /// Digest of what is staged, if anything is.
    staged: Option<String>,
    /// How many edits changed something.
    changes: usize,
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A staging of edited files on one node.
pub(crate) struct Staging<'a> {
    pub connections: &'a Connections,
    pub host: &'a HostName,
    pub run: &'a RunId,
    pub files: &'a BTreeMap<String, Vec<ConfigEdit>>,
}

impl Staging<'_> {
    fn staged_name(&self, file: &str) -> String {
        format!("{file}.ostler-{}", safe(self.run.as_str()))
    }

    /// Reads a file with what is staged beside it. The error says whether it is known that there is no such file.
    async fn look(&self, file: &str, edits: &[ConfigEdit]) -> Result<Edited, (Why, bool)> {
        let text = format!("{READ}\nread_both \"$@\" < /dev/null\n");
        let arguments = vec![file.to_owned(), self.staged_name(file)];
        let script = Script { doing: "reading a configuration file", text, arguments, limit: FILE_LIMIT };
        let answer = self.connections.run(self.host, script).await.map_err(|error| (error.why(), false))?;
        let host = self.host;
        if answer.status != Some(0) {
            let why = Why::new(format!("{file} cannot be read on {host}"))
                .hint("see whether the service is installed there");
            return Err((why, true));
        }
        let output = answer.text();
        let (staged, content) = output.split_once('\n').unwrap_or_default();
        if content.len() > FILE_BYTES_MAX {
            return Err((
                Why::new(format!(
                    "{file} on {host} is too big for a configuration file: {} bytes",
                    content.len()
                )),
                true,
            ));
        }
        // The answer is text already; a file that is not would come back different and is left alone.
        if content.contains('\u{fffd}') {
            return Err((Why::new(format!("{file} on {host} is not UTF-8 text, so it is not edited")), true));
        }
        let mut ini = Ini::read(content);
        let changes = edits.iter().filter(|edit| ini.apply(edit)).count();
        let text = ini.text();
        Ok(Edited {
            active: digest(content.as_bytes()),
            wanted: digest(text.as_bytes()),
            text,
            staged: (staged != "none").then(|| staged.to_owned()),
            changes,
        })
    }

    /// Stages every file. `Err`: it is known that nothing is active or staged that was not before.
    pub(crate) async fn begin(&self) -> Result<(), Why> {
        words::each(self.files.keys(), words::path)?;
        for (file, edits) in self.files {
            let edited = self.look(file, edits).await.map_err(|(why, _)| why)?;
            if edited.staged.as_ref() == Some(&edited.wanted) {
                continue;
            }
            let record =
                format!("/var/lib/ostler/{}/config/{}", safe(self.run.as_str()), file.replace('/', "%"));
            let arguments =
                [file.as_str(), &self.staged_name(file), &edited.wanted, &edited.active, &record].map(quote);
            let root = if self.connections.access().user == "root" { "" } else { "sudo -n -- " };
            let command = format!("exec {root}/bin/sh -c {} ostler {}", quote(STAGE), arguments.join(" "));
            let doing = "staging a configuration file";
            let answer = match self
                .connections
                .command(self.host, doing, &command, edited.text.as_bytes(), FILE_LIMIT)
                .await
            {
                Ok(answer) => answer,
                Err(error) if error.may_have_acted() => return Ok(()),
                Err(error) => return Err(error.why()),
            };
            let text = answer.text();
            if let Some(refusal) = text.lines().find_map(|line| line.strip_prefix("refused\t")) {
                return Err(Why::new(format!("{}: {refusal}", self.host)).hint("try again"));
            }
        }
        Ok(())
    }

    /// Whether every file is staged as it should be.
    pub(crate) async fn settle(&self) -> Outcome {
        let mut facts = Facts::new();
        for (file, edits) in self.files {
            match self.look(file, edits).await {
                Ok(edited) if edited.staged.as_ref() == Some(&edited.wanted) => {
                    facts.insert(
                        file.clone(),
                        format!(
                            "{} of {} edits changed it, sha256 {}",
                            edited.changes,
                            edits.len(),
                            edited.wanted
                        ),
                    );
                }
                Ok(_) => {
                    return Outcome::NotDone {
                        why: Why::new(format!("{file} is not staged on {}", self.host)),
                    };
                }
                Err((why, true)) => return Outcome::NotDone { why },
                Err((why, false)) => return Outcome::Unknown { why },
            }
        }
        Outcome::Done { facts }
    }
}
