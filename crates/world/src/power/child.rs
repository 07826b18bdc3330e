//! Programs that are run on this machine to reach a power controller: bounded in time and output, and gone afterwards
//! with all that they started.
//!
//! It must never put a secret into a program's arguments: everybody on the machine can read those.

use super::switch::Trouble;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Bytes of a program's output that are read: what it says of a failure fits into a fraction.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// Characters of it that are shown.
const SHOWN_CHARS_MAX: usize = 300;

/// Where programs of an operator are, also where PATH does not say so: fence agents are in `sbin`.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Where a program is that is named without its place.
fn place_of(name: &str) -> PathBuf {
    if name.contains('/') {
        return PathBuf::from(name);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(PLACES.map(PathBuf::from));
    places.map(|place| place.join(name)).find(|place| place.is_file()).unwrap_or_else(|| PathBuf::from(name))
}

/// A program to run.
pub(super) struct Program<'a> {
    pub path: &'a str,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'a str, SecretString)>,
    pub input: Option<SecretString>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its exit code; none, if a signal ended it.
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl Finished {
    /// The end of what it said, in one line: programs give the reason last.
    pub(super) fn said(&self) -> String {
        let all = if self.errors.trim().is_empty() { &self.output } else { &self.errors };
        let line = all.split_whitespace().collect::<Vec<_>>().join(" ");
        let from = line.char_indices().rev().nth(SHOWN_CHARS_MAX - 1).map_or(0, |(at, _)| at);
        line[from..].to_owned()
    }
}

/// A running program with everything that it starts.
struct Group {
    child: Child,
    is_over: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        // A fence agent starts programs of its own; they share its process group.
        if !self.is_over
            && let Some(id) = self.child.id()
        {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{id}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Runs a program until it ends, at most until `deadline`.
pub(super) async fn run(program: Program<'_>, deadline: Instant) -> Result<Finished, Trouble> {
    let path = program.path;
    let mut command = Command::new(place_of(path));
    command
        .args(&program.arguments)
        .env("LC_ALL", "C")
        .stdin(if program.input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for (name, value) in &program.environment {
        command.env(name, value.expose_secret());
    }
    let child = command.spawn().map_err(|error| {
        Trouble::final_(format!("`{path}` cannot be run: {error}")).hint(format!(
            "install it on this machine, or name another means; `{path}` is looked for in PATH and in /usr/sbin"
        ))
    })?;
    let mut group = Group { child, is_over: false };
    let finished = tokio::time::timeout_at(deadline, communicate(&mut group.child, program.input)).await;
    match finished {
        Ok(Ok(finished)) => {
            group.is_over = true;
            Ok(finished)
        }
        Ok(Err(error)) => Err(Trouble::new(format!("`{path}` cannot be followed: {error}"))),
        Err(_) => Err(Trouble::new(format!("`{path}` did not end in time"))),
    }
}

async fn communicate(child: &mut Child, input: Option<SecretString>) -> std::io::Result<Finished> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that does not read to the end says itself what it misses.
            let _ = stdin.write_all(input.expose_secret().as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), output, errors) = futures_util::join!(write, read(stdout), read(stderr));
    let (output, errors) = (output?, errors?);
    let status = child.wait().await?;
    Ok(Finished { code: status.code(), output, errors })
}

/// Reads to the end and keeps the beginning.
async fn read(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let mut kept = Vec::new();
    (&mut stream).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
