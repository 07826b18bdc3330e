//! Programs as children: in a process group of their own, with bounded output, and gone with all their children when
//! nobody waits for them any more.
//!
//! It must never run through a shell what was not written as a shell command, and never wait without an end.

use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// Bytes of an answer that are read: the statistics of a thousand guests are far below.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Bytes of complaints that are kept.
const COMPLAINT_BYTES_MAX: u64 = 8 << 10;

/// Bytes of one line that are kept; the rest of a longer one is dropped.
const LINE_BYTES_MAX: usize = 16 << 10;

/// What a program answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it ended well.
    pub is_ok: bool,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub complaints: String,
}

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It did not start.
    #[error("`{program}` did not start: {error}")]
    NotStarted {
        /// Which.
        program: String,
        /// Why.
        error: std::io::Error,
    },
    /// It did not end in time, and was ended.
    #[error("`{program}` was not done after {limit_s} s and was ended")]
    TooLong {
        /// Which.
        program: String,
        /// The limit.
        limit_s: u64,
    },
    /// It ended badly.
    #[error("`{program}` failed: {complaint}")]
    Failed {
        /// Which.
        program: String,
        /// What it said.
        complaint: String,
    },
}

/// Ends a whole group when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // One that has just ended by itself is what was wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn spawn(program: &str, arguments: &[&str]) -> Result<(Child, Group), ChildError> {
    let child = Command::new(program)
        .args(arguments)
        // What a program prints for people is not what is read here.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| ChildError::NotStarted { program: program.to_owned(), error })?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok((child, Group(leader)))
}

/// Runs a program to its end.
pub async fn answer(program: &str, arguments: &[&str], limit: Duration) -> Result<Answer, ChildError> {
    let (mut child, mut group) = spawn(program, arguments)?;
    let (output, complaints) = (child.stdout.take(), child.stderr.take());
    let finished = async {
        let read = futures_util::future::join(
            bounded(output, ANSWER_BYTES_MAX),
            bounded(complaints, COMPLAINT_BYTES_MAX),
        );
        let (output, complaints) = read.await;
        (child.wait().await, output, complaints)
    };
    match tokio::time::timeout(limit, finished).await {
        Err(_) => Err(ChildError::TooLong { program: program.to_owned(), limit_s: limit.as_secs() }),
        Ok((status, output, complaints)) => {
            // Its number may soon belong to somebody else.
            group.0 = None;
            let status =
                status.map_err(|error| ChildError::NotStarted { program: program.to_owned(), error })?;
            Ok(Answer { is_ok: status.success(), code: status.code(), output, complaints })
        }
    }
}

/// Runs a program to its end, which must be a good one; what it printed.
pub async fn output(program: &str, arguments: &[&str], limit: Duration) -> Result<String, ChildError> {
    let answer = answer(program, arguments, limit).await?;
    if answer.is_ok {
        return Ok(answer.output);
    }
    let said = if answer.complaints.trim().is_empty() { &answer.output } else { &answer.complaints };
    let complaint = in_one_line(said);
    let complaint = match (complaint.is_empty(), answer.code) {
        (false, _) => complaint,
        (true, Some(code)) => format!("exit code {code}, and it said nothing"),
        (true, None) => "a signal ended it".to_owned(),
    };
    Err(ChildError::Failed { program: program.to_owned(), complaint })
}

