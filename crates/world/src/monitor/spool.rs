//! Reports that no server has taken yet, on disk: one file for each subject, replaced as a whole.
//!
//! A later report about the same subject takes the earlier one's place. It must never fail because the disk does: what
//! cannot be written is kept in memory and said.

use super::report::{Report, What};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Reports that are kept: some kinds of event for each of a few hundred guests.
const REPORTS_MAX: usize = 2_000;

/// Bytes of one report's file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What a file of ours is called.
const ENDING: &str = "report";

/// The number of the form of these files.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    boot: String,
    number: u64,
    report: Report,
}

/// Reports that wait.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    boot: String,
    next: u64,
    waiting: BTreeMap<String, (u64, Report)>,
}

/// What a spool has to say about itself.
pub type Complaints = Vec<String>;

impl Spool {
    /// Opens a directory, and takes in what an earlier monitor of this boot left. Reports of an earlier boot are dropped:
    /// what they say of guests and processes is no longer so.
    pub fn open(directory: &Path, boot: &str) -> (Spool, Complaints) {
        let mut complaints = Vec::new();
        let mut spool = Spool {
            directory: directory.to_owned(),
            boot: boot.to_owned(),
            next: 1,
            waiting: BTreeMap::new(),
        };
        if let Err(error) = std::fs::create_dir_all(directory) {
            complaints.push(format!(
                "reports cannot be kept in {}: {error}; they are kept in memory",
                directory.display()
            ));
            return (spool, complaints);
        }
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                complaints.push(format!("{} cannot be read: {error}", directory.display()));
                return (spool, complaints);
            }
        };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if path.extension().is_some_and(|ending| ending == "new") {
                // Somebody was stopped while writing it; what it was to replace is still there.
                let _ = std::fs::remove_file(&path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match read(&path) {
                Ok(kept) if kept.format > FORMAT => complaints.push(format!(
                    "{} was written by a newer ostler (form {}); it is left alone",
                    path.display(),
                    kept.format
                )),
                Ok(kept) if kept.boot != spool.boot => {
                    complaints.push(format!("of an earlier boot, dropped: {}", kept.report.words()));
                    let _ = std::fs::remove_file(&path);
                }
                Ok(kept) if spool.waiting.len() < REPORTS_MAX => {
                    spool.next = spool.next.max(kept.number + 1);
                    spool.waiting.insert(kept.report.subject(), (kept.number, kept.report));
                }
                Ok(_) => {
                    let _ = std::fs::remove_file(&path);
                }
                Err(error) => {
                    complaints.push(format!("{} cannot be read and is removed: {error}", path.display()));
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        (spool, complaints)
    }

    /// One that is empty and stays so, for a look that reports nothing.
    pub fn none() -> Spool {
        Spool { directory: PathBuf::new(), boot: String::new(), next: 1, waiting: BTreeMap::new() }
    }

    /// Keeps a report; what stands in the way of keeping it on disk, and what had to go.
    pub fn keep(&mut self, report: Report) -> Complaints {
        let mut complaints = Vec::new();
        let subject = report.subject();
        if self.waiting.len() >= REPORTS_MAX && !self.waiting.contains_key(&subject) {
            complaints.extend(self.make_room());
        }
        let number = self.next;
        self.next += 1;
        let kept = Kept { format: FORMAT, boot: self.boot.clone(), number, report };
        if let Err(error) = self.write(&subject, &kept) {
            complaints.push(format!(
                "a report cannot be kept in {}: {error}; it is kept in memory",
                self.directory.display()
            ));
        }
        self.waiting.insert(subject, (number, kept.report));
        complaints
    }

    /// The oldest report goes that asks for nothing, else the oldest.
    fn make_room(&mut self) -> Option<String> {
        let asks = |report: &Report| match &report.what {
            What::Guest { detail, .. } => detail.ends_with("_FAILED") || detail.ends_with("_REPORT"),
            What::Host { .. } | What::Process { .. } => true,
        };
        let oldest = self.waiting.iter().min_by_key(|(_, (number, report))| (asks(report), *number));
        let subject = oldest.map(|(subject, _)| subject.clone())?;
        let (_, report) = self.waiting.remove(&subject)?;
        let _ = std::fs::remove_file(self.place(&subject));
        Some(format!("{REPORTS_MAX} reports wait; dropped: {}", report.words()))
    }

    /// The reports that wait, oldest first, with their numbers.
    pub fn waiting(&self) -> Vec<(u64, Report)> {
        let mut all: Vec<(u64, Report)> = self.waiting.values().cloned().collect();
        all.sort_by_key(|(number, _)| *number);
        all
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A report is dealt with, unless a later one has taken its place meanwhile.
    pub fn done(&mut self, number: u64, subject: &str) {
        if self.waiting.get(subject).is_some_and(|(kept, _)| *kept == number) {
            self.waiting.remove(subject);
            let _ = std::fs::remove_file(self.place(subject));
        }
    }

    /// Takes back what is no longer so.
    pub fn retain(&mut self, is_so: impl Fn(&Report) -> bool) -> Vec<Report> {
        let (stay, go) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, (_, report))| is_so(report));
        self.waiting = stay;
        let go: BTreeMap<String, (u64, Report)> = go;
        go.into_iter()
            .map(|(subject, (_, report))| {
                let _ = std::fs::remove_file(self.place(&subject));
                report
            })
            .collect()
    }

    fn place(&self, subject: &str) -> PathBuf {
        // A subject holds whatever a process or host is called.
        let digest = Sha256::digest(subject.as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{name}.{ENDING}"))
    }

    fn write(&self, subject: &str, kept: &Kept) -> std::io::Result<()> {
        replace(&self.place(subject), &serde_json::to_vec(kept)?)
    }
}

fn read(path: &Path) -> std::io::Result<Kept> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Replaces a file as a whole: after a power cut there is the old one or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let written = std::fs::File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| std::fs::rename(&new, path)) {
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;

    fn guest(name: &str, detail: &str) -> Report {
        let what = What::Guest { guest: name.into(), event: "LIFECYCLE".into(), detail: detail.into() };
        Report { host: "cmp1".into(), seen: Timestamp::UNIX_EPOCH, what }
    }

    fn words(spool: &Spool) -> Vec<String> {
        spool.waiting().iter().map(|(_, report)| report.words()).collect()
    }

    fn open(directory: &Path) -> (Spool, Complaints) {
        Spool::open(directory, "boot")
    }

    #[test]
    fn what_waits_is_there_for_the_next_monitor_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        for name in ["b", "a"] {
            assert!(spool.keep(guest(name, "STOPPED_FAILED")).is_empty());
        }
        let (mut spool, complaints) = open(directory.path());
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(words(&spool), ["guest b: LIFECYCLE STOPPED_FAILED", "guest a: LIFECYCLE STOPPED_FAILED"]);
        spool.keep(guest("c", "STOPPED_FAILED"));
        assert_eq!(words(&spool).last().unwrap(), "guest c: LIFECYCLE STOPPED_FAILED");
    }

    #[test]
    fn a_later_report_replaces_and_is_not_taken_for_the_earlier_one() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        spool.keep(guest("a", "STOPPED_FAILED"));
        let (number, report) = spool.waiting().remove(0);
        spool.keep(guest("a", "STOPPED_DESTROYED"));
        spool.done(number, &report.subject());
        assert_eq!(words(&spool), ["guest a: LIFECYCLE STOPPED_DESTROYED"]);
        assert_eq!(words(&open(directory.path()).0), words(&spool));
        let (number, report) = spool.waiting().remove(0);
        spool.done(number, &report.subject());
        assert!(spool.is_empty() && open(directory.path()).0.is_empty());
    }

    #[test]
    fn a_torn_file_is_removed_and_a_half_written_one_too() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        spool.keep(guest("a", "STOPPED_FAILED"));
        let good = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(&good).unwrap();
        for (name, length) in [("1.report", 0), ("2.report", bytes.len() / 2), ("3.new", 10)] {
            std::fs::write(directory.path().join(name), &bytes[..length]).unwrap();
        }
        let (spool, complaints) = open(directory.path());
        assert_eq!((spool.len(), complaints.len()), (1, 2), "{complaints:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_a_newer_ostler_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        spool.keep(guest("a", "STOPPED_FAILED"));
        let path = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap().replace("\"format\":1", "\"format\":2");
        std::fs::write(&path, text).unwrap();
        let (spool, complaints) = open(directory.path());
        assert!(spool.is_empty() && complaints[0].contains("newer ostler"));
        assert!(path.exists());
    }

    #[test]
    fn what_an_earlier_boot_left_is_dropped_with_a_word() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).0.keep(guest("a", "STOPPED_FAILED"));
        let (spool, complaints) = Spool::open(directory.path(), "another boot");
        assert!(spool.is_empty());
        assert_eq!(complaints, ["of an earlier boot, dropped: guest a: LIFECYCLE STOPPED_FAILED"]);
    }

    #[test]
    fn a_disk_that_cannot_be_written_loses_nothing_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("spool");
        let (mut spool, _) = open(&place);
        std::fs::remove_dir(&place).unwrap();
        std::fs::write(&place, "in the way").unwrap();
        let complaints = spool.keep(guest("a", "STOPPED_FAILED"));
        assert!(complaints[0].contains("it is kept in memory"), "{complaints:?}");
        assert_eq!(spool.len(), 1);
    }

    #[test]
    fn when_it_is_full_what_asks_for_nothing_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(&directory.path().join("spool"));
        std::fs::remove_dir(directory.path().join("spool")).unwrap();
        spool.keep(guest("first", "STOPPED_FAILED"));
        spool.keep(guest("second", "STOPPED_DESTROYED"));
        for number in 2..=REPORTS_MAX {
            spool.keep(guest(&number.to_string(), "STOPPED_FAILED"));
        }
        assert_eq!(spool.len(), REPORTS_MAX);
        let left = words(&spool);
        assert!(left[0].contains("first") && !left.iter().any(|words| words.contains("second")));
    }

    #[test]
    fn what_is_no_longer_so_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        spool.keep(guest("a", "STOPPED_FAILED"));
        spool.keep(guest("b", "STOPPED_FAILED"));
        let gone = spool.retain(|report| !report.words().contains("guest a"));
        assert_eq!((gone.len(), spool.len()), (1, 1));
        assert_eq!(open(directory.path()).0.len(), 1);
    }
}
