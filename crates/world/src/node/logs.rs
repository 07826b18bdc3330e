//! Logs of a node, read there: filtered with what the node has (`find`, `grep`, `awk`, `journalctl`), packed, and poured into
//! a file here, bounded.
//!
//! Nothing on the node is changed, and nothing is judged: what the lines mean is for the reader of the file.

use super::shell::quote;
use super::ssh::{Connections, SshError};
use ostler_model::Timestamp;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use russh::ChannelMsg;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Bytes of a node's logs that are looked at after the filter, unpacked; more is said by the missing end mark.
pub const NODE_BYTES_MAX: u64 = 512 << 20;

/// Bytes of a packed answer: far more than so many bytes of logs ever pack to.
const ANSWER_BYTES_MAX: u64 = NODE_BYTES_MAX;

/// How long a node may take to filter its logs.
const LIMIT: Duration = Duration::from_secs(600);

/// Bytes of what a node complains of that are kept.
const COMPLAINT_BYTES_MAX: usize = 4 << 10;

/// Standard error's number in the SSH protocol.
const STANDARD_ERROR: u32 = 1;

/// Which lines are wanted of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Those that may be errors, with what follows them.
    Errors,
    /// Those, and warnings.
    Warnings,
    /// Those that hold one of these.
    With(Vec<String>),
    /// All.
    All,
}

/// Which logs are wanted of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Files and directories.
    pub paths: Vec<String>,
    /// Whether the journal is wanted, too.
    pub journal: bool,
    /// From when on, in seconds since 1970.
    pub since_s: i64,
    /// Which lines.
    pub lines: Lines,
    /// A word that no log holds: it marks where files begin.
    pub mark: String,
}

/// What is known of a node's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClock {
    /// How far it is ahead of ours, in microseconds, to half of `within_us`.
    pub ahead_us: i64,
    /// The time that question and answer took.
    pub within_us: i64,
    /// The node's zone by name, as it says, or empty.
    pub zone: String,
    /// Its offset from UTC as `date +%z` says.
    pub offset: String,
}

/// What may be an error, whoever writes it. It takes more than errors: the reader judges.
const ERRORS: &str = " (ERROR|CRITICAL|TRACE) |\\|(ERR|EMER)\\||\\[(error|critical|ERROR|alert|emerg|crit)\\]|:(error|crit|alert|emerg)\\]|: error :|=(ERROR|CRASH|SUPERVISOR) REPORT|\"(ERROR|CRITICAL)\"|reason=(crashed|failed)|signal 9|DAMN !|listen queue of socket|HARAKIRI| is DOWN|no server available|FAULT STATE|Out of memory|Killed process|oom-kill|table full|blocked for more|EXT4-fs error|I/O error, dev|segfault at|soft lockup|NETDEV WATCHDOG|Hardware Error|Kernel panic|Failed with result| -1 |cluster \\[ERR";

const WARNINGS: &str = "| WARNING |\\|WARN\\||\\[([Ww]arning|warn)\\]|:warn\\]|: warning :|=WARNING REPORT|\"WARNING\"|DHCPNAK|no address available|Main process exited|cluster \\[WRN";

/// Lines after a hit that may belong to it.
const AFTER_ERRORS: u32 = 40;

/// The same where an id is looked for: what belongs to it holds the id again, or is a traceback.
const AFTER_IDS: u32 = 12;

