//! Runs scripts on nodes as root, over the kept connection: the script goes in through standard input, values as
//! arguments, the answer comes back bounded.
//!
//! It must never paste a value into shell text unquoted, and never run anything that takes more than a moment as a
//! child of the connection: that is for transient units.

use super::redact::redact;
use super::ssh::{Connections, SshError};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use russh::ChannelMsg;
use std::time::Duration;

/// Bytes of an answer that are read; a survey of a big load balancer is far below.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Bytes of complaints that are kept.
const COMPLAINT_BYTES_MAX: usize = 16 << 10;

/// Bytes that go out in one piece.
const PIECE_BYTES: usize = 32 << 10;

/// What every script of ours prints first: without it, it is known that the script did not run.
const GREETING: &str = "ostler\t1\n";

/// Standard error's number in the SSH protocol.
const STANDARD_ERROR: u32 = 1;

/// What a command answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Its exit status; none if a signal ended it.
    pub status: Option<u32>,
    /// Standard output.
    pub output: Vec<u8>,
    /// The end of standard error.
    pub complaints: Vec<u8>,
    /// When the first byte of output came, if any did.
    pub first_byte: Option<Timestamp>,
    /// When it was sent.
    pub sent: Option<Timestamp>,
}

impl Answer {
    /// Output as text without the greeting.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.output);
        text.strip_prefix(GREETING).unwrap_or(&text).to_owned()
    }

    fn greeted(&self) -> bool {
        self.output.starts_with(GREETING.as_bytes())
    }

    fn complaint(&self) -> String {
        redact(String::from_utf8_lossy(&self.complaints).trim())
    }
}

/// Why a script gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// The connection.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The script did not run: the account may not become root, or there is no shell.
    #[error("{what}")]
    DidNotRun { what: String, hint: String },
    /// It answered more than anybody asked for.
    #[error("{host} answered more than {limit} bytes to {doing}")]
    TooMuch { host: HostName, doing: String, limit: usize },
}

impl ShellError {
    pub fn may_have_acted(&self) -> bool {
        match self {
            ShellError::Ssh(error) => error.may_have_acted(),
            ShellError::DidNotRun { .. } => false,
            ShellError::TooMuch { .. } => true,
        }
    }

    pub fn why(&self) -> Why {
        match self {
            ShellError::Ssh(error) => error.why(),
            ShellError::DidNotRun { what, hint } => Why::new(what.clone()).hint(hint.clone()),
            ShellError::TooMuch { .. } => Why::new(self.to_string()),
        }
    }
}

/// One word for a POSIX shell.
pub(crate) fn quote(word: &str) -> String {
    let is_plain = |letter: char| {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '+' | '@')
    };
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A script for one moment on a node.
pub(crate) struct Script<'a> {
    /// What it does, for messages: "the survey".
    pub doing: &'a str,
    /// Its text: it greets first, and ends with the call of its main function.
    pub text: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

impl Connections {
    /// Runs a script as root.
    pub(crate) async fn run(&self, host: &HostName, script: Script<'_>) -> Result<Answer, ShellError> {
        let mut command = if self.access().user == "root" {
            String::from("exec /bin/sh -s --")
        } else {
            String::from("exec sudo -n -- /bin/sh -s --")
        };
        for argument in &script.arguments {
            command.push(' ');
            command.push_str(&quote(argument));
        }
        let answer = self.command(host, script.doing, &command, script.text.as_bytes(), script.limit).await?;
        if !answer.greeted() {
            return Err(self.did_not_run(host, &answer));
        }
        Ok(answer)
    }

    fn did_not_run(&self, host: &HostName, answer: &Answer) -> ShellError {
        let user = &self.access().user;
        let complaint = answer.complaint();
        let words = redact(&answer.text());
        let last = words.lines().last().or(complaint.lines().last()).unwrap_or("it said nothing");
        let is_about_sudo = complaint.contains("sudo");
        let (what, hint) = if is_about_sudo {
            (
                format!("the account {user} may not become root on {host}: {last}"),
                format!(
                    "on {host}, put `{user} ALL=(ALL:ALL) NOPASSWD: ALL` into /etc/sudoers.d/{user}, and see that sudo is installed"
                ),
            )
        } else {
            let status = answer
                .status
                .map_or_else(|| "by a signal".to_owned(), |status| format!("with status {status}"));
            (
                format!("{host} did not run a script for {user}: its shell ended {status}, {last}"),
                format!("give {user} a plain shell on {host}: usermod --shell /bin/sh {user}"),
            )
        };
        ShellError::DidNotRun { what, hint }
    }

