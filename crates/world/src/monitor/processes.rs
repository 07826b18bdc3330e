//! Processes of this machine: by their program and arguments, and lists of them as upstream's monitor reads them.
//!
//! A process is never found by a piece of text that happens to stand somewhere in its command line.

use super::child::{self, ChildError};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// How long a command of a list may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Bytes of a command line that are read: enough for a hypervisor's.
const COMMAND_LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a list.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Programs that run the program that is meant.
const INTERPRETERS: &[&str] = &["python", "perl", "ruby", "sh", "bash", "dash", "node", "java"];

/// A process to watch, as it stands in upstream's list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Program, with or without its directory and first arguments.
    pub process_name: String,
    /// Starts it.
    pub start_command: Option<String>,
    /// Before that.
    pub pre_start_command: Option<String>,
    /// After that.
    pub post_start_command: Option<String>,
    /// Restarts it.
    pub restart_command: Option<String>,
    /// Before that.
    pub pre_restart_command: Option<String>,
    /// After that.
    pub post_restart_command: Option<String>,
    /// Whether commands are for root.
    #[serde(default)]
    pub run_as_root: bool,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be read.
    #[error("the list {path} cannot be read: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is no list of processes.
    #[error("{path}: {what}")]
    Shape {
        /// Which.
        path: String,
        /// What is wrong, with its place.
        what: String,
    },
}

/// Reads a list in upstream's form.
pub fn read_list(path: &Path) -> Result<Vec<Entry>, ListError> {
    use std::io::Read;
    let named = path.display().to_string();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LIST_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| ListError::File { path: named.clone(), error })?;
    let entries: Vec<Entry> = serde_saphyr::from_str(&text)
        .map_err(|error| ListError::Shape { path: named.clone(), what: error.to_string() })?;
    if let Some(place) = entries.iter().position(|entry| entry.process_name.trim().is_empty()) {
        let what = format!("entry {} has no process_name", place + 1);
        return Err(ListError::Shape { path: named, what });
    }
    Ok(entries)
}

/// A process as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its program, where that can be seen.
    pub program: Option<String>,
    /// Its command line.
    pub command_line: Vec<String>,
}

/// All processes that live.
pub fn all() -> std::io::Result<Vec<Process>> {
    use std::io::Read;
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let mut bytes = Vec::new();
        // What ends meanwhile is no process any more; remains of one have no command line.
        let read = std::fs::File::open(entry.path().join("cmdline"))
            .and_then(|file| file.take(COMMAND_LINE_BYTES_MAX as u64).read_to_end(&mut bytes));
        if read.is_ok() && !bytes.is_empty() {
            let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
            let mut words: Vec<String> = words.collect();
            // A program that renames itself writes one word with blanks.
            if let [only] | [only, ..] = words.as_slice()
                && only.contains(' ')
                && words[1..].iter().all(String::is_empty)
            {
                words = only.split_whitespace().map(str::to_owned).collect();
            }
            while words.last().is_some_and(String::is_empty) {
                words.pop();
            }
            let program = std::fs::read_link(entry.path().join("exe")).ok();
            let program = program.map(|program| program.to_string_lossy().into_owned());
            all.push(Process { program, command_line: words });
        }
    }
    Ok(all)
}

/// Whether a process is the program that is meant: by its own name, or that of the script that an interpreter runs, and
/// by the arguments that were given with it.
pub fn is_meant(meant: &str, process: &Process) -> bool {
    let command_line = &process.command_line;
    let mut wanted = meant.split_whitespace();
    let Some(program) = wanted.next() else { return false };
    let arguments: Vec<&str> = wanted.collect();
    let begins = |at: usize| {
        let Some(word) = command_line.get(at) else { return false };
        let is_program = match program.contains('/') {
            // Whoever was started by a shorter name is still that program.
            true => word == program || at == 0 && process.program.as_deref() == Some(program),
            false => base(word) == program,
        };
        let rest = &command_line[at + 1..];
        is_program
            && rest.len() >= arguments.len()
            && rest.iter().zip(&arguments).all(|(word, wanted)| word == wanted)
    };
    if begins(0) {
        return true;
    }
    let is_interpreter = command_line.first().is_some_and(|word| {
        let name = base(word).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        INTERPRETERS.contains(&name)
    });
    // Options of the interpreter stand between it and the script.
    let script = command_line.iter().skip(1).position(|word| !word.starts_with('-')).map(|place| place + 1);
    is_interpreter && script.is_some_and(begins)
}