const SCRIPT: &str = r#"
filter() {
    case $lines in
    all) awk -v l="$local_time" -v u="$utc_time" 'BEGIN { on = 1 } /^20[0-9][0-9]-[0-9][0-9]-[0-9][0-9][ T]/ { t = substr($0, 1, 19); sub("T", " ", t); w = (substr($0, 20, 12) ~ /Z/) ? u : l; on = (t >= w) } on' ;;
    ids) grep -a -F --no-group-separator -A "$after" $words ;;
    *) grep -a -E --no-group-separator -A "$after" -e "$pattern" ;;
    esac
}
pour() {
    for path in "$@"; do
        [ -e "$path" ] || { printf '\n%s\tmissing\t%s\n' "$mark" "$path"; continue; }
        find "$path" -type f -size +0 -newermt "@$since" ! -name '*.journal' ! -name '*.journal~' ! -name 'wtmp*' ! -name 'btmp*' ! -name 'lastlog*' ! -name 'faillog*' 2>/dev/null | sort | while IFS= read -r file; do
            printf '\n%s\tfile\t%s\t%s\n' "$mark" "$(stat -c %Y -- "$file")" "$file"
            case $file in
            *.gz) gzip -dc < "$file" 2>/dev/null ;;
            *.xz) xz -dc < "$file" 2>/dev/null ;;
            *.zst) zstd -dc < "$file" 2>/dev/null ;;
            *) cat < "$file" ;;
            esac | filter
        done
    done
    if [ "$journal" = 1 ] && command -v journalctl >/dev/null 2>&1; then
        printf '\n%s\tfile\t%s\t%s\n' "$mark" "$(date +%s)" journal
        journalctl --quiet --no-pager --output short-iso-precise --utc --since "@$since" 2>/dev/null | filter
    fi
}
ostler() {
    LC_ALL=C; export LC_ALL
    mark=$1 since=$2 limit=$3 journal=$4 lines=$5 after=$6 pattern=$7 paths=$8
    shift 8
    words=
    for word in "$@"; do words="$words -e $word"; done
    local_time=$(date -d "@$since" '+%Y-%m-%d %H:%M:%S')
    utc_time=$(date -u -d "@$since" '+%Y-%m-%d %H:%M:%S')
    zone=$(cat /etc/timezone 2>/dev/null || readlink /etc/localtime 2>/dev/null | sed 's|.*zoneinfo/||')
    printf 'clock\t%s\t%s\t%s\n' "$(date +%s.%N)" "$(date +%z)" "$zone"
    set -f
    { pour $paths; printf '\n%s\tend\n' "$mark"; } | head -c "$limit" | gzip -1 -c
}
printf 'ostler\t2\n'
ostler "$@"
"#;

impl Connections {
    /// Pours a node's logs into a file: two lines about the node, then a packed stream with a marked line before each file.
    pub async fn pour_logs(&self, host: &HostName, query: &LogQuery, into: &Path) -> Result<NodeClock, Why> {
        let pouring = self.pour_all(host, query, into);
        match tokio::time::timeout(LIMIT, pouring).await {
            Ok(poured) => poured,
            Err(_) => Err(Why::new(format!("{host} did not give its logs within {} s", LIMIT.as_secs()))
                .hint("ask for less: `--since`, or name files: `node:HOST:/var/log/nova`")),
        }
    }

