//! Logs of a made-up cloud, from a seed, with the truth about every line beside them.
//!
//! It measures and tests the readers, so it shares nothing with them but the calendar. The same seed writes the same bytes.

mod story;
mod voices;

pub use story::Story;

use crate::clock::{Clock, Moment};
use crate::line::Severity;
use crate::place::Source;
use crate::read::Blocks;
use crate::record::Walk;
use jiff::tz::TimeZone;
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use voices::Voice;

/// The first moment of the corpus: 2026-11-20T00:00:00Z.
pub const BEGIN: Moment = 1_795_132_800_000_000;

/// How long the corpus lasts, whatever its size: a day.
pub const SPAN_US: i64 = 86_400_000_000;

/// Logs of a corpus.
pub const FILES: usize = 20;

/// Bytes that are written at once.
const PIECE_BYTES: usize = 1 << 20;

/// Chance as splitmix64 has it: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// True so many times of a thousand.
    pub fn permille(&mut self, of: u64) -> bool {
        self.below(1000) < of
    }

    /// One of some.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A uuid.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.draw(), self.draw());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// 32 hexadecimal letters.
    pub fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.draw(), self.draw())
    }
}

/// What is true of one log.
#[derive(Debug, Default)]
pub struct Truth {
    /// The record of each line.
    pub lines: Vec<u32>,
    /// Time (none where none is written) and severity of each record.
    pub records: Vec<(Option<Moment>, Severity)>,
}

/// A log of the corpus.
#[derive(Debug)]
pub struct Written {
    /// The log, as a reader is told of it.
    pub source: Source,
    /// The truth.
    pub truth: Truth,
}

/// A log under way.
pub(crate) struct Out {
    text: Vec<u8>,
    file: BufWriter<File>,
    bytes: u64,
    truth: Truth,
}

impl Out {
    pub(crate) fn begin(&mut self, at: Option<Moment>, severity: Severity) -> u32 {
        self.truth.records.push((at, severity));
        self.truth.records.len() as u32 - 1
    }

    pub(crate) fn line(&mut self, record: u32, text: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(text);
        self.text.push(b'\n');
        self.truth.lines.push(record);
    }

    /// Bytes that are no line of text, then the end of the line; each line end within them is counted.
    pub(crate) fn raw(&mut self, record: u32, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.text.push(b'\n');
        for _ in 0..=bytes.iter().filter(|c| **c == b'\n').count() {
            self.truth.lines.push(record);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes += self.text.len() as u64;
        self.file.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

/// Who writes the logs of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Every program of a cloud.
    Everything,
    /// Only oslo.log's text, for programs that read nothing else.
    Oslo,
}

/// Writes a corpus of about so many bytes below a directory.
pub fn write(directory: &Path, bytes: u64, seed: u64, mix: Mix) -> io::Result<(Vec<Written>, Story)> {
    let story = Story::of(seed);
    let plan = voices::plan();
    let written: io::Result<Vec<Written>> = plan
        .par_iter()
        .with_max_len(1)
        .enumerate()
        .map(|(number, (host, path, voice))| {
            let path = directory.join(host).join(path);
            let dice = Dice::new(seed ^ (number as u64 + 1).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95));
            let voice = if mix == Mix::Oslo && *voice != Voice::Api { Voice::Oslo } else { *voice };
            one(&path, host, voice, bytes / plan.len() as u64, dice, &story)
        })
        .collect();
    Ok((written?, story))
}

fn one(
    path: &Path,
    host: &str,
    voice: Voice,
    bytes: u64,
    mut dice: Dice,
    story: &Story,
) -> io::Result<Written> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = BufWriter::with_capacity(PIECE_BYTES, File::create(path)?);
    let mut out = Out { text: Vec::with_capacity(2 * PIECE_BYTES), file, bytes: 0, truth: Truth::default() };
    let mut speaker = voices::Speaker::new(voice, host, &mut dice);
    let mut lines = story.lines_of(path).into_iter().peekable();
    loop {
        let done = out.bytes + out.text.len() as u64;
        if done >= bytes {
            break;
        }
        // Time goes on with the bytes: every log of a corpus spans the same day.
        let at = BEGIN + (done as f64 / bytes as f64 * SPAN_US as f64) as i64;
        while let Some((_, told)) = lines.next_if(|(when, _)| *when <= at) {
            told(&mut out);
        }
        speaker.speak(&mut out, &mut dice, at);
        if out.text.len() >= PIECE_BYTES {
            out.flush()?;
        }
    }
    for (_, told) in lines {
        told(&mut out);
    }
    out.flush()?;
    out.file.flush()?;
    let source = Source {
        path: path.to_owned(),
        host: host.to_owned(),
        service: crate::place::service_of(path),
        name: format!("{host}:{}", path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()),
        bytes: out.bytes,
        clock: Clock::new(TimeZone::UTC, BEGIN + SPAN_US, 0),
    };
    Ok(Written { source, truth: out.truth })
}

