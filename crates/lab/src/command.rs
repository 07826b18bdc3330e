//! Runs programs of this machine: bounded in time, output kept, nothing left behind when the caller goes away.
//!
//! Must never hand a secret to a program as an argument, nor show what a program read from its input.

use crate::error::LabError;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How many of the last lines of a failed program are shown.
const LINES_SHOWN: usize = 12;

/// A program to run once.
pub(crate) struct Command {
    doing: String,
    todo: String,
    program: String,
    arguments: Vec<String>,
    input: Option<String>,
    limit: Duration,
}

impl Command {
    /// `doing` is what the program does, in words that go before "failed".
    pub(crate) fn new(doing: impl Into<String>, program: &str, limit: Duration) -> Self {
        Self {
            doing: doing.into(),
            todo: "see to what it says and try again".to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            input: None,
            limit,
        }
    }

    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn args<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    pub(crate) fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = todo.into();
        self
    }

    /// Runs the program; what it printed, or why it failed.
    pub(crate) async fn run(self) -> Result<String, LabError> {
        let failed = |status: String, output: String| LabError::Command {
            doing: self.doing.clone(),
            status,
            output: if output.is_empty() { "it printed nothing".to_owned() } else { output },
            todo: self.todo.clone(),
        };
        let mut child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("{} did not start", self.program), error.to_string()))?;
        let given = child.stdin.take();
        let feed = async {
            if let (Some(mut pipe), Some(text)) = (given, &self.input) {
                // A program that ends before it has read everything says why by itself.
                let _ = pipe.write_all(text.as_bytes()).await;
            }
        };
        let finished = async { futures_util::future::join(feed, child.wait_with_output()).await.1 };
        match tokio::time::timeout(self.limit, finished).await {
            Err(_) => Err(failed(format!("not done after {:?}", self.limit), "it was stopped".to_owned())),
            Ok(Err(error)) => Err(failed("no result".to_owned(), error.to_string())),
            Ok(Ok(output)) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(Ok(output)) => {
                let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
                said.push_str(&String::from_utf8_lossy(&output.stderr));
                Err(failed(output.status.to_string(), last_lines(&said)))
            }
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn output_and_input_and_failure() {
        let second = Duration::from_secs(10);
        assert_eq!(block(Command::new("cat", "cat", second).input("x\n").run()).unwrap(), "x\n");
        let error = block(Command::new("the trial", "sh", second).args(["-c", "echo no >&2; exit 3"]).run());
        let text = error.unwrap_err().to_string();
        assert!(text.contains("the trial failed (exit status: 3): no;"), "{text}");
        let late = block(Command::new("the wait", "sleep", Duration::from_millis(50)).arg("5").run());
        assert!(late.unwrap_err().to_string().contains("not done after 50ms"));
    }

    #[test]
    fn only_the_end_of_a_long_output_is_shown() {
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let shown = last_lines(&text);
        assert!(shown.starts_with("line 88 | ") && shown.ends_with("line 99"), "{shown}");
    }
}