    async fn pour_all(&self, host: &HostName, query: &LogQuery, into: &Path) -> Result<NodeClock, Why> {
        let failed = |reason: String| {
            Why::from(SshError::Failed { host: host.clone(), doing: "reading its logs".to_owned(), reason })
        };
        let (lines, after, pattern, words): (&str, u32, String, &[String]) = match &query.lines {
            Lines::Errors => ("pattern", AFTER_ERRORS, ERRORS.to_owned(), &[]),
            Lines::Warnings => ("pattern", AFTER_ERRORS, format!("{ERRORS}{WARNINGS}"), &[]),
            Lines::With(ids) => ("ids", AFTER_IDS, String::new(), ids),
            Lines::All => ("all", 0, String::new(), &[]),
        };
        let root = if self.access().user == "root" { "exec" } else { "exec sudo -n --" };
        let mut command = format!("{root} /bin/sh -s --");
        let fixed = [
            query.mark.clone(),
            query.since_s.max(0).to_string(),
            NODE_BYTES_MAX.to_string(),
            u8::from(query.journal).to_string(),
            lines.to_owned(),
            after.to_string(),
            pattern,
            query.paths.join(" "),
        ];
        for word in fixed.iter().chain(words) {
            command.push(' ');
            command.push_str(&quote(word));
        }
        let opened = self.channel(host).await?;
        let (mut reader, writer) = opened.channel.split();
        let mut file = tokio::fs::File::create(into).await.map_err(|error| failed(error.to_string()))?;
        let sent = Timestamp::now();
        writer.exec(true, command).await.map_err(|error| failed(error.to_string()))?;
        writer.data_bytes(SCRIPT.as_bytes().to_vec()).await.map_err(|error| failed(error.to_string()))?;
        let _ = writer.eof().await;
        let (mut first_lines, mut came, mut bytes) = (Vec::new(), None, 0u64);
        let mut complaint = Vec::new();
        let mut status = None;
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    bytes += data.len() as u64;
                    if bytes > ANSWER_BYTES_MAX {
                        break;
                    }
                    if first_lines.len() < 512 {
                        first_lines.extend_from_slice(&data[..data.len().min(512)]);
                        if came.is_none() && memchr_two_lines(&first_lines) {
                            came = Some(Timestamp::now());
                        }
                    }
                    file.write_all(&data).await.map_err(|error| failed(error.to_string()))?;
                }
                ChannelMsg::ExtendedData { data, ext: STANDARD_ERROR }
                    if complaint.len() < COMPLAINT_BYTES_MAX =>
                {
                    complaint.extend_from_slice(&data);
                }
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        let _ = writer.close().await;
        file.flush().await.map_err(|error| failed(error.to_string()))?;
        let complaint = super::redact::redact(String::from_utf8_lossy(&complaint).trim());
        let came = came.ok_or_else(|| {
            failed(if complaint.is_empty() { "it said nothing".to_owned() } else { complaint.clone() })
        })?;
        if status.is_none() {
            return Err(failed("the connection broke".to_owned()));
        }
        clock(&first_lines, sent, came)
            .ok_or_else(|| failed("it did not say what time it is there".to_owned()))
    }
}

fn memchr_two_lines(text: &[u8]) -> bool {
    text.iter().filter(|c| **c == b'\n').count() >= 2
}

/// Reads `clock\t1764273602.114123456\t+0100\tEurope/Berlin`, the second line of an answer.
fn clock(first_lines: &[u8], sent: Timestamp, came: Timestamp) -> Option<NodeClock> {
    let text = String::from_utf8_lossy(first_lines);
    let line = text.lines().nth(1)?.strip_prefix("clock\t")?;
    let mut words = line.split('\t');
    let (now, offset, zone) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    let (seconds, fraction) = now.split_once('.')?;
    let micros: i64 = fraction.get(..6)?.parse().ok()?;
    let there = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?;
    let (sent, came) = (sent.as_microsecond(), came.as_microsecond());
    // The question was heard somewhere between: the middle is right to half of the time that it took.
    Some(NodeClock {
        ahead_us: there - (sent + (came - sent) / 2),
        within_us: came - sent,
        zone: zone.trim().to_owned(),
        offset: offset.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_microsecond(us).unwrap()
    }

    #[test]
    fn a_nodes_clock_is_compared_with_the_middle_of_question_and_answer() {
        let text = b"ostler\t2\nclock\t1764273602.500000000\t+0100\tEurope/Berlin\n\x1f\x8b";
        let (sent, came) = (at(1_764_273_601_400_000), at(1_764_273_601_600_000));
        let told = clock(text, sent, came).unwrap();
        assert_eq!((told.ahead_us, told.within_us), (1_000_000, 200_000));
        assert_eq!((told.zone.as_str(), told.offset.as_str()), ("Europe/Berlin", "+0100"));
    }

    #[test]
    fn an_answer_without_a_time_is_none() {
        for text in ["", "ostler\t2\n", "ostler\t2\nclock\tx\ty\tz\n", "ostler\t2\nclock\t1.2\ty\tz\n"] {
            assert_eq!(clock(text.as_bytes(), at(0), at(0)), None, "{text}");
        }
    }

    #[test]
    fn the_script_is_one_that_a_shell_understands() {
        let checked = std::process::Command::new("sh").args(["-n", "-c", SCRIPT]).status().unwrap();
        assert!(checked.success());
    }
}