fn in_one_line(said: &str) -> String {
    let lines = said.lines().map(|line| line.trim().trim_start_matches("error: "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

async fn bounded(source: Option<impl AsyncRead + Unpin>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        let _ = (&mut source).take(most).read_to_end(&mut bytes).await;
        // A full pipe would keep the program from ending.
        let _ = tokio::io::copy(&mut source, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A program that prints lines until it ends or is dropped.
pub struct Lines {
    program: String,
    child: Child,
    group: Group,
    output: BufReader<ChildStdout>,
    complaints: tokio::task::JoinHandle<String>,
}

impl Lines {
    /// Starts it.
    pub fn of(program: &str, arguments: &[&str]) -> Result<Lines, ChildError> {
        let (mut child, group) = spawn(program, arguments)?;
        let complaints = tokio::spawn(bounded(child.stderr.take(), COMPLAINT_BYTES_MAX));
        match child.stdout.take() {
            Some(output) => Ok(Lines {
                program: program.to_owned(),
                child,
                group,
                output: BufReader::new(output),
                complaints,
            }),
            None => Err(ChildError::Failed { program: program.to_owned(), complaint: "no output".into() }),
        }
    }

    /// The next line; `Err` when there will be no more, with the reason.
    pub async fn next(&mut self) -> Result<String, ChildError> {
        let mut line: Vec<u8> = Vec::new();
        loop {
            let piece = match self.output.fill_buf().await {
                Ok([]) | Err(_) => return Err(self.ended().await),
                Ok(piece) => piece,
            };
            let end = piece.iter().position(|byte| *byte == b'\n');
            let part = &piece[..end.unwrap_or(piece.len())];
            let room = LINE_BYTES_MAX.saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(piece.len(), |end| end + 1);
            self.output.consume(used);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    async fn ended(&mut self) -> ChildError {
        let status = self.child.wait().await;
        self.group.0 = None;
        let complaints = (&mut self.complaints).await.unwrap_or_default();
        let said = in_one_line(&complaints);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        ChildError::Failed {
            program: self.program.clone(),
            complaint: if said.is_empty() { status } else { format!("{status}: {said}") },
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.complaints.abort();
    }
}

/// The pauses between starts of a program that keeps ending: doubled each time, forgotten when it ran for a while.
#[derive(Clone, Debug)]
pub struct Pauses {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Pauses {
    /// From a first pause to the longest one.
    pub fn new(first: Duration, most: Duration) -> Pauses {
        Pauses { first, most, next: first }
    }

    /// The pause after something that went well for so long before it ended.
    pub fn after(&mut self, went_well: Duration) -> Duration {
        if went_well >= self.most {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = (self.next * 2).min(self.most);
        pause
    }

    /// It goes well.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn is_there(id: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
    }

    #[tokio::test]
    async fn a_failure_says_what_the_program_said() {
        let error = output("sh", &["-c", "echo no such thing >&2; exit 3"], LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` failed: no such thing");
        let error = output("ostler-no-such-program", &[], LIMIT).await.unwrap_err();
        assert!(error.to_string().starts_with("`ostler-no-such-program` did not start"), "{error}");
    }

    #[tokio::test]
    async fn whoever_takes_too_long_is_ended_with_its_children() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let error = output("sh", &["-c", &script], Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(error, ChildError::TooLong { .. }));
        let grandchild: u32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        while is_there(grandchild) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn lines_come_one_by_one_and_a_long_one_is_cut() {
        let script =
            "echo one; head -c 100000 /dev/zero | tr '\\0' x; echo; echo three; echo why >&2; exit 4";
        let mut lines = Lines::of("sh", &["-c", script]).unwrap();
        assert_eq!(lines.next().await.unwrap(), "one");
        assert_eq!(lines.next().await.unwrap().len(), LINE_BYTES_MAX);
        assert_eq!(lines.next().await.unwrap(), "three");
        let end = lines.next().await.unwrap_err().to_string();
        assert_eq!(end, "`sh` failed: exit status: 4: why");
    }

    #[tokio::test]
    async fn a_program_that_nobody_reads_any_more_is_ended() {
        let mut lines = Lines::of("sh", &["-c", "echo $$; sleep 600; true"]).unwrap();
        let id: u32 = lines.next().await.unwrap().parse().unwrap();
        drop(lines);
        while is_there(id) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[test]
    fn pauses_widen_and_are_forgotten() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(second, 8 * second);
        let soon: Vec<u64> = (0..5).map(|_| pauses.after(second).as_secs()).collect();
        assert_eq!(soon, [1, 2, 4, 8, 8]);
        assert_eq!(pauses.after(60 * second), second);
    }
}
