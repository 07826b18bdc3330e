//! Throws damaged logs at every reader for some minutes, from a seed: nothing may panic, and no line may be lost.
//!
//! `cargo bench -p ostler-logs --bench fuzz -- MINUTES [SEED] [TARGET]`; without words it runs for a second of each, so that `cargo test
//! --benches` stays short. A finding prints the target, its seed and the input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers that says what broke"
)]

use ostler_logs::clock::Clock;
use ostler_logs::corpus::{self, Dice, Mix};
use ostler_logs::group::{Wanted, group};
use ostler_logs::line::{Severity, head, request, route};
use ostler_logs::mask::{mask, without_secrets};
use ostler_logs::place::Source;
use ostler_logs::record::Walk;
use std::path::Path;
use std::time::{Duration, Instant};

type Target = fn(&[u8], &Path);

const TARGETS: [(&str, Target); 6] = [
    ("line", lines),
    ("mask", masks),
    ("record", records),
    ("group", groups),
    ("merge", merges),
    ("trace", traces),
];

fn lines(text: &[u8], _: &Path) {
    for line in text.split(|c| *c == b'\n') {
        let Some(head) = head(line, text) else { continue };
        let mut clock = Clock::utc(1_795_286_402_000_000);
        let _ = head.when.stamp().map(|stamp| clock.moment(stamp));
        let details = head.details();
        if let Some(found) = request(&head, &details) {
            let _ = route(found.path);
        }
    }
}

fn masks(text: &[u8], _: &Path) {
    let mut out = Vec::new();
    mask(text, &mut out);
    assert!(out.len() <= ostler_logs::mask::MASK_BYTES_MAX);
    let _ = without_secrets(text);
}

fn records(text: &[u8], _: &Path) {
    for is_export in [false, true] {
        let (mut lines, mut last) = (0, 0);
        let mut walk = Walk::new(is_export);
        walk.block(text, |line| {
            lines += 1;
            assert!(
                line.record <= last + 1 && (!line.begins || line.record == last || line.record == last + 1)
            );
            last = last.max(line.record);
        });
        let ends = text.iter().filter(|c| **c == b'\n').count();
        assert_eq!(lines, ends + usize::from(!text.is_empty() && !text.ends_with(b"\n")));
    }
}

fn source(path: &Path) -> Source {
    Source {
        path: path.to_owned(),
        host: "h".into(),
        service: "s".into(),
        name: "n".into(),
        bytes: 0,
        clock: Clock::utc(1_795_286_402_000_000),
    }
}

fn groups(text: &[u8], path: &Path) {
    std::fs::write(path, text).unwrap();
    group(&[source(path)], Wanted { least: Severity::Warning, since: None, until: None, mark: Some(0) });
}

fn merges(text: &[u8], path: &Path) {
    std::fs::write(path, text).unwrap();
    let mut last = i64::MIN;
    ostler_logs::merge::merge(&[source(path), source(path)], None, None, |placed| {
        assert!(placed.at >= last);
        last = placed.at;
        true
    });
    ostler_logs::rate::rate(&[source(path)], None, None);
}

fn traces(text: &[u8], path: &Path) {
    std::fs::write(path, text).unwrap();
    ostler_logs::trace::trace(&[source(path)], "5b9c0f1e-1111-4222-8333-444455556666", &[]);
}

/// Pieces of the corpus, cut, doubled, flipped and mixed with noise.
fn damaged(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..1 + dice.below(4) {
        let from = &seeds[dice.below(seeds.len() as u64) as usize];
        let begin = dice.below(from.len() as u64) as usize;
        let end = (begin + dice.below(3_000) as usize).min(from.len());
        text.extend_from_slice(&from[begin..end]);
        if dice.permille(300) {
            text.extend_from_slice(b"\n[instance: 5b9c0f1e-1111-4222-8333-444455556666] port 5b9c0f1e-1111-4222-8333-444455556666\n");
        }
    }
    for _ in 0..dice.below(12) {
        if text.is_empty() {
            break;
        }
        let at = dice.below(text.len() as u64) as usize;
        match dice.below(6) {
            0 => text[at] = dice.draw() as u8,
            1 => drop(text.remove(at)),
            2 => text.insert(
                at,
                dice.pick(&[&b'\n', &b'[', &b'"', &b'{', &b'|', &b' ', &0u8, &0xffu8]).to_owned(),
            ),
            3 => text.truncate(at),
            4 => {
                let piece = text[at..(at + 40).min(text.len())].to_vec();
                text.extend_from_slice(&piece);
            }
            _ => text[at] ^= 1 << dice.below(8),
        }
    }
    text
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let minutes: f64 = words.first().and_then(|word| word.parse().ok()).unwrap_or(0.1);
    let seed: u64 = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(1);
    let home = tempfile::tempdir().unwrap();
    let (written, _) = corpus::write(&home.path().join("corpus"), 4 << 20, seed, Mix::Everything).unwrap();
    let seeds: Vec<Vec<u8>> =
        written.iter().map(|written| std::fs::read(&written.source.path).unwrap()).collect();
    for (name, target) in TARGETS {
        if words.get(2).is_some_and(|only| only != name) {
            continue;
        }
        let (mut runs, mut bytes) = (0u64, 0u64);
        let began = Instant::now();
        let share = Duration::from_secs_f64(minutes * 60.0 / TARGETS.len() as f64);
        let path = home.path().join("log");
        while began.elapsed() < share {
            let of = seed.wrapping_mul(1_000_003).wrapping_add(runs);
            let text = damaged(&seeds, &mut Dice::new(of));
            let done = std::panic::catch_unwind(|| target(&text, &path));
            if done.is_err() {
                println!("{name}: seed {of}: {:?}", String::from_utf8_lossy(&text));
                std::process::exit(1);
            }
            runs += 1;
            bytes += text.len() as u64;
        }
        println!(
            "{name}: {runs} inputs, {:.1} MB in {:.0} s, nothing found",
            bytes as f64 / 1e6,
            share.as_secs_f64()
        );
    }
}