/// What a check of a log against its truth found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// Lines.
    pub lines: u64,
    /// Lines given to another record than the true one.
    pub lines_wrong: u64,
    /// Records.
    pub records: u64,
    /// Records whose time or severity was read wrongly, or that were not seen as records.
    pub records_wrong: u64,
    /// Some of what was wrong, for a person.
    pub examples: Vec<String>,
}

/// Reads the corpus and compares each line with the truth.
pub fn check(written: &[Written]) -> Checked {
    const EXAMPLES_MAX: usize = 10;
    written.par_iter().with_max_len(1).map(|written| check_one(written, EXAMPLES_MAX)).reduce(
        Checked::default,
        |mut a, b| {
            a.lines += b.lines;
            a.lines_wrong += b.lines_wrong;
            a.records += b.records;
            a.records_wrong += b.records_wrong;
            a.examples.extend(b.examples);
            a.examples.truncate(EXAMPLES_MAX);
            a
        },
    )
}

fn check_one(written: &Written, examples_max: usize) -> Checked {
    let mut checked = Checked { records: written.truth.records.len() as u64, ..Checked::default() };
    let mut seen = 0u64;
    let Ok(mut blocks) = Blocks::open(&written.source.path) else {
        checked.records_wrong = checked.records;
        return checked;
    };
    let mut clock = written.source.clock.clone();
    let mut walk: Option<Walk> = None;
    let mut number = 0usize;
    while let Some(block) = blocks.next_block() {
        let walk = walk.get_or_insert_with(|| Walk::new(block.starts_with(b"__CURSOR=")));
        walk.block(block, |line| {
            let mut example = |what: String| {
                if checked.examples.len() < examples_max {
                    let text: String = String::from_utf8_lossy(line.text).chars().take(160).collect();
                    checked.examples.push(format!(
                        "{} line {}: {what}: {text}",
                        written.source.name,
                        number + 1
                    ));
                }
            };
            checked.lines += 1;
            let truth = written.truth.lines.get(number).copied();
            if truth.map(u64::from) != Some(line.record) {
                checked.lines_wrong += 1;
                example(format!("record {} instead of {truth:?}", line.record));
            }
            if line.begins {
                seen += 1;
                let found =
                    line.head.map(|head| (head.when.stamp().map(|stamp| clock.moment(stamp)), head.severity));
                let truth = written.truth.records.get(line.record as usize);
                if found.as_ref() != truth {
                    checked.records_wrong += 1;
                    example(format!("read as {found:?} instead of {truth:?}"));
                }
            }
            number += 1;
        });
    }
    checked.lines_wrong += (written.truth.lines.len() as u64).abs_diff(checked.lines);
    checked.records_wrong += checked.records.abs_diff(seen);
    checked
}

/// The logs of a corpus, without the truth.
pub fn sources(written: &[Written]) -> Vec<Source> {
    written.iter().map(|written| written.source.clone()).collect()
}

/// Where a corpus of that size and seed is kept below a cache.
pub fn directory(cache: &Path, bytes: u64, seed: u64) -> PathBuf {
    cache.join(format!("corpus-{bytes}-{seed}"))
}