/// The part of a path after its last slash.
pub fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Runs one command of a list, as its author wrote it for a shell.
pub async fn command(text: &str) -> Result<(), ChildError> {
    child::output("/bin/sh", &["-c", text], COMMAND_LIMIT).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(meant: &str, line: &str) -> bool {
        let command_line = line.split_whitespace().map(str::to_owned).collect();
        is_meant(meant, &Process { program: None, command_line })
    }

    #[test]
    fn a_program_that_was_started_by_a_shorter_name_is_known_by_its_file() {
        let command_line = vec!["./agent".to_owned(), "--all".to_owned()];
        let process = Process { program: Some("/opt/agent".into()), command_line };
        assert!(is_meant("/opt/agent", &process) && is_meant("/opt/agent --all", &process));
        assert!(!is_meant("/opt/agent --one", &process) && !is_meant("/opt/other", &process));
    }

    #[test]
    fn a_program_is_known_by_its_name() {
        assert!(is("/usr/sbin/libvirtd", "/usr/sbin/libvirtd --timeout 120"));
        assert!(is("libvirtd", "/usr/sbin/libvirtd"));
        assert!(is("nova-compute", "/usr/bin/python3.11 /usr/bin/nova-compute --config-file=/etc/nova.conf"));
        assert!(is("/usr/bin/nova-compute", "/usr/bin/python3 -s /usr/bin/nova-compute"));
        assert!(is("nova-compute --config-file a", "/usr/bin/nova-compute --config-file a b"));
    }

    #[test]
    fn a_piece_of_somebody_elses_command_line_is_no_process() {
        for line in [
            "vi /etc/nova-compute",
            "grep nova-compute",
            "/usr/bin/nova-compute-watch",
            "tail -f nova-compute",
            "python3 other.py nova-compute",
        ] {
            assert!(!is("nova-compute", line), "{line}");
        }
        assert!(!is("nova-compute --config-file a", "/usr/bin/nova-compute --config-file b"));
        assert!(!is("/usr/sbin/libvirtd", "/opt/libvirtd"));
        assert!(!is("", "x"));
        assert!(!is("x", ""));
    }

    #[test]
    fn this_test_finds_itself() {
        let own = std::env::current_exe().unwrap();
        let own = base(own.to_str().unwrap()).to_owned();
        assert!(all().unwrap().iter().any(|process| is_meant(&own, process)));
        assert!(!all().unwrap().iter().any(|process| is_meant("ostler-nobody", process)));
    }

    #[test]
    fn a_list_as_upstream_ships_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.yaml");
        let text = "# a comment\n-\n  process_name: /usr/sbin/libvirtd\n  start_command: systemctl start libvirtd\n  \
            pre_start_command:\n  post_start_command:\n  restart_command: systemctl restart libvirtd\n  \
            pre_restart_command:\n  post_restart_command:\n  run_as_root: True\n-\n  process_name: nova-compute\n";
        std::fs::write(&path, text).unwrap();
        let list = read_list(&path).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].restart_command.as_deref(), Some("systemctl restart libvirtd"));
        assert_eq!((list[0].run_as_root, list[0].pre_start_command.as_deref()), (true, None));
    }

    #[test]
    fn a_mistake_in_a_list_is_shown_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.yaml");
        std::fs::write(&path, "- process_name: a\n  restart_comand: b\n").unwrap();
        let said = read_list(&path).unwrap_err().to_string();
        assert!(said.contains("restart_comand") && said.contains('2'), "{said}");
        std::fs::write(&path, "- process_name: ''\n").unwrap();
        assert!(read_list(&path).unwrap_err().to_string().ends_with("entry 1 has no process_name"));
        assert!(read_list(&directory.path().join("no")).unwrap_err().to_string().contains("cannot be read"));
    }
}