    /// Runs one command line with bytes as its input.
    pub(crate) async fn command(
        &self,
        host: &HostName,
        doing: &str,
        command: &str,
        input: &[u8],
        limit: Duration,
    ) -> Result<Answer, ShellError> {
        let opened = self.channel(host).await?;
        let (mut reader, writer) = opened.channel.split();
        let lost = |reason: String| SshError::Lost { host: host.clone(), doing: doing.to_owned(), reason };
        let sent = Timestamp::now();
        writer.exec(true, command).await.map_err(|error| lost(error.to_string()))?;

        let send = async {
            for piece in input.chunks(PIECE_BYTES) {
                // A command that ended early takes no more input; its answer says why.
                if writer.data_bytes(piece.to_vec()).await.is_err() {
                    return;
                }
            }
            let _ = writer.eof().await;
        };
        let read = async {
            let mut answer = Answer { sent: Some(sent), ..Answer::default() };
            let mut has_ended = false;
            while let Some(message) = reader.wait().await {
                match message {
                    ChannelMsg::Data { data } => {
                        answer.first_byte.get_or_insert_with(Timestamp::now);
                        if answer.output.len() + data.len() > ANSWER_BYTES_MAX {
                            return Err(ShellError::TooMuch {
                                host: host.clone(),
                                doing: doing.to_owned(),
                                limit: ANSWER_BYTES_MAX,
                            });
                        }
                        answer.output.extend_from_slice(&data);
                    }
                    ChannelMsg::ExtendedData { data, ext: STANDARD_ERROR } => {
                        answer.complaints.extend_from_slice(&data);
                        let excess = answer.complaints.len().saturating_sub(COMPLAINT_BYTES_MAX);
                        answer.complaints.drain(..excess);
                    }
                    ChannelMsg::ExitStatus { exit_status } => {
                        answer.status = Some(exit_status);
                        has_ended = true;
                    }
                    ChannelMsg::ExitSignal { .. } => has_ended = true,
                    ChannelMsg::Failure => return Err(lost("it refused to run a command".to_owned()).into()),
                    ChannelMsg::Close => break,
                    _ => {}
                }
            }
            if has_ended { Ok(answer) } else { Err(lost("the connection broke".to_owned()).into()) }
        };
        let both = async {
            tokio::pin!(read);
            tokio::select! {
                biased;
                answer = &mut read => answer,
                () = send => read.await,
            }
        };
        let answer = tokio::time::timeout(limit, both).await;
        let _ = writer.close().await;
        answer.unwrap_or_else(|_| Err(lost(format!("no answer within {} s", limit.as_secs())).into()))
    }

    /// Copies a file from one node to another, through this process, as root on both. The copy has its name only
    /// when it is complete.
    pub(crate) async fn copy_file(
        &self,
        from: &HostName,
        to: &HostName,
        path: &str,
        limit: Duration,
    ) -> Result<u64, ShellError> {
        let doing = format!("the copy of {path}");
        let copied = tokio::time::timeout(limit, self.pour(from, to, path, &doing)).await;
        let reason = format!("it was not complete within {} s", limit.as_secs());
        let bytes = copied
            .unwrap_or_else(|_| Err(SshError::Lost { host: to.clone(), doing: doing.clone(), reason }))?;
        let finish = format!(
            "ostler() {{ sync {0} && mv -f {0} {1}; }}; printf 'ostler\\t1\\n'; ostler",
            quote(&partial_of(path)),
            quote(path)
        );
        let script = Script { doing: &doing, text: finish, arguments: Vec::new(), limit };
        let answer = self.run(to, script).await?;
        if answer.status == Some(0) {
            return Ok(bytes);
        }
        Err(SshError::Failed { host: to.clone(), doing, reason: answer.complaint() }.into())
    }

    async fn pour(&self, from: &HostName, to: &HostName, path: &str, doing: &str) -> Result<u64, SshError> {
        let root = if self.access().user == "root" { "" } else { "sudo -n -- " };
        let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
        let send = format!("{root}cat {}", quote(path));
        let receive = format!(
            "umask 077; {root}mkdir -p {} && {root}tee {} > /dev/null",
            quote(directory),
            quote(&partial_of(path))
        );
        let source = self.channel(from).await?;
        let target = self.channel(to).await?;
        let (mut reader, asker) = source.channel.split();
        let (mut acknowledger, writer) = target.channel.split();
        let lost = |host: &HostName, reason: String| SshError::Lost {
            host: host.clone(),
            doing: doing.to_owned(),
            reason,
        };
        let failed = |host: &HostName, reason: String| SshError::Failed {
            host: host.clone(),
            doing: doing.to_owned(),
            reason,
        };
        asker.exec(true, send).await.map_err(|error| lost(from, error.to_string()))?;
        let _ = asker.eof().await;
        writer.exec(true, receive).await.map_err(|error| lost(to, error.to_string()))?;

        let mut bytes: u64 = 0;
        let (mut ending, mut complaint) = (None, Vec::new());
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    bytes += data.len() as u64;
                    writer.data_bytes(data).await.map_err(|error| lost(to, error.to_string()))?;
                }
                other => {
                    if is_last(other, &mut ending, &mut complaint) {
                        break;
                    }
                }
            }
        }
        let _ = asker.close().await;
        let sent = ended_well(ending, &complaint).map_err(|reason| failed(from, reason));
        // The other end is waited for also when nothing came: a writer that opens the file late would empty the next
        // copy's.
        writer.eof().await.map_err(|error| lost(to, error.to_string()))?;
        let (mut ending, mut complaint) = (None, Vec::new());
        while let Some(message) = acknowledger.wait().await {
            if is_last(message, &mut ending, &mut complaint) {
                break;
            }
        }
        let _ = writer.close().await;
        sent?;
        ended_well(ending, &complaint).map_err(|reason| failed(to, reason))?;
        Ok(bytes)
    }
}

fn partial_of(path: &str) -> String {
    format!("{path}.partial")
}

/// Takes what a message says of a command's end; true when nothing more will come.
fn is_last(message: ChannelMsg, ending: &mut Option<u32>, complaint: &mut Vec<u8>) -> bool {
    match message {
        ChannelMsg::ExtendedData { data, .. } if complaint.len() < COMPLAINT_BYTES_MAX => {
            complaint.extend_from_slice(&data)
        }
        ChannelMsg::ExitStatus { exit_status } => *ending = Some(exit_status),
        ChannelMsg::Close => return true,
        _ => {}
    }
    false
}

fn ended_well(ending: Option<u32>, complaint: &[u8]) -> Result<(), String> {
    match ending {
        Some(0) => Ok(()),
        Some(status) => {
            let said = redact(String::from_utf8_lossy(complaint).trim());
            Err(if said.is_empty() { format!("it ended with status {status}") } else { said })
        }
        None => Err("the connection broke".to_owned()),
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
